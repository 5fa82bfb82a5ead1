package survival_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// TestHAProxyHangs: HAProxy's worker or its master stops for a while, as after a
// SIGSTOP or on a machine that swaps, and changes come meanwhile, those that can
// be made at run time and one that needs a reload. The agent says so while it
// lasts, starts no second HAProxy, and has everything live afterwards. Requests
// may hang with the worker; none fails.
func TestHAProxyHangs(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"worker", "master"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, "")
			shop := servers(t, "shop", 2)
			e.site("shop", shop[0])
			e.site("other", servers(t, "other", 1)...)
			e.start()
			e.answers("shop.test", "shop")
			e.answers("other.test", "other")
			e.ready() // the agent too knows that HAProxy has started
			master, pid := e.workers()
			if victim == "master" {
				pid = master
			}
			l := e.load(3, "shop.test", "other.test")
			freeze(t, pid)
			late := testnet.FreePort(t)
			e.site("shop", shop[1])
			e.site("new", servers(t, "new", 1)...)
			e.tcp("raw", late, testload.Serve(t, "127.0.0.1:0", "raw"))

			var slowest time.Duration
			e.await("the edge says what it waits for", func(s status.Status) bool {
				asked := time.Now()
				e.status()
				slowest = max(slowest, time.Since(asked))
				if m, _ := e.workers(); m != master {
					t.Errorf("HAProxy's master %d became %d", master, m)
				}
				return !s.Ready && strings.Contains(s.Waiting[0], "no answer within") && s.HAProxy.Error != ""
			})
			t.Logf("the slowest of the answers to landfall status took %s", slowest.Round(time.Millisecond))
			thawed := time.Now()
			thaw(t, pid)
			e.await("all changes are live", func(s status.Status) bool {
				return s.Ready && s.HAProxy.Error == "" && endpointsOf(s, "shop") == shop[1].Address.String() && endpointsOf(s, "raw") != "" && endpointsOf(s, "new") != ""
			})
			live := time.Now()
			t.Logf("everything was live %s after HAProxy went on", live.Sub(thawed).Round(time.Millisecond))
			l.SetHosts("shop.test", "other.test", "new.test")
			l.After(300)
			l.Stop()
			if last := shop[0].LastSent(); last.After(live) {
				t.Errorf("the removed endpoint got a request %s after it was removed", last.Sub(live))
			}
			if _, body, err := testnet.Get(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/", late), "raw"); body != "raw" {
				t.Errorf("the new port answers %q, %v", body, err)
			}
			e.same("afterwards")
		})
	}
}
