package phonehome_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/phonehome"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// secret is the token; it must never be in a log.
const secret = "s3cr3t-token-of-cluster-a"

// call is what reached a peer.
type call struct {
	method, path, token string
	body                string
}

func (c call) String() string { return strings.TrimSpace(c.method + " " + c.path + " " + c.body) }

// peer is the other end of the protocol: it takes what an edge takes, answers as one
// does, and remembers. A test may answer instead of it.
type peer struct {
	*httptest.Server

	mu      sync.Mutex
	calls   []call
	address string
	instead func(w http.ResponseWriter, r *http.Request) bool
}

func newPeer(t *testing.T, tls bool) *peer {
	t.Helper()
	p := &peer{address: "203.0.113.7"}
	p.Server = httptest.NewUnstartedServer(p)
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if tls {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	token := r.Header.Get("X-Funkypenguin-Token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		token = bearer
	}
	p.mu.Lock()
	p.calls = append(p.calls, call{r.Method, r.URL.RequestURI(), token, string(body)})
	instead, address := p.instead, p.address
	p.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	if instead != nil && instead(w, r) {
		return
	}
	if strings.HasPrefix(r.URL.Path, "/hooks/") {
		return // 200, and nothing
	}
	switch r.Method {
	case http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case http.MethodGet:
		answer(w, map[string]any{"client": "a", "address": address})
	case http.MethodPut:
		var asked struct {
			Address      string
			LeaseSeconds int
		}
		_ = json.Unmarshal(body, &asked)
		if asked.Address != "" {
			address = asked.Address
		}
		answer(w, map[string]any{"client": "a", "name": "shop", "address": address, "leaseSeconds": asked.LeaseSeconds})
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// be has the peer answer otherwise from now on; nil is as usual.
func (p *peer) be(instead func(w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.instead = instead
}

func (p *peer) see(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address = address
}

// status has the peer answer with a status and text, whatever it is asked.
func (p *peer) status(code int, text string) {
	p.be(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
		return true
	})
}

func (p *peer) all() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// texts are all calls, one string each.
func (p *peer) texts() []string {
	var all []string
	for _, c := range p.all() {
		all = append(all, c.String())
	}
	return all
}

// logged is the log of an agent, for people.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines are the messages without what is said of the edge.
func (l *logged) lines() []string { return strings.Split(strings.TrimSpace(l.String()), "\n") }

// started is an agent that runs.
type started struct {
	*phonehome.Agent

	log *logged
	end func() // as SIGTERM does, and waits
}

func settings(edges ...string) phonehome.Settings {
	return phonehome.Settings{Edges: edges, Name: "shop", Ports: []string{"8443=30843"}}
}

// make makes an agent whose log must never hold the token.
func makeAgent(t *testing.T, s phonehome.Settings, o phonehome.Options) (*phonehome.Agent, *logged) {
	t.Helper()
	config, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "edge" {
			return slog.Attr{}
		}
		return a
	}}))
	o.Random = func() float64 { return 0.5 }
	if o.Token == "" && o.TokenFile == "" {
		o.Token = secret
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
	agent, err := phonehome.New(config, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the token is in the log:\n%s", log)
		}
	})
	return agent, log
}

func start(t *testing.T, s phonehome.Settings, o phonehome.Options) *started {
	t.Helper()
	agent, log := makeAgent(t, s, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- agent.Run(ctx) }()
	a := &started{Agent: agent, log: log, end: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})}
	return a
}

// awaitCall waits until a call reached the peer whose text contains a text.
func (p *peer) awaitCall(t *testing.T, text string) {
	t.Helper()
	testwait.UntilSeen(t, text, func() (bool, string) {
		all := p.texts()
		return slices.ContainsFunc(all, func(c string) bool { return strings.Contains(c, text) }), strings.Join(all, "\n")
	})
}

// hang is a listener that takes connections and never says a word.
func hang(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return "http://" + l.Addr().String()
}
