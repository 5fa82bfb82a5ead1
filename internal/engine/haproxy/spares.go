package haproxy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// HAProxy before 3.4 cannot add a backend at run time. The file therefore carries
// a pool of plain spare backends; a new backend that needs no more than they have
// takes one: its servers are added to it and its routes lead to it. On disk it
// stands under its own name from the beginning, and gets it at the next reload,
// which gives back every spare.
const sparePrefix = "landfall-spare-"

// tooFewSpares ends the cause of a reload that only a larger pool could have
// spared.
const tooFewSpares = ", and too few spares left"

// After a reload for want of spares there are burst times as many, but not more than
// burstLimit: more will come of where these came from. The next reload of another
// cause brings the pool back to its size. A spare takes some 11 kB of HAProxy's memory.
const (
	burst      = 16
	burstLimit = 1024
)

func spareName(i int) string { return fmt.Sprintf("%s%04d", sparePrefix, i) }

// renderSpares is the file of all spares.
func renderSpares(count int) string {
	var b strings.Builder
	for i := 1; i <= count; i++ {
		b.WriteString(backendSection(spareName(i), &model.Backend{Protocol: model.HTTP}))
	}
	return b.String()
}

// plain reports whether a spare can serve b.
func plain(b *model.Backend) bool {
	return backendShape(b) == backendShape(&model.Backend{Protocol: model.HTTP})
}

// withSpares is a renderer for a generation that is loaded for a cause.
func (r renderer) withSpares(cause string) renderer {
	if strings.HasSuffix(cause, tooFewSpares) {
		r.settings.Spares = max(r.settings.Spares, min(burst*r.settings.Spares, burstLimit))
	}
	return r
}

// backend is what HAProxy calls a backend of the model.
func (n names) backend(name string) string {
	if spare, ok := n.spares[name]; ok {
		return spare
	}
	return encode(name)
}

// target is the value of a route in the worker's maps.
func (n names) target(r *model.Route) string {
	if len(r.Backends) == 0 {
		return nobody + limitValue(r)
	}
	return n.backend(r.Backends[0].Name) + limitValue(r)
}

// freeSpares are those that serve nobody and whose last servers are gone.
func (n names) freeSpares(count int) []string {
	taken := make(map[string]bool, len(n.spares))
	for _, spare := range n.spares {
		taken[spare] = true
	}
	var free []string
	for i := 1; i <= count; i++ {
		if name := spareName(i); !taken[name] && len(n.zombies[name]) == 0 {
			free = append(free, name)
		}
	}
	return free
}

// homeless are the wanted backends of a plan that the worker has no section for.
func (n names) homeless(l loaded, p plan.Plan) []*model.Backend {
	var all []*model.Backend
	for _, s := range p.Backends {
		if s.Want == nil {
			continue
		}
		if _, ok := l.Backends[s.Want.Name]; ok {
			continue
		}
		if _, ok := n.spares[s.Want.Name]; !ok {
			all = append(all, s.Want)
		}
	}
	return all
}

// bind gives every homeless backend a spare and every new probe a slot; reloadCause
// has seen that there are enough. It returns the plan with the routes that were
// there before their backend, whose map entries lead nowhere yet.
func (n names) bind(l loaded, probes map[string]*model.Probe, want model.State, p plan.Plan) plan.Plan {
	n.settle(l, probes, p)
	homeless := n.homeless(l, p)
	if len(homeless) == 0 {
		return p
	}
	free := n.freeSpares(l.Spares)
	bound := make(map[string]bool, len(homeless))
	for i, b := range homeless {
		n.spares[b.Name] = free[i]
		bound[b.Name] = true
	}
	changed := make(map[string]bool, len(p.Routes))
	for _, s := range p.Routes {
		if s.Want != nil {
			changed[s.Want.Name] = true
		}
	}
	p.Routes = slices.Clone(p.Routes)
	for _, r := range want.Routes {
		if len(r.Backends) > 0 && bound[r.Backends[0].Name] && !changed[r.Name] {
			p.Routes = append(p.Routes, plan.Step[model.Route]{Verb: plan.Change, Have: r, Want: r})
		}
	}
	return p
}

// unbind lets go of the spares and slots of what a plan removes.
func (b bindings) unbind(p plan.Plan) {
	for _, s := range p.Probes {
		if s.Want == nil {
			delete(b.slots, s.Have.Name)
		}
	}
	for _, s := range p.Backends {
		if s.Want == nil {
			delete(b.spares, s.Have.Name)
		}
	}
}

// sparesCause says why the backends of a plan need a reload.
func (n names) sparesCause(l loaded, p plan.Plan) string {
	for _, s := range p.Backends {
		if s.Want == nil {
			continue
		}
		_, bound := n.spares[s.Want.Name]
		if have, ok := l.Backends[s.Want.Name]; ok && have != backendShape(s.Want) || bound && !plain(s.Want) {
			return "options of backend " + s.Want.Origin.String() + " changed"
		}
	}
	homeless := n.homeless(l, p)
	for _, b := range homeless {
		if l.Spares == 0 || !plain(b) {
			return "new backend " + b.Origin.String()
		}
	}
	if len(homeless) > 0 && len(homeless) > len(n.freeSpares(l.Spares)) {
		return "new backend " + homeless[0].Origin.String() + tooFewSpares
	}
	return ""
}
