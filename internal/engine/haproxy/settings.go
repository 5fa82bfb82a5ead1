package haproxy

import (
	"path/filepath"

	"github.com/landfall-edge/landfall/internal/model"
)

// The sockets, below Settings.RunDir. A Unix socket's path may have 107 bytes.
const (
	masterSocket  = "haproxy-master.sock"
	statsSocket   = "haproxy.sock"
	metricsSocket = "haproxy-metrics.sock"
	peersSocket   = "haproxy-peers.sock"
	logSocket     = "haproxy-log.sock"
	nextSockets   = "haproxy-next-" // one per HTTP listener
)

// The files, below Settings.Dir.
const (
	currentLink  = "current"       // -> the generation that was loaded last
	generations  = "generation-"   // folders of configuration files
	mapsDir      = "maps"          // of all generations
	listsDir     = "lists"         // source ranges, of all generations
	loadedFile   = "loaded.json"   // in a generation: the shapes that its worker has
	globalFile   = "10-global.cfg" // in a generation
	probesFile   = "20-probes.cfg" // in a generation
	sparesFile   = "25-spares.cfg" // in a generation
	backendPart  = "30-backends-"  // in a generation, by shard
	listenerPart = "40-listeners-" // in a generation, by shard
	extraPart    = "00-extra-"     // in a generation: copies of the operator's files
	journalFile  = "applied.jsonl" // in a generation: what runs, in the model's words
	outputFile   = "haproxy.log"   // what HAProxy prints
	okPortFile   = "ok-port"       // Settings.OKPort, kept over starts
	cfgSuffix    = ".cfg"
)

func (s Settings) socket(name string) string { return filepath.Join(s.RunDir, name) }

func (s Settings) list(l *model.Listener) string {
	return filepath.Join(s.Dir, listsDir, listFile(l))
}

func (s Settings) mapPath(listener, kind string) string {
	return filepath.Join(s.Dir, mapsDir, mapFile(listener, kind))
}
