package haproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

var (
	_ engine.Engine     = (*Engine)(nil)
	_ engine.Monitor    = (*Engine)(nil)
	_ engine.PortFinder = (*Engine)(nil)
	_ engine.Stopper    = (*Engine)(nil)
	_ engine.Finder     = (*Engine)(nil)
	_ engine.Metrician  = (*Engine)(nil)
	_ engine.Unsettled  = (*Engine)(nil)
	_ engine.Rememberer = (*Engine)(nil)
)

// Config is what an Engine is made from.
type Config struct {
	Binary string   // a path, or a name to look up
	Dir    string   // state, made if missing
	RunDir string   // sockets, made if missing
	Extra  []string // the operator's own configuration files
	Spares int      // plain backends for new ones to take at run time
	Log    *slog.Logger
}

// Engine drives one HAProxy. It adopts the one that runs, or starts one at the
// first Apply that wants a listener.
type Engine struct {
	config  Config
	log     *slog.Logger
	stats   client // of the current worker
	master  client
	mu      sync.Mutex
	running worker
	// trusted: have, running and names are known to hold.
	trusted bool
	// late: a worker that did not answer may still do what it was told.
	late bool
	have model.State
	// memory is what was applied last to the generation remembered; have is what
	// was found to be there of it.
	memory     model.State
	remembered string
	names      names
	disk       disk
	extra      extras
	monitor    monitor
	// writing: Run is there to write files behind the changes.
	writing bool
	// probes are the last ones that were looked up by name.
	probes []*model.Probe
	byName map[string]*model.Probe
	// patrolled is how far the look at what really runs has come.
	patrolled int
}

// worker is the HAProxy that runs, as far as it is known.
type worker struct {
	up         bool
	master     int    // pid
	pid        int    // of the current worker
	old        []int  // pids of workers that finish their connections
	generation string // that the current worker has loaded
	loaded     loaded
	reloads    int // since the engine object was made
	// stale says why the worker needs a reload whatever the plan says.
	stale string
}

// New looks at the machine and prepares the folders. It neither starts HAProxy
// nor touches one that runs. The errors are ErrMissing, ErrTooOld and
// ErrSocketPath, and those of the file system.
func New(ctx context.Context, c Config) (*Engine, error) {
	settings, err := Facts(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := CheckPaths(settings); err != nil {
		return nil, err
	}
	for _, dir := range []string{c.Dir, filepath.Join(c.Dir, mapsDir), filepath.Join(c.Dir, listsDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make state folder: %w", err)
		}
	}
	if err := os.MkdirAll(c.RunDir, 0o755); err != nil {
		return nil, fmt.Errorf("make socket folder: %w", err)
	}
	if err := keepOKPort(settings); err != nil {
		return nil, err
	}
	e := &Engine{
		config: c,
		log:    c.Log,
		stats:  client{settings.socket(statsSocket)},
		master: client{settings.socket(masterSocket)},
		names:  newNames(newBindings()),
	}
	e.disk = newDisk(settings, c.Log)
	e.monitor = newMonitor()
	e.extra = currentExtras(c)
	return e, nil
}

// Observe is engine.Engine's.
func (e *Engine) Observe(ctx context.Context) (model.State, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.trusted {
		if err := e.adopt(ctx); err != nil {
			return model.State{}, err
		}
		e.trusted = true
	}
	return e.have, nil
}

// Apply is engine.Engine's.
func (e *Engine) Apply(ctx context.Context, want model.State, p plan.Plan) (engine.Applied, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	start := time.Now()
	done, err := e.apply(ctx, want, p)
	if errors.Is(err, errNothing) {
		done, err = engine.Applied{Way: engine.Nothing}, nil
	}
	done.Took = time.Since(start)
	if err != nil {
		return done, err
	}
	e.have, e.memory, e.remembered, e.trusted = want, want, e.running.generation, true
	e.monitor.wanted(want.Probes, e.disk.settings)
	if !e.writing {
		e.writeNow()
	}
	return done, nil
}

// renderer is one for a state with these probes. Those of most changes are the same.
func (e *Engine) renderer(probes []*model.Probe) renderer {
	if e.byName == nil || !slices.Equal(e.probes, probes) {
		e.probes, e.byName = probes, probesByName(probes)
	}
	return renderer{settings: e.disk.settings, probes: e.byName}
}

func (e *Engine) apply(ctx context.Context, want model.State, p plan.Plan) (engine.Applied, error) {
	if err := refuse(p); err != nil {
		return engine.Applied{}, err
	}
	r := e.renderer(want.Probes)
	if !e.running.up {
		if len(want.Listeners) == 0 {
			return engine.Applied{Way: engine.Nothing}, nil
		}
		if err := e.beforeStart(ctx); err != nil {
			return engine.Applied{}, err
		}
		r.settings = e.disk.settings
		return engine.Applied{Way: engine.Start, Cause: "HAProxy was not running"}, e.load(ctx, r, want, p, e.spawn)
	}
	cause := e.cause(r, want, p)
	if cause != "" {
		return engine.Applied{Way: engine.Reload, Cause: cause}, e.load(ctx, r.withSpares(cause), want, p, e.reload)
	}
	before, err := e.change(ctx, r, want, p)
	if err == nil {
		return engine.Applied{Way: engine.Runtime}, nil
	}
	e.trusted = false
	if e.late = errors.Is(err, errNoAnswer); e.late || ctx.Err() != nil {
		return engine.Applied{}, err
	}
	e.log.Warn("runtime change failed, reloading", "engine", "haproxy", "error", err)
	cause = "a runtime change failed: " + err.Error()
	if err := e.load(ctx, r, want, p, e.reload); err != nil {
		e.undo(ctx, p, before)
		return engine.Applied{}, err
	}
	return engine.Applied{Way: engine.Reload, Cause: cause}, nil
}

// change is what the runtime API can do. It returns who sat where before.
func (e *Engine) change(ctx context.Context, r renderer, want model.State, p plan.Plan) (bindings, error) {
	before := e.names.clone()
	bound := e.names.bind(e.running.loaded, r.probes, want, p)
	r.slots = e.names.slots
	commands := r.runtimeCommands(bound, e.names)
	after := e.names.clone()
	after.unbind(p)
	e.disk.expect(p, after)
	if err := e.stats.run(ctx, commands); err != nil {
		e.disk.forgot = true // it expected more
		return before, err
	}
	e.names.bindings = after
	e.disk.touch(p)
	return before, nil
}

// undo puts back what HAProxy accepted of a runtime change before it refused the
// rest: what is refused changes nothing.
func (e *Engine) undo(ctx context.Context, p plan.Plan, before bindings) {
	e.names, e.disk.bound = newNames(before), before
	e.memory = cutOff(e.memory, p)
	now, err := e.verify(ctx, e.memory)
	if err == nil {
		r := e.renderer(e.have.Probes)
		r.slots = e.names.slots
		err = e.stats.run(ctx, r.runtimeCommands(plan.Diff(now, e.have), e.names))
	}
	if err != nil {
		e.log.Warn("cannot undo a part of a change", "engine", "haproxy", "error", err)
		return
	}
	e.memory, e.trusted = e.have, true
	e.disk.staleAll()
	if !e.writing {
		e.writeNow()
	}
}

// Unsettled is engine.Unsettled's.
func (e *Engine) Unsettled() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.running.up {
		return ""
	}
	return e.unsettled()
}

