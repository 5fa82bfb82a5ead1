package haproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/journal"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// The journal's keys: what kind of object, and its name.
const (
	listenerKey = "listener "
	routeKey    = "route "
	backendKey  = "backend "
	probeKey    = "probe "
	spareKey    = "spare "  // a backend -> the spare that serves it
	slotKey     = "slot "   // a probe -> the slot that it is
	workerKey   = "worker " // the pid of the worker that loaded the generation
	// settledKey stands behind what is done and in the files. A change that stands
	// behind it may have been cut off.
	settledKey = "settled "
)

// recall opens the journal of a generation and returns the state that was applied
// last. A damaged one, or none, is an empty state.
func (d *disk) recall(gen string) (model.State, error) {
	d.forgetFiles()
	d.bound, d.worker = newBindings(), 0
	var s model.State
	cut := true // until what settles it
	settled := 0
	j, err := journal.Open(d.path(generations+gen, journalFile), func(key string, value json.RawMessage) error {
		cut = key != settledKey
		switch {
		case strings.HasPrefix(key, spareKey):
			return recallBinding(d.bound.spares, strings.TrimPrefix(key, spareKey), value)
		case strings.HasPrefix(key, slotKey):
			return recallBinding(d.bound.slots, strings.TrimPrefix(key, slotKey), value)
		case key == workerKey:
			return json.Unmarshal(value, &d.worker)
		case key == settledKey:
			settled = len(s.Backends)
		}
		return recallObject(&s, key, value)
	})
	if errors.Is(err, journal.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("cannot tell what was applied last", "engine", "haproxy", "error", err)
		d.forgot = true
		d.staleAll()
		return model.State{}, nil
	}
	if err != nil {
		return model.State{}, err
	}
	d.keep(j)
	if cut {
		d.staleAll()
	}
	for i := settled; i < len(s.Backends); i++ {
		s.Backends[i] = uncertain(s.Backends[i])
	}
	sortState(&s)
	return s, nil
}

// recallObject takes what a line of the journal says of an object. Other lines, a
// newer Landfall's too, say nothing of one.
func recallObject(s *model.State, key string, value json.RawMessage) error {
	switch {
	case strings.HasPrefix(key, listenerKey):
		return recallOne(&s.Listeners, strings.TrimPrefix(key, listenerKey), listenerName, value)
	case strings.HasPrefix(key, routeKey):
		return recallOne(&s.Routes, strings.TrimPrefix(key, routeKey), routeName, value)
	case strings.HasPrefix(key, backendKey):
		return recallOne(&s.Backends, strings.TrimPrefix(key, backendKey), backendName, value)
	case strings.HasPrefix(key, probeKey):
		return recallOne(&s.Probes, strings.TrimPrefix(key, probeKey), probeName, value)
	}
	return nil
}

func sortState(s *model.State) {
	slices.SortFunc(s.Listeners, func(a, b *model.Listener) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Routes, func(a, b *model.Route) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Backends, func(a, b *model.Backend) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Probes, func(a, b *model.Probe) int { return strings.Compare(a.Name, b.Name) })
}

// unknownProbe stands for all that cannot be seen of a server: nothing wanted is
// like it, so that one that is wanted is replaced.
const unknownProbe = "?"

// uncertain is a backend of whose servers only that can be known which is seen.
func uncertain(b *model.Backend) *model.Backend {
	changed := *b
	changed.Endpoints = slices.Clone(b.Endpoints)
	for i := range changed.Endpoints {
		changed.Endpoints[i].Probe = unknownProbe
	}
	return &changed
}

// cutOff is a state in which a plan was not carried out to its end.
func cutOff(s model.State, p plan.Plan) model.State {
	touched := map[string]bool{}
	for _, step := range p.Backends {
		touched[stepName(step, func(b *model.Backend) string { return b.Name })] = true
	}
	s.Backends = slices.Clone(s.Backends)
	for i, b := range s.Backends {
		if touched[b.Name] {
			s.Backends[i] = uncertain(b)
		}
	}
	return s
}

func recallBinding(into map[string]string, name string, value json.RawMessage) error {
	var place string
	err := json.Unmarshal(value, &place)
	into[name] = place
	return err
}

// keep makes j the journal that changes go into.
func (d *disk) keep(j *journal.Journal) {
	if d.journal != nil {
		if err := d.journal.Close(); err != nil {
			d.log.Warn("close journal", "engine", "haproxy", "error", err)
		}
	}
	d.journal = j
}

