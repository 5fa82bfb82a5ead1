package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// errExtra: one of the operator's files was refused and has been set aside.
var errExtra = errors.New("extra file refused")

// checkGeneration has HAProxy read a generation without loading it. What it
// refuses is set aside: one of the operator's files (errExtra), or the objects that
// it came from (a *engine.RefusedError). Who is to blame is found out so:
//
//   - by the lines and names that HAProxy's alerts hold, if they lead to an operator's
//     file or to an object that differs from what runs;
//   - else by trying: one of the changes is the first with which HAProxy refuses
//     what ran until now, or, should it refuse that by itself, one object the first
//     with which it refuses an empty state;
//   - what runs unchanged is blamed only if no change is.
func (e *Engine) checkGeneration(ctx context.Context, r renderer, want model.State) error {
	global := globalShape(e.disk.settings, e.extra.content())
	out, err := e.check(ctx, r.settings.Generation, e.disk.unproven(want, global))
	if err == nil {
		e.disk.prove(global)
	}
	if err == nil || !isExit(err) {
		return err
	}
	t := newTracer(e.disk.path(generations+r.settings.Generation), e.extra, want)
	path, text, objects := t.trace(out)
	if path != "" {
		return e.setExtraAside(path, text)
	}
	p := plan.Diff(e.have, want)
	changed := changedNames(p)
	if blame := refusal(objects, changed); blame != nil {
		return blame
	}
	if err := e.try(ctx, r, e.have, e.disk.goodExtras(e.extra), p); err != nil {
		return err
	}
	if blame := refusal(objects, nil); blame != nil {
		return blame
	}
	if err := e.try(ctx, r, model.State{}, extras{paths: e.extra.paths}, plan.Diff(model.State{}, want)); err != nil {
		return err
	}
	return fmt.Errorf("check configuration: HAProxy refuses it: %s", cutLines(out))
}

// check returns what HAProxy prints about a generation, or about some of its files,
// and an *exec.ExitError if it refuses it.
func (e *Engine) check(ctx context.Context, gen string, files []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	args := []string{"-c", "-L", "landfall"}
	dir := e.disk.path(generations + gen)
	if files == nil {
		args = append(args, "-f", dir)
	}
	for _, name := range files {
		args = append(args, "-f", filepath.Join(dir, name))
	}
	out, err := exec.CommandContext(ctx, e.config.Binary, args...).CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("check configuration: %w", err)
	}
	return string(out), err
}

func isExit(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit)
}

// setExtraAside goes back to the last good copy of one of the operator's files.
func (e *Engine) setExtraAside(path, why string) error {
	e.extra = e.extra.without(path, why, e.disk.goodExtras(e.extra))
	return fmt.Errorf("%w: %s: %s", errExtra, path, why)
}

// changedNames are the names of what a plan adds or changes.
func changedNames(p plan.Plan) map[string]bool {
	names := map[string]bool{}
	for _, c := range changes(p) {
		names[c.name] = true
	}
	return names
}

// refusal blames those of the objects that are among some, or all for nil.
func refusal(objects map[string]string, among map[string]bool) error {
	blame := &engine.RefusedError{}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if among == nil || among[name] {
			blame.Objects = append(blame.Objects, engine.Refused{Name: name, Message: objects[name]})
		}
	}
	if len(blame.Objects) == 0 {
		return nil
	}
	return blame
}

// try finds by halving the first change of a plan that HAProxy refuses on top of
// base, and blames it. It returns nil if HAProxy refuses base itself. Of n changes
// it takes as many checks as n has binary digits, and two.
func (e *Engine) try(ctx context.Context, r renderer, base model.State, good extras, p plan.Plan) error {
	t := trial{base: base, good: good, changes: changes(p)}
	for _, path := range e.extra.paths {
		if content, ok := e.extra.files[path]; ok && content != good.files[path] {
			t.files = append(t.files, path)
		}
	}
	said, err := e.refuses(ctx, r, t, 0)
	if err != nil || said != "" {
		return err
	}
	last, n := "", len(t.files)+len(t.changes)
	low, high := 0, n
	for low < high {
		middle := low + (high-low)/2
		if said, err = e.refuses(ctx, r, t, middle+1); err != nil {
			return err
		}
		if said == "" {
			low = middle + 1
		} else {
			high, last = middle, said
		}
	}
	switch {
	case low == n: // it is what was removed
		return nil
	case low < len(t.files):
		return e.setExtraAside(t.files[low], last)
	}
	return &engine.RefusedError{Objects: []engine.Refused{{Name: t.changes[low-len(t.files)].name, Message: last}}}
}

