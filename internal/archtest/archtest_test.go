package archtest_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/landfall-edge/landfall/internal/archtest"
)

func TestImportDirections(t *testing.T) {
	wrong, err := archtest.Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}

// TestPlanted plants one fault at a time: a rule that catches nothing is none.
func TestPlanted(t *testing.T) {
	const ours = "github.com/landfall-edge/landfall/internal/"
	tests := []struct {
		name, file, source string
		want               string // part of the message; "" means that nothing is wrong
	}{
		{"the model stands alone", "internal/model/x.go", imports("model", ours+"plan"), "belong to no source"},
		{"the model needs no module", "internal/model/x.go", imports("model", "github.com/google/go-cmp/cmp"), "standard library only"},
		{"desired knows no source", "internal/desired/x.go", imports("desired", ours+"source"), "internal/model of ours"},
		{"desired knows no engine", "internal/desired/x.go", imports("desired", ours+"engine"), "it is pure"},
		{"desired has no ctx", "internal/desired/x.go", imports("desired", "context"), "is pure"},
		{"plan has no logger", "internal/plan/x.go", imports("plan", "log/slog"), "is pure"},
		{"plan has no files", "internal/plan/x.go", imports("plan", "os"), "is pure"},
		{"spec does not know the model", "internal/spec/x.go", imports("spec", ours+"model"), "a user's language"},
		{"no clock", "internal/desired/x.go", imports("desired", "time") + "var _ = time.Now()\n", "uses time.Now"},
		{"no clock by another name", "internal/plan/x.go", doc("plan") + "import clock \"time\"\nvar now = clock.Since\n", "uses time.Since"},
		{"no clock without a name", "internal/plan/x.go", doc("plan") + "import . \"time\"\nvar now = Now\n", `import . "time"`},
		{"durations are no clock", "internal/plan/x.go", imports("plan", "time") + "const d = time.Second\n", ""},
		{"a translator is pure", "internal/source/kube/ingress/x.go", imports("ingress", "net/http"), "is pure"},
		{"a translator has no client", "internal/source/kube/ingress/x.go", imports("ingress", "k8s.io/client-go/kubernetes"), "talk to an API server"},
		{"a translator knows Kubernetes' types", "internal/source/kube/ingress/x.go", imports("ingress", "k8s.io/api/core/v1", ours+"model"), ""},
		{"a source does not know who serves it", "internal/source/kube/x.go", imports("kube", ours+"engine"), "must not know who serves it"},
		{"a source does not know another", "internal/source/kube/x.go", imports("kube", ours+"source/file"), "nor another source"},
		{"a new source does not either", "internal/source/consul/x.go", imports("consul", ours+"source/kube"), "nor another source"},
		{"manifests use the translators", "internal/source/manifests/x.go", imports("manifests", ours+"source/kube/translate"), ""},
		{"manifests do not use the client", "internal/source/manifests/x.go", imports("manifests", ours+"source/kube"), "not the client"},
		{"an engine knows no other engine", "internal/engine/haproxy/x.go", imports("haproxy", ours+"engine/nftables"), "no other engine"},
		{"an engine knows no source", "internal/engine/haproxy/x.go", imports("haproxy", ours+"source"), "no source"},
		{"an engine does not know desired", "internal/engine/haproxy/x.go", imports("haproxy", ours+"desired"), "no desired"},
		{"an engine does not know the file", "internal/engine/haproxy/x.go", imports("haproxy", ours+"spec"), "no spec"},
		{"an engine has rooms of its own", "internal/engine/haproxy/x.go", imports("haproxy", ours+"engine/haproxy/client", ours+"journal"), ""},
		{"a new engine needs a rule", "internal/engine/envoy/x.go", imports("envoy", ours+"model"), "has no rule"},
		{"the loop sees contracts", "internal/agent/x.go", imports("agent", ours+"engine/haproxy"), "the loop sees contracts"},
		{"the loop sees no source", "internal/agent/x.go", imports("agent", ours+"source/kube"), "the loop sees contracts"},
		{"the ground stands on nothing", "internal/atomicfile/x.go", imports("atomicfile", ours+"model"), "stands on nothing"},
		{"a service knows no other", "internal/certs/x.go", imports("certs", ours+"signin"), "beside the other services"},
		{"app names everything", "internal/app/x.go", imports("app", ours+"engine/haproxy", ours+"source/kube"), ""},
		{"nobody but cmd imports app", "internal/agent/x.go", imports("agent", ours+"app"), "the loop sees contracts"},
		{"Kubernetes' types stay at home", "internal/agent/x.go", imports("agent", "k8s.io/api/core/v1"), "have one home"},
		{"flags are parsed by commands", "internal/app/x.go", imports("app", "github.com/spf13/cobra"), "commands parse flags"},
		{"test support is for tests", "internal/app/x.go", imports("app", ours+"testneed"), "_test.go files only"},
		{"tests may use it", "internal/app/x_test.go", imports("app", ours+"testkube", "k8s.io/client-go/kubernetes"), ""},
		{"tests may look around", "internal/desired/x_test.go", imports("desired_test", ours+"plan", "os"), ""},
		{"a package says what it is", "internal/journal/x.go", "package journal\n", "no package comment"},
		{"a comment about another package is none", "internal/journal/x.go", "// Package other is.\npackage journal\n", "no package comment"},
		{"a name says something", "internal/app/util/x.go", imports("util"), "the name says nothing"},
		{"another module has its own rules", "tools/x.go", imports("tools", ours+"app"), ""},
		{"testdata is not built", "internal/plan/testdata/x.go", "package util\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wrong, err := archtest.Check(fstest.MapFS{
				"go.mod":       {},
				"tools/go.mod": {},
				tt.file:        {Data: []byte(tt.source)},
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" && len(wrong) > 0 {
				t.Errorf("nothing is wrong, yet it says %q", wrong)
			}
			if tt.want != "" && !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, tt.want) }) {
				t.Errorf("it says %q, and should say %q", wrong, tt.want)
			}
		})
	}
}

func doc(name string) string { return "// Package " + name + " is planted.\npackage " + name + "\n" }

func imports(name string, paths ...string) string {
	s := doc(name)
	for _, p := range paths {
		s += "import \"" + p + "\"\n"
	}
	return s
}
