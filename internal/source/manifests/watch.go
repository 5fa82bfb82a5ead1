package manifests

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// maxWatched is how many folders are watched at most. What symlinks lead to beyond
// that is seen by the regular look at the files.
const maxWatched = 100

// watch tells of changes to the folder and to whatever leads to it or its files.
type watch struct {
	fs *fsnotify.Watcher // nil if the machine has none to give
	// dirs are those that are watched, as they were when that began.
	dirs map[string]fs.FileInfo
	// ways are the paths whose change may change what is in the folder.
	ways map[string]bool
}

// newWatch returns a watch, and why it will never tell of anything.
func newWatch() (*watch, error) {
	w := &watch{dirs: make(map[string]fs.FileInfo), ways: make(map[string]bool)}
	var err error
	w.fs, err = fsnotify.NewWatcher()
	return w, err
}

func (w *watch) events() <-chan fsnotify.Event {
	if w.fs == nil {
		return nil
	}
	return w.fs.Events
}

func (w *watch) errors() <-chan error {
	if w.fs == nil {
		return nil
	}
	return w.fs.Errors
}

func (w *watch) close() {
	if w.fs != nil {
		_ = w.fs.Close() // there is nobody to tell
	}
}

// follow watches what leads to the folder and to the symlinks in it. It reports
// whether something is watched that was not before, so that what happened there
// in between must be looked for; err is why the folder itself is not.
func (w *watch) follow(dir string, links []string) (more bool, err error) {
	dirs := map[string]bool{dir: true}
	w.ways = make(map[string]bool)
	leads(dir, dirs, w.ways)
	for _, name := range links {
		if len(dirs) >= maxWatched {
			break
		}
		leads(filepath.Join(dir, name), dirs, w.ways)
	}
	if w.fs == nil {
		return false, nil
	}
	for d := range w.dirs {
		if !dirs[d] {
			_ = w.fs.Remove(d) // it may be gone by itself
			delete(w.dirs, d)
		}
	}
	for d := range dirs {
		info, errStat := os.Stat(d)
		if errStat != nil {
			info = nil
		}
		if old := w.dirs[d]; info != nil && old != nil && os.SameFile(old, info) {
			continue
		}
		_ = w.fs.Remove(d) // of another folder that was there
		delete(w.dirs, d)
		if info == nil {
			continue
		}
		if errAdd := w.fs.Add(d); errAdd != nil {
			if d == dir {
				err = errAdd
			}
			continue
		}
		w.dirs[d], more = info, true
	}
	return more, err
}

// replaced reports whether another folder is there than the one that is watched.
func (w *watch) replaced(dir string) bool {
	watched := w.dirs[dir]
	info, err := os.Stat(dir)
	return watched != nil && (err != nil || !os.SameFile(watched, info))
}

// leads adds what leads to path: the folder of each symlink on the way, the one it
// ends in, and, where something is missing, the one that would hold it.
func leads(path string, dirs, ways map[string]bool) {
	const hops = 40
	for range hops {
		ways[path] = true
		dirs[existing(filepath.Dir(path), ways)] = true
		link, target, rest := firstLink(path)
		if link == "" {
			return
		}
		ways[link] = true
		dirs[filepath.Dir(link)] = true
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		path = filepath.Join(target, rest)
	}
}

// existing is the nearest folder above or at path that is there; what is missing
// on the way is added to ways.
func existing(path string, ways map[string]bool) string {
	for path != filepath.Dir(path) {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			break
		}
		ways[path] = true
		path = filepath.Dir(path)
	}
	return path
}

// firstLink is the first symlink on the way along an absolute path, where it
// points, and what of the path follows it.
func firstLink(path string) (link, target, rest string) {
	at := "/"
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if err != nil {
			return "", "", ""
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if target, err = os.Readlink(at); err != nil {
			return "", "", ""
		}
		return at, target, filepath.Join(parts[i+1:]...)
	}
	return "", "", ""
}
