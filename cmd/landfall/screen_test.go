package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// terminal is a pseudo terminal and what is to be seen on it.
type terminal struct {
	t       *testing.T
	ptmx    *os.File
	program *os.File // the side that a program has

	mu   sync.Mutex
	said []byte
}

func openTerminal(t *testing.T, columns, rows uint16) *terminal {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		testneed.Need(t, "pty", "mount devpts: "+err.Error())
	}
	t.Cleanup(func() { _ = ptmx.Close() })
	if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	fd, _, errno := syscall.Syscall(syscall.SYS_IOCTL, ptmx.Fd(), unix.TIOCGPTPEER, syscall.O_RDWR|syscall.O_NOCTTY)
	if errno != 0 {
		t.Fatal(errno)
	}
	x := &terminal{t: t, ptmx: ptmx, program: os.NewFile(fd, "terminal")}
	t.Cleanup(func() { _ = x.program.Close() })
	x.resize(columns, rows)
	go func() { // ends when both sides are closed
		chunk := make([]byte, 64<<10)
		for {
			n, err := ptmx.Read(chunk)
			x.mu.Lock()
			x.said = append(x.said, chunk[:n]...)
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return x
}

func (x *terminal) resize(columns, rows uint16) {
	x.t.Helper()
	if err := unix.IoctlSetWinsize(int(x.program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) settings() unix.Termios {
	x.t.Helper()
	s, err := unix.IoctlGetTermios(int(x.program.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *s
}

func (x *terminal) heard() []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	return bytes.Clone(x.said)
}

// frame is the last whole page that was drawn, without its colours.
func (x *terminal) frame() (lines []string, colours bool) {
	said := x.heard()
	end := bytes.LastIndex(said, []byte(endFrame))
	begin := bytes.LastIndex(said[:max(end, 0)], []byte(beginFrame))
	if begin < 0 {
		return nil, false
	}
	for line := range strings.SplitSeq(string(said[begin+len(beginFrame):end]), "\r\n") {
		line = strings.TrimSuffix(line, endLine)
		var b strings.Builder
		for part := range strings.SplitSeq("m"+line, "\x1b[") {
			_, text, _ := strings.Cut(part, "m")
			b.WriteString(text)
		}
		colours = colours || strings.Contains(line, "\x1b[3")
		lines = append(lines, b.String())
	}
	return lines, colours
}

// shows waits for a page that is right, and checks that it fits.
func (x *terminal) shows(what string, columns, rows int, ok func(page string, lines int) bool) {
	x.t.Helper()
	var lines []string
	testwait.UntilSeen(x.t, what, func() (bool, string) {
		lines, _ = x.frame()
		page := strings.Join(lines, "\n")
		return ok(page, len(lines)), page
	})
	if len(lines) > rows {
		x.t.Errorf("%s: %d lines on %d", what, len(lines), rows)
	}
	for _, line := range lines {
		if len([]rune(line)) >= columns || strings.Contains(line, "\x1b") {
			x.t.Errorf("%s: a line does not fit: %q", what, line)
		}
	}
}

// watchedEdge runs an edge with many backends in a process of its own, and returns its file.
// It begins, and can be ended and begun again.
func watchedEdge(t *testing.T) (file string, begin, end func()) {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	testneed.Binary(t, "haproxy")
	dir := testnet.Folder(t)
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: landfall.dev/v1alpha1\nkind: Edge\nname: shore\nstateDir: %s/state\nhttp: {port: %d}\n"+
		"admin: {socket: %s/admin.sock, listen: \"\"}\nsources:\n- name: legacy\n  services:\n", dir, testnet.FreePort(t), dir)
	for i := range 60 {
		fmt.Fprintf(&b, "  - {name: a-service-with-a-name-that-is-longer-than-most-%02d, hosts: [\"s%d.test\"], endpoints: [\"127.0.0.1:%d\"]}\n", i, i, 40000+i)
	}
	file = filepath.Join(dir, "edge.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var edge *exec.Cmd
	begin = func() {
		edge = exec.CommandContext(context.WithoutCancel(t.Context()), "landfall", "edge", "-c", file)
		if err := edge.Start(); err != nil {
			t.Fatal(err)
		}
		testwait.Until(t, "the edge runs", func() bool {
			return exec.CommandContext(t.Context(), "landfall", "status", "-c", file).Run() == nil
		})
	}
	end = func() {
		_ = edge.Process.Signal(syscall.SIGTERM)
		if err := edge.Wait(); err != nil {
			t.Errorf("edge: %v", err)
		}
	}
	begin()
	t.Cleanup(func() {
		end()
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), "landfall", "stop", "-c", file).Run()
	})
	return file, begin, end
}

// TestScreen: the page is drawn in place at the terminal's size and at its next one,
// follows an edge that goes and comes, and leaves the terminal as it was, however
// it is ended.
func TestScreen(t *testing.T) {
	file, begin, end := watchedEdge(t)
	enders := map[string]func(x *terminal, p *os.Process){
		"Ctrl-C":  func(x *terminal, _ *os.Process) { _, _ = x.ptmx.WriteString("\x03") },
		"q":       func(x *terminal, _ *os.Process) { _, _ = x.ptmx.WriteString("xyzq") },
		"SIGTERM": func(_ *terminal, p *os.Process) { _ = p.Signal(syscall.SIGTERM) },
	}
	for name, quit := range enders {
		t.Run(name, func(t *testing.T) {
			x := openTerminal(t, 80, 24)
			before := x.settings()
			cmd := exec.CommandContext(t.Context(), "landfall", "status", "--watch=100ms", "-c", file)
			cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=")
			colours := name != "q"
			if !colours {
				cmd.Env = append(cmd.Env, "NO_COLOR=1")
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = x.program, x.program, x.program
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			x.shows("rates", 80, 24, func(page string, lines int) bool {
				return lines > 18 && strings.HasPrefix(page, "shore  ready") && strings.Contains(page, "changes/min") && strings.Contains(page, " more")
			})
			if _, got := x.frame(); got != colours {
				t.Errorf("colours: %t, want %t", got, colours)
			}
			const whole = "legacy/a-service-with-a-name-that-is-longer-than-most-00"
			if lines, _ := x.frame(); strings.Contains(strings.Join(lines, "\n"), whole) {
				t.Error("80 columns have room for what they have not")
			}
			x.resize(140, 50)
			x.shows("the larger page", 140, 50, func(page string, lines int) bool { return lines > 44 && strings.Contains(page, whole) })
			if name == "Ctrl-C" {
				end()
				x.shows("that it is gone", 140, 50, func(page string, lines int) bool {
					return lines > 44 && strings.Contains(page, "does not answer, and is asked again: the edge is not running") && strings.Contains(page, whole)
				})
				begin()
				x.shows("rates again", 140, 50, func(page string, _ int) bool {
					return strings.HasPrefix(page, "shore") && strings.Contains(page, "changes/min")
				})
			}
			quit(x, cmd.Process)
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended by %v", err)
			}
			testwait.Until(t, "the screen is left", func() bool { return bytes.HasSuffix(x.heard(), []byte(leaveScreen)) })
			if got := x.settings(); got != before {
				t.Errorf("the terminal's settings are %+v, were %+v", got, before)
			}
			if n := bytes.Count(x.heard(), []byte(enterScreen)); n != 1 {
				t.Errorf("the screen was entered %d times", n)
			}
			if strings.Contains(string(x.heard()), "xyz") {
				t.Error("what was typed is shown")
			}
		})
	}
}