// begin writes the journal of a generation before HAProxy loads it, so that an
// agent that dies in between leaves a worker that the next one knows.
func (d *disk) begin(gen string, want model.State) error {
	j, err := openJournal(d.path(generations+gen, journalFile))
	if err != nil {
		return err
	}
	return errors.Join(j.Rewrite(fill(want, newBindings(), 0)), j.Close())
}

// follow takes up the journal of the generation that was loaded.
func (d *disk) follow(gen string, worker int) {
	d.bound, d.worker, d.forgot = newBindings(), worker, false
	j, err := openJournal(d.path(generations+gen, journalFile))
	if err == nil {
		d.keep(j)
		err = errors.Join(j.Put(workerKey, worker), j.Put(settledKey, true), j.Flush())
	}
	if err != nil {
		d.forget(err)
	}
}

// forget notes that the journal could not be written; it is written anew as a
// whole when it can be.
func (d *disk) forget(err error) {
	d.forgot = true
	d.failed(err)
}

func openJournal(path string) (*journal.Journal, error) {
	return journal.Open(path, func(string, json.RawMessage) error { return nil })
}

func recallOne[T any](list *[]*T, want string, name func(*T) string, value json.RawMessage) error {
	x := new(T)
	if err := json.Unmarshal(value, x); err != nil {
		return fmt.Errorf("recall: %w", err)
	}
	if name(x) != want || want == "" {
		return fmt.Errorf("recall: %.80q is there as %.80q", name(x), want)
	}
	*list = append(*list, x)
	return nil
}

// expect appends what a change is about to do, before it is done: an agent that
// dies in between leaves servers less than are known, never ones that nobody knows.
// A failure does not stop the change.
func (d *disk) expect(p plan.Plan, bound bindings) {
	if err := d.tryExpect(p, bound); err != nil {
		d.forget(err)
	}
}

func (d *disk) tryExpect(p plan.Plan, bound bindings) error {
	before := d.bound
	d.bound = bound.clone()
	if d.journal == nil {
		return nil
	}
	err := errors.Join(
		rememberBindings(d.journal, spareKey, before.spares, bound.spares),
		rememberBindings(d.journal, slotKey, before.slots, bound.slots),
		rememberSteps(d.journal, listenerKey, p.Listeners, func(x *model.Listener) string { return x.Name }),
		rememberSteps(d.journal, routeKey, p.Routes, func(x *model.Route) string { return x.Name }),
		rememberSteps(d.journal, backendKey, p.Backends, func(x *model.Backend) string { return x.Name }),
		rememberSteps(d.journal, probeKey, p.Probes, func(x *model.Probe) string { return x.Name }),
	)
	d.stale = true
	return errors.Join(err, d.journal.Flush())
}

func rememberBindings(j *journal.Journal, kind string, before, after map[string]string) error {
	if maps.Equal(before, after) {
		return nil
	}
	var err error
	for name := range before {
		if _, ok := after[name]; !ok {
			err = errors.Join(err, j.Put(kind+name, nil))
		}
	}
	for name, place := range after {
		if before[name] != place {
			err = errors.Join(err, j.Put(kind+name, place))
		}
	}
	return err
}

func rememberSteps[T any](j *journal.Journal, kind string, steps []plan.Step[T], name func(*T) string) error {
	var err error
	for _, s := range steps {
		if s.Want == nil {
			err = errors.Join(err, j.Put(kind+name(s.Have), nil))
		} else {
			err = errors.Join(err, j.Put(kind+name(s.Want), s.Want))
		}
	}
	return err
}

// fill puts everything that is remembered.
func fill(s model.State, bound bindings, worker int) func(put func(string, any) error) error {
	return func(put func(string, any) error) error {
		var err error
		for _, x := range s.Listeners {
			err = errors.Join(err, put(listenerKey+x.Name, x))
		}
		for _, x := range s.Routes {
			err = errors.Join(err, put(routeKey+x.Name, x))
		}
		for _, x := range s.Backends {
			err = errors.Join(err, put(backendKey+x.Name, x))
		}
		for _, x := range s.Probes {
			err = errors.Join(err, put(probeKey+x.Name, x))
		}
		for name, spare := range bound.spares {
			err = errors.Join(err, put(spareKey+name, spare))
		}
		for name, slot := range bound.slots {
			err = errors.Join(err, put(slotKey+name, slot))
		}
		return errors.Join(err, put(workerKey, worker), put(settledKey, true))
	}
}
