package parse

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
)

// jsonNodes reads JSON values, one behind the other. JSON is YAML but for a few
// escapes, which is why it is read by itself.
func jsonNodes(d document) (roots []*yaml.Node, err error) {
	r := jsonReader{dec: json.NewDecoder(bytes.NewReader(d.text)), text: d.text, line: d.line}
	r.dec.UseNumber()
	for {
		token, err := r.dec.Token()
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		root, err := r.value(token, 0)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
}

type jsonReader struct {
	dec  *json.Decoder
	text []byte
	at   int // how far lines have been counted
	line int
}

// here is the line of what was read last.
func (r *jsonReader) here() int {
	to := int(r.dec.InputOffset())
	r.line += bytes.Count(r.text[r.at:to], []byte("\n"))
	r.at = to
	return r.line
}

var errDeep = errors.New("nested too deep")

func (r *jsonReader) value(token json.Token, depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.here()}
	if depth > maxDepth {
		return nil, errDeep
	}
	switch t := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if t == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for r.dec.More() {
			token, err := r.dec.Token()
			if err != nil {
				return nil, err
			}
			child, err := r.value(token, depth+1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err := r.dec.Token() // the closing one
		return n, err
	case string:
		n.Style, n.Tag, n.Value = yaml.DoubleQuotedStyle, "!!str", t
	case json.Number:
		n.Tag, n.Value = "!!float", t.String()
	case bool:
		n.Tag, n.Value = "!!bool", "false"
		if t {
			n.Value = "true"
		}
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}
