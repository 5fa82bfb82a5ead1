package haproxy

import (
	"context"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// RereadExtras is what Run does every two seconds.
func (e *Engine) RereadExtras() bool { return e.rereadExtras() }

// Bury is what Run does twice a second.
func (e *Engine) Bury() { e.bury(context.Background()) }

// HoldFiles keeps files from being written behind changes.
func (e *Engine) HoldFiles() { e.writing = true }

// Expect is the first step of a runtime change.
func (e *Engine) Expect(want model.State) {
	e.disk.expect(plan.Diff(e.have, want), e.names.clone())
}

// AsRemembered is what Run does in a minute.
func (e *Engine) AsRemembered(ctx context.Context) bool {
	for range patrolRound {
		if !e.asRemembered(ctx) {
			return false
		}
	}
	return true
}
