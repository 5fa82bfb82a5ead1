package spec

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

const (
	maxSpareBackends = 10_000
	// maxSocketPath is what sun_path of a Unix socket holds before its NUL.
	maxSocketPath = 107
	maxHost       = 253
	maxPath       = 4095
	maxURLPath    = 1024
)

var (
	labelPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	hostPattern  = regexp.MustCompile(`^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)
	urlPath      = regexp.MustCompile(`^/[!-~]*$`)
)

// label reads a DNS label, which is fit to be part of a name anywhere.
func (r *reader) label(v value, into *string, example string) {
	s, ok := r.text(v, example)
	if !ok {
		return
	}
	if !labelPattern.MatchString(s) {
		r.wrong(v, example, "expected at most 63 lower-case letters, digits and dashes, a letter or digit first and last, not %s", quote(s))
		return
	}
	*into = s
}

func (r *reader) edgeName(v value, into *string) {
	const example = "name: shore"
	s, ok := r.text(v, example)
	if !ok {
		return
	}
	if len(s) > maxHost || !hostPattern.MatchString(s) || strings.HasPrefix(s, "*") {
		r.wrong(v, example, "expected a host name of lower-case letters, digits, dashes and dots, not %s", quote(s))
		return
	}
	*into = s
}

// path reads the absolute path of a file or folder: an edge that a service
// manager starts has no folder of its own to start from.
func (r *reader) path(v value, into *string, example string) bool {
	s, ok := r.text(v, example)
	if !ok {
		return false
	}
	switch {
	case !strings.HasPrefix(s, "/"):
		r.wrong(v, example, "expected a path that begins with /, not %s", quote(s))
	case len(s) > maxPath || strings.IndexFunc(s, control) >= 0:
		r.wrong(v, example, "expected a path of at most %d bytes on one line, not %s", maxPath, quote(s))
	default:
		*into = s
		return true
	}
	return false
}

func control(c rune) bool { return c < ' ' || c == 0x7f }

func (r *reader) binary(v value, into *string) {
	const example = "binary: /usr/sbin/haproxy"
	s, ok := r.text(v, example)
	if !ok {
		return
	}
	if strings.Contains(s, "/") {
		r.path(v, into, example)
		return
	}
	if s == "" || strings.IndexFunc(s, control) >= 0 {
		r.wrong(v, example, "expected a path, or a name to look up in PATH, not %s", quote(s))
		return
	}
	*into = s
}

func (r *reader) socket(v value, into *string, example string) {
	var path string
	if !r.path(v, &path, example) {
		return
	}
	if len(path) > maxSocketPath {
		r.wrong(v, example, "the path of a Unix socket holds at most %d bytes (sun_path), and this one has %d; choose a shorter one", maxSocketPath, len(path))
		return
	}
	*into = path
}

func (r *reader) address(v value, example string) (netip.Addr, bool) {
	s, ok := r.text(v, example)
	if !ok {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(s)
	addr = addr.Unmap()
	switch {
	case err != nil && strings.Contains(s, "/"):
		r.wrong(v, example, "expected an IP address without a prefix length, not %s", quote(s))
	case err != nil:
		r.wrong(v, example, "expected an IP address, not %s", quote(s))
	case addr.IsUnspecified():
		r.wrong(v, example, "%s is no address of its own; leave addresses out for every address of the machine", addr)
	case addr.Zone() != "" || addr.IsLinkLocalUnicast() || addr.IsMulticast():
		r.wrong(v, example, "expected an address that clients can reach from elsewhere, and %s is link-local or multicast", short(s))
	default:
		return addr, true
	}
	return netip.Addr{}, false
}

// endpoint reads an address and port; whether the address may be served is for
// the source to say.
func (r *reader) endpoint(v value, example string) (netip.AddrPort, bool) {
	s, ok := r.text(v, example)
	if !ok {
		return netip.AddrPort{}, false
	}
	endpoint, err := netip.ParseAddrPort(s)
	switch {
	case err != nil && isAddress(s):
		r.wrong(v, example, "the port is missing, expected <address>:<port>, not %s", quote(s))
	case err != nil:
		r.wrong(v, example, "expected <address>:<port> with an IP address (IPv6 in brackets; host names are not looked up), not %s", quote(s))
	case endpoint.Port() == 0:
		r.wrong(v, example, "expected a port from 1 to 65535, not 0")
	case endpoint.Addr().Zone() != "":
		r.wrong(v, example, "expected an address without a zone (%%...), not %s", quote(s))
	default:
		return netip.AddrPortFrom(endpoint.Addr().Unmap(), endpoint.Port()), true
	}
	return netip.AddrPort{}, false
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// listen reads an address to listen on; without a host it is every one.
func (r *reader) listen(v value, into *string, example string) {
	s, ok := r.text(v, example)
	if !ok {
		return
	}
	if s == "" {
		*into = ""
		return
	}
	full := s
	if strings.HasPrefix(s, ":") {
		full = "0.0.0.0" + s
	}
	if endpoint, err := netip.ParseAddrPort(full); err != nil || endpoint.Addr().Zone() != "" {
		r.wrong(v, example, `expected <address>:<port> with an IP address, :<port> for every address, or "" to turn it off, not %s`, quote(s))
		return
	}
	*into = s
}

// host reads a host as an Ingress takes it.
func (r *reader) host(v value, example string) (string, bool) {
	s, ok := r.text(v, example)
	if !ok {
		return "", false
	}
	host := strings.ToLower(s)
	_, port, found := strings.Cut(host, ":")
	_, err := strconv.Atoi(port)
	switch {
	case isAddress(host):
		r.wrong(v, example, "expected a host name, not an address; what no host takes goes to the defaultBackend of the file")
	case host == "" || host == "*":
		r.wrong(v, example, "expected a host name, not %s; what no host takes goes to the defaultBackend of the file", quote(s))
	case found && err == nil:
		r.wrong(v, example, "expected a host name without a port, not %s", quote(s))
	case strings.HasSuffix(host, "."):
		r.wrong(v, example, "expected a host name without a dot at its end, not %s", quote(s))
	case len(host) > maxHost || !hostPattern.MatchString(host):
		r.wrong(v, example, "expected a host name such as portal.example.com, or *.example.com for every name one label below, not %s", quote(s))
	default:
		return host, true
	}
	return "", false
}

// prefix reads a path that requests are matched by, element by element.
func (r *reader) prefix(v value, example string) (string, bool) {
	var path string
	if !r.requestPath(v, &path, example) {
		return "", false
	}
	if path == "/" {
		return path, true
	}
	path = strings.TrimSuffix(path, "/")
	for _, bad := range []string{"//", "/./", "/../", "?", "#"} {
		if strings.Contains(path+"/", bad) {
			r.wrong(v, example, "expected a path without %s in it, not %s", strconv.Quote(bad), quote(path))
			return "", false
		}
	}
	return path, true
}

// requestPath reads what a GET can ask for.
func (r *reader) requestPath(v value, into *string, example string) bool {
	s, ok := r.text(v, example)
	if !ok {
		return false
	}
	switch {
	case !strings.HasPrefix(s, "/"):
		r.wrong(v, example, "expected a path that begins with /, not %s", quote(s))
	case len(s) > maxURLPath:
		r.wrong(v, example, "expected a path of at most %d bytes, not %d", maxURLPath, len(s))
	case !urlPath.MatchString(s):
		r.wrong(v, example, "expected a path as requests carry it, without spaces and with other letters percent-encoded (ü is %%C3%%BC), not %s", quote(s))
	default:
		*into = s
		return true
	}
	return false
}
