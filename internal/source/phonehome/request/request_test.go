package request_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
	"github.com/landfall-edge/landfall/internal/source/phonehome/request"
)

func TestDecodeOld(t *testing.T) {
	const good = `{"dst-ip":"203.0.113.7","frontend-port":"8443","backend-port":"30843","action":"add","name":"unifi"`
	want := request.Old{Action: "add", Name: "unifi", Address: netip.MustParseAddr("203.0.113.7"), Front: 8443, Target: 30843}
	with := func(change func(*request.Old)) request.Old {
		w := want
		change(&w)
		return w
	}
	tests := []struct {
		name, body string
		want       request.Old
		err        string
	}{
		{"as the container sends it", good + `,"send-proxy":""}`, want, ""},
		{"without send-proxy", good + `}`, want, ""},
		{"with a version of the PROXY protocol", good + `,"send-proxy":"send-proxy-v2"}`, with(func(o *request.Old) { o.SendProxy = 2 }), ""},
		{"with a plain PROXY protocol", good + `,"send-proxy":"true"}`, with(func(o *request.Old) { o.SendProxy = 1 }), ""},
		{"numbers", strings.NewReplacer(`"8443"`, `8443`, `"30843"`, `30843`).Replace(good) + `}`, want, ""},
		{"no address", strings.Replace(good, "203.0.113.7", "", 1) + `}`, with(func(o *request.Old) { o.Address = netip.Addr{} }), ""},
		{"IPv6", strings.Replace(good, "203.0.113.7", "2001:db8::7", 1) + `}`, with(func(o *request.Old) { o.Address = netip.MustParseAddr("2001:db8::7") }), ""},
		{"no name", strings.Replace(good, "unifi", "", 1) + `}`, with(func(o *request.Old) { o.Name = "port-8443" }), ""},
		{"a name with slashes, quotes and newlines", strings.Replace(good, "unifi", `/a/\"b\"\nc'`, 1) + `}`, with(func(o *request.Old) { o.Name = "a-b-c" }), ""},
		{"a name of 10 kB", strings.Replace(good, "unifi", strings.Repeat("x", 10_000), 1) + `}`, request.Old{}, "the name has 10000 bytes"},
		{"an address that is a name", strings.Replace(good, "203.0.113.7", "node.example.com", 1) + `}`, request.Old{}, "it must be an IP address"},
		{"an address with a zone", strings.Replace(good, "203.0.113.7", "fe80::1%eth0", 1) + `}`, request.Old{}, "it must be an IP address"},
		{"port zero", strings.Replace(good, "8443", "0", 1) + `}`, request.Old{}, "frontend-port is \"0\""},
		{"port 70000", strings.Replace(good, "30843", "70000", 1) + `}`, request.Old{}, "backend-port is \"70000\""},
		{"a port that is a path", strings.Replace(good, "8443", "../../etc/passwd", 1) + `}`, request.Old{}, "frontend-port"},
		{"an unknown action", strings.Replace(good, `"add"`, `"replace"`, 1) + `}`, request.Old{}, "the action is \"replace\""},
		{"no action", strings.Replace(good, `"add"`, `""`, 1) + `}`, request.Old{}, "the action is \"\""},
		{"a quote that breaks the body", strings.Replace(good, "unifi", `un"ifi`, 1) + `}`, request.Old{}, "not a JSON object"},
		{"nothing", "", request.Old{}, "not a JSON object"},
		{"deep", strings.Repeat("[", 60_000), request.Old{}, "not a JSON object"},
		{"an object for a value", strings.Replace(good, `"unifi"`, `{}`, 1) + `}`, request.Old{}, "not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := request.DecodeOld([]byte(tt.body))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || len(err.Error()) > 300 {
					t.Errorf("got %+v, %v; want an error with %q", got, err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestDecodeOwn(t *testing.T) {
	call, problems := request.DecodeOwn([]byte(`{
	  "address": "203.0.113.7", "intervalSeconds": 30,
	  "ports": [
	    {"port": 8443, "targetPort": 30843, "protocol": "tcp", "sendProxy": 2, "weight": 3, "check": {"tcp": true}},
	    {"protocol": "http", "hosts": ["B.example.com", "a.example.com", "b.example.com"], "paths": ["/x/", "/"], "targetPort": 30080, "check": {"http": "/healthz"}},
	    {"protocol": "tls", "hosts": ["c.example.com"], "targetPort": 30443}
	  ]}`))
	if problems != nil {
		t.Fatal(problems)
	}
	if call.Lease != 90*time.Second || call.Interval != 30*time.Second || call.Address != netip.MustParseAddr("203.0.113.7") || len(call.Ports) != 3 {
		t.Errorf("got %+v", call)
	}
	if p := call.Ports[0]; p.Front != 8443 || p.Target != 30843 || p.SendProxy != 2 || p.Weight != 3 || p.Protocol != model.TCP {
		t.Errorf("got %+v", p)
	}
	if p := call.Ports[1]; strings.Join(p.Hosts, " ") != "a.example.com b.example.com" || strings.Join(p.Paths, " ") != "/ /x" || p.CheckPath != "/healthz" {
		t.Errorf("got %+v", p)
	}
}

func TestDecodeOwnRefuses(t *testing.T) {
	ports := func(ports string) string { return `{"ports":[` + ports + `]}` }
	tests := []struct{ name, body, pointer, detail string }{
		{"not JSON", `{"ports":`, "", "not the JSON object"},
		{"nothing", "", "", "not the JSON object"},
		{"another type", `[]`, "", "not the JSON object"},
		{"deep", strings.Repeat(`{"ports":`, 6000), "", "not the JSON object"},
		{"too long", strings.Repeat(" ", request.MaxBody+1), "", "more than 65536 bytes"},
		{"something behind", ports(`{"port":1,"targetPort":1}`) + `{}`, "", "not the JSON object"},
		{"unknown field", `{"port":8443}`, "", `unknown field "port"`},
		{"the case of a field", `{"Ports":[]}`, "", `unknown field "Ports"`},
		{"a field twice", `{"address":"203.0.113.7","address":"203.0.113.8"}`, "", `duplicate field "address"`},
		{"no ports", `{}`, "/ports", "at least one port"},
		{"many ports", ports(strings.Repeat(`{"port":1,"targetPort":1},`, 64) + `{"port":1,"targetPort":1}`), "/ports", "there may be 64"},
		{"a port as text", ports(`{"port":"8443","targetPort":1}`), "", "not the JSON object"},
		{"port zero", ports(`{"port":0,"targetPort":1}`), "/ports/0/port", "from 1 to 65535, not 0"},
		{"port 70000", ports(`{"port":1,"targetPort":70000}`), "/ports/0/targetPort", "not 70000"},
		{"no target", ports(`{"port":1}`), "/ports/0/targetPort", "missing"},
		{"no front port", ports(`{"targetPort":1}`), "/ports/0/port", "missing"},
		{"a front port of HTTP", ports(`{"protocol":"http","hosts":["a"],"port":80,"targetPort":1}`), "/ports/0/port", "shared port"},
		{"HTTP without hosts", ports(`{"protocol":"http","targetPort":1}`), "/ports/0/hosts", "at least one host"},
		{"TCP with hosts", ports(`{"port":1,"hosts":["a"],"targetPort":1}`), "/ports/0/hosts", "TCP has no hosts"},
		{"a host that is an address", ports(`{"protocol":"http","hosts":["192.0.2.1"],"targetPort":1}`), "/ports/0/hosts/0", "host name"},
		{"a host with a quote", ports(`{"protocol":"tls","hosts":["a\"\nb"],"targetPort":1}`), "/ports/0/hosts/0", `"a\"\nb"`},
		{"a path with a space", ports(`{"protocol":"http","hosts":["a"],"paths":["/a b"],"targetPort":1}`), "/ports/0/paths/0", "path"},
		{"a path without a slash", ports(`{"protocol":"http","hosts":["a"],"paths":["a"],"targetPort":1}`), "/ports/0/paths/0", "path"},
		{"paths of TLS", ports(`{"protocol":"tls","hosts":["a"],"paths":["/"],"targetPort":1}`), "/ports/0/paths", "only the protocol http"},
		{"another protocol", ports(`{"protocol":"udp","port":1,"targetPort":1}`), "/ports/0/protocol", `not "udp"`},
		{"PROXY version 3", ports(`{"port":1,"targetPort":1,"sendProxy":3}`), "/ports/0/sendProxy", "0, 1 or 2"},
		{"no weight", ports(`{"port":1,"targetPort":1,"weight":0}`), "/ports/0/weight", "from 1 to 256"},
		{"two checks", ports(`{"port":1,"targetPort":1,"check":{"tcp":true,"http":"/"}}`), "/ports/0/check", "remove one"},
		{"a check with a newline", ports(`{"port":1,"targetPort":1,"check":{"http":"/\n"}}`), "/ports/0/check/http", "a path"},
		{"the same port twice", ports(`{"port":1,"targetPort":1},{"port":1,"targetPort":2}`), "/ports/1", "the same as /ports/0"},
		{"an address that is a name", `{"address":"node","ports":[{"port":1,"targetPort":1}]}`, "/address", `"node"`},
		{"a short lease", `{"leaseSeconds":9,"ports":[{"port":1,"targetPort":1}]}`, "/leaseSeconds", "from 10 to 86400"},
		{"no interval", `{"intervalSeconds":0,"ports":[{"port":1,"targetPort":1}]}`, "/intervalSeconds", "from 1 to"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := request.DecodeOwn([]byte(tt.body))
			for _, p := range problems {
				if p.Pointer == tt.pointer && strings.Contains(p.Detail, tt.detail) {
					return
				}
			}
			t.Errorf("got %q; want %q at %q", problems, tt.detail, tt.pointer)
		})
	}
}

// FuzzOldForm wants what can be served, or an error of bounded length.
func FuzzOldForm(f *testing.F) {
	f.Add([]byte(`{"dst-ip":"203.0.113.7","frontend-port":"8443","backend-port":"30843","action":"add","name":"a/\"b\"","send-proxy":"x"}`))
	f.Add([]byte(`{"action":"delete","frontend-port":1}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := request.DecodeOld(body)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if why := request.CheckName(got.Name); why != "" {
			t.Error(why)
		}
		if got.Front == 0 || got.Action == request.Add && got.Target == 0 || got.Address.Zone() != "" || got.SendProxy < 0 || got.SendProxy > 2 {
			t.Errorf("got %+v", got)
		}
	})
}

// FuzzOwnForm wants what can be served, or problems of bounded length; what can be
// served makes a fragment.
func FuzzOwnForm(f *testing.F) {
	f.Add([]byte(`{"address":"203.0.113.7","ports":[{"port":1,"targetPort":2},{"protocol":"http","hosts":["a"],"paths":["/x"],"targetPort":2}]}`))
	f.Add([]byte(`{"leaseSeconds":10,"ports":[{"protocol":"tls","hosts":["*.a"],"targetPort":2,"check":{"http":"/"}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		call, problems := request.DecodeOwn(body)
		for _, p := range problems {
			if len(p.Detail) > 1000 || p.Detail == "" {
				t.Errorf("a problem of %d bytes", len(p.Detail))
			}
		}
		if len(problems) > 0 {
			return
		}
		call.Client, call.Name = "a", "b"
		if !call.Address.IsValid() {
			call.Address = netip.MustParseAddr("203.0.113.7")
		}
		now := time.Unix(1_800_000_000, 0)
		r := registry.New("homes")
		r.Put(now, call)
		names := map[string]bool{}
		for _, b := range r.Fragment(now).Backends {
			if names[b.Name] || len(b.Endpoints) != 1 || b.Endpoints[0].Address.Port() == 0 {
				t.Errorf("backend %+v", b)
			}
			names[b.Name] = true
		}
		if call.Lease < registry.MinLease || call.Lease > registry.MaxLease {
			t.Errorf("a lease of %s", call.Lease)
		}
	})
}
