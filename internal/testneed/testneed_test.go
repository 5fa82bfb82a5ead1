package testneed_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/testneed"
)

// outcome runs f as a test of its own and says how it ended.
func outcome(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.outcome
}

func TestNeed(t *testing.T) {
	for _, c := range []struct{ require, want string }{
		{"", "skip: apiserver is missing: run: make"},
		{"haproxy", "skip: apiserver is missing: run: make"},
		{"haproxy-apiserver", "skip: apiserver is missing: run: make"},
		{"apiserver", "fail: apiserver is missing and LANDFALL_TEST_REQUIRE names it: run: make"},
		{"haproxy, apiserver", "fail: apiserver is missing and LANDFALL_TEST_REQUIRE names it: run: make"},
	} {
		t.Setenv("LANDFALL_TEST_REQUIRE", c.require)
		got := outcome(t, func(tb testing.TB) { testneed.Need(tb, "apiserver", "run: make") })
		if got != c.want {
			t.Errorf("require %q: got %q, want %q", c.require, got, c.want)
		}
	}
}

func TestBinary(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "there")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("LANDFALL_TEST_REQUIRE", "")

	var path string
	if got := outcome(t, func(tb testing.TB) { path = testneed.Binary(tb, "there") }); got != "" || path != program {
		t.Errorf("there: got %q, outcome %q, want %q", path, got, program)
	}
	got := outcome(t, func(tb testing.TB) { testneed.Binary(tb, "missing") })
	if want := "skip: missing is missing: run make test-deps, or install it by hand"; got != want {
		t.Errorf("missing: got %q, want %q", got, want)
	}
}

func TestRoot(t *testing.T) {
	t.Setenv("LANDFALL_TEST_REQUIRE", "root")
	got := outcome(t, testneed.Root)
	if failed := strings.HasPrefix(got, "fail: root is missing"); failed != (os.Geteuid() != 0) {
		t.Errorf("uid %d: got %q", os.Geteuid(), got)
	}
}

// recorder notes how a test would have ended. Like the real one it ends the
// goroutine, so that nothing after the call runs.
type recorder struct {
	testing.TB
	outcome string
}

func (r *recorder) Skipf(format string, args ...any) {
	r.outcome = "skip: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.outcome = "fail: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}
