package haproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// generationMark is how a worker tells what it has loaded ("description" of
// "show info").
const generationMark = "landfall:"

// adopt finds out what runs: which worker, what it has loaded, and where its
// servers and maps differ from what was applied last.
func (e *Engine) adopt(ctx context.Context) error {
	e.have = model.State{}
	before := e.running
	if err := e.findWorker(ctx); err != nil {
		before.reloads = e.running.reloads
		e.running = before // it may be there still
		return err
	}
	if !e.running.up {
		if err := e.awaitEnd(ctx, before); err != nil {
			return err
		}
	}
	if !e.running.up {
		e.remembered, e.late = "", false
		return nil
	}
	if e.late {
		// It goes on, and with what it was told before it hung.
		if err := pause(ctx, lateCommands); err != nil {
			return err
		}
		e.late = false
	}
	// The journal is read once; from then on memory says the same, and costs less.
	if e.remembered != e.running.generation {
		var err error
		if e.memory, err = e.disk.recall(e.running.generation); err != nil {
			return err
		}
		e.remembered = e.running.generation
	}
	if !e.disk.bound.empty() && e.disk.worker != e.running.pid {
		// This worker has everything under its own name, and we know no shapes.
		e.disk.bound = newBindings()
		e.running.stale = "somebody else reloaded HAProxy"
	}
	e.names = newNames(e.disk.bound)
	have, err := e.verify(ctx, e.memory)
	if err != nil {
		return err
	}
	e.have = have
	e.monitor.wanted(have.Probes, e.disk.settings)
	if e.disk.stale || e.disk.forgot {
		e.disk.awake()
	}
	return nil
}

// lateCommands is how long a worker that hung has to carry out what it was told.
const lateCommands = 200 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitEnd waits until nothing is left of a HAProxy on whose sockets nobody answers,
// or somebody answers after all. A worker outlives its master by a moment, and a
// master that reloads is deaf for one: HAProxy is not dead as long as a process is
// there, and its ports are not another's.
func (e *Engine) awaitEnd(ctx context.Context, before worker) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	known := slices.Concat([]int{before.master, before.pid}, before.old)
	for {
		there := slices.IndexFunc(known, func(pid int) bool { return pid != 0 && !gone(pid) })
		if there < 0 {
			if known = e.leftovers(); len(known) == 0 {
				return nil
			}
			there = 0
		}
		pid := known[there]
		if pause(ctx, 5*pollEvery) != nil {
			return fmt.Errorf("look for HAProxy: pid %d is Landfall's, and does not answer on %s; it is looked at again", pid, e.master.path)
		}
		if err := e.findWorker(ctx); err != nil || e.running.up {
			return err
		}
	}
}

// findWorker asks the sockets who is there.
func (e *Engine) findWorker(ctx context.Context) error {
	e.running = worker{reloads: e.running.reloads}
	procs, err := e.master.ask(ctx, "show proc")
	if err != nil {
		if dead(err) {
			return nil
		}
		return err
	}
	master, workers := parseProcesses(procs)
	info, err := e.stats.ask(ctx, "show info")
	if err != nil {
		if dead(err) {
			return nil // a master whose worker is gone is of no use
		}
		return err
	}
	fields := parseInfo(info)
	gen, ok := strings.CutPrefix(fields["description"], generationMark)
	if !ok {
		return fmt.Errorf("the HAProxy on %s is not Landfall's; stop it, or set another admin.socket folder", e.stats.path)
	}
	e.running.up, e.running.master, e.running.generation = true, master.pid, gen
	if _, err := fmt.Sscan(fields["Pid"], &e.running.pid); err != nil {
		return fmt.Errorf("read the worker's pid: %w", err)
	}
	for _, w := range workers {
		if w.pid != e.running.pid {
			e.running.old = append(e.running.old, w.pid)
		}
	}
	e.running.loaded, err = e.readLoaded(gen)
	if err == nil && e.running.loaded.Layout != layout {
		e.running.stale = "HAProxy was loaded by a Landfall that lays its files out differently"
	}
	if err != nil {
		e.log.Warn("cannot tell what HAProxy has loaded, loading anew", "engine", "haproxy", "error", err)
		e.running.stale = "what HAProxy had loaded was not known"
	}
	return nil
}

func (e *Engine) readLoaded(gen string) (loaded, error) {
	var l loaded
	data, err := os.ReadFile(e.disk.path(generations+gen, loadedFile))
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal(data, &l)
}

// dead reports whether nobody listens on a socket.
func dead(err error) bool {
	return errors.Is(err, os.ErrNotExist) || isRefused(err)
}

// verify returns what of the remembered state is really there.
func (e *Engine) verify(ctx context.Context, s model.State) (model.State, error) {
	reply, err := e.stats.ask(ctx, "show servers state")
	if err != nil {
		return model.State{}, err
	}
	servers := map[string][]server{}
	for _, x := range parseServers(reply) {
		servers[x.backend] = append(servers[x.backend], x)
	}
	l := e.running.loaded
	var have model.State
	for _, x := range s.Listeners {
		if _, ok := l.Listeners[x.Name]; ok {
			have.Listeners = append(have.Listeners, x)
		}
	}
	if len(l.Listeners) > len(have.Listeners) && e.running.stale == "" {
		e.running.stale = "a port was open that nothing asked for"
	}
	for _, x := range s.Probes {
		if seen := e.verifyProbe(x, servers[probeBackend(x)]); seen != nil {
			have.Probes = append(have.Probes, seen)
		}
	}
	r := e.renderer(have.Probes)
	for _, x := range s.Backends {
		_, ok := l.Backends[x.Name]
		if _, bound := e.names.spares[x.Name]; ok || bound {
			be := e.names.backend(x.Name)
			have.Backends = append(have.Backends, r.verifyBackend(x, servers[be], e.names))
			delete(servers, be)
		}
	}
	if err := e.emptySpares(ctx, servers); err != nil {
		return model.State{}, err
	}
	have.Routes, err = e.verifyRoutes(ctx, have.Listeners, s.Routes)
	return have, err
}

