package haproxy

import (
	"context"
	"fmt"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// After a reload the old worker still has kept-alive connections, each with one
// request more to come. It cannot be told any longer which endpoints left or came
// (to "set server" a stopping HAProxy says "Proxy is disabled."), so it passes such
// a request on to its successor, which routes it by what is served now. The
// PROXY protocol carries the client's address over.
const (
	nextPrefix = "landfall-next:" // a backend per HTTP listener
	nextServer = "successor"
	nextID     = 1000 // of the listener's socket for its predecessors
)

// nextSocket is where a listener takes requests from the worker before it.
func (s Settings) nextSocket(listener string) string {
	return s.socket(nextSockets + fingerprint(listener) + ".sock")
}

// fromPredecessor is the bind line of an HTTP listener's socket.
func (s Settings) fromPredecessor(l *model.Listener) string {
	return fmt.Sprintf("  bind unix@%s mode 600%s accept-proxy id %d\n", s.nextSocket(l.Name), s.owner(), nextID)
}

// orPredecessor lets through what the predecessor has already let through.
func (s Settings) orPredecessor(l *model.Listener) string {
	if l.Protocol != model.HTTP {
		return ""
	}
	return fmt.Sprintf(" || { so_id %d }", nextID)
}

// toSuccessor is the rule and the backend that pass requests on. Without its
// server, which Stop disables, the worker answers by itself to the end.
func (s Settings) toSuccessor(l *model.Listener) (rule, backend string) {
	name := nextPrefix + encode(l.Name)
	rule = fmt.Sprintf("  use_backend %s if { stopping } { srv_is_up(%s/%s) }\n", name, name, nextServer)
	backend = fmt.Sprintf("backend %s from landfall-http\n  server %s unix@%s send-proxy-v2\n", name, nextServer, s.nextSocket(l.Name))
	return rule, backend
}

// noSuccessor tells the worker that nobody will follow it.
func (e *Engine) noSuccessor(ctx context.Context) error {
	backends, err := e.stats.ask(ctx, "show backend")
	if err != nil {
		return err
	}
	var commands []command
	for name := range strings.FieldsSeq(backends) {
		if strings.HasPrefix(name, nextPrefix) {
			commands = append(commands, command{text: "disable server " + name + "/" + nextServer})
		}
	}
	return e.stats.run(ctx, commands)
}
