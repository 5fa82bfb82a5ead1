package parse_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
	kyaml "sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

func reader(t testing.TB) *parse.Reader {
	t.Helper()
	r, err := parse.New(translate.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCases reads each file of a case; what follows in "want" is what came of it.
func TestCases(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", func(t *testing.T, in *txtar.Archive) *txtar.Archive {
		in.Files = slices.DeleteFunc(in.Files, func(f txtar.File) bool { return f.Name == "want" })
		var want strings.Builder
		for _, f := range in.Files {
			show(&want, f.Name, reader(t).Read(f.Data, parse.File{}))
		}
		in.Files = append(in.Files, txtar.File{Name: "want", Data: []byte(want.String())})
		return in
	})
}

func show(w *strings.Builder, name string, f parse.File) {
	state := ""
	if f.Broken {
		state = ", broken"
	}
	fmt.Fprintf(w, "%s: %d objects%s\n", name, f.Total, state)
	for _, o := range f.Objects {
		fmt.Fprintf(w, "%d: %s\n", o.Line, id(o.ID))
	}
	for _, o := range f.Refused {
		fmt.Fprintf(w, "refused: %s\n", id(o))
	}
	for _, p := range f.Problems {
		fmt.Fprintf(w, "%d: %s %s: %s", p.Line, p.Reason, id(p.ID), p.Message)
		if p.Accepted != "" {
			fmt.Fprintf(w, " [%s]", p.Accepted)
		}
		w.WriteByte('\n')
	}
}

func id(o parse.ID) string {
	if o == (parse.ID{}) {
		return "-"
	}
	return strings.TrimPrefix(fmt.Sprintf("%s %s/%s", o.Kind, o.Namespace, o.Name), " ")
}

