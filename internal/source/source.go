// Package source is the contract of everything that asks for something to be
// served, and the Set that reads several of them in order of precedence.
package source

import (
	"context"
	"errors"

	"github.com/landfall-edge/landfall/internal/model"
)

// ErrNotSynced is returned by Read before a source has its first whole answer.
var ErrNotSynced = errors.New("not synced yet")

// Source asks for something to be served.
type Source interface {
	// Name is the source's name in the edge's file.
	Name() string
	// Run keeps the source fresh until ctx ends and calls changed after each
	// change that Read would show. A failure that may pass is retried inside and
	// told by Read; Run returns an error only for what no retry can mend.
	Run(ctx context.Context, changed func()) error
	// Read returns what is asked for now, quickly and from memory. With an error
	// the source has no answer (ErrNotSynced before its first); a stale one
	// returns its last good Fragment and an error that says since when and why.
	Read(ctx context.Context) (model.Fragment, error)
}

// Reporter is a Source that can tell its objects what became of them.
type Reporter interface {
	// Report writes where this source's objects are served and what was found
	// wrong with them. It is called after each turn that changed either, with
	// everything there is to say, and must not block on the network: what cannot
	// be written now is retried in Run.
	Report(ctx context.Context, outcomes []*model.Outcome, findings []model.Finding)
}
