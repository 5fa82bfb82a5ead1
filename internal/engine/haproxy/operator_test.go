package haproxy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ownFile is an operator's frontend in a file of its own.
func ownFile(t *testing.T) (path string, port uint16, text string) {
	t.Helper()
	port = testnet.FreePort(t)
	path = filepath.Join(t.TempDir(), "own.cfg")
	text = fmt.Sprintf("frontend own\n  mode http\n  timeout client 5s\n  bind 127.0.0.1:%d\n  http-request return status 200\n", port)
	write(t, path, text)
	return path, port, text
}

func TestExtraFileOverARestart(t *testing.T) {
	t.Parallel()
	path, port, text := ownFile(t)
	e := newEdge(t, path)
	_, want := oneShop(t)
	e.apply(want)

	remove(t, path)
	e.reopen()
	if done := e.apply(want); done.Way != engine.Nothing {
		t.Errorf("a lost file: %q (%s), want nothing", done.Way, done.Cause)
	}
	if code, _ := get(t, port, "", "/"); code != 200 {
		t.Errorf("the operator's frontend answers %d", code)
	}
	if f := e.Findings(); len(f) != 1 || f[0].Accepted == "" {
		t.Errorf("findings %v, want one that says the copy is in use", f)
	}

	write(t, path, text+"  nonsense\n")
	e.reopen()
	if done := e.apply(want); done.Way != engine.Nothing {
		t.Errorf("a broken file: %q (%s), want nothing", done.Way, done.Cause)
	}
	e.reopen()
	if done := e.apply(want); done.Way != engine.Nothing {
		t.Errorf("a broken file once more: %q (%s), want nothing", done.Way, done.Cause)
	}
	if f := e.Findings(); len(f) != 1 || !strings.Contains(f[0].Message, "nonsense") {
		t.Errorf("findings %v", f)
	}
}

// uid of a process.
func uid(t *testing.T, pid int) uint32 {
	t.Helper()
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

func TestUserlistIsNotTheWorkersUser(t *testing.T) {
	t.Parallel()
	testneed.Root(t)
	path := filepath.Join(t.TempDir(), "own.cfg")
	write(t, path, "userlist people\n  user bob insecure-password x\n  group staff users bob\n")
	e := newEdge(t, path)
	_, want := oneShop(t)
	e.apply(want)
	if _, worker := e.workers(); uid(t, worker) == 0 {
		t.Error("the worker runs as root")
	}
}

func TestOperatorsUser(t *testing.T) {
	t.Parallel()
	testneed.Root(t)
	path := filepath.Join(t.TempDir(), "own.cfg")
	write(t, path, "global\n  user nobody\n  group nogroup\n")
	e := newEdge(t, path)
	port, want := oneShop(t)
	e.apply(want)
	if _, worker := e.workers(); uid(t, worker) != 65534 {
		t.Errorf("the worker runs as %d, want nobody", uid(t, worker))
	}
	// The next worker takes over what this one still gets.
	want.Listeners = append(want.Listeners, tcpListener("home/web/raw/1", testnet.FreePort(t)))
	sortState(&want)
	if done := e.apply(want); done.Way != engine.Reload {
		t.Errorf("by %q, want reload", done.Way)
	}
	if code, _ := get(t, port, "shop.test", "/"); code != 200 {
		t.Errorf("status %d", code)
	}
}

// Anybody may call a process what he likes.
func TestImpostor(t *testing.T) {
	t.Parallel()
	testneed.Root(t)
	e := newEdge(t)
	cmd := exec.CommandContext(t.Context(), "cat")
	cmd.Args = []string{filepath.Join(e.config.RunDir, "haproxy-master.sock") + ",x"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hold.Close(); cmd.Wait() })
	_, want := oneShop(t)
	if done := e.apply(want); done.Way != engine.Start {
		t.Errorf("by %q, want start", done.Way)
	}
}

func TestMasterDiesDuringAReload(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port, want := oneShop(t)
	e.apply(want)
	master, _ := e.workers()
	link := filepath.Join(e.config.Dir, "current")
	before, err := os.Readlink(link)
	if err != nil {
		t.Fatal(err)
	}
	killed := make(chan error, 1)
	go func() {
		for t.Context().Err() == nil {
			if now, _ := os.Readlink(link); now != before {
				killed <- syscall.Kill(master, syscall.SIGKILL)
				return
			}
		}
	}()
	more := want
	more.Listeners = append([]*model.Listener{tcpListener("home/web/raw/1", testnet.FreePort(t))}, want.Listeners...)
	sortState(&more)
	_, err = e.try(more)
	if killErr := <-killed; killErr != nil {
		t.Fatal(killErr)
	}
	if err == nil {
		t.Fatal("the reload went well though the master died at its beginning")
	}
	if strings.Contains(err.Error(), "deadline") {
		t.Errorf("the end was not noticed: %v", err)
	}
	if done := e.apply(more); done.Way != engine.Start {
		t.Errorf("by %q, want start", done.Way)
	}
	if code, _ := get(t, port, "shop.test", "/"); code != 200 {
		t.Errorf("status %d", code)
	}
}
