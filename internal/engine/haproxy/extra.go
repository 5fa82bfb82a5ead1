package haproxy

import (
	"bufio"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// extraLimit bounds one of the operator's files.
const extraLimit = 4 << 20

// extras are the operator's own configuration files: they are copied beside
// ours, never written to.
type extras struct {
	paths []string
	// files is the last good content by path; a file that was never good is absent.
	files map[string]string
	// read is the content as it was read last, good or not.
	read map[string]string
	// findings by path: what is wrong with the file as it is now.
	findings map[string]string
}

// readExtras reads the files as they are. One that cannot be read is a finding.
func readExtras(paths []string) extras {
	x := extras{paths: paths, files: map[string]string{}, findings: map[string]string{}}
	for _, p := range paths {
		switch info, err := os.Stat(p); {
		case err != nil:
			x.findings[p] = err.Error()
		case info.Size() > extraLimit:
			x.findings[p] = fmt.Sprintf("the file has %d bytes, and at most %d are read", info.Size(), extraLimit)
		default:
			data, err := os.ReadFile(p)
			if err != nil {
				x.findings[p] = err.Error()
				continue
			}
			x.files[p] = string(data)
		}
	}
	x.read = maps.Clone(x.files)
	return x
}

// currentExtras are the files as they are, and for those that cannot be read the
// copies in the generation that was loaded last.
func currentExtras(c Config) extras {
	d := disk{settings: Settings{Dir: c.Dir}}
	now := readExtras(c.Extra)
	return d.goodExtras(now).keeping(now)
}

// keeping returns now with the good content of x for every file that now lacks.
func (x extras) keeping(now extras) extras {
	for p, content := range x.files {
		if _, ok := now.files[p]; !ok {
			now.files[p] = content
		}
	}
	return now
}

// without returns x with a file put back to its content in good, or left out.
func (x extras) without(path, why string, good extras) extras {
	x.files, x.findings = maps.Clone(x.files), maps.Clone(x.findings)
	refused := x.files[path]
	delete(x.files, path)
	if content, ok := good.files[path]; ok && content != refused {
		x.files[path] = content
	}
	x.findings[path] = why
	return x
}

func (x extras) content() string {
	var b strings.Builder
	for i, p := range x.paths {
		if content, ok := x.files[p]; ok {
			fmt.Fprintf(&b, "%d %s\n%s\n", i, p, content)
		}
	}
	return b.String()
}

// copies are the files as they lie in a generation: name -> content.
func (x extras) copies() map[string]string {
	files := map[string]string{}
	for i, p := range x.paths {
		if content, ok := x.files[p]; ok {
			files[extraName(i, p)] = strings.TrimRight(content, "\n") + "\n"
		}
	}
	return files
}

func extraName(i int, path string) string {
	return fileName(fmt.Sprintf("%s%02d-", extraPart, i), filepath.Base(path), cfgSuffix)
}

// original finds the operator's file of a copy's name.
func (x extras) original(name string) (string, bool) {
	for i, p := range x.paths {
		if extraName(i, p) == name {
			return p, true
		}
	}
	return "", false
}

// Findings are the extra files that are not used as they are.
func (e *Engine) Findings() []model.Finding {
	e.mu.Lock()
	defer e.mu.Unlock()
	var findings []model.Finding
	for _, p := range slices.Sorted(maps.Keys(e.extra.findings)) {
		f := model.Finding{
			Origin:  model.Origin{Source: "haproxy", Kind: "File", Name: p},
			Field:   "haproxy.extra",
			Reason:  "ExtraFileRefused",
			Message: e.extra.findings[p] + "; mend the file, it is read again when it changes",
		}
		if _, ok := e.extra.files[p]; ok {
			f.Accepted = "its last good copy is in use"
		}
		findings = append(findings, f)
	}
	return findings
}

var bindLine = regexp.MustCompile(`^\s*bind\s+(\S+)`)

// user is whom the operator chose workers to run as: the name, if it can be told,
// and whether anything was chosen.
func (x extras) user() (name string, chosen bool) {
	for _, p := range x.paths {
		global := false
		for line := range strings.Lines(x.files[p]) {
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			if slices.Contains(sections, words[0]) {
				global = words[0] == "global"
			}
			if !global || len(words) < 2 {
				continue
			}
			switch words[0] {
			case "user":
				name, chosen = words[1], true
			case "uid":
				chosen = true
				if u, err := user.LookupId(words[1]); err == nil {
					name = u.Username
				}
			case "group", "gid":
				chosen = true
			}
		}
	}
	if _, err := user.Lookup(name); err != nil {
		name = "" // HAProxy will say so
	}
	return name, chosen
}

// sections are the words that begin one (manual sections 3 and 4). A "user" also
// stands in a userlist, where it means a client.
var sections = []string{
	"global", "defaults", "frontend", "backend", "listen", "userlist", "peers", "mailers", "resolvers", "program",
	"http-errors", "ring", "log-forward", "log-profile", "cache", "fcgi-app", "crt-store", "traces", "acme",
}

// held are the ports that the operator's files bind, as far as they can be read
// from them (manual section 4.2, "bind"); what stands in variables is found in
// /proc once it runs.
func (x extras) held() []model.Held {
	var held []model.Held
	for _, p := range x.paths {
		lines := bufio.NewScanner(strings.NewReader(x.files[p]))
		lines.Buffer(nil, extraLimit+1)
		for n := 1; lines.Scan(); n++ {
			m := bindLine.FindStringSubmatch(lines.Text())
			if m == nil {
				continue
			}
			for _, spec := range strings.Split(m[1], ",") {
				for _, h := range parseBind(spec) {
					h.Owner, h.Operator = fmt.Sprintf("%s line %d", p, n), true
					held = append(held, h)
				}
			}
		}
	}
	return held
}

// parseBind reads one address of a bind line: "[proto@][address]:port[-port]".
func parseBind(spec string) []model.Held {
	if proto, rest, ok := strings.Cut(spec, "@"); ok {
		if !slices.Contains([]string{"ipv4", "ipv6", "tcp", "tcp4", "tcp6"}, proto) {
			return nil
		}
		spec = rest
	}
	i := strings.LastIndexByte(spec, ':')
	if i < 0 {
		return nil
	}
	addr := netip.IPv6Unspecified() // a host name may be any address
	host := strings.Trim(spec[:i], "[]")
	if host == "*" || host == "" {
		addr = netip.IPv4Unspecified()
	} else if a, err := netip.ParseAddr(host); err == nil {
		addr = a
	}
	first, last, isRange := strings.Cut(spec[i+1:], "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	if err != nil || err2 != nil {
		return nil
	}
	var held []model.Held
	for port := from; port <= to; port++ {
		held = append(held, model.Held{Address: addr, Port: uint16(port)})
	}
	return held
}
