package haproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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
	spareKey    = "spare "  // a backend that a spare serves
	workerKey   = "worker " // the pid of the worker that loaded the generation
)

// recall opens the journal of a generation and returns the state that was applied
// last. A damaged one, or none, is an empty state.
func (d *disk) recall(gen string) (model.State, error) {
	d.shards, d.maps, d.spares, d.worker = nil, nil, map[string]string{}, 0
	var s model.State
	j, err := journal.Open(d.path(generations+gen, journalFile), func(key string, value json.RawMessage) error {
		switch {
		case strings.HasPrefix(key, listenerKey):
			return recallOne(&s.Listeners, value)
		case strings.HasPrefix(key, routeKey):
			return recallOne(&s.Routes, value)
		case strings.HasPrefix(key, backendKey):
			return recallOne(&s.Backends, value)
		case strings.HasPrefix(key, probeKey):
			return recallOne(&s.Probes, value)
		case strings.HasPrefix(key, spareKey):
			var spare string
			err := json.Unmarshal(value, &spare)
			d.spares[strings.TrimPrefix(key, spareKey)] = spare
			return err
		case key == workerKey:
			return json.Unmarshal(value, &d.worker)
		}
		return nil // a newer Landfall's
	})
	if errors.Is(err, journal.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("cannot tell what was applied last", "engine", "haproxy", "error", err)
		d.behind = true
		return model.State{}, nil
	}
	if err != nil {
		return model.State{}, err
	}
	d.keep(j)
	slices.SortFunc(s.Listeners, func(a, b *model.Listener) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Routes, func(a, b *model.Route) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Backends, func(a, b *model.Backend) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Probes, func(a, b *model.Probe) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
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
	return errors.Join(rewrite(j, want, nil, 0), j.Close())
}

// follow takes up the journal of the generation that was loaded.
func (d *disk) follow(gen string, worker int) {
	j, err := openJournal(d.path(generations+gen, journalFile))
	if err != nil {
		d.behind = true
		d.log.Error("files are behind what is served", "engine", "haproxy", "error", err)
		return
	}
	d.spares, d.worker = map[string]string{}, worker
	d.keep(j)
	if err := errors.Join(j.Put(workerKey, worker), j.Flush()); err != nil {
		d.behind = true
		d.log.Error("files are behind what is served", "engine", "haproxy", "error", err)
	}
}

func openJournal(path string) (*journal.Journal, error) {
	return journal.Open(path, func(string, json.RawMessage) error { return nil })
}

func recallOne[T any](list *[]*T, value json.RawMessage) error {
	x := new(T)
	if err := json.Unmarshal(value, x); err != nil {
		return fmt.Errorf("recall: %w", err)
	}
	*list = append(*list, x)
	return nil
}

// remember appends what a plan changed.
func (d *disk) remember(p plan.Plan) error {
	if d.journal == nil {
		return nil
	}
	for _, s := range p.Listeners {
		if err := rememberStep(d.journal, listenerKey, s, func(x *model.Listener) string { return x.Name }); err != nil {
			return err
		}
	}
	for _, s := range p.Routes {
		if err := rememberStep(d.journal, routeKey, s, func(x *model.Route) string { return x.Name }); err != nil {
			return err
		}
	}
	for _, s := range p.Backends {
		if err := rememberStep(d.journal, backendKey, s, func(x *model.Backend) string { return x.Name }); err != nil {
			return err
		}
	}
	for _, s := range p.Probes {
		if err := rememberStep(d.journal, probeKey, s, func(x *model.Probe) string { return x.Name }); err != nil {
			return err
		}
	}
	return d.journal.Flush()
}

func rememberStep[T any](j *journal.Journal, kind string, s plan.Step[T], name func(*T) string) error {
	if s.Want == nil {
		return j.Put(kind+name(s.Have), nil)
	}
	return j.Put(kind+name(s.Want), s.Want)
}

// rememberAll replaces what is remembered.
func (d *disk) rememberAll(s model.State) error {
	if d.journal == nil {
		return nil
	}
	return rewrite(d.journal, s, d.spares, d.worker)
}

func rewrite(j *journal.Journal, s model.State, spares map[string]string, worker int) error {
	return j.Rewrite(func(put func(string, any) error) error {
		for _, x := range s.Listeners {
			if err := put(listenerKey+x.Name, x); err != nil {
				return err
			}
		}
		for _, x := range s.Routes {
			if err := put(routeKey+x.Name, x); err != nil {
				return err
			}
		}
		for _, x := range s.Backends {
			if err := put(backendKey+x.Name, x); err != nil {
				return err
			}
		}
		for _, x := range s.Probes {
			if err := put(probeKey+x.Name, x); err != nil {
				return err
			}
		}
		if err := put(workerKey, worker); err != nil {
			return err
		}
		for name, spare := range spares {
			if err := put(spareKey+name, spare); err != nil {
				return err
			}
		}
		return nil
	})
}
