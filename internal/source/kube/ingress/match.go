package ingress

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// cleanHost is a rule's host as a request has it, or why it cannot be one.
func cleanHost(host string) (string, string) {
	if host == "" {
		return "", ""
	}
	if len(host) > validation.DNS1123SubdomainMaxLength {
		return "", "it is longer than a name in DNS can be (253 characters)"
	}
	host = strings.ToLower(host)
	switch {
	case host == "*":
		return "", "leave host out to take every host, or write a wildcard such as *.example.com"
	case strings.HasPrefix(host, "*."):
		if len(validation.IsWildcardDNS1123Subdomain(host)) > 0 {
			return "", "a wildcard stands for the whole first label and for nothing else, as in *.example.com"
		}
	case strings.Contains(host, "*"):
		return "", "a wildcard stands for the whole first label and for nothing else, as in *.example.com"
	case strings.Contains(host, ":") || isAddress(host):
		return "", "write a name in DNS such as shop.example.com, without a port; an address is none"
	case len(validation.IsDNS1123Subdomain(host)) > 0:
		return "", "write a name in DNS such as shop.example.com: letters, digits, - and ., without a dot at the end"
	}
	return host, ""
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// mostPath is how long a path can be.
const mostPath = 1024

// cleanPath is what a path matches, or why nothing can.
func cleanPath(p *networkingv1.HTTPIngressPath) (model.Match, string) {
	path := p.Path
	exact := false
	switch kind := pathType(p); kind {
	case networkingv1.PathTypeExact:
		exact = true
	case networkingv1.PathTypePrefix:
	case networkingv1.PathTypeImplementationSpecific, "":
		if path == "" {
			path = "/"
		}
	default:
		return model.Match{}, "pathType " + object.Quote(string(kind)) + " is none; write Prefix or Exact"
	}
	switch {
	case !strings.HasPrefix(path, "/"):
		return model.Match{}, `a path begins with "/", for example "/shop"`
	case len(path) > mostPath:
		return model.Match{}, fmt.Sprintf("it is longer than %d characters", mostPath)
	case strings.ContainsAny(path, "?#"):
		return model.Match{}, `a path ends before "?" and "#", and an Ingress cannot match what follows`
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f {
			return model.Match{}, "it holds a character that no request has in its path; write it percent-encoded: " +
				object.Plain((&url.URL{Path: path}).EscapedPath())
		}
	}
	if !exact {
		path = prefix(path)
	}
	return model.Match{Path: path, Exact: exact}, ""
}

// prefix drops the slash at the end: elements count, so "/foo/" means "/foo".
func prefix(path string) string {
	if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
		return trimmed
	}
	return "/"
}

func pathType(p *networkingv1.HTTPIngressPath) networkingv1.PathType {
	if p.PathType == nil {
		return ""
	}
	return *p.PathType
}

// notePathType says how a path was understood where its writer may have meant
// something else.
func (t *translation) notePathType(p *networkingv1.HTTPIngressPath, m model.Match, field string) {
	switch pathType(p) {
	case "":
		t.findings.Add(field+".pathType", "NoPathType", "the path, as Prefix", "pathType is missing, and an API server would refuse that; write pathType: Prefix")
	case networkingv1.PathTypeImplementationSpecific:
		if strings.ContainsAny(m.Path, `()[]*^$|\`) {
			t.findings.Add(field+".path", "PathTakenLiterally", "the path, as the prefix that is written there", object.Quote(p.Path)+
				" looks like a pattern; ImplementationSpecific means Prefix here, and every character stands for itself")
		}
	}
}
