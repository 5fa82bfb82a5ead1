package phonehome_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/phonehome"
)

// TestBadSettings: what cannot be is told with what to write instead.
func TestBadSettings(t *testing.T) {
	change := func(f func(s *phonehome.Settings)) phonehome.Settings {
		s := settings("https://edge:9443")
		f(&s)
		return s
	}
	port := func(text string) phonehome.Settings {
		return change(func(s *phonehome.Settings) { s.Ports = []string{text} })
	}
	edge := func(text string) phonehome.Settings {
		return change(func(s *phonehome.Settings) { s.Edges = []string{text} })
	}
	interval := func(text string, lease time.Duration) phonehome.Settings {
		return change(func(s *phonehome.Settings) { s.Interval, s.Lease = text, lease })
	}
	address := func(text string) phonehome.Settings {
		return change(func(s *phonehome.Settings) { s.Address = text })
	}
	for _, c := range []struct {
		settings phonehome.Settings
		want     string
	}{
		{edge("edge:9443"), "want a URL, for example https://edge.example.com:9443"},
		{edge("ftp://edge"), "want a URL"},
		{edge("https://me:" + secret + "@edge"), "want no user"},
		{edge("https://edge/?token=" + secret), "want no user, query"},
		{change(func(s *phonehome.Settings) { s.Edges = nil }), "give --edge"},
		{change(func(s *phonehome.Settings) { s.Edges = make([]string, 17) }), "want at most 16"},
		{change(func(s *phonehome.Settings) { s.Name = "" }), "for example shop (or set NAME)"},
		{change(func(s *phonehome.Settings) { s.Name = "a/b" }), `--name "a/b"`},
		{change(func(s *phonehome.Settings) { s.Name = strings.Repeat("x", 10_000) }), `x..."`},
		{change(func(s *phonehome.Settings) { s.Ports = nil }), "give --port FRONT=TARGET"},
		{change(func(s *phonehome.Settings) { s.Ports = make([]string, 65) }), "want at most 64"},
		{change(func(s *phonehome.Settings) { s.Ports = []string{"80=1", "80=2"} }), "80 is there already, as 80=1"},
		{port("8443"), "want FRONT=TARGET"},
		{port("0=30843"), `the port of the edge is "0": want a number from 1 to 65535`},
		{port("8443=70000"), `the port of this machine is "70000"`},
		{port("https://a=1"), `"https" is no protocol`},
		{port("http://a:80/=1"), "want HOST without a port"},
		{port("http://=1"), "no host name"},
		{port("tls://a/x=1"), "has no path"},
		{port("1=1,weight=0"), "weight"},
		{port("1=1,check=healthz"), "a path as /healthz"},
		{port("1=1,send-proxy=3"), "version of the PROXY protocol"},
		{port("1=1,colour=red"), `"colour" is no option`},
		{address("edge.example.com"), "want an IP address"},
		{address("0.0.0.0"), "cannot reach that"},
		{address("fe80::1%eth0"), "want an IP address"},
		{address("224.0.0.1"), "cannot reach that"},
		{interval("soon", 0), "seconds, a duration as 30s, or once"},
		{interval("0", 0), "want 1s to 12h0m0s"},
		{interval("13h", 0), "want 1s to 12h0m0s"},
		{interval("60", time.Minute), "want more than the interval"},
		{interval("1s", 9*time.Second), "want 10s to 24h0m0s"},
		{change(func(s *phonehome.Settings) {
			s.Edges, s.Ports = []string{"https://edge/hooks/update-haproxy"}, []string{"http://a=1"}
		}), "knows TCP ports only"},
	} {
		_, err := c.settings.Config()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v:\n got %v\nwant %s", c.settings, err, c.want)
		} else if strings.Contains(err.Error(), secret) || len(err.Error()) > 300 {
			t.Errorf("%v: too much is told", err)
		}
	}
}

