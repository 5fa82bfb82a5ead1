//go:build !phonehome

package main

import (
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/landfall-edge/landfall/internal/status"
)

// What a terminal is told (ECMA-48, and DEC's private modes, which all that matter
// know and the others pass over).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J" // another screen, without cursor and line wrap
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	beginFrame  = "\x1b[?2026h\x1b[H" // shown as a whole
	endLine     = "\x1b[K"            // and nothing of what stood there before
	endFrame    = "\x1b[J\x1b[?2026l"
)

// screen shows the last look in place, on a screen of its own that goes with it.
type screen struct {
	out  *os.File
	quit func()
	size chan os.Signal
	done chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	in   *os.File
	kept *unix.Termios // of the keyboard; nil: there is none, or it is as it was
	open bool
	last status.Look
}

func newScreen(out, in *os.File, quit func()) *screen {
	return &screen{out: out, in: in, quit: quit, size: make(chan os.Signal, 1), done: make(chan struct{})}
}

// show replaces what is shown. Of an edge that gives no answer, what it said last
// stays.
func (s *screen) show(l status.Look) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		if err := s.enter(); err != nil {
			return err
		}
	}
	if l.Status == nil {
		l.Status = s.last.Status
	}
	s.last = l
	return s.draw()
}

func (s *screen) enter() error {
	if _, err := s.out.WriteString(enterScreen); err != nil {
		return err
	}
	s.open = true
	s.quiet()
	signal.Notify(s.size, syscall.SIGWINCH)
	s.wg.Go(func() {
		for {
			select {
			case <-s.done:
				return
			case <-s.size:
				s.mu.Lock()
				_ = s.draw() // the next look tells
				s.mu.Unlock()
			}
		}
	})
	return nil
}

// draw writes the last look in one piece.
func (s *screen) draw() error {
	f := format(s.out)
	f.Width-- // a line that is full would lose its last character at endLine
	if _, height, err := term.GetSize(int(s.out.Fd())); err == nil {
		f.Height = height
	}
	lines := strings.Split(strings.TrimSuffix(status.WatchTable(s.last, f), "\n"), "\n")
	if f.Height > 0 && len(lines) > f.Height {
		lines = lines[:f.Height]
	}
	_, err := s.out.WriteString(beginFrame + strings.Join(lines, endLine+"\r\n") + endLine + endFrame)
	return err
}

// quiet keeps what is typed off the screen. Ctrl-C stays a signal, q ends it too, and
// Ctrl-Z does nothing: a shell would be left on this screen.
func (s *screen) quiet() {
	fd := int(s.in.Fd())
	if !term.IsTerminal(fd) {
		return
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return
	}
	kept := *t
	t.Lflag &^= unix.ECHO | unix.ICANON
	t.Cc[unix.VMIN], t.Cc[unix.VTIME], t.Cc[unix.VSUSP] = 1, 0, 0
	if unix.IoctlSetTermios(fd, unix.TCSETS, t) != nil {
		return
	}
	s.kept = &kept
	go func() { // ends with the process: a read cannot be called off
		key := make([]byte, 1)
		for {
			if n, err := s.in.Read(key); n == 0 || err != nil {
				return
			}
			if key[0] == 'q' {
				s.quit()
			}
		}
	}()
}

// close gives the terminal back as it was.
func (s *screen) close() {
	signal.Stop(s.size)
	close(s.done)
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return
	}
	if s.kept != nil {
		_ = unix.IoctlSetTermios(int(s.in.Fd()), unix.TCSETS, s.kept)
	}
	_, _ = s.out.WriteString(leaveScreen)
}
