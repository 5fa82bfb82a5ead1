package haproxy

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/landfall-edge/landfall/internal/journal"
	"github.com/landfall-edge/landfall/internal/model"
)

// Remembered is engine.Rememberer's. After a crash or a boot it is what HAProxy
// would be started with.
func (e *Engine) Remembered() model.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	path := e.disk.path(currentLink, journalFile)
	if _, err := os.Stat(path); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			e.log.Warn("cannot tell what was applied last", "engine", "haproxy", "error", err)
		}
		return model.State{}
	}
	var s model.State
	j, err := journal.Open(path, func(key string, value json.RawMessage) error { return recallObject(&s, key, value) })
	if err != nil {
		e.log.Warn("cannot tell what was applied last", "engine", "haproxy", "error", err)
		return model.State{}
	}
	_ = j.Close() // nothing was put
	sortState(&s)
	return s
}
