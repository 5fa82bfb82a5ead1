package phonehome_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestOldForm calls as containers do that know nothing of this program.
func TestOldForm(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := newEdge(t)
	serve(t, "203.0.113.1:30843", "one")
	two := serve(t, "203.0.113.2:30843", "two")

	t.Run("answers to the letter", func(t *testing.T) {
		const hook = base + "/hooks/update-haproxy"
		for _, tt := range []struct {
			args []string
			want string
		}{
			{[]string{base + "/"}, "OK|200"},
			{[]string{hook}, "Hook rules were not satisfied.|200"},
			{[]string{"-X", "POST", "-H", "X-Funkypenguin-Token: wrong", "-d", "{}", hook}, "Hook rules were not satisfied.|200"},
			{[]string{"-X", "POST", "-d", "{}", hook}, "Hook rules were not satisfied.|200"},
			{[]string{"-H", "X-Funkypenguin-Token: " + tokenA, hook}, "|200"},
			{[]string{base + "/hooks/other"}, "Hook not found.|404"},
		} {
			if got := curl(t, tt.args...); got != tt.want {
				t.Errorf("curl %v: %q, want %q", tt.args, got, tt.want)
			}
		}
	})
	t.Run("add", func(t *testing.T) {
		if got := oldCall(t, tokenA, "203.0.113.1", 8443, 30843, "add", "unifi", ""); got != "|200" {
			t.Errorf("got %q", got)
		}
		answers(t, 8443, "", "one")
	})
	t.Run("a wrong token changes nothing", func(t *testing.T) {
		if got := oldCall(t, "wrong", "203.0.113.2", 8443, 30843, "add", "unifi", ""); got != "Hook rules were not satisfied.|200" {
			t.Errorf("got %q", got)
		}
		if n := len(e.registrations(t)); n != 1 {
			t.Errorf("%d registrations", n)
		}
	})
	t.Run("the same again is no news", func(t *testing.T) {
		reloads, changes := e.reloads(t), len(e.app.Status(t.Context()).Changes)
		for range 5 {
			oldCall(t, tokenA, "203.0.113.1", 8443, 30843, "add", "unifi", "")
		}
		if s := e.app.Status(t.Context()); s.HAProxy.Reloads != reloads || len(s.Changes) != changes {
			t.Errorf("%d reloads, %v", s.HAProxy.Reloads-reloads, s.Changes)
		}
	})
	t.Run("a second address is a second endpoint, without a reload", func(t *testing.T) {
		reloads := e.reloads(t)
		oldCall(t, tokenA, "203.0.113.2", 8443, 30843, "add", "unifi", "")
		answers(t, 8443, "", "two")
		answers(t, 8443, "", "one")
		if got := e.reloads(t); got != reloads {
			t.Errorf("%d reloads", got-reloads)
		}
	})
	t.Run("the older address goes when nobody answers there", func(t *testing.T) {
		serve(t, "203.0.113.3:30843", "three")
		oldCall(t, tokenA, "203.0.113.3", 8443, 30843, "add", "unifi", "")
		two.Close()
		testwait.UntilSeen(t, "203.0.113.2 is gone", func() (bool, string) {
			text := fmt.Sprint(e.registrations(t))
			return !strings.Contains(text, "203.0.113.2"), text
		})
		answers(t, 8443, "", "three")
	})
	t.Run("delete", func(t *testing.T) {
		oldCall(t, tokenA, "203.0.113.3", 8443, 30843, "delete", "unifi", "")
		oldCall(t, tokenA, "203.0.113.3", 8443, 30843, "delete", "unifi", "") // replayed
		testwait.Until(t, "203.0.113.3 is gone", func() bool { return !strings.Contains(fmt.Sprint(e.registrations(t)), "203.0.113.3") })
		answers(t, 8443, "", "one")
		oldCall(t, tokenA, "203.0.113.1", 8443, 30843, "delete", "unifi", "")
		silent(t, 8443)
	})
	e.neighbour(t)
}

