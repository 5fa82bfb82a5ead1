// Package phonehome is a source that is called: agents beside a workload register
// where it is, for clusters whose API cannot be asked or whose nodes change their
// addresses.
//
//   - Two request forms mean the same: that of the containers that were there
//     before, and our own.
//   - What is registered is kept on disk and outlives the edge; what is not renewed
//     goes.
//   - A renewal with nothing new makes no turn.
package phonehome

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/phonehome/auth"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
)

// Config is what a Source is made of.
type Config struct {
	// Name is the source's in the edge's file.
	Name string
	// Listen is "<address>:<port>"; CertFile and KeyFile are empty for plain HTTP.
	Listen, CertFile, KeyFile string
	Clients                   []Client
	// HTTPPort and HTTPSPort are the edge's, where the protocols http and tls are
	// served.
	HTTPPort, HTTPSPort uint16
	// StateFile is where registrations are kept; its folder is made.
	StateFile string
	// Passive answers from what is on disk: it neither listens nor writes.
	Passive bool
	// Getenv looks a variable up.
	Getenv func(string) string
	// Logger, and Now, the clock; nil means nowhere, and time.Now.
	Logger *slog.Logger
	Now    func() time.Time
}

// Client is who may register, and what.
type Client struct {
	auth.Client
	registry.Allowance
}

const (
	// maxPerClient and maxRegistrations bound what is kept.
	maxPerClient     = 20_000
	maxRegistrations = 50_000
	// refreshEvery is how often files are looked at, and issuers asked that gave no
	// keys yet.
	refreshEvery = 2 * time.Second
	// Requests of one client with its right token.
	requestRate  = 2_000
	requestBurst = 4_000
)

// Source is one listener and what was registered there. Make it with New.
type Source struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	clients map[string]*client
	book    *auth.Book
	delays  auth.Delays
	waiting chan struct{} // has room for as many as may wait for a delayed answer
	lines   *rate.Limiter // of the log about refused calls
	cert    certificate
	store   *store

	mu       sync.Mutex
	registry *registry.Registry
	problem  error // why nobody can register now
	loadFail string
	refused  []refusal
	said     map[objectKey]said
	changed  func()
	soon     chan struct{} // one slot: something is due earlier than it was
	// Each change is a number. read is the last that a turn has read, done the last
	// that is served; turned is closed when done grows.
	gen, read, done uint64
	turned          chan struct{}
}

type client struct {
	Client
	limit *rate.Limiter
}

type objectKey struct{ client, name string }

var (
	_ source.Source   = (*Source)(nil)
	_ source.Reporter = (*Source)(nil)
	_ source.Follower = (*Source)(nil)
)

// New makes a Source and reads what is on disk. It listens in Run.
func New(cfg Config) (*Source, error) {
	if cfg.Name == "" || cfg.Listen == "" || cfg.StateFile == "" {
		return nil, errors.New("make phone-home source: it needs a name, an address to listen on and a state file")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Getenv == nil {
		cfg.Getenv = func(string) string { return "" }
	}
	s := &Source{
		cfg: cfg, log: cfg.Logger.With("source", cfg.Name), now: cfg.Now, clients: map[string]*client{},
		waiting: make(chan struct{}, maxWaiting), lines: rate.NewLimiter(rate.Every(time.Second), 20),
		cert:     certificate{certFile: cfg.CertFile, keyFile: cfg.KeyFile},
		store:    newStore(cfg.StateFile),
		registry: registry.New(cfg.Name), said: map[objectKey]said{},
		changed: func() {}, soon: make(chan struct{}, 1), turned: make(chan struct{}),
	}
	var list []auth.Client
	for _, c := range cfg.Clients {
		s.clients[c.Name] = &client{c, rate.NewLimiter(requestRate, requestBurst)}
		list = append(list, c.Client)
	}
	var err error
	if s.book, err = auth.New(list, cfg.Getenv, cfg.Now); err != nil {
		return nil, fmt.Errorf("make phone-home source %s: %w", cfg.Name, err)
	}
	s.book.ReadFiles()
	s.cert.read()
	s.load()
	s.note()
	return s, nil
}

// load takes what is on disk, without what the edge's file has withdrawn since.
func (s *Source) load() {
	now := s.now()
	err := s.store.load(s.cfg.Passive, func(r registry.Registration) {
		c := s.clients[r.Client]
		if c == nil {
			return
		}
		if why, _ := c.Address(r.Address); why != "" {
			return
		}
		for _, p := range r.Ports {
			if c.Port(p) != "" {
				return
			}
		}
		s.registry.Restore(resumed(r, now))
	})
	if err != nil {
		s.loadFail = err.Error()
		s.log.Error("what was registered is lost", "error", err)
	}
}

// resumed is a registration from disk as it goes on now. A lease that has ended
// meanwhile gets its grace from now on: nobody could renew it. The clock may have
// jumped: no lease is longer than it was.
func resumed(r registry.Registration, now time.Time) registry.Registration {
	if r.Seen.After(now) {
		r.Seen = now
	}
	if r.Lease > 0 {
		r.Expires = now.Add(min(max(r.Expires.Sub(now), 0), r.Lease))
	}
	if r.Gone.After(now) {
		r.Gone = now
	}
	return r
}

// Name is the source's name in the edge's file.
func (s *Source) Name() string { return s.cfg.Name }

// Read returns what is registered. When nobody can register it says why.
func (s *Source) Read(context.Context) (model.Fragment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = s.gen
	return s.registry.Fragment(s.now()), s.problem
}

// Turned is told that what Read returned last is served.
func (s *Source) Turned() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done < s.read {
		s.done = s.read
		close(s.turned)
		s.turned = make(chan struct{})
	}
}

