package ingress

import (
	"maps"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// classAnnotation named an Ingress's class before spec.ingressClassName did.
const classAnnotation = "kubernetes.io/ingress.class"

// Classes are the IngressClasses as far as they decide whose an Ingress is.
type Classes struct {
	// ours holds every class by name, true for those of our controller.
	ours map[string]bool
	// byDefault is set when an Ingress without a class is ours.
	byDefault bool
}

// ReadClasses reads all IngressClasses, by name.
func ReadClasses(classes map[string]*networkingv1.IngressClass) Classes {
	c := Classes{ours: make(map[string]bool, len(classes))}
	for name, class := range classes {
		ours := class.Spec.Controller == object.Controller
		c.ours[name] = ours
		if ours && class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			c.byDefault = true
		}
	}
	return c
}

// Equal reports whether both decide alike.
func (c Classes) Equal(o Classes) bool {
	return c.byDefault == o.byDefault && maps.Equal(c.ours, o.ours)
}

// claims decides whether an Ingress is ours. The finding is for one that was
// clearly meant to be; any other is another controller's.
func (c Classes) claims(ing *networkingv1.Ingress, f *object.Findings) bool {
	name, field := "", ""
	switch {
	case ing.Spec.IngressClassName != nil:
		name, field = *ing.Spec.IngressClassName, "spec.ingressClassName"
	case ing.Annotations[classAnnotation] != "":
		name, field = ing.Annotations[classAnnotation], object.AnnotationField(classAnnotation)
	default:
		return c.byDefault
	}
	ours, known := c.ours[name]
	if !known && strings.Contains(strings.ToLower(name), "landfall") {
		f.Add(field, "ClassMissing", "",
			"there is no IngressClass "+object.Quote(name)+", so nobody serves this Ingress; create one with spec.controller: "+object.Controller+" and name it here")
	}
	return ours
}
