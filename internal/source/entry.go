package source

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/landfall-edge/landfall/internal/model"
)

// entry is one source of a Set and the memory of its answers.
type entry struct {
	source Source
	name   string
	kept   *kept // nil: nothing is kept on disk

	good   model.Fragment // the last good answer
	have   bool           // there is one, from this run or from disk
	synced bool           // there was one in this run
	dirty  bool           // it is not on disk yet

	problem error     // why there is no fresh answer now; nil means there is
	ended   error     // why the source runs no more
	since   time.Time // when synced or problem began to be as they are

	loaded    bool      // the disk has been asked
	loadedAt  time.Time // when what was there was written; zero if nothing was
	loadError error     // what was wrong with it
	saveError error     // why the last write failed

	// What fragment made last: base and extra in one.
	base, extra, merged []model.Finding
}

// take remembers what Read of the source returned, and reports whether there is
// something new to keep on disk.
func (e *entry) take(f model.Fragment, err error, now time.Time) (news bool) {
	if (err == nil) != (e.problem == nil) || err == nil && !e.synced {
		e.since = now
	}
	e.problem = err
	switch {
	case err == nil || f.Source != "":
		f.Source = e.name
		news = e.kept != nil && (!e.synced || !same(e.good, f))
		e.good, e.have, e.synced = f, true, true
		e.dirty = e.dirty || news
	case !e.have && !e.loaded && e.kept != nil:
		e.load()
	}
	return news
}

func (e *entry) load() {
	e.loaded = true
	f, at, err := e.kept.load()
	e.loadError = err
	if !at.IsZero() {
		e.good, e.have, e.loadedAt = f, true, at
	}
}

// saved remembers how the last write went, and reports whether that is news.
func (e *entry) saved(err error) bool {
	news := (err == nil) != (e.saveError == nil) || err != nil && err.Error() != e.saveError.Error()
	e.saveError = err
	return news
}

// fragment is what is served of the source. While nothing changes its slices are
// the same ones.
func (e *entry) fragment() model.Fragment {
	f := e.good
	f.Source = e.name
	extra := e.findings()
	if len(extra) == 0 {
		return f
	}
	if !sameSlice(e.base, f.Findings) || !slices.Equal(e.extra, extra) {
		e.base, e.extra = f.Findings, extra
		e.merged = slices.Concat(f.Findings, extra)
	}
	f.Findings = e.merged
	return f
}

func (e *entry) status() Status {
	st := Status{Name: e.name, Synced: e.synced, Stale: e.problem != nil && e.have, Since: e.since}
	switch {
	case e.ended != nil:
		st.Err = &trouble{e.ended}
	case e.problem != nil:
		st.Err = &trouble{e.problem}
	}
	var messages []string
	for _, f := range e.findings() {
		messages = append(messages, f.Message)
	}
	st.Message = strings.Join(messages, "; ")
	return st
}

// findings are about the source itself. They change only when it does.
func (e *entry) findings() []model.Finding {
	var list []model.Finding
	add := func(reason, accepted, format string, args ...any) {
		list = append(list, model.Finding{
			Origin: model.Origin{Source: e.name}, Reason: reason,
			Message: fmt.Sprintf(format, args...), Accepted: accepted,
		})
	}
	switch {
	case e.problem == nil:
	case e.synced:
		add("SourceStale", "its last good answer", "its last good answer stays in place, and it is asked again by itself: %s", brief(e.problem))
	case e.have:
		add("SourceNotSynced", "its state from disk", "it has not answered since the start: %s; served is what it asked for on %s, until it answers",
			brief(e.problem), e.loadedAt.UTC().Format(time.RFC3339))
	case e.loaded:
		add("SourceNotSynced", "", "it has not answered since the start: %s; nothing new of it is served until it answers, as no earlier state of it is on disk", brief(e.problem))
	default:
		add("SourceNotSynced", "", "it has not answered yet: %s; nothing new of it is served until it answers", brief(e.problem))
	}
	if e.loadError != nil && !e.synced {
		add("KeptStateDamaged", "", "its state on disk is not whole: %s; the file is written anew once the source answers", brief(e.loadError))
	}
	if e.ended != nil {
		add("SourceEnded", "what it asked for so far", "it has stopped and sees no more changes: %s; mend the cause and restart the edge, which interrupts no traffic", brief(e.ended))
	}
	if e.saveError != nil {
		add("StateNotKept", "everything", "its state cannot be kept on disk: %s; nothing served depends on it, but after a restart without this source an older state would be served; make room, or mend the folder",
			brief(e.saveError))
	}
	return list
}

// mostOfError is how much of an error goes into a finding.
const mostOfError = 500

// brief is an error on one line of bounded length, as parts of it may come from
// elsewhere, and without what whoever tells it says already.
func brief(err error) string {
	text := strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.TrimPrefix(err.Error(), ErrNotSynced.Error()+": "))
	if len(text) > mostOfError {
		text = strings.ToValidUTF8(text[:mostOfError], "") + "..."
	}
	return text
}

// trouble is an error of a source as it is told.
type trouble struct{ err error }

func (t *trouble) Error() string { return brief(t.err) }
func (t *trouble) Unwrap() error { return t.err }

// same reports whether two fragments are made of the same objects.
func same(a, b model.Fragment) bool {
	return samePointers(a.Parts, b.Parts) && samePointers(a.Backends, b.Backends) && samePointers(a.Probes, b.Probes) &&
		(sameSlice(a.Findings, b.Findings) || slices.Equal(a.Findings, b.Findings))
}

func samePointers[T any](a, b []*T) bool { return sameSlice(a, b) || slices.Equal(a, b) }

// sameSlice reports whether two slices are one in memory.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
