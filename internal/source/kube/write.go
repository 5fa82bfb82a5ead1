package kube

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// writeTimeout bounds one request.
const writeTimeout = 10 * time.Second

// writeStatus makes the status of one object say what it should.
func (r *reporter) writeStatus(ctx context.Context, at ref) verdict {
	it, there := r.source.object(at)
	if !there || it.told == nil {
		return verdict{}
	}
	r.mu.Lock()
	var w want
	if p := r.wants[at]; p != nil {
		w = *p
	}
	r.mu.Unlock()

	next, ok := r.next(at, &it, &w)
	if !ok {
		return verdict{}
	}
	resource := statusOf(at.kind)
	now := r.source.cfg.Now()
	if left := r.until(resource); left > 0 {
		return verdict{after: left}
	}
	if next == w.written && now.Before(w.notBefore) {
		return verdict{after: w.notBefore.Sub(now)}
	}
	since := now
	if next.condition.status == it.told.condition.status {
		since = time.Unix(it.told.since, 0)
	}
	got, err := r.source.apply(ctx, at, it.uid, next, since)
	if err != nil {
		return r.refused(ctx, at, "patch", resource, err)
	}
	r.setMissing(resource, nil)
	r.wrote(at, &it, &w, next, now)
	r.source.setTold(at, it.uid, got)
	return verdict{}
}

// next is what is to be sent for an object; without ok, nothing.
func (r *reporter) next(at ref, it *item, w *want) (next statement, ok bool) {
	if w.outcome == nil {
		// Nothing was said of it. It is withdrawn if it does not ask to be served;
		// if it does, whoever built the state has not seen it yet.
		return statement{}, it.told.ours && !r.source.asks(at)
	}
	next, ok = state(at.kind, it.told, r.source.cfg.Options.Unclassed, w.outcome, w.findings)
	switch {
	case !ok:
		return statement{}, false
	case next == (statement{}):
		return next, it.told.ours
	}
	return next, next != it.told.statement || !it.told.ours
}

// apply sends a statement by server-side apply, which takes away what was ours and
// is not said any more, and nothing of others.
func (s *Source) apply(ctx context.Context, at ref, uid types.UID, next statement, since time.Time) (*told, error) {
	body, err := patch(at, uid, next, since)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	c := s.clients.Load()
	client, into := c.statusCore, runtime.Object(&corev1.Service{})
	resource := "services"
	if at.kind == object.Ingress {
		client, into, resource = c.statusNet, &networkingv1.Ingress{}, "ingresses"
	}
	err = client.Patch(types.ApplyYAMLPatchType).Namespace(at.key.Namespace).Resource(resource).Name(at.key.Name).
		SubResource("status").Param("fieldManager", fieldManager).Param("force", "true").Body(body).Do(ctx).Into(into)
	if err != nil {
		return nil, err
	}
	return readTold(into), nil
}

func statusOf(kind string) string {
	if kind == object.Ingress {
		return "ingresses.networking.k8s.io/status"
	}
	return "services/status"
}

// wrote remembers what was sent, and has an Event made of a change.
func (r *reporter) wrote(at ref, it *item, before *want, next statement, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.want(at)
	w.rewrites++
	if w.written != next || now.Sub(w.notBefore) > 2*lastRewrite {
		w.written, w.rewrites = next, 0
	}
	// The first time may be a change that crossed ours. From then on somebody else
	// writes the same field, and it would go on for ever.
	wait := min(lastRewrite, firstRewrite<<min(w.rewrites, 10))
	w.notBefore = now.Add(wait)
	if w.rewrites == 3 {
		r.source.cfg.Logger.Warn("status is overwritten by somebody else; see metadata.managedFields of the object for whom",
			"origin", at.kind+" "+at.key.String())
	}
	is, was := next.serves(), it.told.serves()
	switch {
	case is && w.rewrites == 0 && next.place() != it.told.place():
		w.change = note{reason: "Exposed", text: bound("Served at "+place(before.outcome), mostNote)}
	case !is && was:
		w.change = note{reason: "Withdrawn", text: "No longer served by edge " + r.source.cfg.Edge}
	default:
		return
	}
	r.events.Add(at)
}

// serves reports whether a statement is of something served.
func (s *statement) serves() bool {
	return s.ingress != "" || s.condition.status == string(metav1.ConditionTrue)
}

// place is what must differ for it to be news.
func (s *statement) place() string { return s.ingress + s.condition.message }

// setTold takes over what the API server answered, before the watch brings it.
func (s *Source) setTold(at ref, uid types.UID, t *told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.kinds {
		if s.kinds[i].name != at.kind {
			continue
		}
		if it, there := s.items[i][at.key]; there && it.uid == uid {
			fresh := *it
			fresh.told = t
			s.items[i][at.key] = &fresh
		}
	}
}

