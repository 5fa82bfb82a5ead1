package kube

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// kind is one of the kinds that are watched.
type kind struct {
	name     string
	resource string
	group    string
	one      func() runtime.Object
	list     func() runtime.Object
	client   func(*clients) *rest.RESTClient
}

// resourceName is the resource as kubectl would be asked for it.
func (k *kind) resourceName() string {
	if k.group == "" {
		return k.resource
	}
	return k.resource + "." + k.group
}

// watched are the kinds that are watched. Endpoints are not: the API server's
// controllers mirror them into EndpointSlices.
func watched() []kind {
	core := func(c *clients) *rest.RESTClient { return c.core }
	networking := func(c *clients) *rest.RESTClient { return c.networking }
	discovery := func(c *clients) *rest.RESTClient { return c.discover }
	return []kind{
		{
			"EndpointSlice", "endpointslices", discoveryv1.GroupName,
			func() runtime.Object { return &discoveryv1.EndpointSlice{} },
			func() runtime.Object { return &discoveryv1.EndpointSliceList{} }, discovery,
		},
		{
			object.Ingress, "ingresses", networkingv1.GroupName,
			func() runtime.Object { return &networkingv1.Ingress{} },
			func() runtime.Object { return &networkingv1.IngressList{} }, networking,
		},
		{
			"IngressClass", "ingressclasses", networkingv1.GroupName,
			func() runtime.Object { return &networkingv1.IngressClass{} },
			func() runtime.Object { return &networkingv1.IngressClassList{} }, networking,
		},
		{
			"Namespace", "namespaces", corev1.GroupName,
			func() runtime.Object { return &corev1.Namespace{} },
			func() runtime.Object { return &corev1.NamespaceList{} }, core,
		},
		{
			object.Node, "nodes", corev1.GroupName,
			func() runtime.Object { return &corev1.Node{} },
			func() runtime.Object { return &corev1.NodeList{} }, core,
		},
		{
			object.Service, "services", corev1.GroupName,
			func() runtime.Object { return &corev1.Service{} },
			func() runtime.Object { return &corev1.ServiceList{} }, core,
		},
	}
}

// The time between two attempts to reach the API server. An edge that is behind
// sends requests to pods that are gone, so it does not wait for long.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// refillEvery is the least time between two lists that are made to fill the room of
// objects that went.
const refillEvery = time.Minute

// reflect keeps one kind fresh until ctx ends.
func (s *Source) reflect(ctx context.Context, i int) {
	for ctx.Err() == nil {
		again, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { s.reflectOnce(again, i) })
		pause(ctx, s.refillEvery)
		select {
		case <-ctx.Done():
		case <-s.refill[i]:
		}
		cancel()
		wg.Wait()
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// reflectOnce is a bare reflector: between the connection and the Translator lies no
// queue, no second copy and no goroutine.
func (s *Source) reflectOnce(ctx context.Context, i int) {
	k := &s.kinds[i]
	logger := klog.FromContext(ctx)
	cache.NewReflectorWithOptions(s.listWatch(i), k.one(), &store{source: s, i: i}, cache.ReflectorOptions{
		Logger: &logger, Name: s.cfg.Name + "/" + k.resource, TypeDescription: k.name,
		Backoff: &wait.Backoff{Duration: s.firstRetry, Cap: max(lastRetry, s.firstRetry), Steps: 10, Factor: 2, Jitter: 0.2},
		Clock:   clockUntil{ctx: ctx},
	}).RunWithContext(ctx)
}

// listWatch asks the API server and notes how it answered.
func (s *Source) listWatch(i int) cache.ListerWatcher {
	k := &s.kinds[i]
	ask := func(verb string, options *metav1.ListOptions) (*clients, *rest.Request) {
		c := s.clients.Load()
		options.Watch = verb == "watch"
		return c, k.client(c).Get().Resource(k.resource).VersionedParams(options, c.params)
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			c, request := ask("list", &options)
			list := k.list()
			if err := request.Do(ctx).Into(list); err != nil {
				s.noteFailure(i, "list", c, err)
				return nil, err
			}
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			c, request := ask("watch", &options)
			w, err := request.Watch(ctx)
			if err != nil {
				s.noteFailure(i, "watch", c, err)
				return nil, err
			}
			// Only this, not a list, means that nothing is missed from here on.
			s.health.answered(i)
			return w, nil
		},
	}
}

func (s *Source) noteFailure(i int, verb string, c *clients, err error) {
	s.health.failed(i, verb, c, err)
	s.reconnect(c)
}

// store feeds one kind to the Translator; it is what a reflector keeps up to date.
type store struct {
	source *Source
	i      int
	// buffer is used by the reflector's goroutine only.
	buffer []byte
	// listing is what has come in of a list that is not complete yet.
	listing *listing
}

var (
	_ cache.ReflectorStore    = (*store)(nil)
	_ cache.TransformingStore = (*store)(nil)
)

func (st *store) Add(obj any) error    { return st.set(obj, true) }
func (st *store) Update(obj any) error { return st.set(obj, false) }
func (st *store) Resync() error        { return nil }
func (st *store) Delete(obj any) error { return st.source.remove(st.i, obj) }

func (st *store) set(obj any, added bool) error {
	it, err := st.item(obj)
	if err != nil {
		return err
	}
	st.source.set(st.i, it, added)
	return nil
}

func (st *store) Replace(list []any, _ string) error {
	b := st.source.limit
	if st.listing != nil {
		b.cut, st.listing = st.listing.bound.cut, nil
	}
	items := make([]*item, 0, len(list))
	for _, obj := range list {
		it, err := st.item(obj)
		if err != nil {
			return err
		}
		if it.object == nil {
			b.left++ // while it came in
			continue
		}
		items = append(items, it)
	}
	items = b.fit(items)
	for _, it := range items {
		b.taken += it.size
	}
	st.source.replace(st.i, items, b)
	return nil
}

// Transformer makes the first list small while it still comes in.
func (st *store) Transformer() cache.TransformFunc {
	st.listing = &listing{bound: st.source.limit}
	return func(obj any) (any, error) {
		it, err := st.item(obj)
		if err == nil {
			st.listing.add(it)
		}
		return it, err
	}
}

// logger is where client-go may log. It calls much a warning that is ordinary
// here, and what matters is logged by health.
func logger(l *slog.Logger) logr.Logger {
	return logr.FromSlogHandler(quiet{l.Handler()})
}

// quiet is a slog.Handler that makes everything debugging.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if !q.Enabled(ctx, r.Level) { // errors come without anybody having asked
		return nil
	}
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }
