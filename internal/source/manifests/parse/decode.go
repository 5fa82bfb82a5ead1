package parse

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/landfall-edge/landfall/internal/source/manifests/admit"
)

// decode reads an object of a kind that is wanted.
func (f *file) decode(root *yaml.Node, gvk schema.GroupVersionKind) {
	if f.json.full {
		return
	}
	if err := f.json.write(root); err != nil {
		f.unreadable(root, err)
		return
	}
	sum := sha256.Sum256(append([]byte(gvk.String()+"\n"), f.json.buf...))
	if old, ok := f.prev[sum]; ok {
		old.Line = root.Line
		f.out.Objects = append(f.out.Objects, old)
		return
	}
	obj, err := f.kinds.scheme.New(gvk)
	if err != nil { // New asked the scheme for it
		f.broken(root.Line, "NotAnObject", err.Error())
		return
	}
	strict, err := kjson.UnmarshalStrict(f.json.buf, obj, kjson.DisallowUnknownFields)
	if err != nil {
		f.mistyped(root, obj, gvk, err)
		return
	}
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	meta, ok := obj.(metav1.Object)
	if !ok {
		f.broken(root.Line, "NotAnObject", gvk.Kind+" is no object by itself")
		return
	}
	admit.Default(obj)
	id := ID{Kind: gvk.Kind, Namespace: meta.GetNamespace(), Name: meta.GetName()}
	before := len(f.out.Problems)
	if bad := admit.Check(obj); len(bad) > 0 {
		f.refuse(root, id, bad)
		return
	}
	for _, p := range f.json.twice {
		p.ID = id
		f.tell(p)
	}
	for _, err := range strict {
		f.tell(unknownField(root, id, err))
	}
	f.out.Objects = append(f.out.Objects, Object{
		ID: id, Object: obj, Line: root.Line, Sum: sum, clean: len(f.out.Problems) == before,
	})
}

// refuse notes an object that an API server would refuse.
func (f *file) refuse(root *yaml.Node, id ID, bad field.ErrorList) {
	f.out.Refused = append(f.out.Refused, id)
	for _, e := range bad {
		p := Problem{ID: id, Line: root.Line}
		if len(f.out.Problems) <= maxProblems { // the others are only counted
			p.Line, p.Reason, p.Message = lineOf(root, e.Field), "BadObject", say(e)
		}
		f.tell(p)
	}
}

// unknownField is the finding about a field that the kind does not have.
func unknownField(root *yaml.Node, id ID, err error) Problem {
	p := Problem{ID: id, Line: root.Line, Reason: "UnknownField", Accepted: "the rest of the object"}
	path := ""
	var at kjson.FieldError
	if errors.As(err, &at) {
		path = at.FieldPath()
		p.Line = lineOf(root, path)
	}
	p.Message = fmt.Sprintf("a %s has no field %s; correct its spelling or its indentation, or take it away", id.Kind, short(path))
	return p
}

// mistyped notes a document that does not decode into its type.
func (f *file) mistyped(root *yaml.Node, obj runtime.Object, gvk schema.GroupVersionKind, err error) {
	found := misfits(root, reflect.TypeOf(obj))
	if len(found) == 0 {
		f.broken(root.Line, "BadObject", "this "+gvk.Kind+" does not decode: "+short(err.Error()))
	}
	for _, m := range found {
		f.broken(m.line, "BadObject", "this "+gvk.Kind+" does not decode: "+m.String())
	}
}

// say is an API server's refusal in words. Values are cut short, for they may be
// anything.
func say(e *field.Error) string {
	at := short(e.Field)
	switch e.Type {
	case field.ErrorTypeRequired:
		if e.Detail != "" {
			return at + " is missing: " + e.Detail
		}
		return at + " is missing; add it"
	case field.ErrorTypeDuplicate:
		return at + ": " + value(e.BadValue) + " is there twice; use each one once"
	case field.ErrorTypeForbidden:
		return at + ": " + e.Detail + "; take it away"
	case field.ErrorTypeTooLong, field.ErrorTypeTooMany:
		return at + ": " + e.ErrorBody()
	}
	return at + ": " + value(e.BadValue) + ": " + plain(e.Detail)
}

// plain leaves the regular expression out of what Kubernetes says of a name.
func plain(detail string) string {
	before, _, found := strings.Cut(detail, "regex used for validation is")
	if !found {
		return strings.TrimSpace(detail)
	}
	before = strings.TrimRight(before, ", ")
	if strings.Contains(before, "(") {
		before += ")"
	}
	return before
}

func value(v any) string {
	if s, ok := v.(fmt.Stringer); ok {
		v = s.String()
	}
	if s, ok := v.(*string); ok && s != nil {
		v = *s
	}
	return quote(fmt.Sprint(v))
}

// most is how much of somebody's text is told.
const most = 120

// quote is somebody's text on one line, and short.
func quote(s string) string {
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// short is s itself if it is short and printable, else as quote has it.
func short(s string) string {
	if len(s) <= most && strconv.Quote(s) == `"`+s+`"` {
		return s
	}
	return quote(s)
}
