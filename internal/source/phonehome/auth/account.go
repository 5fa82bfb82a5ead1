package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	jose "github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"
)

// Account is a ServiceAccount of a Kubernetes cluster.
type Account struct {
	// Issuer is whom tokens name; it is asked for its keys unless JWKSFile has them.
	Issuer, JWKSFile string
	// CAFile verifies the issuer; empty leaves it to the machine's own.
	CAFile                    string
	Audience, Namespace, Name string
}

const (
	askTimeout = 5 * time.Second
	// askEvery and askBurst bound how often an issuer is asked, whatever tokens say.
	askEvery = time.Second
	askBurst = 5
)

// algorithms are those that Kubernetes signs with, and what can be in their place.
// There is none in which the key is a shared secret.
func algorithms() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.EdDSA}
}

func (a Account) subject() string { return "system:serviceaccount:" + a.Namespace + ":" + a.Name }

// claims are what a token says of itself, which nothing has proved.
type claims struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

func peek(token string) (claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims{}, false
	}
	var c claims
	return c, json.Unmarshal(payload, &c) == nil
}

// mayBe reports whether it is worth while to verify a token for this account.
func (a Account) mayBe(c claims) bool {
	return c.Subject == a.subject() && (a.Issuer == "" || a.Issuer == c.Issuer)
}

// keys are those that sign an account's tokens.
type keys struct {
	account Account
	now     func() time.Time

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	text     []byte // of the JWKS file that verifier is of
}

// verify reports whether a token is the account's, and good now.
func (k *keys) verify(ctx context.Context, token string) error {
	k.mu.Lock()
	verifier := k.verifier
	k.mu.Unlock()
	if verifier == nil {
		return fmt.Errorf("%w: the keys that sign it are not known", ErrUnavailable)
	}
	verified, err := verifier.Verify(ctx, token)
	if err != nil || verified.Subject != k.account.subject() {
		return ErrUnknown
	}
	return nil
}

func (k *keys) config() *oidc.Config {
	return &oidc.Config{
		ClientID: k.account.Audience, SkipIssuerCheck: k.account.Issuer == "",
		SupportedSigningAlgs: algorithms(), Now: k.now,
	}
}

func (k *keys) known() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.verifier != nil
}

// ask asks the issuer where its keys are; from then on they are asked for when a
// token names one that is not known. It says what is wrong.
func (k *keys) ask(ctx context.Context) (problem string) {
	client, err := k.account.client()
	if err != nil {
		return err.Error()
	}
	ctx = oidc.ClientContext(ctx, client)
	provider, err := oidc.NewProvider(ctx, k.account.Issuer)
	if err != nil {
		return "its issuer gives no keys: " + brief(err)
	}
	k.set(provider.VerifierContext(context.WithoutCancel(ctx), k.config()), nil)
	return ""
}

// brief is an error on one line of bounded length: others wrote part of it.
func brief(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 300 {
		text = text[:300]
	}
	return strings.ToValidUTF8(text, "")
}

func (k *keys) set(v *oidc.IDTokenVerifier, text []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.verifier, k.text = v, text
}

// read takes the keys of the file, if they are others than before.
func (k *keys) read() (problem string) {
	text, err := readFile(k.account.JWKSFile)
	if err != nil {
		return err.Error()
	}
	k.mu.Lock()
	same := k.verifier != nil && bytes.Equal(text, k.text)
	k.mu.Unlock()
	if same {
		return ""
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return fmt.Sprintf("%s is no JSON Web Key Set: %v", k.account.JWKSFile, err)
	}
	static := &oidc.StaticKeySet{}
	for _, key := range set.Keys {
		if key.IsPublic() {
			static.PublicKeys = append(static.PublicKeys, crypto.PublicKey(key.Key))
		}
	}
	if len(static.PublicKeys) == 0 {
		return k.account.JWKSFile + " holds no public key"
	}
	k.set(oidc.NewVerifier(k.account.Issuer, static, k.config()), text)
	return ""
}

// client is how the issuer is asked.
func (a Account) client() (*http.Client, error) {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment,
		TLSHandshakeTimeout: askTimeout, ResponseHeaderTimeout: askTimeout, IdleConnTimeout: time.Minute,
	}
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", a.CAFile)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	limited := &limited{next: transport, limit: rate.NewLimiter(rate.Every(askEvery), askBurst)}
	return &http.Client{Transport: limited, Timeout: askTimeout}, nil
}

// limited keeps tokens that name unknown keys from having an issuer asked for each.
type limited struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

var errTooOften = errors.New("it was asked often just now")

func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if !l.limit.Allow() {
		return nil, errTooOften
	}
	return l.next.RoundTrip(r)
}
