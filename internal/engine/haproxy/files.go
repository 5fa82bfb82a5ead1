package haproxy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// File is one file of a rendered configuration.
type File struct {
	// Path is relative to Settings.Dir, with "current" for the generation.
	Path    string
	Content string
}

// Render returns every file that the state takes, sorted by path.
func Render(s Settings, state model.State) []File {
	r := newRenderer(s, state.Probes)
	var files []File
	add := func(dir string, content map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(content)) {
			files = append(files, File{Path: dir + "/" + name, Content: content[name]})
		}
	}
	add(currentLink, r.generation(state))
	add(listsDir, renderLists(state))
	add(mapsDir, renderMaps(state))
	return files
}

// generation is the configuration itself: file name -> content.
func (r renderer) generation(s model.State) map[string]string {
	files := make(map[string]string, len(s.Backends)+len(s.Listeners)+2)
	files[globalFile] = renderGlobal(r.settings, fixedFiles(s))
	if len(s.Probes) > 0 {
		files[probesFile] = r.probes(s.Probes)
	}
	for _, b := range s.Backends {
		files[fileName(backendPart, b.Name, cfgSuffix)] = r.backend(b)
	}
	tcp := tcpRoutes(s)
	for _, l := range s.Listeners {
		files[fileName(listenerPart, l.Name, cfgSuffix)] = r.listener(l, tcp[l.Name])
	}
	return files
}

// renderLists holds the source ranges of listeners: file name -> content. They
// stand in files because a line has an end.
func renderLists(s model.State) map[string]string {
	files := map[string]string{}
	for _, l := range s.Listeners {
		if len(l.SourceRanges) > 0 {
			files[listFile(l)] = renderList(l)
		}
	}
	return files
}

// listFile names a list by its content: the list of a running worker is never
// changed under it.
func listFile(l *model.Listener) string {
	return fileName("", l.Name, "."+shape(renderList(l))+".lst")
}

func renderList(l *model.Listener) string {
	var b strings.Builder
	for _, p := range l.SourceRanges {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// refuse finds what cannot be rendered, before HAProxy sees it. The translators
// let none of it through; a second lock on the same door is cheap.
func refuse(p plan.Plan) error {
	var refused []engine.Refused
	add := func(name, format string, args ...any) {
		refused = append(refused, engine.Refused{Name: name, Message: fmt.Sprintf(format, args...)})
	}
	for _, step := range p.Routes {
		r := step.Want
		switch {
		case r == nil:
		case unprintable(r.Match.Host) || unprintable(r.Match.Path):
			add(r.Name, "host and path may hold no spaces and no control characters")
		case len(r.Match.Host)+len(r.Match.Path) > 2048:
			add(r.Name, "host and path are longer than 2048 bytes")
		case len(r.Backends) > 1:
			add(r.Name, "a route to several weighted backends is not supported yet")
		}
	}
	for _, step := range p.Backends {
		if b := step.Want; b != nil && b.Check != nil && unprintable(b.Check.HTTP) {
			add(b.Name, "the path of a health check may hold no spaces and no control characters")
		}
	}
	for _, step := range p.Probes {
		if w := step.Want; w != nil && unprintable(w.Path) {
			add(w.Name, "the path of a probe may hold no spaces and no control characters")
		}
	}
	if refused == nil {
		return nil
	}
	return &engine.RefusedError{Objects: refused}
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}
