// Package object names Kubernetes objects the way the rest of Landfall does, and
// collects what is found wrong with one of them. It is pure.
package object

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/landfall-edge/landfall/internal/model"
)

// Controller is what an IngressClass names in spec.controller, and a Service in
// spec.loadBalancerClass, to be served by an edge.
const Controller = "landfall.dev/edge"

// The kinds that findings and parts name.
const (
	Service = "Service"
	Ingress = "Ingress"
	Node    = "Node"
)

// Key is the namespace and name of an object.
type Key struct{ Namespace, Name string }

// KeyOf is the key of a namespaced object. As with kubectl, no namespace means
// "default": a manifest in a folder need not name one.
func KeyOf(o metav1.Object) Key {
	return Key{Namespace: cmp.Or(o.GetNamespace(), metav1.NamespaceDefault), Name: o.GetName()}
}

// String is the key as a person would name the object: "web/shop".
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// Compare orders keys by namespace, then name.
func (k Key) Compare(o Key) int {
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name))
}

// Origin is the model's word for the object with this key.
func Origin(source, kind string, key Key, o metav1.Object) model.Origin {
	return model.Origin{
		Source: source, Kind: kind, Namespace: key.Namespace, Name: key.Name,
		// The zone is dropped so that equal times are equal values.
		Created: o.GetCreationTimestamp().UTC(),
	}
}

// NameProblem says why an object of that kind cannot have that key, or "". An API
// server admits no such name, but a file can hold any: a slash in a name would
// make it another object's.
func NameProblem(kind string, k Key) string {
	const label = `lower-case letters, digits and "-", at most 63 of them`
	if k.Namespace != "" && len(validation.IsDNS1123Label(k.Namespace)) > 0 {
		return "a namespace is " + label
	}
	switch {
	case kind == Service && len(validation.IsDNS1123Label(k.Name)) > 0:
		return "the name of a Service is " + label
	case len(k.Name) > validation.DNS1123SubdomainMaxLength || len(validation.IsDNS1123Subdomain(k.Name)) > 0:
		return "the name of a " + kind + ` is lower-case letters, digits, "-" and ".", at most 253 of them`
	}
	return ""
}

// Misnamed is the finding about an object whose key NameProblem refuses. Its
// origin holds the names in quotes, which no other object's does.
func Misnamed(source, kind string, k Key, why string) model.Finding {
	o := model.Origin{Source: source, Kind: kind, Name: Quote(k.Name)}
	field := "metadata.name"
	if k.Namespace != "" {
		o.Namespace = Quote(k.Namespace)
		if strings.HasPrefix(why, "a namespace") {
			field = "metadata.namespace"
		}
	}
	return model.Finding{
		Origin: o, Field: field, Reason: "BadName",
		Message: "no API server admits this name, and neither does an edge: " + why + "; rename it",
	}
}

// most is how much of somebody's text is quoted in a message.
const most = 80

// Quote is somebody's text, fit for a message: short and without control
// characters.
func Quote(s string) string {
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// Plain is s itself if it is short and printable, else as Quote has it.
func Plain(s string) string {
	if len(s) <= most && strconv.Quote(s) == `"`+s+`"` {
		return s
	}
	return Quote(s)
}

// IsTCP reports whether a port is one that an edge can serve by TCP or HTTP.
func IsTCP(p *corev1.ServicePort) bool {
	return (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) && p.Port > 0 && p.Port <= 65535
}

// TCPPort is the port of a Service by its number, nil if it has none. Against the
// rules there may be several, of which the first counts.
func TCPPort(svc *corev1.Service, number int32) *corev1.ServicePort {
	for i := range svc.Spec.Ports {
		if p := &svc.Spec.Ports[i]; p.Port == number && IsTCP(p) {
			return p
		}
	}
	return nil
}

// PortField is the field path of one of a Service's ports.
func PortField(svc *corev1.Service, p *corev1.ServicePort) string {
	for i := range svc.Spec.Ports {
		if &svc.Spec.Ports[i] == p {
			return fmt.Sprintf("spec.ports[%d]", i)
		}
	}
	return "spec.ports"
}

// PortName is a Service's port as a person would name it: `443 ("https")`.
func PortName(p *corev1.ServicePort) string {
	n := strconv.Itoa(int(p.Port))
	if p.Name == "" {
		return n
	}
	return n + " (" + Quote(p.Name) + ")"
}

// HavePorts says which ports a Service has: `it has 80 ("http"), 443 ("https")`.
func HavePorts(svc *corev1.Service) string {
	const named = 5
	if len(svc.Spec.Ports) == 0 {
		return "it has none"
	}
	var list []string
	for i := range svc.Spec.Ports[:min(named, len(svc.Spec.Ports))] {
		list = append(list, PortName(&svc.Spec.Ports[i]))
	}
	s := "it has " + strings.Join(list, ", ")
	if more := len(svc.Spec.Ports) - named; more > 0 {
		s += " and " + strconv.Itoa(more) + " more"
	}
	return s
}
