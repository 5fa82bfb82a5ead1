package translate

import (
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// Set adds obj, or replaces the object of the same kind, namespace and name. The
// Translator keeps obj, which must not change afterwards. A kind that is not one
// of Kinds is ignored.
func (t *Translator) Set(obj runtime.Object) {
	t.change(obj, true)
}

// Delete forgets the object of obj's kind, namespace and name.
func (t *Translator) Delete(obj runtime.Object) {
	t.change(obj, false)
}

func (t *Translator) change(obj runtime.Object, set bool) {
	if v := reflect.ValueOf(obj); !v.IsValid() || v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	switch o := obj.(type) {
	case *corev1.Service:
		if t.wellNamed(object.Service, object.KeyOf(o), set) {
			t.changeService(object.KeyOf(o), kept(o, set))
		}
	case *discoveryv1.EndpointSlice:
		t.changeSlice(o, set)
	case *corev1.Endpoints: //nolint:staticcheck // people still write them into folders
		key := object.KeyOf(o)
		t.state(key).legacy = kept(o, set)
		t.dirty.backends[key] = true
	case *networkingv1.Ingress:
		if t.wellNamed(object.Ingress, object.KeyOf(o), set) {
			t.changeIngress(object.KeyOf(o), kept(o, set))
		}
	case *networkingv1.IngressClass:
		keep(t.classes, o.Name, kept(o, set))
		t.dirty.classes = true
	case *corev1.Node:
		if t.wellNamed(object.Node, object.Key{Name: o.Name}, set) {
			keep(t.nodes, o.Name, kept(o, set))
			t.dirty.nodes = true
		}
	}
}

// kept is o if it is set, nil if it is deleted.
func kept[T any](o *T, set bool) *T {
	if set {
		return o
	}
	return nil
}

func keep[T any](m map[string]*T, name string, o *T) {
	if o == nil {
		delete(m, name)
		return
	}
	m[name] = o
}

// wellNamed reports whether an object can be translated under its name; one that
// cannot is only a finding.
func (t *Translator) wellNamed(kind string, key object.Key, set bool) bool {
	why := object.NameProblem(kind, key)
	if why == "" {
		return true
	}
	id := kind + "\x00" + key.Namespace + "\x00" + key.Name
	if set {
		t.misnamed[id] = object.Misnamed(t.opt.Source, kind, key, why)
	} else {
		delete(t.misnamed, id)
	}
	t.dirty.findings = true
	return false
}

// state is what is known of a Service, from now on something.
func (t *Translator) state(key object.Key) *serviceState {
	s := t.services[key]
	if s == nil {
		s = &serviceState{}
		t.services[key] = s
	}
	return s
}

func (t *Translator) changeService(key object.Key, svc *corev1.Service) {
	s := t.state(key)
	before := s.object
	s.object = svc
	if before != nil && svc != nil && sameMeta(before, svc) && reflect.DeepEqual(before.Spec, svc.Spec) {
		return // its status is ours or the cluster's, and asks for nothing
	}
	t.dirty.services[key] = true
	for ing := range s.referrers {
		t.dirty.ingresses[ing] = true
	}
}

func (t *Translator) changeIngress(key object.Key, ing *networkingv1.Ingress) {
	s := t.ingress[key]
	if s == nil {
		if ing == nil {
			return
		}
		s = &ingressState{key: key}
		t.ingress[key] = s
	}
	before := s.object
	s.object = ing
	if before != nil && ing != nil && sameMeta(before, ing) && reflect.DeepEqual(before.Spec, ing.Spec) {
		return
	}
	t.dirty.ingresses[key] = true
}

// sameMeta reports whether what is read of the metadata is the same.
func sameMeta(a, b metav1.Object) bool {
	return a.GetCreationTimestamp().UTC().Equal(b.GetCreationTimestamp().UTC()) &&
		maps.Equal(a.GetAnnotations(), b.GetAnnotations())
}

func (t *Translator) changeSlice(slice *discoveryv1.EndpointSlice, set bool) {
	id := object.KeyOf(slice)
	if owner, there := t.owner[id]; there {
		delete(t.state(owner).slices, id.Name)
		t.dirty.backends[owner] = true
		delete(t.owner, id)
	}
	name := slice.Labels[discoveryv1.LabelServiceName]
	if !set || name == "" {
		return
	}
	owner := object.Key{Namespace: id.Namespace, Name: name}
	s := t.state(owner)
	if s.slices == nil {
		s.slices = make(map[string]*discoveryv1.EndpointSlice)
	}
	s.slices[id.Name] = slice
	t.owner[id] = owner
	t.dirty.backends[owner] = true
}
