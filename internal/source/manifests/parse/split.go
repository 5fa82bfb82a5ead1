package parse

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is one of the documents of a file, from its "---" on.
type document struct {
	text []byte
	line int // of its first byte, from 1
}

// split cuts a file where YAML begins a new document, so that a mistake in one
// costs no line number in another. Documents without content are left out.
func split(data []byte) []document {
	var out []document
	start, line, from := 0, 1, 1
	content := false
	cut := func(end int) {
		if content {
			out = append(out, document{text: data[start:end], line: from})
		}
		start, from, content = end, line, false
	}
	for i := 0; i < len(data); line++ {
		end := len(data)
		if n := bytes.IndexByte(data[i:], '\n'); n >= 0 {
			end = i + n + 1
		}
		text := data[i:end]
		switch {
		case marks(text, "---"):
			cut(i)
			content = hasContent(text[3:])
		case marks(text, "..."):
			cut(i)
			start, from = end, line+1
		default:
			content = content || hasContent(text)
		}
		i = end
	}
	cut(len(data))
	return out
}

// marks reports whether a line is the mark, with or without something behind it.
func marks(line []byte, mark string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(mark))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// hasContent reports whether a line is more than space, a comment or a directive.
func hasContent(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 0 && line[0] != '#' && line[0] != '%'
}

// nodes are the roots of the document: one of YAML, any number of JSON. A precise
// line of a mistake takes longer.
func (d document) nodes(precise bool) ([]*yaml.Node, *Problem) {
	var inJSON error
	if first := bytes.TrimLeft(d.text, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		var nodes []*yaml.Node
		if nodes, inJSON = jsonNodes(d); inJSON == nil {
			return nodes, nil
		}
		if rest := bytes.TrimLeft(first[1:], " \t\r\n"); len(rest) > 0 && rest[0] != '"' {
			inJSON = nil // it is YAML in braces
		}
	}
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	err := decoder.Decode(&root)
	switch {
	case errors.Is(err, io.EOF), err == nil && len(root.Content) == 0:
		return nil, nil
	case err == nil:
		// What the decoder leaves behind a document would be lost without a word.
		err = decoder.Decode(&yaml.Node{})
		if errors.Is(err, io.EOF) {
			shift(&root, d.line-1, 0)
			return root.Content, nil
		}
		if err == nil {
			err = errors.New("yaml: a second document begins in the middle of a line")
		}
	}
	if inJSON != nil {
		return nil, d.badJSON(inJSON)
	}
	line, message := syntax(d.text, err)
	if precise && !strings.Contains(message, "anchor") {
		line = mistake(d.text, line)
	}
	return nil, &Problem{
		Line: d.line + line - 1, Reason: "BadYAML",
		Message: "this is not YAML: " + message + "; look at the indentation, the colons and the quotes of this line and its neighbours",
	}
}

func (d document) badJSON(err error) *Problem {
	line := d.line + jsonLine(d.text, err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it ends before it is complete")
	}
	return &Problem{
		Line: line, Reason: "BadJSON",
		Message: "this is not JSON: " + short(err.Error()) + "; look at the commas, the quotes and the brackets of this line and its neighbours",
	}
}

var (
	yamlLine   = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)
	yamlAnchor = regexp.MustCompile(`anchor '(\w+)'`)
)

// syntax takes the error of the library apart.
func syntax(text []byte, err error) (line int, message string) {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, _ = strconv.Atoi(m[1])
	message = short(strings.TrimSpace(err.Error()[len(m[0]):]))
	if anchor := yamlAnchor.FindStringSubmatch(message); line == 0 && anchor != nil {
		if i := bytes.Index(text, []byte("*"+anchor[1])); i >= 0 {
			line = 1 + bytes.Count(text[:i], []byte("\n"))
		}
	}
	return max(line, 1), message
}

// mistake is the line of a mistake in YAML. The library knows where it noticed, or
// where the object around it began, which can be far off; so this looks for the
// line without which the text before it would be right. line is what is left to
// say where that takes too long.
func mistake(text []byte, line int) int {
	const longest, tries = 64 << 10, 8
	ends := []int{0}
	for i, c := range text {
		if c == '\n' || i == len(text)-1 {
			ends = append(ends, i+1)
		}
	}
	if len(text) > longest {
		return line
	}
	right := func(n int) bool {
		err := yaml.NewDecoder(bytes.NewReader(text[:ends[n]])).Decode(&yaml.Node{})
		return err == nil || errors.Is(err, io.EOF)
	}
	last := len(ends) - 1
	good, bad := 0, last
	for range tries {
		for bad-good > 1 {
			if middle := (good + bad) / 2; right(middle) {
				good = middle
			} else {
				bad = middle
			}
		}
		// What is only not closed yet is closed further down.
		again := false
		for step := 1; bad+step < last && !again; step += 1 + step/16*16 {
			if again = right(bad + step); again {
				good = bad + step
			}
		}
		if !again {
			break
		}
		bad = last
	}
	return bad
}

// jsonLine counts the lines before the one that an error is in.
func jsonLine(text []byte, err error) int {
	offset := int64(len(bytes.TrimRight(text, "\r\n")))
	var at *json.SyntaxError
	if errors.As(err, &at) {
		offset = min(max(at.Offset-1, 0), offset)
	}
	return bytes.Count(text[:offset], []byte("\n"))
}

// shift makes the lines of a document those of its file.
func shift(n *yaml.Node, by, depth int) {
	n.Line += by
	if depth > maxDepth { // it is refused later, and its lines do not matter
		return
	}
	for _, c := range n.Content {
		shift(c, by, depth+1)
	}
}
