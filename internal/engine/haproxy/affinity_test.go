package haproxy_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestAffinity: a client stays on its endpoint, over reloads too. HAProxy hands
// its table to its successor over the peers socket, which workers must be able to
// reach as the user they run as.
func TestAffinity(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	const name = "home/web/shop/80/http"
	b := httpBackend(name, serve(t, "one"), serve(t, "two"), serve(t, "three"))
	b.Affinity = 3 * time.Hour
	want := webState(port, b)
	e.apply(want)
	clients := map[string]string{} // address -> who answers it
	seen := map[string]bool{}
	for i := range 6 {
		client := fmt.Sprintf("127.0.0.%d", 11+i)
		clients[client] = getFrom(t, client, port)
		seen[clients[client]] = true
	}
	if len(seen) != 3 {
		t.Fatalf("clients were not spread: %v", clients)
	}
	same := func(when string) {
		for client, want := range clients {
			if got := getFrom(t, client, port); got != want {
				t.Errorf("%s: client %s went from %q to %q", when, client, want, got)
			}
		}
	}
	same("at once")

	// A first worker has nobody to learn from, and teaches only when it has given
	// that up.
	stats := filepath.Join(e.config.RunDir, "haproxy.sock")
	learnt := func() bool { return resynced(ask(t, stats, "show peers")) }
	testwait.Until(t, "first worker gives up learning", learnt)
	for round := range 3 {
		want.Listeners = append(want.Listeners, tcpListener(fmt.Sprintf("home/web/other/%d", round), testnet.FreePort(t)))
		sortState(&want)
		if done := e.apply(want); done.Way != engine.Reload {
			t.Fatalf("a new port by %q", done.Way)
		}
		testwait.Until(t, "new worker learns", learnt)
		same(fmt.Sprintf("after reload %d", round+1))
	}
}

// resynced reads the flags of "show peers": with PEERS_F_RESYNC_LOCAL and
// PEERS_F_RESYNC_REMOTE a worker has finished learning.
func resynced(reply string) bool {
	_, flags, _ := strings.Cut(reply, "flags=0x")
	flags, _, _ = strings.Cut(flags, " ")
	return flags != "" && strings.ContainsAny(flags[len(flags)-1:], "37bf")
}

// webState serves all of shop.test by one backend.
func webState(port uint16, b *model.Backend) model.State {
	sortEndpoints(b)
	return model.State{
		Listeners: []*model.Listener{httpListener(port)},
		Routes:    []*model.Route{httpRoute("shop.test", "/", false, b.Name)},
		Backends:  []*model.Backend{b},
	}
}