// TestPorts: every kind of port, as it is asked for.
func TestPorts(t *testing.T) {
	for text, want := range map[string]string{
		"8443=30843":                        `{"port":8443,"targetPort":30843,"protocol":"tcp"}`,
		"8443=30843,send-proxy=2,weight=10": `{"port":8443,"targetPort":30843,"protocol":"tcp","sendProxy":2,"weight":10}`,
		"http://Shop.example.com=80":        `{"targetPort":80,"protocol":"http","hosts":["shop.example.com"]}`,
		"http://a/x=y=80,check=/ok":         `{"targetPort":80,"protocol":"http","hosts":["a"],"paths":["/x=y"],"check":{"http":"/ok"}}`,
		"tls://*.a=443,check=tcp":           `{"targetPort":443,"protocol":"tls","hosts":["*.a"],"check":{"tcp":true}}`,
		"1=2,send-proxy=yes":                `{"port":1,"targetPort":2,"protocol":"tcp","sendProxy":1}`,
	} {
		p, err := phonehome.ParsePort(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, _ := json.Marshal(p); string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}

// TestEnvironment: flags come first, then the names that containers of the old form
// have.
func TestEnvironment(t *testing.T) {
	environment := map[string]string{
		"WEBHOOK": "https://lb:9000/hooks/update-haproxy", "NAME": "unifi", "FRONTEND_PORT": "8080", "BACKEND_PORT": "30080",
		"REPEAT_INTERVAL": "10m", "SEND_PROXY": "1", "HOST_IP": "203.0.113.7",
	}
	config := func(s phonehome.Settings) phonehome.Config {
		t.Helper()
		s, err := s.WithEnvironment(func(name string) string { return environment[name] })
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Config()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := config(phonehome.Settings{})
	if c.Name != "unifi" || !c.Edges[0].Old || c.Ports[0].String() != "8080=30080" || c.Ports[0].SendProxy != 1 ||
		c.Interval != 10*time.Minute || c.Lease != 30*time.Minute || c.Address != netip.MustParseAddr("203.0.113.7") {
		t.Errorf("%+v", c)
	}
	c = config(phonehome.Settings{
		Edges: []string{"https://a:1/", "https://a:1"}, Name: "n", Ports: []string{"1=2"}, Address: "::ffff:203.0.113.8", Interval: "1500ms",
	})
	if diff := cmp.Diff([]phonehome.Edge{{URL: "https://a:1"}}, c.Edges); diff != "" {
		t.Error(diff)
	}
	if c.Name != "n" || c.Ports[0].String() != "1=2" || c.Interval != 1500*time.Millisecond || c.Address != netip.MustParseAddr("203.0.113.8") {
		t.Errorf("%+v", c)
	}
	environment["REPEAT_INTERVAL"] = "once"
	if c = config(phonehome.Settings{}); c.Interval != 0 {
		t.Errorf("%+v", c)
	}
	// What other servers than an edge took has to go on.
	environment["REPEAT_INTERVAL"], environment["NAME"], environment["SEND_PROXY"] = "86400", "My UniFi, \"old\"", "please, do"
	if c = config(phonehome.Settings{}); c.Interval != 24*time.Hour || c.Name != environment["NAME"] || c.Ports[0].SendProxy != 1 {
		t.Errorf("%+v", c)
	}
	delete(environment, "NAME")
	if c = config(phonehome.Settings{}); c.Name != "" {
		t.Errorf("%+v", c)
	}
	without := maps.Clone(environment)
	delete(without, "BACKEND_PORT")
	if _, err := (phonehome.Settings{}).WithEnvironment(func(name string) string { return without[name] }); err == nil || !strings.Contains(err.Error(), "set both") {
		t.Error(err)
	}
}

// TestBadToken: a token that no header can carry is told, and not shown.
func TestBadToken(t *testing.T) {
	config, err := settings("https://edge").Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", " \n", secret + "\nX: y", secret + "ü"} {
		_, err := phonehome.New(config, phonehome.Options{Token: text})
		if err == nil || !strings.Contains(err.Error(), "--token-file") || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParsePort(f *testing.F) {
	for _, text := range []string{"8443=30843", "http://a/x=80,check=/ok", "tls://a=1,send-proxy=2,weight=3", "=", ",", "://=1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := phonehome.ParsePort(text)
		if err != nil {
			return
		}
		if p.TargetPort < 1 || p.TargetPort > 65535 || p.Protocol == "tcp" && (p.Port < 1 || p.Port > 65535) || p.Protocol != "tcp" && len(p.Hosts) != 1 {
			t.Errorf("%q: %+v", text, p)
		}
		// The same port, written as it writes itself.
		again, err := phonehome.ParsePort(p.String())
		if err != nil || again.String() != p.String() {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	})
}