// trial is what a change is tried on, and the operator's files and objects that
// changed, in that order.
type trial struct {
	base    model.State
	good    extras
	files   []string
	changes []oneChange
}

// refuses has HAProxy check the base with the first n changes, and returns its words
// if it refuses them.
func (e *Engine) refuses(ctx context.Context, r renderer, t trial, n int) (said string, err error) {
	x := extras{paths: t.good.paths, files: map[string]string{}}
	maps.Copy(x.files, t.good.files)
	for _, path := range t.files[:min(n, len(t.files))] {
		x.files[path] = e.extra.files[path]
	}
	if err := e.disk.write(r, applied(t.base, t.changes[:max(n-len(t.files), 0)]), x, loaded{}); err != nil {
		return "", err
	}
	out, err := e.check(ctx, r.settings.Generation, nil)
	if isExit(err) {
		return firstAlert(out, err), nil
	}
	return "", err
}

// firstAlert is what HAProxy said first, or how it ended.
func firstAlert(output string, err error) string {
	for _, a := range parseAlerts(output, alertLevel) {
		if !strings.HasSuffix(a.text, "Continuing.") {
			return a.text
		}
	}
	if output = cutLines(output); output != "" {
		return output
	}
	return err.Error()
}

// oneChange puts one object of a plan into a state.
type oneChange struct {
	name  string
	apply func(*model.State)
}

// changes are what a plan adds or changes in the configuration, each after all that
// it may refer to. Routes of HTTP listeners are in maps, which are not checked.
func changes(p plan.Plan) []oneChange {
	var all []oneChange
	for _, s := range p.Probes {
		if w := s.Want; w != nil {
			all = append(all, oneChange{w.Name, func(m *model.State) { m.Probes = with(m.Probes, w, probeName) }})
		}
	}
	for _, s := range p.Backends {
		if w := s.Want; w != nil {
			all = append(all, oneChange{w.Name, func(m *model.State) { m.Backends = with(m.Backends, w, backendName) }})
		}
	}
	for _, s := range p.Listeners {
		if w := s.Want; w != nil {
			all = append(all, oneChange{w.Name, func(m *model.State) { m.Listeners = with(m.Listeners, w, listenerName) }})
		}
	}
	for _, s := range p.Routes {
		if w := s.Want; w != nil && w.Name == w.Listener {
			all = append(all, oneChange{w.Name, func(m *model.State) { m.Routes = with(m.Routes, w, routeName) }})
		}
	}
	return all
}

func listenerName(x *model.Listener) string { return x.Name }
func routeName(x *model.Route) string       { return x.Name }
func backendName(x *model.Backend) string   { return x.Name }
func probeName(x *model.Probe) string       { return x.Name }

// applied is base with some changes.
func applied(base model.State, some []oneChange) model.State {
	base.Listeners, base.Routes = slices.Clone(base.Listeners), slices.Clone(base.Routes)
	base.Backends, base.Probes = slices.Clone(base.Backends), slices.Clone(base.Probes)
	for _, c := range some {
		c.apply(&base)
	}
	return base
}

// with puts an object into a list that is sorted by name.
func with[T any](list []*T, x *T, name func(*T) string) []*T {
	i, found := slices.BinarySearchFunc(list, name(x), func(y *T, n string) int { return strings.Compare(name(y), n) })
	if found {
		list[i] = x
		return list
	}
	return slices.Insert(list, i, x)
}

// loadError: HAProxy did not take over a configuration that it had accepted.
type loadError struct{ what, output string }

func (e *loadError) Error() string {
	return e.what + ": " + firstAlert(e.output, errors.New("it printed nothing"))
}

// blameLoad blames the changed objects that HAProxy's words are about. What stands in
// their way is the machine, since HAProxy had nothing against the configuration.
func (e *Engine) blameLoad(err error, gen string, want model.State) error {
	var load *loadError
	if !errors.As(err, &load) {
		return err
	}
	_, _, objects := newTracer(e.disk.path(generations+gen), extras{}, want).trace(load.output)
	var refused *engine.RefusedError
	if !errors.As(refusal(objects, changedNames(plan.Diff(e.have, want))), &refused) {
		return err
	}
	for i := range refused.Objects {
		refused.Objects[i].Cause = err
	}
	return refused
}
