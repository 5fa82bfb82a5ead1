package haproxy

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// FuzzState renders what no source should ask for. What is not refused becomes the
// sections, lines and words that are meant and no more, in files and in commands.
func FuzzState(f *testing.F) {
	for _, seed := range []string{
		`{"listeners":[{"name":"home/web/raw/9","port":9,"protocol":"tcp","addresses":["127.0.0.1","fe80::1%eth0"],"sourceRanges":["10.0.0.0/8","::/0"],"origin":{"source":"a\nbackend x","kind":"\u0000"}}],` +
			`"routes":[{"name":"home/web/raw/9","listener":"home/web/raw/9","backends":[{"name":"b\n x"}]}],` +
			`"backends":[{"name":"b\n x","protocol":"h2c","balance":"source","affinity":5000000000,"sendProxy":2,"check":{"http":"/'\"\\$H%[src]#;"},"endpoints":[{"address":"10.0.0.7:80","weight":300,"probe":"home/n1"},{"address":"[2001:db8::1]:0","draining":true}]}],` +
			`"probes":[{"name":"home/n1","address":"::1","port":10256,"path":"/healthz'"}]}`,
		`{"listeners":[{"name":"main/http","port":80,"protocol":"http"}],"routes":[{"name":"r","listener":"main/http","match":{"host":"*.a.test","path":"/x;<<\\"},"backends":[{"name":"é/<<;\\"}]}],"backends":[{"name":"é/<<;\\","protocol":"https","endpoints":[{"address":"10.0.0.7:80"}]}]}`,
		`{"listeners":[{"name":"","addresses":["fe80::1%a b"],"sourceRanges":[""]}],"backends":[{"name":"","check":{},"endpoints":[{"address":""},{"address":"[fe80::1%x y]:1"}]}],"probes":[{"name":" ","address":"","path":"\n"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s model.State
		if json.Unmarshal(data, &s) != nil {
			return
		}
		s = model.State{Listeners: tidy(s.Listeners, listenerName), Routes: tidy(s.Routes, routeName), Backends: tidy(s.Backends, backendName), Probes: tidy(s.Probes, probeName)}
		s = unrefused(s)
		r := newRenderer(Settings{Dir: "/d", RunDir: "/r", OKPort: 9181, Spares: 2, OpenFiles: 4096, Generation: "1"}, s.Probes)
		files := r.generation(s)
		for name, content := range renderMaps(s) {
			files[name] = content
		}
		for name, content := range renderLists(s) {
			files[name] = content
		}
		count := map[string]int{}
		for name, content := range files {
			if i := strings.IndexFunc(content, func(c rune) bool { return c < ' ' && c != '\n' || c == 0x7f }); i >= 0 {
				t.Errorf("%s holds the byte %d", name, content[i])
			}
			for line := range strings.Lines(content) {
				if words := configWords(t, line); strings.HasSuffix(name, cfgSuffix) && len(words) > 0 {
					if count[words[0]]++; words[0] == "option" && words[1] == "httpchk" && len(words) != 4 {
						t.Errorf("%s: %q is read as %q", name, line, words)
					}
				}
			}
		}
		if want := wantCount(s, r); count["frontend"] != want[0] || count["backend"] != want[1] || count["server"] != want[2] {
			t.Errorf("there are %d frontends, %d backends and %d servers, want %v", count["frontend"], count["backend"], count["server"], want)
		}
		n := newNames(newBindings())
		there := r.runtimeCommands(plan.Diff(model.State{}, s), n)
		for _, c := range append(there, r.runtimeCommands(plan.Diff(s, model.State{}), n)...) {
			if words := cliWords(c.text + ";show info"); len(words) != 2 || len(words[1]) != 2 || len(c.text) > lineLimit {
				t.Errorf("%q is read as %q", c.text, words)
			}
		}
	})
}

// tidy is what every State is: sorted, without nil, each name once.
func tidy[T any](list []*T, name func(*T) string) []*T {
	list = slices.DeleteFunc(list, func(x *T) bool { return x == nil })
	slices.SortStableFunc(list, func(a, b *T) int { return strings.Compare(name(a), name(b)) })
	return slices.CompactFunc(list, func(a, b *T) bool { return name(a) == name(b) })
}

// unrefused is what is left of a state without the objects that are refused.
func unrefused(s model.State) model.State {
	var refused *engine.RefusedError
	if !errors.As(refuse(plan.Diff(model.State{}, s)), &refused) {
		return s
	}
	out := map[string]bool{}
	for _, o := range refused.Objects {
		out[o.Name] = true
	}
	return model.State{
		Listeners: slices.DeleteFunc(s.Listeners, func(x *model.Listener) bool { return out[x.Name] }),
		Routes:    slices.DeleteFunc(s.Routes, func(x *model.Route) bool { return out[x.Name] }),
		Backends:  slices.DeleteFunc(s.Backends, func(x *model.Backend) bool { return out[x.Name] }),
		Probes:    slices.DeleteFunc(s.Probes, func(x *model.Probe) bool { return out[x.Name] }),
	}
}

// wantCount is how many frontends, backends and servers a state has.
func wantCount(s model.State, r renderer) [3]int {
	empty := r.generation(model.State{})
	var fixed [3]int
	for _, content := range empty {
		for line := range strings.Lines(content) {
			for i, word := range []string{"frontend ", "backend ", "  server "} {
				if strings.HasPrefix(line, word) {
					fixed[i]++
				}
			}
		}
	}
	paths := map[string]bool{}
	for _, p := range s.Probes {
		paths[p.Path] = true
	}
	want := [3]int{fixed[0] + len(s.Listeners), fixed[1] + len(s.Backends) + len(paths), fixed[2] + len(s.Probes)}
	for _, l := range s.Listeners {
		if l.Protocol == model.HTTP { // its successor
			want[1]++
			want[2]++
		}
	}
	for _, b := range s.Backends {
		want[2] += len(b.Endpoints)
	}
	return want
}

// configWords reads a line as HAProxy does (configuration manual, section 2.2), as
// far as we write: strong quotes, a backslash before any byte, "#" to the end.
func configWords(t *testing.T, line string) []string {
	t.Helper()
	var words []string
	var word strings.Builder
	in, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c != '\'':
			word.WriteByte(c)
		case c == '\'':
			in, quoted = true, !quoted
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			in = true
		case c == '#':
			line = line[:i]
		case c == ' ' || c == '\n':
			if in {
				words = append(words, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if quoted {
		t.Errorf("%q has a quote that does not end", line)
	}
	return words
}
