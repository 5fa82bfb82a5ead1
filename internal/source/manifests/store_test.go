package manifests

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/kube/translate/translatetest"
	"github.com/landfall-edge/landfall/internal/source/manifests/admit"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

func testStore(t testing.TB) *store {
	t.Helper()
	s, err := newStore(translate.Options{Source: "files", Reach: translate.Pods})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStore takes each case's files in steps: "2/shop.yaml" is what is written in
// the second, and "2/rm" lists what is removed. "want" is what counts after each.
func TestStore(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", func(t *testing.T, in *txtar.Archive) *txtar.Archive {
		in.Files = slices.DeleteFunc(in.Files, func(f txtar.File) bool { return f.Name == "want" })
		in.Files = append(in.Files, txtar.File{Name: "want", Data: []byte(steps(t, in.Files))})
		return in
	})
}

// steps runs those of a case.
func steps(t *testing.T, files []txtar.File) string {
	t.Helper()
	var got strings.Builder
	s, last := testStore(t), "1"
	for _, f := range files {
		step, name, _ := strings.Cut(f.Name, "/")
		if step != last {
			show(&got, last, s)
			last = step
		}
		if name == "rm" {
			for _, gone := range strings.Fields(string(f.Data)) {
				s.drop(gone)
			}
			continue
		}
		s.put(name, f.Data)
	}
	show(&got, last, s)
	return got.String()
}

func show(w *strings.Builder, step string, s *store) {
	fmt.Fprintf(w, "after step %s:\n", step)
	f := s.read()
	for _, p := range f.Parts {
		fmt.Fprintf(w, "  %s %s", p.Origin.Kind, p.Origin)
		for _, l := range p.Listeners {
			fmt.Fprintf(w, " :%d", l.Port)
		}
		for _, r := range p.Routes {
			fmt.Fprintf(w, " %s%s", r.Match.Host, r.Match.Path)
		}
		w.WriteByte('\n')
	}
	for _, finding := range f.Findings {
		if finding.Reason == "NoEndpointSlice" {
			continue // the cases are about something else
		}
		fmt.Fprintf(w, "  ! %s %s %s: %s", finding.Origin, finding.Field, finding.Reason, finding.Message)
		if finding.Accepted != "" {
			fmt.Fprintf(w, " [%s]", finding.Accepted)
		}
		w.WriteByte('\n')
	}
}

// TestSameAsDirect gives the translators' own cases to them by way of files: what
// an API server would take must come out the same.
func TestSameAsDirect(t *testing.T) {
	versions := make(map[string]string)
	for _, gvk := range translate.Kinds() {
		versions[gvk.Kind] = gvk.GroupVersion().String()
	}
	kindLine := regexp.MustCompile(`(?m)^kind: \w+$`)
	cases, compared := 0, 0
	for path, a := range testgolden.Cases(t, "../kube/*/testdata/*.txtar") {
		cases++
		opt := translate.Options{Source: "home"}
		var objects []byte
		for _, f := range a.Files {
			var err error
			switch f.Name {
			case "options.yaml":
				err = yaml.UnmarshalStrict(f.Data, &opt)
			case "objects.yaml":
				objects = kindLine.ReplaceAllFunc(f.Data, func(line []byte) []byte {
					kind := strings.TrimPrefix(string(line), "kind: ")
					return fmt.Appendf(nil, "apiVersion: %s\n%s", versions[kind], line)
				})
			}
			if err != nil {
				t.Fatal(path, err)
			}
		}
		direct := translate.New(opt)
		loaded, err := translatetest.Load(objects, yaml.UnmarshalStrict)
		if err != nil {
			t.Fatal(path, err)
		}
		refused, ids, twice := false, map[parse.ID]bool{}, false
		for _, o := range loaded {
			admit.Default(o)
			m := o.(metav1.Object)
			id := parse.ID{Kind: o.GetObjectKind().GroupVersionKind().Kind, Namespace: m.GetNamespace(), Name: m.GetName()}
			twice = twice || ids[id]
			ids[id] = true
			refused = refused || len(admit.Check(o)) > 0
			direct.Set(o)
		}
		s, err := newStore(opt)
		if err != nil {
			t.Fatal(err)
		}
		s.put("objects.yaml", objects)
		if refused || twice {
			if len(s.findings()) == 0 {
				t.Errorf("%s: refused without a word", path)
			}
			continue
		}
		compared++
		if d := cmp.Diff(translatetest.Format(direct.Fragment()), translatetest.Format(s.read())); d != "" {
			t.Errorf("%s (-direct +file)\n%s", path, d)
		}
	}
	if compared < 20 {
		t.Errorf("only %d of %d cases were compared", compared, cases)
	}
}

