package survival_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// TestKeptConnections: clients keep connections open over reloads, so that old
// workers still hold them while endpoints are removed, with a reload and between
// reloads. Once a removal is live, no request that is sent, over whatever
// connection, gets to the removed endpoint.
func TestKeptConnections(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	pod := testload.Serve(t, "127.0.0.1:0", "shop")
	e.site("shop", pod)
	e.site("other", servers(t, "other", 1)...)
	e.start()
	e.answers("shop.test", "shop")
	e.answers("other.test", "other")
	// Most connections are idle when a worker becomes an old one, and stay with it for
	// one request more.
	slow := testload.Start(t, testload.Config{Address: e.address(), Clients: 40, Hosts: []string{"shop.test", "other.test"}, Every: 700 * time.Millisecond})
	quick := e.load(2, "shop.test", "other.test")

	type removal struct {
		pod  *testload.Server
		live time.Time
		how  string
	}
	var removed []removal
	oldWorkers := 0
	remove := func(how string, change func(next *testload.Server)) {
		next := testload.Serve(t, "127.0.0.1:0", "shop")
		change(next)
		s := e.await("the endpoint is replaced", func(s status.Status) bool {
			return endpointsOf(s, "shop") == next.Address.String()
		})
		removed = append(removed, removal{pod, time.Now(), how})
		pod = next
		oldWorkers = max(oldWorkers, len(s.HAProxy.Workers)-1)
		quick.After(50)
	}
	for i := range 6 {
		remove("with a reload", func(next *testload.Server) {
			e.tcp(fmt.Sprintf("raw-%d", i), testnet.FreePort(t), next) // one turn or two, as it comes
			e.site("shop", next)
		})
		remove("at run time", func(next *testload.Server) { e.site("shop", next) })
	}
	slow.After(200) // every client has sent on its kept connection again
	s := e.status()
	quick.Stop()
	slow.Stop()
	if s.HAProxy.Reloads < 6 || oldWorkers == 0 {
		t.Errorf("%d reloads and at most %d old workers: there was nothing to see", s.HAProxy.Reloads, oldWorkers)
	}
	astray := 0
	for i, r := range removed {
		if last := r.pod.LastSent(); last.After(r.live) {
			astray++
			t.Errorf("removal %d (%s): a request sent %s after it was live got to the endpoint", i, r.how, last.Sub(r.live))
		}
	}
	t.Logf("%d removals, %d reloads, up to %d old workers: %d removed endpoints got a request afterwards", len(removed), s.HAProxy.Reloads, oldWorkers, astray)
}
