package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds what a file may unfold to by its aliases.
const maxNodes = 200_000

// reader walks the nodes of a file and gathers what is wrong with them.
type reader struct {
	file     string
	problems Problems
	nodes    int
	static   map[string]placed // static services by "<source>/<name>"
}

// value is a node of the file and the way to it. The zero value stands for a
// field that is not there.
type value struct {
	node *yaml.Node
	path string
}

// absent reports that the file leaves the value to its default: the field is not
// there, or nothing is written behind it.
func (v value) absent() bool {
	return v.node == nil || v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!null"
}

// elements counts those of a list, and takes anything else that is there for one.
func (v value) elements() int {
	switch {
	case v.absent():
		return 0
	case v.node.Kind == yaml.SequenceNode:
		return len(v.node.Content)
	default:
		return 1
	}
}

func isText(v value) bool {
	return !v.absent() && v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!str"
}

func (v value) field(name string) string {
	if v.path == "" {
		return name
	}
	return v.path + "." + name
}

// fields are the readers of an object's fields by name.
type fields map[string]func(value)

func (r *reader) at(line, column int, field, message, example string) {
	r.problems = append(r.problems, Problem{
		File: r.file, Line: max(line, 1), Column: max(column, 1),
		Field: field, Message: message, Example: example,
	})
}

// wrong tells what is wrong with v, and what would be right in its place.
func (r *reader) wrong(v value, example, format string, args ...any) {
	r.at(v.node.Line, v.node.Column, v.path, fmt.Sprintf(format, args...), example)
}

// required tells of a field that object lacks.
func (r *reader) required(object, v value, name, example string) bool {
	if !v.absent() {
		return true
	}
	r.at(object.node.Line, object.node.Column, object.field(name), "it is missing", example)
	return false
}

// unique is where a value was first seen, by its line.
type unique map[string]int

// once tells of a value that was there before. The empty value is none.
func (r *reader) once(v value, seen unique, s string) bool {
	if s == "" {
		return false
	}
	if line, twice := seen[s]; twice {
		r.wrong(v, "", "%s is already used on line %d; use each one once", quote(s), line)
		return false
	}
	seen[s] = v.node.Line
	return true
}

// follow makes v what its alias stands for, but keeps the place of the alias.
func (r *reader) follow(v value) (value, bool) {
	r.nodes++
	if r.nodes == maxNodes {
		r.wrong(v, "", "the aliases (*name) of the file unfold to more than %d values; write the values out, or fewer of them", maxNodes)
	}
	if r.nodes >= maxNodes {
		return v, false
	}
	if v.node.Kind == yaml.AliasNode {
		target := *v.node.Alias
		if v.node.Line > 0 && target.Kind == yaml.ScalarNode {
			target.Line, target.Column = v.node.Line, v.node.Column
		}
		v.node = &target
	}
	return v, true
}

// object reads the fields of v, and reports whether it is an object. An absent v
// is one without fields.
func (r *reader) object(v value, example string, known fields) bool {
	if v.absent() {
		return true
	}
	if v.node.Kind != yaml.MappingNode {
		r.wrong(v, example, "expected an object with fields, not %s", describe(v.node))
		return false
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		if key.Kind != yaml.ScalarNode {
			r.wrong(value{key, v.path}, example, "expected the name of a field, not %s", describe(key))
			continue
		}
		field, ok := r.follow(value{v.node.Content[i+1], v.field(short(key.Value))})
		if !ok {
			return false
		}
		if line, twice := seen[key.Value]; twice {
			r.wrong(value{key, field.path}, "", "written twice, first on line %d; keep one of them", line)
			continue
		}
		seen[key.Value] = key.Line
		if read, ok := known[key.Value]; ok {
			read(field)
			continue
		}
		r.unknown(value{key, field.path}, known)
	}
	return true
}

func (r *reader) unknown(key value, known fields) {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	if key.node.Value == "<<" {
		r.wrong(key, "", "merging (<<) is not supported; write the fields out, or use an alias for a whole value")
		return
	}
	r.wrong(key, "", "unknown field%s; the fields here are %s", didYouMean(key.node.Value, names), strings.Join(names, ", "))
}

// list reads the elements of v.
func (r *reader) list(v value, example string, each func(i int, v value)) {
	if v.absent() {
		return
	}
	if v.node.Kind != yaml.SequenceNode {
		r.wrong(v, example, "expected a list, not %s", describe(v.node))
		return
	}
	for i, node := range v.node.Content {
		element, ok := r.follow(value{node, v.path + "[" + strconv.Itoa(i) + "]"})
		if !ok {
			return
		}
		if element.absent() {
			r.wrong(element, example, "expected a value, there is none behind the dash; remove the dash or write one")
			continue
		}
		each(i, element)
	}
}

// text reads a string; ok is false if there is none to go on with.
func (r *reader) text(v value, example string) (s string, ok bool) {
	switch {
	case v.absent():
		return "", false
	case v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!str":
		return v.node.Value, true
	case v.node.Kind == yaml.ScalarNode:
		r.wrong(v, example, "expected text, not %s; put it in quotes if it is meant so", describe(v.node))
	default:
		r.wrong(v, example, "expected text, not %s", describe(v.node))
	}
	return "", false
}

// number reads a whole number from low to high.
func (r *reader) number(v value, low, high int, example string) (n int, ok bool) {
	if v.absent() {
		return 0, false
	}
	n = math.MinInt
	if v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!int" {
		if parsed, err := strconv.Atoi(v.node.Value); err == nil {
			n = parsed
		}
	}
	if n < low || n > high {
		hint := ""
		if v.node.ShortTag() == "!!str" && v.node.Value != "" && strings.Trim(v.node.Value, "0123456789") == "" {
			hint = "; remove the quotes"
		}
		r.wrong(v, example, "expected a whole number from %d to %d, not %s%s", low, high, describe(v.node), hint)
		return 0, false
	}
	return n, true
}

func (r *reader) port(v value, low int, into *uint16, example string) (ok bool) {
	n, ok := r.number(v, low, math.MaxUint16, example)
	if ok {
		*into = uint16(n)
	}
	return ok
}

func (r *reader) boolean(v value, into *bool, example string) {
	if v.absent() {
		return
	}
	if v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!bool" {
		if b, err := strconv.ParseBool(v.node.Value); err == nil {
			*into = b
			return
		}
	}
	r.wrong(v, example, "expected true or false, not %s", describe(v.node))
}

// choice reads one of a few words.
func choice[T ~string](r *reader, v value, into *T, example string, choices ...T) {
	s, ok := r.text(v, example)
	if !ok {
		return
	}
	if slices.Contains(choices, T(s)) {
		*into = T(s)
		return
	}
	words := make([]string, 0, len(choices))
	for _, c := range choices {
		words = append(words, string(c))
	}
	r.wrong(v, example, "expected one of %s, not %s%s", strings.Join(words, ", "), quote(s), didYouMean(s, words))
}

// describe says what a node is, for "expected X, not ...".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
	default:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!str":
		return quote(n.Value)
	case "!!int", "!!float":
		return "the number " + short(n.Value)
	case "!!bool":
		return "the truth value " + short(n.Value)
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "the date " + short(n.Value)
	default:
		return "a value with the tag " + short(n.ShortTag())
	}
}
