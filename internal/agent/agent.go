// Package agent is the loop that keeps what is served equal to what is asked
// for. It knows contracts only: which sources and which engine there are is
// decided by whoever makes an Agent.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/source"
)

// maxRounds bounds how often one turn builds again without what was refused.
const maxRounds = 20

// Sources is what the agent needs of all sources together; source.Set has it.
type Sources interface {
	// Run keeps every source fresh until ctx ends.
	Run(ctx context.Context, changed func()) error
	// Ready is closed when every source has answered, or was waited for long enough.
	Ready() <-chan struct{}
	// Read returns what each source asks for, in order of precedence.
	Read(ctx context.Context) []model.Fragment
	// Report tells the sources what became of their objects.
	Report(ctx context.Context, outcomes []*model.Outcome, findings []model.Finding)
	// Status says how each source is doing.
	Status() []source.Status
}

// follower is Sources that want to know when what Read returned is served.
type follower interface{ Turned() }

// Config is what an Agent is made of.
type Config struct {
	Name    string // of the edge
	Sources Sources
	Engine  engine.Engine
	// VIPs is asked at the start and at each recheck: the addresses of a machine
	// may change. At least one VIP.
	VIPs           func() []model.VIP
	HTTPPort       uint16
	HTTPSPort      uint16
	DefaultBackend string
	Reserved       []netip.AddrPort
	Guard          Guard
	Log            *slog.Logger
	// OnTurn, if set, is told how long each turn took and how it ended.
	OnTurn func(took time.Duration, err error)
	// OnApplied, if set, is told each change once clients see it.
	OnApplied func(plan.Plan, engine.Applied)
	// OnFindings, if set, is told all findings whenever they are others than before.
	OnFindings func([]model.Finding)
}

// Agent makes what is asked for so, again and again:
//
//   - It reads every source and builds the whole state that should be served.
//   - It holds back what sources have suspiciously stopped asking for.
//   - It has the engine apply what differs from what is served; what the engine
//     refuses is set aside, and the rest goes live.
//   - It tells the sources where their objects are served and what is wrong.
//   - It remembers only what makes the next turn cheap or explains the last ones.
type Agent struct {
	Config
	monitor engine.Monitor    // nil if the engine is none
	finder  engine.PortFinder // nil if the engine is none

	// Of the loop's goroutine alone.
	prev     *desired.Output
	shown    *desired.Output // prev, with what is held back
	served   model.State     // what was applied last
	applied  bool            // served is known
	guard    guard
	held     []model.Held
	setAside refusals
	vips     []model.VIP
	handed   *desired.Output // what the sources were told last
	logged   *findingLog

	wake chan struct{} // one slot: wake-ups during a turn make one more turn

	mu      sync.Mutex
	pending wakeUp
	view    view
}

// New returns an Agent that does nothing until Run.
func New(c Config) (*Agent, error) {
	if c.Sources == nil || c.Engine == nil || c.VIPs == nil || c.Log == nil {
		return nil, errors.New("an agent needs Sources, Engine, VIPs and Log")
	}
	a := &Agent{Config: c, setAside: refusals{}, wake: make(chan struct{}, 1), vips: c.VIPs(), logged: newFindingLog(c.Log)}
	a.monitor, _ = c.Engine.(engine.Monitor)
	a.finder, _ = c.Engine.(engine.PortFinder)
	a.view = view{started: time.Now(), vips: a.vips, waiting: []string{"nothing has been applied yet"}}
	return a, nil
}

// turn makes what is asked for so, once.
func (a *Agent) turn(ctx context.Context, w wakeUp) error {
	fragments := a.Sources.Read(ctx)
	have, err := a.Engine.Observe(ctx)
	if err != nil {
		return fmt.Errorf("observe what is served: %w", err)
	}
	if w.recheck {
		a.vips = a.VIPs()
	}
	unsettled := a.unsettled()
	if unsettled { // the operator's own files may have stood in an object's way
		clear(a.setAside)
	}
	a.setAside.forget(fragments, w.recheck, time.Now())
	w.confirmed = a.letGo(w.approvals, time.Now())
	findHeld := w.recheck || w.held || unsettled
	for range maxRounds {
		out := desired.Build(a.input(fragments, have))
		a.prev = out
		out, p := a.guarded(out, have, fragments)
		a.shown = out
		if findHeld || opens(p) {
			findHeld = false
			if a.findHeld(ctx, out.Asked) {
				continue
			}
		}
		applied := engine.Applied{Way: engine.Nothing}
		if !p.Empty() || a.unsettled() {
			applied, err = a.Engine.Apply(ctx, out.State, p)
		}
		var refused *engine.RefusedError
		if errors.As(err, &refused) && a.setAside.add(refused.Objects, fragments, time.Now()) {
			a.Log.Warn("the engine refused objects", "objects", len(refused.Objects), "first", refused.Error())
			continue
		}
		if err != nil {
			return fmt.Errorf("apply: %w", err)
		}
		a.served, a.applied = out.State, true
		a.record(p, applied, w)
		a.report(ctx, out)
		a.turned()
		return nil
	}
	return fmt.Errorf("apply: objects are still being refused after %d rounds", maxRounds)
}

// turned tells the sources that what they asked for is served.
func (a *Agent) turned() {
	if f, ok := a.Sources.(follower); ok {
		f.Turned()
	}
}

func (a *Agent) input(fragments []model.Fragment, have model.State) desired.Input {
	in := desired.Input{
		Fragments: fragments, VIPs: a.vips, HTTPPort: a.HTTPPort, HTTPSPort: a.HTTPSPort, DefaultBackend: a.DefaultBackend,
		Reserved: a.Reserved, Held: a.held, Serving: have.Listeners, SetAside: a.setAside.messages(), Prev: a.prev,
	}
	if a.monitor != nil {
		in.Health = a.monitor.Health()
	}
	return in
}

// unsettled reports whether the engine has something to do of its own.
func (a *Agent) unsettled() bool {
	e, ok := a.Engine.(engine.Unsettled)
	return ok && e.Unsettled() != ""
}

// opens reports whether p opens a port that was not open before.
func opens(p plan.Plan) bool {
	for _, s := range p.Listeners {
		if s.Want != nil {
			return true
		}
	}
	return false
}
