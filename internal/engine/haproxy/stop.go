package haproxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a HAProxy that was told to end may take.
const stopGrace = 5 * time.Second

// Stop is engine.Stopper's. It ends only a master that answers on our socket and
// runs from our folder.
func (e *Engine) Stop(ctx context.Context, drain bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	reply, err := e.master.ask(ctx, "show proc")
	if err != nil {
		if dead(err) {
			return e.stopLeftovers()
		}
		return err
	}
	master, _ := parseProcesses(reply)
	if err := e.isOurs(master.pid); err != nil {
		return err
	}
	e.running, e.trusted = worker{reloads: e.running.reloads}, false
	if drain {
		if err := e.noSuccessor(ctx); err != nil {
			e.log.Warn("kept connections may be refused one request", "engine", "haproxy", "error", err)
		}
		if err := signal(master.pid, syscall.SIGUSR1); err != nil {
			return err
		}
		if ended(ctx, master.pid) {
			return nil
		}
	}
	if err := signal(master.pid, syscall.SIGTERM); err != nil {
		return err
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if !ended(grace, master.pid) {
		return fmt.Errorf("stop HAProxy: pid %d is still there after %s", master.pid, stopGrace)
	}
	return nil
}

// stopLeftovers ends a HAProxy of ours that lost its socket.
func (e *Engine) stopLeftovers() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	pids := e.leftovers()
	for _, pid := range pids {
		if err := signal(pid, syscall.SIGTERM); err != nil {
			return err
		}
	}
	for _, pid := range pids {
		if !ended(ctx, pid) {
			return fmt.Errorf("stop HAProxy: pid %d is still there after %s", pid, stopGrace)
		}
	}
	return nil
}

// isOurs guards against a pid that is not our HAProxy's.
func (e *Engine) isOurs(pid int) error {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return fmt.Errorf("stop HAProxy: %w", err)
	}
	if !strings.Contains(string(cmdline), e.master.path) {
		return fmt.Errorf("stop HAProxy: pid %d is not Landfall's HAProxy", pid)
	}
	return nil
}

func signal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop HAProxy: %w", err)
	}
	return nil
}

// Cleanup is engine.Stopper's.
func (e *Engine) Cleanup(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.disk.settings
	errs := []error{os.RemoveAll(s.Dir)}
	sockets, err := filepath.Glob(s.socket(nextSockets + "*.sock"))
	errs = append(errs, err)
	for _, name := range []string{masterSocket, statsSocket, metricsSocket, peersSocket, logSocket} {
		sockets = append(sockets, s.socket(name))
	}
	for _, path := range sockets {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
