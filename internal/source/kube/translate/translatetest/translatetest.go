// Package translatetest runs the text cases of the Kubernetes translators: objects
// in, fragment out, in one file.
package translatetest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/source/kube/translate"
)

// The files of a case.
const (
	optionsFile  = "options.yaml" // translate.Options; may be missing
	objectsFile  = "objects.yaml"
	fragmentFile = "fragment.txt"
)

// longest is how many lines a case can have and still be read by a reviewer.
const longest = 150

// Run runs every case in dir, and with update writes down what comes out.
func Run(t *testing.T, dir string, update bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runCase(t, file, update) })
	}
}

func runCase(t *testing.T, file string, update bool) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(raw)
	opt, objects, want := read(t, archive)
	tr := translate.New(opt)
	for _, o := range objects {
		tr.Set(o)
	}
	fragment := tr.Fragment()
	if err := Check(fragment); err != nil {
		t.Error(err)
	}
	got := Format(fragment)
	if update {
		want.Data = []byte(got)
		raw = txtar.Format(archive)
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(string(want.Data), got); d != "" {
		t.Errorf("fragment differs (- want, + got); -update writes it down:\n%s", d)
	}
	if n := bytes.Count(raw, []byte("\n")); n > longest {
		t.Errorf("%d lines, and a case has at most %d; split it", n, longest)
	}
}

// read takes a case apart.
func read(t *testing.T, archive *txtar.Archive) (translate.Options, []runtime.Object, *txtar.File) {
	opt := translate.Options{Source: "home"}
	var objects []runtime.Object
	var want *txtar.File
	for i := range archive.Files {
		f := &archive.Files[i]
		var err error
		switch f.Name {
		case optionsFile:
			err = yaml.UnmarshalStrict(f.Data, &opt)
		case objectsFile:
			objects, err = Load(f.Data, yaml.UnmarshalStrict)
		case fragmentFile:
			want = f
		default:
			err = errors.New("unknown file")
		}
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
	if want == nil {
		archive.Files = append(archive.Files, txtar.File{Name: fragmentFile})
		want = &archive.Files[len(archive.Files)-1]
	}
	return opt, objects, want
}

// Load decodes all documents of data that are of a kind the translators read.
func Load(data []byte, decode func([]byte, any, ...yaml.JSONOpt) error) ([]runtime.Object, error) {
	var objects []runtime.Object
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return objects, err
		}
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			return objects, err
		}
		o := empty(kind.Kind)
		if o == nil {
			return objects, fmt.Errorf("kind %q is not read", kind.Kind)
		}
		if err := decode(doc, o); err != nil {
			return objects, err
		}
		objects = append(objects, o)
	}
}

func empty(kind string) runtime.Object {
	switch kind {
	case "Service":
		return &corev1.Service{}
	case "Node":
		return &corev1.Node{}
	case "Namespace":
		return &corev1.Namespace{}
	case "Endpoints":
		return &corev1.Endpoints{} //nolint:staticcheck // folders hold them
	case "EndpointSlice":
		return &discoveryv1.EndpointSlice{}
	case "Ingress":
		return &networkingv1.Ingress{}
	case "IngressClass":
		return &networkingv1.IngressClass{}
	}
	return nil
}
