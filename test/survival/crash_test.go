package survival_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// sweepKey asks for every single step; by default there is one of each kind.
const sweepKey = "LANDFALL_TEST_EVERY_STEP"

// TestKilledAtEveryStep: the agent is killed just before each step by which it
// makes a change: before it writes, renames, links or removes a file, before it
// asks HAProxy, before it hears the answer, while HAProxy checks. The steps are
// found by watching it make the change once. Each time a new agent finishes the
// change, what is on disk equals what runs, and no request fails.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	testneed.Binary(t, "strace")
	for _, way := range []string{"runtime", "reload"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, "")
			a, b, extra := testload.Serve(t, "127.0.0.1:0", "shop"), testload.Serve(t, "127.0.0.1:0", "shop"), testload.Serve(t, "127.0.0.1:0", "extra")
			e.site("neighbour", servers(t, "neighbour", 1)...)
			port := testnet.FreePort(t)
			before := site("shop", a.Address)
			after := site("shop", b.Address) + "---" + site("extra", extra.Address)
			if way == "reload" {
				after += "---" + tcp("raw", port, extra.Address)
			}
			write := func(text string) { e.write("changing.yaml", text) }
			live := func(server *testload.Server) func(status.Status) bool {
				return func(s status.Status) bool { return s.Ready && endpointsOf(s, "shop") == server.Address.String() }
			}
			write(before)
			e.start()
			e.await("the edge is ready", live(a))
			e.answers("neighbour.test", "neighbour")
			master, _ := e.workers()
			l := testload.Start(t, testload.Config{Address: e.address(), Clients: 2, Hosts: []string{"neighbour.test", "shop.test"}})

			steps := e.record(func() {
				write(after)
				e.await("the change is made", live(b))
				e.same("after the change")
				testwait.Until(t, "the source's state is kept", func() bool { return e.keptOnDisk(b) })
			})
			takeBack := func() {
				write(before)
				e.await("the change is taken back", live(a))
				e.same("after it was taken back")
			}
			takeBack()
			var names []string
			done := map[string]bool{}
			for _, s := range steps {
				keeps := strings.Contains(s.path, "/sources/")
				if done[s.kind()] && os.Getenv(sweepKey) == "" || keeps && way == "reload" {
					continue
				}
				done[s.kind()] = true
				if keeps { // the whole state, as an agent does at first
					e.kill()
					os.Remove(e.keptFile())
					e.start()
					e.await("the edge is ready", live(a))
				}
				killed := e.killBefore(s, func() { write(after) }, func() bool {
					st, err := e.ask()
					return err == nil && live(b)(st) && e.difference() == "" && (!keeps || e.keptOnDisk(b))
				})
				if killed {
					names = append(names, s.kind())
					e.start()
				}
				e.await("after a kill before "+s.kind()+" the change is made", live(b))
				e.same("after a kill before " + s.kind())
				e.answers("extra.test", "extra")
				if way == "reload" {
					if _, body, err := testnet.Get(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/", port), "raw"); body != "extra" {
						t.Errorf("after a kill before %s the new port answers %q, %v", s.kind(), body, err)
					}
				}
				takeBack()
			}
			l.Stop()
			if m, _ := e.workers(); m != master {
				t.Errorf("HAProxy's master %d became %d", master, m)
			}
			if len(names) < 10 {
				t.Errorf("only %d kills", len(names))
			}
			t.Logf("%d kills of the agent, each just before one of: %s", len(names), strings.Join(names, ", "))
		})
	}
}

// keptFile is where the edge keeps the last state of its source.
func (e *edge) keptFile() string { return filepath.Join(e.state, "sources", "files.jsonl") }

// keptOnDisk reports whether the source's last state names a server.
func (e *edge) keptOnDisk(server *testload.Server) bool {
	text, err := os.ReadFile(e.keptFile())
	if err != nil {
		return false
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.Contains(lines[i], `"k":"backend files/web/shop/`) {
			return strings.Contains(lines[i], server.Address.String())
		}
	}
	return false
}
