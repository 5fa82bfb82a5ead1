package haproxy

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// FuzzRecall reads journals that a disk, or a person, may have made something else
// of: what comes of one is a State, if an empty one, that the next can be built on.
func FuzzRecall(f *testing.F) {
	for _, seed := range []string{
		`{"k":"backend home/x","v":{"name":"home/x","protocol":"http","endpoints":[{"address":"10.0.0.7:80"}]}}` + "\n" + `{"k":"worker ","v":7}` + "\n" + `{"k":"settled ","v":1}` + "\n",
		`{"k":"backend home/x","v":null}` + "\n" + `{"k":"backend a","v":{"name":"b"}}` + "\n" + `{"k":"backend b","v":{"name":"b"}}` + "\n",
		`{"k":"listener main/http","v":{"name":"main/http","port":80,"protocol":"http"}}` + "\n" + `{"k":"route r","v":{"name":"r","listener":"main/http"}}` + "\n" + `{"k":"route r"}` + "\n",
		`{"k":"spare home/x","v":"landfall-spare-0001"}` + "\n" + `{"k":"probe home/n1","v":{"name":"home/n1","address":"x"}}` + "\n",
		"\x00\xff\n{}\n[]\n" + `{"k":5}` + "\n" + `{"k":"route \n","v":{"name":"\n"`,
	} {
		f.Add([]byte(seed))
	}
	log := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, generations+"1", journalFile)
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		d := newDisk(Settings{Dir: dir, RunDir: dir}, log)
		s, err := d.recall("1")
		if err != nil {
			t.Fatal(err)
		}
		if d.journal != nil {
			defer d.journal.Close()
		}
		sound(t, s.Listeners, listenerName)
		sound(t, s.Routes, routeName)
		sound(t, s.Backends, backendName)
		sound(t, s.Probes, probeName)
		plan.Diff(s, model.State{})
	})
}

func sound[T any](t *testing.T, list []*T, name func(*T) string) {
	t.Helper()
	if slices.Contains(list, nil) {
		t.Fatal("there is a nil")
	}
	for i, x := range list {
		if name(x) == "" || i > 0 && strings.Compare(name(list[i-1]), name(x)) >= 0 {
			t.Errorf("%q is there twice, or has no name", name(x))
		}
	}
}
