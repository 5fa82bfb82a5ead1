// Package testgolden runs cases that are text files: what goes in, and behind it
// what must come out. It is imported by tests only, and owns their flag -update.
package testgolden

import (
	"bytes"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// maxLines is what a reviewer still reads.
const maxLines = 150

// update must be known before a test binary parses its flags, which is before any
// test begins.
var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// Run runs each case whose path has the pattern in a subtest of the file's name.
// complete gets the case as it is and returns the whole of it as it should be: its
// inputs and, behind them, what came out. It may change the case that it got, and
// run in parallel. With -update the result is written, otherwise every byte that
// differs is an error. No case at all is an error, and so is a result of more
// than 150 lines.
func Run(t *testing.T, pattern string, complete func(t *testing.T, in *txtar.Archive) *txtar.Archive) {
	t.Helper()
	for _, path := range paths(t, pattern) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := txtar.Format(complete(t, txtar.Parse(want)))
			if n := bytes.Count(got, []byte("\n")); n > maxLines {
				t.Errorf("%s has %d lines, and a case may have %d to be reviewed: split it", path, n, maxLines)
			}
			if *update {
				rewrite(t, path, got)
				return
			}
			for _, d := range differences(want, got) {
				t.Errorf("%s: %s\nIf that is meant, run make golden.", path, d)
			}
		})
	}
}

// File compares a whole file with what it should be, such as a page that is
// generated. With -update it is written.
func File(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		rewrite(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(want, got); d != "" {
		t.Errorf("%s differs (-want +got):\n%s\nIf that is meant, run make docs.", path, d)
	}
}

func rewrite(t *testing.T, path string, got []byte) {
	t.Helper()
	if err := os.WriteFile(path, got, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Cases are the cases of the pattern by their paths, for tests that make something
// else of them, such as the seeds of a fuzz target. No case at all is an error.
func Cases(t testing.TB, pattern string) iter.Seq2[string, *txtar.Archive] {
	t.Helper()
	all := paths(t, pattern)
	return func(yield func(string, *txtar.Archive) bool) {
		t.Helper()
		for _, path := range all {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(path, a) {
				return
			}
		}
	}
}

func paths(t testing.TB, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) == 0 {
		t.Fatalf("no cases are found as %s: %v", pattern, err)
	}
	return all
}

// differences says how two cases differ, file by file.
func differences(want, got []byte) []string {
	if bytes.Equal(want, got) {
		return nil
	}
	a, b := txtar.Parse(want), txtar.Parse(got)
	var all []string
	if d := diff(a.Comment, b.Comment); d != "" {
		all = append(all, "the comment differs (-want +got):\n"+d)
	}
	left := b.Files
	for _, f := range a.Files {
		i := slices.IndexFunc(left, func(g txtar.File) bool { return g.Name == f.Name })
		if i < 0 {
			all = append(all, fmt.Sprintf("%s does not come out, and was\n%s", f.Name, f.Data))
			continue
		}
		if d := diff(f.Data, left[i].Data); d != "" {
			all = append(all, f.Name+" differs (-want +got):\n"+d)
		}
		left = append(left[:i:i], left[i+1:]...)
	}
	for _, f := range left {
		all = append(all, fmt.Sprintf("%s comes out, and was not there:\n%s", f.Name, f.Data))
	}
	if len(all) == 0 {
		all = append(all, "the order or form of the files differs (-want +got):\n"+diff(want, got))
	}
	return all
}

// diff compares by the line: within a long one it would show a few bytes.
func diff(want, got []byte) string {
	return cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n"))
}
