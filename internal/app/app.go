// Package app puts an edge together. It is the only package that names concrete
// sources and engines; what it makes is taken down in reverse.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/landfall-edge/landfall/internal/admin"
	"github.com/landfall-edge/landfall/internal/agent"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/source/file"
	"github.com/landfall-edge/landfall/internal/source/phonehome"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
)

// Where the parts of an edge keep what is theirs, below its state folder.
const (
	haproxyDir = "haproxy"
	sourcesDir = "sources"
	// phoneHomeDir is apart from that: what is there is the source's own.
	phoneHomeDir = "phonehome"
)

// statsTimeout is how long the status waits for the engine's word.
const statsTimeout = 2 * time.Second

// Options are what an edge is given besides its file.
type Options struct {
	Version string
	Log     *slog.Logger
	// OnApplied, if set, is told each change once clients see it.
	OnApplied func(plan.Plan, engine.Applied)
	// OnFindings, if set, is told all findings whenever they are others than before.
	OnFindings func([]model.Finding)
	// passive sources only look: they neither listen nor write.
	passive bool
}

// App is one edge: its sources, its engine, the loop between them, and the
// socket on which it can be asked.
type App struct {
	edge    *spec.Edge
	log     *slog.Logger
	engine  *haproxy.Engine
	agent   *agent.Agent
	phones  []*phonehome.Source
	admin   *admin.Server
	metrics *admin.Metrics
	closers []func() // run in reverse

	stop       sync.Once
	stopping   chan struct{} // closed: the loop is to end
	agentEnded chan struct{} // closed: it has
	ending     chan struct{} // closed: so is everything else
	started    chan struct{} // closed: a turn has gone well
}

