// Package translatetest completes the text cases of the Kubernetes translators:
// objects in, fragment out, in one file. It is imported by tests only.
package translatetest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

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

// Complete translates the objects of a case and puts the fragment behind them. It
// is for testgolden.Run.
func Complete(t *testing.T, in *txtar.Archive) *txtar.Archive {
	t.Helper()
	opt := translate.Options{Source: "home"}
	var objects []runtime.Object
	out := &txtar.Archive{Comment: in.Comment}
	for _, f := range in.Files {
		var err error
		switch f.Name {
		case optionsFile:
			err = yaml.UnmarshalStrict(f.Data, &opt)
		case objectsFile:
			objects, err = Load(f.Data, yaml.UnmarshalStrict)
		case fragmentFile:
			continue
		default:
			err = errors.New("unknown file")
		}
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		out.Files = append(out.Files, f)
	}
	tr := translate.New(opt)
	for _, o := range objects {
		tr.Set(o)
	}
	fragment := tr.Fragment()
	if err := Check(fragment); err != nil {
		t.Error(err)
	}
	out.Files = append(out.Files, txtar.File{Name: fragmentFile, Data: []byte(Format(fragment))})
	return out
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
