package demo_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/demo"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
	"github.com/landfall-edge/landfall/internal/testnet"
)

func listen(t *testing.T) *demo.Backends {
	t.Helper()
	b, err := demo.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.Start()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestManifests reads the samples as an edge does: nothing may be wrong with them.
func TestManifests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "manifests")
	at := func(port uint16, count int) demo.Endpoints {
		e := demo.Endpoints{Port: port, Spare: netip.MustParseAddr("127.0.0.9")}
		for i := range count {
			e.Addresses = append(e.Addresses, netip.MustParseAddr("127.0.0."+strconv.Itoa(i+1)))
		}
		return e
	}
	services := demo.Services{Shop: at(10001, 2), API: at(10002, 2), Hello: at(10003, 3), Sticky: at(10004, 3)}
	fronts := demo.Fronts{HTTP: 8080, Hello: 9001, Sticky: 9002}
	for range 2 { // again, over what is there
		if err := demo.Write(dir, services, fronts); err != nil {
			t.Fatal(err)
		}
	}
	spare := "#- addresses: [\"127.0.0.9\"]\n#  targetRef: {kind: Pod, name: shop-3}\n"
	shop, err := os.ReadFile(filepath.Join(dir, "shop.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(shop), spare) {
		t.Fatalf("shop.yaml does not end with the spare endpoint:\n%s", shop)
	}
	got := translated(t, dir)
	want := `listener demo/web/hello/9001 9001
listener demo/web/sticky/9002 9002
route demo/web/api/shop.localhost=/health demo/web/api/80/http
route demo/web/hello/9001 demo/web/hello/9001
route demo/web/shop/shop.localhost/ demo/web/shop/80/http
route demo/web/shop/shop.localhost/api demo/web/api/80/http
route demo/web/sticky/9002 demo/web/sticky/9002
backend demo/web/api/80/http leastconn 0s 127.0.0.1:10002 127.0.0.2:10002
backend demo/web/hello/9001  0s 127.0.0.1:10003 127.0.0.2:10003 127.0.0.3:10003
backend demo/web/shop/80/http  0s 127.0.0.1:10001 127.0.0.2:10001
backend demo/web/sticky/9002  10m0s 127.0.0.1:10004 127.0.0.2:10004 127.0.0.3:10004
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	// What the comment tells people to do.
	text := strings.Replace(string(shop), spare, strings.ReplaceAll(spare, "#", ""), 1)
	if err := os.WriteFile(filepath.Join(dir, "shop.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := translated(t, dir); !strings.Contains(got, "127.0.0.1:10001 127.0.0.2:10001 127.0.0.9:10001\n") {
		t.Errorf("with the spare endpoint:\n%s", got)
	}
}

// translated is what the manifests in dir ask for.
func translated(t *testing.T, dir string) string {
	t.Helper()
	reader, err := parse.New(translate.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	tr := translate.New(translate.Options{Source: "demo", Reach: translate.Pods, AllowLoopback: true})
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := reader.Read(text, parse.File{})
		for _, p := range f.Problems {
			t.Errorf("%s:%d: %s", path, p.Line, p.Message)
		}
		for _, o := range f.Objects {
			tr.Set(o.Object)
		}
	}
	f := tr.Fragment()
	findings := f.Findings
	var listeners, routes, backends strings.Builder
	for _, p := range f.Parts {
		findings = append(findings, p.Findings...)
		for _, l := range p.Listeners {
			fmt.Fprintf(&listeners, "listener %s %d\n", l.Name, l.Port)
		}
	}
	for _, p := range f.Parts {
		for _, r := range p.Routes {
			fmt.Fprintf(&routes, "route %s %s\n", r.Name, r.Backends[0].Name)
		}
	}
	for _, b := range f.Backends {
		fmt.Fprintf(&backends, "backend %s %s %s", b.Name, b.Balance, b.Affinity)
		for _, e := range b.Endpoints {
			fmt.Fprintf(&backends, " %s", e.Address)
		}
		backends.WriteByte('\n')
	}
	for _, found := range findings {
		t.Errorf("%s: %s: %s", found.Origin, found.Field, found.Message)
	}
	return sorted(listeners.String()) + sorted(routes.String()) + backends.String()
}

func sorted(lines string) string {
	all := strings.SplitAfter(strings.TrimSuffix(lines, "\n"), "\n")
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], "\n")
	}
	for i := 1; i < len(all); i++ {
		for j := i; j > 0 && all[j] < all[j-1]; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
	return strings.Join(all, "\n") + "\n"
}

// TestBackends asks every server once.
func TestBackends(t *testing.T) {
	b := listen(t)
	s := b.Services()
	for name, e := range map[string]demo.Endpoints{"shop": s.Shop, "api": s.API, "sticky": s.Sticky, "hello": s.Hello} {
		addresses := e.Addresses
		if e.Spare.IsValid() {
			addresses = append(addresses, e.Spare)
		}
		for i, a := range addresses {
			at := netip.AddrPortFrom(a, e.Port).String()
			_, body, err := testnet.Get(t.Context(), "http://"+at+"/some/path?q=1", "")
			if err != nil || !strings.Contains(body, fmt.Sprintf("%s-%d on %s\n", name, i+1, at)) {
				t.Errorf("%s answered %q %v", at, body, err)
			}
			if name != "hello" && !strings.Contains(body, "GET /some/path?q=1\nHost: "+at+"\n") {
				t.Errorf("%s does not tell what it was asked: %q", at, body)
			}
		}
	}
}

// TestHello talks to the TCP service without HTTP.
func TestHello(t *testing.T) {
	e := listen(t).Services().Hello
	c, err := net.Dial("tcp", netip.AddrPortFrom(e.Addresses[1], e.Port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "hello from hello-2 on 127.0.0.2:") {
		t.Errorf("greeted by %q, %v", line, err)
	}
	long := strings.Repeat("x", 10_000)
	fmt.Fprintf(c, "one\n%s\n", long)
	if line, err := r.ReadString('\n'); err != nil || line != "hello-2: one\n" {
		t.Errorf("answered by %q, %v", line, err)
	}
	if line, err := r.ReadString('\n'); err != nil || strings.Count(line, "x") != len(long) {
		t.Errorf("answered by %d bytes, %v", len(line), err)
	}
}

// TestClose leaves no port open and no connection.
func TestClose(t *testing.T) {
	b, err := demo.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.Start()
	e := b.Services().Hello
	at := netip.AddrPortFrom(e.Addresses[0], e.Port).String()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadString('\n'); err == nil {
		t.Error("a connection outlived Close")
	}
	if c, err := net.Dial("tcp", at); err == nil {
		c.Close()
		t.Error("a port outlived Close")
	}
	if err := b.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	unused, err := demo.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := unused.Close(); err != nil {
		t.Errorf("closed without being started: %v", err)
	}
}
