// Package phonehome_test registers at an edge as its clients do, and looks at what
// a real HAProxy then serves.
package phonehome_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

const (
	// base is where clients call.
	base = "http://192.0.2.10:9443"
	// tokenA and tokenB are those of the two clients.
	tokenA = "token-of-cluster-a"
	tokenB = "token-of-cluster-b"
)

// addresses are those of the edge (the first) and of nodes.
func addresses() []string {
	return []string{"192.0.2.10/32", "203.0.113.1/32", "203.0.113.2/32", "203.0.113.3/32", "198.51.100.1/32"}
}

const file = `
apiVersion: landfall.dev/v1alpha1
kind: Edge
name: test
stateDir: %[1]s
vips: [{name: main, addresses: ["192.0.2.10"]}]
sources:
- name: legacy
  services:
  - {name: old, port: 8500, endpoints: ["198.51.100.1:8080"]}
  - {name: web, hosts: ["static.apps.example.com"], endpoints: ["198.51.100.1:8080"]}
- name: homes
  phoneHome:
    listen: "192.0.2.10:9443"
    insecure: true
    clients:
    - {name: cluster-a, token: token-of-cluster-a, ports: ["8000-8999"], hosts: ["*.apps.example.com"], destinations: ["203.0.113.0/24", "192.0.2.10/32", "127.0.0.0/8", "169.254.0.0/16"]}
    - {name: cluster-b, token: token-of-cluster-b, ports: ["8000-8999"]}
admin: {socket: %[2]s/admin.sock, listen: ""}
`

// edge is one that comes and goes, before a neighbour that must not notice.
type edge struct {
	file *spec.Edge
	app  *app.App
	end  func()
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newEdge runs an edge until the test ends, with the neighbour at port 8500.
func newEdge(t testing.TB) *edge {
	t.Helper()
	return newEdgeOf(t, fmt.Sprintf(file, t.TempDir(), testnet.Folder(t)))
}

func newEdgeOf(t testing.TB, text string) *edge {
	t.Helper()
	testneed.Binary(t, "haproxy")
	parsed, err := spec.Parse([]byte(text), "edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{file: parsed, log: &lockedBuffer{}}
	testnet.Serve(t, "198.51.100.1:8080", testnet.Text("neighbour"))
	t.Cleanup(func() {
		e.end()
		if err := app.Stop(context.WithoutCancel(t.Context()), e.file, 0, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("stop the edge: %v", err)
		}
		if t.Failed() {
			t.Log(e.log.String())
		}
	})
	e.end = func() {}
	e.start(t)
	e.neighbour(t)
	return e
}

func (e *edge) start(t testing.TB) {
	t.Helper()
	a, err := app.New(t.Context(), e.file, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(e.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	e.app, e.end = a, func() {
		e.end = func() {}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the edge ended: %v", err)
		}
	}
	testwait.UntilSeen(t, "clients can call", func() (bool, string) {
		c, err := net.Dial("tcp", "192.0.2.10:9443")
		if err != nil {
			return false, err.Error()
		}
		c.Close()
		return true, ""
	})
}

// neighbour wants what is not the clients' to be served as ever.
func (e *edge) neighbour(t testing.TB) {
	t.Helper()
	answers(t, 8500, "", "neighbour")
}

func (e *edge) reloads(t testing.TB) int { return e.app.Status(t.Context()).HAProxy.Reloads }

func (e *edge) finding(t testing.TB, reason, text string) {
	t.Helper()
	testwait.UntilSeen(t, "a finding "+reason+" with "+text, func() (bool, string) {
		all := e.app.Status(t.Context()).Findings
		for _, f := range all {
			if f.Reason == reason && strings.Contains(f.Message, text) {
				return true, ""
			}
		}
		return false, fmt.Sprint(all)
	})
}

func (e *edge) registrations(t testing.TB) []status.Registration {
	return e.app.Status(t.Context()).Registrations
}

// serve answers with a text at a node.
func serve(t testing.TB, address, text string) *testnet.Server {
	t.Helper()
	return testnet.Serve(t, address, testnet.Text(text))
}

func url(port int) string { return fmt.Sprintf("http://192.0.2.10:%d/", port) }

// answers waits until a front port says what it should.
func answers(t testing.TB, port int, host, want string) {
	t.Helper()
	testwait.UntilSeen(t, fmt.Sprintf("port %d answers %s", port, want), func() (bool, string) {
		code, body, err := testnet.Get(t.Context(), url(port), host)
		return err == nil && code == http.StatusOK && body == want, fmt.Sprint(code, body, err)
	})
}

func silent(t testing.TB, port int) {
	t.Helper()
	testwait.UntilSeen(t, fmt.Sprintf("port %d is closed", port), func() (bool, string) {
		_, body, err := testnet.Get(t.Context(), url(port), "")
		return err != nil, body
	})
}

// answer is what our own form answers.
type answer struct {
	code         int
	header       http.Header
	text         string
	Client       string
	Name         string
	Address      string
	Expires      string
	LeaseSeconds int
	Status       int
	Detail       string
	Errors       []struct{ Pointer, Detail string }
	Ports        []struct {
		Served          bool
		Reason, Message string
	}
	Registrations []json.RawMessage
}

// ask calls in our own form.
func ask(t testing.TB, token, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return do(t, req)
}

func do(t testing.TB, req *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	a := answer{code: resp.StatusCode, header: resp.Header, text: text.String()}
	if strings.HasSuffix(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text.Bytes(), &a); err != nil {
			t.Fatalf("%v: %s", err, text.String())
		}
	}
	return a
}

// put registers one TCP port at an address and wants a code.
func put(t testing.TB, token, name, address string, front, target int, more string, want int) answer {
	t.Helper()
	body := fmt.Sprintf(`{"address":%q,%s"ports":[{"port":%d,"targetPort":%d}]}`, address, more, front, target)
	a := ask(t, token, http.MethodPut, "/v1/registrations/"+name, body)
	if a.code != want {
		t.Fatalf("%s %s:%d: %d %s; want %d", name, address, front, a.code, a.text, want)
	}
	return a
}

// oldCall calls just as the container of the old form does.
func oldCall(t testing.TB, token, ip string, front, back any, action, name, sendProxy string) string {
	t.Helper()
	body := fmt.Sprintf(`{"dst-ip":"%s","frontend-port":"%v","backend-port":"%v","action":"%s","name":"%s","send-proxy":"%s"}`, ip, front, back, action, name, sendProxy)
	return curl(t, "-X", "POST", "-H", "Content-Type:application/json", "-H", "X-Funkypenguin-Token: "+token, "-d", body, base+"/hooks/update-haproxy")
}

// curl returns the body and, behind it, the code.
func curl(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testneed.Binary(t, "curl"), append([]string{"-s", "-w", "|%{http_code}"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("curl %v: %v %s", args, err, out)
	}
	return string(out)
}
