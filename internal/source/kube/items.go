package kube

import (
	"fmt"
	"hash/maphash"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// item is what is kept of an object beside what the Translator keeps.
type item struct {
	key object.Key
	uid types.UID
	// hash is of what the translators read.
	hash    uint64
	created int64
	size    int // as the API server would send it, stripped
	// told is what the status says; nil for kinds that have none of ours.
	told *told
	// object is handed to the Translator and forgotten.
	object runtime.Object
}

// marshaler is how every Kubernetes type writes itself, in a fixed order.
type marshaler interface {
	Size() int
	MarshalToSizedBuffer([]byte) (int, error)
}

// item reads and strips one object. What Transformer returned is left as it is.
func (st *store) item(obj any) (*item, error) {
	if it, done := obj.(*item); done {
		return it, nil
	}
	o, isRuntime := obj.(runtime.Object)
	m, isMarshaler := obj.(marshaler)
	if !isRuntime || !isMarshaler {
		return nil, fmt.Errorf("read %s: unexpected %T", st.source.kinds[st.i].name, obj)
	}
	om, err := meta.Accessor(obj)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", st.source.kinds[st.i].name, err)
	}
	it := &item{
		key: object.Key{Namespace: om.GetNamespace(), Name: om.GetName()},
		uid: om.GetUID(), told: readTold(o), object: o,
	}
	strip(om)
	size := m.Size()
	if cap(st.buffer) < size {
		st.buffer = make([]byte, 2*size)
	}
	n, err := m.MarshalToSizedBuffer(st.buffer[:size])
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", st.source.kinds[st.i].name, it.key, err)
	}
	it.created, it.size = created(om), n
	it.hash = maphash.Bytes(st.source.seed, st.buffer[size-n:size])
	return it, nil
}

// set takes one object that was added or changed, unless there is too much of its
// kind.
func (s *Source) set(i int, it *item, added bool) {
	s.mu.Lock()
	b := &s.bounds[i]
	old := s.items[i][it.key]
	if old == nil && b.refuses(it) {
		if added {
			b.leave(it)
		}
		s.mu.Unlock()
		return
	}
	if old != nil {
		b.taken -= old.size
	}
	b.taken += it.size
	changed, look := s.keep(i, it)
	s.trim(i)
	changed = changed && s.ready
	s.mu.Unlock()
	if changed {
		s.changed()
	}
	if look {
		s.reporter.look(ref{s.kinds[i].name, it.key})
	}
}

// keep puts an item in place and reports whether the Translator has anything new,
// and whether the status is to be looked at. The caller holds mu.
func (s *Source) keep(i int, it *item) (changed, look bool) {
	old := s.items[i][it.key]
	s.items[i][it.key] = it
	obj := it.object
	it.object = nil
	if it.told != nil {
		look = old == nil || old.uid != it.uid || *old.told != *it.told
	}
	if old != nil && old.hash == it.hash {
		return false, look
	}
	s.translator.Set(obj)
	// It may no longer ask for what its status says.
	return true, look || it.told != nil && it.told.ours
}

func (s *Source) remove(i int, obj any) error {
	om, err := meta.Accessor(obj)
	if err != nil {
		return fmt.Errorf("read deleted %s: %w", s.kinds[i].name, err)
	}
	key := object.Key{Namespace: om.GetNamespace(), Name: om.GetName()}
	s.mu.Lock()
	s.noteGone(i, key)
	s.forget(i, key)
	ready := s.ready
	s.mu.Unlock()
	if ready {
		s.changed()
	}
	return nil
}

// forget takes an object away. The caller holds mu.
func (s *Source) forget(i int, key object.Key) {
	it, there := s.items[i][key]
	if !there {
		return
	}
	s.bounds[i].taken -= it.size
	delete(s.items[i], key)
	gone := s.kinds[i].one()
	if om, ok := gone.(metav1.Object); ok {
		om.SetNamespace(key.Namespace)
		om.SetName(key.Name)
	}
	s.translator.Delete(gone)
}

// replace takes all objects of a kind, in one step: between two lists nobody sees
// half of one.
func (s *Source) replace(i int, items []*item, b room) {
	var look []ref
	s.mu.Lock()
	before := s.items[i]
	there := make(map[object.Key]bool, len(items))
	any := false
	for _, it := range items {
		there[it.key] = true
		changed, again := s.keep(i, it)
		any = any || changed
		if again {
			look = append(look, ref{s.kinds[i].name, it.key})
		}
	}
	var gone []object.Key
	for key := range before {
		if !there[key] {
			gone = append(gone, key)
		}
	}
	slices.SortFunc(gone, object.Key.Compare)
	for _, key := range gone {
		s.forget(i, key)
	}
	any = any || len(gone) > 0 || (b.left > 0) != (s.bounds[i].left > 0)
	s.bounds[i] = b
	s.collectOwn()
	first := !s.ready && s.health.synced(i)
	s.ready = s.ready || first
	any = s.ready && (any || first)
	s.mu.Unlock()
	if any {
		s.changed()
	}
	if first {
		s.reporter.wake() // it may have been told something before
	}
	s.reporter.look(look...)
}
