package survival_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// step is a call of the operating system by which an agent makes a change: a file
// or folder that it writes, renames, links or removes, a command that it sends, a
// program that it waits for. The agent can be killed just before it.
type step struct {
	call string
	path string // with generationMark for the number of the new generation; empty: any
	nth  int    // of those without a path
}

const generationMark = "generation-NEW"

var digits = regexp.MustCompile(`\d+`)

// kind is what steps of one sort have in common.
func (s step) kind() string {
	if s.path == "" {
		return fmt.Sprintf("%s %d", s.call, s.nth)
	}
	dir, file := filepath.Split(s.path)
	dir = filepath.Base(dir)
	if strings.HasPrefix(file, "generation-") || file == "current" || file == "current.new" {
		return s.call + " " + file
	}
	return s.call + " " + digits.ReplaceAllString(dir, "#") + "/" + digits.ReplaceAllString(file, "#")
}

// tracer is a strace that follows a process.
type tracer struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
}

// trace attaches to a process, and returns once it has.
func trace(t *testing.T, pid int, args ...string) *tracer {
	t.Helper()
	cmd := exec.Command(testneed.Binary(t, "strace"), append(args, "-f", "-p", strconv.Itoa(pid))...)
	told, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tr := &tracer{t, cmd, make(chan struct{})}
	attached := make(chan struct{}, 1)
	var said []string
	go func() {
		defer close(tr.done)
		for lines := bufio.NewScanner(told); lines.Scan(); {
			said = append(said, lines.Text())
			if strings.Contains(lines.Text(), " attached") {
				select {
				case attached <- struct{}{}:
				default: // another thread
				}
			}
		}
		cmd.Wait()
	}()
	t.Cleanup(func() { tr.cmd.Process.Kill() })
	select {
	case <-attached:
	case <-tr.done:
		t.Fatalf("strace: %s", said)
	}
	return tr
}

// detach lets the process go on, or end, alone: strace itself can wait for ever for
// one that was killed.
func (tr *tracer) detach() {
	tr.cmd.Process.Kill()
	<-tr.done
}

// calls are those that make steps.
const calls = "openat,write,pwrite64,renameat,renameat2,rename,linkat,link,symlinkat,symlink,unlinkat,unlink,rmdir," +
	"mkdirat,mkdir,ftruncate,fsync,fdatasync,connect,shutdown,waitid,wait4"

// record returns the steps by which the agent does what during does.
func (e *edge) record(during func()) []step {
	e.t.Helper()
	next := e.nextGeneration()
	log := filepath.Join(e.t.TempDir(), "calls")
	tr := trace(e.t, e.agent.Pid, "-y", "-o", log, "-e", "trace="+calls)
	during()
	tr.detach()
	text, err := os.ReadFile(log)
	if err != nil {
		e.t.Fatal(err)
	}
	seen := map[step]bool{}
	counted := map[string]int{}
	var steps []step
	for line := range strings.Lines(string(text)) {
		s, ok := e.parseStep(line, next)
		if ok && s.path == "" {
			const most = 3 // what comes later, comes again for something else
			counted[s.call]++
			s.nth = counted[s.call]
			ok = s.nth <= most
		}
		if ok && !seen[s] {
			seen[s] = true
			steps = append(steps, s)
		}
	}
	return steps
}

var (
	callLine = regexp.MustCompile(`^\d+ +([a-z0-9_]+)\((.*)`)
	quoted   = regexp.MustCompile(`"([^"]*)"`)
	ofFile   = regexp.MustCompile(`^\d+<([^>]*)>`)
)

func (e *edge) parseStep(line, next string) (step, bool) {
	m := callLine.FindStringSubmatch(line)
	if m == nil {
		return step{}, false
	}
	s, args := step{call: m[1]}, m[2]
	switch s.call {
	case "connect", "shutdown", "waitid", "wait4":
		return s, s.call != "connect" || strings.Contains(args, e.run)
	case "openat":
		if !strings.Contains(args, "O_WRONLY") && !strings.Contains(args, "O_RDWR") {
			return s, false
		}
	case "write", "pwrite64", "ftruncate", "fsync", "fdatasync":
		if f := ofFile.FindStringSubmatch(args); f != nil {
			s.path = f[1]
		}
	}
	if s.path == "" {
		names := quoted.FindAllStringSubmatch(args, -1)
		if len(names) == 0 {
			return s, false
		}
		s.path = names[len(names)-1][1] // of two, the one that comes to be
	}
	s.path = strings.ReplaceAll(s.path, next, generationMark)
	return s, strings.HasPrefix(s.path, e.state+"/")
}

// nextGeneration is the name of the folder that the next reload makes.
func (e *edge) nextGeneration() string {
	dirs, _ := filepath.Glob(filepath.Join(e.state, "haproxy", "generation-*"))
	last := 0
	for _, dir := range dirs {
		n, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "generation-"))
		last = max(last, n)
	}
	return "generation-" + strconv.Itoa(last+1)
}

// killBefore has the agent killed just before a step of what during begins, and
// reports whether it came to that step before over says that all is done.
func (e *edge) killBefore(s step, begin func(), over func() bool) bool {
	e.t.Helper()
	args := []string{"-o", "/dev/null", "-e", "trace=" + s.call}
	if s.path != "" {
		// A file is known by the path that it is opened by, and by the real one.
		path := strings.ReplaceAll(s.path, generationMark, e.nextGeneration())
		args = append(args, "-P", path)
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			args = append(args, "-P", filepath.Join(dir, filepath.Base(path)))
		}
		s.nth = 1
	}
	args = append(args, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", s.call, s.nth))
	tr := trace(e.t, e.agent.Pid, args...)
	begin()
	killed := false
	testwait.Until(e.t, "the agent comes to "+s.kind(), func() bool {
		// It is reaped only once strace has let go of it.
		state, _ := processStat(e.agent.Pid)
		killed = state == "Z" || state == ""
		return killed || over()
	})
	tr.detach()
	// The end of the change may have been seen just before the kill.
	testwait.Until(e.t, "the agent is gone, or answers", func() bool {
		if state, _ := processStat(e.agent.Pid); state == "Z" || state == "" {
			killed = true
			return true
		}
		_, err := e.ask()
		return err == nil
	})
	if killed {
		<-e.ended
	}
	return killed
}
