// Package survival shows on the real parts what an edge outlives: the program
// itself as a process, a HAProxy, where it matters an API server, and clients
// outside of them that never retry. Every test prints how many requests were sent
// and how many failed.
package survival_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// programKey names the program to a test that runs again in a network of its own.
const programKey = "LANDFALL_TEST_PROGRAM"

// programs is the folder of what the tests build; it goes with the last of them.
var programs string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	if programs, err = os.MkdirTemp("", "landfall-programs"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	return m.Run()
}

// buildProgram builds the program as it is in this tree, once.
var buildProgram = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(programKey); path != "" {
		return path, nil
	}
	path := filepath.Join(programs, "landfall")
	return path, errors.Join(build(path), os.Setenv(programKey, path))
})

func build(path string, flags ...string) error {
	args := slices.Concat([]string{"build", "-o", path}, flags, []string{"github.com/landfall-edge/landfall/cmd/landfall"})
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build landfall: %w: %s", err, out)
	}
	return nil
}

// edge is one edge: its file, its folders, and its agent as long as it runs.
type edge struct {
	t       *testing.T
	program string
	state   string // folder
	run     string // folder of sockets
	objects string // folder of manifests
	file    string
	port    uint16 // of HTTP
	agent   *os.Process
	ended   chan struct{}
}

// newEdge makes an edge that serves a folder of manifests; it does not run yet.
// state is its state folder; empty for one of its own.
func newEdge(t *testing.T, state string) *edge {
	t.Helper()
	e := prepareEdge(t, state)
	e.configure(fmt.Sprintf("[{name: files, manifests: {path: %s, reach: pods, allowLoopback: true}}]", e.objects), "127.0.0.1")
	e.write("class.yaml", "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: landfall}\nspec: {controller: landfall.dev/edge}\n")
	return e
}

func prepareEdge(t *testing.T, state string) *edge {
	t.Helper()
	testneed.Binary(t, "haproxy")
	program, err := buildProgram()
	if err != nil {
		t.Fatal(err)
	}
	if state == "" {
		state = t.TempDir()
	}
	e := &edge{t: t, program: program, state: state, run: testnet.Folder(t), objects: t.TempDir(), port: testnet.FreePort(t)}
	e.file = filepath.Join(e.run, "edge.yaml")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last status: %+v", e.lastStatus())
		}
		e.end()
	})
	return e
}

