// Package parse reads Kubernetes objects out of the text of a file, as kubectl and
// an API server would: YAML or JSON, decoded, defaulted and checked. It is pure.
//
// What is wrong is told with the line of the file that it is wrong in.
package parse

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// MaxSize is how many bytes of text are read, and a quarter of what the aliases in
// it may unfold to.
const MaxSize = 4 << 20

const (
	// maxProblems is how many problems of one file are told.
	maxProblems = 20
	// maxPrecise is of how many of them the line is looked for with care.
	maxPrecise = 3
	// maxDepth is far deeper than any object is; an alias that contains itself is
	// deeper still.
	maxDepth = 100
)

// ID is what an object is known by, in every file.
type ID struct{ Kind, Namespace, Name string }

// Object is one object of a kind that was asked for. It must not be changed.
type Object struct {
	ID     ID
	Object runtime.Object
	Line   int
	// Sum is that of its text without comments: two objects with the same one are
	// the same.
	Sum [sha256.Size]byte
	// clean says that nothing was wrong with it.
	clean bool
}

// Problem is one thing that is wrong.
type Problem struct {
	// ID is that of the object; zero if it is the file, or no object by name.
	ID   ID
	Line int
	// Reason is one CamelCase word.
	Reason string
	// Message says what is wrong and what to do about it.
	Message string
	// Accepted says what counts all the same. What is refused for it counts not at
	// all, and if File.Broken is set, nothing of the file does.
	Accepted string
}

// File is what was read.
type File struct {
	Objects []Object
	// Refused are the objects that an API server would refuse.
	Refused []ID
	// Total counts the objects of every kind.
	Total    int
	Problems []Problem
	// Broken says that the text as a whole is not what was meant.
	Broken bool
}

// Reader reads files. It may be used by one goroutine at a time.
type Reader struct {
	kinds kinds
}

// New returns a Reader that reads objects of these kinds, of which the scheme must
// have the types, and passes over all others.
func New(wanted []schema.GroupVersionKind) (*Reader, error) {
	k, err := newKinds(wanted)
	if err != nil {
		return nil, err
	}
	return &Reader{kinds: k}, nil
}

// Read reads the text of a file. Objects that are in prev with the same text are
// taken from there.
func (r *Reader) Read(data []byte, prev File) File {
	f := &file{kinds: r.kinds}
	if len(prev.Objects) > 0 {
		f.prev = make(map[[sha256.Size]byte]Object, len(prev.Objects))
		for _, o := range prev.Objects {
			if o.clean {
				f.prev[o.Sum] = o
			}
		}
	}
	f.read(data)
	if more := len(f.out.Problems) - maxProblems; more > 0 {
		f.out.Problems = append(f.out.Problems[:maxProblems:maxProblems], Problem{
			Line: f.out.Problems[maxProblems].Line, Reason: "MoreFindings", Accepted: "what the other findings say",
			Message: fmt.Sprintf("%d more findings about this file are not listed; mend the ones that are", more),
		})
	}
	return f.out
}

// file is the reading of one.
type file struct {
	kinds kinds
	prev  map[[sha256.Size]byte]Object
	json  writer
	out   File
}

func (f *file) read(data []byte) {
	if len(data) > MaxSize {
		f.broken(1, "TooLarge", fmt.Sprintf("the file has more than %d MiB, which is the most that is read; split it", MaxSize>>20))
		return
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if line, bad := notText(data); bad {
		f.broken(line, "NotText", "this is not UTF-8 text; save the file as UTF-8")
		return
	}
	for _, d := range split(data) {
		roots, problem := d.nodes(len(f.out.Problems) < maxPrecise)
		if problem != nil {
			f.broken(problem.Line, problem.Reason, problem.Message)
			continue
		}
		for _, root := range roots {
			f.object(root, schema.GroupVersionKind{}, 0)
		}
	}
}

func (f *file) broken(line int, reason, message string) {
	f.out.Broken = true
	f.tell(Problem{Line: line, Reason: reason, Message: message})
}

// unreadable notes YAML that makes no object.
func (f *file) unreadable(root *yaml.Node, err error) {
	line := root.Line
	var at *badMapping
	if errors.As(err, &at) {
		line = at.line
	}
	f.broken(line, "BadYAML", err.Error())
}

// tell keeps a few more problems than are told, to be able to count them.
func (f *file) tell(p Problem) {
	const counted = 10_000
	if len(f.out.Problems) < counted {
		f.out.Problems = append(f.out.Problems, p)
	}
}

// notText is the line of the first byte that is not UTF-8, or is NUL.
func notText(data []byte) (line int, bad bool) {
	at := bytes.IndexByte(data, 0)
	if !utf8.Valid(data) {
		for i := 0; i < len(data); {
			c, size := utf8.DecodeRune(data[i:])
			if c == utf8.RuneError && size == 1 {
				if at < 0 || i < at {
					at = i
				}
				break
			}
			i += size
		}
	}
	if at < 0 {
		return 0, false
	}
	return 1 + bytes.Count(data[:at], []byte("\n")), true
}

// object reads one object, or the ones that a list holds. kind is what an element
// of a list is when it does not say.
func (f *file) object(root *yaml.Node, kind schema.GroupVersionKind, depth int) {
	root = follow(root)
	if isNull(root) && kind.Empty() {
		return
	}
	f.json.reset()
	if root.Kind != yaml.MappingNode {
		f.broken(root.Line, "NotAnObject", "expected a Kubernetes object, not "+describe(root)+
			`; an object begins with the lines "apiVersion: v1" and "kind: Service"`)
		return
	}
	all, err := fields(root)
	if err != nil {
		f.unreadable(root, err)
		return
	}
	if kind.Kind == "" {
		gvk, problem := head(root, all)
		if problem != nil {
			f.broken(problem.Line, problem.Reason, problem.Message)
			return
		}
		kind = gvk
	}
	items := all.get("items")
	if isList(kind) && items != nil {
		f.list(kind, items, depth)
		return
	}
	f.out.Total++
	switch f.kinds.judge(kind) {
	case read:
		f.decode(root, kind)
	case passed:
	case misnamed:
		p := f.kinds.unknown(kind)
		p.Line = all.line("kind", root.Line)
		f.tell(p)
	}
}

// list reads what a List, or a ServiceList, holds.
func (f *file) list(kind schema.GroupVersionKind, items *yaml.Node, depth int) {
	items = follow(items)
	if isNull(items) {
		return
	}
	if items.Kind != yaml.SequenceNode || depth > 2 {
		f.broken(items.Line, "NotAnObject", "the items of a "+short(kind.Kind)+" must be a list of objects, not "+describe(items))
		return
	}
	element := schema.GroupVersionKind{}
	if kind.Kind != "List" {
		element = kind.GroupVersion().WithKind(kind.Kind[:len(kind.Kind)-len("List")])
	}
	for _, item := range items.Content {
		if f.json.full || f.out.Total > MaxSize {
			return
		}
		f.object(item, element, depth+1)
	}
}
