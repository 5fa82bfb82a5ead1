package agent

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
)

// mendPause is how long a refused object stays set aside at least: one that
// changes all the time must not cost the others a refused configuration each time.
const mendPause = time.Second

// refusals are the objects that the engine refused, by name.
type refusals map[string]refusal

type refusal struct {
	message string
	at      time.Time
	// asked is what the sources asked for under this name; when it changes, the
	// object has another chance.
	asked []any
	// changed means that it has changed, yet too soon.
	changed bool
	// passing means that the machine stood in the way (an address that is not
	// there yet, a port in use), so that it is tried again by itself.
	passing bool
}

// due is when the object has another chance whatever was asked; zero is never.
func (r refusal) due() time.Time {
	switch {
	case r.changed:
		return r.at.Add(mendPause)
	case r.passing:
		return r.at.Add(heldEvery)
	}
	return time.Time{}
}

// add remembers what was refused and reports whether any of it is new, so that
// another round can do better.
func (r refusals) add(objects []engine.Refused, fragments []model.Fragment, now time.Time) bool {
	news := false
	for _, o := range objects {
		if _, known := r[o.Name]; known {
			continue
		}
		r[o.Name] = refusal{message: o.Message, at: now, passing: o.Cause != nil}
		news = true
	}
	if news {
		asked := r.find(fragments)
		for name, old := range r {
			if old.at.Equal(now) {
				old.asked = asked[name]
				r[name] = old
			}
		}
	}
	return news
}

// forget lets go of what has changed since it was refused, of what only the
// machine stood in the way of, and at a recheck of what no source asked for by its
// own name.
func (r refusals) forget(fragments []model.Fragment, recheck bool, now time.Time) {
	if len(r) == 0 {
		return
	}
	asked := r.find(fragments)
	for name, old := range r {
		old.changed = !same(old.asked, asked[name])
		r[name] = old
		due := old.due()
		if !due.IsZero() && !now.Before(due) || recheck && len(old.asked) == 0 {
			delete(r, name)
		}
	}
}

// again is when the next object has its chance; zero is never.
func (r refusals) again() time.Time {
	var at time.Time
	for _, old := range r {
		if t := old.due(); !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

func (r refusals) messages() map[string]string {
	out := make(map[string]string, len(r))
	for name, old := range r {
		out[name] = old.message
	}
	return out
}

// find returns what the fragments ask for under the names of r.
func (r refusals) find(fragments []model.Fragment) map[string][]any {
	out := map[string][]any{}
	note := func(name string, object any) {
		if _, ok := r[name]; ok {
			out[name] = append(out[name], object)
		}
	}
	for _, f := range fragments {
		for _, p := range f.Parts {
			for _, l := range p.Listeners {
				note(l.Name, l)
			}
			for _, route := range p.Routes {
				note(route.Name, route)
			}
		}
		for _, b := range f.Backends {
			note(b.Name, b)
		}
		for _, p := range f.Probes {
			note(p.Name, p)
		}
	}
	return out
}

// same compares pointers first: a source that changed nothing hands on the same.
func same(a, b []any) bool {
	return slices.EqualFunc(a, b, func(x, y any) bool { return x == y || reflect.DeepEqual(x, y) })
}

// findHeld asks which ports others hold and reports whether that has changed. A
// failure changes nothing: the ports are then tried.
func (a *Agent) findHeld(ctx context.Context, asked []*model.Listener) bool {
	if a.finder == nil {
		return false
	}
	held, err := a.finder.Held(ctx, asked)
	if err != nil {
		a.Log.Warn("ports of others could not be looked up", "error", err)
		return false
	}
	if slices.Equal(held, a.held) {
		return false
	}
	a.held = held
	return true
}

// report tells the sources what became of their objects, if that has changed.
func (a *Agent) report(ctx context.Context, out *desired.Output) {
	before := a.handed
	if before == nil {
		before = &desired.Output{}
	}
	others := !slices.Equal(before.Findings, out.Findings)
	if a.handed != nil && !others && slices.Equal(before.Outcomes, out.Outcomes) {
		return
	}
	a.Sources.Report(ctx, out.Outcomes, out.Findings)
	a.handed = out
	if others && a.OnFindings != nil {
		a.OnFindings(out.Findings)
	}
}
