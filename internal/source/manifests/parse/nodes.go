package parse

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// follow is what an alias stands for, and any other node itself.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && scalar(n).kind == null
}

// pair is a field of a mapping.
type pair struct {
	name  string
	key   *yaml.Node
	value *yaml.Node
}

// mapping are the fields of one, each once: the last of two, as kubectl has it,
// and those merged in (<<) behind its own.
type mapping struct {
	pairs []pair
	twice []pair // those that were overridden
}

func (m mapping) get(name string) *yaml.Node {
	for i := range m.pairs {
		if m.pairs[i].name == name {
			return m.pairs[i].value
		}
	}
	return nil
}

// line is that of the field with that name, else the given one.
func (m mapping) line(name string, otherwise int) int {
	for i := range m.pairs {
		if m.pairs[i].name == name {
			return m.pairs[i].key.Line
		}
	}
	return otherwise
}

// badMapping says why the fields of a mapping cannot be told, and where.
type badMapping struct {
	line int
	why  string
}

func (e *badMapping) Error() string { return e.why }

func badKey(key *yaml.Node) error {
	return &badMapping{key.Line, "the name of a field must be text; is this a template ({{ }}) that has not been filled in?"}
}

// fields are those of a mapping.
func fields(n *yaml.Node) (mapping, error) {
	var m mapping
	var merged []*yaml.Node
	at := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := follow(n.Content[i]), n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return m, badKey(key)
		}
		if key.Value == "<<" && isPlain(key) {
			merged = append(merged, value)
			continue
		}
		p := pair{name: fieldName(key), key: n.Content[i], value: value}
		if old, ok := at[p.name]; ok {
			m.twice = append(m.twice, p)
			m.pairs[old] = p
			continue
		}
		at[p.name] = len(m.pairs)
		m.pairs = append(m.pairs, p)
	}
	budget := mostMerged
	for _, value := range merged {
		if err := m.merge(value, at, &budget); err != nil {
			return m, err
		}
	}
	return m, nil
}

// mostMerged is how many objects are merged into one.
const mostMerged = 50

// merge adds the fields of what is merged that are not there yet. budget is how
// many more objects may be.
func (m *mapping) merge(n *yaml.Node, at map[string]int, budget *int) error {
	if *budget--; *budget < 0 {
		return &badMapping{n.Line, "more than " + strconv.Itoa(mostMerged) + " objects are merged (<<) into one; write the fields out"}
	}
	n = follow(n)
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if err := m.merge(c, at, budget); err != nil {
				return err
			}
		}
		return nil
	case yaml.MappingNode:
	default:
		return &badMapping{n.Line, "what is merged (<<) must be an object, or a list of them"}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := follow(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			return badKey(key)
		}
		if key.Value == "<<" && isPlain(key) {
			if err := m.merge(n.Content[i+1], at, budget); err != nil {
				return err
			}
			continue
		}
		if name := fieldName(key); !has(at, name) {
			at[name] = len(m.pairs)
			m.pairs = append(m.pairs, pair{name: name, key: n.Content[i], value: n.Content[i+1]})
		}
	}
	return nil
}

func has(at map[string]int, name string) bool {
	_, ok := at[name]
	return ok
}

// fieldName is a key as JSON has it.
func fieldName(key *yaml.Node) string {
	v := scalar(key)
	if v.kind == text {
		return v.text
	}
	return v.json
}

func isPlain(n *yaml.Node) bool {
	return n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
}

// lineOf is the line of the field with that path ("spec.ports[0].name"), or of the
// nearest thing around it that is there.
func lineOf(root *yaml.Node, path string) int {
	n := follow(root)
	line := n.Line
	for path != "" {
		var name string
		name, path = step(path)
		switch n.Kind {
		case yaml.MappingNode:
			m, err := fields(n)
			value := m.get(name)
			if err != nil || value == nil {
				return line
			}
			line = m.line(name, line)
			n = follow(value)
		case yaml.SequenceNode:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(n.Content) {
				return line
			}
			line = n.Content[i].Line
			n = follow(n.Content[i])
		default:
			return line
		}
	}
	return line
}

// step cuts the first element off a path: "spec", or what stands in brackets.
func step(path string) (first, rest string) {
	if inner, ok := strings.CutPrefix(path, "["); ok {
		first, rest, _ = strings.Cut(inner, "]")
		return first, strings.TrimPrefix(rest, ".")
	}
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i], strings.TrimPrefix(path[i:], ".")
	}
	return path, ""
}
