package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/status"
)

// Guard says which removals are held back, and until when.
type Guard struct {
	plan.Limits
	// Confirm is for how long a source must ask for the same, in sync, until it
	// goes by itself.
	Confirm time.Duration
	// Sources that are guarded, by name. What goes of others is a person's deed.
	Sources []string
}

// guard is what the loop remembers of removals that are held back: only that they
// are, and since when. What they are is found anew in each turn from what is
// served, also by the next agent.
type guard struct {
	holds    []*hold
	approved []plan.Removal // that have not gone yet
	// shown is plain with the findings about holds.
	plain, shown []model.Finding
}

// hold is a removal that is held back. It is never changed.
type hold struct {
	plan.Removal
	since time.Time // when the first of it was
	// asked is since when the source has asked for just this; zero while it is not
	// in sync.
	asked time.Time
}

// approval is a person's word that removals may go.
type approval struct {
	holds []*hold
	done  chan error // has room for one
}

// Approve lets go what is held back of a source, or of all if none is named, and
// says what that was, once it is gone.
func (a *Agent) Approve(ctx context.Context, name string) ([]status.Held, error) {
	a.mu.Lock()
	var told []status.Held
	ok := approval{done: make(chan error, 1)}
	for _, h := range a.view.held {
		if name == "" || h.Source == name {
			ok.holds = append(ok.holds, h)
			told = append(told, a.told(h))
		}
	}
	a.mu.Unlock()
	if len(told) == 0 {
		return nil, nil
	}
	a.wakeFor(wakeUp{approvals: []approval{ok}})
	select {
	case err := <-ok.done:
		return told, err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait until it is gone: %w", ctx.Err())
	}
}

// letGo notes what has been approved, by a person or because the source has asked
// for it for long enough, and reports whether the latter is the case.
func (a *Agent) letGo(approvals []approval, now time.Time) (confirmed bool) {
	g := &a.guard
	for _, ok := range approvals {
		for _, h := range ok.holds {
			a.Log.Info("a removal was approved", "source", h.Source, "routes", len(h.Routes), "backends", len(h.Backends))
			g.approved = append(g.approved, h.Removal)
		}
	}
	g.holds = slices.Clone(g.holds) // the one before is shown
	for i, h := range g.holds {
		h = h.at(now, a.inSync(h.Source))
		g.holds[i] = h
		if !h.asked.IsZero() && now.Sub(h.asked) >= a.Guard.Confirm {
			a.Log.Info("a removal was confirmed by its source", "source", h.Source, "routes", len(h.Routes), "backends", len(h.Backends))
			g.approved = append(g.approved, h.Removal)
			confirmed = true
		}
	}
	return confirmed
}

// at is h while its source is in sync, or is not.
func (h *hold) at(now time.Time, inSync bool) *hold {
	if inSync != h.asked.IsZero() {
		return h
	}
	other := *h
	other.asked = time.Time{}
	if inSync {
		other.asked = now
	}
	return &other
}

// silent reports whether a source has given no answer, not even an earlier one.
func (a *Agent) silent(name string) bool {
	return slices.ContainsFunc(a.Sources.Status(), func(s source.Status) bool {
		return s.Name == name && !s.Synced && !s.Stale
	})
}

func (a *Agent) inSync(name string) bool {
	return slices.ContainsFunc(a.Sources.Status(), func(s source.Status) bool {
		return s.Name == name && s.Synced && !s.Stale && s.Err == nil
	})
}

// guarded is out without the removals that are held back, and what differs between
// that and have.
func (a *Agent) guarded(out *desired.Output, have model.State, fragments []model.Fragment) (*desired.Output, plan.Plan) {
	p := plan.Diff(have, out.State)
	g := &a.guard
	if len(a.Guard.Sources) == 0 || a.Guard.Share >= 100 {
		return out, p
	}
	in := plan.Guarding{
		Have: have, Want: out.State, Plan: p, SetAside: a.setAside.messages(), Limits: a.Guard.Limits, Approved: g.approved,
	}
	if len(have.Listeners) == 0 { // the engine does not run: what it will be started with counts
		in.Have = a.lastServed()
		in.Plan = plan.Diff(in.Have, in.Want)
	}
	for _, f := range fragments {
		if !slices.Contains(a.Guard.Sources, f.Source) {
			continue
		}
		in.Asked = append(in.Asked, f)
		if len(f.Parts) == 0 && a.silent(f.Source) {
			in.Silent = append(in.Silent, f.Source)
		}
	}
	for _, h := range g.holds {
		in.Held = append(in.Held, h.Removal)
	}
	decided := plan.Guard(in)
	g.approved = decided.Approved
	g.hold(decided.Held, time.Now(), a.inSync)
	if len(g.holds) == 0 {
		return out, p
	}
	held := *out
	held.State, held.Findings = decided.State, a.withHolds(out.Findings)
	return &held, plan.Diff(have, held.State)
}

