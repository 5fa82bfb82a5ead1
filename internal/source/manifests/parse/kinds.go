package parse

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kinds are those that are read.
type kinds struct {
	scheme *runtime.Scheme
	wanted map[schema.GroupVersionKind]bool
	byKind map[string]schema.GroupVersionKind
}

func newKinds(wanted []schema.GroupVersionKind) (kinds, error) {
	k := kinds{
		scheme: runtime.NewScheme(),
		wanted: make(map[schema.GroupVersionKind]bool), byKind: make(map[string]schema.GroupVersionKind),
	}
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(k.scheme); err != nil {
			return k, fmt.Errorf("register the Kubernetes types: %w", err)
		}
	}
	for _, gvk := range wanted {
		if !k.scheme.Recognizes(gvk) {
			return k, fmt.Errorf("read objects of %s: its types are not known", gvk)
		}
		k.wanted[gvk], k.byKind[gvk.Kind] = true, gvk
	}
	return k, nil
}

// judgement is what becomes of an object by its kind.
type judgement int

const (
	passed   judgement = iota // not ours, and left alone
	read                      // decoded
	misnamed                  // an API server would not know it
)

func (k kinds) judge(gvk schema.GroupVersionKind) judgement {
	if k.wanted[gvk] {
		return read
	}
	if k.scheme.Recognizes(gvk) {
		return passed
	}
	// An ordinary kind of another group may well have the name of one of ours.
	builtin := !strings.Contains(gvk.Group, ".") || strings.HasSuffix(gvk.Group, ".k8s.io") && gvk.Group != "gateway.networking.k8s.io"
	if _, ours := k.byKind[gvk.Kind]; ours && builtin {
		return misnamed
	}
	if k.scheme.IsVersionRegistered(gvk.GroupVersion()) {
		return misnamed
	}
	return passed
}

// unknown says what to write for a kind that an API server would not know.
func (k kinds) unknown(gvk schema.GroupVersionKind) Problem {
	p := Problem{Reason: "UnknownKind"}
	if ours, ok := k.byKind[gvk.Kind]; ok {
		p.Message = fmt.Sprintf("there is no %s in apiVersion %s; write apiVersion: %s", gvk.Kind, short(gvk.GroupVersion().String()), ours.GroupVersion())
		return p
	}
	p.Message = fmt.Sprintf("there is no kind %s in apiVersion %s", short(gvk.Kind), gvk.GroupVersion())
	for _, name := range slices.Sorted(maps.Keys(k.byKind)) {
		if near(gvk.Kind, name) {
			p.Message += "; did you mean kind: " + name + "?"
			return p
		}
	}
	p.Message += "; correct it, or take the object out of this file"
	return p
}

// near reports whether a is b but for case and one letter too many, too few or wrong.
func near(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	rest := b[min(i+1, len(b)):]
	if len(a) == len(b) {
		return a[min(i+1, len(a)):] == rest
	}
	return a[i:] == rest
}

// head reads what an object is.
func head(root *yaml.Node, all mapping) (schema.GroupVersionKind, *Problem) {
	var said [2]string
	for i, name := range [2]string{"apiVersion", "kind"} {
		n := all.get(name)
		if n == nil || isNull(follow(n)) {
			example := "v1"
			if name == "kind" {
				example = "Service"
			}
			return schema.GroupVersionKind{}, &Problem{
				Line: root.Line, Reason: "NotAnObject",
				Message: fmt.Sprintf("this is no Kubernetes object, for its %s is missing; add it, for example %s: %s, or move what this is out of the folder", name, name, example),
			}
		}
		n = follow(n)
		if v := scalar(n); n.Kind == yaml.ScalarNode && v.kind == text && v.text != "" {
			said[i] = v.text
			continue
		}
		return schema.GroupVersionKind{}, &Problem{
			Line: n.Line, Reason: "NotAnObject", Message: fmt.Sprintf("%s must be text, not %s", name, describe(n)),
		}
	}
	gv, err := schema.ParseGroupVersion(said[0])
	if err != nil {
		return schema.GroupVersionKind{}, &Problem{
			Line: all.line("apiVersion", root.Line), Reason: "NotAnObject",
			Message: short(said[0]) + " is no apiVersion; write a group and a version, for example networking.k8s.io/v1",
		}
	}
	return gv.WithKind(said[1]), nil
}

// isList reports whether the kind is one that only holds others.
func isList(gvk schema.GroupVersionKind) bool {
	return len(gvk.Kind) >= len("List") && strings.HasSuffix(gvk.Kind, "List")
}
