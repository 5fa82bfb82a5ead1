package hostile_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/kube/translate/translatetest"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
)

// FuzzObjects fills the fields of every kind that a source watches, and goes the
// whole way to HAProxy's files, beside a neighbour:
//
//   - every line is of a form that the renderer means to write;
//   - what the neighbour asked for is there, byte for byte as without the others,
//     and nothing else leads to him;
//   - the same objects give the same bytes.
//
// A sample of them is shown to the real HAProxy.
func FuzzObjects(f *testing.F) {
	for i := range 48 {
		seed := make([]byte, 600)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(seed) // never fails
		f.Add(seed)
	}
	neighbours := neighbours(f)
	alone := render(f, translate.Options{Source: "home", Reach: translate.Pods}, neighbours)
	binary, _ := exec.LookPath("haproxy")
	one := uint32(4) // of so many inputs is shown to HAProxy
	if flag.Lookup("test.fuzz").Value.String() != "" || flag.Lookup("test.fuzzworker").Value.String() == "true" {
		one = 128
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := newFiller(data)
		opt := translate.Options{Source: "home", Reach: translate.Pods}
		flags := in.next()
		opt.Unclassed, opt.AllowLoopback = flags&1 != 0, flags&2 != 0
		if flags&4 != 0 {
			opt.Expose = translate.NodePorts
		}
		if flags&24 == 24 { // nodes are everybody's: the neighbour has those of the input
			opt.Reach, opt.Probe = translate.Nodes, &translate.Probe{Port: 10256, Path: "/healthz"}
		}
		objects := slices.Concat(neighbours, in.objects())
		got := render(t, opt, objects)
		if !maps.Equal(got.files, render(t, opt, objects).files) {
			t.Error("the second time it is something else")
		}
		shapes(t, got)
		if opt.Reach == translate.Pods {
			undisturbed(t, alone, got)
		}
		if sum := fnv.New32(); binary != "" {
			sum.Write(data)
			if sum.Sum32()%one == 0 {
				accepted(t, binary, got.state)
			}
		}
	})
}

// rendered is what HAProxy would read.
type rendered struct {
	state model.State
	files map[string]string
}

func settings() haproxy.Settings {
	return haproxy.Settings{
		Features: haproxy.Features{Version: "2.6.12", Major: 2, Minor: 6}, Dir: "/var/lib/landfall/haproxy",
		RunDir: "/run/landfall", OpenFiles: 20000, IPv6: true, OKPort: 9181, Generation: "1", Spares: 1,
	}
}

const neighbourly = `
---
apiVersion: v1
kind: Service
metadata: {name: raw, namespace: good, creationTimestamp: "2000-01-01T00:00:00Z"}
spec: {type: LoadBalancer, loadBalancerClass: landfall.dev/edge, ports: [{port: 9000}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: raw-1, namespace: good, labels: {kubernetes.io/service-name: raw}}
addressType: IPv4
ports: [{name: "", port: 9000}]
endpoints: [{addresses: ["10.1.0.2"], conditions: {ready: true}}]
`

// neighbours are the neighbour's objects.
func neighbours(t testing.TB) []runtime.Object {
	t.Helper()
	reader, err := parse.New(translate.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(neighbour("10.1.0.1:8080", "10.1.0.1:8081")+neighbourly, "2020-01-01", "2000-01-01")
	var all []runtime.Object
	for _, o := range reader.Read([]byte(text), parse.File{}).Objects {
		all = append(all, o.Object)
	}
	return all
}

// render goes the way of a turn.
func render(t testing.TB, opt translate.Options, objects []runtime.Object) rendered {
	t.Helper()
	tr := translate.New(opt)
	for _, o := range objects {
		tr.Set(o)
	}
	fragment := tr.Fragment()
	if err := translatetest.Check(fragment); err != nil {
		t.Error(err)
	}
	out := desired.Build(desired.Input{
		VIPs: []model.VIP{{Name: "main", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}}, HTTPPort: 80,
		Fragments: []model.Fragment{fragment}, Reserved: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:9180")},
	})
	for _, f := range out.Findings {
		for _, s := range []string{f.Field, f.Reason, f.Message, f.Accepted} {
			if len(s) > 4000 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("a finding holds %.200q", s)
			}
		}
	}
	r := rendered{out.State, map[string]string{}}
	for _, file := range haproxy.Render(settings(), out.State) {
		r.files[file.Path] = file.Content
	}
	return r
}

