package kube

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// ref names an object that something is said about.
type ref struct {
	kind string
	key  object.Key
}

func refOf(o *model.Origin) ref {
	return ref{o.Kind, object.Key{Namespace: o.Namespace, Name: o.Name}}
}

// Report takes what is to be said of the objects, and returns; Run writes it.
// Findings become Events, outcomes the status of Services and Ingresses.
func (s *Source) Report(_ context.Context, outcomes []*model.Outcome, findings []model.Finding) {
	r := s.reporter
	r.mu.Lock()
	r.latest = &report{outcomes, findings}
	r.mu.Unlock()
	r.wake()
}

type report struct {
	outcomes []*model.Outcome
	findings []model.Finding
}

// reporter writes what Report was given last, wherever an object says otherwise.
// It looks at one object at a time: what it should say, what it says, what to send.
type reporter struct {
	source *Source
	woken  chan struct{}

	mu     sync.Mutex
	latest *report // not looked at yet
	active bool    // a report has been looked at
	wants  map[ref]*want
	taken  report // what wants were made of
	// limits keep the Events of one namespace from taking the place of others'.
	limits map[string]*rate.Limiter
	// created counts the Events of this process by their names.
	created map[string]int32
	// paused says until when not to try a resource that could not be written.
	paused map[string]time.Time
	// missing are the permissions that are missing, by resource.
	missing map[string]model.Finding

	statuses, events workqueue.TypedRateLimitingInterface[ref] // made by start
}

// want is what is to be said of one object.
type want struct {
	outcome  *model.Outcome
	findings []model.Finding

	// written is what was last sent, rewrites how often in a row although it had
	// been, and notBefore when the next such attempt is due.
	written   statement
	rewrites  int
	notBefore time.Time

	// uid of the object that Events were told about, and what they said.
	uid  types.UID
	told map[note]bool
	// change is the Event about where it is served that is still to be told.
	change note
}

func newReporter(s *Source) *reporter {
	return &reporter{
		source: s, woken: make(chan struct{}, 1),
		wants: make(map[ref]*want), limits: make(map[string]*rate.Limiter), created: make(map[string]int32),
		paused: make(map[string]time.Time), missing: make(map[string]model.Finding),
	}
}

func (r *reporter) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// The time between two attempts to write the same object.
const (
	firstRewrite = 500 * time.Millisecond
	lastRewrite  = 5 * time.Minute
)

// statusWriters write at the same time; the limit is the clients'.
const statusWriters = 4

func (r *reporter) start(ctx context.Context, wg *sync.WaitGroup) {
	r.statuses, r.events = newQueue(), newQueue()
	wg.Go(func() {
		<-ctx.Done()
		r.statuses.ShutDown()
		r.events.ShutDown()
	})
	for range statusWriters {
		wg.Go(func() { work(ctx, r.statuses, r.writeStatus) })
	}
	wg.Go(func() { work(ctx, r.events, r.writeEvents) })
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.woken:
				r.digest()
			}
		}
	})
}

// newQueue starts a goroutine, so it is called by Run only.
func newQueue() workqueue.TypedRateLimitingInterface[ref] {
	return workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[ref](firstRewrite, lastRewrite))
}

// work calls do for every object in the queue until it is shut down. An object is
// never worked on twice at the same time.
func work(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ref], do func(context.Context, ref) verdict) {
	for {
		o, end := queue.Get()
		if end {
			return
		}
		switch v := do(ctx, o); {
		case v.backoff:
			queue.AddRateLimited(o)
		case v.after > 0:
			queue.AddAfter(o, v.after)
		default:
			queue.Forget(o)
		}
		queue.Done(o)
	}
}

// verdict says when to look at an object again; the zero value, when it changes.
type verdict struct {
	backoff bool
	after   time.Duration
}

// look has objects compared with what they should say. Before the first report
// nobody knows what that is.
func (r *reporter) look(refs ...ref) {
	r.mu.Lock()
	active := r.active
	r.mu.Unlock()
	if !active {
		return
	}
	for _, o := range refs {
		r.statuses.Add(o)
		r.events.Add(o)
	}
}

// digest finds out for which objects the latest report says something new.
func (r *reporter) digest() {
	// What a source that has not synced was told is about what others remembered
	// of it; it is looked at when there is something to compare it with.
	if !r.source.isReady() {
		return
	}
	r.mu.Lock()
	latest, first := r.latest, !r.active
	if latest == nil {
		r.mu.Unlock()
		return
	}
	r.latest, r.active = nil, true
	look := r.take(latest)
	r.mu.Unlock()
	if first {
		look = append(look, r.source.ours()...)
	}
	r.look(look...)
}

