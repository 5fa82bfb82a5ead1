package haproxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// foreign reports a byte that HAProxy takes in no name (configuration manual,
// section 2.1).
func foreign(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r))
}

func FuzzEncode(f *testing.F) {
	for _, names := range [][2]string{
		{"home/web/shop/80", "home:web:shop:80"},
		{"a_b", "a_5Fb"},
		{"a/b", "a_2Fb"},
		{"", "_"},
		{"a.b", "a_2Eb"},
		{"é", "\xe9"},
		{"a\x00b", "a_00b"},
		{strings.Repeat("x", 300), strings.Repeat("x", 301)},
	} {
		f.Add(names[0], names[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		ea, eb := encode(a), encode(b)
		if strings.ContainsFunc(ea, foreign) {
			t.Errorf("%q becomes %q, which HAProxy does not take", a, ea)
		}
		if a != b && ea == eb {
			t.Errorf("%q and %q both become %q", a, b, ea)
		}
		fa, fb := fileName(extraPart, a, cfgSuffix), fileName(extraPart, b, cfgSuffix)
		if a != b && fa == fb {
			t.Errorf("%q and %q are both in %q", a, b, fa)
		}
		if len(fa) > 255 || strings.ContainsAny(fa, "/\x00") || strings.Index(fa, ".cfg") != len(fa)-len(".cfg") {
			t.Errorf("%q becomes the file %q, which HAProxy does not load", a, fa)
		}
	})
}

// FuzzReplies: whatever a socket says, reading it ends in values or errors.
func FuzzReplies(f *testing.F) {
	for _, reply := range []string{
		"", "\n", "\n\n", "New server registered.\n\n", "Unknown command: 'x'\n  help\n",
		"#<PID> <type> <reloads> <uptime> <version>\n1 master 2 [failed: 3] 0d00h00m02s 2.6.12\n# workers\n4 worker 0 0d 2.6.12\n# old workers\n5 worker 1 0d 2.6\n# programs\n",
		"1\n# be_id be_name\n3 b 1 x 127.0.0.1 2 0 1 1 0 1 0 0 0 0 0 0 - 1 - 0 0 - - 0\n",
		"0x55 a.test/ home:web\n0x56 b.test/\n", "Name: HAProxy\nPid: 7\n",
		"# pxname,svname,scur,stot,status,\nbe,s,1,2,UP 1/2,\n\"", "1 master 0 [failed:",
		"[ALERT]    (1) : config : parsing [/f.cfg:3] : unknown keyword 'x'\n[ALERT] (1) : config : [/f:9] : 'server a/b' : no\n",
	} {
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		if err := checkReplies([]command{{text: "a"}, {text: "b", want: serverRegistered}}, reply); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
		parseProcesses(reply)
		for _, s := range parseServers(reply) {
			if !s.address.IsValid() {
				t.Errorf("a server without an address: %+v", s)
			}
		}
		for key, value := range parseMap(reply) {
			if strings.ContainsAny(key+value, " \n") {
				t.Errorf("a map entry of several words: %q %q", key, value)
			}
		}
		parseInfo(reply)
		parseStat(reply)
		for _, a := range append(parseAlerts(reply, alertLevel), parseAlerts(reply, warningLevel)...) {
			if a.line < 0 {
				t.Errorf("line %d", a.line)
			}
		}
		ParseFeatures(reply)
	})
}

