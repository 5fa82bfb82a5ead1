package manifests

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
)

// folder is what is known of the folder and its files on disk.
type folder struct {
	dir   string
	self  fs.FileInfo // of the folder that was last taken for the right one
	files map[string]*tracked
	// crowded is how many files there are too many.
	crowded int

	err       error // why it cannot be read
	since     time.Time
	firstTime bool // it has never been read
}

// tracked is a file as it was when it was last looked at.
type tracked struct {
	info fs.FileInfo
	// link says that it is a symlink, or that one is on the way to it.
	link bool
}

// same reports whether two looks found the same file with the same content, as far
// as can be told without reading it.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

// isManifest reports whether a file of that name is read.
func isManifest(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// look lists the manifests of the folder. With an error the folder cannot be told
// from one that lost everything, and nothing must be concluded from it.
func (f *folder) look() (found map[string]*tracked, err error) {
	self, err := os.Stat(f.dir)
	if err != nil {
		return nil, err
	}
	if !self.IsDir() {
		return nil, errNoFolder
	}
	names, links, err := list(f.dir)
	if err != nil {
		return nil, err
	}
	moved := f.self != nil && !os.SameFile(f.self, self)
	if moved && len(names) == 0 && len(f.files) > 0 {
		return nil, errReplaced
	}
	f.self, f.crowded = self, 0
	room := maxFiles
	for _, name := range names {
		if f.files[name] != nil {
			room--
		}
	}
	found = make(map[string]*tracked, len(names))
	for _, name := range names {
		if f.files[name] == nil {
			if room <= 0 {
				f.crowded++
				continue
			}
			room--
		}
		info, err := os.Stat(filepath.Join(f.dir, name))
		if err != nil {
			info = nil // it is there all the same, and reading it will say why not
		}
		found[name] = &tracked{info: info, link: links[name]}
	}
	return found, nil
}

var (
	errNoFolder = errors.New("it is not a folder")
	errReplaced = errors.New("another folder is in its place, and that one is empty")
)

// list are the names of the manifests, sorted, and which of them are symlinks.
func list(dir string) (names []string, links map[string]bool, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	links = make(map[string]bool)
	for {
		entries, err := d.ReadDir(1000)
		for _, e := range entries {
			if !isManifest(e.Name()) || e.IsDir() {
				continue
			}
			names = append(names, e.Name())
			if e.Type()&fs.ModeSymlink != 0 {
				links[e.Name()] = true
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
	}
	slices.Sort(names)
	return names, links, nil
}

// load reads a file of the folder. It never waits for a pipe's other end.
func (f *folder) load(name string) (text []byte, info fs.FileInfo, err error) {
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, errNoFile
	}
	text, err = io.ReadAll(io.LimitReader(file, parse.MaxSize+1))
	return text, info, err
}

var errNoFile = errors.New("not a regular file")

// whyUnread says what to do about a file that cannot be read.
func whyUnread(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "this file may not be read by the edge; allow it with chmod or chown, or give it a name that is not read"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ELOOP):
		return "this is a symlink that leads nowhere; point it to a file, or remove it"
	case errors.Is(err, errNoFile):
		return "this is not a file with text in it; give it a name that is not read, or remove it"
	}
	return "this file cannot be read: " + cause(err) + "; see whether the disk is well"
}

// cause is an error without the path, which may hold anything.
func cause(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return err.Error()
}

// fail notes why the folder cannot be read, and since when.
func (f *folder) fail(err error, now func() time.Time) {
	if f.err == nil {
		f.since = now()
	}
	f.err = err
}

// trouble says why what is served is not what is in the folder, nil if it is.
func (f *folder) trouble() error {
	if f.err == nil {
		if f.firstTime {
			return fmt.Errorf("%w: the folder %s has not been read yet", source.ErrNotSynced, f.dir)
		}
		return nil
	}
	path, remedy := word(f.dir), ""
	switch {
	case errors.Is(f.err, fs.ErrNotExist):
		remedy = "does not exist; make it: mkdir -p " + path
		if !f.firstTime {
			remedy = "is gone; bring it back (is a file system not mounted?): mkdir -p " + path
		}
	case errors.Is(f.err, fs.ErrPermission):
		remedy = "may not be read; allow it: chmod a+rx " + path
	case errors.Is(f.err, errNoFolder):
		remedy = "is not a folder; move the file away, and: mkdir -p " + path
	case errors.Is(f.err, errReplaced):
		remedy = "was replaced by an empty one (is a file system not mounted?); bring the files back, or confirm that there are none: touch " + word(filepath.Join(f.dir, "none.yaml"))
	default:
		remedy = "cannot be read: " + cause(f.err) + "; see whether the disk is well"
	}
	if f.firstTime {
		return fmt.Errorf("%w: the folder %s %s", source.ErrNotSynced, path, remedy)
	}
	return fmt.Errorf("since %s the folder %s %s", f.since.UTC().Format(time.RFC3339), path, remedy)
}

// word is a path as a shell takes it.
func word(path string) string {
	if strings.ContainsFunc(path, func(c rune) bool {
		return c < ' ' || c > '~' || strings.ContainsRune(" \"'\\$`&;|<>()*?[]#~!{}", c)
	}) {
		return strconv.Quote(path)
	}
	return path
}
