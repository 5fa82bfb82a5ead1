// Package kube reads what a Kubernetes cluster exposes from its API server, and
// tells the objects there what became of them. It is the only home of client-go.
//
// What an object means is not decided here but in package translate. A failure
// never empties anything: what was read stays until the API server says otherwise.
package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
)

// Config is what a Source is made of.
type Config struct {
	// Name is the source's in the edge's file.
	Name string
	// Kubeconfig is a file; empty means the credentials of the Pod that this runs
	// in. It is read again when the API server refuses what it says.
	Kubeconfig string
	// Options for the objects; their Source is set to Name.
	Options translate.Options
	// Edge is the name of this edge, for Events.
	Edge string
	// Version of Landfall, for the user agent.
	Version string
	// StaleAfter is for how long the API server may be out of reach before Read
	// says so; 0 means 5 s.
	StaleAfter time.Duration
	// Logger, and Now, the clock; nil means nowhere, and time.Now.
	Logger *slog.Logger
	Now    func() time.Time
}

// Source is one cluster. Make it with New.
type Source struct {
	cfg     Config
	kinds   []kind
	seed    maphash.Seed
	health  *health
	clients atomic.Pointer[clients]
	// firstRetry is the constant, but for tests.
	firstRetry  time.Duration
	refillEvery time.Duration
	limit       room
	// refill gets a value when a kind has room for what was left out; as kinds.
	refill []chan struct{}
	// changed is set by Run before anything can call it.
	changed  func()
	reporter *reporter

	// mu guards what follows. It is held for no longer than it takes to translate
	// a list, and never while anything is sent.
	mu         sync.Mutex
	translator *translate.Translator
	items      []map[object.Key]*item // as kinds
	bounds     []room                 // as kinds
	ready      bool                   // all kinds have been read
	// own is what this source finds about itself, missing what its reporter may not, and
	// merged the whole of it.
	own, missing, merged []model.Finding
	mergedWith           *model.Finding
}

var (
	_ source.Source   = (*Source)(nil)
	_ source.Reporter = (*Source)(nil)
)

// New reads the kubeconfig and makes a Source of it, without asking the API server
// anything. An error about how to reach the API server wraps ErrKubeconfig.
func New(cfg Config) (*Source, error) {
	if cfg.Name == "" {
		return nil, errors.New("make kubernetes source: it has no name")
	}
	if cfg.StaleAfter == 0 {
		cfg.StaleAfter = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("source", cfg.Name)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Version == "" {
		cfg.Version = "devel"
	}
	cfg.Options.Source = cfg.Name
	s := &Source{
		cfg: cfg, kinds: watched(), seed: maphash.MakeSeed(),
		translator: translate.New(cfg.Options), changed: func() {}, firstRetry: firstRetry,
		refillEvery: refillEvery, limit: room{objects: MostObjects, bytes: MostBytes},
	}
	where := cfg.Kubeconfig
	if where == "" {
		where = "the service account of this Pod"
	}
	s.health = newHealth(s.kinds, where, &s.cfg)
	for range s.kinds {
		s.items = append(s.items, make(map[object.Key]*item))
		s.bounds = append(s.bounds, s.limit)
		s.refill = append(s.refill, make(chan struct{}, 1))
	}
	c, err := connect(cfg.Kubeconfig, s.userAgent())
	if err != nil {
		return nil, err
	}
	s.clients.Store(c)
	s.reporter = newReporter(s)
	return s, nil
}

func (s *Source) userAgent() string { return "landfall/" + s.cfg.Version }

// Name is the source's name in the edge's file.
func (s *Source) Name() string { return s.cfg.Name }

// Run watches until ctx ends, and writes what Report was given. It may be called
// once, and returns nil.
func (s *Source) Run(ctx context.Context, changed func()) error {
	s.changed = changed
	ctx = klog.NewContext(ctx, logger(s.cfg.Logger))
	s.cfg.Logger.Info("watching", "server", s.clients.Load().host)
	var wg sync.WaitGroup
	s.reporter.start(ctx, &wg)
	wg.Go(func() { s.health.watch(ctx, changed) })
	for i := range s.kinds {
		wg.Go(func() { s.reflect(ctx, i) })
	}
	wg.Wait()
	return nil
}

// Read returns what the cluster asks for now, from memory. See source.Source for
// what an error means.
func (s *Source) Read(context.Context) (model.Fragment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready {
		return model.Fragment{}, fmt.Errorf("%w: %w", source.ErrNotSynced, s.health.waiting())
	}
	return s.fragment(), s.health.stale()
}

// fragment is the Translator's, with what this source finds about itself. What did
// not change is shared. The caller holds mu.
func (s *Source) fragment() model.Fragment {
	f := s.translator.Fragment()
	if len(s.own) == 0 {
		return f
	}
	var first *model.Finding
	if len(f.Findings) > 0 {
		first = &f.Findings[0]
	}
	if s.merged == nil || s.mergedWith != first || len(s.merged) != len(f.Findings)+len(s.own) {
		s.merged = append(f.Findings[:len(f.Findings):len(f.Findings)], s.own...)
		s.mergedWith = first
	}
	f.Findings = s.merged
	return f
}

// setTold replaces what the reporter finds.
func (s *Source) setMissing(findings []model.Finding) {
	s.mu.Lock()
	s.missing = findings
	s.collectOwn()
	s.mu.Unlock()
	s.changed()
}

// collectOwn gathers what this source finds about itself. The caller holds mu.
func (s *Source) collectOwn() {
	s.own, s.merged = append(s.bounded(), s.missing...), nil
}

// asks reports whether the object wants to be told where it is served.
func (s *Source) asks(r ref) bool {
	origin := model.Origin{Source: s.cfg.Name, Kind: r.kind, Namespace: r.key.Namespace, Name: r.key.Name}
	s.mu.Lock()
	defer s.mu.Unlock()
	part := findPart(s.translator.Fragment().Parts, origin.Key())
	return part != nil && part.Report
}

// reconnect reads the kubeconfig again, if it says something else than it did when
// the clients that failed were made.
func (s *Source) reconnect(failed *clients) {
	if s.cfg.Kubeconfig == "" || s.clients.Load() != failed {
		return
	}
	content, err := os.ReadFile(s.cfg.Kubeconfig)
	if err == nil && sha256.Sum256(content) == failed.sum {
		return
	}
	fresh, err := connect(s.cfg.Kubeconfig, s.userAgent())
	if err != nil {
		s.cfg.Logger.Debug("kubeconfig not read again", "cause", err)
		return
	}
	if s.clients.CompareAndSwap(failed, fresh) {
		s.cfg.Logger.Info("kubeconfig read again", "file", s.cfg.Kubeconfig, "server", fresh.host)
	}
}
