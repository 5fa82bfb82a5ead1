// Package file turns the static services of an edge's file into a
// model.Fragment. It is pure.
package file

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/spec"
)

// kind of the objects that static services are, for their Origin.
const kind = "Service"

// BackendName is the name of the Backend of an HTTP service, given as the
// defaultBackend of an edge's file gives it: "<source>/<name>". It is empty for "".
func BackendName(ref string) string {
	if ref == "" {
		return ""
	}
	return ref + "/http"
}

// Fragment is what the services of a source ask for. They were written by the
// operator of the edge, so they may lie on its loopback addresses.
func Fragment(sourceName string, services []spec.Service) model.Fragment {
	f := model.Fragment{Source: sourceName}
	for i, service := range services {
		origin := model.Origin{Source: sourceName, Kind: kind, Name: service.Name}
		backend, findings := newBackend(origin, service, "services["+strconv.Itoa(i)+"]")
		f.Backends = append(f.Backends, backend)
		f.Findings = append(f.Findings, findings...)
		if part := newPart(origin, service, backend.Name); part != nil {
			f.Parts = append(f.Parts, part)
		}
	}
	slices.SortFunc(f.Parts, func(a, b *model.Part) int { return strings.Compare(a.Origin.Key(), b.Origin.Key()) })
	slices.SortFunc(f.Backends, func(a, b *model.Backend) int { return strings.Compare(a.Name, b.Name) })
	return f
}

// newPart is what leads to a service, or nil if only the edge's file does.
func newPart(origin model.Origin, service spec.Service, backend string) *model.Part {
	to := []model.WeightedBackend{{Name: backend, Weight: 1}}
	name := origin.Source + "/" + origin.Name + "/"
	part := &model.Part{Origin: origin}
	if service.Port != 0 {
		name += strconv.Itoa(int(service.Port))
		part.Listeners = []*model.Listener{{Name: name, Origin: origin, Port: service.Port, Protocol: model.TCP}}
		part.Routes = []*model.Route{{Name: name, Origin: origin, Listener: name, Backends: to}}
		return part
	}
	for _, host := range service.Hosts {
		for _, path := range service.Paths {
			part.Routes = append(part.Routes, &model.Route{
				Name: name + host + path, Origin: origin,
				Match: model.Match{Host: host, Path: path}, Backends: to,
			})
		}
	}
	if len(part.Routes) == 0 {
		return nil
	}
	slices.SortFunc(part.Routes, func(a, b *model.Route) int { return strings.Compare(a.Name, b.Name) })
	return part
}

func newBackend(origin model.Origin, service spec.Service, field string) (*model.Backend, []model.Finding) {
	ref := origin.Source + "/" + origin.Name
	b := &model.Backend{Name: BackendName(ref), Origin: origin, Protocol: model.HTTP, Check: &model.Check{HTTP: service.Check.HTTP}}
	if service.Port != 0 {
		b.Name, b.Protocol = ref, model.TCP
	}
	if service.Balance != model.Balances[0] { // which is what none means
		b.Balance = service.Balance
	}
	var findings []model.Finding
	for i, address := range service.Endpoints {
		if why := source.EndpointRefusal(address.Addr(), true); why != "" {
			findings = append(findings, model.Finding{
				Origin: origin, Field: field + ".endpoints[" + strconv.Itoa(i) + "]", Reason: "AddressRefused",
				Message: fmt.Sprintf("%s cannot be an endpoint: %s; write an address that the edge can connect to, such as 198.51.100.7:8080", address, why),
			})
			continue
		}
		b.Endpoints = append(b.Endpoints, model.Endpoint{Address: address})
	}
	slices.SortFunc(b.Endpoints, func(x, y model.Endpoint) int {
		return cmp.Or(x.Address.Addr().Compare(y.Address.Addr()), cmp.Compare(x.Address.Port(), y.Address.Port()))
	})
	if len(b.Endpoints) > 0 {
		for i := range findings {
			findings[i].Accepted = "its other endpoints"
		}
	}
	return b, findings
}
