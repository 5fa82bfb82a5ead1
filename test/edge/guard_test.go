package edge_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// restarted is an edge whose agent comes and goes.
type restarted struct {
	file *spec.Edge
	app  *app.App
	end  func()
}

// startRestarted runs an edge until the test ends; the test may end it before.
func startRestarted(t *testing.T, file string) *restarted {
	t.Helper()
	testneed.Binary(t, "haproxy")
	edge, err := spec.Parse([]byte(file), "edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := &restarted{file: edge}
	r.start(t)
	t.Cleanup(func() {
		r.end()
		if err := app.Stop(context.WithoutCancel(t.Context()), r.file, 0, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("stop the edge: %v", err)
		}
	})
	return r
}

func (r *restarted) start(t *testing.T) {
	t.Helper()
	a, err := app.New(t.Context(), r.file, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	r.app, r.end = a, func() {
		r.end = func() {}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the edge ended: %v", err)
		}
	}
}

// holds waits until so many routes are held back, and wants the finding that goes
// with it.
func (r *restarted) holds(t *testing.T, routes int) {
	t.Helper()
	testwait.UntilSeen(t, fmt.Sprint(routes, " routes are held"), func() (bool, string) {
		s := r.app.Status(t.Context())
		held, found := 0, 0
		for _, h := range s.Held {
			held += h.Routes
		}
		for _, f := range s.Findings {
			if f.Reason == "RemovalHeld" && strings.Contains(f.Message, "landfall approve --source ") {
				found++
			}
		}
		return held == routes && (found == 1) == (routes > 0), fmt.Sprint(s.Held, s.Findings, s.Sources)
	})
}

// shops are n Ingresses, each with a host of its own, that lead to one Service.
func shops(n int) (objects string, hosts []string) {
	objects = `
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: web}
spec: {selector: {app: shop}, ports: [{name: http, port: 80}]}
---` + slice("shop", 8080, "198.51.100.1")
	for i := range n {
		host := fmt.Sprintf("shop.s%02d.test", i)
		hosts = append(hosts, host)
		objects += fmt.Sprintf(`
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop-%02d, namespace: web}
spec:
  ingressClassName: landfall
  rules:
  - host: %s
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}
`, i, host)
	}
	return objects, hosts
}

// TestEmptyCluster has an API server come back with nothing in it, under load: not
// one request is lost, whatever happens meanwhile, until a person has approved.
func TestEmptyCluster(t *testing.T) {
	if !testnet.Inside(t, "198.51.100.1/32", "192.0.2.10/32") {
		return
	}
	c := newCluster(t)
	const n = 15
	objects, hosts := shops(n)
	c.Apply(t, objects)
	serve(t, "198.51.100.1:8080", "shop")
	r := startRestarted(t, fmt.Sprintf(`
apiVersion: landfall.dev/v1alpha1
kind: Edge
name: test
stateDir: %s
vips: [{name: main, addresses: ["192.0.2.10"]}]
sources: [{name: home, kubernetes: {kubeconfig: %s, reach: pods}}]
admin: {socket: %s/admin.sock, listen: ""}
`, t.TempDir(), c.UserKubeconfig(t, account), testnet.Folder(t)))
	for _, h := range hosts {
		answers(t, "http://192.0.2.10/", h, "shop")
	}
	load := testload.Start(t, testload.Config{Address: "192.0.2.10:80", Hosts: hosts, Clients: 4, Every: 25 * time.Millisecond})

	c.Empty(t)
	c.ship(t)
	r.holds(t, n)
	r.end()
	r.start(t)
	r.holds(t, n)
	load.After(5 * n)

	c.Apply(t, objects)
	r.holds(t, 0)
	if err := c.clients.NetworkingV1().Ingresses("web").Delete(t.Context(), "shop-14", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	load.SetHosts(hosts[:14]...) // one of fifteen is no accident
	load.After(5 * n)
	testwait.UntilSeen(t, "one Ingress goes at once", func() (bool, string) {
		code, body := get(t, "http://192.0.2.10/", hosts[14])
		return code == 404, fmt.Sprint(code, body)
	})

	c.Empty(t)
	c.ship(t)
	r.holds(t, n-1)
	load.After(5 * n)
	load.Stop()
	approved, err := app.Approve(t.Context(), r.file, "home")
	if err != nil || len(approved.Approved) != 1 || approved.Approved[0].Routes != n-1 {
		t.Errorf("approved %+v, %v", approved, err)
	}
	refuses(t, "192.0.2.10:80")
	r.holds(t, 0)
}

// TestUnmountedFolder takes the file system with the manifests away: while the
// agent runs, from under the next agent, and from under a machine that boots.
func TestUnmountedFolder(t *testing.T) {
	if !testnet.Inside(t, "198.51.100.1/32", "192.0.2.10/32") { // with mounts of its own
		return
	}
	const n = 15
	objects, hosts := shops(n)
	files, folder := t.TempDir(), t.TempDir()
	mount(t, "tmpfs", files, 0)
	objects += "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: landfall}\nspec: {controller: landfall.dev/edge}\n"
	if err := os.WriteFile(filepath.Join(files, "shops.yaml"), []byte(objects), 0o600); err != nil {
		t.Fatal(err)
	}
	unmount := mount(t, files, folder, syscall.MS_BIND)
	serve(t, "198.51.100.1:8080", "shop")
	r := startRestarted(t, fmt.Sprintf(`
apiVersion: landfall.dev/v1alpha1
kind: Edge
name: test
stateDir: %s
vips: [{name: main, addresses: ["192.0.2.10"]}]
sources: [{name: files, manifests: {path: %s}}]
admin: {socket: %s/admin.sock, listen: ""}
`, t.TempDir(), folder, testnet.Folder(t)))
	all := func() {
		t.Helper()
		for _, h := range hosts {
			answers(t, "http://192.0.2.10/", h, "shop")
		}
	}
	all()
	load := testload.Start(t, testload.Config{Address: "192.0.2.10:80", Hosts: hosts, Clients: 4, Every: 25 * time.Millisecond})

	unmount()
	testwait.UntilSeen(t, "the source says that the folder is not there", func() (bool, string) {
		s := r.app.Status(t.Context()).Sources
		return s[0].Stale && strings.Contains(s[0].Message, "not mounted"), fmt.Sprint(s)
	})
	r.holds(t, 0)
	r.end()
	r.start(t)
	r.holds(t, n)
	load.After(5 * n)
	unmount = mount(t, files, folder, syscall.MS_BIND)
	r.holds(t, 0)
	load.After(5 * n)
	load.Stop()

	worker := r.app.Status(t.Context()).HAProxy.Workers[0].PID
	r.end()
	unmount()
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil { // its master ends with it
		t.Fatal(err)
	}
	refuses(t, "192.0.2.10:80")
	r.start(t)
	r.holds(t, n)
	all()
	mount(t, files, folder, syscall.MS_BIND)
	r.holds(t, 0)
	all()
}

// mount mounts until the test ends, or what it returns is called.
func mount(t *testing.T, what, where string, flags uintptr) (unmount func()) {
	t.Helper()
	if err := syscall.Mount(what, where, "tmpfs", flags, ""); err != nil {
		t.Fatalf("mount %s: %v", where, err)
	}
	mounted := true
	unmount = func() {
		if !mounted {
			return
		}
		if err := syscall.Unmount(where, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", where, err)
		}
		mounted = false
	}
	t.Cleanup(unmount)
	return unmount
}
