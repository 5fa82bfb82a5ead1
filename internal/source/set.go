package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/landfall-edge/landfall/internal/model"
)

const (
	saveEvery = 2 * time.Second  // at most one write of each source to disk
	retrySave = 10 * time.Second // after one that failed
)

// SetConfig is what a Set is made of.
type SetConfig struct {
	// Sources in order of precedence.
	Sources []Source
	// Dir is where the last good answer of each source is kept; empty keeps none.
	// It is created.
	Dir string
	// Grace is how long Ready waits for the first answers of all sources.
	Grace time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Set is several sources in order of precedence. A source that fails costs the
// others nothing, and itself as little as possible: its last good answer is
// served, from memory or, after a start, from disk.
type Set struct {
	grace time.Duration
	now   func() time.Time
	ready chan struct{}
	dirty chan struct{} // one slot: there is something to save

	mu      sync.Mutex
	entries []*entry
	isReady bool
}

// Status is how one source is doing.
type Status struct {
	Name string `json:"name"`
	// Synced means that it has given a whole answer since the start.
	Synced bool `json:"synced"`
	// Stale means that what is served of it is an earlier answer.
	Stale   bool   `json:"stale"`
	Message string `json:"message,omitempty"`
	// Since is when it began to be as it is.
	Since time.Time `json:"since"`
	// Err is why it gives no fresh answer, in brief; nil means that it does.
	Err error `json:"-"`
}

// NewSet returns a Set that reads its sources at once, and keeps them fresh
// while it runs.
func NewSet(c SetConfig) (*Set, error) {
	s := &Set{grace: c.Grace, now: c.Now, ready: make(chan struct{}), dirty: make(chan struct{}, 1)}
	if c.Now == nil {
		return nil, errors.New("make source set: it needs a clock")
	}
	seen := map[string]bool{}
	for _, src := range c.Sources {
		name := src.Name()
		if name == "" || name != filepath.Base(name) || seen[name] {
			return nil, fmt.Errorf("make source set: %q is not the name of one source only", name)
		}
		seen[name] = true
		e := &entry{source: src, name: name, since: c.Now()}
		if _, constant := src.(Constant); c.Dir != "" && !constant {
			e.kept = &kept{source: name, path: filepath.Join(c.Dir, name+".jsonl")}
		}
		s.entries = append(s.entries, e)
	}
	return s, nil
}

// Run runs every source and keeps their answers on disk, until ctx ends. A source
// that ends by itself is told of by Read, and stops none of the others.
func (s *Set) Run(ctx context.Context, changed func()) error {
	var g errgroup.Group
	for _, e := range s.entries {
		g.Go(func() error {
			err := e.source.Run(ctx, func() {
				s.checkReady(ctx)
				changed()
			})
			if ctx.Err() == nil {
				s.end(e, err)
				changed()
			}
			return nil
		})
	}
	g.Go(func() error {
		s.keep(ctx, changed)
		return nil
	})
	g.Go(func() error {
		s.awaitGrace(ctx)
		return nil
	})
	return g.Wait()
}

func (s *Set) end(e *entry, err error) {
	if err == nil {
		err = errors.New("it ended by itself")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ended = err
}

// Ready is closed once every source has answered, or the grace is over.
func (s *Set) Ready() <-chan struct{} { return s.ready }

func (s *Set) awaitGrace(ctx context.Context) {
	s.checkReady(ctx)
	timer := time.NewTimer(s.grace)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.ready:
	case <-timer.C:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.markReady()
	}
}

// checkReady asks the sources, until they have all answered once.
func (s *Set) checkReady(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isReady {
		return
	}
	for _, e := range s.entries {
		if e.synced {
			continue
		}
		if _, err := e.source.Read(ctx); err != nil {
			return
		}
	}
	s.markReady()
}

func (s *Set) markReady() {
	if !s.isReady {
		s.isReady = true
		close(s.ready)
	}
}

// Read returns what each source asks for, in order of precedence. What is wrong
// with a source itself is among the findings of its Fragment. A source that has
// not answered yet is read from disk, once, whether it is before Ready or after.
func (s *Set) Read(ctx context.Context) []model.Fragment {
	s.mu.Lock()
	defer s.mu.Unlock()
	fragments := make([]model.Fragment, 0, len(s.entries))
	for _, e := range s.entries {
		f, err := e.source.Read(ctx)
		if e.take(f, err, s.now()) {
			s.wakeKeeper()
		}
		fragments = append(fragments, e.fragment())
	}
	return fragments
}

// Status says how each source was doing when it was last read.
func (s *Set) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Status, 0, len(s.entries))
	for _, e := range s.entries {
		list = append(list, e.status())
	}
	return list
}

// Report tells every source that wants to know what became of its own objects.
func (s *Set) Report(ctx context.Context, outcomes []*model.Outcome, findings []model.Finding) {
	byOutcome := bySource(outcomes, func(o *model.Outcome) string { return o.Origin.Source })
	byFinding := bySource(findings, func(f model.Finding) string { return f.Origin.Source })
	for _, e := range s.entries {
		if reporter, ok := e.source.(Reporter); ok {
			reporter.Report(ctx, byOutcome[e.name], byFinding[e.name])
		}
	}
}

// bySource parts what is sorted by source, without a copy where it is.
func bySource[T any](all []T, source func(T) string) map[string][]T {
	parts := map[string][]T{}
	for len(all) > 0 {
		name := source(all[0])
		n := slices.IndexFunc(all, func(v T) bool { return source(v) != name })
		if n < 0 {
			n = len(all)
		}
		if part, more := parts[name]; more {
			parts[name] = append(part, all[:n]...)
		} else {
			parts[name] = all[:n:n]
		}
		all = all[n:]
	}
	return parts
}

func (s *Set) wakeKeeper() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// keep writes what Read found new, away from whoever reads, and once more when
// ctx ends.
func (s *Set) keep(ctx context.Context, changed func()) {
	defer func() {
		s.save()
		s.closeKept()
	}()
	for pause := saveEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		news, failed := s.save()
		pause = saveEvery
		if failed {
			pause = retrySave
			s.wakeKeeper()
		}
		if news {
			changed()
		}
	}
}

// save writes the answers that are not on disk yet. news reports that there is
// another finding about it than before.
func (s *Set) save() (news, failed bool) {
	for _, e := range s.entries {
		s.mu.Lock()
		f, dirty, now := e.good, e.dirty, s.now()
		e.dirty = false
		s.mu.Unlock()
		if !dirty {
			continue
		}
		err := e.kept.save(f, now)
		s.mu.Lock()
		if err != nil {
			e.dirty, failed = true, true
		}
		news = e.saved(err) || news
		s.mu.Unlock()
	}
	return news, failed
}

func (s *Set) closeKept() {
	for _, e := range s.entries {
		if e.kept != nil {
			e.kept.close()
		}
	}
}