// New makes an edge and takes its state folder and its admin sockets. Nothing is
// served before Run.
func New(ctx context.Context, edge *spec.Edge, o Options) (_ *App, err error) {
	a := &App{
		edge: edge, log: o.Log,
		stopping: make(chan struct{}), agentEnded: make(chan struct{}), ending: make(chan struct{}), started: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	held, err := lock(edge.StateDir)
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() { _ = held.Close() })
	if err := mayBind(edge.HTTP.Port, "http.port"); err != nil {
		return nil, err
	}
	if a.engine, err = newEngine(ctx, edge, o.Log); err != nil {
		return nil, err
	}
	if err := a.newAgent(edge, o); err != nil {
		return nil, err
	}
	if err := a.openAdmin(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

func newEngine(ctx context.Context, edge *spec.Edge, log *slog.Logger) (*haproxy.Engine, error) {
	return haproxy.New(ctx, engineConfig(edge, log))
}

func engineConfig(edge *spec.Edge, log *slog.Logger) haproxy.Config {
	return haproxy.Config{
		Binary: program(edge.HAProxy.Binary), Dir: filepath.Join(edge.StateDir, haproxyDir),
		RunDir: filepath.Dir(edge.Admin.Socket), Extra: edge.HAProxy.Extra, Spares: edge.HAProxy.SpareBackends, Log: log,
	}
}

func (a *App) newAgent(edge *spec.Edge, o Options) error {
	sources, err := newSources(edge, o, everySource)
	if err != nil {
		return err
	}
	for _, s := range sources {
		if p, ok := s.(*phonehome.Source); ok {
			a.phones = append(a.phones, p)
		}
	}
	set, err := newSet(sources, filepath.Join(edge.StateDir, sourcesDir), grace)
	if err != nil {
		return err
	}
	var once sync.Once
	a.metrics = admin.NewMetrics(o.Version, func() status.Snapshot { return a.agent.Snapshot() })
	a.agent, err = agent.New(agent.Config{
		Name: edge.Name, Sources: set, Engine: a.engine,
		VIPs:     func() []model.VIP { return vips(edge) },
		HTTPPort: edge.HTTP.Port, HTTPSPort: edge.HTTPS.Port, DefaultBackend: file.BackendName(edge.DefaultBackend), Reserved: reserved(edge),
		Guard: guard(edge),
		Log:   o.Log,
		OnTurn: func(took time.Duration, err error) {
			a.metrics.Turn(took, err)
			if err == nil {
				once.Do(func() { close(a.started) })
			}
		},
		OnFindings: o.OnFindings,
		OnApplied: func(p plan.Plan, applied engine.Applied) {
			a.metrics.Applied(p, applied)
			if o.OnApplied != nil {
				o.OnApplied(p, applied)
			}
		},
	})
	return err
}

// guard is the file's, for the sources that others write: a static service that is
// gone was taken out by whoever writes the file.
func guard(edge *spec.Edge) agent.Guard {
	g := agent.Guard{
		Limits:  plan.Limits{Share: edge.Guard.Share, AtLeast: edge.Guard.AtLeast},
		Confirm: edge.Guard.Confirm.Duration,
	}
	for _, s := range edge.Sources {
		if !s.Static() {
			g.Sources = append(g.Sources, s.Name)
		}
	}
	return g
}

func (a *App) openAdmin(ctx context.Context) (err error) {
	a.admin, err = admin.Open(ctx, admin.Config{
		Socket: a.edge.Admin.Socket, Listen: a.edge.Admin.Listen,
		Snapshot: a.agent.Snapshot, Status: a.status, Metrics: a.metrics, EngineMetrics: a.engine.Metrics,
		Stop: a.Stop, Approve: a.agent.Approve, Log: a.log.With("component", "admin"),
	})
	switch {
	case errors.Is(err, admin.ErrAnswers):
		return fmt.Errorf("%w; stop that one first, or set another admin.socket", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; it is held by %s: stop that, or set another port (admin.listen: \"\" turns it off)",
			err, a.owner(ctx, a.edge.Admin.Listen))
	case errors.Is(err, syscall.EACCES) && a.edge.Admin.Listen != "":
		if _, port, splitErr := net.SplitHostPort(a.edge.Admin.Listen); splitErr == nil {
			n, _ := strconv.ParseUint(port, 10, 16)
			if bindErr := mayBind(uint16(n), "the port of admin.listen"); bindErr != nil {
				return bindErr
			}
		}
	}
	if err == nil {
		a.closers = append(a.closers, a.admin.Close)
	}
	return err
}

// owner names who listens on an address's port, as far as can be seen.
func (a *App) owner(ctx context.Context, address string) string {
	unknown := "another process"
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return unknown
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return unknown
	}
	held, err := a.engine.Held(ctx, []*model.Listener{{Port: uint16(n)}})
	if err != nil || len(held) == 0 {
		return unknown
	}
	return held[0].Owner
}

// Run serves until ctx ends or Stop is called. When ctx ends, HAProxy goes on
// serving what it has, and the next edge adopts it.
func (a *App) Run(ctx context.Context) error {
	defer a.close()
	ctx, end := context.WithCancel(ctx)
	defer end()
	loop, endLoop := context.WithCancel(ctx)
	defer endLoop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if err := a.admin.Run(ctx); err != nil {
			a.log.Error("the admin sockets are gone", "error", err)
		}
	})
	wg.Go(func() { frugal(ctx, a.started) })
	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-a.stopping:
			endLoop()
		}
	})
	a.log.Info("edge started", "edge", a.edge.Name, "haproxy", a.engine.Version(), "socket", a.edge.Admin.Socket)
	err := a.agent.Run(loop)
	close(a.agentEnded)
	select {
	case <-ctx.Done():
	case <-a.ending:
	}
	end()
	a.log.Info("edge ended", "edge", a.edge.Name)
	return err
}

// Stop ends the loop, then the engine and, once that is answered, Run. Requests in
// flight have until drain is over.
func (a *App) Stop(ctx context.Context, drain time.Duration) (err error) {
	a.stop.Do(func() {
		close(a.stopping)
		<-a.agentEnded
		err = stopEngine(ctx, a.engine, drain)
		close(a.ending)
	})
	return err
}

// Status is how the edge is doing, the engine's word included.
func (a *App) Status(ctx context.Context) status.Status { return a.status(ctx, engine.Whole) }

func (a *App) status(ctx context.Context, depth engine.Depth) status.Status {
	ctx, cancel := context.WithTimeout(ctx, statsTimeout)
	defer cancel()
	stats, err := a.engine.Stats(ctx, depth)
	now := time.Now()
	s := status.Build(now, a.agent.Snapshot(), depth, stats, err)
	if depth == engine.Whole {
		s.Registrations = registrations(now, a.phones)
	}
	return s
}

func (a *App) close() {
	for _, c := range slices.Backward(a.closers) {
		c()
	}
	a.closers = nil
}