// FuzzRoute: a route that is not refused is one line of a map, and the commands
// about it name the same key to HAProxy.
func FuzzRoute(f *testing.F) {
	f.Add("shop.test", "/cart", false, "home/web/shop/80/http")
	f.Add("*.w.test", `/a;b\c"d'e%[x]<<`, true, "home/web/shop/80/http")
	f.Add("", "/#", true, "a b\n")
	f.Add("#", "/", false, "x")
	f.Add("*", "/", false, "x")
	f.Add(".w.test", "/", false, "x")
	f.Add("a.test/x", "/", false, "x")
	f.Add("a", "x", false, "x")
	f.Add("a", "", true, "x")
	f.Add("a", "/\u00a0\u0085 ", true, "x")
	f.Add("a", `/\`, true, "x")
	f.Add("a", `/<<`, true, "x")
	f.Fuzz(func(t *testing.T, host, path string, exact bool, backend string) {
		r := &model.Route{
			Name: "r", Listener: "main/http", Match: model.Match{Host: host, Path: path, Exact: exact},
			Backends: []model.WeightedBackend{{Name: backend, Weight: 1}},
		}
		step := plan.Step[model.Route]{Verb: plan.Add, Want: r}
		if refuse(plan.Plan{Routes: []plan.Step[model.Route]{step}}) != nil || backend == "" || len(backend) > nameLimit {
			return
		}
		e := entry(r)
		l := &model.Listener{Name: r.Listener, Protocol: model.HTTP}
		content := renderMaps(model.State{Listeners: []*model.Listener{l}, Routes: []*model.Route{r}})[mapFile(r.Listener, e.kind)]
		if got := mapWords(content); len(got) != 1 || got[0] != [2]string{e.key, e.value} {
			t.Errorf("the map file %q holds %q, want %q %q", content, got, e.key, e.value)
		}
		// Whoever asked for a host and path gets that and nothing else.
		gotHost, gotPath, _ := strings.Cut(e.key, "/")
		if wantHost := strings.TrimPrefix(host, "*"); gotHost != wantHost {
			t.Errorf("host %q has the key %q", host, e.key)
		}
		if exact && "/"+gotPath != path {
			t.Errorf("path %q has the key %q", path, e.key)
		}
		rd := newRenderer(Settings{Dir: "/var/lib/x; y"}, nil)
		rd.settings.Dir = "/var/lib/x;y"
		file := rd.settings.mapPath(e.listener, e.kind)
		gone := plan.Step[model.Route]{Verb: plan.Remove, Have: r}
		for verb, s := range map[string]plan.Step[model.Route]{"add": step, "del": gone} {
			cs := rd.mapCommands([]plan.Step[model.Route]{s}, newNames(newBindings()))
			want := []string{verb, "map", file, e.key, e.value}
			if verb == "del" {
				want = want[:4]
			}
			got := cliWords(cs[0].text + ";show info")
			if len(got) != 2 || strings.Join(got[0], "\n") != strings.Join(want, "\n") {
				t.Errorf("%q is read as %q, want %q", cs[0].text, got, want)
			}
		}
	})
}

// mapWords reads a map file as HAProxy does (configuration manual, "map").
func mapWords(content string) (entries [][2]string) {
	for _, line := range strings.Split(content, "\n") {
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.IndexAny(line, " \t")
		if i < 0 {
			i = len(line)
		}
		entries = append(entries, [2]string{line[:i], strings.Trim(line[i:], " \t\r")})
	}
	return entries
}

// cliWords reads a line of commands as HAProxy does (management guide, section
// 9.3): ";" parts commands and a blank parts words unless a backslash is before
// it, and a command that ends with "<<" waits for a payload.
func cliWords(line string) (commands [][]string) {
	var words []string
	var word strings.Builder
	in := false
	endWord := func() {
		if in {
			words = append(words, word.String())
		}
		word.Reset()
		in = false
	}
	start := 0
	for i := 0; i <= len(line); i++ {
		switch {
		case i == len(line), line[i] == ';', line[i] == '\n':
			endWord()
			commands = append(commands, words)
			if strings.HasSuffix(line[start:i], "<<") {
				return commands // the rest is its payload
			}
			words, start = nil, i+1
		case line[i] == ' ', line[i] == '\t':
			endWord()
		case line[i] == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			in = true
		default:
			word.WriteByte(line[i])
			in = true
		}
	}
	return commands
}

func FuzzParseBind(f *testing.F) {
	for _, spec := range []string{
		":80", "*:80", "[::]:443", "127.0.0.1:8000-8010", "ipv4@1.2.3.4:80", "unix@/run/x.sock", "/run/x.sock", "fd@3", ":", "",
		"quic4@:443", "${IP}:80", ":1-70000", ":10-1", "[::1%eth0]:80", "abns@x:80", ":0-65535",
	} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		held := parseBind(spec)
		if len(held) > 1<<16 {
			t.Errorf("%d ports", len(held))
		}
		for i, h := range held {
			if !h.Address.IsValid() || i > 0 && h.Port != held[i-1].Port+1 {
				t.Errorf("%q gives %v", spec, held)
			}
		}
	})
}

func FuzzParseListening(f *testing.F) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	f.Add(head + "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x 100 0\n")
	f.Add(head + "   0: 00000000000000000000000001000000:1F90 0:0 0A 0:0 0:0 0     0        0 4712 1 x\n   1: 0100007F:1F90 0:0 01 0 0 0 0 0 4713\n")
	f.Add(head + " 0: zz:1F90 0 0A 0 0 0 0 0 1\n 0: :1F90 0 0A 0 0 0 0 0 1\n 0: 01:1F90 0 0A 0 0 0 0 0 1\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		found := map[string]netip.AddrPort{}
		if parseListening(strings.NewReader(text), map[uint16]bool{8080: true}, found) != nil {
			return
		}
		for inode, a := range found {
			if a.Port() != 8080 || !a.Addr().IsValid() {
				t.Errorf("socket %s on %s was not asked for", inode, a)
			}
		}
	})
}
