package phonehome

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// lookEvery is how often token and address are looked at.
	lookEvery = time.Second
	// onceFor is how long edges are tried that are told only once.
	onceFor = time.Minute
)

// Options are what an agent needs besides what it tells.
type Options struct {
	TokenFile, Token string // one of them
	CAFile           string // empty: the authorities of this machine
	Health           string // where to answer probes; empty: nowhere
	Grace            time.Duration
	Keep             bool // what was told stays at the end, until its lease ends
	Version          string
	Log              *slog.Logger
	Random           func() float64 // in [0, 1)
}

// Agent tells edges where a workload is.
type Agent struct {
	config  Config
	options Options
	token   *token
	tellers []*teller
}

// New checks that token and CA can be read.
func New(c Config, o Options) (*Agent, error) {
	a := &Agent{config: c, options: o, token: &token{file: o.TokenFile}}
	if o.TokenFile == "" {
		text, err := checkToken(o.Token)
		if err != nil {
			return nil, fmt.Errorf("no token: give --token-file, or set WEBHOOK_TOKEN: %w", err)
		}
		a.token.last = text
	} else if _, err := a.token.read(); err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	for _, e := range c.Edges {
		t := &teller{
			config: c, edge: e, token: a.token, log: o.Log.With("edge", e.URL), random: o.Random,
			caller: caller{caFile: o.CAFile, agent: "landfall/" + o.Version, sessions: tls.NewLRUClientSessionCache(1)},
			wake:   make(chan struct{}, 1),
		}
		if _, err := t.caller.transport(); err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		if strings.HasPrefix(e.URL, "http://") {
			t.log.Warn("the token is sent without TLS; use https:// if others can listen in")
		}
		a.tellers = append(a.tellers, t)
	}
	return a, nil
}

// Run tells every edge, on a schedule of its own, until ctx is done, and then takes
// back what it told, within Options.Grace, unless it is to keep it.
func (a *Agent) Run(ctx context.Context) error {
	closeHealth, err := a.serveHealth(ctx)
	if err != nil {
		return err
	}
	defer closeHealth()
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(a.options.Grace, cancel) })
	defer stop()

	var group sync.WaitGroup
	for _, t := range a.tellers {
		group.Go(func() {
			t.run(ctx, hard)
			if t.held && !a.options.Keep {
				_ = t.takeBack(hard) // logged, and the lease ends it
			}
		})
	}
	group.Go(func() { a.watch(ctx) })
	group.Wait()
	return nil
}

// Once tells every edge once, and tries again for a minute where that goes wrong.
// It is an error if no edge took it.
func (a *Agent) Once(ctx context.Context) error {
	errs := a.each(ctx, (*teller).tryOnce)
	if len(errs) < len(a.tellers) {
		return nil // the others are in the log
	}
	return errors.Join(errs...)
}

// TakeBack ends what another agent of the same settings announced.
func (a *Agent) TakeBack(ctx context.Context) error {
	return errors.Join(a.each(ctx, (*teller).takeBack)...)
}

// each does the same for all edges at once, and returns what went wrong.
func (a *Agent) each(ctx context.Context, do func(*teller, context.Context) error) []error {
	ctx, cancel := context.WithTimeout(ctx, onceFor)
	defer cancel()
	var group sync.WaitGroup
	results := make([]error, len(a.tellers))
	for i, t := range a.tellers {
		group.Go(func() { results[i] = do(t, ctx) })
	}
	group.Wait()
	var errs []error
	for _, err := range results {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// watch has the edges told at once when the token or our address has changed.
func (a *Agent) watch(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	used, _ := a.token.read()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		token, _ := a.token.read() // a teller says what is wrong with it
		for _, t := range a.tellers {
			if token == used && !t.moved(ctx) {
				continue
			}
			select {
			case t.wake <- struct{}{}:
			default: // it is going to
			}
		}
		used = token
	}
}

// moved reports whether calls would come from another address than a moment ago. It
// says so once: an edge that does not answer to the new one is not asked at every look.
func (t *teller) moved(ctx context.Context) bool {
	used := t.state().line
	if t.config.Address.IsValid() || !used.peer.IsValid() {
		return false
	}
	local, err := localTo(ctx, used.peer)
	if err != nil {
		return false // there is none at the moment
	}
	before := t.local
	if !before.IsValid() {
		before = used.local.Addr()
	}
	t.local = local
	return local != before
}

// Live returns the edges that hold a registration whose lease goes on, and a line
// for every edge.
func (a *Agent) Live(now time.Time) (live int, lines []string) {
	for _, t := range a.tellers {
		s := t.state()
		line := "not told yet"
		if s.until.After(now) {
			live++
			line = fmt.Sprintf("registered with %s until %s", s.address, s.until.UTC().Format(time.RFC3339))
		} else if s.address.IsValid() {
			line = "the lease has ended"
		}
		if s.wrong != "" {
			line += "; " + s.wrong
		}
		for _, n := range s.notes {
			line += "; " + n
		}
		lines = append(lines, t.edge.URL+": "+line)
	}
	return live, lines
}

// Handler answers probes: /healthz is good while at least one edge holds a
// registration of ours, /livez while the process answers.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		live, lines := a.Live(time.Now())
		if live == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = fmt.Fprintln(w, strings.Join(lines, "\n"))
	})
	return mux
}

func (a *Agent) serveHealth(ctx context.Context) (func(), error) {
	if a.options.Health == "" {
		return func() {}, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.options.Health)
	if err != nil {
		return nil, fmt.Errorf("--health: %w", err)
	}
	server := &http.Server{
		Handler: a.Handler(), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(a.options.Log.Handler(), slog.LevelDebug),
	}
	go func() { _ = server.Serve(l) }()
	return func() { _ = server.Close() }, nil
}
