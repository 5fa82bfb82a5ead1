package phonehome_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/source/phonehome"
	"github.com/landfall-edge/landfall/internal/source/phonehome/auth"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

const token = "a-token"

// world is a source and its clock, with nobody behind it: each change is served
// as soon as it is made.
type world struct {
	t      testing.TB
	config phonehome.Config
	*phonehome.Source
	end func()

	mu    sync.Mutex
	now   time.Time
	turns int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	sum := sha256.Sum256([]byte(token))
	w := &world{t: t, now: time.Now(), end: func() {}}
	w.config = phonehome.Config{
		Name: "homes", Listen: fmt.Sprintf("127.0.0.1:%d", testnet.FreePort(t)),
		StateFile: filepath.Join(t.TempDir(), "phonehome", "homes.jsonl"),
		Clients: []phonehome.Client{{
			Client:    auth.Client{Name: "a", SHA256: hex.EncodeToString(sum[:])},
			Allowance: registry.Allowance{Ports: []registry.Range{{First: 8000, Last: 8999}}},
		}},
		Now: w.time, Logger: slog.New(slog.DiscardHandler),
	}
	t.Cleanup(func() { w.end() })
	return w
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) jump(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) start() {
	w.t.Helper()
	s, err := phonehome.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Source = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx, func() {
			w.mu.Lock()
			w.turns++
			w.mu.Unlock()
			_, _ = s.Read(ctx)
			s.Report(ctx, nil, nil)
			s.Turned()
		})
	}()
	w.end = func() {
		w.end = func() {}
		cancel()
		<-ended
	}
	testwait.Until(w.t, "it is there", func() bool {
		_, err := s.Read(ctx)
		return err == nil
	})
}

func (w *world) put(name, address, more string) int {
	body := fmt.Sprintf(`{"address":%q,%s"ports":[{"port":8443,"targetPort":30843}]}`, address, more)
	r := httptest.NewRequest(http.MethodPut, "/v1/registrations/"+name, strings.NewReader(body))
	r.RemoteAddr = "203.0.113.9:1234"
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	return answer.Code
}

// states tells all registrations in short.
func (w *world) states() string {
	var all []string
	for _, r := range w.Registrations() {
		left := "never"
		if !r.Expires.IsZero() {
			left = r.Expires.Sub(w.time()).Round(time.Second).String()
		}
		all = append(all, fmt.Sprint(r.Name, " ", r.State, " ", left))
	}
	return strings.Join(all, ", ")
}

// restart ends the source, lets time go by and starts it again.
func (w *world) restart(d time.Duration, want string) {
	w.t.Helper()
	w.end()
	w.jump(d)
	w.start()
	if got := w.states(); got != want {
		w.t.Errorf("after %s: %s; want %s", d, got, want)
	}
}

func TestKept(t *testing.T) {
	w := newWorld(t)
	w.start()
	for name, lease := range map[string]string{"long": `"leaseSeconds":900,`, "short": `"leaseSeconds":60,`} {
		if code := w.put(name, "203.0.113.1", lease); code != http.StatusCreated {
			t.Fatal(code)
		}
	}
	w.restart(30*time.Second, "long live 14m30s, short live 30s")
	w.put("short", "203.0.113.1", `"leaseSeconds":60,`) // renewals are kept at the end, too
	w.restart(40*time.Second, "long live 13m50s, short live 20s")
	w.restart(20*time.Minute, "long late 0s, short late 0s") // ended meanwhile: a grace
	w.put("long", "203.0.113.1", `"leaseSeconds":900,`)
	w.restart(-20*time.Minute, "long live 15m0s, short live 1m0s") // the clock went back: no lease is longer than it was
}

func TestWithdrawn(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.put("shop", "203.0.113.1", "")
	w.end()
	w.config.Clients[0].Ports = []registry.Range{{First: 9000, Last: 9000}}
	w.restart(0, "")
}

// TestDamaged: what cannot be read is put aside and told of, and new calls count.
func TestDamaged(t *testing.T) {
	for what, text := range map[string]string{
		"no address":      `{"k":"version","v":1}` + "\n" + `{"k":"registration a b  0","v":{"client":"a","name":"b"}}`,
		"another key":     `{"k":"version","v":1}` + "\n" + `{"k":"x","v":{}}`,
		"another version": `{"k":"version","v":7}`,
		"nothing":         "\x00\x00",
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			if err := os.MkdirAll(filepath.Dir(w.config.StateFile), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(w.config.StateFile, []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			w.start()
			f, err := w.Read(t.Context())
			if err != nil || len(f.Findings) != 1 || f.Findings[0].Reason != "KeptStateDamaged" {
				t.Errorf("%v %v", f.Findings, err)
			}
			if kept, err := os.ReadFile(w.config.StateFile + ".damaged"); err != nil || !bytes.HasPrefix(kept, []byte(text)) {
				t.Errorf("%q %v", kept, err)
			}
			w.put("shop", "203.0.113.1", "")
			w.restart(0, "shop live 1m30s")
		})
	}
}

// TestListenAgain: a port that somebody else has is told of, and taken when it is
// free; what is registered is served meanwhile.
func TestListenAgain(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.put("shop", "203.0.113.1", "")
	w.end()
	other := testnet.Serve(t, w.config.Listen, testnet.Text("other"))
	s, err := phonehome.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx, func() {})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	testwait.Until(t, "it is told", func() bool {
		f, err := s.Read(ctx)
		return err != nil && strings.Contains(err.Error(), "address already in use") && len(f.Parts) == 1
	})
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "it listens", func() bool {
		_, err := s.Read(ctx)
		return err == nil
	})
}

// BenchmarkCall is a renewal as it comes in, but for the network, among 10,000
// registrations on 200 ports.
func BenchmarkCall(b *testing.B) {
	w := newWorld(b)
	w.start()
	const many = 10_000
	request := func(i int) *http.Request {
		body := fmt.Sprintf(`{"address":"203.0.%d.%d","intervalSeconds":60,"ports":[{"port":%d,"targetPort":30843}]}`, i>>8, i&255, 8000+i%200)
		r := httptest.NewRequest(http.MethodPut, fmt.Sprintf("/v1/registrations/n%d", i%200), strings.NewReader(body))
		r.RemoteAddr = "203.0.113.9:1234"
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	var wg sync.WaitGroup
	for part := range 100 { // each waits until it is served
		wg.Go(func() {
			for i := part; i < many; i += 100 {
				for code := 0; code != http.StatusCreated; { // until the rate allows it
					answer := httptest.NewRecorder()
					w.ServeHTTP(answer, request(i))
					w.jump(time.Millisecond)
					code = answer.Code
				}
			}
		})
	}
	wg.Wait()
	w.mu.Lock()
	turns := w.turns
	w.mu.Unlock()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		r := request(i % many)
		b.StartTimer()
		w.ServeHTTP(httptest.NewRecorder(), r)
	}
	b.StopTimer()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turns != turns {
		b.Errorf("%d turns for renewals", w.turns-turns)
	}
}
