package survival_test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// crowd writes so many sites that nobody asks.
func (e *edge) crowd(n int, server netip.AddrPort) {
	const perFile = 100
	for i := 0; i < n; i += perFile {
		var all []string
		for k := range min(perFile, n-i) {
			all = append(all, site(fmt.Sprintf("crowd-%d", i+k), server))
		}
		e.write(fmt.Sprintf("crowd-%d.yaml", i), strings.Join(all, "---"))
	}
}

// TestHAProxyKilled: with 1,000 Services, HAProxy's worker and its master are
// killed. This does lose requests; the agent has HAProxy back with everything as it
// was. How long that takes is printed, and proves nothing here. It runs before the
// other tests, which run at the same time, so that the figure says something.
func TestHAProxyKilled(t *testing.T) {
	for _, victim := range []string{"worker", "master"} {
		t.Run(victim, func(t *testing.T) {
			e := newEdge(t, "")
			shop, other := servers(t, "shop", 2), servers(t, "other", 1)
			e.crowd(998, other[0].Address)
			e.site("shop", shop[0])
			e.site("other", other...)
			e.start()
			e.ready()
			e.site("shop", shop...) // at run time, so that files and journal have to say it
			e.await("two endpoints", func(s status.Status) bool { return strings.Contains(endpointsOf(s, "shop"), " ") })
			e.answers("crowd-997.test", "other")
			l := testload.Start(t, testload.Config{Address: e.address(), Clients: 3, Hosts: []string{"shop.test", "other.test"}, MayFail: true})
			master, pid := e.workers()
			if victim == "master" {
				pid = master
			}
			killed := time.Now()
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			s := e.await("HAProxy is started again", func(s status.Status) bool {
				return s.Ready && len(s.Changes) > 0 && s.Changes[0].Way == engine.Start && s.Changes[0].At.After(killed)
			})
			// The last request that failed was sent before HAProxy answered.
			testwait.Until(t, "requests are answered again", func() bool {
				n := len(l.Failed())
				l.After(20)
				return len(l.Failed()) == n
			})
			l.After(200)
			l.Stop()
			failed := l.Failed()
			if len(failed) == 0 {
				t.Fatal("no request failed: nothing was killed")
			}
			t.Logf("1,000 Services, HAProxy's %s killed: first failure after %d ms, last after %d ms; %d of %d requests failed; %q",
				victim, failed[0].End.Sub(killed).Milliseconds(), failed[len(failed)-1].End.Sub(killed).Milliseconds(),
				len(failed), l.Sent(), s.Changes[0].Cause)
			for _, f := range failed {
				if f.Begin.After(s.Changes[0].At) {
					t.Errorf("after it was back: %s", f)
				}
			}
			e.answers("crowd-997.test", "other")
			e.same("after HAProxy was started again")
		})
	}
}
