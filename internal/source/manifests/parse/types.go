package parse

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// misfit is a value that its field cannot hold.
type misfit struct {
	path     string
	line     int
	expected string
	got      *yaml.Node
}

func (m misfit) String() string {
	text := short(m.path) + " must be " + m.expected + ", not " + describe(m.got)
	if strings.HasPrefix(m.expected, "text") && m.got.Kind == yaml.ScalarNode {
		text += "; put it in quotes"
	}
	return text
}

// misfits are the values of an object that do not fit t. The decoder stops at the
// first, and does not say where an element of a list is.
func misfits(root *yaml.Node, t reflect.Type) []misfit {
	var c checker
	c.check(root, t, "", 0)
	return c.found
}

type checker struct{ found []misfit }

func (c *checker) wrong(n *yaml.Node, path, expected string) {
	if len(c.found) < maxProblems {
		c.found = append(c.found, misfit{path: path, line: n.Line, expected: expected, got: follow(n)})
	}
}

func (c *checker) check(n *yaml.Node, t reflect.Type, path string, depth int) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	v := follow(n)
	if isNull(v) || depth > maxDepth || len(c.found) >= maxProblems {
		return
	}
	if u, ok := reflect.New(t).Interface().(json.Unmarshaler); ok {
		var w writer
		if w.write(v) != nil || u.UnmarshalJSON(w.buf) != nil {
			c.wrong(n, path, custom(u))
		}
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.object(n, path, func(name string) reflect.Type { return fieldType(t, name) }, depth)
	case reflect.Map:
		c.object(n, path, func(string) reflect.Type { return t.Elem() }, depth)
	case reflect.Slice:
		c.list(n, t, path, depth)
	default:
		if expected, ok := fits(v, t); !ok {
			c.wrong(n, path, expected)
		}
	}
}

func (c *checker) object(n *yaml.Node, path string, of func(name string) reflect.Type, depth int) {
	v := follow(n)
	if v.Kind != yaml.MappingNode {
		c.wrong(n, path, "an object with fields")
		return
	}
	m, err := fields(v)
	if err != nil {
		return
	}
	for _, p := range m.pairs {
		if t := of(p.name); t != nil {
			c.check(p.value, t, join(path, p.name), depth+1)
		}
	}
}

func (c *checker) list(n *yaml.Node, t reflect.Type, path string, depth int) {
	v := follow(n)
	if t.Elem().Kind() == reflect.Uint8 {
		if s := scalar(v); v.Kind == yaml.ScalarNode && s.kind == text {
			if _, err := base64.StdEncoding.DecodeString(s.text); err == nil {
				return
			}
		}
		c.wrong(n, path, "text in base64")
		return
	}
	if v.Kind != yaml.SequenceNode {
		c.wrong(n, path, "a list")
		return
	}
	for i, e := range v.Content {
		c.check(e, t.Elem(), path+"["+strconv.Itoa(i)+"]", depth+1)
	}
}

// custom says what a type with a syntax of its own expects.
func custom(u json.Unmarshaler) string {
	switch u.(type) {
	case *metav1.Time, *metav1.MicroTime:
		return `a time such as "2026-01-31T12:00:00Z"`
	case *intstr.IntOrString:
		return "a whole number or a name"
	}
	return "what its kind says"
}

// fits reports whether a scalar is one of that type, or what would be.
func fits(n *yaml.Node, t reflect.Type) (expected string, ok bool) {
	s := resolved{kind: null}
	if n.Kind == yaml.ScalarNode {
		s = scalar(n)
	}
	switch t.Kind() {
	case reflect.String:
		return "text", s.kind == text
	case reflect.Bool:
		return "true or false", s.kind == boolean
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(s.json, 10, t.Bits())
		if t.Bits() == 32 {
			return "a whole number of at most " + strconv.Itoa(math.MaxInt32), s.kind == number && err == nil && i == int64(int32(i))
		}
		return "a whole number", s.kind == number && err == nil
	case reflect.Float32, reflect.Float64:
		return "a number", s.kind == number
	}
	return "", true
}

// fieldType is the type of a struct's field by its name in JSON, nil if there is none.
func fieldType(t reflect.Type, name string) reflect.Type {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && (tag == "" || strings.Contains(options, "inline")) && f.Type.Kind() == reflect.Struct {
			if inner := fieldType(f.Type, name); inner != nil {
				return inner
			}
			continue
		}
		if tag == name && tag != "" {
			return f.Type
		}
	}
	return nil
}
