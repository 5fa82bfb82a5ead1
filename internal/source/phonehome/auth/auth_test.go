package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/landfall-edge/landfall/internal/source/phonehome/auth"
	"github.com/landfall-edge/landfall/internal/testwait"
)

func newBook(t *testing.T, clients ...auth.Client) *auth.Book {
	t.Helper()
	getenv := func(name string) string { return map[string]string{"A_TOKEN": "from-env\n"}[name] }
	b, err := auth.New(clients, getenv, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b.ReadFiles()
	b.AskIssuers(t.Context())
	return b
}

// is wants a token to be of a client; "" is of none.
func is(t *testing.T, b *auth.Book, token, want string) {
	t.Helper()
	got, err := b.Who(t.Context(), token)
	if got != want || (err == nil) != (want != "") {
		t.Errorf("%.20s... is of %q (%v), want %q", token, got, err, want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSharedTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "from-file\r\n")
	sum := sha256.Sum256([]byte("hashed"))
	b := newBook(t,
		auth.Client{Name: "hash", SHA256: hex.EncodeToString(sum[:])},
		auth.Client{Name: "file", File: path},
		auth.Client{Name: "env", Env: "A_TOKEN"},
		auth.Client{Name: "unset", Env: "NO_TOKEN"},
		auth.Client{Name: "missing", File: path + "x"},
	)
	is(t, b, "hashed", "hash")
	is(t, b, "from-file", "file")
	is(t, b, "from-env", "env")
	for _, wrong := range []string{"", "hashed\n", "Hashed", hex.EncodeToString(sum[:]), strings.Repeat("x", 1<<20), "\x00", "a.b.c"} {
		is(t, b, wrong, "")
	}
	problems := b.Problems()
	if problems[0]+problems[1]+problems[2] != "" || !strings.Contains(problems[3], "NO_TOKEN is empty") || !strings.Contains(problems[4], "no such file") {
		t.Errorf("%q", problems)
	}
	write(t, path, "another")
	b.ReadFiles()
	is(t, b, "another", "file")
	is(t, b, "from-file", "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b.ReadFiles() // the last one counts until there is one again
	is(t, b, "another", "file")
	if !strings.Contains(b.Problems()[1], "no such file") {
		t.Errorf("%q", b.Problems())
	}
}

// signer is a cluster that signs tokens and publishes its keys.
type signer struct {
	mu   sync.Mutex
	keys []jose.JSONWebKey // private, the last one signs
	asks int
}

func (s *signer) add(t *testing.T, id string, key crypto.Signer) {
	t.Helper()
	alg := jose.ES256
	if _, isRSA := key.(*rsa.PrivateKey); isRSA {
		alg = jose.RS256
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(alg), Use: "sig"})
}

func (s *signer) public(t *testing.T) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, k := range s.keys {
		set.Keys = append(set.Keys, k.Public())
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

type claims map[string]any

// token is one of the account, but for what is changed.
func (s *signer) token(t *testing.T, issuer string, change claims) string {
	t.Helper()
	s.mu.Lock()
	key := s.keys[len(s.keys)-1]
	s.mu.Unlock()
	sign, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := claims{
		"iss": issuer, "sub": "system:serviceaccount:web:phone-home", "aud": []string{"landfall"},
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}
	for k, v := range change {
		c[k] = v
	}
	text, err := jwt.Signed(sign).Claims(map[string]any(c)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func bad(s *signer, t *testing.T, issuer string) map[string]string {
	other := &signer{}
	other.add(t, "one", newKey(t))
	good := s.token(t, issuer, nil)
	parts := strings.Split(good, ".")
	return map[string]string{
		"another account":      s.token(t, issuer, claims{"sub": "system:serviceaccount:web:other"}),
		"another namespace":    s.token(t, issuer, claims{"sub": "system:serviceaccount:other:phone-home"}),
		"another audience":     s.token(t, issuer, claims{"aud": "https://kubernetes.default.svc"}),
		"another issuer":       s.token(t, "https://other.example.com", nil),
		"expired":              s.token(t, issuer, claims{"exp": time.Now().Add(-time.Minute).Unix()}),
		"signed by another":    other.token(t, issuer, nil),
		"not signed":           "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"without a signature":  parts[0] + "." + parts[1] + ".",
		"a changed signature":  good[:len(good)-8] + "AAAAAAAA",
		"no JSON":              "e30.AAAA.AAAA",
		"signed with a secret": "eyJhbGciOiJIUzI1NiJ9." + parts[1] + "." + parts[2],
	}
}

func TestAccountFromFile(t *testing.T) {
	const issuer = "https://kubernetes.default.svc"
	s := &signer{}
	s.add(t, "one", newKey(t))
	path := filepath.Join(t.TempDir(), "jwks")
	write(t, path, s.public(t))
	b := newBook(t, auth.Client{Name: "cluster", Account: &auth.Account{Issuer: issuer, JWKSFile: path, Audience: "landfall", Namespace: "web", Name: "phone-home"}})
	is(t, b, s.token(t, issuer, nil), "cluster")
	for what, token := range bad(s, t, issuer) {
		if _, err := b.Who(t.Context(), token); !errors.Is(err, auth.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.add(t, "two", key) // rotated
	is(t, b, s.token(t, issuer, nil), "")
	write(t, path, s.public(t))
	b.ReadFiles()
	is(t, b, s.token(t, issuer, nil), "cluster")
	write(t, path, "{")
	b.ReadFiles()
	is(t, b, s.token(t, issuer, nil), "cluster")
	if !strings.Contains(b.Problems()[0], "no JSON Web Key Set") {
		t.Errorf("%q", b.Problems())
	}
}

func TestAccountFromIssuer(t *testing.T) {
	began := time.Now()
	s := &signer{}
	s.add(t, "one", newKey(t))
	var issuer string
	up := true
	var mu sync.Mutex
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		s.asks++
		w.Header().Set("Content-Type", "application/json")
		switch {
		case !up:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": issuer + "/openid/v1/jwks", "id_token_signing_alg_values_supported": []string{"ES256"}})
		default:
			_, _ = w.Write([]byte(s.public(t)))
		}
	}))
	defer server.Close()
	issuer = server.URL
	ca := filepath.Join(t.TempDir(), "ca.crt")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	up = false
	b := newBook(t, auth.Client{Name: "cluster", Account: &auth.Account{Issuer: issuer, CAFile: ca, Audience: "landfall", Namespace: "web", Name: "phone-home"}})
	if _, err := b.Who(context.Background(), s.token(t, issuer, nil)); !errors.Is(err, auth.ErrUnavailable) || b.Problems()[0] == "" {
		t.Errorf("%v, %q", err, b.Problems())
	}
	mu.Lock()
	up = true
	mu.Unlock()
	b.AskIssuers(t.Context())
	is(t, b, s.token(t, issuer, nil), "cluster")
	for what, token := range bad(s, t, issuer) {
		if _, err := b.Who(t.Context(), token); !errors.Is(err, auth.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.add(t, "two", newKey(t)) // rotated: found because a token names it, as soon as the issuer may be asked again
	testwait.Until(t, "the new key is found", func() bool {
		who, _ := b.Who(t.Context(), s.token(t, issuer, nil))
		return who == "cluster"
	})
	for range 100 { // tokens of unknown keys do not have the issuer asked for each
		other := &signer{}
		other.add(t, "three", newKey(t))
		is(t, b, other.token(t, issuer, nil), "")
	}
	mu.Lock()
	defer mu.Unlock()
	if most := 12 + int(time.Since(began)/time.Second); s.asks > most {
		t.Errorf("the issuer was asked %d times", s.asks)
	}
}

func TestDelays(t *testing.T) {
	d := &auth.Delays{}
	now := time.Now()
	one, other := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	var last time.Duration
	for range 10 {
		next := d.Next(one, now)
		if next < last {
			t.Errorf("%s after %s", next, last)
		}
		last = next
	}
	if first := d.Next(other, now); first >= last || first == 0 {
		t.Errorf("another address waits %s", first)
	}
	if again := d.Next(one, now.Add(2*time.Minute)); again >= last {
		t.Errorf("after a pause %s", again)
	}
	if a, b := d.Next(netip.MustParseAddr("2001:db8::1"), now), d.Next(netip.MustParseAddr("2001:db8::2"), now); b <= a {
		t.Errorf("one IPv6 network waits %s, then %s", a, b)
	}
	for i := range 30_000 {
		d.Next(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now)
	}
}
