package atomicfile_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/landfall-edge/landfall/internal/atomicfile"
)

func TestWrite(t *testing.T) {
	for name, write := range map[string]func(string, []byte, fs.FileMode) error{
		"Write":         atomicfile.Write,
		"WriteUnsynced": atomicfile.WriteUnsynced,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "state.json")
			for _, want := range []struct {
				data string
				mode fs.FileMode
			}{{"first", 0o600}, {"second, and longer", 0o666}, {"", 0o400}} {
				if err := write(path, []byte(want.data), want.mode); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != want.data || info.Mode().Perm() != want.mode {
					t.Errorf("got %q with mode %v, want %q with %v", got, info.Mode().Perm(), want.data, want.mode)
				}
			}
			if left := entries(t, dir); len(left) != 1 {
				t.Errorf("the folder holds %v", left)
			}
		})
	}
}

// TestWriteFails leaves nothing behind and names the path.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := atomicfile.Write(path, []byte("x"), 0o600)
	if err == nil || !strings.HasPrefix(err.Error(), "write "+path+": ") {
		t.Errorf("got %v", err)
	}
	if left := entries(t, dir); len(left) != 1 {
		t.Errorf("the folder holds %v", left)
	}
	if err := atomicfile.Write(filepath.Join(dir, "missing", "x"), nil, 0o600); err == nil {
		t.Error("a write into a missing folder succeeded")
	}
}

// TestWriteIsWhole reads while others write, and wants one of their contents.
func TestWriteIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	contents := [][]byte{bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<10)}
	if err := atomicfile.Write(path, contents[0], 0o600); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, content := range contents {
		writers.Go(func() {
			for range 50 {
				if err := atomicfile.WriteUnsynced(path, content, 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("read a part: %d bytes", len(got))
		}
	}
	writers.Wait()
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".landfall-new-123", "state.json", ".other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := atomicfile.Sweep(dir); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(entries(t, dir), " "); got != ".other state.json" {
		t.Errorf("left are %s", got)
	}
	if err := atomicfile.Sweep(filepath.Join(dir, "missing")); err == nil {
		t.Error("sweeping a missing folder succeeded")
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(list))
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return names
}
