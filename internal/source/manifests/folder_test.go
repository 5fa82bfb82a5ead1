package manifests_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/manifests"
)

// patience is far longer than anything takes; no test waits for it to pass.
const patience = 60 * time.Second

// running is a Source that runs on a folder.
type running struct {
	t   *testing.T
	dir string
	src *manifests.Source
	// news has room for one: there is something to read.
	news chan struct{}

	mu sync.Mutex
	// seen are the answers between two calls of await.
	seen []answer
}

// answer is what Read returned, as far as the tests look at it.
type answer struct {
	names    string // of the parts' objects
	ports    string // of the listeners
	findings []model.Finding
	err      error
}

func start(t *testing.T, dir string) *running {
	t.Helper()
	src, err := manifests.New(manifests.Config{
		Name: "files", Path: dir, Options: translate.Options{Reach: translate.Pods},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, dir: dir, src: src, news: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- src.Run(ctx, func() {
			r.mu.Lock()
			r.seen = append(r.seen, r.read())
			r.mu.Unlock()
			select {
			case r.news <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func (r *running) read() answer {
	f, err := r.src.Read(context.Background())
	a := answer{err: err, findings: f.Findings}
	var names, ports []string
	for _, p := range f.Parts {
		names = append(names, p.Origin.String())
		for _, l := range p.Listeners {
			ports = append(ports, fmt.Sprint(l.Port))
		}
	}
	a.names, a.ports = strings.Join(names, " "), strings.Join(ports, " ")
	return a
}

// await waits for an answer that will do, and returns it with all that came before.
func (r *running) await(what string, ok func(answer) bool) []answer {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		now := r.read()
		if ok(now) {
			r.mu.Lock()
			defer r.mu.Unlock()
			seen := r.seen
			r.seen = nil
			return append(seen, now)
		}
		select {
		case <-r.news:
		case <-deadline.C:
			r.t.Fatalf("%s did not come; the last was %+v", what, now)
		}
	}
}

// never fails the test if one of the answers was so.
func (r *running) never(seen []answer, what string, bad func(answer) bool) {
	r.t.Helper()
	for _, a := range seen {
		if bad(a) {
			r.t.Errorf("%s: %+v", what, a)
		}
	}
}

func names(want string) func(answer) bool {
	return func(a answer) bool { return a.err == nil && a.names == want }
}

func ports(want string) func(answer) bool {
	return func(a answer) bool { return a.err == nil && a.ports == want }
}

func finds(reason, field string) func(answer) bool {
	return func(a answer) bool {
		for _, f := range a.findings {
			if f.Reason == reason && f.Field == field {
				return true
			}
		}
		return false
	}
}

func without(name string) func(answer) bool {
	return func(a answer) bool { return !strings.Contains(" "+a.names+" ", " "+name+" ") }
}

// service is one that asks for a port.
func service(name string, port int) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata:
  name: %s
spec:
  type: LoadBalancer
  loadBalancerClass: landfall.dev/edge
  ports:
  - port: %d
`, name, port)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace puts a file in place in one step, as careful programs do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	temporary := filepath.Join(filepath.Dir(path), ".temporary")
	write(t, temporary, text)
	check(t, os.Rename(temporary, path))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLive makes, changes and removes files in the ways that programs do.
func TestLive(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yml")
	r := start(t, dir)
	r.await("the empty folder", names(""))
	write(t, a, service("one", 1001))
	r.await("a new file", names("default/one"))
	write(t, b, service("two", 1002))
	r.await("another", names("default/one default/two"))
	write(t, filepath.Join(dir, ".hidden.yaml"), service("hidden", 1003))
	write(t, filepath.Join(dir, "notes.txt"), service("text", 1004))
	check(t, os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o755))
	replace(t, a, service("one", 2001))
	seen := r.await("a file replaced", ports("2001 1002"))
	r.never(seen, "a file that was replaced was gone in between", without("default/one"))

	// An editor that keeps the old file as a backup.
	check(t, os.Rename(a, a+"~"))
	write(t, a, service("one", 3001))
	check(t, os.Remove(a+"~"))
	seen = r.await("a file edited", ports("3001 1002"))
	r.never(seen, "a file that was edited was gone in between", without("default/one"))

	check(t, os.Rename(b, filepath.Join(dir, "c.yaml")))
	check(t, os.Remove(a))
	seen = r.await("a file removed", names("default/two"))
	r.never(seen, "a file that was renamed was gone in between", without("default/two"))
	r.never(seen, "a file that was renamed was there twice", finds("DuplicateObject", "c.yaml:1"))
}

// TestHalfWritten writes a file in steps.
func TestHalfWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	both := service("one", 1001) + "---\n" + service("two", 1002)
	write(t, path, both)
	write(t, filepath.Join(dir, "bad.yaml"), "apiVersion: v1\nkind: [Service\n")
	r := start(t, dir)
	r.await("both", names("default/one default/two"))
	if a := r.read(); !finds("BadYAML", "bad.yaml:2")(a) {
		t.Errorf("no finding about a file that was never right: %+v", a.findings)
	}

	file, err := os.Create(path) // empties it
	check(t, err)
	defer file.Close()
	text := service("one", 2001) + "---\n" + service("two", 2002)
	_, err = file.WriteString(text[:len(text)/2])
	check(t, err)
	_, err = file.WriteString(text[len(text)/2:])
	check(t, err)
	seen := r.await("the new ports", ports("2001 2002"))
	r.never(seen, "something was missing while the file was written", func(a answer) bool { return a.names != "default/one default/two" })

	write(t, path, service("one", 3001)+"---\n"+strings.Replace(service("two", 3002), "metadata:", "metadata: [", 1))
	seen = r.await("a finding", finds("BadYAML", "a.yaml:13"))
	r.never(seen, "part of a broken file counted", func(a answer) bool { return a.ports != "2001 2002" })
	write(t, path, both)
	r.await("the mended file", ports("1001 1002"))
	if a := r.read(); finds("BadYAML", "a.yaml:13")(a) {
		t.Errorf("the finding stayed: %+v", a.findings)
	}
	write(t, path, "")
	r.await("an emptied file", names(""))
}

// TestConfigMap changes files as a kubelet does: all of them by one symlink.
func TestConfigMap(t *testing.T) {
	dir := t.TempDir()
	version := func(name string, port int) {
		folder := filepath.Join(dir, name)
		check(t, os.Mkdir(folder, 0o755))
		write(t, filepath.Join(folder, "shop.yaml"), service("shop", port))
		check(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		check(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..2026_01", 1001)
	check(t, os.Symlink("..data/shop.yaml", filepath.Join(dir, "shop.yaml")))
	r := start(t, dir)
	r.await("the first version", ports("1001"))
	version("..2026_02", 2001)
	check(t, os.RemoveAll(filepath.Join(dir, "..2026_01")))
	seen := r.await("the second version", ports("2001"))
	r.never(seen, "the object was gone in between", without("default/shop"))
	version("..2026_03", 3001)
	r.await("the third version", ports("3001"))
}

// TestSymlinks follows them out of the folder, and to it.
func TestSymlinks(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"v1", "v2", "real"} {
		check(t, os.Mkdir(filepath.Join(root, name), 0o755))
	}
	write(t, filepath.Join(root, "v1", "a.yaml"), service("a", 1001))
	write(t, filepath.Join(root, "v2", "a.yaml"), service("a", 1002))
	write(t, filepath.Join(root, "real", "b.yaml"), service("b", 2001))
	for _, v := range []string{"v1", "v2"} {
		check(t, os.Symlink("../real/b.yaml", filepath.Join(root, v, "b.yaml")))
	}
	check(t, os.Symlink("v1", filepath.Join(root, "current")))
	r := start(t, filepath.Join(root, "current"))
	r.await("what the symlinks lead to", ports("1001 2001"))

	replace(t, filepath.Join(root, "real", "b.yaml"), service("b", 2002))
	r.await("a change behind a symlink", ports("1001 2002"))
	check(t, os.Remove(filepath.Join(root, "real", "b.yaml")))
	seen := r.await("a finding about a symlink that leads nowhere", finds("Unreadable", ""))
	r.never(seen, "what it led to was gone", without("default/b"))
	write(t, filepath.Join(root, "real", "b.yaml"), service("b", 2003))
	r.await("the file behind the symlink", ports("1001 2003"))

	check(t, os.Symlink("v2", filepath.Join(root, "next")))
	check(t, os.Rename(filepath.Join(root, "next"), filepath.Join(root, "current")))
	seen = r.await("the other folder", ports("1002 2003"))
	r.never(seen, "an object was gone in between", func(a answer) bool { return a.names != "default/a default/b" })
}

// TestFolderLost takes the folder away, and brings it back.
func TestFolderLost(t *testing.T) {
	root := t.TempDir()
	dir, away := filepath.Join(root, "edge", "manifests"), filepath.Join(root, "away")
	r := start(t, dir)
	r.await("word of a folder that is not there", func(a answer) bool {
		return errors.Is(a.err, source.ErrNotSynced) && strings.Contains(a.err.Error(), "mkdir -p "+dir)
	})
	check(t, os.MkdirAll(dir, 0o755))
	r.await("the folder", names(""))
	write(t, filepath.Join(dir, "a.yaml"), service("a", 1001))
	write(t, filepath.Join(dir, "b.yaml"), service("b", 1002))
	r.await("its files", names("default/a default/b"))

	lost := func(text string) func(answer) bool {
		return func(a answer) bool {
			return a.err != nil && !errors.Is(a.err, source.ErrNotSynced) && strings.Contains(a.err.Error(), text)
		}
	}
	kept := func(what string, seen []answer) {
		t.Helper()
		r.never(seen, what, func(a answer) bool { return a.names != "default/a default/b" })
	}
	check(t, os.Rename(dir, away))
	kept("a moved folder emptied something", r.await("word that the folder is gone", lost("is gone")))
	check(t, os.Mkdir(dir, 0o755))
	kept("an empty folder in its place emptied something", r.await("word of the empty one", lost("touch")))
	check(t, os.Remove(dir))
	write(t, dir, "")
	kept("a file in its place emptied something", r.await("word of the file", lost("is not a folder")))
	check(t, os.Remove(dir))
	check(t, os.Symlink("manifests", dir))
	kept("a symlink to itself emptied something", r.await("word of the symlink", lost("cannot be read")))
	check(t, os.Remove(dir))
	check(t, os.Rename(away, dir))
	kept("coming back emptied something", r.await("the folder again", names("default/a default/b")))
	write(t, filepath.Join(dir, "a.yaml"), service("a", 3001))
	kept("a change emptied something", r.await("a change after it came back", ports("3001 1002")))

	// Removed and filled again, slowly.
	check(t, os.RemoveAll(filepath.Join(root, "edge")))
	kept("removing all emptied something", r.await("word that all is gone", lost("is gone")))
	check(t, os.MkdirAll(dir, 0o755))
	write(t, filepath.Join(dir, "b.yaml"), service("b", 4002))
	kept("a folder half filled emptied something", r.await("the first file", ports("3001 4002")))
	r.await("the end of the waiting for the other", names("default/b"))
	check(t, os.Rename(filepath.Join(dir, "b.yaml"), filepath.Join(root, "b.yaml")))
	r.await("a folder that became empty", names(""))
}

// TestTakeover has the same object in two files.
func TestTakeover(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.yaml"), service("a", 1002))
	r := start(t, dir)
	r.await("the one", ports("1002"))
	write(t, filepath.Join(dir, "a.yaml"), service("a", 1001))
	r.await("the first by name", func(a answer) bool { return ports("1001")(a) && finds("DuplicateObject", "b.yaml:1")(a) })
	check(t, os.Remove(filepath.Join(dir, "a.yaml")))
	seen := r.await("the other to take over", ports("1002"))
	r.never(seen, "nobody had it in between", without("default/a"))
}

// TestNew refuses what it cannot be made of.
func TestNew(t *testing.T) {
	for want, cfg := range map[string]manifests.Config{
		"no name": {Path: "/tmp"}, "no path": {Name: "files"},
	} {
		if _, err := manifests.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	src, err := manifests.New(manifests.Config{Name: "files", Path: t.TempDir()})
	check(t, err)
	if _, err := src.Read(context.Background()); !errors.Is(err, source.ErrNotSynced) {
		t.Errorf("before Run, Read says %v", err)
	}
}

// TestManyFiles keeps to those that were there first.
func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	const most = 10_000
	for i := range most {
		write(t, filepath.Join(dir, fmt.Sprintf("f%05d.yaml", i)), "")
	}
	write(t, filepath.Join(dir, "f00000.yaml"), service("first", 1001))
	r := start(t, dir)
	r.await("the first", names("default/first"))
	if a := r.read(); finds("TooManyFiles", "")(a) {
		t.Errorf("%d files are too many: %+v", most, a.findings)
	}
	write(t, filepath.Join(dir, "a.yaml"), service("another", 1002))
	r.await("word of the one too many", finds("TooManyFiles", ""))
	if a := r.read(); !names("default/first")(a) {
		t.Errorf("served are %q", a.names)
	}
	check(t, os.Remove(filepath.Join(dir, "f09999.yaml")))
	r.await("it to take the free place", func(a answer) bool { return names("default/another default/first")(a) && !finds("TooManyFiles", "")(a) })
}