// configure writes the edge's file.
func (e *edge) configure(sources, address string) {
	e.t.Helper()
	text := fmt.Sprintf(`
apiVersion: landfall.dev/v1alpha1
kind: Edge
name: survival
stateDir: %s
vips: [{name: main, addresses: [%s]}]
http: {port: %d}
https: {port: 0}
sources: %s
haproxy: {spareBackends: 16}
admin: {socket: %s, listen: ""}
`, e.state, address, e.port, sources, e.socket())
	if err := os.WriteFile(e.file, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func (e *edge) socket() string { return filepath.Join(e.run, "admin.sock") }

// start starts the agent.
func (e *edge) start() {
	e.t.Helper()
	cmd := exec.Command(e.program, "edge", "-c", e.file, "--log-level", "warn", "--log-format", "text")
	cmd.Stdout, cmd.Stderr = e.t.Output(), e.t.Output()
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	e.agent, e.ended = cmd.Process, ended
}

// kill ends the agent as a crash would.
func (e *edge) kill() {
	e.t.Helper()
	if err := e.agent.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		e.t.Fatal(err)
	}
	<-e.ended
}

// end ends everything.
func (e *edge) end() {
	if e.agent != nil {
		e.agent.Kill()
		<-e.ended
	}
	for _, p := range haproxies(e.t, e.run) {
		syscall.Kill(p.pid, syscall.SIGCONT)
		syscall.Kill(p.pid, syscall.SIGTERM)
	}
	testwait.Until(e.t, "HAProxy ends", func() bool { return len(haproxies(e.t, e.run)) == 0 })
}

// killHAProxy ends master and workers at once, as the end of a machine would.
func (e *edge) killHAProxy() {
	e.t.Helper()
	for _, p := range haproxies(e.t, e.run) {
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
	testwait.Until(e.t, "HAProxy ends", func() bool { return len(haproxies(e.t, e.run)) == 0 })
}

// address is where HTTP is served.
func (e *edge) address() string { return fmt.Sprintf("127.0.0.1:%d", e.port) }

func (e *edge) load(clients int, hosts ...string) *testload.Load {
	e.t.Helper()
	return testload.Start(e.t, testload.Config{Address: e.address(), Clients: clients, Hosts: hosts})
}

// ask asks the running edge how it is doing, as landfall status does.
func (e *edge) ask() (status.Status, error) {
	return app.AskStatus(context.WithoutCancel(e.t.Context()), &spec.Edge{Admin: spec.Admin{Socket: e.socket()}}, engine.Whole)
}

func (e *edge) status() status.Status {
	e.t.Helper()
	s, err := e.ask()
	if err != nil {
		e.t.Fatal(err)
	}
	return s
}

// lastStatus is for whoever reads why a test failed.
func (e *edge) lastStatus() string {
	s, err := e.ask()
	return fmt.Sprint(status.Table(s, status.Format{}), err)
}

// await waits until the status is as it should be.
func (e *edge) await(what string, ok func(status.Status) bool) status.Status {
	e.t.Helper()
	var last status.Status
	testwait.UntilSeen(e.t, what, func() (bool, string) {
		s, err := e.ask()
		if err != nil {
			return false, err.Error()
		}
		last = s
		return ok(s), status.Table(s, status.Format{})
	})
	return last
}

// ready waits until the first turn went well.
func (e *edge) ready() status.Status {
	e.t.Helper()
	return e.await("the edge is ready", func(s status.Status) bool { return s.Ready })
}

// answers waits until a host is answered by a server.
func (e *edge) answers(host, want string) {
	e.t.Helper()
	testwait.UntilSeen(e.t, host+" is answered by "+want, func() (bool, string) {
		code, body, err := testnet.Get(e.t.Context(), "http://"+e.address()+"/", host)
		return code == 200 && body == want, fmt.Sprint(code, " ", body, err)
	})
}

// noReload fails if the agent has reloaded HAProxy.
func (e *edge) noReload(what string) {
	e.t.Helper()
	s := e.status()
	for _, c := range s.Changes {
		if c.Way == engine.Reload {
			e.t.Errorf("%s: a reload: %s: %s", what, c.Objects, c.Cause)
		}
	}
	if s.HAProxy.Reloads != 0 {
		e.t.Errorf("%s: %d reloads, want none", what, s.HAProxy.Reloads)
	}
}

// process is one of a HAProxy.
type process struct{ pid, parent int }

// haproxies are the processes that were started for the sockets in a folder, and
// that are no zombies.
func haproxies(t testing.TB, run string) []process {
	t.Helper()
	var found []process
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		args, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(args, []byte("\x00"+filepath.Join(run, "haproxy-master.sock")+",")) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if state, parent := processStat(pid); state != "" && state != "Z" {
			found = append(found, process{pid, parent})
		}
	}
	return found
}

// processStat is the state of a process, a letter as in ps, empty if it is gone, and its parent.
func processStat(pid int) (state string, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	if _, err := fmt.Sscan(rest, &state, &parent); err != nil {
		return "", 0
	}
	return state, parent
}

// workers are the pids of the master and of its newest worker.
func (e *edge) workers() (master, worker int) {
	e.t.Helper()
	all := haproxies(e.t, e.run)
	for _, p := range all {
		if !slices.ContainsFunc(all, func(q process) bool { return q.pid == p.parent }) {
			if master != 0 {
				e.t.Errorf("two HAProxys run: %v", all)
			}
			master = p.pid
		} else {
			worker = max(worker, p.pid)
		}
	}
	if master == 0 || worker == 0 {
		e.t.Fatalf("no HAProxy runs: %v", all)
	}
	return master, worker
}

// freeze stops every thread of a process until the test ends, or thaw.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGCONT) })
	testwait.Until(t, "all threads stop", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("pid %d is gone: %v", pid, err)
		}
		return !slices.ContainsFunc(threads, func(path string) bool {
			data, err := os.ReadFile(path)
			return err != nil || !strings.Contains(string(data), ") T ")
		})
	})
}

func thaw(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}
