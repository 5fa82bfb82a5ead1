package haproxy

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// What is remembered is compared with what really runs in small pieces, so that no
// change waits long: somebody may have changed HAProxy behind our back.
const (
	patrolEvery = time.Second
	// patrolRound is how many pieces there are: each backend is looked at once a
	// minute.
	patrolRound = 60
)

// patrol looks at a piece at a time until ctx ends. What differs is told by changed,
// and found by the next Observe.
func (e *Engine) patrol(ctx context.Context, changed func()) error {
	tick := time.NewTicker(patrolEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if !e.asRemembered(ctx) {
				changed()
			}
		}
	}
}

// asRemembered looks at the next piece. A HAProxy that does not answer is found by
// others.
func (e *Engine) asRemembered(ctx context.Context) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.trusted || !e.running.up {
		return true
	}
	piece := e.patrolled % patrolRound
	e.patrolled++
	var same bool
	var err error
	if piece == 0 {
		same, err = e.sameWorker(ctx)
	} else {
		all := e.have.Backends
		from, to := len(all)*(piece-1)/(patrolRound-1), len(all)*piece/(patrolRound-1)
		same, err = e.sameBackends(ctx, all[from:to])
	}
	if err != nil || same {
		return true
	}
	e.log.Warn("HAProxy is not as it was left; it is looked at as a whole", "engine", "haproxy")
	e.trusted = false
	return false
}

// sameBackends compares the servers of backends, some of them with each question.
func (e *Engine) sameBackends(ctx context.Context, backends []*model.Backend) (bool, error) {
	const atOnce = 50
	r := e.renderer(e.have.Probes)
	for some := range slices.Chunk(backends, atOnce) {
		commands := make([]command, len(some))
		for i, b := range some {
			commands[i] = command{text: "show servers state " + e.names.backend(b.Name)}
		}
		servers := map[string][]server{}
		for len(commands) > 0 {
			n := oneLine(commands)
			reply, err := e.stats.ask(ctx, join(commands[:n]))
			if err != nil {
				return false, err
			}
			for _, x := range parseServers(reply) {
				servers[x.backend] = append(servers[x.backend], x)
			}
			commands = commands[n:]
		}
		scratch := newNames(e.names.bindings) // what is on its way out is of no interest
		for _, b := range some {
			if r.verifyBackend(b, servers[e.names.backend(b.Name)], scratch) != b {
				return false, nil
			}
		}
	}
	return true, nil
}

// sameWorker compares all but backends: which worker it is, probes and maps.
func (e *Engine) sameWorker(ctx context.Context) (bool, error) {
	info, err := e.stats.ask(ctx, "show info")
	if err != nil {
		return false, err
	}
	fields := parseInfo(info)
	if fields["description"] != generationMark+e.running.generation || fields["Pid"] != strconv.Itoa(e.running.pid) {
		return false, nil
	}
	servers := map[string][]server{}
	for _, p := range e.have.Probes {
		be := probeBackend(p)
		if _, asked := servers[be]; !asked {
			reply, err := e.stats.ask(ctx, "show servers state "+be)
			if err != nil {
				return false, err
			}
			servers[be] = parseServers(reply)
		}
		if e.verifyProbe(p, servers[be]) != p {
			return false, nil
		}
	}
	shown, err := e.showMaps(ctx, e.have.Listeners)
	if err != nil {
		return false, err
	}
	found := e.findRoutes(shown, e.have.Listeners, e.have.Routes)
	return len(found) == len(e.have.Routes) && shown.empty(), nil
}
