package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// PhoneHome is a listener on which others register what should be served.
type PhoneHome struct {
	// Listen is "<address>:<port>", the address an IP or empty for every one.
	Listen string `json:"listen"`
	// TLS is nil if Insecure, which is plain HTTP.
	TLS      *KeyPair `json:"tls,omitempty"`
	Insecure bool     `json:"insecure"`
	// Clients may register; at least one.
	Clients []PhoneClient `json:"clients"`
}

// KeyPair is a certificate with its chain and its key, in PEM files; absolute.
type KeyPair struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
}

// PhoneClient is who may register, and what it may take. It is known by one of
// TokenSHA256, TokenFile, TokenEnv and ServiceAccount.
type PhoneClient struct {
	Name string `json:"name"`
	// TokenSHA256 is the hash of its token in lower-case hexadecimal digits: the
	// token itself is not kept.
	TokenSHA256    string               `json:"tokenSHA256,omitempty"`
	TokenFile      string               `json:"tokenFile,omitempty"` // absolute
	TokenEnv       string               `json:"tokenEnv,omitempty"`  // name of a variable
	ServiceAccount *PhoneServiceAccount `json:"serviceAccount,omitempty"`
	// Ports are front ports that it may take, Hosts names as in a Service; none is
	// none.
	Ports []PortRange `json:"ports,omitempty"`
	Hosts []string    `json:"hosts,omitempty"`
	// Destinations hold every address that it may register; none is any that an
	// endpoint may have.
	Destinations []netip.Prefix `json:"destinations,omitempty"`
}

// PhoneServiceAccount is an account of a Kubernetes cluster whose tokens are taken.
type PhoneServiceAccount struct {
	// Issuer is an https URL that tokens name; asked for the keys unless JWKSFile
	// has them. One of the two is set at least.
	Issuer   string `json:"issuer,omitempty"`
	JWKSFile string `json:"jwksFile,omitempty"` // absolute
	// CAFile verifies the issuer; empty leaves it to the machine's own.
	CAFile    string `json:"caFile,omitempty"`
	Audience  string `json:"audience"`
	Namespace string `json:"namespace"`
	Account   string `json:"account"`
}

// PortRange is the ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// String spells it as the file does.
func (p PortRange) String() string {
	first := strconv.Itoa(int(p.First))
	if p.First == p.Last {
		return first
	}
	return first + "-" + strconv.Itoa(int(p.Last))
}

// MarshalText is String.
func (p PortRange) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

const (
	phoneExample  = `phoneHome: {tls: {certFile: /etc/landfall/phone.crt, keyFile: /etc/landfall/phone.key}, clients: [{name: cluster-a, tokenFile: /etc/landfall/cluster-a.token, ports: ["8000-9000"]}]}`
	tlsExample    = "tls: {certFile: /etc/landfall/phone.crt, keyFile: /etc/landfall/phone.key}"
	clientExample = `clients: [{name: cluster-a, tokenFile: /etc/landfall/cluster-a.token, ports: ["8000-9000"]}]`
	tokenExample  = "tokenFile: /etc/landfall/cluster-a.token"
	// maxToken is more than any header holds.
	maxToken = 4096
)

var (
	sha256Pattern = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	envPattern    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	issuerPattern = regexp.MustCompile(`^https://[!-~]+$`)
)

func (r *reader) phoneHome(v value) *PhoneHome {
	into := &PhoneHome{Listen: defaultPhoneListen}
	var tls, insecure, clients value
	object := r.object(v, phoneExample, fields{
		"listen":   func(v value) { r.phoneListen(v, &into.Listen) },
		"tls":      func(v value) { tls = v; into.TLS = r.keyPair(v) },
		"insecure": func(v value) { insecure = v; r.boolean(v, &into.Insecure, "insecure: true") },
		"clients":  func(v value) { clients = v; r.phoneClients(v, &into.Clients) },
	})
	if !object || v.absent() {
		if v.absent() {
			r.wrong(v, phoneExample, "expected an object with clients, not nothing")
		}
		return into
	}
	switch {
	case into.Insecure && into.TLS != nil:
		r.wrong(insecure, "insecure: false", "tokens go over the wire encrypted (tls) or not (insecure: true), not both; remove one")
	case !into.Insecure && tls.absent():
		r.wrong(v, tlsExample, "tls is missing, so that tokens would go over the wire in the clear; name a certificate, or write insecure: true if something else encrypts them")
	}
	if r.required(v, clients, "clients", clientExample) && clients.elements() == 0 {
		r.wrong(clients, clientExample, "expected at least one client")
	}
	return into
}

