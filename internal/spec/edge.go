package spec

import "net/netip"

const header = "apiVersion: " + APIVersion + ", and on the next line kind: " + Kind

func (r *reader) edge(v value, edge *Edge) {
	var apiVersion, kind, httpPort, httpsPort, defaultBackend value
	object := r.object(v, header, fields{
		"apiVersion":     func(v value) { apiVersion = v },
		"kind":           func(v value) { kind = v },
		"name":           func(v value) { r.edgeName(v, &edge.Name) },
		"stateDir":       func(v value) { r.path(v, &edge.StateDir, "stateDir: "+defaultStateDir) },
		"vips":           func(v value) { r.vips(v, &edge.VIPs) },
		"http":           func(v value) { httpPort = r.front(v, &edge.HTTP, "http: {port: 80}") },
		"https":          func(v value) { httpsPort = r.front(v, &edge.HTTPS, "https: {port: 443}") },
		"defaultBackend": func(v value) { defaultBackend = v },
		"sources":        func(v value) { r.sources(v, &edge.Sources) },
		"guard":          func(v value) { r.guard(v, &edge.Guard) },
		"haproxy":        func(v value) { r.haproxy(v, &edge.HAProxy) },
		"admin":          func(v value) { r.admin(v, &edge.Admin) },
	})
	if !object {
		return
	}
	r.constant(v, apiVersion, "apiVersion", APIVersion)
	r.constant(v, kind, "kind", Kind)
	if p := edge.HTTP.Port; p != 0 && p == edge.HTTPS.Port {
		at := httpsPort
		if at.absent() {
			at = httpPort
		}
		r.wrong(at, "http: {port: 80} and https: {port: 443}",
			"http and https cannot share port %d; change one of them, or turn one off with port 0", p)
	}
	r.defaultBackend(defaultBackend, &edge.DefaultBackend)
}

// constant reads a field that can have one value only.
func (r *reader) constant(object, v value, name, want string) {
	example := name + ": " + want
	if !r.required(object, v, name, example) {
		return
	}
	if s, ok := r.text(v, example); ok && s != want {
		r.wrong(v, example, "expected %s, not %s", want, quote(s))
	}
}

// front returns where the port stands.
func (r *reader) front(v value, front *Front, example string) (at value) {
	r.object(v, example, fields{
		"port": func(v value) {
			at = v
			r.port(v, 0, &front.Port, example)
		},
	})
	return at
}

func (r *reader) vips(v value, into *[]VIP) {
	const example = `vips: [{name: main, addresses: ["192.0.2.10"]}]`
	var vips []VIP
	names, addresses := unique{}, unique{}
	r.list(v, example, func(_ int, element value) {
		var vip VIP
		var name, addrs value
		object := r.object(element, example, fields{
			"name":      func(v value) { name = v; r.label(v, &vip.Name, "name: main") },
			"addresses": func(v value) { addrs = v; r.addresses(v, &vip.Addresses, addresses) },
		})
		if !object {
			return
		}
		r.required(element, name, "name", "name: main")
		r.once(name, names, vip.Name)
		if addrs.elements() == 0 && len(v.node.Content) > 1 {
			r.wrong(element, example, "a VIP without addresses means every address of the machine, and must be the only VIP; give this one its addresses")
		}
		vips = append(vips, vip)
	})
	if len(vips) > 0 {
		*into = vips
	}
}

func (r *reader) addresses(v value, into *[]netip.Addr, seen unique) {
	const example = `addresses: ["192.0.2.10", "2001:db8::10"]`
	r.list(v, example, func(_ int, v value) {
		if addr, ok := r.address(v, example); ok && r.once(v, seen, addr.String()) {
			*into = append(*into, addr)
		}
	})
}

func (r *reader) haproxy(v value, into *HAProxy) {
	seen := unique{}
	r.object(v, "haproxy: {binary: haproxy}", fields{
		"binary": func(v value) { r.binary(v, &into.Binary) },
		"extra": func(v value) {
			const example = "extra: [/etc/haproxy/own.cfg]"
			r.list(v, example, func(_ int, v value) {
				var file string
				if r.path(v, &file, example) && r.once(v, seen, file) {
					into.Extra = append(into.Extra, file)
				}
			})
		},
		"spareBackends": func(v value) {
			if n, ok := r.number(v, 0, maxSpareBackends, "spareBackends: 64"); ok {
				into.SpareBackends = n
			}
		},
	})
}

func (r *reader) admin(v value, into *Admin) {
	r.object(v, "admin: {listen: 127.0.0.1:9180}", fields{
		"socket": func(v value) { r.socket(v, &into.Socket, "socket: "+defaultSocket) },
		"listen": func(v value) { r.listen(v, &into.Listen, "listen: "+defaultListen) },
	})
}
