package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/status"
)

// edge is the program as a process of its own, with its HAProxy.
type edge struct {
	*world
	cmd   *exec.Cmd
	dir   string
	file  string
	ended chan struct{}
	told  time.Time // until when reloads were told
}

// start starts an edge that has never run before.
func (e *edge) start(ctx context.Context, reach string, extra ...string) error {
	if err := e.launch(reach, extra...); err != nil {
		return err
	}
	if _, err := e.untilServed(ctx); err != nil {
		return err
	}
	return e.settle(ctx)
}

// launch starts the process and returns.
func (e *edge) launch(reach string, extra ...string) error {
	e.dir = e.folder()
	e.file = filepath.Join(e.dir, "edge.yaml")
	text := fmt.Sprintf(`
apiVersion: landfall.dev/v1alpha1
kind: Edge
name: bench
stateDir: %[1]s/state
vips: [{name: main, addresses: ["%[2]s"]}]
sources: [{name: home, kubernetes: {kubeconfig: %[3]s, reach: %[4]s}}]
haproxy: {binary: %[5]s, extra: [%[6]s]}
admin: {socket: %[1]s/admin.sock, listen: ""}
`, e.dir, vip, e.kubeconfig, reach, e.haproxy, strings.Join(extra, ", "))
	if err := os.WriteFile(e.file, []byte(text), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(e.dir, "log"))
	if err != nil {
		return err
	}
	e.cmd = exec.Command(e.binary, "edge", "-c", e.file, "--log-level", "warn")
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := e.cmd.Start(); err != nil {
		return err
	}
	e.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		_ = log.Close()
		close(ended)
	}(e.cmd, e.ended)
	e.t.Cleanup(e.stop)
	return nil
}

// stop ends the edge and its HAProxy. Twice does no harm.
func (e *edge) stop() {
	if e.cmd == nil {
		return
	}
	if out, err := exec.Command(e.binary, "stop", "-c", e.file).CombinedOutput(); err != nil {
		e.t.Logf("stop the edge: %v: %s", err, out)
		_ = e.cmd.Process.Kill()
	}
	<-e.ended
	e.cmd = nil
}

// log is the end of what the edge said.
func (e *edge) log() string {
	text, _ := os.ReadFile(filepath.Join(e.dir, "log"))
	return string(text[max(0, len(text)-2000):])
}

// sample are some of the Services that are always there, the first and the last
// among them.
func (w *world) sample() []int {
	const most = 200
	step := max(1, w.services/most)
	var s []int
	for i := 0; i < w.services; i += step {
		s = append(s, i)
	}
	return append(s, w.services-1)
}

// untilServed waits until each of the sample is served, and returns when.
func (e *edge) untilServed(ctx context.Context) (time.Time, error) {
	ctx, cancel := patiently(ctx)
	defer cancel()
	go func() {
		select {
		case <-e.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	var at time.Time
	for _, i := range e.sample() {
		var err error
		if at, err = until(ctx, vip+":80", host(i), good(i)); err != nil {
			return at, fmt.Errorf("%w; the edge says: %s", err, e.log())
		}
	}
	return at, nil
}

// settle waits until the edge has no work left, such as telling objects where
// they are served.
func (e *edge) settle(ctx context.Context) error {
	const idle, most = 0.05, 480
	window, calm := min(250*time.Millisecond, e.duration/10), 0
	for range most {
		before := e.cpu()
		if err := pause(ctx, window); err != nil {
			return err
		}
		calm++
		if float64(e.cpu()-before) > idle*float64(window) {
			calm = 0
		}
		if calm == 4 {
			return nil
		}
	}
	e.say("the edge does not come to rest; measured all the same")
	return nil
}

// pause waits for a time to pass.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cpu is what the agent has used of the processors so far.
func (e *edge) cpu() time.Duration { return cpuOf(e.cmd.Process.Pid) }

// cpuOf reads the clock of a process; 0 when it has ended.
func cpuOf(pid int) time.Duration {
	const perProcess = 2 // of include/linux/posix-timers.h: CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|perProcess), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// idle is the share of a core that the agent needs for nothing.
func (e *edge) idle(ctx context.Context) float64 {
	d := min(3*time.Second, e.duration)
	before, began := e.cpu(), time.Now()
	_ = pause(ctx, d)
	return float64(e.cpu()-before) / float64(time.Since(began))
}

// memory is the resident memory of a process in MB, now and at its highest.
func memoryOf(pid int) (now, peak float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	field := func(name string) float64 {
		_, after, _ := strings.Cut(string(text), "\n"+name+":")
		kb, _ := strconv.ParseFloat(strings.Fields(after + " 0")[0], 64)
		return kb * 1024 / 1e6
	}
	return field("VmRSS"), field("VmHWM")
}

// status asks the edge.
func (e *edge) status(ctx context.Context) (status.Status, error) {
	var s status.Status
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(e.dir, "admin.sock"))
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://edge/v1/status", nil)
	if err != nil {
		return s, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return s, fmt.Errorf("status of the edge: %s: %s", resp.Status, text)
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// reloads counts HAProxy's since the start, and tells the causes of new ones.
func (e *edge) reloads(ctx context.Context) (int, error) {
	s, err := e.status(ctx)
	for _, c := range s.Changes {
		if c.Way == engine.Reload && c.At.After(e.told) {
			e.say("  reload after %.0f ms (%s): %.100s", c.MS, c.Cause, c.Objects)
		}
	}
	e.told = time.Now()
	return s.HAProxy.Reloads, err
}

// worker is the pid of HAProxy's newest worker.
func (e *edge) worker(ctx context.Context) (int, error) {
	ctx, cancel := patiently(ctx)
	defer cancel()
	for {
		s, err := e.status(ctx)
		if err != nil {
			return 0, err
		}
		for _, w := range s.HAProxy.Workers {
			if !w.Old {
				return w.PID, nil
			}
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, fmt.Errorf("no worker of HAProxy: %s %w; the edge says: %s", s.HAProxy.Error, context.Cause(ctx), e.log())
		}
	}
}
