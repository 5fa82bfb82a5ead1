package agent

import (
	"math"
	"slices"
	"time"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/status"
)

// view is what others see of the agent; guarded by Agent.mu.
type view struct {
	started time.Time
	vips    []model.VIP
	output  *desired.Output
	engine  []model.Finding // the engine's own
	held    []*hold
	waiting []string
	changes []status.Change // the oldest first
}

// Snapshot is what the agent knew after its last turn.
func (a *Agent) Snapshot() status.Snapshot {
	sources := a.Sources.Status()
	a.mu.Lock()
	defer a.mu.Unlock()
	changes := slices.Clone(a.view.changes)
	slices.Reverse(changes)
	var held []status.Held
	for _, h := range a.view.held {
		held = append(held, a.told(h))
	}
	return status.Snapshot{
		Edge: a.Name, Started: a.view.started, VIPs: a.view.vips, Sources: sources,
		Output: a.view.output, Engine: a.view.engine, Changes: changes, Waiting: a.view.waiting, Held: held,
	}
}

// publish shows how the last turn ended.
func (a *Agent) publish(err error) {
	var findings []model.Finding
	if f, ok := a.Engine.(engine.Finder); ok {
		findings = f.Findings()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.view.engine = findings
	a.view.vips, a.view.output, a.view.waiting = a.vips, a.shown, nil
	a.view.held = a.guard.holds
	if err != nil {
		a.view.waiting = []string{err.Error()}
	}
}

// logFindings tells the log what publish has shown.
func (a *Agent) logFindings(now time.Time) {
	var found []model.Finding
	if a.shown != nil {
		found = a.shown.Findings
	}
	a.logged.tell(now, a.view.engine, found) // only this goroutine writes the view
}

// record remembers a change that went live and tells who wants to know.
func (a *Agent) record(p plan.Plan, applied engine.Applied, w wakeUp) {
	if applied.Way == engine.Nothing {
		return
	}
	now := time.Now()
	c := status.Change{
		At: now, Objects: describe(p), Cause: applied.Cause, Way: applied.Way,
		MS: math.Round(float64(now.Sub(w.since))/float64(10*time.Microsecond)) / 100,
	}
	if c.Cause == "" {
		c.Cause = w.cause()
	}
	a.mu.Lock()
	if len(a.view.changes) == status.KeptChanges {
		a.view.changes = slices.Delete(a.view.changes, 0, 1)
	}
	a.view.changes = append(a.view.changes, c)
	a.mu.Unlock()
	a.Log.Info("live", "objects", c.Objects, "way", string(c.Way), "cause", c.Cause, "ms", c.MS)
	if a.OnApplied != nil {
		a.OnApplied(p, applied)
	}
}
