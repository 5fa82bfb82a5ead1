package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// loadTimeout bounds the wait for a worker: 10,000 backends take 1 s.
	loadTimeout = 60 * time.Second
	// pollEvery is how often a worker that is starting is asked; HAProxy has no
	// event for it that every version sends.
	pollEvery = 2 * time.Millisecond
	// outputLimit is where what HAProxy printed is cut.
	outputLimit = 4 << 20
)

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// beforeStart makes sure that no HAProxy of ours is left, which would share every
// port with the new one, and that the port for assumed probes is still free.
func (e *Engine) beforeStart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	for _, pid := range e.leftovers() {
		if !ended(ctx, pid) {
			return fmt.Errorf("start HAProxy: pid %d is Landfall's HAProxy, and does not answer on %s; it is looked at again", pid, e.master.path)
		}
	}
	if port := freeOKPort(e.disk.settings.OKPort); port != e.disk.settings.OKPort {
		e.disk.settings.OKPort = port
		return keepOKPort(e.disk.settings)
	}
	return nil
}

// leftovers are the processes of a HAProxy that was started for our sockets: of
// our user or the workers', since anybody may call a process what he likes.
func (e *Engine) leftovers() []int {
	mine := map[uint32]bool{uint32(os.Geteuid()): true}
	if u, err := user.Lookup(e.disk.settings.User); err == nil {
		if uid, err := strconv.ParseUint(u.Uid, 10, 32); err == nil {
			mine[uint32(uid)] = true
		}
	}
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			continue // it ended
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || !mine[st.Uid] {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		args := strings.Split(string(cmdline), "\x00")
		if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, e.master.path+",") }) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// spawn starts HAProxy in a session of its own, so that no signal meant for the
// agent reaches it, and waits for its worker.
func (e *Engine) spawn(ctx context.Context, gen string) error {
	out, err := os.OpenFile(e.disk.path(outputFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start HAProxy: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(e.config.Binary, "-W", "-S", e.master.path+",mode,600", "-L", "landfall", "-f", e.disk.path(currentLink))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start HAProxy: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // reaps it whenever it ends; until then it costs nothing
		close(exited)
	}()
	if err := e.await(ctx, gen, 0, func() error {
		select {
		case <-exited:
			return &loadError{"HAProxy ended at its start", e.output(0)}
		default:
			return nil
		}
	}); err != nil {
		select {
		case <-exited:
		default:
			err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
		}
		return err
	}
	return nil
}

// reload has the master load the current generation and waits for its worker.
func (e *Engine) reload(ctx context.Context, gen string) error {
	// A worker that hangs cannot hand on the ports: its successor would open others
	// beside them, and those who wait to be served would be cut off.
	if _, err := e.stats.ask(ctx, "show info"); errors.Is(err, errNoAnswer) {
		return err
	}
	offset := e.outputSize()
	failed, err := e.failedReloads(ctx)
	if err != nil {
		return err
	}
	// 2.6 answers at once, from 3.0 on the master does when it is done. That may take
	// long, and a 2.6 that follows a newer one never answers: the worker will tell.
	reply, err := e.master.ask(ctx, "reload")
	if err != nil && !errors.Is(err, errNoAnswer) {
		return err
	}
	if strings.HasPrefix(reply, "Success=0") {
		return &loadError{"HAProxy refused the reload", reply}
	}
	before := e.running.pid
	master := e.running.master
	err = e.await(ctx, gen, before, func() error {
		if gone(master) {
			return &loadError{"HAProxy ended during the reload", e.output(offset)}
		}
		n, err := e.failedReloads(ctx)
		if err == nil && n > failed {
			return &loadError{"HAProxy refused the reload", e.output(offset)}
		}
		return nil
	})
	e.running.reloads++
	return err
}

// failedReloads is the master's own count.
func (e *Engine) failedReloads(ctx context.Context) (int, error) {
	reply, err := e.master.ask(ctx, "show proc")
	if err != nil {
		return 0, err
	}
	master, _ := parseProcesses(reply)
	return master.failed, nil
}

// await waits until a worker other than before answers with gen. Only the new
// configuration can give that answer. failure is asked now and then.
func (e *Engine) await(ctx context.Context, gen string, before int, failure func() error) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		if err := e.findWorker(ctx); err != nil && ctx.Err() == nil {
			e.log.Debug("waiting for HAProxy", "engine", "haproxy", "error", err)
		}
		if e.running.up && e.running.generation == gen && e.running.pid != before {
			return nil
		}
		if n%20 == 0 {
			if err := failure(); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for HAProxy's new worker: %w", ctx.Err())
		}
	}
}

// outputSize is how much HAProxy has printed. It prints a line for each server
// that changes: what became too long is cut.
func (e *Engine) outputSize() int64 {
	info, err := os.Stat(e.disk.path(outputFile))
	if err != nil {
		return 0
	}
	if info.Size() > outputLimit && os.Truncate(e.disk.path(outputFile), 0) == nil {
		return 0
	}
	return info.Size()
}

// output is what HAProxy printed since offset.
func (e *Engine) output(offset int64) string {
	f, err := os.Open(e.disk.path(outputFile))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err.Error()
	}
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func cutLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > 5 {
		lines = append(lines[:5], "...")
	}
	return strings.Join(lines, "; ")
}