// take makes wants of a report and returns those that differ from before. It looks
// at the objects whose outcome is another pointer, and at all findings if one
// differs. The caller holds mu.
func (r *reporter) take(latest *report) []ref {
	look := r.takeOutcomes(latest.outcomes)
	if !slices.Equal(r.taken.findings, latest.findings) {
		look = append(look, r.takeFindings(latest.findings)...)
	}
	r.taken = *latest
	if len(r.wants) > len(latest.outcomes)+len(latest.findings) { // some may have been made for nothing
		maps.DeleteFunc(r.wants, func(_ ref, w *want) bool { return w.idle() })
	}
	return look
}

func (r *reporter) takeOutcomes(now []*model.Outcome) []ref {
	gone, come := differing(r.taken.outcomes, now)
	differ := map[ref]*model.Outcome{}
	ours := func(o *model.Outcome) bool { return o.Origin.Source == r.source.cfg.Name }
	for _, o := range gone {
		if ours(o) {
			differ[refOf(&o.Origin)] = nil
		}
	}
	for _, o := range come {
		if ours(o) {
			differ[refOf(&o.Origin)] = o
		}
	}
	var look []ref
	for at, o := range differ {
		if w := r.want(at); w.outcome != o {
			w.outcome = o
			look = append(look, at)
		}
	}
	return look
}

// differing walks the outcomes of two reports at once: both are sorted by key.
func differing(before, now []*model.Outcome) (gone, come []*model.Outcome) {
	for len(before) > 0 && len(now) > 0 {
		switch {
		case before[0] == now[0]:
			before, now = before[1:], now[1:]
		case before[0].Origin.Key() <= now[0].Origin.Key():
			gone, before = append(gone, before[0]), before[1:]
		default:
			come, now = append(come, now[0]), now[1:]
		}
	}
	return append(gone, before...), append(come, now...)
}

func (r *reporter) takeFindings(now []model.Finding) []ref {
	differ := map[ref][]model.Finding{}
	for i := range r.taken.findings {
		if f := &r.taken.findings[i]; r.about(f) {
			differ[refOf(&f.Origin)] = nil
		}
	}
	for i := range now {
		if f := &now[i]; r.about(f) {
			at := refOf(&f.Origin)
			differ[at] = append(differ[at], *f)
		}
	}
	var look []ref
	for at, findings := range differ {
		if w := r.want(at); !slices.Equal(w.findings, findings) {
			w.findings = findings
			look = append(look, at)
		}
	}
	return look
}

// about reports whether a finding is about an object of the source.
func (r *reporter) about(f *model.Finding) bool {
	return f.Origin.Source == r.source.cfg.Name && f.Origin.Name != ""
}

// idle reports whether nothing is to be said or remembered.
func (w *want) idle() bool {
	return w.outcome == nil && len(w.findings) == 0 && w.change == (note{})
}

// want is what is to be said of an object; the caller holds mu.
func (r *reporter) want(at ref) *want {
	w := r.wants[at]
	if w == nil {
		w = &want{}
		r.wants[at] = w
	}
	return w
}

// until is how long a resource is not to be tried.
func (r *reporter) until(resource string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, r.paused[resource].Sub(r.source.cfg.Now()))
}

func (r *reporter) pause(resource string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused[resource] = r.source.cfg.Now().Add(d)
}

// setMissing notes that a permission is missing, or no longer, and reports whether
// that is new.
func (r *reporter) setMissing(resource string, f *model.Finding) bool {
	r.mu.Lock()
	_, was := r.missing[resource]
	if f == nil {
		delete(r.missing, resource)
	} else {
		r.missing[resource] = *f
	}
	all := slices.SortedFunc(maps.Values(r.missing), func(a, b model.Finding) int { return cmp.Compare(a.Field, b.Field) })
	r.mu.Unlock()
	if was == (f != nil) {
		return false
	}
	r.source.setMissing(all)
	return true
}

func (s *Source) isReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// ours are the objects whose status is ours, as far as is known.
func (s *Source) ours() []ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []ref
	for i := range s.kinds {
		for key, it := range s.items[i] {
			if it.told != nil && it.told.ours {
				list = append(list, ref{s.kinds[i].name, key})
			}
		}
	}
	return list
}

// object is what is kept of an object.
func (s *Source) object(r ref) (item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.kinds {
		if s.kinds[i].name != r.kind {
			continue
		}
		if it, there := s.items[i][r.key]; there {
			return *it, true
		}
	}
	return item{}, false
}