// touch notes a change, with mu held, and returns its number.
func (s *Source) touch() uint64 {
	s.gen++
	return s.gen
}

// hurry wakes the loop that ends leases.
func (s *Source) hurry() {
	select {
	case s.soon <- struct{}{}:
	default:
	}
}

// await waits a moment for a change to be served.
func (s *Source) await(ctx context.Context, gen uint64) {
	timer := time.NewTimer(maxAwait)
	defer timer.Stop()
	for {
		s.mu.Lock()
		done, turned := s.done >= gen, s.turned
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-turned:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// note makes the findings of the source anew, and reports whether they are others
// than before. It is called with mu held, or before anybody else is there.
func (s *Source) note() bool {
	var list []model.Finding
	add := func(field, reason, message, accepted string) {
		list = append(list, model.Finding{Origin: model.Origin{Source: s.cfg.Name}, Field: field, Reason: reason, Message: message, Accepted: accepted})
	}
	if s.cfg.CertFile == "" && !loopback(s.cfg.Listen) {
		add("phoneHome.insecure", "Insecure", "tokens come to "+s.cfg.Listen+" in the clear, and whoever reads one can take that client's ports; set tls, or listen on 127.0.0.1 behind something that encrypts", "everything")
	}
	for i, problem := range s.book.Problems() {
		if problem != "" {
			add(fmt.Sprintf("phoneHome.clients[%d]", i), "TokenUnknown", "client "+s.cfg.Clients[i].Name+": "+problem+"; mend it, and it is read again by itself", "")
		}
	}
	if why := s.cert.problem(); why != "" {
		add("phoneHome.tls", "CertificateUnreadable", why+"; mend it, and it is read again by itself", "")
	}
	if s.loadFail != "" {
		add("", "KeptStateDamaged", "what was registered before the start is lost: "+s.loadFail+"; clients that repeat their call come back by themselves", "")
	}
	if err := s.store.problem(); err != nil {
		add("", "StateNotKept", "registrations cannot be kept on disk: "+err.Error()+"; they are served, and lost at a restart until clients repeat them; make room, or mend the folder", "everything")
	}
	for _, r := range s.refused {
		list = append(list, r.finding(s.cfg.Name))
	}
	return s.registry.Note(list)
}

func loopback(listen string) bool {
	addr, err := netip.ParseAddrPort(listen)
	return err == nil && addr.Addr().IsLoopback() || strings.HasPrefix(listen, "localhost:")
}

// News is about the source itself, and there may be some: it is looked at again.
func (s *Source) news() {
	s.mu.Lock()
	news := s.note()
	if news {
		s.touch()
	}
	s.mu.Unlock()
	if news {
		s.changed()
	}
}
