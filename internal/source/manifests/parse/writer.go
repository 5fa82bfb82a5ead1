package parse

import (
	"encoding/json"
	"errors"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// writer turns YAML into the JSON that the Kubernetes types are decoded from.
type writer struct {
	buf   []byte
	twice []Problem
	// total counts the bytes of every object of a file, and full says that there
	// are too many.
	total int
	full  bool
}

// reset begins a new object.
func (w *writer) reset() { w.buf, w.twice = w.buf[:0], w.twice[:0] }

var (
	errUnfolds = errors.New("the aliases (*name) of this file unfold to more than 16 MiB; write the values out, or fewer of them")
	errNested  = errors.New("this is nested deeper than " + strconv.Itoa(maxDepth) + " levels; does an alias (*name) contain itself?")
)

// write writes one object.
func (w *writer) write(n *yaml.Node) error {
	err := w.value(n, "", 0)
	w.total += len(w.buf)
	return err
}

func (w *writer) value(n *yaml.Node, path string, depth int) error {
	if depth > maxDepth {
		return errNested
	}
	if w.total+len(w.buf) > 4*MaxSize {
		w.full = true
		return errUnfolds
	}
	n = follow(n)
	switch n.Kind {
	case yaml.MappingNode:
		return w.mapping(n, path, depth)
	case yaml.SequenceNode:
		w.buf = append(w.buf, '[')
		for i, c := range n.Content {
			if i > 0 {
				w.buf = append(w.buf, ',')
			}
			if err := w.value(c, path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
				return err
			}
		}
		w.buf = append(w.buf, ']')
		return nil
	}
	v := scalar(n)
	if v.kind == text {
		w.text(v.text)
		return nil
	}
	w.buf = append(w.buf, v.json...)
	return nil
}

func (w *writer) mapping(n *yaml.Node, path string, depth int) error {
	m, err := fields(n)
	if err != nil {
		return err
	}
	for _, p := range m.twice {
		w.twice = append(w.twice, Problem{
			Line: p.key.Line, Reason: "DuplicateField", Accepted: "the last of them",
			Message: "the field " + short(join(path, p.name)) + " is written twice; keep one of them",
		})
	}
	w.buf = append(w.buf, '{')
	for i, p := range m.pairs {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.text(p.name)
		w.buf = append(w.buf, ':')
		if err := w.value(p.value, join(path, p.name), depth+1); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, '}')
	return nil
}

func (w *writer) text(s string) {
	b, err := json.Marshal(s)
	if err != nil { // no string does that
		b = []byte(`""`)
	}
	w.buf = append(w.buf, b...)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
