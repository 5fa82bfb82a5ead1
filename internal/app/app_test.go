package app_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testkube"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// needHAProxy also looks where Debian puts it, which is not on everybody's PATH.
func needHAProxy(t *testing.T) {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	testneed.Binary(t, "haproxy")
}

func options() app.Options {
	return app.Options{Version: "test", Log: slog.New(slog.DiscardHandler)}
}

// load reads an edge's file whose state and sockets lie in folders of the test.
func load(t *testing.T, http uint16, sources string) *spec.Edge {
	t.Helper()
	dir := testnet.Folder(t)
	text := fmt.Sprintf("apiVersion: landfall.dev/v1alpha1\nkind: Edge\nname: shore\nstateDir: %s/state\nhttp: {port: %d}\n"+
		"admin: {socket: %s/admin.sock, listen: \"\"}\nsources:\n%s", dir, http, dir, sources)
	path := filepath.Join(dir, "edge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	edge, err := app.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return edge
}

// start runs an edge until the test ends, and then stops its HAProxy too.
func start(t *testing.T, edge *spec.Edge) *app.App {
	t.Helper()
	return startWith(t, edge, options())
}

func startWith(t *testing.T, edge *spec.Edge, o app.Options) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), edge, o)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		err := app.Stop(ctx, edge, 0, slog.New(slog.DiscardHandler))
		if err != nil && app.Classify(err) != app.NotRunning {
			t.Errorf("stop: %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return a
}

// await asks a host of the edge until it answers with a text.
func await(t *testing.T, port uint16, host, text string) {
	t.Helper()
	testwait.UntilSeen(t, host+" answers "+text, func() (bool, string) {
		_, body, err := testnet.Get(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/", port), host)
		return strings.Contains(body, text), fmt.Sprintf("%q, %v", body, err)
	})
}

// says is a backend that answers every request with a text.
func says(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	return testnet.Serve(t, "127.0.0.1:0", testnet.Text(text)).Address
}

// site is a Service with one endpoint, and an Ingress on shop.test before it.
func site(to netip.AddrPort) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop-1, namespace: default, labels: {kubernetes.io/service-name: shop}}
addressType: IPv4
ports: [{name: http, port: %d, protocol: TCP}]
endpoints: [{addresses: ["%s"], conditions: {ready: true}}]
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: landfall}
spec: {controller: landfall.dev/edge}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: default}
spec:
  ingressClassName: landfall
  rules:
    - host: shop.test
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}
`, to.Port(), to.Addr())
}

// The whole path: manifests are written, served, changed, and served as changed.
func TestManifestsToTraffic(t *testing.T) {
	needHAProxy(t)
	manifests, port := t.TempDir(), testnet.FreePort(t)
	write := func(to netip.AddrPort) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(manifests, "shop.yaml"), []byte(site(to)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(says(t, "first"))
	edge := load(t, port, "  - {name: files, manifests: {path: "+manifests+", allowLoopback: true}}\n")
	a := start(t, edge)
	await(t, port, "shop.test", "first")
	write(says(t, "second"))
	await(t, port, "shop.test", "second")
	s := a.Status(t.Context())
	if !s.Ready || len(s.Routes) != 1 || len(s.Findings) != 0 || s.HAProxy.Reloads != 0 {
		t.Errorf("status %+v", s)
	}
}

// What is said when the API server does not accept who asks.
func TestCredentialsRefused(t *testing.T) {
	needHAProxy(t)
	cluster := testkube.Start(t).Config()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: home
contexts: [{name: home, context: {cluster: home, user: edge}}]
clusters: [{name: home, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: edge, user: {token: expired}}]
`, cluster.Host, base64.StdEncoding.EncodeToString(cluster.CAData))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	edge := load(t, testnet.FreePort(t), "  - {name: home, kubernetes: {kubeconfig: "+path+"}}\n")
	_, err := app.Render(t.Context(), edge, options())
	if app.Classify(err) != app.Credentials || !strings.Contains(err.Error(), "does not accept the credentials") {
		t.Errorf("render: %v", err)
	}
	checks, err := app.Check(t.Context(), edge, false, options())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(checks, func(c status.Check) bool {
		return !c.OK && c.What == "source home" && strings.Contains(c.Message, "does not accept the credentials")
	}) {
		t.Errorf("check does not tell: %+v", checks)
	}
}