func (r *reader) phoneListen(v value, into *string) {
	const example = `listen: ":9443"`
	r.listen(v, into, example)
	if !v.absent() && (*into == "" || strings.HasSuffix(*into, ":0")) {
		r.wrong(v, example, "expected an address and a port from 1 to 65535 to listen on, not %s", quote(*into))
	}
}

func (r *reader) keyPair(v value) *KeyPair {
	if v.absent() {
		return nil
	}
	into := &KeyPair{}
	var cert, key value
	if r.object(v, tlsExample, fields{
		"certFile": func(v value) { cert = v; r.path(v, &into.CertFile, "certFile: /etc/landfall/phone.crt") },
		"keyFile":  func(v value) { key = v; r.path(v, &into.KeyFile, "keyFile: /etc/landfall/phone.key") },
	}) {
		r.required(v, cert, "certFile", "certFile: /etc/landfall/phone.crt")
		r.required(v, key, "keyFile", "keyFile: /etc/landfall/phone.key")
	}
	return into
}

func (r *reader) phoneClients(v value, into *[]PhoneClient) {
	names, tokens := unique{}, unique{}
	r.list(v, clientExample, func(_ int, v value) {
		if client, ok := r.phoneClient(v, names, tokens); ok {
			*into = append(*into, client)
		}
	})
}

func (r *reader) phoneClient(v value, names, tokens unique) (client PhoneClient, ok bool) {
	var name value
	var kinds []value
	kind := func(v value) value {
		if !v.absent() {
			kinds = append(kinds, v)
		}
		return v
	}
	ok = r.object(v, clientExample, fields{
		"name":           func(v value) { name = v; r.label(v, &client.Name, "name: cluster-a") },
		"token":          func(v value) { r.token(kind(v), &client.TokenSHA256) },
		"tokenSHA256":    func(v value) { r.tokenHash(kind(v), &client.TokenSHA256) },
		"tokenFile":      func(v value) { r.path(kind(v), &client.TokenFile, tokenExample) },
		"tokenEnv":       func(v value) { r.environment(kind(v), &client.TokenEnv) },
		"serviceAccount": func(v value) { client.ServiceAccount = r.serviceAccount(kind(v)) },
		"ports":          func(v value) { r.portRanges(v, &client.Ports) },
		"hosts":          func(v value) { r.hosts(v, &client.Hosts) },
		"destinations":   func(v value) { r.prefixes(v, &client.Destinations) },
	})
	if !ok {
		return client, false
	}
	if r.required(v, name, "name", "name: cluster-a") {
		r.once(name, names, client.Name)
	}
	switch {
	case len(kinds) == 0:
		r.wrong(v, tokenExample, "a client is known by one of token, tokenFile, tokenEnv, tokenSHA256 or serviceAccount, and this one by none")
	case len(kinds) > 1:
		r.wrong(kinds[1], tokenExample, "a client is known by only one of token, tokenFile, tokenEnv, tokenSHA256 or serviceAccount; remove the others")
	case client.TokenSHA256 != "":
		if line, twice := tokens[client.TokenSHA256]; twice {
			r.wrong(kinds[0], tokenExample, "another client has this token on line %d, and the token says which client it is; give each its own", line)
		}
		tokens[client.TokenSHA256] = kinds[0].node.Line
	}
	if len(client.Ports) == 0 && len(client.Hosts) == 0 {
		r.wrong(v, `ports: ["443", "8000-9000"]`, "this client may take nothing; give it front ports, hosts, or both")
	}
	return client, true
}

// token reads a secret and keeps its hash. What it is never goes into a message.
func (r *reader) token(v value, into *string) {
	if v.absent() {
		return
	}
	s := ""
	if isText(v) {
		s = strings.TrimRight(v.node.Value, "\r\n")
	}
	if s == "" || len(s) > maxToken || strings.Trim(s, " ") != s || strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) >= 0 {
		r.wrong(v, tokenExample, "expected text of 1 to %d printable ASCII characters, in quotes if it is a number, without spaces at its ends", maxToken)
		return
	}
	sum := sha256.Sum256([]byte(s))
	*into = hex.EncodeToString(sum[:])
}

