package phonehome_test

import (
	"context"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/phonehome"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// In a bubble of synctest the agent's clock stands while a call is under way, and
// the peer, which is outside, answers over a real connection.

const put = `PUT /v1/registrations/shop {"leaseSeconds":90,"intervalSeconds":30,"ports":[{"port":8443,"targetPort":30843,"protocol":"tcp"}]}`

// TestLife: told at once, again before each lease ends, and taken back at the end.
func TestLife(t *testing.T) {
	p := newPeer(t, false)
	synctest.Test(t, func(t *testing.T) {
		a := start(t, settings(p.URL), phonehome.Options{})
		time.Sleep(82 * time.Second) // 0, 27, 54, 81
		a.end()
		want := []string{put, put, put, put, "DELETE /v1/registrations/shop?address=203.0.113.7"}
		if diff := cmp.Diff(want, p.texts()); diff != "" {
			t.Error(diff)
		}
		for _, c := range p.all() {
			if c.token != secret {
				t.Errorf("%s came with the token %q", c, c.token)
			}
		}
		wantLog := []string{
			`level=WARN msg="the token is sent without TLS; use https:// if others can listen in"`,
			`level=INFO msg=registered address=203.0.113.7`,
			`level=INFO msg="taken back" address=203.0.113.7`,
		}
		if diff := cmp.Diff(wantLog, a.log.lines()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestKeep: what was told stays when the agent is to keep it.
func TestKeep(t *testing.T) {
	p := newPeer(t, false)
	synctest.Test(t, func(t *testing.T) {
		a := start(t, settings(p.URL), phonehome.Options{Keep: true})
		time.Sleep(time.Second)
		a.end()
	})
	if diff := cmp.Diff([]string{put}, p.texts()); diff != "" {
		t.Error(diff)
	}
}

// TestOldForm: an edge that takes hooks is told in them, at the address that it is
// given or that the edge sees.
func TestOldForm(t *testing.T) {
	p := newPeer(t, false)
	url := p.URL + "/hooks/update-haproxy"
	hook := func(action, address string) string {
		return `POST /hooks/update-haproxy {"dst-ip":"` + address + `","frontend-port":"8443","backend-port":"30843","action":"` + action +
			`","name":"shop","send-proxy":"send-proxy-v2"}`
	}
	synctest.Test(t, func(t *testing.T) {
		environment := map[string]string{
			"WEBHOOK": url, "NAME": "shop", "FRONTEND_PORT": "8443", "BACKEND_PORT": "30843",
			"REPEAT_INTERVAL": "600", "SEND_PROXY": "send-proxy-v2",
		}
		s, err := phonehome.Settings{}.WithEnvironment(func(name string) string { return environment[name] })
		if err != nil {
			t.Fatal(err)
		}
		a := start(t, s, phonehome.Options{})
		time.Sleep(time.Second)
		a.end()
		environment["HOST_IP"] = "198.51.100.9"
		s, _ = phonehome.Settings{}.WithEnvironment(func(name string) string { return environment[name] })
		a = start(t, s, phonehome.Options{})
		time.Sleep(541 * time.Second)
		a.end()
	})
	want := []string{
		"GET /v1/whoami", hook("add", "203.0.113.7"), hook("delete", "203.0.113.7"),
		hook("add", "198.51.100.9"), hook("add", "198.51.100.9"), hook("delete", "198.51.100.9"),
	}
	if diff := cmp.Diff(want, p.texts()); diff != "" {
		t.Error(diff)
	}
	for _, c := range p.all() {
		if c.token != secret {
			t.Errorf("%s came with the token %q", c, c.token)
		}
	}
}

// TestOldFormRefused: a wrong token is answered 200 there, and another server than an
// edge does not say which address it sees.
func TestOldFormRefused(t *testing.T) {
	p := newPeer(t, false)
	s := settings(p.URL + "/hooks/update-haproxy")
	s.Address, s.Interval = "203.0.113.7", "once"
	p.status(http.StatusOK, "Hook rules were not satisfied.")
	a, _ := makeAgent(t, s, phonehome.Options{})
	if err := a.Once(t.Context()); err == nil || !strings.Contains(err.Error(), "does not accept the token") {
		t.Errorf("a wrong token: %v", err)
	}
	s.Address = ""
	p.status(http.StatusNotFound, "Hook not found.")
	a, _ = makeAgent(t, s, phonehome.Options{})
	if err := a.Once(t.Context()); err == nil || !strings.Contains(err.Error(), "set HOST_IP or --address") {
		t.Errorf("no address: %v", err)
	}
}

// TestBackoff: an edge that fails is asked at growing intervals, and the log says so
// once; when it is back, so does the log.
func TestBackoff(t *testing.T) {
	p := newPeer(t, false)
	synctest.Test(t, func(t *testing.T) {
		p.status(http.StatusInternalServerError, "out of order, "+secret)
		a := start(t, settings(p.URL), phonehome.Options{})
		time.Sleep(5*time.Minute + time.Second)
		// 0, then 0.75 s, 1.5, 3, 6, 12 and from then on each 22.5 s.
		if n := len(p.all()); n != 18 {
			t.Errorf("%d calls in five minutes, want 18", n)
		}
		if n, lines := a.Live(time.Now()); n != 0 {
			t.Errorf("live: %v", lines)
		}
		p.be(nil)
		time.Sleep(30 * time.Second)
		if n, lines := a.Live(time.Now()); n != 1 {
			t.Errorf("not live: %v", lines)
		}
		a.end()
		want := []string{
			`level=WARN msg="not registered" reason="answers 500: out of order, [token]"`,
			`level=INFO msg=registered address=203.0.113.7`,
			`level=INFO msg="taken back" address=203.0.113.7`,
		}
		if diff := cmp.Diff(want, a.log.lines()[1:]); diff != "" {
			t.Error(diff)
		}
	})
}

// TestRetryAfter: an edge that asks for silence gets it, even when there is news.
func TestRetryAfter(t *testing.T) {
	p := newPeer(t, false)
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, secret)
	synctest.Test(t, func(t *testing.T) {
		p.be(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "300")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		})
		a := start(t, settings(p.URL), phonehome.Options{TokenFile: file})
		time.Sleep(100 * time.Second)
		write(t, file, "another")
		time.Sleep(199 * time.Second)
		if n := len(p.all()); n != 1 {
			t.Errorf("%d calls within Retry-After, want 1", n)
		}
		time.Sleep(40 * time.Second)
		if n := len(p.all()); n != 2 {
			t.Errorf("%d calls after Retry-After, want 2", n)
		}
		a.end()
	})
}

// TestToken: a new token is used at once; one that is lost for a moment is used on.
func TestToken(t *testing.T) {
	p := newPeer(t, false)
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "first\n")
	tokens := func() (all []string) {
		for _, c := range p.all() {
			all = append(all, c.token)
		}
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		s := settings(p.URL)
		s.Interval = "1h"
		a := start(t, s, phonehome.Options{TokenFile: file})
		time.Sleep(time.Minute)
		write(t, file, "second\r\n")
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff([]string{"first", "second"}, tokens()); diff != "" {
			t.Fatal(diff)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if diff := cmp.Diff([]string{"first", "second", "second"}, tokens()); diff != "" {
			t.Fatal(diff)
		}
		if log := a.log.String(); !strings.Contains(log, "the last one is used on") {
			t.Errorf("the log does not say that the file is gone:\n%s", log)
		}
		a.end()
	})
}

// TestAddressSeen: an address that the edge sees changes with a renewal, and what was
// announced for the one before is taken back.
func TestAddressSeen(t *testing.T) {
	p := newPeer(t, false)
	synctest.Test(t, func(t *testing.T) {
		a := start(t, settings(p.URL), phonehome.Options{})
		time.Sleep(time.Second)
		p.see("203.0.113.8")
		time.Sleep(30 * time.Second)
		want := []string{put, put, "DELETE /v1/registrations/shop?address=203.0.113.7"}
		if diff := cmp.Diff(want, p.texts()); diff != "" {
			t.Error(diff)
		}
		a.end()
		p.awaitCall(t, "DELETE /v1/registrations/shop?address=203.0.113.8")
		if log := a.log.String(); !strings.Contains(log, `msg="registered with another address" address=203.0.113.8 before=203.0.113.7`) {
			t.Errorf("the log does not tell of the address:\n%s", log)
		}
	})
}

// TestNotServed: a port that somebody else has is told once, and again when it is had.
func TestNotServed(t *testing.T) {
	p := newPeer(t, false)
	synctest.Test(t, func(t *testing.T) {
		p.be(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut {
				return false
			}
			answer(w, map[string]any{"address": "203.0.113.7", "leaseSeconds": 90, "ports": []any{map[string]any{
				"port": 8443, "targetPort": 30843, "protocol": "tcp", "served": false, "reason": "PortTaken", "message": "cluster-b has it",
			}}})
			return true
		})
		a := start(t, settings(p.URL), phonehome.Options{})
		time.Sleep(time.Minute)
		p.be(nil)
		time.Sleep(time.Minute)
		a.end()
		want := []string{
			`level=INFO msg=registered address=203.0.113.7`,
			`level=WARN msg="registered, but" reason="8443=30843 is not served: PortTaken: cluster-b has it"`,
			`level=INFO msg="registered in full"`,
			`level=INFO msg="taken back" address=203.0.113.7`,
		}
		if diff := cmp.Diff(want, a.log.lines()[1:]); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTwoEdges: one that hangs and one that is not there delay neither the third nor
// the end.
func TestTwoEdges(t *testing.T) {
	p := newPeer(t, false)
	gone := httptest.NewServer(nil)
	gone.Close()
	s := settings(hang(t), p.URL, gone.URL)
	s.Interval = "1s"
	a := start(t, s, phonehome.Options{Grace: 500 * time.Millisecond})
	testwait.Until(t, "three announcements", func() bool { return len(p.all()) >= 3 })
	if n, lines := a.Live(time.Now()); n != 1 || !strings.Contains(lines[0], "not told yet") || !strings.Contains(lines[2], "connection refused") {
		t.Errorf("%d live: %q", n, lines)
	}
	a.end()
	p.awaitCall(t, "DELETE ")
}

// TestEndWaits: a call that is under way at the end reaches the edge before what takes
// it back.
func TestEndWaits(t *testing.T) {
	p := newPeer(t, false)
	reached, goOn := make(chan bool), make(chan bool)
	p.be(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			reached <- true
			<-goOn
		}
		return false
	})
	a := start(t, settings(p.URL), phonehome.Options{})
	<-reached
	ended := make(chan bool)
	go func() { a.end(); close(ended) }()
	if slices.ContainsFunc(p.texts(), func(c string) bool { return strings.HasPrefix(c, "DELETE") }) {
		t.Error("taken back while it was announced")
	}
	close(goOn)
	<-ended
	if diff := cmp.Diff([]string{put, "DELETE /v1/registrations/shop?address=203.0.113.7"}, p.texts()); diff != "" {
		t.Error(diff)
	}
}

// TestRefused: what an edge refuses is not taken back either.
func TestRefused(t *testing.T) {
	p := newPeer(t, false)
	p.be(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		answer(w, map[string]any{"title": "Forbidden", "detail": "port 8443 is not yours", "errors": []any{
			map[string]any{"pointer": "#/ports/0/port", "detail": "cluster-a may take 443"},
		}})
		return true
	})
	a := start(t, settings(p.URL), phonehome.Options{})
	const want = `reason="refuses with 403: port 8443 is not yours; #/ports/0/port cluster-a may take 443"`
	testwait.Until(t, "a refusal in the log", func() bool { return strings.Contains(a.log.String(), want) })
	a.end()
	if slices.ContainsFunc(p.texts(), func(c string) bool { return strings.HasPrefix(c, "DELETE") }) {
		t.Error("took back what was never taken")
	}
}