// lastServed is what the engine that does not run served: what was applied last, by
// the agent before if need be.
func (a *Agent) lastServed() model.State {
	if r, ok := a.Engine.(engine.Rememberer); ok && !a.applied {
		a.served = r.Remembered()
	}
	a.applied = true
	return a.served
}

// hold takes over what is held back now. The time starts anew for a source that
// asks for something else than before.
func (g *guard) hold(removals []plan.Removal, now time.Time, inSync func(string) bool) {
	var holds []*hold
	for _, r := range removals {
		h := &hold{Removal: r, since: now}
		i := slices.IndexFunc(g.holds, func(old *hold) bool { return old.Source == r.Source })
		switch {
		case i >= 0 && g.holds[i].Same(r):
			h = g.holds[i]
		case i >= 0:
			h.since = g.holds[i].since
		}
		holds = append(holds, h.at(now, inSync(r.Source)))
	}
	g.holds = holds
}

// due is when the next removal goes by itself; zero is never.
func (a *Agent) due() time.Time {
	var at time.Time
	for _, h := range a.guard.holds {
		at = earliest(at, h.goes(a.Guard.Confirm))
	}
	return at
}

// goes is when the removal goes by itself; zero is not before the source is in sync.
func (h *hold) goes(confirm time.Duration) time.Time {
	if h.asked.IsZero() {
		return time.Time{}
	}
	return h.asked.Add(confirm)
}

// withHolds is findings with those about holds, sorted. While neither changes it
// is the same slice.
func (a *Agent) withHolds(findings []model.Finding) []model.Finding {
	g := &a.guard
	var more []model.Finding
	for _, h := range g.holds {
		more = append(more, a.finding(h))
	}
	if sameSlice(g.plain, findings) && len(g.shown) == len(findings)+len(more) && !slices.ContainsFunc(more, func(f model.Finding) bool { return !slices.Contains(g.shown, f) }) {
		return g.shown
	}
	all := slices.Concat(findings, more)
	slices.SortStableFunc(all, func(a, b model.Finding) int {
		if a.Origin == b.Origin {
			return strings.Compare(a.Field, b.Field)
		}
		return strings.Compare(a.Origin.Key(), b.Origin.Key())
	})
	g.plain, g.shown = findings, all
	return all
}

func (a *Agent) finding(h *hold) model.Finding {
	by := "once it is in sync and has asked for just this for " + a.Guard.Confirm.String()
	if at := h.goes(a.Guard.Confirm); !at.IsZero() {
		by = "at " + at.UTC().Format(time.RFC3339) + ", if it asks for just this until then"
	}
	if h.Silent {
		return model.Finding{
			Origin: model.Origin{Source: h.Source}, Reason: "RemovalHeld", Accepted: "all of it, as before",
			Message: fmt.Sprintf("it has not answered yet, so what is served of it stays until it does: %s. If nothing of it is wanted any more: landfall approve --source %s",
				a.told(h), h.Source),
		}
	}
	return model.Finding{
		Origin: model.Origin{Source: h.Source}, Reason: "RemovalHeld", Accepted: "all of it, as before",
		Message: fmt.Sprintf("since %s it no longer asks for %s. If that is meant: landfall approve --source %s. If not, bring the objects back, and this ends by itself. They go %s",
			h.since.UTC().Format(time.RFC3339), a.told(h), h.Source, by),
	}
}

// told is a hold for people and programs.
func (a *Agent) told(h *hold) status.Held {
	return status.Held{
		Source: h.Source, Since: h.since, Goes: h.goes(a.Guard.Confirm), Examples: h.Examples,
		Routes: len(h.Routes), AllRoutes: h.AllRoutes, Backends: len(h.Backends), AllBackends: h.AllBackends, Behind: h.Behind,
	}
}

// earliest is the first of two times, of which a zero one is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
