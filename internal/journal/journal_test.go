package journal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/journal"
)

func open(t *testing.T, path string) (*journal.Journal, map[string]string) {
	t.Helper()
	got := map[string]string{}
	j, err := journal.Open(path, func(k string, v json.RawMessage) error {
		got[k] = string(v)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, got
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, got := open(t, path)
	if len(got) != 0 {
		t.Fatalf("a new journal holds %v", got)
	}
	for i := range 3 {
		if err := j.Put(fmt.Sprint("k", i), i); err != nil {
			t.Fatal(err)
		}
	}
	j.Put("k1", nil)
	j.Put("k2", "new")
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	j.Put("lost", 1) // not flushed

	want := map[string]string{"k0": "0", "k2": `"new"`}
	_, got = open(t, path)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	j.Put("whole", 1)
	j.Put("torn", 2)
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(path)
	if err := os.WriteFile(path, data[:len(data)-4], 0o600); err != nil {
		t.Fatal(err)
	}
	j, got := open(t, path)
	if diff := cmp.Diff(map[string]string{"whole": "1"}, got); diff != "" {
		t.Error(diff)
	}
	j.Put("next", 3)
	j.Flush()
	if _, got = open(t, path); got["next"] != "3" {
		t.Errorf("the line after a torn one is lost: %v", got)
	}
}

func TestRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	for i := range 3000 {
		j.Put("k", i)
	}
	if !j.Wasteful() {
		t.Error("3000 lines for one value are not wasteful")
	}
	if err := j.Rewrite(func(put func(string, any) error) error { return put("k", "last") }); err != nil {
		t.Fatal(err)
	}
	if j.Wasteful() {
		t.Error("wasteful after a rewrite")
	}
	j.Put("k2", 1)
	j.Flush()
	_, got := open(t, path)
	if diff := cmp.Diff(map[string]string{"k": `"last"`, "k2": "1"}, got); diff != "" {
		t.Error(diff)
	}
}

// What is put while a compaction goes on is in the new content, behind what fill put.
func TestCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	j.Put("a", 1)
	j.Put("b", 1)
	j.Flush()
	c := j.Compact()
	filled := make(chan error)
	go func() {
		filled <- c.Fill(func(put func(string, any) error) error { return errors.Join(put("a", 2), put("b", 2)) })
	}()
	j.Put("b", 3)
	j.Put("c", 3)
	j.Flush()
	if err := <-filled; err != nil {
		t.Fatal(err)
	}
	j.Put("a", nil)
	if err := c.Commit(); err != nil {
		t.Fatal(err)
	}
	j.Put("d", 4)
	j.Flush()
	if _, got := open(t, path); !maps.Equal(got, map[string]string{"b": "3", "c": "3", "d": "4"}) {
		t.Errorf("after a compaction the journal has %v", got)
	}

	// One that failed leaves everything as it is.
	c = j.Compact()
	if err := c.Fill(func(func(string, any) error) error { return errors.New("no room") }); err == nil {
		t.Error("the error of fill is lost")
	}
	j.Put("e", 5)
	if err := errors.Join(c.Commit(), j.Flush()); err != nil {
		t.Fatal(err)
	}
	if _, got := open(t, path); len(got) != 4 || got["e"] != "5" {
		t.Errorf("after a compaction that failed the journal has %v", got)
	}
}

// Values come in the order in which they were put last.
func TestOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	for _, key := range []string{"a", "b", "c", "a"} {
		j.Put(key, 1)
	}
	j.Flush()
	var order string
	if _, err := journal.Open(path, func(key string, _ json.RawMessage) error { order += key; return nil }); err != nil {
		t.Fatal(err)
	}
	if order != "bca" {
		t.Errorf("order %s, want bca", order)
	}
}
