package haproxy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// TestShapesStay: a build that gives another shape to what an earlier one has loaded
// makes each upgrade a reload of everything.
func TestShapesStay(t *testing.T) {
	t.Parallel()
	s := Settings{Dir: "/var/lib/landfall/haproxy", RunDir: "/run/landfall", User: "haproxy", OpenFiles: 1024, OKPort: 9181, IPv6: true}
	web := &model.Listener{Name: "main/http", Port: 80, Protocol: model.HTTP}
	raw := &model.Listener{
		Name: "home/a/b/1", Port: 1, Protocol: model.TCP,
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, SourceRanges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	route := &model.Route{Backends: []model.WeightedBackend{{Name: "home/a/b/1"}}}
	for _, c := range []struct{ what, got, want string }{
		{"global", globalShape(s, ""), "1vv4q66tri0uw"},
		{"global with an extra file", globalShape(s, "defaults x\n"), "2e2amkae18r3u"},
		{"HTTP listener", s.listenerShape(web, nil), "1expwc5yrs4fd"},
		{"TCP listener", s.listenerShape(raw, route), "2mgr4h33ia087"},
		{"plain backend", backendShape(&model.Backend{Name: "x", Protocol: model.HTTP}), "4wh4ijxo4gth"},
		{"plain backend, balance said", backendShape(&model.Backend{Protocol: model.HTTPS, Balance: "roundrobin"}), "4wh4ijxo4gth"},
		{"picky backend", backendShape(&model.Backend{
			Protocol: model.TCP, Balance: "source", Affinity: time.Hour, Check: &model.Check{HTTP: "/"},
		}), "o51azflqhy8h"},
	} {
		if c.got != c.want {
			t.Errorf("%s has the shape %s, and had %s", c.what, c.got, c.want)
		}
	}
}
