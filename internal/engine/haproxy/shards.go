package haproxy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// Backends and listeners are divided into so many files by a hash of their names. A
// file each would be one too many at about 1,700: HAProxy keeps the paths of all its
// files in one environment variable, HAPROXY_CFGFILES, and the kernel takes no
// string of more than 128 kB. Many, because a change of one backend writes a file.
const (
	backendShards  = 512
	listenerShards = 64
)

func backendFile(name string) string  { return shardFile(backendPart, name, backendShards) }
func listenerFile(name string) string { return shardFile(listenerPart, name, listenerShards) }

// shardFile is the file that holds an object, now and ever.
func shardFile(part, name string, count uint32) string {
	h := uint32(2166136261) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return fmt.Sprintf("%s%03d%s", part, h%count, cfgSuffix)
}

// shard is what one file holds, by the objects' names.
type shard[T any] map[string]*section[T]

// section is an object and its part of the file, once it was rendered: what did
// not change is not rendered again.
type section[T any] struct {
	object *T
	text   string
}

// shards are the files of backends and listeners: file -> what it holds.
type shards struct {
	backends  map[string]shard[model.Backend]
	listeners map[string]shard[model.Listener]
}

func newShards(s model.State) *shards {
	sh := &shards{backends: map[string]shard[model.Backend]{}, listeners: map[string]shard[model.Listener]{}}
	for _, b := range s.Backends {
		put(sh.backends, backendFile(b.Name), b.Name, b)
	}
	for _, l := range s.Listeners {
		put(sh.listeners, listenerFile(l.Name), l.Name, l)
	}
	return sh
}

func put[T any](files map[string]shard[T], file, name string, object *T) {
	if files[file] == nil {
		files[file] = shard[T]{}
	}
	files[file][name] = &section[T]{object: object}
}

// change brings a plan in and returns the files that are others by it.
func (sh *shards) change(p plan.Plan) []string {
	var touched []string
	for _, s := range p.Backends {
		touched = append(touched, changeShard(sh.backends, backendFile, s, func(b *model.Backend) string { return b.Name }))
	}
	for _, s := range p.Listeners {
		touched = append(touched, changeShard(sh.listeners, listenerFile, s, func(l *model.Listener) string { return l.Name }))
	}
	slices.Sort(touched)
	return slices.Compact(touched)
}

func changeShard[T any](files map[string]shard[T], where func(string) string, s plan.Step[T], name func(*T) string) string {
	if s.Want != nil {
		file := where(name(s.Want))
		put(files, file, name(s.Want), s.Want)
		return file
	}
	file := where(name(s.Have))
	delete(files[file], name(s.Have))
	return file
}

// render is the content of a file; empty means that there is none.
func (sh *shards) render(r renderer, file string, tcp map[string]*model.Route) string {
	return sh.backends[file].render(r.backend) +
		sh.listeners[file].render(func(l *model.Listener) string { return r.listenerFile(l, tcp[l.Name]) })
}

func (s shard[T]) render(one func(*T) string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		x := s[name]
		if x.text == "" {
			x.text = one(x.object)
		}
		b.WriteString(x.text)
	}
	return b.String()
}

// sectionOwners finds the object whose section of a shard's content a line is in:
// encoded name -> name.
func sectionOwners(s model.State) map[string]string {
	owners := make(map[string]string, len(s.Backends)+2*len(s.Listeners))
	for _, b := range s.Backends {
		owners["backend "+encode(b.Name)] = b.Name
	}
	for _, l := range s.Listeners {
		owners["frontend "+frontend(l.Name)] = l.Name
		owners["backend "+nextPrefix+encode(l.Name)] = l.Name
	}
	return owners
}

// owner finds the object that a line came from: the last section that begins at
// or above it.
func owner(owners map[string]string, lines []string, line int) string {
	for i := min(line, len(lines)) - 1; i >= 0; i-- {
		if f := strings.Fields(lines[i]); len(f) >= 2 {
			if name, ok := owners[f[0]+" "+f[1]]; ok && !strings.HasPrefix(lines[i], " ") {
				return name
			}
		}
	}
	return ""
}
