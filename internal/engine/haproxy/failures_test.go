package haproxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestNewRefuses what cannot work, with words that say what to do.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	program := func(prints string) string {
		path := filepath.Join(t.TempDir(), "haproxy")
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+prints+"'\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		change func(*haproxy.Config)
		is     error
		says   string
	}{
		"missing":     {func(c *haproxy.Config) { c.Binary = "haproxy-that-nobody-has" }, haproxy.ErrMissing, "apt-get install haproxy"},
		"too old":     {func(c *haproxy.Config) { c.Binary = program("HA-Proxy version 2.4.22-0ubuntu0.22.04.3") }, haproxy.ErrTooOld, "2.6 or newer"},
		"another":     {func(c *haproxy.Config) { c.Binary = program("nginx 1.22") }, nil, "no version line"},
		"long socket": {func(c *haproxy.Config) { c.RunDir = filepath.Join(c.RunDir, strings.Repeat("x", 80)) }, haproxy.ErrSocketPath, "shorter folder"},
		"odd state":   {func(c *haproxy.Config) { c.Dir = filepath.Join(c.Dir, "my state") }, nil, "stateDir"},
		"odd sockets": {func(c *haproxy.Config) { c.RunDir = filepath.Join(c.RunDir, "a;b") }, nil, "admin.socket"},
		"no folder":   {func(c *haproxy.Config) { c.Dir = "/proc/version/x" }, syscall.ENOTDIR, "state folder"},
	} {
		t.Run(name, func(t *testing.T) {
			config := newEdge(t).config
			c.change(&config)
			_, err := haproxy.New(t.Context(), config)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v and %q", err, c.is, c.says)
			}
		})
	}
}

// workers are the pids of the master and its current worker.
func (e *edge) workers() (master, worker int) {
	e.t.Helper()
	reply := ask(e.t, filepath.Join(e.config.RunDir, "haproxy-master.sock"), "show proc")
	for line := range strings.Lines(reply) {
		var pid int
		var kind string
		if _, err := fmt.Sscan(line, &pid, &kind); err != nil {
			continue
		}
		switch {
		case kind == "master":
			master = pid
		case kind == "worker" && worker == 0:
			worker = pid
		}
	}
	if master == 0 || worker == 0 {
		e.t.Fatalf("no processes in %s", reply)
	}
	return master, worker
}

func oneShop(t *testing.T) (port uint16, want model.State) {
	port = testnet.FreePort(t)
	return port, webState(port, httpBackend("home/web/shop/80/http", serve(t, "shop")))
}

// TestKilled: when HAProxy dies, Run tells, nothing is observed, what was served is
// remembered, and the same state is served again by a new one.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"worker", "master"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			changed, _ := e.run()
			port, want := oneShop(t)
			e.apply(want)
			master, worker := e.workers()
			pid := master
			if victim == "worker" {
				pid = worker
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-changed
			// Run tells of the master's end; its worker ends with it, a little later.
			testwait.Until(t, "nothing is observed", func() bool {
				have, err := e.Observe(t.Context())
				if err != nil || len(have.Listeners) > 0 {
					e.reopen()
					return false
				}
				return plan.Diff(have, model.State{}).Empty()
			})
			if p := plan.Diff(e.Remembered(), want); !p.Empty() {
				t.Errorf("what is remembered differs:\n%s", p)
			}
			if done := e.apply(want); done.Way != engine.Start {
				t.Errorf("by %q: %s", done.Way, done.Cause)
			}
			if code, body := get(t, port, "shop.test", "/"); code != http.StatusOK || body != "shop" {
				t.Errorf("afterwards %d %q", code, body)
			}
		})
	}
}

// freeze stops every thread of a process until the test ends, or goes on itself.
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