// emptySpares takes what is left in spares that serve nobody out of service; it
// goes before they serve again.
func (e *Engine) emptySpares(ctx context.Context, servers map[string][]server) error {
	var commands []command
	for be, left := range servers {
		if !strings.HasPrefix(be, sparePrefix) {
			continue
		}
		for _, s := range left {
			e.names.zombies[be] = append(e.names.zombies[be], zombie{name: s.name})
			if !s.maint {
				commands = append(commands, command{text: fmt.Sprintf("set server %s/%s state maint", be, s.name)})
			}
		}
	}
	return e.stats.run(ctx, commands)
}

// verifyProbe tells by its address whether a probe is assumed; nil means that it is
// not there.
func (e *Engine) verifyProbe(p *model.Probe, servers []server) *model.Probe {
	name := e.names.probe(p.Name)
	i := slices.IndexFunc(servers, func(s server) bool { return s.name == name })
	if i < 0 || servers[i].maint {
		return nil
	}
	checked := servers[i].checkAddress
	seen := *p
	seen.Assumed = checked == e.disk.settings.okAddress()
	if !seen.Assumed {
		seen.Address, seen.Port = checked.Addr(), checked.Port()
	}
	if seen == *p {
		return p
	}
	return &seen
}

// verifyBackend returns b with the endpoints that its servers show.
func (r renderer) verifyBackend(b *model.Backend, servers []server, n names) *model.Backend {
	remembered := make(map[netip.AddrPort]model.Endpoint, len(b.Endpoints))
	for _, x := range b.Endpoints {
		remembered[netip.AddrPortFrom(x.Address.Addr().Unmap(), x.Address.Port())] = x
	}
	be := n.backend(b.Name)
	seen := make(map[netip.AddrPort]model.Endpoint, len(servers))
	for _, s := range servers {
		x, known := remembered[s.address]
		switch {
		case !s.maint:
			if !known {
				x = model.Endpoint{Address: s.address, Probe: unknownProbe}
			}
			x.Draining = false
			if s.weight != max(x.Weight, 1) {
				x.Weight = s.weight
			}
		case !known || !x.Draining:
			n.zombies[be] = append(n.zombies[be], zombie{name: s.name})
			continue
		}
		if _, twice := seen[s.address]; twice {
			n.zombies[be] = append(n.zombies[be], zombie{name: s.name})
			continue
		}
		seen[s.address] = x
		n.set(be, s.address, s.name)
	}
	endpoints := slices.SortedFunc(maps.Values(seen), func(a, b model.Endpoint) int { return a.Address.Compare(b.Address) })
	if slices.Equal(endpoints, b.Endpoints) {
		return b
	}
	changed := *b
	changed.Endpoints = endpoints
	return &changed
}

// shownMap is a map of a worker, and shownMaps what is in them: key -> value.
type shownMap struct{ listener, kind string }

type shownMaps map[shownMap]map[string]string

func (m shownMaps) empty() bool {
	for _, entries := range m {
		if len(entries) > 0 {
			return false
		}
	}
	return true
}

func (e *Engine) showMaps(ctx context.Context, listeners []*model.Listener) (shownMaps, error) {
	shown := shownMaps{}
	for _, l := range listeners {
		for _, kind := range mapKinds(l) {
			reply, err := e.stats.ask(ctx, "show map "+escape(e.disk.settings.mapPath(l.Name, kind)))
			if err != nil {
				return nil, err
			}
			shown[shownMap{l.Name, kind}] = parseMap(reply)
		}
	}
	return shown, nil
}

// findRoutes returns the routes that the worker has, and leaves in shown what none
// of them is.
func (e *Engine) findRoutes(shown shownMaps, listeners []*model.Listener, routes []*model.Route) []*model.Route {
	tcp := map[string]bool{}
	for _, l := range listeners {
		tcp[l.Name] = l.Protocol == model.TCP
	}
	var have []*model.Route
	for _, r := range routes {
		x := entry(r)
		f := shownMap{x.listener, x.kind}
		if tcp[r.Listener] || shown[f][x.key] == e.names.target(r) {
			have = append(have, r)
			delete(shown[f], x.key)
		}
	}
	return have
}

// verifyRoutes keeps the routes that the worker's maps have, and deletes map
// entries that nobody remembers, since adding to them would only hide ours.
func (e *Engine) verifyRoutes(ctx context.Context, listeners []*model.Listener, routes []*model.Route) ([]*model.Route, error) {
	shown, err := e.showMaps(ctx, listeners)
	if err != nil {
		return nil, err
	}
	have := e.findRoutes(shown, listeners, routes)
	var strays []command
	for f, entries := range shown {
		for key := range entries {
			strays = append(strays, command{text: "del map " + escape(e.disk.settings.mapPath(f.listener, f.kind)) + " " + escape(key)})
		}
	}
	return have, e.stats.run(ctx, strays)
}
