package translate

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// keepPart is fresh, or old if both are equal; listeners and routes that stayed
// the same stay the same pointers in any case.
func keepPart(old, fresh *model.Part) *model.Part {
	if old == nil || fresh == nil {
		return fresh
	}
	keepEach(old.Listeners, fresh.Listeners, func(l *model.Listener) string { return l.Name })
	keepEach(old.Routes, fresh.Routes, func(r *model.Route) string { return r.Name })
	if reflect.DeepEqual(old, fresh) {
		return old
	}
	return fresh
}

// keepEach puts the old pointers into fresh where the values are equal. Both are
// sorted by name.
func keepEach[T any](old, fresh []*T, name func(*T) string) {
	for i, v := range fresh {
		j, there := slices.BinarySearchFunc(old, name(v), func(o *T, n string) int { return strings.Compare(name(o), n) })
		if there && reflect.DeepEqual(old[j], v) {
			fresh[i] = old[j]
		}
	}
}

// keepBackend is fresh, or old if both are equal. Endpoints are compared first and
// by themselves: there are many of them, and they are what changes.
func keepBackend(old, fresh *model.Backend) *model.Backend {
	if old == nil || !slices.Equal(old.Endpoints, fresh.Endpoints) {
		return fresh
	}
	a, b := *old, *fresh
	a.Endpoints, b.Endpoints = nil, nil
	if reflect.DeepEqual(a, b) {
		return old
	}
	return fresh
}

// keepProbe is fresh, or the equal one of old, which is sorted by name.
func keepProbe(old []*model.Probe, fresh *model.Probe) *model.Probe {
	i, there := slices.BinarySearchFunc(old, fresh.Name, func(p *model.Probe, n string) int { return strings.Compare(p.Name, n) })
	if there && *old[i] == *fresh {
		return old[i]
	}
	return fresh
}

// compact sorts findings and drops those that are there twice.
func compact(list []model.Finding) []model.Finding {
	slices.SortFunc(list, func(a, b model.Finding) int {
		return cmp.Or(
			strings.Compare(a.Origin.Kind, b.Origin.Kind), strings.Compare(a.Origin.Namespace, b.Origin.Namespace),
			strings.Compare(a.Origin.Name, b.Origin.Name), strings.Compare(a.Field, b.Field),
			strings.Compare(a.Reason, b.Reason), strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(list)
}

// collectFindings gathers the findings that belong to no part, if any of them
// changed.
func (t *Translator) collectFindings() {
	nodeless := t.noNodes()
	if !t.dirty.findings && nodeless == t.nodeless {
		return
	}
	t.dirty.findings, t.nodeless = false, nodeless
	var all []model.Finding
	if nodeless {
		all = append(all, model.Finding{
			Origin: model.Origin{Source: t.opt.Source}, Reason: "NoNodes",
			Message: "this source reaches Services by nodes, and there is no Node with a usable InternalIP; see kubectl get nodes -o wide, " +
				"add Node objects to a folder of manifests, or set reach: pods at this source in the edge's file",
		})
	}
	all = append(all, t.nodeView.Findings...)
	for _, id := range slices.Sorted(maps.Keys(t.misnamed)) {
		all = append(all, t.misnamed[id])
	}
	for _, findings := range t.found {
		all = append(all, findings...)
	}
	t.findings = compact(all)
}

// noNodes reports whether backends wait for nodes that there are not.
func (t *Translator) noNodes() bool {
	return t.opt.Reach != Pods && len(t.nodeView.Nodes) == 0 && len(t.backends.slice()) > 0
}
