package survival_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// newer are the places where the newer Landfall of this test is another: it writes
// another default into HAProxy's configuration, and things into its journals that
// this one has never heard of.
var newer = []struct{ file, now, then string }{
	{"internal/engine/haproxy/render.go", `line("  stats timeout 1m")`, `line("  stats timeout 2m")`},
	{"internal/engine/haproxy/memory.go", `put(workerKey, worker), put(settledKey, true)`, `put(workerKey, worker), put("weather here", map[string]int{"wind": 5}), put(settledKey, true)`},
	{"internal/engine/haproxy/shapes.go", "	Layout    int               `json:\"layout\"`\n", "	Layout    int               `json:\"layout\"`\n	Weather   string            `json:\"weather,omitempty\"`\n"},
	{"internal/source/kept.go", "	Probes   int       `json:\"probes\"`\n", "	Probes   int       `json:\"probes\"`\n	Weather  struct{ Wind int }\n"},
	{"internal/source/kept.go", `put(keyHead, h), `, `put(keyHead, h), put("weather here", 5), `},
}

// buildNewer builds it.
func buildNewer(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, place := range newer {
		path := filepath.Join(root, place.file)
		if texts[path] == "" {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(text)
		}
		if strings.Count(texts[path], place.now) != 1 {
			t.Fatalf("%s: no place, or several, with %q", place.file, place.now)
		}
		texts[path] = strings.Replace(texts[path], place.now, place.then, 1)
	}
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range texts {
		with := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, root+"/"), "/", "_"))
		if err := os.WriteFile(with, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[path] = with
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "landfall")
	if err := build(program, "-overlay", file); err != nil {
		t.Fatal(err)
	}
	return program
}

// install puts a program in the place of the one that runs, as a package does.
func install(t *testing.T, program, into string) {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(into+".new", data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(into+".new", into); err != nil {
		t.Fatal(err)
	}
}

// TestUpgradeInPlace: the program is replaced by a newer one, by the older one
// again, and once more, under load. Each takes over the HAProxy and the state that
// the other left, without a reload that nothing asked for.
func TestUpgradeInPlace(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	programs := map[string]string{"older": e.program, "newer": buildNewer(t)}
	e.program = filepath.Join(t.TempDir(), "landfall")
	install(t, programs["older"], e.program)
	shop := servers(t, "shop", 2)
	e.site("shop", shop[0])
	e.site("other", servers(t, "other", 1)...)
	e.start()
	e.answers("shop.test", "shop")
	e.answers("other.test", "other")
	e.site("early", servers(t, "early", 1)...) // sits in a spare
	e.answers("early.test", "early")
	master, worker := e.workers()
	hosts := []string{"shop.test", "other.test", "early.test"}
	l := e.load(3, hosts...)
	for i, which := range []string{"newer", "older", "newer"} {
		install(t, programs[which], e.program)
		if err := e.agent.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-e.ended
		e.start()
		e.ready()
		name := which + string(rune('a'+i))
		e.site("shop", shop[(i+1)%2])
		e.site(name, servers(t, name, 1)...)
		e.await("a change by the "+which, func(s status.Status) bool {
			return endpointsOf(s, "shop") == shop[(i+1)%2].Address.String()
		})
		e.answers(name+".test", name)
		hosts = append(hosts, name+".test")
		l.SetHosts(hosts...)
		l.After(100)
		e.noReload("after an upgrade to the " + which)
		e.same("under the " + which)
	}
	if m, w := e.workers(); m != master || w != worker {
		t.Errorf("HAProxy's master and worker %d, %d became %d, %d", master, worker, m, w)
	}
	e.tcp("raw", testnet.FreePort(t), testload.Serve(t, "127.0.0.1:0", "raw"))
	e.await("one reload, which is asked for", func(s status.Status) bool { return s.HAProxy.Reloads == 1 && endpointsOf(s, "raw") != "" })
	l.After(100)

	// What the newer one kept of the source is of use to the older one.
	e.await("nothing is left to do", func(status.Status) bool {
		text, err := os.ReadFile(e.keptFile())
		return err == nil && strings.Contains(string(text), "weather here") && strings.Contains(string(text), "backend files/web/raw")
	})
	install(t, programs["older"], e.program)
	e.kill()
	if err := os.Rename(e.objects, e.objects+".away"); err != nil {
		t.Fatal(err)
	}
	e.start()
	s := e.await("the older one serves what the newer one kept", func(s status.Status) bool { return s.Ready && s.Sources[0].Stale })
	if slices.ContainsFunc(s.Findings, func(f status.Finding) bool { return f.Reason == "KeptStateDamaged" }) {
		t.Errorf("findings: %v", s.Findings)
	}
	e.noReload("after the way back")
	l.After(100)
	l.Stop()
}