// TestOnce and delete: every edge is told, and it is an error if none took it.
func TestOnce(t *testing.T) {
	one, other := newPeer(t, false), newPeer(t, false)
	other.status(http.StatusForbidden, "no")
	s := settings(one.URL, other.URL)
	s.Interval = "once"
	a, log := makeAgent(t, s, phonehome.Options{})
	if err := a.Once(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "refuses with 403: no") {
		t.Errorf("the log does not tell of the other edge:\n%s", log)
	}
	if err := a.TakeBack(t.Context()); err == nil || !strings.Contains(err.Error(), other.URL) {
		t.Errorf("an edge that does not take it back: %v", err)
	}
	want := []string{
		`PUT /v1/registrations/shop {"leaseSeconds":86400,"ports":[{"port":8443,"targetPort":30843,"protocol":"tcp"}]}`,
		"DELETE /v1/registrations/shop?address=203.0.113.7",
	}
	if diff := cmp.Diff(want, one.texts()); diff != "" {
		t.Error(diff)
	}
	// Another process takes back what this one told: it has to ask for the address.
	a, _ = makeAgent(t, settings(one.URL), phonehome.Options{})
	if err := a.TakeBack(t.Context()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(append(want, "GET /v1/whoami", want[1]), one.texts()); diff != "" {
		t.Error(diff)
	}
	one.status(http.StatusForbidden, "no")
	a, _ = makeAgent(t, s, phonehome.Options{})
	if err := a.Once(t.Context()); err == nil {
		t.Error("no edge took it, and that is no error")
	}
}

// TestRedirect: a redirect gets neither the request nor the token.
func TestRedirect(t *testing.T) {
	elsewhere, p := newPeer(t, false), newPeer(t, false)
	p.be(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, elsewhere.URL+"/?"+secret, http.StatusTemporaryRedirect)
		return true
	})
	s := settings(p.URL)
	s.Interval = "once"
	a, _ := makeAgent(t, s, phonehome.Options{})
	err := a.Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "answers 307, go to "+elsewhere.URL+"/?[token]; a redirect is not followed") {
		t.Error(err)
	}
	if calls := elsewhere.all(); len(calls) > 0 {
		t.Errorf("the redirect was followed: %v", calls)
	}
}