// TestOldFormBadInput: each is answered as the old server would, does nothing, and
// can be read in the status of the edge.
func TestOldFormBadInput(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := newEdge(t)
	for _, tt := range []struct {
		what, ip, front, back, action, name, finding string
	}{
		{"port as text", "203.0.113.1", "http", "30843", "add", "a", `frontend-port is "http"`},
		{"port zero", "203.0.113.1", "0", "30843", "add", "a", `frontend-port is "0"`},
		{"port 70000", "203.0.113.1", "8443", "70000", "add", "a", `backend-port is "70000"`},
		{"not this client's port", "203.0.113.1", "9000", "30843", "add", "a", "front port 9000 is not this client's"},
		{"an address that is a name", "node1", "8443", "30843", "add", "a", "it must be an IP address"},
		{"loopback", "127.0.0.1", "8443", "30843", "add", "a", "loopback"},
		{"link-local", "169.254.0.1", "8443", "30843", "add", "a", "link-local"},
		{"elsewhere", "198.51.100.1", "8443", "30843", "add", "a", "not in this client's networks"},
		{"IPv6 elsewhere", "2001:db8::1", "8443", "30843", "add", "a", "not in this client's networks"},
		{"an unknown action", "203.0.113.1", "8443", "30843", "replace", "a", `the action is "replace"`},
		{"a quote in the name", "203.0.113.1", "8443", "30843", "add", `a"b`, "not a JSON object"},
		{"a name of 10 kB", "203.0.113.1", "8443", "30843", "add", strings.Repeat("x", 10_000), "the name has 10000 bytes"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if got := oldCall(t, tokenA, tt.ip, tt.front, tt.back, tt.action, tt.name, ""); got != "|200" {
				t.Errorf("answered %q", got)
			}
			e.finding(t, "RegistrationRefused", tt.finding)
		})
		e.neighbour(t)
	}
	const hook = base + "/hooks/update-haproxy"
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, []byte(strings.Repeat("[", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "{", strings.Repeat("[", 30_000), "@" + big} {
		if got := curl(t, "-X", "POST", "-H", "X-Funkypenguin-Token: "+tokenA, "--data-binary", body, hook); got != "|200" {
			t.Errorf("a body of %d bytes is answered %q", len(body), got)
		}
	}
	if r := e.registrations(t); len(r) != 0 {
		t.Errorf("registered: %v", r)
	}
	t.Run("one of the edge's own listeners", func(t *testing.T) {
		oldCall(t, tokenA, "192.0.2.10", 8443, 8500, "add", "circle", "")
		e.finding(t, "EndpointIsEdge", "192.0.2.10:8500")
		oldCall(t, tokenA, "192.0.2.10", 8443, 9443, "add", "circle", "")
		e.finding(t, "EndpointIsEdge", "192.0.2.10:9443")
	})
	t.Run("odd names are served by another", func(t *testing.T) {
		serve(t, "203.0.113.1:30843", "one")
		oldCall(t, tokenA, "203.0.113.1", 8444, 30843, "add", `a/b \u0027c\n`, "")
		answers(t, 8444, "", "one")
	})
	e.neighbour(t)
}

