package spec

import "net/netip"

// balances as the file spells them.
const (
	balanceRoundRobin = "roundrobin"
	balanceLeastConn  = "leastconn"
	balanceRandom     = "random"
	balanceSource     = "source"
)

func (r *reader) services(v value, source string) []Service {
	const example = `services: [{name: portal, hosts: ["portal.example.com"], endpoints: ["198.51.100.7:8080"]}]`
	var services []Service
	names := unique{}
	r.list(v, example, func(_ int, v value) {
		service := Service{Balance: balanceRoundRobin}
		if name, place, ok := r.service(v, &service, example); ok {
			if r.required(v, name, "name", "name: portal") && r.once(name, names, service.Name) {
				r.static[source+"/"+service.Name] = place
			}
			services = append(services, service)
		}
	})
	return services
}

func (r *reader) service(v value, service *Service, example string) (name value, place placed, ok bool) {
	var hosts, paths, port, endpoints value
	portOK := true
	ok = r.object(v, example, fields{
		"name":  func(v value) { name = v; r.label(v, &service.Name, "name: portal") },
		"hosts": func(v value) { hosts = v; r.hosts(v, &service.Hosts) },
		"paths": func(v value) { paths = v; r.paths(v, &service.Paths) },
		"port": func(v value) {
			port = v
			portOK = r.port(v, 0, &service.Port, "port: 5432") || v.absent()
		},
		"endpoints": func(v value) {
			endpoints = v
			r.endpoints(v, &service.Endpoints)
		},
		"check": func(v value) { r.check(v, &service.Check) },
		"balance": func(v value) {
			choice(r, v, &service.Balance, "balance: roundrobin", balanceRoundRobin, balanceLeastConn, balanceRandom, balanceSource)
		},
	})
	if !ok {
		return name, place, false
	}
	if r.required(v, endpoints, "endpoints", endpointsExample) && endpoints.elements() == 0 {
		r.wrong(endpoints, endpointsExample, "expected at least one endpoint")
	}
	tcp := service.Port != 0
	place = placed{at: v, tcp: tcp, claims: hosts.elements() != 0 || tcp || !portOK}
	switch {
	case tcp && hosts.elements() != 0:
		r.wrong(port, `hosts: ["portal.example.com"], or port: 5432`, "a service has hosts (HTTP) or a port of its own (TCP), not both; remove one, or make two services")
	case paths.elements() != 0 && hosts.elements() == 0:
		r.wrong(paths, `hosts: ["portal.example.com"]`, "paths count only on hosts; add hosts, or remove the paths")
	case len(service.Hosts) > 0 && len(service.Paths) == 0:
		service.Paths = []string{"/"}
	}
	return name, place, true
}

const endpointsExample = `endpoints: ["198.51.100.7:8080"]`

func (r *reader) endpoints(v value, into *[]netip.AddrPort) {
	seen := unique{}
	r.list(v, endpointsExample, func(_ int, v value) {
		if endpoint, ok := r.endpoint(v, endpointsExample); ok && r.once(v, seen, endpoint.String()) {
			*into = append(*into, endpoint)
		}
	})
}

func (r *reader) hosts(v value, into *[]string) {
	const example = `hosts: ["portal.example.com", "*.example.com"]`
	seen := unique{}
	r.list(v, example, func(_ int, v value) {
		if host, ok := r.host(v, example); ok && r.once(v, seen, host) {
			*into = append(*into, host)
		}
	})
}

func (r *reader) paths(v value, into *[]string) {
	const example = `paths: ["/", "/shop"]`
	seen := unique{}
	r.list(v, example, func(_ int, v value) {
		if path, ok := r.prefix(v, example); ok && r.once(v, seen, path) {
			*into = append(*into, path)
		}
	})
}

func (r *reader) check(v value, into *Check) {
	const example = "check: {http: /health}, or check: tcp"
	if isText(v) {
		if s := v.node.Value; s != "tcp" {
			r.wrong(v, example, "expected tcp or an object with http, not %s%s", quote(s), didYouMean(s, []string{"tcp"}))
		}
		return
	}
	r.object(v, example, fields{
		"http": func(v value) { r.requestPath(v, &into.HTTP, "http: /health") },
	})
}
