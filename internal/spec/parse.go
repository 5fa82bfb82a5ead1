package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxSize is far above any file that a person keeps by hand.
const maxSize = 1 << 20

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// Parse reads a file. name is for messages only. If anything is wrong with the
// file the error is Problems, and nothing of it is returned.
func Parse(data []byte, name string) (*Edge, error) {
	r := &reader{file: name, static: map[string]placed{}}
	edge := defaults()
	if root := r.document(data); root != nil {
		r.edge(value{node: root}, edge)
	}
	if len(r.problems) > 0 {
		r.problems.sort()
		return nil, r.problems
	}
	return edge, nil
}

// document returns the one YAML document of data, or nil and a problem.
func (r *reader) document(data []byte) *yaml.Node {
	if len(data) > maxSize {
		r.at(1, 1, "", fmt.Sprintf("the file has %d bytes and at most %d are read; is it the edge's file?", len(data), maxSize), "")
		return nil
	}
	if line, column, ok := invalidUTF8(data); ok {
		r.at(line, column, "", "this is not UTF-8 text; save the file as UTF-8", "")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := decoder.Decode(&first)
	if errors.Is(err, io.EOF) || err == nil && empty(&first) {
		r.at(1, 1, "", "the file is empty; it needs apiVersion and kind at least, everything else has a default", header)
		return nil
	}
	if err != nil {
		r.syntax(data, err)
		return nil
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.syntax(data, err)
	default:
		r.at(second.Line, second.Column, "", `a second document begins here, and an edge has one; remove what follows the line "---", or move it to a file of its own`, "")
	}
	return first.Content[0]
}

func empty(document *yaml.Node) bool {
	return len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null"
}

// syntax tells of a file that is not YAML. The library gives at most a line; the
// column is where that line begins.
func (r *reader) syntax(data []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		message = message[len(m[0]):]
	}
	r.at(line, firstColumn(data, line), "", "this is not YAML: "+message+
		"; look at the indentation, the colons and the quotes of this line and the one before", "")
}

// firstColumn is where the text of a line begins.
func firstColumn(data []byte, line int) int {
	for range line - 1 {
		_, rest, found := bytes.Cut(data, []byte("\n"))
		if !found {
			return 1
		}
		data = rest
	}
	text, _, _ := bytes.Cut(data, []byte("\n"))
	if indent := len(text) - len(bytes.TrimLeft(text, " \t")); indent < len(text) {
		return indent + 1
	}
	return 1
}

func invalidUTF8(data []byte) (line, column int, found bool) {
	if utf8.Valid(data) {
		return 0, 0, false
	}
	line, column = 1, 1
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		switch {
		case c == utf8.RuneError && size == 1:
			return line, column, true
		case c == '\n':
			line, column = line+1, 1
		default:
			column++
		}
		data = data[size:]
	}
	return line, column, true
}
