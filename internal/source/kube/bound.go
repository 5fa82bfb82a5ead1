package kube

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// A source takes the oldest objects of each kind, up to a number and a size, so that
// no cluster makes it grow without end. What is left out is counted and forgotten;
// when one that was taken goes, the API server is asked for all of them again.
const (
	// MostObjects is how many objects of a kind a source takes.
	MostObjects = 50_000
	// MostBytes is how large these may be together, as the API server sends them and
	// without what nobody reads.
	MostBytes = 32 << 20
)

// room is how much of one kind is taken.
type room struct {
	objects, bytes int
	taken          int // bytes
	left           int // objects that were left out
	// cut is the oldest of them; nothing that is younger is taken. Nil if there is none.
	cut *age
}

// noteGone notes that an object went, taken or not. The caller holds mu.
func (s *Source) noteGone(i int, key object.Key) {
	b := &s.bounds[i]
	if b.left == 0 {
		return
	}
	if s.items[i][key] != nil {
		select {
		case s.refill[i] <- struct{}{}:
		default:
		}
		return
	}
	if b.left--; b.left == 0 {
		b.cut = nil
		s.collectOwn()
	}
}

// age is the order in which objects are taken.
type age struct {
	created int64
	key     object.Key
}

func (a age) compare(b age) int {
	return cmp.Or(cmp.Compare(a.created, b.created), a.key.Compare(b.key))
}

// over reports whether so much is too much.
func (b *room) over(objects, bytes int) bool { return objects > b.objects || bytes > b.bytes }

// refuses reports whether an object is to be left out whatever room there is.
func (b *room) refuses(it *item) bool { return b.cut != nil && it.age().compare(*b.cut) >= 0 }

// leave notes that an object is left out.
func (b *room) leave(it *item) {
	b.left++
	if a := it.age(); b.cut == nil || a.compare(*b.cut) < 0 {
		b.cut = &a
	}
}

// fit sorts items, the oldest first, and returns those that are taken.
func (b *room) fit(items []*item) []*item {
	slices.SortFunc(items, func(x, y *item) int { return x.age().compare(y.age()) })
	bytes := 0
	for i, it := range items {
		bytes += it.size
		if b.over(i+1, bytes) || b.refuses(it) {
			for _, late := range items[i:] {
				b.leave(late)
			}
			return items[:i]
		}
	}
	return items
}

func (it *item) age() age { return age{it.created, it.key} }

// created is when an object was made, in seconds; one that does not say so is
// younger than all that do.
func created(o metav1.Object) int64 {
	if t := o.GetCreationTimestamp(); !t.IsZero() {
		return t.Unix()
	}
	return math.MaxInt64
}

// listing takes the objects of a list while it comes in.
type listing struct {
	bound room
	items []*item
	bytes int
}

// add keeps an item, unless it is one too many: what it was made from is then
// forgotten, so that a long list takes no more memory than a short one.
func (l *listing) add(it *item) {
	if l.bound.refuses(it) {
		l.bound.leave(it)
		it.object = nil
		return
	}
	l.items, l.bytes = append(l.items, it), l.bytes+it.size
	if !l.bound.over(len(l.items)*4/5, l.bytes*4/5) {
		return
	}
	all := l.items
	l.items, l.bytes = l.bound.fit(all), 0
	for _, it := range l.items {
		l.bytes += it.size
	}
	for _, it := range all[len(l.items):] {
		it.object = nil
	}
	clear(all[len(l.items):])
}

// trim forgets the youngest objects of a kind when there is too much of it. The
// caller holds mu.
func (s *Source) trim(i int) {
	b := &s.bounds[i]
	if !b.over(len(s.items[i]), b.taken) {
		return
	}
	all := make([]*item, 0, len(s.items[i]))
	for _, it := range s.items[i] {
		all = append(all, it)
	}
	for _, it := range all[len(b.fit(all)):] {
		s.forget(i, it.key)
	}
	s.collectOwn()
}

// bounded are the findings about kinds of which there is too much. The caller holds
// mu.
func (s *Source) bounded() []model.Finding {
	var all []model.Finding
	for i := range s.bounds {
		b, k := &s.bounds[i], &s.kinds[i]
		if b.left == 0 {
			continue
		}
		all = append(all, model.Finding{
			Origin: model.Origin{Source: s.cfg.Name}, Field: k.resourceName(), Reason: "TooManyObjects",
			Message: fmt.Sprintf("the cluster has more %s than a source takes, which is %d, or %d MiB of them; "+
				"delete those that nobody needs, or give some of them another edge", k.resourceName(), b.objects, b.bytes>>20),
			Accepted: "the oldest of them",
		})
	}
	return all
}