// TestOwnForm goes through the life of a registration.
func TestOwnForm(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := newEdge(t)
	serve(t, "203.0.113.1:30843", "one")
	serve(t, "203.0.113.2:30843", "two")

	a := put(t, tokenA, "shop", "203.0.113.1", 8443, 30843, `"intervalSeconds":20,`, http.StatusCreated)
	if len(a.Ports) != 1 || !a.Ports[0].Served || a.Client != "cluster-a" || a.LeaseSeconds != 60 || a.Expires == "" {
		t.Errorf("answered %s", a.text)
	}
	answers(t, 8443, "", "one")
	reloads := e.reloads(t)
	if a := put(t, tokenA, "shop", "203.0.113.1", 8443, 30843, `"intervalSeconds":20,`, http.StatusOK); !a.Ports[0].Served {
		t.Errorf("renewed: %s", a.text)
	}
	put(t, tokenA, "shop", "203.0.113.2", 8443, 30843, "", http.StatusCreated)
	answers(t, 8443, "", "two")
	if got := e.reloads(t); got != reloads {
		t.Errorf("%d reloads for an endpoint", got-reloads)
	}
	t.Run("HTTP by host and path", func(t *testing.T) {
		a := ask(t, tokenA, http.MethodPut, "/v1/registrations/site", `{"address":"203.0.113.1","ports":[
			{"protocol":"http","hosts":["shop.apps.example.com"],"paths":["/a","/b"],"targetPort":30843,"weight":5,"check":{"http":"/"}}]}`)
		if a.code != http.StatusCreated || !a.Ports[0].Served {
			t.Fatalf("%d %s", a.code, a.text)
		}
		testwait.UntilSeen(t, "the host is served", func() (bool, string) {
			code, body, err := testnet.Get(t.Context(), "http://192.0.2.10/a/x", "shop.apps.example.com")
			return code == http.StatusOK && body == "one", fmt.Sprint(code, body, err)
		})
	})
	t.Run("own ones only", func(t *testing.T) {
		if a := ask(t, tokenB, http.MethodGet, "/v1/registrations/shop", ""); a.code != http.StatusNotFound {
			t.Errorf("another client sees %d %s", a.code, a.text)
		}
		if a := ask(t, tokenB, http.MethodDelete, "/v1/registrations/shop", ""); a.code != http.StatusNoContent {
			t.Errorf("%d %s", a.code, a.text)
		}
		if a := ask(t, tokenA, http.MethodGet, "/v1/registrations", ""); len(a.Registrations) != 3 {
			t.Errorf("%s", a.text)
		}
		if a := ask(t, tokenA, http.MethodGet, "/v1/registrations/shop", ""); len(a.Registrations) != 2 {
			t.Errorf("%s", a.text)
		}
		if a := ask(t, tokenA, http.MethodGet, "/v1/whoami", ""); a.Client != "cluster-a" || a.Address != "192.0.2.10" {
			t.Errorf("%s", a.text)
		}
	})
	t.Run("delete", func(t *testing.T) {
		for range 2 { // replayed
			if a := ask(t, tokenA, http.MethodDelete, "/v1/registrations/shop?address=203.0.113.2", ""); a.code != http.StatusNoContent {
				t.Errorf("%d %s", a.code, a.text)
			}
		}
		if a := ask(t, tokenA, http.MethodDelete, "/v1/registrations/shop", ""); a.code != http.StatusNoContent {
			t.Errorf("%d %s", a.code, a.text)
		}
		silent(t, 8443)
	})
	e.neighbour(t)
	if log := e.log.String(); strings.Contains(log, tokenA) || strings.Contains(log, tokenB) {
		t.Error("a token is in the log")
	}
	for _, want := range []string{"action=registered client=cluster-a name=shop address=203.0.113.1", "action=deleted client=cluster-a name=shop"} {
		if !strings.Contains(e.log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// TestConflicts: the rule is that of everything else, and the answer tells of it.
func TestConflicts(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := newEdge(t)
	serve(t, "203.0.113.1:30843", "a")
	serve(t, "203.0.113.2:30843", "b")
	t.Run("with a static service", func(t *testing.T) {
		a := put(t, tokenA, "shop", "203.0.113.1", 8500, 30843, "", http.StatusCreated)
		if p := a.Ports[0]; p.Served || p.Reason != "PortConflict" || !strings.Contains(p.Message, "source legacy") {
			t.Errorf("answered %s", a.text)
		}
		a = ask(t, tokenA, http.MethodPut, "/v1/registrations/web", `{"address":"203.0.113.1","ports":[{"protocol":"http","hosts":["static.apps.example.com"],"targetPort":30843}]}`)
		if a.code != http.StatusCreated || a.Ports[0].Served || a.Ports[0].Reason != "RouteConflict" {
			t.Errorf("answered %d %s", a.code, a.text)
		}
		e.neighbour(t)
	})
	t.Run("with another client", func(t *testing.T) {
		put(t, tokenA, "first", "203.0.113.1", 8443, 30843, "", http.StatusCreated)
		a := put(t, tokenB, "second", "203.0.113.2", 8443, 30843, "", http.StatusCreated)
		if p := a.Ports[0]; p.Served || p.Reason != "PortConflict" || !strings.Contains(p.Message, "first") {
			t.Errorf("answered %s", a.text)
		}
		answers(t, 8443, "", "a")
		ask(t, tokenA, http.MethodDelete, "/v1/registrations/first", "")
		answers(t, 8443, "", "b")
		testwait.UntilSeen(t, "the second is told", func() (bool, string) {
			a := put(t, tokenB, "second", "203.0.113.2", 8443, 30843, "", http.StatusOK)
			return a.Ports[0].Served, a.text
		})
	})
	t.Run("with the edge itself", func(t *testing.T) {
		a := put(t, tokenA, "circle", "192.0.2.10", 8600, 8500, "", http.StatusCreated)
		if p := a.Ports[0]; p.Served || p.Reason != "EndpointIsEdge" {
			t.Errorf("answered %s", a.text)
		}
	})
}

// TestRestart: what is registered outlives the edge, in the state that it had.
func TestRestart(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	e := newEdge(t)
	serve(t, "203.0.113.1:30843", "one")
	put(t, tokenA, "shop", "203.0.113.1", 8443, 30843, "", http.StatusCreated)
	oldCall(t, tokenA, "203.0.113.1", 8444, 30843, "add", "once", "")
	answers(t, 8444, "", "one")
	e.end()
	answers(t, 8443, "", "one")
	e.start(t)
	testwait.UntilSeen(t, "both are there again", func() (bool, string) {
		s := e.app.Status(t.Context())
		return s.Ready && len(s.Registrations) == 2 && len(s.Listeners) == 4, fmt.Sprint(s.Registrations, s.Listeners, s.Waiting)
	})
	if s := e.app.Status(t.Context()); s.HAProxy.Reloads != 0 || len(s.Changes) != 0 {
		t.Errorf("%d reloads for a restart, %v", s.HAProxy.Reloads, s.Changes)
	}
	for _, r := range e.registrations(t) {
		if never := r.LeaseLeftSeconds == nil; never != (r.Name == "once") || r.State != "live" {
			text, _ := json.Marshal(r)
			t.Errorf("after the restart: %s", text)
		}
	}
	if a := put(t, tokenA, "shop", "203.0.113.1", 8443, 30843, "", http.StatusOK); !a.Ports[0].Served {
		t.Errorf("answered %s", a.text)
	}
	answers(t, 8443, "", "one")
}
