package phonehome_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// namespace is a machine or pod: a network of its own, linked to that of the edge.
type namespace struct {
	name, link string
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	// It cleans up, too.
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), testneed.Binary(t, "ip"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// newNamespace has an address, and the edge's side of the link has the gateway's.
func newNamespace(t *testing.T, n int, address, gateway string) *namespace {
	t.Helper()
	s := &namespace{name: fmt.Sprintf("lf-ph%d-%d", n, os.Getpid()), link: fmt.Sprintf("ph%d", n)}
	ip(t, "netns", "add", s.name)
	t.Cleanup(func() { ip(t, "netns", "delete", s.name) })
	ip(t, "link", "add", s.link, "type", "veth", "peer", "name", "eth0", "netns", s.name)
	ip(t, "address", "add", gateway+"/24", "dev", s.link)
	ip(t, "link", "set", s.link, "up")
	ip(t, "-n", s.name, "link", "set", "lo", "up")
	ip(t, "-n", s.name, "address", "add", address+"/24", "dev", "eth0")
	ip(t, "-n", s.name, "link", "set", "eth0", "up")
	ip(t, "-n", s.name, "route", "add", "default", "via", gateway)
	return s
}

// inside calls do where the namespace's network is the network.
func (s *namespace) inside(t *testing.T, do func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		f, err := os.Open(filepath.Join("/run/netns", s.name))
		if err == nil {
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
			f.Close()
		}
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// workload serves in the namespace as long as the test goes on.
func (s *namespace) workload(t *testing.T, port int, name string) {
	t.Helper()
	var l net.Listener
	var err error
	s.inside(t, func() { l, err = net.Listen("tcp", fmt.Sprintf(":%d", port)) })
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, name)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
}

// program is the agent as its image has it.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "landfall")
	cmd := exec.CommandContext(t.Context(), testneed.Binary(t, "go"), "build", "-tags", "phonehome", "-o", path, "../../cmd/landfall")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// process is a running agent.
type process struct {
	cmd *exec.Cmd
	log *lockedBuffer
	end func() // by SIGTERM, and waits
}

// run starts an agent in the namespace. It renews once an hour: what a test sees in
// less is no renewal.
func (s *namespace) run(t *testing.T, program, hostIP string, args ...string) *process {
	t.Helper()
	all := append([]string{"netns", "exec", s.name, program, "phone-home", "--name=shop", "--interval=1h"}, args...)
	p := &process{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), testneed.Binary(t, "ip"), all...), log: &lockedBuffer{}}
	p.cmd.Env = append(os.Environ(), "WEBHOOK_TOKEN="+tokenA, "HOST_IP="+hostIP)
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.end = sync.OnceFunc(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("the agent ended: %v", err)
		}
	})
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Log(p.log.String())
		}
		if strings.Contains(p.log.String(), tokenA) {
			t.Error("the token is in the agent's log")
		}
	})
	return p
}

// leadsTo waits until the edge has registrations at these addresses and no other.
func (e *edge) leadsTo(t *testing.T, addresses ...string) {
	t.Helper()
	testwait.UntilSeen(t, fmt.Sprint("registrations at ", addresses), func() (bool, string) {
		var live []string
		for _, r := range e.registrations(t) {
			if r.State != "draining" {
				live = append(live, r.Address.String())
			}
		}
		return strings.Join(live, " ") == strings.Join(addresses, " "), fmt.Sprint(live)
	})
}

