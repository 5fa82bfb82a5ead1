package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
)

const hexDigits = "0123456789ABCDEF"

// encode turns a name of the model into one that HAProxy accepts (letters,
// digits, "-", "_", ".", ":"; manual section 2.1 of the configuration), and no
// two names into the same one: "/" becomes ":", any other foreign byte "_" and
// its two hexadecimal digits.
func encode(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.':
			b.WriteByte(c)
		case c == '/':
			b.WriteByte(':')
		default:
			b.WriteByte('_')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// fileName is the encoded name cut to what a file system takes; a cut name keeps
// its identity by a hash. It has no dot of its own: of a folder, HAProxy loads
// only files whose first ".cfg" is at the end of the name.
func fileName(prefix, name, suffix string) string {
	const limit = 200
	enc := strings.ReplaceAll(encode(name), ".", "_2E")
	if len(enc) > limit {
		sum := sha256.Sum256([]byte(name))
		enc = enc[:limit-20] + "_" + hex.EncodeToString(sum[:8])
	}
	return prefix + enc + suffix
}

// serverName names an endpoint within its backend: "10.1.0.7_8080".
func serverName(a netip.AddrPort) string {
	return a.Addr().Unmap().WithZone("").String() + "_" + portString(a.Port())
}

// serverAddress is an endpoint's address as server lines and commands take it.
func serverAddress(a netip.AddrPort) string {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}
