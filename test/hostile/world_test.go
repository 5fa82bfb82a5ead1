// Package hostile gives an edge what a neighbour must never feel: objects and
// requests that are made to break it, or to get at what is another's. The real
// HAProxy serves, and a client asks the neighbour's routes all the time.
package hostile_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// tells answers with its name and what it was asked for, as it was written.
func tells(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%s %s", name, r.RequestURI)
	})
}

// world is an edge over a folder of manifests.
type world struct {
	t       testing.TB
	app     *app.App
	dir     string // of the manifests
	address string // of a VIP
	http    uint16
}

// newWorld starts an edge; more is written into its file.
func newWorld(t testing.TB, more string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), address: "127.0.0.1", http: testnet.FreePort(t)}
	w.app = startEdge(t, fmt.Sprintf(`
apiVersion: landfall.dev/v1alpha1
kind: Edge
name: shore
stateDir: %s
http: {port: %d}
sources: [{name: files, manifests: {path: %s, allowLoopback: true}}]
%s`, t.TempDir(), w.http, w.dir, more))
	return w
}

// startEdge runs an edge until the test ends. It has sockets in a folder of its own.
func startEdge(t testing.TB, file string) *app.App {
	t.Helper()
	testneed.Binary(t, "haproxy")
	file += fmt.Sprintf("\nadmin: {socket: %s/admin.sock, listen: \"\"}\n", testnet.Folder(t))
	edge, err := spec.Parse([]byte(file), "edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	a, err := app.New(t.Context(), edge, app.Options{Version: "test", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx := context.WithoutCancel(t.Context())
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		if err := a.Stop(ctx, 0); err != nil {
			t.Errorf("stop the edge: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the edge ended: %v", err)
		}
	})
	return a
}

// write puts a file into the folder of manifests as a careful person would.
func (w *world) write(name, text string) {
	w.t.Helper()
	tmp := filepath.Join(w.dir, "."+name)
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) url(path string) string {
	return fmt.Sprintf("http://%s:%d%s", w.address, w.http, path)
}

// get asks once; what went wrong is the body, for it is told.
func (w *world) get(host, path string) (code int, body string) {
	code, body, err := testnet.Get(w.t.Context(), w.url(path), host)
	if err != nil {
		return 0, err.Error()
	}
	return code, body
}

// answers waits until a host answers with a text.
func (w *world) answers(host, path, want string) {
	w.t.Helper()
	testwait.UntilSeen(w.t, host+path+" answers "+want, func() (bool, string) {
		code, body := w.get(host, path)
		return body == want, fmt.Sprint(code, " ", body, "\n", w.findings())
	})
}

func (w *world) findings() string { return findings(w.app.Status(w.t.Context()).Findings) }

func findings(list []status.Finding) string {
	var b strings.Builder
	for _, f := range list {
		fmt.Fprintf(&b, "%s %s/%s %s: %s: %s\n", f.Kind, f.Namespace, f.Name, f.Field, f.Reason, f.Message)
	}
	return b.String()
}

// neighbour is a Service with an Ingress on a host that minds its own business: "/"
// and "/private" lead to it, and "/public" to somebody else of the same host.
func neighbour(private, public string) string {
	return `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: landfall, creationTimestamp: "2020-01-01T00:00:00Z"}
spec: {controller: landfall.dev/edge}
---
` + site("good", "good.test", private, "/", "/private") + "---" + site("public", "good.test", public, "/public")
}

// site is a namespace with a Service, its endpoint, and an Ingress on paths of a
// host. It is older than anything that does not say how old it is.
func site(namespace, host, to string, paths ...string) string {
	at := netip.MustParseAddrPort(to)
	var list []string
	for _, p := range paths {
		list = append(list, fmt.Sprintf("{path: %q, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}", p))
	}
	family := "IPv4"
	if at.Addr().Is6() {
		family = "IPv6"
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: %[1]s}
spec: {ports: [{port: 80}], ipFamilies: [%[6]s]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop-1, namespace: %[1]s, labels: {kubernetes.io/service-name: shop}}
addressType: %[6]s
ports: [{name: "", port: %[4]d}]
endpoints: [{addresses: ["%[3]s"], conditions: {ready: true}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: %[1]s, creationTimestamp: "2020-01-01T00:00:00Z"}
spec:
  ingressClassName: landfall
  rules: [{host: %[2]q, http: {paths: [%[5]s]}}]
`, namespace, host, at.Addr(), at.Port(), strings.Join(list, ", "), family)
}

// asked asks the neighbour's routes by turns until stop, over a connection that is
// kept and over new ones, and counts what did not come from there.
type asked struct {
	sent, failed int
	last         string
	stop         func()
}

func (w *world) ask(host, path, want string) *asked {
	w.t.Helper()
	a, ctx := &asked{}, w.t.Context()
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	url := w.url(path)
	done.Go(func() {
		kept := &http.Client{Timeout: 10 * time.Second}
		defer kept.CloseIdleConnections()
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for range pace.C {
			body, err := once(ctx, kept, url, host, a.sent%2 == 0)
			if ctx.Err() != nil {
				return
			}
			a.sent++
			if body != want {
				a.failed++
				a.last = fmt.Sprint(body, " ", err)
			}
		}
	})
	a.stop = sync.OnceFunc(func() {
		cancel()
		done.Wait()
		w.t.Logf("the neighbour was asked %d times meanwhile, %d failed", a.sent, a.failed)
		if a.failed > 0 || a.sent == 0 {
			w.t.Errorf("of %d requests to the neighbour %d failed, the last by %s", a.sent, a.failed, a.last)
		}
	})
	w.t.Cleanup(a.stop)
	return a
}

func once(ctx context.Context, c *http.Client, url, host string, fresh bool) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Host, req.Close = host, fresh
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// raw sends bytes and returns every answer until HAProxy closes or says no more.
func (w *world) raw(request string) []string {
	w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", w.http))
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		w.t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var got []string
	for in := bufio.NewReader(conn); ; {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return got
		}
		body, _ := io.ReadAll(resp.Body)
		got = append(got, fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body))))
	}
}
