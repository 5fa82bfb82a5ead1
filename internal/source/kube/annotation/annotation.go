// Package annotation reads the annotations that are Landfall's own, and says what
// is wrong with them. It is pure.
package annotation

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// Prefix begins every annotation of ours.
const Prefix = "landfall.dev/"

// The annotations.
const (
	Expose           = Prefix + "expose"
	Ports            = Prefix + "ports"
	VIP              = Prefix + "vip"
	Balance          = Prefix + "balance"
	ProxyProtocol    = Prefix + "proxy-protocol"
	LimitRPS         = Prefix + "limit-rps"
	LimitConnections = Prefix + "limit-connections"
)

// known says on which kinds each annotation is read.
func known() map[string][]string {
	both := []string{object.Service, object.Ingress}
	return map[string][]string{
		Expose:           {object.Service},
		Ports:            {object.Service},
		VIP:              both,
		Balance:          both,
		ProxyProtocol:    both,
		LimitRPS:         both,
		LimitConnections: both,
	}
}

const withoutIt = "the object, as if the annotation were not there"

// Check notes the annotations of ours that an object of that kind cannot have.
func Check(kind string, annotations map[string]string, f *object.Findings) {
	if !hasOurs(annotations) {
		return
	}
	known := known()
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		kinds, ok := known[name]
		field := object.AnnotationField(name)
		switch {
		case !ok:
			message := "Landfall knows no annotation " + object.Quote(name)
			names := slices.Sorted(maps.Keys(known))
			if s := nearest(strings.TrimPrefix(name, Prefix), trimmed(names)); s != "" {
				message += "; did you mean " + Prefix + s + "?"
			} else {
				message += "; it knows " + strings.Join(names, ", ")
			}
			f.Add(field, "UnknownAnnotation", withoutIt, message)
		case !slices.Contains(kinds, kind):
			f.Add(field, "UnknownAnnotation", withoutIt,
				name+" counts on a "+strings.Join(kinds, " or ")+", not on an "+kind+"; put it there")
		}
	}
}

// trimmed are the names without what they all begin with, which would make any of
// them look alike.
func trimmed(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, strings.TrimPrefix(n, Prefix))
	}
	return out
}

// hasOurs reports whether one of the annotations is ours, which for most is not so.
func hasOurs(annotations map[string]string) bool {
	for name := range annotations {
		if strings.HasPrefix(name, Prefix) {
			return true
		}
	}
	return false
}

// ReadVIP is the VIP that an object asks for, "" for the default. When ok is
// false nothing of the object may be served: it asked for an address and which
// one cannot be told.
func ReadVIP(annotations map[string]string, f *object.Findings) (vip string, ok bool) {
	v, there := annotations[VIP]
	if !there {
		return "", true
	}
	if len(validation.IsDNS1123Label(v)) > 0 {
		f.Add(object.AnnotationField(VIP), "BadAnnotation", "",
			object.Quote(v)+` is not the name of a VIP; write the name that the edge's file gives it under vips, such as "main"`)
		return "", false
	}
	return v, true
}

// Policy is how connections to a backend are made, as far as annotations say it.
type Policy struct {
	Balance string // one of model.Balances; "" if nothing was said
	Proxy   int    // version of the PROXY protocol; 0 if nothing or "false" was said
	// ProxySet tells "false" from nothing.
	ProxySet bool
}

// ReadPolicy reads Balance and ProxyProtocol; a bad value counts as none.
func ReadPolicy(annotations map[string]string, f *object.Findings) Policy {
	var p Policy
	if v, there := annotations[Balance]; there {
		if slices.Contains(model.Balances, v) {
			p.Balance = v
		} else {
			message := object.Quote(v) + " is not a way to balance; write one of " + strings.Join(model.Balances, ", ")
			if s := nearest(v, model.Balances); s != "" {
				message += " (did you mean " + s + "?)"
			}
			f.Add(object.AnnotationField(Balance), "BadAnnotation", "everything, by "+model.Balances[0], message)
		}
	}
	if v, there := annotations[ProxyProtocol]; there {
		p.ProxySet = true
		switch v {
		case "v1":
			p.Proxy = 1
		case "v2", "true":
			p.Proxy = 2
		case "false":
		default:
			p.ProxySet = false
			f.Add(object.AnnotationField(ProxyProtocol), "BadAnnotation", "everything, without the PROXY protocol",
				object.Quote(v)+` is not a version of the PROXY protocol; write "v1", "v2", "true" (the same as v2) or "false"`)
		}
	}
	return p
}
