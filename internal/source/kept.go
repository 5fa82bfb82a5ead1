package source

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/journal"
	"github.com/landfall-edge/landfall/internal/model"
)

// keptVersion is the version of the file's content; another one is not read.
const keptVersion = 1

// The keys of a kept state: one for what it is, one for the findings, and one for
// each object, after these prefixes.
const (
	keyHead     = "head"
	keyFindings = "findings"
	keyPart     = "part "
	keyBackend  = "backend "
	keyProbe    = "probe "
)

// kept is the last good answer of one source on disk. It is a journal, so that an
// endpoint that changes costs one line, however much there is.
type kept struct {
	source, path string
	journal      *journal.Journal
	fragment     model.Fragment // what the journal holds
}

// head says what a kept state is, and how much of everything it must hold.
type head struct {
	Version  int       `json:"version"`
	Source   string    `json:"source"`
	Saved    time.Time `json:"saved"`
	Parts    int       `json:"parts"`
	Backends int       `json:"backends"`
	Probes   int       `json:"probes"`
}

// load returns what is on disk and when it was written, which is zero if nothing
// is or it is of no use. With an error beside a time, some of it is missing.
func (k *kept) load() (model.Fragment, time.Time, error) {
	f := model.Fragment{Source: k.source}
	if _, err := os.Stat(k.path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return f, time.Time{}, err
	}
	var h head
	j, err := journal.Open(k.path, func(key string, value json.RawMessage) error {
		return k.loadValue(key, value, &f, &h)
	})
	if err != nil {
		return model.Fragment{}, time.Time{}, err
	}
	if err := j.Close(); err != nil {
		return model.Fragment{}, time.Time{}, err
	}
	if h.Version != keptVersion || h.Source != k.source || h.Saved.IsZero() {
		return model.Fragment{}, time.Time{}, fmt.Errorf("read %s: it is not the state of source %s, version %d", k.path, k.source, keptVersion)
	}
	slices.SortFunc(f.Parts, func(a, b *model.Part) int { return strings.Compare(partKey(a), partKey(b)) })
	slices.SortFunc(f.Backends, func(a, b *model.Backend) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Probes, func(a, b *model.Probe) int { return strings.Compare(a.Name, b.Name) })
	if h.Parts != len(f.Parts) || h.Backends != len(f.Backends) || h.Probes != len(f.Probes) {
		return f, h.Saved, fmt.Errorf("read %s: it holds %d parts, %d backends and %d probes where it should hold %d, %d and %d",
			k.path, len(f.Parts), len(f.Backends), len(f.Probes), h.Parts, h.Backends, h.Probes)
	}
	return f, h.Saved, nil
}

func (k *kept) loadValue(key string, value json.RawMessage, f *model.Fragment, h *head) error {
	kind, _, _ := strings.Cut(key, " ")
	switch kind + " " {
	case keyHead + " ":
		return json.Unmarshal(value, h)
	case keyFindings + " ":
		return json.Unmarshal(value, &f.Findings)
	case keyPart:
		err := loadObject(&f.Parts, key, keyPart+k.source, value, partKey)
		if err == nil && hasHoles(f.Parts[len(f.Parts)-1]) {
			return errors.New("it has holes")
		}
		return err
	case keyBackend:
		return loadObject(&f.Backends, key, keyBackend+k.source, value, backendKey)
	case keyProbe:
		return loadObject(&f.Probes, key, keyProbe+k.source, value, probeKey)
	}
	return nil // a newer Landfall's
}

// loadObject adds an object that must be the one its key says, and the source's:
// prefix is the kind and the source.
func loadObject[T any](into *[]*T, key, prefix string, value json.RawMessage, keyOf func(*T) string) error {
	object := new(T)
	if err := json.Unmarshal(value, object); err != nil {
		return err
	}
	kind, _, _ := strings.Cut(prefix, " ")
	if name := keyOf(object); kind+" "+name != key || !strings.HasPrefix(key, prefix+"/") {
		return fmt.Errorf("it is the object %q", name)
	}
	*into = append(*into, object)
	return nil
}

// hasHoles reports what only a damaged file can hold.
func hasHoles(p *model.Part) bool {
	return slices.Contains(p.Listeners, nil) || slices.Contains(p.Routes, nil)
}

func partKey(p *model.Part) string       { return p.Origin.Key() }
func backendKey(b *model.Backend) string { return b.Name }
func probeKey(p *model.Probe) string     { return p.Name }

// save makes what is on disk equal to f. After an error nothing is known of what
// is there, and the next save writes everything.
func (k *kept) save(f model.Fragment, now time.Time) error {
	err := k.write(f, head{
		Version: keptVersion, Source: k.source, Saved: now.UTC(),
		Parts: len(f.Parts), Backends: len(f.Backends), Probes: len(f.Probes),
	})
	if err != nil {
		k.close()
		return err
	}
	k.fragment = f
	return nil
}

func (k *kept) write(f model.Fragment, h head) error {
	put := func(have model.Fragment) func(putFunc) error {
		return func(put putFunc) error { return errors.Join(put(keyHead, h), putChanges(have, f, put)) }
	}
	whole := k.journal == nil
	if whole {
		if err := k.open(); err != nil {
			return err
		}
	} else {
		if err := put(k.fragment)(k.journal.Put); err != nil {
			return err
		}
		if err := k.journal.Flush(); err != nil {
			return err
		}
		whole = k.journal.Wasteful()
	}
	if whole {
		if err := k.journal.Rewrite(put(model.Fragment{})); err != nil {
			return err
		}
	}
	return syncFile(k.path)
}

// open leaves what is there in place until it is replaced as a whole.
func (k *kept) open() error {
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return err
	}
	j, err := journal.Open(k.path, func(string, json.RawMessage) error { return nil })
	if err != nil {
		return err
	}
	k.journal = j
	return nil
}

func (k *kept) close() {
	if k.journal != nil {
		_ = k.journal.Close() // it is written anew, or everything has been flushed
		k.journal = nil
	}
}

// syncFile makes what was written to path outlive a loss of power.
func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

type putFunc = func(key string, value any) error

// putChanges puts what differs between have and want.
func putChanges(have, want model.Fragment, put putFunc) error {
	err := errors.Join(
		putObjects(have.Parts, want.Parts, keyPart, partKey, put),
		putObjects(have.Backends, want.Backends, keyBackend, backendKey, put),
		putObjects(have.Probes, want.Probes, keyProbe, probeKey, put),
	)
	if !slices.Equal(have.Findings, want.Findings) {
		err = errors.Join(err, put(keyFindings, want.Findings))
	}
	return err
}

// putObjects walks two slices in the order of their keys. What both begin and end
// with costs a comparison of pointers.
func putObjects[T any](have, want []*T, prefix string, key func(*T) string, put putFunc) error {
	have, want = trim(have, want)
	for len(have) > 0 || len(want) > 0 {
		var order int
		switch {
		case len(want) == 0:
			order = -1
		case len(have) == 0:
			order = 1
		default:
			order = cmp.Compare(key(have[0]), key(want[0]))
		}
		var err error
		switch {
		case order < 0:
			err, have = put(prefix+key(have[0]), nil), have[1:]
		case order > 0:
			err, want = put(prefix+key(want[0]), want[0]), want[1:]
		default:
			if have[0] != want[0] {
				err = put(prefix+key(want[0]), want[0])
			}
			have, want = have[1:], want[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// trim leaves out what both slices begin and end with.
func trim[T any](a, b []*T) (restA, restB []*T) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}
