package desired

import (
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// assemble puts what is served into order, each name once.
func (r *resolver) assemble(prev *claims) {
	r.claims.listeners, r.asked = r.sortListeners()
	if prev != nil && slices.Equal(prev.listeners, r.claims.listeners) {
		r.claims.listeners = prev.listeners
	}
	if prev != nil && slices.Equal(prev.asked, r.asked) {
		r.asked = prev.asked
	}
	if slices.Equal(r.asked, r.claims.listeners) {
		r.asked = r.claims.listeners
	}
	r.claims.routes = r.sortRoutes(r.lastResorts(prev))
}

func (r *resolver) sortListeners() (open, asked []*model.Listener) {
	all := make([]int, 0, len(r.listeners))
	for i := range r.listeners {
		if r.listeners[i].listener != nil {
			all = append(all, i)
		}
	}
	name := func(i int) string { return r.listeners[i].listener.Name }
	all = sortRuns(all, func(i, j int) int { return strings.Compare(name(i), name(j)) })
	last := -1
	for n, i := range all {
		claim := &r.listeners[i]
		if n == 0 || name(all[n-1]) != name(i) {
			asked = append(asked, claim.listener)
		} else {
			r.twins = true
		}
		if !claim.why.open() {
			continue
		}
		if last >= 0 && name(last) == name(i) {
			claim.why, claim.by = twice, last
			continue
		}
		open, last = append(open, claim.listener), i
	}
	return open, asked
}

func (r *resolver) sortRoutes(more []*model.Route) []*model.Route {
	all := make([]int, 0, len(r.routes))
	for i := range r.routes {
		if r.routes[i].why == served {
			all = append(all, i)
		}
	}
	all = sortRuns(all, func(i, j int) int {
		return strings.Compare(r.routes[i].route.Name, r.routes[j].route.Name)
	})
	routes := make([]*model.Route, 0, len(all)+len(more))
	for _, i := range all {
		claim := &r.routes[i]
		if n := len(routes); n > 0 && routes[n-1].Name == claim.route.Name {
			claim.why, r.twins = twice, true
			continue
		}
		routes = append(routes, claim.route)
	}
	if len(more) > 0 {
		routes = sortRuns(append(routes, more...), func(a, b *model.Route) int { return strings.Compare(a.Name, b.Name) })
		n := len(routes)
		routes = slices.CompactFunc(routes, func(a, b *model.Route) bool { return a.Name == b.Name })
		r.twins = r.twins || len(routes) < n
	}
	return routes
}

func reuseListener(l *model.Listener, prev *claims) *model.Listener {
	if prev == nil {
		return l
	}
	i, ok := slices.BinarySearchFunc(prev.asked, l.Name, func(l *model.Listener, name string) int { return strings.Compare(l.Name, name) })
	if ok {
		if old := prev.asked[i]; old.Origin == l.Origin && old.VIP == l.VIP && old.Protocol == l.Protocol && sameSocket(old, l) {
			return old
		}
	}
	return l
}
