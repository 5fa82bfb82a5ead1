package haproxy

import (
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// Routes are found in two maps per HTTP listener, both keyed by host and path in
// one string: "shop.test/cart" for a host, ".shop.test/cart" for a wildcard and
// "/cart" for any host. The exact map is looked up with the whole path; the
// prefix map holds the longest prefix, always with a trailing "/", so that a
// prefix ends at a path element. Cost does not grow with the number of routes.
const (
	exactMap  = "exact"
	prefixMap = "prefix"
)

// mapEntry is one line of a map.
type mapEntry struct {
	listener string // the model's name
	kind     string // exactMap or prefixMap
	key      string
	value    string // the encoded name of a backend
}

// entry is the map line of an HTTP route.
func entry(r *model.Route) mapEntry {
	e := mapEntry{listener: r.Listener, kind: prefixMap, value: routeTarget(r)}
	host := strings.TrimPrefix(r.Match.Host, "*")
	if r.Match.Exact {
		e.kind, e.key = exactMap, host+r.Match.Path
	} else {
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

// renderMaps returns the content of every map file of the state's HTTP
// listeners, by file name. A listener without routes has empty maps.
func renderMaps(s model.State) map[string]string {
	lines := map[string][]string{}
	for _, l := range s.Listeners {
		if l.Protocol == model.HTTP {
			lines[mapFile(l.Name, exactMap)] = nil
			lines[mapFile(l.Name, prefixMap)] = nil
		}
	}
	for _, r := range s.Routes {
		e := entry(r)
		if _, ok := lines[mapFile(e.listener, e.kind)]; ok {
			f := mapFile(e.listener, e.kind)
			lines[f] = append(lines[f], e.key+" "+e.value+"\n")
		}
	}
	files := make(map[string]string, len(lines))
	for f, l := range lines {
		slices.Sort(l)
		files[f] = strings.Join(l, "")
	}
	return files
}