// TestHangingWorker: a HAProxy that does not answer is an error after a while, and
// no more than that once it goes on.
func TestHangingWorker(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port, want := oneShop(t)
	e.apply(want)
	_, worker := e.workers()
	freeze(t, worker)
	e.reopen()
	if _, err := e.Observe(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer within") {
		t.Errorf("observe: %v", err)
	}
	if err := syscall.Kill(worker, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	more := want
	more.Routes = append(slices.Clone(want.Routes), httpRoute("more.test", "/", false, want.Backends[0].Name))
	sortState(&more)
	if done := e.apply(more); done.Way != engine.Runtime {
		t.Errorf("by %q: %s", done.Way, done.Cause)
	}
	if code, _ := get(t, port, "more.test", "/"); code != http.StatusOK {
		t.Errorf("afterwards %d", code)
	}
}

// TestHangingDuringApply: a worker that hangs in the middle of a change is waited
// for, and is not replaced: the requests in its queue would be cut off.
func TestHangingDuringApply(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port, want := oneShop(t)
	e.apply(want)
	_, worker := e.workers()
	freeze(t, worker)
	want.Routes = append(slices.Clone(want.Routes), httpRoute("more.test", "/", false, want.Backends[0].Name))
	sortState(&want)
	if done, err := e.try(want); err == nil || !strings.Contains(err.Error(), "no answer within") {
		t.Errorf("by %q: %s, %v", done.Way, done.Cause, err)
	}
	if err := syscall.Kill(worker, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if done := e.apply(want); done.Way == engine.Reload {
		t.Errorf("then by %q: %s", done.Way, done.Cause)
	}
	if _, now := e.workers(); now != worker {
		t.Errorf("worker %d became %d", worker, now)
	}
	for i := range 20 {
		if code, _ := get(t, port, []string{"more.test", "shop.test"}[i%2], "/"); code != http.StatusOK {
			t.Errorf("afterwards a request is answered %d", code)
		}
	}
}

// TestDamagedFiles: whatever became of the engine's own files, one reload at most
// makes everything good, and a request is served all the time.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		way    engine.Way
	}{
		"journal torn": {func(t *testing.T, dir string) {
			damage(t, dir, func(data []byte) []byte { return append(data, `{"k":"backend home/x","v":{"na`...) })
		}, engine.Nothing},
		"journal of another kind": {func(t *testing.T, dir string) {
			damage(t, dir, func(data []byte) []byte { return append(data, `{"k":"backend home/x","v":5}`...) })
		}, engine.Reload},
		"journal of nonsense": {func(t *testing.T, dir string) {
			damage(t, dir, func([]byte) []byte { return []byte("\x00\xff nonsense\n{}\n") })
		}, engine.Reload},
		"journal empty": {func(t *testing.T, dir string) {
			damage(t, dir, func([]byte) []byte { return nil })
		}, engine.Reload},
		"journal gone": {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "current", "applied.jsonl")) }, engine.Reload},
		"generation gone": {func(t *testing.T, dir string) {
			target, err := filepath.EvalSymlinks(filepath.Join(dir, "current"))
			if err != nil {
				t.Fatal(err)
			}
			remove(t, target)
		}, engine.Reload},
		"all gone": {remove, engine.Reload},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			port, want := oneShop(t)
			e.apply(want)
			c.damage(t, e.config.Dir)
			e.reopen()
			if code, _ := get(t, port, "shop.test", "/"); code != http.StatusOK {
				t.Errorf("before it is mended: %d", code)
			}
			if done := e.apply(want); done.Way != c.way {
				t.Errorf("mended by %q (%s), want %q", done.Way, done.Cause, c.way)
			}
			if code, _ := get(t, port, "shop.test", "/"); code != http.StatusOK {
				t.Errorf("afterwards: %d", code)
			}
			e.reopen()
			if done := e.apply(want); done.Way != engine.Nothing {
				t.Errorf("then by %q: %s", done.Way, done.Cause)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func damage(t *testing.T, dir string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, "current", "applied.jsonl")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFails: a change that cannot be written is served, and written with the
// next one.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	_, want := oneShop(t)
	e.apply(want)
	maps, away := filepath.Join(e.config.Dir, "maps"), filepath.Join(e.config.Dir, "away")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	add := func(host string) {
		t.Helper()
		want.Routes = append(slices.Clone(want.Routes), httpRoute(host, "/", false, want.Backends[0].Name))
		sortState(&want)
		if done := e.apply(want); done.Way != engine.Runtime {
			t.Errorf("%s by %q: %s", host, done.Way, done.Cause)
		}
	}
	move(maps, away)
	add("unwritten.test")
	move(away, maps)
	add("written.test")
	data, err := os.ReadFile(filepath.Join(maps, "main:http.prefix.map"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"shop.test", "unwritten.test", "written.test"} {
		if !strings.Contains(string(data), host+"/ ") {
			t.Errorf("%s is not on disk", host)
		}
	}
	e.reopen()
	if done := e.apply(want); done.Way != engine.Nothing {
		t.Errorf("then by %q: %s", done.Way, done.Cause)
	}
}

// TestOtherSettings: an agent that finds a HAProxy with other settings than its
// own loads its own, once, and says why.
func TestOtherSettings(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port, want := oneShop(t)
	e.apply(want)
	extra := filepath.Join(t.TempDir(), "own.cfg")
	own := testnet.FreePort(t)
	config := fmt.Sprintf("frontend own\n  mode http\n  timeout client 5s\n  bind 127.0.0.1:%d\n  http-request return status 200\n", own)
	if err := os.WriteFile(extra, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	e.config.Extra = []string{extra}
	e.reopen()
	done := e.apply(want)
	if done.Way != engine.Reload || !strings.Contains(done.Cause, "settings") {
		t.Errorf("by %q: %s", done.Way, done.Cause)
	}
	if code, _ := get(t, own, "", "/"); code != http.StatusOK {
		t.Errorf("the file's own port answers %d", code)
	}
	e.reopen()
	if done := e.apply(want); done.Way != engine.Nothing {
		t.Errorf("then by %q: %s", done.Way, done.Cause)
	}
	if code, _ := get(t, port, "shop.test", "/"); code != http.StatusOK {
		t.Errorf("the route is answered %d", code)
	}
}

// TestHeldByAnotherHAProxy: it shares the port silently, but is found.
func TestHeldByAnotherHAProxy(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port, want := oneShop(t)
	e.apply(want)
	other := startHAProxy(t, fmt.Sprintf("frontend f\n  mode http\n  timeout client 5s\n  bind 127.0.0.1:%d\n", port), "-db")
	held, err := e.Held(t.Context(), want.Listeners)
	if err != nil {
		t.Fatal(err)
	}
	if len(held) != 1 || held[0].Port != port || held[0].Owner != fmt.Sprintf("haproxy (pid %d)", other) {
		t.Errorf("held %v, want port %d by haproxy (pid %d)", held, port, other)
	}
}

// TestForeignHAProxy on our sockets is left alone.
func TestForeignHAProxy(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	startHAProxy(t, "global\n  stats socket "+filepath.Join(e.config.RunDir, "haproxy.sock")+" level admin\n",
		"-W", "-S", filepath.Join(e.config.RunDir, "haproxy-master.sock"))
	testwait.Until(t, "it is found to be foreign", func() bool {
		_, err := e.Observe(t.Context())
		if err == nil {
			e.reopen() // it had not started yet
		}
		return err != nil && strings.Contains(err.Error(), "not Landfall's")
	})
}

// startHAProxy runs one that is not ours, and waits until it is ready.
func startHAProxy(t *testing.T, config string, args ...string) (pid int) {
	t.Helper()
	dir := t.TempDir()
	file, ready := filepath.Join(dir, "other.cfg"), filepath.Join(dir, "ready")
	// Of two "global" sections the second goes on where the first ended.
	config = "global\n  stats socket " + ready + "\n" + config
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, testneed.Binary(t, "haproxy"), append([]string{"-f", file}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	testwait.Until(t, "another HAProxy starts", func() bool {
		_, err := os.Stat(ready)
		return err == nil
	})
	return cmd.Process.Pid
}

// TestOwnPortTaken: the port that answers for assumed probes may be someone else's
// by the time HAProxy is started again.
func TestOwnPortTaken(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port, want := oneShop(t)
	e.apply(want)
	kept, err := os.ReadFile(filepath.Join(e.config.Dir, "ok-port"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	testwait.Until(t, "the port is free", func() bool {
		l, err = net.Listen("tcp", "127.0.0.1:"+strings.TrimSpace(string(kept)))
		return err == nil
	})
	defer l.Close()
	if done := e.apply(want); done.Way != engine.Start {
		t.Errorf("by %q", done.Way)
	}
	if code, _ := get(t, port, "shop.test", "/"); code != http.StatusOK {
		t.Errorf("answered %d", code)
	}
	e.reopen()
	if done := e.apply(want); done.Way != engine.Nothing {
		t.Errorf("then by %q: %s", done.Way, done.Cause)
	}
}