func (e *Engine) unsettled() string {
	if e.running.stale != "" {
		return e.running.stale
	}
	if globalShape(e.disk.settings, e.extra.content()) != e.running.loaded.Global {
		return "the settings of HAProxy or of its extra files changed"
	}
	return ""
}

// cause says why the plan needs a reload; empty means that it does not.
func (e *Engine) cause(r renderer, want model.State, p plan.Plan) string {
	if why := e.unsettled(); why != "" {
		return why
	}
	return r.reloadCause(e.running.loaded, e.names, want, p)
}

// load makes a generation of want, has HAProxy check it and then load it.
func (e *Engine) load(ctx context.Context, r renderer, want model.State, p plan.Plan, how func(context.Context, string) error) error {
	if err := e.preflight(want, p); err != nil {
		return err
	}
	gen, loaded, err := e.prepare(ctx, r, want)
	if err != nil {
		return err
	}
	if e.running.up && p.Empty() && e.running.stale == "" && e.running.loaded.same(loaded) {
		e.disk.drop(gen) // an extra file was set aside, and all is as before
		return errNothing
	}
	e.trusted = false // until it is loaded
	previous, err := e.disk.promote(gen, want)
	if err != nil {
		e.disk.drop(gen)
		return err
	}
	// An agent that is told to end finishes what it began, so that the next one
	// finds a worker that it knows.
	started := !e.running.up
	if err := how(context.WithoutCancel(ctx), gen); err != nil {
		if started {
			r.settings.Generation = gen
			err = cmp.Or(e.checkGeneration(ctx, r, want), err)
		}
		err = e.blameLoad(err, gen, want)
		e.disk.demote(gen, previous)
		if errors.Is(err, errExtra) {
			e.log.Warn("extra file set aside", "engine", "haproxy", "error", err)
			return e.load(ctx, r, want, p, how) // without it: there is an end to them
		}
		return err
	}
	e.running.loaded, e.running.generation, e.running.stale = loaded, gen, ""
	e.names = newNames(newBindings())
	e.disk.collect(gen)
	e.disk.follow(gen, e.running.pid)
	return nil
}

// errNothing: what was to be loaded is what runs.
var errNothing = errors.New("nothing to load")

// prepare writes a generation of want and has HAProxy check it. An extra file
// that is refused is set aside and the rest checked again.
func (e *Engine) prepare(ctx context.Context, r renderer, want model.State) (gen string, l loaded, err error) {
	gen, err = e.disk.nextGeneration()
	if err != nil {
		return "", l, err
	}
	r.settings.Generation = gen
	for range 2*len(e.extra.paths) + 1 {
		l = r.shapes(want, globalShape(e.disk.settings, e.extra.content()))
		if err = e.disk.write(r, want, e.extra, l); err != nil {
			e.disk.drop(gen)
			return "", l, err
		}
		if !e.running.up { // HAProxy says it itself when it starts, and nobody is served yet
			return gen, l, nil
		}
		if err = e.checkGeneration(ctx, r, want); err == nil {
			return gen, l, nil
		}
		e.disk.drop(gen)
		if !errors.Is(err, errExtra) {
			return "", l, err
		}
		e.log.Warn("extra file set aside", "engine", "haproxy", "error", err)
	}
	return "", l, err
}

// Version is that of the HAProxy binary.
func (e *Engine) Version() string { return e.disk.settings.Features.Version }
