package haproxy_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// filesBehind compares the files of the state folder with what they should be.
func (e *edge) filesBehind(want model.State) string {
	e.t.Helper()
	settings, err := haproxy.Facts(e.t.Context(), e.config)
	if err != nil {
		e.t.Fatal(err)
	}
	got, should := map[string]string{}, map[string]string{}
	for _, f := range haproxy.Render(settings, want) {
		if filepath.Base(f.Path) == "10-global.cfg" || filepath.Base(f.Path) == "25-spares.cfg" {
			continue // of the generation
		}
		should[f.Path] = f.Content
	}
	for _, pattern := range []string{"current/[234]0-*", "maps/*", "lists/*"} {
		paths, _ := filepath.Glob(filepath.Join(e.config.Dir, pattern))
		for _, path := range paths {
			data, _ := os.ReadFile(path)
			name, _ := filepath.Rel(e.config.Dir, path)
			got[name] = string(data)
		}
	}
	if maps.Equal(got, should) {
		return ""
	}
	return cmp.Diff(should, got)
}

// TestFilesFollow: files are written behind the change, and are what runs.
func TestFilesFollow(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.config.Spares = 8
	e.reopen()
	_, stop := e.run()
	port := testnet.FreePort(t)
	s := shops(t, port, 4)
	for n := 1; n <= 4; n++ {
		e.apply(part(s, 0, n))
	}
	testwait.Until(t, "files follow", func() bool { return e.filesBehind(s) == "" })
	e.apply(part(s, 0, 2))
	stop() // which leaves nothing behind
	if diff := e.filesBehind(part(s, 0, 2)); diff != "" {
		t.Errorf("files of an agent that ended (-want +got):\n%s", diff)
	}
}

// TestKilledBeforeFiles: an agent that is killed between a change and its files
// leaves a journal, by which the next one writes them, and changes nothing else.
func TestKilledBeforeFiles(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.config.Spares = 8
	e.reopen()
	e.HoldFiles()
	port := testnet.FreePort(t)
	s := shops(t, port, 6)
	e.apply(part(s, 0, 2))
	e.apply(part(s, 0, 4))
	if e.filesBehind(part(s, 0, 4)) == "" {
		t.Fatal("the files are not behind: this proves nothing")
	}
	e.reopen()
	e.run()
	if done := e.apply(part(s, 0, 4)); done.Way == engine.Reload {
		t.Errorf("a restarted agent did %q (%s)", done.Way, done.Cause)
	}
	testwait.Until(t, "the files of the change are there", func() bool { return e.filesBehind(part(s, 0, 4)) == "" })
	e.answersAs(port, "s00", "s01", "s02", "s03")
}

// TestCutOff: of servers that an agent was changing when it was killed nothing is
// believed that cannot be seen.
func TestCutOff(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	s := shops(t, port, 2)
	e.apply(s)
	e.HoldFiles()
	more := s
	more.Backends = slices.Clone(s.Backends)
	b := *s.Backends[0]
	b.SendProxy = 2 // which its server does not understand
	more.Backends[0] = &b
	e.Expect(more) // and then it is killed
	e.reopen()
	if done := e.apply(s); done.Way != engine.Runtime {
		t.Errorf("by %q (%s), want runtime", done.Way, done.Cause)
	}
	e.answersAs(port, "s00", "s01")
	if done := e.apply(s); done.Way != engine.Nothing {
		t.Errorf("not settled: %q (%s)", done.Way, done.Cause)
	}
}

// TestPatrol: what somebody else changes is found, whatever it is.
func TestPatrol(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"a server":         "set server home:web:s01:80:http/%s state maint",
		"another server":   "add server home:web:s01:80:http/mine 127.0.0.1:9; set server home:web:s01:80:http/mine state ready",
		"a map entry":      "del map %s s01.test/",
		"one entry more":   "add map %s other.test/ home:web:s01:80:http",
		"a probe":          "set server landfall-probes::healthz/home:n0 check-addr 127.0.0.9 port 9",
		"a probe's health": "set server landfall-probes::healthz/home:n0 state maint",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "a probe" {
				needMovingChecks(t)
			}
			e := newEdge(t)
			port := testnet.FreePort(t)
			s := shops(t, port, 3)
			s.Probes = []*model.Probe{startNode(t, "n0", "127.0.0.1").probe(false)}
			e.apply(s)
			if !e.AsRemembered(t.Context()) {
				t.Fatal("found something though nothing changed")
			}
			server := s.Backends[1].Endpoints[0].Address
			arg := map[bool]string{
				true:  filepath.Join(e.config.Dir, "maps", "main:http.prefix.map"),
				false: fmt.Sprintf("%s_%d", server.Addr(), server.Port()),
			}[command[4:7] == "map"]
			command = strings.ReplaceAll(command, "%s", arg)
			if reply := ask(t, e.config.RunDir+"/haproxy.sock", command); len(reply) > 40 {
				t.Fatal(reply)
			}
			if e.AsRemembered(t.Context()) {
				t.Error("not found")
			}
			e.apply(s)
			e.answersAs(port, "s00", "s01", "s02")
			if !e.AsRemembered(t.Context()) {
				t.Error("still not as it should be")
			}
		})
	}
}