// TestBounds gives the reader what is meant to exhaust it.
func TestBounds(t *testing.T) {
	bomb := "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("    a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
	}
	deep := "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}\n"
	items := "apiVersion: v1\nkind: List\nitems:\n- &i {apiVersion: v1, kind: Service, metadata: {name: a, annotations: {a: " + strings.Repeat("x", 100_000) + "}}, spec: {ports: [{port: 80}]}}\n" +
		strings.Repeat("- *i\n", 10_000)
	merges := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  annotations:\n    a0: &a0 {x: y}\n"
	for i := range 12 {
		merges += fmt.Sprintf("    a%d: &a%d {<<: [%s]}\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
	}
	for name, c := range map[string]struct{ text, want string }{
		"size":         {strings.Repeat("# nothing\n", parse.MaxSize/10+1), "TooLarge"},
		"aliases":      {bomb, "unfold"},
		"itself":       {"apiVersion: v1\nkind: Service\nmetadata: &a\n  name: a\n  labels: *a\n", "nested"},
		"deep":         {deep, "nested"},
		"deep json":    {`{"apiVersion":"v1","kind":"Service","metadata":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", "nested"},
		"alias items":  {items, "unfold"},
		"merge itself": {"apiVersion: v1\nkind: Service\nmetadata: &a\n  <<: *a\n  name: a\n", "merged"},
		"merge bomb":   {merges, "merged"},
		"NUL":          {"apiVersion: v1\nkind: \"Service\x00\"\n", "NotText"},
		"not UTF-8":    {"apiVersion: v1\n# \xff\n", "NotText"},
	} {
		f := reader(t).Read([]byte(c.text), parse.File{})
		if !f.Broken || len(f.Problems) == 0 || !strings.Contains(f.Problems[0].Reason+f.Problems[0].Message, c.want) {
			t.Errorf("%s: broken %v, %d problems, want one with %q", name, f.Broken, len(f.Problems), c.want)
			for _, p := range f.Problems[:min(len(f.Problems), 3)] {
				t.Logf("%+v", p)
			}
		}
		if len(f.Problems) > 21 {
			t.Errorf("%s: %d problems", name, len(f.Problems))
		}
	}
}

// TestManyProblems does not tell all of them.
func TestManyProblems(t *testing.T) {
	f := reader(t).Read([]byte(strings.Repeat("---\na: 1\n", 500)), parse.File{})
	if n := len(f.Problems); n != 21 || !strings.HasPrefix(f.Problems[20].Message, "480 more") {
		t.Errorf("%d problems, the last %+v", n, f.Problems[n-1])
	}
}

// TestUnchanged shares the objects whose text did not change.
func TestUnchanged(t *testing.T) {
	r := reader(t)
	one := "apiVersion: v1\nkind: Namespace\nmetadata: {name: one}\n---\n"
	two := "apiVersion: v1\nkind: Namespace\nmetadata: {name: two}\n"
	a := r.Read([]byte(one+two), parse.File{})
	b := r.Read([]byte("# moved\n\n"+one+strings.Replace(two, "two", "three", 1)), a)
	if len(a.Objects) != 2 || len(b.Objects) != 2 {
		t.Fatal(len(a.Objects), len(b.Objects))
	}
	if a.Objects[0].Object != b.Objects[0].Object || b.Objects[0].Line != 3 {
		t.Errorf("the object that only moved was read again: %+v", b.Objects[0])
	}
	if a.Objects[1].Object == b.Objects[1].Object {
		t.Error("the object that changed was not read again")
	}
}

// TestAsKubectl compares with the library that kubectl reads YAML by.
func TestAsKubectl(t *testing.T) {
	const form = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  annotations:\n    v: %s\n"
	for _, v := range []string{
		"yes", "no", "y", "On", "~", "null", "", "true", "0x1F", "0644", "0o17", "1_000", "1e3", "1.50", "-0", ".5", "+1",
		"2026-01-02", "12:30:00", "1.2.3", "10.0.0.1", "'yes'", `"1"`, "!!str 1", "99999999999999999999", "-x", "+x",
		"|\n      a\n      b", ">-\n      a\n      b", "1\n      2", "[1, a]", "{a: b}", "9223372036854775808", "1.", "00", "-12", "<<", "=",
	} {
		text := fmt.Sprintf(form, v)
		out, err := kyaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", v, err)
			continue
		}
		var want, got struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		}
		refused := kjson.UnmarshalCaseSensitivePreserveInts(out, &want) != nil
		f := reader(t).Read([]byte(text), parse.File{})
		if refused != f.Broken {
			t.Errorf("v: %s is refused by kubectl: %v, here: %v %+v", v, refused, f.Broken, f.Problems)
		}
		if refused || f.Broken {
			continue
		}
		got.Metadata.Annotations = f.Objects[0].Object.(*corev1.Namespace).Annotations
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("v: %s (-kubectl +here)\n%s", v, d)
		}
	}
}

// FuzzRead looks for text that brings the reader down, or into a state that it
// promises not to be in.
func FuzzRead(f *testing.F) {
	for _, a := range testgolden.Cases(f, "testdata/*.txtar") {
		for _, file := range a.Files {
			f.Add(file.Data)
		}
	}
	r := reader(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		first := r.Read(data, parse.File{})
		lines := 1 + bytes.Count(data, []byte("\n"))
		for _, p := range first.Problems {
			if p.Line < 1 || p.Line > lines || p.Reason == "" || p.Message == "" || strings.ContainsAny(p.Message, "\n\x00") || len(p.Message) > 2000 {
				t.Errorf("of %d lines: %+v", lines, p)
			}
		}
		for _, o := range first.Objects {
			if o.Object == nil || o.Line < 1 || o.Line > lines || o.ID.Name == "" || strings.ContainsAny(o.ID.Name+o.ID.Namespace, "/\n\x00 ") {
				t.Errorf("of %d lines: %+v", lines, o)
			}
		}
		if first.Broken && len(first.Problems) == 0 {
			t.Error("broken without a word")
		}
		if d := cmp.Diff(outcome(first), outcome(r.Read(data, first))); d != "" {
			t.Errorf("read again (-first +second)\n%s", d)
		}
	})
}

func outcome(f parse.File) string {
	var w strings.Builder
	show(&w, "", f)
	return w.String()
}
