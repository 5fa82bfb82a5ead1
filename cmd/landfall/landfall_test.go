package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"landfall": func() { os.Exit(run()) }})
}

// TestScripts runs testdata/*.txtar. Besides testscript's own commands there are:
//
//	port NAME       sets $NAME to a free port
//	hold PORT       listens on 127.0.0.1:PORT in the test's own process, $TESTPID
//	serve PORT      answers 200 there over HTTP
//	await URL TEXT [HOST]
//	                asks until an answer contains TEXT
//	seen FILE PATTERN
//	                waits until what a command writes into FILE matches
//
// $RUN is a folder for sockets. The conditions are [root]
// and [haproxy].
func TestScripts(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // where Debian puts HAProxy
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("RUN", testnet.Folder(t))
			e.Setenv("TESTPID", fmt.Sprint(os.Getpid()))
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "haproxy":
				_, err := exec.LookPath("haproxy")
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"port": port, "hold": hold, "serve": serve, "await": await, "seen": seen,
		},
	})
}

func port(ts *testscript.TestScript, _ bool, args []string) {
	port, err := testnet.FindPort()
	ts.Check(err)
	ts.Setenv(args[0], fmt.Sprint(port))
}

func hold(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
}

func serve(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	s := &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "here I am") }),
	}
	go func() { _ = s.Serve(l) }()
	ts.Defer(func() { _ = s.Close() })
}

// await asks a URL, of a host, until the answer contains a text.
func await(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), testwait.Patience)
	defer cancel()
	for {
		_, body, err := testnet.Get(ctx, args[0], strings.Join(args[2:], ""))
		if err == nil && strings.Contains(body, args[1]) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%s did not answer %q, but %q, %v", args[0], args[1], body, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// seen waits until a file that is written matches a pattern.
func seen(ts *testscript.TestScript, _ bool, args []string) {
	pattern, path := regexp.MustCompile(args[1]), ts.MkAbs(args[0])
	deadline := time.After(testwait.Patience)
	for {
		text, err := os.ReadFile(path)
		if err == nil && pattern.Match(text) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("%s does not match %q: %v\n%s", args[0], args[1], err, text[max(0, len(text)-4000):])
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestHelp: every command says how it is used, with an example, and how it ends.
func TestHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c.Short == "" || c.Example == "" || c.Annotations["exits"] == "" {
			t.Errorf("%s: it needs a Short, an Example and exit codes", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

// TestScriptsAreRun fails where a script would be skipped and must not be.
func TestScriptsAreRun(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	testneed.Binary(t, "haproxy")
}