// writeEvents tells on one object what has not been told yet.
func (r *reporter) writeEvents(ctx context.Context, at ref) verdict {
	it, there := r.source.object(at)
	notes := r.untold(at, it.uid, there)
	for _, n := range notes {
		if left := r.until("events"); left > 0 {
			return verdict{after: left}
		}
		if !r.allow(at.key.Namespace) {
			return verdict{after: namespacePause}
		}
		err := r.source.tell(ctx, at, it.uid, n, r.count(n.name(at, it.uid)))
		switch {
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			// Its Events end with it.
		case err != nil:
			return r.refused(ctx, at, "create", "events", err)
		default:
			r.setMissing("events", nil)
		}
		r.setDone(at, it.uid, n)
	}
	return verdict{}
}

// untold are the notes about an object that are to be told. What is no longer to
// be said is forgotten, so that it is told when it comes back.
func (r *reporter) untold(at ref, uid types.UID, there bool) []note {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.wants[at]
	switch {
	case w == nil:
		return nil
	case !there:
		w.told, w.change = nil, note{}
		return nil
	case w.uid != uid:
		w.uid, w.told = uid, nil
	}
	var notes []note
	still := make(map[note]bool, len(w.findings))
	for i := range w.findings {
		n := noteOf(&w.findings[i])
		if _, twice := still[n]; twice {
			continue
		}
		still[n] = w.told[n]
		if !still[n] {
			notes = append(notes, n)
		}
	}
	w.told = still
	if w.change != (note{}) {
		notes = append(notes, w.change)
	}
	return notes
}

func (r *reporter) setDone(at ref, uid types.UID, n note) {
	r.mu.Lock()
	defer r.mu.Unlock()
	const most = 10_000
	if len(r.created) >= most {
		clear(r.created)
	}
	r.created[n.name(at, uid)]++
	w := r.wants[at]
	if w == nil {
		return
	}
	if _, there := w.told[n]; there {
		w.told[n] = true
	}
	if w.change == n {
		w.change = note{}
	}
	if w.idle() {
		delete(r.wants, at)
	}
}

func (r *reporter) count(name string) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.created[name]
}

// How many Events objects of one namespace may have, at once and over time.
const (
	namespaceBurst = 25
	namespacePause = 5 * time.Second
)

func (r *reporter) allow(namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	const most = 10_000
	if len(r.limits) > most {
		clear(r.limits)
	}
	l := r.limits[namespace]
	if l == nil {
		l = rate.NewLimiter(rate.Every(namespacePause), namespaceBurst)
		r.limits[namespace] = l
	}
	return l.AllowN(r.source.cfg.Now(), 1)
}

// tell creates an Event, or counts one up that this process told before. One that
// it did not is there from before a restart, or from the other edge.
func (s *Source) tell(ctx context.Context, at ref, uid types.UID, n note, before int32) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	now := s.cfg.Now()
	e := n.event(at, uid, s.cfg.Edge, now)
	events := s.clients.Load().events
	err := events.Post().Namespace(e.Namespace).Resource("events").Body(e).Do(ctx).Error()
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	if before == 0 {
		return nil
	}
	body, err := json.Marshal(map[string]any{"count": before + 1, "lastTimestamp": metav1.NewTime(now)})
	if err != nil {
		return err
	}
	return events.Patch(types.MergePatchType).Namespace(e.Namespace).Resource("events").Name(e.Name).Body(body).Do(ctx).Error()
}

// How long nothing is written after a refusal that concerns all objects alike.
const (
	forbiddenPause   = 30 * time.Second
	unreachablePause = 2 * time.Second
)

// refused decides what an error of a request means for the object, and for others.
func (r *reporter) refused(ctx context.Context, at ref, verb, resource string, err error) verdict {
	log := r.source.cfg.Logger.With("origin", at.kind+" "+at.key.String(), "resource", resource)
	status := apierrors.APIStatus(nil)
	switch {
	case ctx.Err() != nil, apierrors.IsNotFound(err):
		return verdict{}
	case apierrors.IsConflict(err):
		return verdict{backoff: true}
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		c := r.source.clients.Load()
		why := explain(verb, resource, r.source.health.where, c.host, err).Error()
		r.pause(resource, forbiddenPause)
		r.source.reconnect(c)
		if r.setMissing(resource, &model.Finding{
			Origin: model.Origin{Source: r.source.cfg.Name}, Field: resource, Reason: "CannotReport",
			Message: why, Accepted: "everything; only the objects are not told",
		}) {
			log.Warn("objects are not told", "cause", why)
		}
		return verdict{after: forbiddenPause}
	case !errors.As(err, &status), apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err):
		r.pause(resource, unreachablePause)
		log.Debug("not written", "cause", err)
		return verdict{backoff: true}
	}
	log.Warn("not written", "cause", err)
	return verdict{backoff: true}
}