// What the renderer writes for objects, beside its fixed text: names are encoded,
// and whatever else comes from an object is an address or a number.
var (
	name      = `[A-Za-z0-9._:-]+`
	lineForms = regexp.MustCompile(`^(?:` + strings.Join([]string{
		`# [A-Za-z]+ [a-z0-9./-]+ of source [a-z0-9-]+`,
		`(?:frontend|backend) ` + name + ` from landfall-(?:tcp|http)`,
		`  bind (?:[0-9a-f.:\[\]]+:[0-9]+(?: v6only)?|unix@/run/landfall/` + name + `(?: [a-z0-9@/. -]+)?)`,
		`  tcp-request connection reject(?: unless \{ src -f /var/lib/landfall/haproxy/lists/` + name + ` \}(?: !\{ src_is_unix \})?)?`,
		`  tcp-request connection (?:track-sc[0-9] |set-var\(sess\.client\) |sc-inc-gpc0\(0\)|reject if )[A-Za-z0-9 ._:,/(){}-]*`,
		`  server [0-9a-f.:]+_[0-9]+ [0-9a-f.:\[\]]+:[0-9]+ weight [0-9]+[A-Za-z0-9._:/, -]*`,
		`  server home:[a-z0-9.-]+ [0-9a-f.:\[\]]+:[0-9]+ check inter 500ms fastinter 250ms rise 2 fall 2 addr [0-9a-f.:\[\]]+ port [0-9]+`,
		`  server-template landfall-slot- [0-9]+ 127\.0\.0\.1:9181 [a-z0-9. ]+`,
		`  (?:balance|hash-type|default_backend|stick-table|stick|log|mode|timeout|option|http-check)(?: [A-Za-z0-9._:/-]+)+`,
		`  option httpchk GET '/healthz'`,
	}, "|") + `)$`)
	mapLine  = regexp.MustCompile(`^[^\x00-\x20\x7f#][^\x00-\x20\x7f]* ` + name + `(?:\|[0-9a-f]{16}\|[0-9]*\|[0-9]*)?$`)
	listLine = regexp.MustCompile(`^[0-9a-f.:]+/[0-9]+$`)
)

// shapes checks every line. The sections of the HTTP listener are as without any
// object, which undisturbed sees to.
func shapes(t *testing.T, r rendered) {
	t.Helper()
	for path, content := range r.files {
		form := lineForms
		switch {
		case strings.HasSuffix(path, "-global.cfg"), strings.HasSuffix(path, "-spares.cfg"):
			continue
		case strings.HasPrefix(path, "maps/"):
			form = mapLine
		case strings.HasPrefix(path, "lists/"):
			form = listLine
		}
		for name, text := range sections(content) {
			if strings.Contains(name, "main:http") {
				continue
			}
			for line := range strings.Lines(text) {
				if line = strings.TrimSuffix(line, "\n"); !form.MatchString(line) {
					t.Errorf("%s has the line %.300q", path, line)
				}
			}
		}
	}
}

// sections divides a file of the configuration by its first lines; what is no
// configuration is one section.
func sections(content string) map[string]string {
	all, name := map[string]string{}, ""
	for line := range strings.Lines(content) {
		if strings.HasPrefix(line, "frontend ") || strings.HasPrefix(line, "backend ") {
			name = strings.TrimSpace(line)
		}
		if !strings.HasPrefix(line, "#") || name == "" {
			all[name] += line
		}
	}
	return all
}

// undisturbed checks what is the neighbour's.
func undisturbed(t *testing.T, alone, got rendered) {
	t.Helper()
	for path, content := range alone.files {
		switch {
		case strings.HasSuffix(path, "-global.cfg"): // counts listeners
		case strings.HasPrefix(path, "maps/"):
			own := slices.Collect(strings.Lines(content))
			for line := range strings.Lines(got.files[path]) {
				key, value, _ := strings.Cut(line, " ")
				his := strings.HasPrefix(value, "home:good:") || strings.HasPrefix(value, "home:public:")
				taken := slices.ContainsFunc(own, func(o string) bool { return strings.HasPrefix(o, key+" ") })
				if (his || taken) && !slices.Contains(own, line) {
					t.Errorf("%s has the line %.300q", path, line)
				}
			}
			for _, line := range own {
				if strings.Count("\n"+got.files[path], "\n"+line) != 1 {
					t.Errorf("%s has not the line %q once", path, line)
				}
			}
		default:
			now := sections(got.files[path])
			for name, text := range sections(content) {
				if name != "" && now[name] != text {
					t.Errorf("%s: %s was\n%s\nand is\n%s", path, name, text, now[name])
				}
			}
		}
	}
}

// accepted shows a state to the real HAProxy.
func accepted(t *testing.T, binary string, state model.State) {
	t.Helper()
	s := settings()
	dir, err := os.MkdirTemp("", "lf") //nolint:usetesting // a "#" is in the name of a seed, and HAProxy would end there
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s.Dir, s.RunDir = dir, dir
	for _, f := range haproxy.Render(s, state) {
		path := filepath.Join(s.Dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f.Content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), binary, "-c", "-f", filepath.Join(s.Dir, "current")).CombinedOutput(); err != nil {
		t.Errorf("HAProxy refuses the files: %v\n%s", err, fmt.Sprintf("%.2000s", out))
	}
}
