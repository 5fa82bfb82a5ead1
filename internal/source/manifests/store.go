package manifests

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
)

// The most that is read of one folder.
const (
	maxFiles     = 10_000
	maxDocuments = 100_000
)

// store holds the objects of the files, and hands those that count to the
// Translator. It does no I/O.
type store struct {
	source     string
	reader     *parse.Reader
	translator *translate.Translator
	files      map[string]*file
	// holders are the files that hold an object, sorted; the first one's counts.
	holders map[parse.ID][]holder
	// contested are the objects that more than one file holds.
	contested map[parse.ID]bool
	// served are the objects that the Translator was given.
	served       map[parse.ID]runtime.Object
	documents    int
	maxDocuments int

	// dirty is set by whatever changes what read returns.
	dirty bool
	// notes are about the folder itself.
	notes []model.Finding
	// What read made last, and of what.
	own, base, all []model.Finding
}

// file is one of the folder, as it was when it was last right.
type file struct {
	objects   []parse.Object
	documents int
	ever      bool // it was right once
	// Of the last reading:
	seen     bool
	sum      [sha256.Size]byte
	problems []parse.Problem
	broken   bool
	// unread says why it could not be read, "" if it could.
	unread string
	// full says that it was not taken because of the bound on documents.
	full bool
}

type holder struct {
	file   string
	object parse.Object
}

func newStore(opt translate.Options) (*store, error) {
	reader, err := parse.New(translate.Kinds())
	if err != nil {
		return nil, err
	}
	return &store{
		source: opt.Source, reader: reader, translator: translate.New(opt),
		files: make(map[string]*file), holders: make(map[parse.ID][]holder),
		contested: make(map[parse.ID]bool), served: make(map[parse.ID]runtime.Object),
		maxDocuments: maxDocuments, dirty: true,
	}, nil
}

func (s *store) file(name string) *file {
	f := s.files[name]
	if f == nil {
		f = &file{}
		s.files[name] = f
		s.dirty = true
	}
	return f
}

// put takes over the text of a file.
func (s *store) put(name string, text []byte) {
	f, sum := s.file(name), sha256.Sum256(text)
	if f.unread != "" {
		f.unread, s.dirty = "", true
	}
	if f.seen && f.sum == sum && !f.full {
		return
	}
	s.dirty = true
	f.seen, f.full = true, false
	read := s.reader.Read(text, parse.File{Objects: f.objects})
	f.sum, f.problems, f.broken = sum, read.Problems, read.Broken
	if f.broken {
		return
	}
	if s.documents-f.documents+read.Total > s.maxDocuments {
		f.full = true
		return
	}
	s.documents += read.Total - f.documents
	f.documents, f.ever = read.Total, true
	s.take(name, f, f.merge(read))
}

// merge is what a file holds now: of each object that is there twice the first,
// and of one that an API server would refuse the one that it had before.
func (f *file) merge(read parse.File) []parse.Object {
	var objects []parse.Object
	lines := make(map[parse.ID]int, len(read.Objects))
	for _, o := range read.Objects {
		if first, twice := lines[o.ID]; twice {
			f.problems = append(f.problems, parse.Problem{
				ID: o.ID, Line: o.Line, Reason: "DuplicateObject", Accepted: fmt.Sprintf("the one on line %d", first),
				Message: fmt.Sprintf("this object is on line %d of the same file too; take one away, or rename it", first),
			})
			continue
		}
		lines[o.ID] = o.Line
		objects = append(objects, o)
	}
	if len(read.Refused) == 0 {
		return objects
	}
	had := make(map[parse.ID]parse.Object, len(f.objects))
	for _, o := range f.objects {
		had[o.ID] = o
	}
	kept := make(map[parse.ID]bool)
	for _, id := range read.Refused {
		if o, ok := had[id]; ok && lines[id] == 0 {
			lines[id] = o.Line
			objects = append(objects, o)
			kept[id] = true
		}
	}
	for i := range f.problems {
		if p := &f.problems[i]; p.Accepted == "" && kept[p.ID] {
			p.Accepted = "the object as it was before"
		}
	}
	return objects
}

// take makes objects those of the file.
func (s *store) take(name string, f *file, objects []parse.Object) {
	gone := make(map[parse.ID]bool, len(f.objects))
	for _, o := range f.objects {
		gone[o.ID] = true
	}
	for _, o := range objects {
		delete(gone, o.ID)
		s.hold(name, o)
	}
	for _, o := range f.objects {
		if gone[o.ID] {
			s.release(name, o.ID)
		}
	}
	f.objects = objects
}

// drop forgets a file.
func (s *store) drop(name string) {
	f := s.files[name]
	if f == nil {
		return
	}
	s.dirty = true
	s.take(name, f, nil)
	s.documents -= f.documents
	delete(s.files, name)
}

// cannotRead notes that a file that is there cannot be read.
func (s *store) cannotRead(name, why string) {
	f := s.file(name)
	s.dirty = s.dirty || f.unread != why
	f.unread = why
}

// note replaces what there is to say about the folder itself.
func (s *store) note(notes []model.Finding) {
	if !slices.Equal(s.notes, notes) {
		s.notes, s.dirty = notes, true
	}
}

// waiting are the files that did not fit, and may by now.
func (s *store) waiting() []string {
	var names []string
	for name, f := range s.files {
		if f.full {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *store) hold(name string, o parse.Object) {
	held := s.holders[o.ID]
	i, found := slices.BinarySearchFunc(held, name, func(h holder, name string) int { return strings.Compare(h.file, name) })
	if found {
		held[i].object = o
	} else {
		held = slices.Insert(held, i, holder{file: name, object: o})
	}
	s.settle(o.ID, held)
}

func (s *store) release(name string, id parse.ID) {
	s.settle(id, slices.DeleteFunc(s.holders[id], func(h holder) bool { return h.file == name }))
}

// settle decides which of the holders counts.
func (s *store) settle(id parse.ID, held []holder) {
	if len(held) > 1 {
		s.contested[id] = true
	} else {
		delete(s.contested, id)
	}
	old := s.served[id]
	if len(held) == 0 {
		delete(s.holders, id)
		if old != nil {
			delete(s.served, id)
			s.translator.Delete(old)
		}
		return
	}
	s.holders[id] = held
	if o := held[0].object.Object; o != old {
		s.served[id] = o
		s.translator.Set(o)
	}
}
