package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxProblems is how many problems one error tells; a file that has more is not
// the file that was meant.
const maxProblems = 50

// Problem is one thing that is wrong with a file.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1
	// Field is the way to the value: "sources[0].kubernetes.reach".
	Field string `json:"field,omitempty"`
	// Message says what is wrong and what was expected.
	Message string `json:"message"`
	// Example is a piece of a file that would be right.
	Example string `json:"example,omitempty"`
}

// String is the problem on one line, place first.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	if p.Example != "" {
		b.WriteString("; for example: " + p.Example)
	}
	return b.String()
}

// Problems is the error of a file: everything that is wrong with it, in the order
// of the file.
type Problems []Problem

// Error is one problem a line.
func (p Problems) Error() string {
	lines := make([]string, 0, min(len(p), maxProblems)+1)
	for i, problem := range p {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("%s: and %d more problems", problem.File, len(p)-i))
			break
		}
		lines = append(lines, problem.String())
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
