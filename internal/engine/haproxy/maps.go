package haproxy

import (
	"maps"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// Routes are found in two maps per HTTP listener, both keyed by host and path in
// one string: "shop.test/cart" for a host, ".shop.test/cart" for a wildcard and
// "/cart" for any host. The exact map is looked up with the whole path; the
// prefix map holds the longest prefix, always with a trailing "/", so that a
// prefix ends at a path element. A listener that passes TLS through has only the
// exact one, with hosts alone. Cost does not grow with the number of routes.
const (
	exactMap  = "exact"
	prefixMap = "prefix"
)

// mapKinds are the maps of a listener.
func mapKinds(l *model.Listener) []string {
	switch l.Protocol {
	case model.HTTP:
		return []string{exactMap, prefixMap}
	case model.TLS:
		return []string{exactMap}
	}
	return nil
}

// mapEntry is one line of a map.
type mapEntry struct {
	listener string // the model's name
	kind     string // exactMap or prefixMap
	key      string
	value    string // the encoded name of a backend, and its limit
}

// entry is the map line of a route on a listener with maps.
func entry(r *model.Route) mapEntry {
	e := mapEntry{listener: r.Listener, kind: prefixMap, value: routeTarget(r) + limitValue(r)}
	host := strings.TrimPrefix(r.Match.Host, "*")
	switch {
	case r.Protocol == model.TLS:
		e.kind, e.key = exactMap, host
	case r.Match.Exact:
		e.kind, e.key = exactMap, host+r.Match.Path
	default:
		e.key = host + strings.TrimRight(r.Match.Path, "/") + "/"
	}
	return e
}

// routeTarget is the encoded backend that a route leads to.
func routeTarget(r *model.Route) string {
	if len(r.Backends) == 0 {
		return nobody
	}
	return encode(r.Backends[0].Name)
}

// mapFile is the path of a listener's map below the maps folder.
func mapFile(listener, kind string) string {
	return fileName("", listener, "."+kind+".map")
}

// mapLines are the lines of every map file, sorted: file -> lines.
type mapLines map[string][]string

// mapsOf are the maps of the state's listeners. A listener without routes has
// empty ones.
func mapsOf(s model.State) mapLines {
	type key struct{ listener, kind string }
	files := map[key]string{}
	lines := mapLines{}
	for _, l := range s.Listeners {
		for _, kind := range mapKinds(l) {
			f := mapFile(l.Name, kind)
			files[key{l.Name, kind}], lines[f] = f, nil
		}
	}
	for _, r := range s.Routes {
		e := entry(r)
		if f, ok := files[key{e.listener, e.kind}]; ok {
			lines[f] = append(lines[f], e.line())
		}
	}
	for _, l := range lines {
		slices.Sort(l)
	}
	return lines
}

func (e mapEntry) line() string { return e.key + " " + e.value + "\n" }

// change brings a plan's routes in and returns the files that are others by it.
func (m mapLines) change(steps []plan.Step[model.Route]) []string {
	touched := map[string]bool{}
	for _, s := range steps {
		for _, r := range []*model.Route{s.Have, s.Want} {
			if r == nil {
				continue
			}
			e := entry(r)
			f := mapFile(e.listener, e.kind)
			lines, ok := m[f]
			if !ok {
				continue
			}
			i, found := slices.BinarySearch(lines, e.line())
			switch {
			case r == s.Want:
				lines = slices.Insert(lines, i, e.line())
			case found:
				lines = slices.Delete(lines, i, i+1)
			}
			m[f], touched[f] = lines, true
		}
	}
	return slices.Sorted(maps.Keys(touched))
}

// render is the content of a map file.
func (m mapLines) render(file string) string { return strings.Join(m[file], "") }

// renderMaps returns the content of every map file, by file name.
func renderMaps(s model.State) map[string]string {
	lines := mapsOf(s)
	files := make(map[string]string, len(lines))
	for f := range lines {
		files[f] = lines.render(f)
	}
	return files
}
