package haproxy_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestManyLeaveOneIsBusy: 2.6 puts no empty line between the replies to "del
// server", and yet each is told from the next.
func TestManyLeaveOneIsBusy(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	began, release := make(chan struct{}), make(chan struct{})
	busy := handle(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(began)
		<-release
		w.Header().Set("Connection", "close") // one that is kept in HAProxy's pool delays the deletion
		fmt.Fprint(w, "slow")
	})
	const name = "home/web/shop/80/http"
	e.apply(webState(port, httpBackend(name, busy)))
	answer := make(chan string, 1)
	go func() {
		c := newClient(port)
		defer c.Close()
		got, err := c.Post("shop.test", "/", true)
		answer <- fmt.Sprint(got, err)
	}()
	<-began
	stays := serve(t, "stays")
	e.apply(webState(port, httpBackend(name, busy, serve(t, "a"), serve(t, "b"), serve(t, "c"), stays)))
	e.apply(webState(port, httpBackend(name, stays)))
	servers := func() (names []string) {
		reply := ask(t, filepath.Join(e.config.RunDir, "haproxy.sock"), "show servers state home:web:shop:80:http")
		for line := range strings.Lines(reply) {
			if f := strings.Fields(line); len(f) > 20 && f[0] != "#" {
				names = append(names, f[3])
			}
		}
		return names
	}
	e.Bury()
	left := fmt.Sprint(servers())
	if len(servers()) != 2 || !strings.Contains(left, fmt.Sprintf("_%d", busy.Port())) {
		t.Errorf("left are %s, want the busy one (port %d) and %s", left, busy.Port(), stays)
	}
	close(release)
	if got := <-answer; got != "slow<nil>" {
		t.Errorf("the slow request ended with %s", got)
	}
	testwait.Until(t, "the busy server is deleted", func() bool {
		e.Bury()
		return len(servers()) == 1
	})
}
