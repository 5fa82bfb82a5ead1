package testgolden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

func TestDifferences(t *testing.T) {
	const a, b, out = "-- a --\n1\n", "-- b --\n2\n", "-- out --\n3\n"
	tests := []struct {
		name, want, got string
		says            []string // in this order
	}{
		{"the same", a + out, a + out, nil},
		{"one file", a + b + out, a + b + "-- out --\n4\n", []string{"out differs"}},
		{"two files", a + b, "-- a --\n2\n-- b --\n1\n", []string{"a differs", "b differs"}},
		{"a file too few", a + out, a, []string{"out does not come out, and was\n3"}},
		{"a file too many", a, a + out, []string{"out comes out, and was not there:\n3"}},
		{"the same name again", a + a, a, []string{"a does not come out"}},
		{"another name", a + b, a + out, []string{"b does not", "out comes"}},
		{"another order", a + b, b + a, []string{"order or form"}},
		{"another form", "--  a --\n1\n", a, []string{"order or form"}},
		{"no end of the last line", "-- a --\n1", a, []string{"order or form"}},
		{"the comment", "# one\n" + a, "# two\n" + a, []string{"the comment differs"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := differences([]byte(tt.want), []byte(tt.got))
			if len(got) != len(tt.says) {
				t.Fatalf("got %q, want %q", got, tt.says)
			}
			for i, s := range tt.says {
				if !strings.Contains(got[i], s) {
					t.Errorf("got %q, want %q in it", got[i], s)
				}
			}
		})
	}
}

// TestRun completes a case with -update, and then finds it complete.
func TestRun(t *testing.T) {
	before := *update
	t.Cleanup(func() { *update = before })
	path := filepath.Join(t.TempDir(), "shout.txtar")
	if err := os.WriteFile(path, []byte("Loud.\n-- in --\nwave\n-- old --\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var names []string
	shout := func(t *testing.T, in *txtar.Archive) *txtar.Archive {
		names = append(names, t.Name())
		in.Files = append(in.Files[:1], txtar.File{Name: "out", Data: []byte(strings.ToUpper(string(in.Files[0].Data)))})
		return in
	}
	for _, on := range []string{"true", "false"} {
		if err := flag.Set("update", on); err != nil {
			t.Fatal(err)
		}
		Run(t, filepath.Join(filepath.Dir(path), "*.txtar"), shout)
	}
	const want = "Loud.\n-- in --\nwave\n-- out --\nWAVE\n"
	for at, a := range Cases(t, path) {
		if got := string(txtar.Format(a)); at != path || got != want {
			t.Errorf("%s holds %q, want %q", at, got, want)
		}
	}
	if len(names) != 2 || names[0] != "TestRun/shout" {
		t.Errorf("the subtests were %q", names)
	}
}
