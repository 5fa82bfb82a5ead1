package survival_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testload"
)

// churn replaces the endpoints of a site, ten times a second, until stopped. Its
// servers all go on answering, since no agent may be there to remove them.
func churn(e *edge, name string, servers []*testload.Server) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			e.site(name, servers[i%len(servers)], servers[(i+1)%len(servers)])
		}
	}()
	return sync.OnceFunc(func() { close(done); <-ended })
}

func servers(t *testing.T, name string, n int) []*testload.Server {
	t.Helper()
	var all []*testload.Server
	for range n {
		all = append(all, testload.Serve(t, "127.0.0.1:0", name))
	}
	return all
}

// TestAgentKilled: five times the agent is killed in the middle of changes, and a
// new one takes over the HAProxy that runs. No request fails, and HAProxy neither
// ends nor is reloaded.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	shop := servers(t, "shop", 3)
	e.site("shop", shop[0])
	e.site("other", servers(t, "other", 1)...)
	e.start()
	e.answers("shop.test", "shop")
	e.answers("other.test", "other")
	master, worker := e.workers()
	l := e.load(3, "shop.test", "other.test")
	stop := churn(e, "shop", shop)
	defer stop()
	for range 5 {
		e.kill()
		l.After(100) // the changes go on while there is no agent
		e.start()
		e.ready()
		e.noReload("a new agent")
		l.After(100)
	}
	stop()
	last := testload.Serve(t, "127.0.0.1:0", "shop")
	e.site("shop", last)
	e.await("the last change is live", func(s status.Status) bool { return endpointsOf(s, "shop") == last.Address.String() })
	before := last.Asked.Load()
	l.After(50)
	l.Stop()
	e.noReload("the last agent")
	if last.Asked.Load() == before {
		t.Error("the last endpoint got no request")
	}
	if m, w := e.workers(); m != master || w != worker {
		t.Errorf("HAProxy's master and worker %d, %d became %d, %d", master, worker, m, w)
	}
	e.same("after five agents")
}

// endpointsOf lists those of a site or service.
func endpointsOf(s status.Status, name string) string {
	var list []string
	for _, b := range s.Backends {
		if b.Object == "web/"+name {
			for _, x := range b.Endpoints {
				list = append(list, x.Address.String())
			}
		}
	}
	return strings.Join(list, " ")
}
