package haproxy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// alert is one thing that HAProxy says, about a line of a file if it names one.
type alert struct {
	file string
	line int
	text string
}

const (
	alertLevel   = "ALERT"
	warningLevel = "WARNING"
)

var alertLine = regexp.MustCompile(`(?m)^\[(ALERT|WARNING)\]\s+\(\d+\) : (?:config : )?(?:[Pp]arsing )?(?:Binding )?(?:\[(.+?):(\d+)\] ?:? ?)?(.*)$`)

// parseAlerts reads what HAProxy prints about a configuration it refuses.
func parseAlerts(output, level string) []alert {
	var alerts []alert
	for _, m := range alertLine.FindAllStringSubmatch(output, -1) {
		if m[1] == level {
			line, _ := strconv.Atoi(m[3])
			alerts = append(alerts, alert{file: m[2], line: line, text: strings.TrimSpace(m[4])})
		}
	}
	return alerts
}

// tracer finds out what HAProxy's words about a generation are about.
type tracer struct {
	dir      string
	extra    extras
	sections map[string]string   // "backend home:web:shop:80" -> the object's name
	servers  map[string]string   // of probes
	lines    map[string][]string // of the files that were asked for
}

func newTracer(dir string, x extras, want model.State) *tracer {
	t := &tracer{
		dir: dir, extra: x, sections: sectionOwners(want),
		servers: make(map[string]string, len(want.Probes)), lines: map[string][]string{},
	}
	for _, p := range want.Probes {
		t.servers[encode(p.Name)] = p.Name
	}
	return t
}

// trace finds the first operator's file that is meant, or all objects that are, each
// with the first words about it. Warnings count where HAProxy was told to take
// them for errors ("zero-warning").
func (t *tracer) trace(output string) (path, text string, objects map[string]string) {
	objects = map[string]string{}
	for _, level := range []string{alertLevel, warningLevel} {
		for _, a := range parseAlerts(output, level) {
			path, name := t.find(a)
			switch {
			case path != "" && a.line > 0:
				return path, fmt.Sprintf("line %d: %s", a.line, a.text), nil
			case path != "":
				return path, a.text, nil
			case name != "" && objects[name] == "":
				objects[name] = a.text
			}
		}
		if len(objects) > 0 {
			break
		}
	}
	return "", "", objects
}

// find is the operator's file or the object that an alert is about.
func (t *tracer) find(a alert) (path, object string) {
	if a.file == "" {
		return t.named(a.text)
	}
	name := filepath.Base(a.file)
	if path, ok := t.extra.original(name); ok {
		return path, ""
	}
	lines, ok := t.lines[name]
	if !ok {
		data, _ := os.ReadFile(filepath.Join(t.dir, name)) // without it nobody is to blame
		lines = strings.Split(string(data), "\n")
		t.lines[name] = lines
	}
	if name != probesFile {
		return "", owner(t.sections, lines, a.line)
	}
	if a.line >= 1 && a.line <= len(lines) {
		if f := strings.Fields(lines[a.line-1]); len(f) > 1 && f[0] == "server" {
			return "", t.servers[f[1]]
		}
	}
	return "", ""
}

// named finds whom an alert without a line is about by the first of the names that
// it holds: "Proxy 'f': unable to find required use_backend: 'b'." Names of the model
// have a ":" in them, and so are no other words.
func (t *tracer) named(text string) (path, object string) {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ',()[]", r) })
	for _, word := range words {
		section, server, _ := strings.Cut(strings.TrimRight(word, ":."), "/")
		if strings.HasPrefix(section, probesPrefix) && t.servers[server] != "" {
			return "", t.servers[server]
		}
		for _, kind := range []string{"backend ", "frontend "} {
			if name := t.sections[kind+section]; name != "" {
				return "", name
			}
		}
	}
	for i, quoted := range strings.Split(text, "'") {
		if i%2 == 0 {
			continue
		}
		proxy, _, _ := strings.Cut(quoted, "/")
		if path := t.extra.declares(strings.TrimPrefix(proxy, "server ")); path != "" {
			return path, ""
		}
	}
	return "", ""
}

// declares finds the file with a proxy of that name.
func (x extras) declares(proxy string) string {
	for _, p := range x.paths {
		for line := range strings.Lines(x.files[p]) {
			f := strings.Fields(line)
			if len(f) > 1 && f[1] == proxy && slices.Contains([]string{"frontend", "backend", "listen"}, f[0]) {
				return p
			}
		}
	}
	return ""
}
