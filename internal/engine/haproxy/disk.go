package haproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-edge/landfall/internal/journal"
	"github.com/landfall-edge/landfall/internal/model"
)

// disk is the engine's folder. The journal is written before a change, files a
// moment after it: it is kept equal in meaning to what runs.
type disk struct {
	settings Settings
	log      *slog.Logger
	journal  *journal.Journal
	seed     maphash.Seed
	// sums of the files of the current generation, so that the next one links
	// what did not change.
	sums map[string]uint64
	// proven are the sums of files that HAProxy has accepted, together with all that
	// belongs to no object, whose shape provenGlobal is.
	proven       map[string]uint64
	provenGlobal string
	// shards and maps are what the files of the current generation and the map files
	// should hold; nil: not known.
	shards *shards
	maps   mapLines
	// bound is what the journal says of spares and slots, and worker the pid whose
	// they are.
	bound  bindings
	worker int
	// stale: files are not what runs: those in dirty, or all.
	stale, all bool
	dirty      map[string]bool // files of the generation; those of maps with their folder
	// forgot: the journal lacks changes.
	forgot bool
	wake   chan struct{} // one slot: there is something to write
	// troubled: the log knows that files cannot be written.
	troubled bool
}

func newDisk(s Settings, log *slog.Logger) disk {
	return disk{settings: s, log: log, bound: newBindings(), dirty: map[string]bool{}, wake: make(chan struct{}, 1), seed: maphash.MakeSeed()}
}

func (d *disk) path(elem ...string) string {
	return filepath.Join(append([]string{d.settings.Dir}, elem...)...)
}

// nextGeneration is one more than any that the folder has.
func (d *disk) nextGeneration() (string, error) {
	entries, err := os.ReadDir(d.settings.Dir)
	if err != nil {
		return "", fmt.Errorf("read state folder: %w", err)
	}
	last := 0
	for _, e := range entries {
		if n, ok := strings.CutPrefix(e.Name(), generations); ok {
			if n, err := strconv.Atoi(n); err == nil {
				last = max(last, n)
			}
		}
	}
	return strconv.Itoa(last + 1), nil
}

// write makes the folder of a generation, and the files beside it that it needs
// to be checked.
func (d *disk) write(r renderer, want model.State, x extras, l loaded) error {
	dir := d.path(generations + r.settings.Generation)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("write generation: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("write generation: %w", err)
	}
	files := r.generation(want)
	for name, content := range x.copies() {
		files[name] = content
	}
	sums := make(map[string]uint64, len(files))
	for name, content := range files {
		sums[name] = maphash.String(d.seed, content)
		path := filepath.Join(dir, name)
		if d.sums[name] == sums[name] && os.Link(d.path(currentLink, name), path) == nil {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("write generation: %w", err)
		}
	}
	d.sums, d.shards = sums, nil
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write generation: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, loadedFile), data, 0o600); err != nil {
		return fmt.Errorf("write generation: %w", err)
	}
	if err := d.writeLists(want); err != nil {
		return err
	}
	return d.begin(r.settings.Generation, want)
}

// writeLists adds lists, which are never changed, and makes missing maps, which
// a check of the configuration wants to see.
func (d *disk) writeLists(want model.State) error {
	for name, content := range renderLists(want) {
		if err := replace(d.path(listsDir, name), content); err != nil {
			return err
		}
	}
	for _, l := range want.Listeners {
		for _, kind := range mapKinds(l) {
			f, err := os.OpenFile(d.settings.mapPath(l.Name, kind), os.O_CREATE|os.O_RDONLY, 0o600)
			if err != nil {
				return fmt.Errorf("write map: %w", err)
			}
			f.Close()
		}
	}
	return nil
}

// goodExtras are the copies of the operator's files in the current generation,
// which HAProxy accepted.
func (d *disk) goodExtras(x extras) extras {
	good := extras{paths: x.paths, files: map[string]string{}}
	for i, p := range x.paths {
		if data, err := os.ReadFile(d.path(currentLink, extraName(i, p))); err == nil {
			good.files[p] = string(data)
		}
	}
	return good
}

// drop removes a generation that will not be loaded.
func (d *disk) drop(gen string) {
	d.sums = nil
	d.forgetFiles()
	if err := os.RemoveAll(d.path(generations + gen)); err != nil {
		d.log.Warn("remove generation", "engine", "haproxy", "error", err)
	}
}

// promote makes gen the one that HAProxy loads next, and writes the maps.
func (d *disk) promote(gen string, want model.State) (previous string, err error) {
	d.maps = mapsOf(want)
	if err := d.writeMaps(slices.Sorted(maps.Keys(d.maps))); err != nil {
		return "", err
	}
	previous, err = os.Readlink(d.path(currentLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read link: %w", err)
	}
	return previous, d.link(generations + gen)
}

// demote goes back to the previous generation, which the worker still runs.
func (d *disk) demote(gen, previous string) {
	if previous != "" {
		if err := d.link(previous); err != nil {
			d.log.Warn("go back to previous generation", "engine", "haproxy", "error", err)
		}
	}
	d.drop(gen)
	d.staleAll() // the maps were written
}

// forgetFiles lets go of what files should hold; it is found again when needed.
func (d *disk) forgetFiles() { d.shards, d.maps = nil, nil }

func (d *disk) link(target string) error {
	tmp := d.path(currentLink + ".new")
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link generation: %w", err)
	}
	if err := os.Symlink(target, tmp); err != nil {
		return fmt.Errorf("link generation: %w", err)
	}
	if err := os.Rename(tmp, d.path(currentLink)); err != nil {
		return fmt.Errorf("link generation: %w", err)
	}
	return nil
}

// staleAll has every file written anew.
func (d *disk) staleAll() {
	d.stale, d.all = true, true
	d.awake()
}

// collect removes generations other than gen. Their workers need them no more.
func (d *disk) collect(gen string) {
	d.stale, d.all, d.dirty = false, false, map[string]bool{}
	entries, err := os.ReadDir(d.settings.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), generations) && e.Name() != generations+gen {
			os.RemoveAll(d.path(e.Name()))
		}
	}
}

// writeMaps writes map files as they should be.
func (d *disk) writeMaps(files []string) error {
	for _, f := range files {
		if err := replace(d.path(mapsDir, f), d.maps.render(f)); err != nil {
			return err
		}
	}
	return nil
}

// replace writes a file of the current generation.
func (d *disk) replace(name, content string) error {
	delete(d.sums, name) // unknown, should the write fail
	if err := replace(d.path(currentLink, name), content); err != nil {
		return err
	}
	if d.sums != nil {
		d.sums[name] = maphash.String(d.seed, content)
	}
	return nil
}

// replaceOrRemove leaves no empty file.
func (d *disk) replaceOrRemove(name, content string) error {
	if content != "" {
		return d.replace(name, content)
	}
	delete(d.sums, name)
	if err := os.Remove(d.path(currentLink, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove file: %w", err)
	}
	return nil
}

// replace writes a file so that no reader sees half of it. It does not wait for
// the disk: after a power cut the agent writes every file again.
func replace(path, content string) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