func (r *reader) tokenHash(v value, into *string) {
	const example = "tokenSHA256: the 64 digits of printf %s TOKEN | sha256sum, in quotes"
	if v.absent() {
		return
	}
	if v.node.Value == "" || !sha256Pattern.MatchString(v.node.Value) {
		r.wrong(v, example, "expected a SHA-256 sum of 64 hexadecimal digits")
		return
	}
	*into = strings.ToLower(v.node.Value)
}

func (r *reader) environment(v value, into *string) {
	const example = "tokenEnv: CLUSTER_A_TOKEN"
	s, ok := r.text(v, example)
	if !ok {
		return
	}
	if !envPattern.MatchString(s) {
		r.wrong(v, example, "expected the name of an environment variable")
		return
	}
	*into = s
}

func (r *reader) serviceAccount(v value) *PhoneServiceAccount {
	const example = "serviceAccount: {issuer: https://kubernetes.default.svc.cluster.local, audience: landfall, namespace: web, account: phone-home}"
	if v.absent() {
		return nil
	}
	into := &PhoneServiceAccount{}
	var issuer, jwks, audience, namespace, account value
	if !r.object(v, example, fields{
		"issuer":    func(v value) { issuer = v; r.issuer(v, &into.Issuer) },
		"jwksFile":  func(v value) { jwks = v; r.path(v, &into.JWKSFile, "jwksFile: /etc/landfall/cluster-a.jwks") },
		"caFile":    func(v value) { r.path(v, &into.CAFile, "caFile: /etc/landfall/cluster-a.crt") },
		"audience":  func(v value) { audience = v; r.claim(v, &into.Audience, "audience: landfall") },
		"namespace": func(v value) { namespace = v; r.label(v, &into.Namespace, "namespace: web") },
		"account":   func(v value) { account = v; r.claim(v, &into.Account, "account: phone-home") },
	}) {
		return into
	}
	if issuer.absent() && jwks.absent() {
		r.wrong(v, example, "the keys that sign its tokens are unknown; name the issuer, which is asked for them, or a jwksFile")
	}
	r.required(v, audience, "audience", "audience: landfall")
	r.required(v, namespace, "namespace", "namespace: web")
	r.required(v, account, "account", "account: phone-home")
	return into
}

func (r *reader) issuer(v value, into *string) {
	const example = "issuer: https://kubernetes.default.svc.cluster.local"
	s, ok := r.text(v, example)
	if !ok {
		return
	}
	if len(s) > maxURLPath || !issuerPattern.MatchString(s) {
		r.wrong(v, example, "expected a URL that begins with https://, not %s", quote(s))
		return
	}
	*into = s
}

// claim reads what a token must say.
func (r *reader) claim(v value, into *string, example string) {
	s, ok := r.text(v, example)
	if !ok {
		return
	}
	if s == "" || len(s) > maxHost || strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0 {
		r.wrong(v, example, "expected 1 to %d printable ASCII characters without spaces, not %s", maxHost, quote(s))
		return
	}
	*into = s
}

func (r *reader) portRanges(v value, into *[]PortRange) {
	const example = `ports: ["443", "8000-9000"]`
	r.list(v, example, func(_ int, v value) {
		if v.node.Kind != yaml.ScalarNode {
			r.wrong(v, example, "expected a port or a range of ports, not %s", describe(v.node))
			return
		}
		first, last, isRange := strings.Cut(v.node.Value, "-")
		if !isRange {
			last = first
		}
		low, errLow := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		high, errHigh := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		if errLow != nil || errHigh != nil || low == 0 || low > high {
			r.wrong(v, example, "expected a port from 1 to 65535 or a range of them, the lower one first, not %s", quote(v.node.Value))
			return
		}
		*into = append(*into, PortRange{uint16(low), uint16(high)})
	})
}

func (r *reader) prefixes(v value, into *[]netip.Prefix) {
	const example = `destinations: ["203.0.113.0/24", "2001:db8::/32"]`
	r.list(v, example, func(_ int, v value) {
		s, ok := r.text(v, example)
		if !ok {
			return
		}
		prefix, err := netip.ParsePrefix(s)
		if addr, addrErr := netip.ParseAddr(s); err != nil && addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		switch {
		case err != nil:
			r.wrong(v, example, "expected a network as <address>/<bits>, not %s", quote(s))
		case prefix != prefix.Masked():
			r.wrong(v, example, "%s has bits behind its length; write %s for the network", quote(s), prefix.Masked())
		default:
			*into = append(*into, prefix)
		}
	})
}
