package manifests

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
)

// maxFindings is how many findings about files one folder has at most.
const maxFindings = 1000

// kindFile is the kind of the origin of a finding about a file.
const kindFile = "File"

// read returns what the folder asks for now. While nothing changes its slices are
// the same ones.
func (s *store) read() model.Fragment {
	s.dirty = false
	f := s.translator.Fragment()
	own := s.findings()
	if slices.Equal(own, s.own) && s.all != nil && sameSlice(f.Findings, s.base) {
		f.Findings = s.all
		return f
	}
	s.own, s.base = own, f.Findings
	s.all = slices.Concat(f.Findings, own)
	slices.SortStableFunc(s.all, func(a, b model.Finding) int { return cmp.Compare(a.Origin.Key(), b.Origin.Key()) })
	f.Findings = s.all
	return f
}

func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// findings are about files, by their names and lines.
func (s *store) findings() []model.Finding {
	list := slices.Clone(s.notes)
	losers := s.losers()
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		list = append(list, s.ofFile(name, s.files[name])...)
		list = append(list, losers[name]...)
	}
	if more := len(list) - maxFindings; more > 0 {
		list = append(list[:maxFindings:maxFindings], model.Finding{
			Origin: model.Origin{Source: s.source}, Reason: "MoreFindings", Accepted: "what the other findings say",
			Message: fmt.Sprintf("%d more findings about files of this folder are not listed; mend the ones that are", more),
		})
	}
	return list
}

func (s *store) ofFile(name string, f *file) []model.Finding {
	var list []model.Finding
	about := model.Origin{Source: s.source, Kind: kindFile, Name: object.Plain(name)}
	if f.unread != "" {
		list = append(list, model.Finding{
			Origin: about, Reason: "Unreadable", Message: f.unread, Accepted: f.accepted(),
		})
	}
	if f.full {
		list = append(list, model.Finding{
			Origin: about, Reason: "TooManyDocuments", Accepted: f.accepted(),
			Message: fmt.Sprintf("with this file the folder would hold more than %d objects, which is the most that is read; take out what is not needed", s.maxDocuments),
		})
	}
	for _, p := range f.problems {
		finding := model.Finding{
			Origin: s.origin(p.ID), Field: place(name, p.Line), Reason: p.Reason, Message: p.Message, Accepted: p.Accepted,
		}
		if p.ID == (parse.ID{}) {
			finding.Origin = about
		}
		if f.broken {
			finding.Accepted = f.accepted()
		}
		list = append(list, finding)
	}
	return list
}

// accepted says what counts of a file that cannot be used as it is.
func (f *file) accepted() string {
	if !f.ever {
		return ""
	}
	return "the file as it was when it was last right"
}

// losers are the findings about objects that an earlier file has too, by file.
func (s *store) losers() map[string][]model.Finding {
	out := make(map[string][]model.Finding)
	ids := slices.SortedFunc(maps.Keys(s.contested), func(a, b parse.ID) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, id := range ids {
		first := s.holders[id][0]
		for _, h := range s.holders[id][1:] {
			out[h.file] = append(out[h.file], model.Finding{
				Origin: s.origin(id), Field: place(h.file, h.object.Line), Reason: "DuplicateObject",
				Accepted: "the one in " + object.Plain(first.file),
				Message: fmt.Sprintf("the %s %s is in %s and in %s, and the first file by name counts; take it out of one of them, or rename it",
					id.Kind, s.origin(id), place(first.file, first.object.Line), place(h.file, h.object.Line)),
			})
		}
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b model.Finding) int { return cmp.Compare(a.Field, b.Field) })
	}
	return out
}

// origin is that of an object. A name that none can have is put in quotes, so that
// it is nobody else's.
func (s *store) origin(id parse.ID) model.Origin {
	o := model.Origin{Source: s.source, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
	if id != (parse.ID{}) && object.NameProblem(id.Kind, object.Key{Namespace: id.Namespace, Name: id.Name}) != "" {
		o.Name = object.Quote(id.Name)
		if id.Namespace != "" {
			o.Namespace = object.Quote(id.Namespace)
		}
	}
	return o
}

// place is a line of a file, for people and their editors: "shop.yaml:12".
func place(name string, line int) string {
	return fmt.Sprintf("%s:%d", object.Plain(name), line)
}
