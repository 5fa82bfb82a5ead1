package service

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/landfall-edge/landfall/internal/source/kube/annotation"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// mostPorts is how many front ports one Service can have.
const mostPorts = 1000

// front is a port on the VIP and the Service's port behind it.
type front struct {
	port    uint16
	service *corev1.ServicePort
}

// fronts are the front ports that a Service asks for, each once.
func fronts(svc *corev1.Service, f *object.Findings) []front {
	if text, there := svc.Annotations[annotation.Ports]; there {
		return writtenPorts(svc, text, f)
	}
	var out []front
	taken := make(map[int32]bool)
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		field := fmt.Sprintf("spec.ports[%d]", i)
		switch {
		case !servable(p, field, f):
		case taken[p.Port]:
			f.Add(field+".port", "DuplicatePort", "the first of them",
				fmt.Sprintf("port %d is there twice; a TCP port can be there once", p.Port))
		case len(out) == mostPorts:
			f.Add("spec.ports", "TooMany", tooManyAccepted, fmt.Sprintf("%d ports, and an edge serves at most %d of one Service; split it", len(svc.Spec.Ports), mostPorts))
			return out
		default:
			taken[p.Port] = true
			out = append(out, front{port: uint16(p.Port), service: p})
		}
	}
	return out
}

const tooManyAccepted = "the first 1000"

// servable reports whether a port can be served by TCP; if not it says so.
func servable(p *corev1.ServicePort, field string, f *object.Findings) bool {
	switch {
	case object.IsTCP(p):
		return true
	case p.Protocol == "" || p.Protocol == corev1.ProtocolTCP:
		f.Add(field+".port", "BadPort", "its other ports", fmt.Sprintf("%d is no port; write 1 to 65535", p.Port))
	case p.Protocol == corev1.ProtocolUDP:
		f.Add(field+".protocol", "ProtocolNotServed", "its TCP ports",
			"port "+object.PortName(p)+" is UDP, which this version does not serve: an engine for it comes later; until then let clients use the node port, or a machine's own address")
	default:
		f.Add(field+".protocol", "ProtocolNotServed", "its TCP ports",
			"port "+object.PortName(p)+" speaks "+object.Quote(string(p.Protocol))+", which is not served; serve it by TCP, or let clients use the node port")
	}
	return false
}

// writtenPorts reads landfall.dev/ports: "443:https,8080". An entry that cannot be
// read is left out with a finding, and the others count.
func writtenPorts(svc *corev1.Service, text string, f *object.Findings) []front {
	field := object.AnnotationField(annotation.Ports)
	var out []front
	taken := make(map[uint16]bool)
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		port, service, why := readEntry(svc, entry)
		if why != "" {
			f.Add(field, "BadAnnotation", "its other ports", object.Quote(entry)+": "+why)
			continue
		}
		i := findPort(svc, service)
		switch {
		case i < 0:
			f.Add(field, "PortMissing", "its other ports", object.Quote(entry)+": the Service has no port "+object.Quote(service)+
				"; "+object.HavePorts(svc)+", written as front port:service port, for example \"443:https\"")
		case !servable(&svc.Spec.Ports[i], fmt.Sprintf("spec.ports[%d]", i), f):
		case taken[port]:
			f.Add(field, "DuplicatePort", "the first entry", fmt.Sprintf("%s: front port %d is there twice; a front port leads to one port of the Service", object.Quote(entry), port))
		case len(out) == mostPorts:
			f.Add(field, "TooMany", tooManyAccepted, fmt.Sprintf("an edge serves at most %d ports of one Service; split it", mostPorts))
			return out
		default:
			taken[port] = true
			out = append(out, front{port: port, service: object.TCPPort(svc, svc.Spec.Ports[i].Port)})
		}
	}
	return out
}

// readEntry splits one entry of landfall.dev/ports, or says why it cannot.
func readEntry(svc *corev1.Service, entry string) (port uint16, service, why string) {
	left, service, named := strings.Cut(entry, ":")
	left, service = strings.TrimSpace(left), strings.TrimSpace(service)
	n, err := strconv.ParseUint(left, 10, 16)
	switch {
	case entry == "":
		return 0, "", `an empty entry; write front ports separated by commas, for example "443:https,8080"`
	case err != nil || n == 0:
		why = `a front port is a number from 1 to 65535, for example "443:https" for the Service's port named https, or "8080"`
		if findPort(svc, left) >= 0 {
			why = fmt.Sprintf(`this names a port of the Service; put the front port before it, for example "443:%s"`, object.Plain(left))
		}
		return 0, "", why
	case named && service == "":
		return 0, "", `the Service's port is missing behind ":"; write its name or number, for example "443:https"`
	case !named:
		return uint16(n), left, ""
	}
	return uint16(n), service, ""
}

// findPort is the index of a Service's port by name, else by number; a TCP port
// comes before one of another protocol. It is -1 if there is none.
func findPort(svc *corev1.Service, want string) int {
	found := -1
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if p.Name == want && want != "" {
			return i
		}
		if strconv.Itoa(int(p.Port)) == want && (found < 0 || !object.IsTCP(&svc.Spec.Ports[found])) {
			found = i
		}
	}
	return found
}