// load is requests on kept and new connections over HTTP, and on new ones to a port of
// TCP. None may fail.
func load(t *testing.T) *testload.Load {
	t.Helper()
	l := testload.Start(t, testload.Config{Address: "192.0.2.10:80", Hosts: []string{"shop.apps.example.com"}, Clients: 4})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for sent := 0; ctx.Err() == nil; sent++ {
			c := testload.Client{Address: "192.0.2.10:8443"}
			if _, err := c.Post("any", "/", false); err != nil {
				t.Errorf("request %d to port 8443: %v", sent, err)
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return l
}

const (
	announced  = "--port=8443=30843"
	announced2 = "--port=http://shop.apps.example.com/=30080"
)

// TestSidecar: an agent in the network of its workload. The address of the machine
// changes under load, and no request fails.
func TestSidecar(t *testing.T) {
	if !testnet.Inside(t, "192.0.2.10/32", "198.51.100.1/32") {
		return
	}
	e := newEdge(t)
	node := newNamespace(t, 1, "203.0.113.1", "203.0.113.100")
	node.workload(t, 30843, "shop")
	node.workload(t, 30080, "shop")
	agent := node.run(t, program(t), "", "--edge="+base, announced, announced2)
	e.leadsTo(t, "203.0.113.1")
	answers(t, 8443, "", "shop")
	answers(t, 80, "shop.apps.example.com", "shop")

	l := load(t)
	l.After(200)
	// A new address, from which the machine calls from now on; the old one goes when
	// nobody uses it any more.
	ip(t, "-n", node.name, "address", "add", "203.0.113.2/25", "dev", "eth0")
	ip(t, "-n", node.name, "route", "replace", "default", "via", "203.0.113.100", "src", "203.0.113.2")
	e.leadsTo(t, "203.0.113.2")
	l.After(200)
	ip(t, "-n", node.name, "address", "delete", "203.0.113.1/24", "dev", "eth0")
	l.After(500)
	l.Stop()
	if log := agent.log.String(); !strings.Contains(log, `"registered with another address"`) {
		t.Errorf("the agent did not tell:\n%s", log)
	}
}

// TestAffinity: an agent in a pod of its own, which is replaced when the address of its
// machine has changed. No request fails.
func TestAffinity(t *testing.T) {
	if !testnet.Inside(t, "192.0.2.10/32", "198.51.100.1/32") {
		return
	}
	e := newEdge(t)
	node := newNamespace(t, 1, "203.0.113.1", "203.0.113.100")
	pod := newNamespace(t, 2, "198.18.0.2", "198.18.0.1")
	node.workload(t, 30843, "shop")
	node.workload(t, 30080, "shop")
	program := program(t)
	before := pod.run(t, program, "203.0.113.1", "--edge="+base, announced, announced2)
	e.leadsTo(t, "203.0.113.1")
	answers(t, 8443, "", "shop")
	answers(t, 80, "shop.apps.example.com", "shop")

	l := load(t)
	l.After(200)
	ip(t, "-n", node.name, "address", "add", "203.0.113.2/25", "dev", "eth0")
	pod.run(t, program, "203.0.113.2", "--edge="+base, announced, announced2)
	e.leadsTo(t, "203.0.113.1", "203.0.113.2")
	before.end()
	e.leadsTo(t, "203.0.113.2")
	l.After(200)
	ip(t, "-n", node.name, "address", "delete", "203.0.113.1/24", "dev", "eth0")
	l.After(500)
	l.Stop()
}

// TestTwoEdges: one agent tells two edges, in the form of each, and takes everything
// back from both.
func TestTwoEdges(t *testing.T) {
	if !testnet.Inside(t, "192.0.2.10/32", "192.0.2.11/32", "198.51.100.1/32") {
		return
	}
	one := newEdge(t)
	text := strings.ReplaceAll(fmt.Sprintf(file, t.TempDir(), testnet.Folder(t)), "192.0.2.10", "192.0.2.11")
	parsed, err := spec.Parse([]byte(text), "other.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), parsed, app.Options{Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the other edge ended: %v", err)
		}
		if err := app.Stop(context.WithoutCancel(t.Context()), parsed, 0, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("stop the other edge: %v", err)
		}
	})
	other := &edge{file: parsed, app: a}

	node := newNamespace(t, 1, "203.0.113.1", "203.0.113.100")
	node.workload(t, 30843, "shop")
	agent := node.run(t, program(t), "", "--edge="+base, "--edge=http://192.0.2.11:9443/hooks/update-haproxy", announced)
	for _, e := range []*edge{one, other} {
		e.leadsTo(t, "203.0.113.1")
	}
	for _, at := range []string{"192.0.2.10:8443", "192.0.2.11:8443"} {
		testwait.UntilSeen(t, at+" answers", func() (bool, string) {
			_, body, err := testnet.Get(t.Context(), "http://"+at+"/", "")
			return body == "shop", fmt.Sprint(body, err)
		})
	}
	agent.end()
	for _, e := range []*edge{one, other} {
		e.leadsTo(t)
	}
}