// TestGarbage: what is no answer of an edge is told as such, bounded and in one line.
func TestGarbage(t *testing.T) {
	p := newPeer(t, false)
	for name, instead := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"a page": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte("<html>\x1b[2J\nhello"))
			return true
		},
		"a lot": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write(make([]byte, 4<<20)); return true },
		"no address": func(w http.ResponseWriter, _ *http.Request) bool {
			answer(w, map[string]any{"leaseSeconds": 1e9})
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			p.be(instead)
			a := start(t, settings(p.URL), phonehome.Options{Grace: 50 * time.Millisecond})
			testwait.Until(t, "a line in the log", func() bool { return strings.Contains(a.log.String(), "not as an edge does") })
			a.end()
			if log := a.log.String(); strings.Contains(log, "\x1b") || len(log) > 2000 {
				t.Errorf("the log is not fit to be read: %q", log)
			}
		})
	}
}

// TestTLS: the CA file is what counts, and is read again; each mistake has a name.
func TestTLS(t *testing.T) {
	p := newPeer(t, true)
	dir := t.TempDir()
	right, wrong := filepath.Join(dir, "right.pem"), filepath.Join(dir, "wrong.pem")
	write(t, right, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})))
	write(t, wrong, otherCA)
	once := func(url, ca string) error {
		t.Helper()
		s := settings(url)
		s.Interval = "once"
		a, _ := makeAgent(t, s, phonehome.Options{CAFile: ca})
		return a.Once(t.Context())
	}
	if err := once(p.URL, right); err != nil {
		t.Error(err)
	}
	plainText := newPeer(t, false)
	for what, c := range map[string]struct{ url, ca, want string }{
		"another CA":      {p.URL, wrong, "no authority in " + wrong + " has signed: give the file of its CA with --ca-file"},
		"no CA":           {p.URL, "", "no authority of this machine has signed"},
		"another name":    {strings.Replace(p.URL, "127.0.0.1", "localhost", 1), right, "certificate for another name"},
		"no TLS there":    {strings.Replace(plainText.URL, "http:", "https:", 1), right, "should the URL begin with http://?"},
		"TLS, and no TLS": {strings.Replace(p.URL, "https:", "http:", 1), "", "Client sent an HTTP request to an HTTPS server"},
	} {
		t.Run(what, func(t *testing.T) {
			if err := once(c.url, c.ca); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
	none := filepath.Join(dir, "none.pem")
	write(t, none, "this is no certificate")
	config, err := settings(p.URL).Config()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := phonehome.New(config, phonehome.Options{CAFile: none, Token: secret, Log: slog.New(slog.DiscardHandler)}); err == nil ||
		!strings.Contains(err.Error(), "--ca-file: read CA file: "+none+" holds no certificate") {
		t.Error(err)
	}
	s := settings(p.URL)
	s.Interval = "1s"
	a := start(t, s, phonehome.Options{CAFile: wrong})
	testwait.Until(t, "a refusal", func() bool { return strings.Contains(a.log.String(), "not registered") })
	data, err := os.ReadFile(right)
	if err != nil {
		t.Fatal(err)
	}
	write(t, wrong, string(data))
	testwait.Until(t, "a registration", func() bool { n, _ := a.Live(time.Now()); return n == 1 })
	a.end()
}

// TestHealth: healthy is who holds a registration; alive is who answers.
func TestHealth(t *testing.T) {
	p := newPeer(t, false)
	probe := func(a *started, path string) int {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s tells the token", path)
		}
		return w.Code
	}
	synctest.Test(t, func(t *testing.T) {
		p.status(http.StatusServiceUnavailable, "later")
		a := start(t, settings(p.URL), phonehome.Options{})
		check := func(when string, want int) {
			t.Helper()
			if got, alive := probe(a, "/healthz"), probe(a, "/livez"); got != want || alive != http.StatusOK {
				t.Errorf("%s: /healthz %d, /livez %d, want %d, 200", when, got, alive, want)
			}
		}
		time.Sleep(time.Second)
		check("not taken yet", http.StatusServiceUnavailable)
		p.be(nil)
		time.Sleep(30 * time.Second)
		check("registered", http.StatusOK)
		p.status(http.StatusServiceUnavailable, "later")
		time.Sleep(60 * time.Second)
		check("within the lease", http.StatusOK)
		time.Sleep(60 * time.Second)
		check("after the lease", http.StatusServiceUnavailable)
		p.be(nil)
		a.end()
	})
}

// TestHealthPort: a port that is held is told before an edge is.
func TestHealthPort(t *testing.T) {
	p := newPeer(t, false)
	a, _ := makeAgent(t, settings(p.URL), phonehome.Options{Health: strings.TrimPrefix(p.URL, "http://")})
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--health") || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if calls := p.all(); len(calls) > 0 {
		t.Errorf("told: %v", calls)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// otherCA is an authority that has signed nothing here.
const otherCA = `-----BEGIN CERTIFICATE-----
MIIBiDCCAS2gAwIBAgIUcOla3WhjX7zKZjhftHj6A94eoJ0wCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNU29tZWJvZHkgZWxzZTAgFw0yNjExMjExNjQ0MThaGA8yMTI2
MTAyODE2NDQxOFowGDEWMBQGA1UEAwwNU29tZWJvZHkgZWxzZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABIp7P30qQs5/RgAo9VYygLcdu4RCZIm7TA1YGo3now65
OUHLEi0hhguxIREj67NBg942cZ2F06Pja6nm4XTm6RCjUzBRMB0GA1UdDgQWBBQO
KuFMHn7lZtKcicNHC4fY4KubAjAfBgNVHSMEGDAWgBQOKuFMHn7lZtKcicNHC4fY
4KubAjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQDqrCwyjusv
UindR1XF21e1xff2skRxPqdrKZsu6rtEMAIhAO9onIyUhmsaR3i0tqYBbQzDQCLX
EClOZ4KHjuLIHlBY
-----END CERTIFICATE-----
`
