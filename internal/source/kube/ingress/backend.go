package ingress

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/endpoints"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// BackendName is the name of the Backend of a Service's port when it is served by
// HTTP.
func BackendName(source string, r Ref) string {
	return source + "/" + r.Service.Namespace + "/" + r.Service.Name + "/" + strconv.Itoa(int(r.Port)) + "/http"
}

// resolve finds what a backend names. Where that is not there it returns none, and
// the route takes its requests and answers 503: they are not for anybody else.
func (t *translation) resolve(b *networkingv1.IngressBackend, field string) []model.WeightedBackend {
	if b.Service == nil {
		t.noService(b, field)
		return nil
	}
	key := object.Key{Namespace: t.key.Namespace, Name: b.Service.Name}
	if why := object.NameProblem(object.Service, key); why != "" {
		t.refuse(field+".service.name", "ServiceMissing", object.Quote(key.Name)+" cannot be the name of a Service: "+why)
		return nil
	}
	t.services[key] = true
	svc := t.opt.Service(key)
	if svc == nil {
		t.refuse(field+".service.name", "ServiceMissing",
			fmt.Sprintf("there is no Service %s; create it, or name one of namespace %s that there is", key, key.Namespace))
		return nil
	}
	port := findPort(svc, b.Service.Port)
	switch {
	case port == nil:
		t.refuse(field+".service.port", "PortMissing",
			fmt.Sprintf("Service %s has no port %s; %s", key, portText(b.Service.Port), object.HavePorts(svc)))
		return nil
	case !object.IsTCP(port):
		t.refuse(field+".service.port", "ProtocolNotServed",
			fmt.Sprintf("port %s of Service %s is not a TCP port, and HTTP needs one; name another: %s", object.PortName(port), key, object.HavePorts(svc)))
		return nil
	}
	port = object.TCPPort(svc, port.Port)
	if o := endpoints.Find(key, svc, port, t.opt.Pods); o.Reason != "" {
		t.refuse(field+".service", o.Reason, o.Message)
		return nil
	}
	ref := Ref{Service: key, Port: port.Port}
	t.refs[ref] = true
	return []model.WeightedBackend{{Name: BackendName(t.opt.Source, ref), Weight: 1}}
}

// refuse notes why a backend is not there.
func (t *translation) refuse(field, reason, message string) {
	t.findings.Add(field, reason, "the path, answered with 503", message)
}

// noService is about a backend without a Service.
func (t *translation) noService(b *networkingv1.IngressBackend, field string) {
	if b.Resource == nil {
		t.refuse(field, "ServiceMissing", "the backend names nothing; write service: {name: shop, port: {number: 80}}")
		return
	}
	t.refuse(field+".resource", "ResourceBackend", fmt.Sprintf(
		"a resource backend (%s %s) is nothing an edge can send requests to; name a Service: service: {name: shop, port: {number: 80}}",
		object.Plain(b.Resource.Kind), object.Plain(b.Resource.Name)))
}

// findPort is a Service's port by name or number, a TCP port before one of another
// protocol. A name comes first if, against the rules, there are both.
func findPort(svc *corev1.Service, want networkingv1.ServiceBackendPort) *corev1.ServicePort {
	var found *corev1.ServicePort
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		hit := p.Port == want.Number
		if want.Name != "" {
			hit = p.Name == want.Name
		}
		if hit && (found == nil || !object.IsTCP(found)) {
			found = p
		}
	}
	return found
}

// portText is a backend's port as it was written.
func portText(p networkingv1.ServiceBackendPort) string {
	if p.Name != "" {
		return object.Quote(p.Name)
	}
	return strconv.Itoa(int(p.Number))
}

// Protocol is what the pods behind a port speak, by its appProtocol; a value that
// is not known is a finding, and HTTP.
func Protocol(svc *corev1.Service, number int32, f *object.Findings) model.Protocol {
	port := object.TCPPort(svc, number)
	if port == nil || port.AppProtocol == nil {
		return model.HTTP
	}
	switch strings.ToLower(*port.AppProtocol) {
	case "", "http", "ws", "kubernetes.io/ws":
		return model.HTTP
	case "https", "wss", "kubernetes.io/wss":
		return model.HTTPS
	case "h2c", "kubernetes.io/h2c", "grpc":
		return model.H2C
	}
	f.Add(object.PortField(svc, port)+".appProtocol", "UnknownAppProtocol", "the port, as http", object.Quote(*port.AppProtocol)+
		" is no protocol that an Ingress is served with; write http, https, h2c, grpc, kubernetes.io/h2c, kubernetes.io/ws or kubernetes.io/wss")
	return model.HTTP
}
