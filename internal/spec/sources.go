package spec

import (
	"maps"
	"slices"
	"strings"
)

// kinds of a source, as the file spells them.
const (
	kindKubernetes = "kubernetes"
	kindManifests  = "manifests"
	kindServices   = "services"
	kindPhoneHome  = "phoneHome"
)

const kindsOfSource = kindKubernetes + ", " + kindManifests + ", " + kindServices + " or " + kindPhoneHome

func (r *reader) sources(v value, into *[]Source) {
	const example = "sources: [{name: home, kubernetes: {}}]"
	names := unique{}
	r.list(v, example, func(_ int, v value) {
		var source Source
		var name, services value
		var kinds []string
		kind := func(k string) { kinds = append(kinds, k) }
		object := r.object(v, example, fields{
			"name":         func(v value) { name = v; r.label(v, &source.Name, "name: home") },
			kindKubernetes: func(v value) { kind(kindKubernetes); source.Kubernetes = r.kubernetes(v) },
			kindManifests:  func(v value) { kind(kindManifests); source.Manifests = r.manifests(v) },
			kindServices:   func(v value) { kind(kindServices); services = v },
			kindPhoneHome:  func(v value) { kind(kindPhoneHome); source.PhoneHome = r.phoneHome(v) },
		})
		if !object {
			return
		}
		r.required(v, name, "name", "name: home")
		r.once(name, names, source.Name)
		// Read last, as their names begin with the source's.
		source.Services = r.services(services, source.Name)
		switch {
		case len(kinds) == 0:
			r.wrong(v, example, "a source is one of %s, and this one is none", kindsOfSource)
		case len(kinds) > 1:
			r.wrong(v, example, "a source is only one of %s, and this one is %s; make a source of each", kindsOfSource, strings.Join(kinds, " and "))
		}
		*into = append(*into, source)
	})
}

func (r *reader) kubernetes(v value) *Kubernetes {
	into := &Kubernetes{Objects: defaultObjects(ReachNodes)}
	known := r.objects(&into.Objects)
	known["kubeconfig"] = func(v value) { r.path(v, &into.Kubeconfig, "kubeconfig: /etc/landfall/home.kubeconfig") }
	r.object(v, "kubernetes: {kubeconfig: /etc/landfall/home.kubeconfig}", known)
	return into
}

func (r *reader) manifests(v value) *Manifests {
	into := &Manifests{Path: defaultManifests, Objects: defaultObjects(ReachPods)}
	known := r.objects(&into.Objects)
	known["path"] = func(v value) { r.path(v, &into.Path, "path: "+defaultManifests) }
	r.object(v, "manifests: {path: "+defaultManifests+"}", known)
	return into
}

// objects are the fields of every source of Kubernetes objects.
func (r *reader) objects(into *Objects) fields {
	return fields{
		"expose": func(v value) {
			choice(r, v, &into.Expose, "expose: marked", ExposeMarked, ExposeNodePorts)
		},
		"unclassed": func(v value) { r.boolean(v, &into.Unclassed, "unclassed: true") },
		"reach": func(v value) {
			choice(r, v, &into.Reach, "reach: nodes", ReachNodes, ReachPods)
		},
		"probe":         func(v value) { r.probe(v, &into.Probe) },
		"allowLoopback": func(v value) { r.boolean(v, &into.AllowLoopback, "allowLoopback: true") },
	}
}

func (r *reader) probe(v value, into **Probe) {
	const example = "probe: {port: 10256, path: /healthz}, or probe: none"
	if isText(v) {
		if s := v.node.Value; s != "none" {
			r.wrong(v, example, "expected none or an object with port and path, not %s%s", quote(s), didYouMean(s, []string{"none"}))
			return
		}
		*into = nil
		return
	}
	r.object(v, example, fields{
		"port": func(v value) { r.port(v, 1, &(*into).Port, "port: 10256") },
		"path": func(v value) { r.requestPath(v, &(*into).Path, "path: /healthz") },
	})
}

// placed is a static service and where it stands. Whether it may do without hosts
// and port is known only when the whole file has been read.
type placed struct {
	at value
	// claims is whether it has hosts or a port, right or wrong; tcp, a port.
	claims, tcp bool
}

// defaultBackend checks the reference, and that every other service is reached
// by something.
func (r *reader) defaultBackend(v value, into *string) {
	const example = "defaultBackend: legacy/portal"
	ref, ok := r.text(v, example)
	if ok {
		service, exists := r.static[ref]
		switch {
		case !exists:
			r.wrong(v, example, "expected <source>/<name> of a static service of this file, not %s%s",
				quote(ref), didYouMean(ref, slices.Sorted(maps.Keys(r.static))))
		case service.tcp:
			r.wrong(v, example, "%s has a port of its own and so speaks TCP, and a default backend speaks HTTP; remove its port, or name another service", ref)
		default:
			*into = ref
		}
	}
	for name, service := range r.static {
		if !service.claims && name != ref {
			r.wrong(service.at, `hosts: ["portal.example.com"], or port: 5432`,
				"nothing leads to this service; give it hosts (HTTP) or a port (TCP), or make it the defaultBackend of the file")
		}
	}
}
