package haproxy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

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
	files := make(map[string]string, backendShards+listenerShards+2)
	files[globalFile] = renderGlobal(r.settings, fixedFiles(s))
	if r.settings.Spares > 0 {
		files[sparesFile] = renderSpares(r.settings.Spares)
	}
	if len(s.Probes) > 0 {
		files[probesFile] = r.probeSections(s.Probes)
	}
	sh, tcp := newShards(s), tcpRoutes(s)
	for file := range sh.backends {
		files[file] = sh.render(r, file, tcp)
	}
	for file := range sh.listeners {
		files[file] = sh.render(r, file, tcp)
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
	return fileName("", l.Name, "."+fingerprint(renderList(l))+".lst")
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
	for _, step := range p.Listeners {
		if l := step.Want; l != nil {
			if why := unbindable(l); why != "" {
				add(l.Name, "%s", why)
			}
		}
	}
	for _, step := range p.Routes {
		if r := step.Want; r != nil {
			if why := unroutable(r); why != "" {
				add(r.Name, "%s", why)
			}
		}
	}
	for _, step := range p.Backends {
		if b := step.Want; b != nil {
			if why := unservable(b); why != "" {
				add(b.Name, "%s", why)
			}
		}
	}
	for _, step := range p.Probes {
		if w := step.Want; w != nil {
			why := uncheckable(w.Name, w.Path)
			if strange(w.Address) {
				why = "its address is none"
			}
			if why != "" {
				add(w.Name, "%s", why)
			}
		}
	}
	if refused == nil {
		return nil
	}
	return &engine.RefusedError{Objects: refused}
}

// nameLimit keeps a runtime command, which names up to three objects of which
// each byte may take three, below what a line may have.
const nameLimit = 1024

// strange reports an address that is none, or whose zone is no name of an interface.
func strange(a netip.Addr) bool {
	return !a.IsValid() || unprintable(a.Zone()) || strings.ContainsAny(a.Zone(), `#'"\;$%/`)
}

// unbindable says why a listener cannot be rendered.
func unbindable(l *model.Listener) string {
	switch {
	case len(l.Name) > nameLimit:
		return fmt.Sprintf("the name is longer than %d bytes", nameLimit)
	case slices.ContainsFunc(l.Addresses, strange):
		return "it is to be bound to what is no address"
	case slices.ContainsFunc(l.SourceRanges, func(p netip.Prefix) bool { return !p.IsValid() }):
		return "a source range is no range of addresses"
	}
	return ""
}

// unservable says why a backend cannot be rendered.
func unservable(b *model.Backend) string {
	if slices.ContainsFunc(b.Endpoints, func(e model.Endpoint) bool { return strange(e.Address.Addr()) }) {
		return "an endpoint is no address"
	}
	return uncheckable(b.Name, cmp.Or(b.Check, &model.Check{}).HTTP)
}

// uncheckable says why a backend or probe with this name and path of its health
// check cannot be rendered.
func uncheckable(name, path string) string {
	switch {
	case len(name) > nameLimit:
		return fmt.Sprintf("the name is longer than %d bytes", nameLimit)
	case unprintable(path):
		return "the path of a health check may hold no spaces and no control characters"
	case len(path) > nameLimit:
		return fmt.Sprintf("the path of a health check is longer than %d bytes", nameLimit)
	}
	return ""
}

// unroutable says why a route cannot be an entry of a map. A host or path of
// another form could take the place of someone else's.
func unroutable(r *model.Route) string {
	host, path := r.Match.Host, r.Match.Path
	if why := misdirected(r); why != "" {
		return why
	}
	name := strings.TrimPrefix(host, "*.")
	switch {
	case unprintable(host) || unprintable(path):
		return "host and path may hold no spaces and no control characters"
	case len(host)+len(path) > 2048:
		return "host and path are longer than 2048 bytes"
	case strings.ContainsAny(name, "/*#") || strings.HasPrefix(name, ".") || name == "" && host != "":
		return fmt.Sprintf("%q is not a host: write one such as shop.example.com, or *.example.com", host)
	case path != "" && !strings.HasPrefix(path, "/"):
		return fmt.Sprintf("the path %q does not begin with a slash", path)
	case path == "" && r.Match.Exact:
		return "an exact path is missing"
	}
	return ""
}

// misdirected says what is wrong with a route but for how host and path are written.
func misdirected(r *model.Route) string {
	switch {
	case r.Protocol == model.TLS && (r.Match.Host == "" || r.Match.Path != ""):
		return "TLS is passed through by host alone: write one, and no path"
	case len(r.Backends) > 0 && len(r.Backends[0].Name) > nameLimit:
		return fmt.Sprintf("the name of its backend is longer than %d bytes", nameLimit)
	case len(r.Backends) > 1:
		return "a route to several weighted backends is not supported yet"
	}
	return ""
}

// unprintable reports what ends a word or a line, and what the journal, which is
// JSON, cannot hold.
func unprintable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}
