package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
)

const (
	// lookEvery is how often the files are looked at in case that something was
	// not told of.
	lookEvery = 30 * time.Second
	// placeEvery is how often it is seen whether another folder is in the place of
	// the one that is watched: nobody tells of a file system that is mounted over it.
	placeEvery = 2 * time.Second
	// lookOften takes its place while the folder cannot be read or watched.
	lookOften = time.Second
)

// run is one Run of a Source.
type run struct {
	*Source
	watch *watch
	// blind is why the folder is not watched, nil if it is.
	blind    error
	settling settling
	// patient is until when files that are gone are waited for longer.
	patient time.Time
	// lookAt is when the whole folder is looked at next.
	lookAt time.Time
	// lookTook is how long the last look at the whole folder took.
	lookTook time.Duration
}

// Run watches the folder until ctx ends. It may be called once, and returns nil.
func (s *Source) Run(ctx context.Context, changed func()) error {
	r := &run{Source: s, settling: settling{files: make(map[string]*unrest)}}
	r.watch, r.blind = newWatch()
	defer r.watch.close()
	r.look(s.now())
	place := time.NewTicker(placeEvery)
	defer place.Stop()
	for {
		if s.publish() {
			changed()
		}
		timer := time.NewTimer(r.next().Sub(s.now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case e := <-r.watch.events():
			r.event(e, s.now())
			r.burst()
		case err := <-r.watch.errors():
			s.log.Debug("events lost", "cause", err)
			r.lookAt = s.now()
		case <-place.C:
			if r.watch.replaced(r.dir) {
				r.lookAt = s.now()
			}
		case <-timer.C:
		}
		timer.Stop()
		r.act(s.now())
	}
}

// burst takes what has already been told of, so that it is acted on at once.
func (r *run) burst() {
	const most = 10_000
	for range most {
		select {
		case e := <-r.watch.events():
			r.event(e, r.now())
		default:
			return
		}
	}
}

func (r *run) next() time.Time {
	if at, ok := r.settling.next(); ok && at.Before(r.lookAt) {
		return at
	}
	return r.lookAt
}

// event notes what a change may mean.
func (r *run) event(e fsnotify.Event, now time.Time) {
	if filepath.Dir(e.Name) == r.dir {
		if name := filepath.Base(e.Name); isManifest(name) {
			r.settling.touch(name, now)
			return
		}
	}
	if r.watch.ways[e.Name] {
		// No matter how often such things happen, looking takes a tenth of the time.
		r.lookAt = earlier(r.lookAt, now.Add(max(quiet, 10*r.lookTook)))
	}
}

// act does what is due.
func (r *run) act(now time.Time) {
	if !r.lookAt.After(now) {
		r.look(now)
	}
	due := r.settling.due(now)
	slices.Sort(due)
	// Those that are gone come first, to find them under their new names.
	var there []string
	for _, name := range due {
		if info, err := os.Lstat(filepath.Join(r.dir, name)); err != nil {
			r.gone(name, err, now)
		} else if !info.IsDir() {
			there = append(there, name)
		} else {
			r.settling.done(name)
			r.forget(name)
		}
	}
	for _, name := range there {
		r.file(name, now)
	}
	if len(due) > 0 {
		for _, name := range r.store.waiting() {
			r.load(name)
		}
		r.noteFolder()
	}
}

// look looks at the whole folder, and at each file that is not as it was.
func (r *run) look(now time.Time) {
	r.lookAt = now.Add(lookEvery)
	r.follow()
	before := r.folder.self
	found, err := r.folder.look()
	r.lookTook = r.now().Sub(now)
	if err != nil {
		r.lost(err)
		return
	}
	if r.folder.err != nil {
		r.log.Info("folder of manifests is there", "folder", r.dir)
		r.folder.err = nil
		r.patient = now.Add(longFarewell)
	}
	if before != nil && !os.SameFile(before, r.folder.self) {
		r.patient = now.Add(longFarewell)
	}
	r.compare(found, now)
	if r.follow() { // what is watched only now may have changed just before
		r.lookAt = now.Add(quiet)
	}
	r.noteFolder()
	if r.blind != nil {
		r.lookAt = now.Add(lookOften)
	}
}

// compare finds out which files are not as they were. The first time all of them
// are read at once, for there is nothing that they could harm.
func (r *run) compare(found map[string]*tracked, now time.Time) {
	first := r.folder.firstTime
	for _, name := range sortedNames(found) {
		t, old := found[name], r.folder.files[name]
		r.folder.files[name] = t
		switch {
		case first:
			r.load(name)
		case old == nil || t.info == nil || !same(old.info, t.info):
			r.settling.touch(name, now)
		}
	}
	for _, name := range sortedNames(r.folder.files) {
		if found[name] == nil && r.settling.files[name] == nil {
			r.settling.touch(name, now)
		}
	}
	if first {
		r.folder.firstTime = false
		r.log.Info("manifests read", "folder", r.dir, "files", len(r.folder.files), "objects", len(r.store.served))
	}
}

// lost keeps everything as it is while the folder is not there.
func (r *run) lost(err error) {
	if r.folder.err == nil {
		r.log.Warn("folder of manifests not read; what it held stays", "folder", r.dir, "cause", err)
	}
	r.folder.fail(err, r.now)
	r.settling.files = make(map[string]*unrest)
	r.lookAt = r.now().Add(lookOften)
}

// file looks at a file that something happened to.
func (r *run) file(name string, now time.Time) {
	if r.folder.files[name] == nil {
		if len(r.folder.files) >= maxFiles {
			r.settling.done(name)
			r.folder.crowded = max(r.folder.crowded, 1)
			return
		}
		r.folder.files[name] = &tracked{}
	}
	text, ok := r.read(name)
	if ok && r.unfinished(name, text) && r.settling.wait(name, unfinishedQuiet, now) {
		return
	}
	r.settling.done(name)
	if ok {
		r.put(name, text)
	}
	info, err := os.Lstat(filepath.Join(r.dir, name))
	if link := err == nil && info.Mode()&fs.ModeSymlink != 0; link != r.folder.files[name].link {
		r.folder.files[name].link = link
		if r.follow() {
			r.lookAt = earlier(r.lookAt, now.Add(quiet))
		}
	}
}

// gone lets go of a file, unless it is the folder that is not there, or the file
// comes back within moments. One that was only renamed is let go at once.
func (r *run) gone(name string, err error, now time.Time) {
	t := r.folder.files[name]
	if t == nil {
		r.settling.done(name)
		return
	}
	self, errSelf := os.Stat(r.dir)
	if !errors.Is(err, fs.ErrNotExist) || errSelf != nil || r.folder.self == nil || !os.SameFile(self, r.folder.self) {
		r.settling.done(name)
		r.lookAt = now
		return
	}
	rest := farewell
	if now.Before(r.patient) {
		rest = longFarewell
	}
	if !r.renamed(t) && r.settling.wait(name, rest, now) {
		return
	}
	r.settling.done(name)
	r.forget(name)
}

// renamed reports whether the file has just come up under another name.
func (r *run) renamed(old *tracked) bool {
	const most = 100 // each is looked for on disk
	if old.info == nil || len(r.settling.files) > most {
		return false
	}
	for name := range r.settling.files {
		if info, err := os.Stat(filepath.Join(r.dir, name)); err == nil && same(info, old.info) {
			return true
		}
	}
	return false
}

func (r *run) forget(name string) {
	if r.folder.files[name] == nil {
		return
	}
	delete(r.folder.files, name)
	r.store.drop(name)
	r.log.Info("manifest gone", "file", name)
	if r.folder.crowded > 0 {
		r.lookAt = r.now() // there is room for another
	}
}

// load reads a file and takes it over as it is.
func (r *run) load(name string) {
	if text, ok := r.read(name); ok {
		r.put(name, text)
	}
}

// read reads a file of the folder, and notes why it cannot.
func (r *run) read(name string) (text []byte, ok bool) {
	text, info, err := r.folder.load(name)
	if t := r.folder.files[name]; t != nil {
		t.info = info
	}
	if err != nil {
		r.store.cannotRead(name, whyUnread(err))
		return nil, false
	}
	return text, true
}

func (r *run) put(name string, text []byte) {
	r.store.put(name, text)
	if f := r.store.files[name]; f != nil {
		r.log.Debug("manifest read", "file", name, "objects", len(f.objects), "broken", f.broken)
	}
}

// unfinished reports whether a file looks as if more of it were to follow: an
// editor that writes in place begins with nothing, and ends with a line's end.
func (r *run) unfinished(name string, text []byte) bool {
	if len(bytes.TrimSpace(text)) == 0 {
		f := r.store.files[name]
		return f != nil && len(f.objects) > 0
	}
	return text[len(text)-1] != '\n' && !strings.HasSuffix(name, ".json") && len(text) <= parse.MaxSize
}

// follow watches what there is to watch now.
func (r *run) follow() (more bool) {
	var links []string
	for _, name := range sortedNames(r.folder.files) {
		if r.folder.files[name].link {
			links = append(links, name)
		}
	}
	more, err := r.watch.follow(r.dir, links)
	if r.watch.fs != nil {
		if err != nil && r.blind == nil {
			r.log.Warn("folder of manifests not watched", "folder", r.dir, "cause", err)
		}
		r.blind = err
	}
	return more
}

// noteFolder notes what there is to say about the folder itself.
func (r *run) noteFolder() {
	var notes []model.Finding
	about := model.Origin{Source: r.name}
	if n := r.folder.crowded; n > 0 {
		notes = append(notes, model.Finding{
			Origin: about, Reason: "TooManyFiles", Accepted: "the files that were there first",
			Message: fmt.Sprintf("the folder %s holds more than %d manifests, which is the most that is read; join some into one file (with a line --- in between)", word(r.dir), maxFiles),
		})
	}
	if r.blind != nil {
		notes = append(notes, model.Finding{
			Origin: about, Reason: "NotWatched", Accepted: "everything, up to a second late",
			Message: fmt.Sprintf("the folder %s cannot be watched: %s; it is looked at each second instead. More watches: sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024",
				word(r.dir), cause(r.blind)),
		})
	}
	r.store.note(notes)
}

func sortedNames(files map[string]*tracked) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