// TestManyDocuments refuses the file that would be too much, whichever comes last.
func TestManyDocuments(t *testing.T) {
	s := testStore(t)
	s.maxDocuments = 3
	two := "apiVersion: v1\nkind: Namespace\nmetadata: {name: a%d}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
	full := func(name string) bool {
		for _, f := range s.read().Findings {
			if f.Reason == "TooManyDocuments" && f.Origin.Name == name {
				return true
			}
		}
		return false
	}
	s.put("a.yaml", fmt.Appendf(nil, two, 1))
	s.put("b.yaml", fmt.Appendf(nil, two, 2))
	if full("a.yaml") || !full("b.yaml") || len(s.served) != 1 || !slices.Equal(s.waiting(), []string{"b.yaml"}) {
		t.Errorf("serving %v, waiting %v", s.served, s.waiting())
	}
	s.drop("a.yaml")
	s.put("b.yaml", fmt.Appendf(nil, two, 2))
	if full("b.yaml") || len(s.served) != 1 || s.documents != 2 {
		t.Errorf("serving %v of %d", s.served, s.documents)
	}
	s.drop("b.yaml")
	if s.documents != 0 || len(s.served)+len(s.holders)+len(s.files) != 0 {
		t.Errorf("something is left of files that are gone: %+v", s)
	}
}

// TestShares hands on what did not change as it was.
func TestShares(t *testing.T) {
	s := testStore(t)
	form := "apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: web}\nspec: {type: LoadBalancer, loadBalancerClass: landfall.dev/edge, ports: [{port: %d}]}\n"
	s.put("a.yaml", fmt.Appendf(nil, form+"---\n"+form, 1, 1001, 2, 1002))
	s.put("bad.yaml", []byte("a: ["))
	first := s.read()
	s.put("a.yaml", fmt.Appendf(nil, "# moved\n"+form+"---\n"+form, 1, 1001, 2, 2002))
	second := s.read()
	if first.Parts[0] != second.Parts[0] || first.Parts[1] == second.Parts[1] {
		t.Error("the object that changed, or the one that did not, is not told from the other")
	}
	s.put("c.yaml", []byte("# nothing\n"))
	third := s.read()
	if &second.Findings[0] != &third.Findings[0] {
		t.Error("findings were made anew, though none changed")
	}
	s.put("c.yaml", []byte("# nothing\n"))
	if s.dirty {
		t.Error("the same text again is news")
	}
}

// TestManyFindings counts those that nobody would read.
func TestManyFindings(t *testing.T) {
	s := testStore(t)
	for i := range maxFindings + 5 {
		s.put("f"+strconv.Itoa(10_000+i)+".yaml", []byte("a: ["))
	}
	f := s.read().Findings
	if len(f) != maxFindings+1 || f[0].Reason != "MoreFindings" || !strings.HasPrefix(f[0].Message, "5 more") {
		t.Errorf("%d findings, the first %+v", len(f), f[0])
	}
}

// TestHostile has names in files, and of files, that could be taken for others.
func TestHostile(t *testing.T) {
	s := testStore(t)
	for i, name := range []string{"a\n/b", "web/shop", strings.Repeat("x", 1<<20), "%[1]s", "\u202e", `"`, "a b", "../up"} {
		text := "apiVersion: v1\nkind: Service\nmetadata: {name: " + strconv.Quote(name) + ", namespace: " + strconv.Quote(name) + "}\nspec: {ports: [{port: 80}]}\n"
		s.put(fmt.Sprintf("%d\n%s.yaml", i, name[:min(len(name), 200)]), []byte(text))
	}
	f := s.read()
	if len(s.served) != 0 || len(f.Parts) != 0 || len(f.Findings) < 8 {
		t.Errorf("served %v", slices.Collect(maps.Keys(s.served)))
	}
	for _, finding := range f.Findings {
		for _, text := range []string{finding.Message, finding.Field, finding.Origin.Key(), finding.Accepted} {
			if strings.ContainsAny(text, "\n\x00\u202e") || len(text) > 1000 || strings.Contains(text, "%!") {
				t.Errorf("%.200q goes into a finding", text)
			}
		}
	}
}

// TestCreated honours the time that a manifest names.
func TestCreated(t *testing.T) {
	s := testStore(t)
	s.put("a.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata: {name: a, creationTimestamp: 2020-01-02T03:04:05Z}\nspec: {type: LoadBalancer, loadBalancerClass: landfall.dev/edge, ports: [{port: 80}]}\n"))
	var origin model.Origin
	for _, p := range s.read().Parts {
		origin = p.Origin
	}
	created := s.served[parse.ID{Kind: "Service", Namespace: "default", Name: "a"}].(metav1.Object).GetCreationTimestamp()
	if created.Year() != 2020 || !origin.Created.Equal(created.Time) {
		t.Errorf("made %v, and the part %v", created, origin.Created)
	}
}
