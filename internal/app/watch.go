package app

import (
	"context"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
)

// A look that takes long is followed by a longer pause: looking takes no more than
// a fifth of the time, until the pause is the longest there is.
const (
	pausePerLook = 4
	longestPause = 5 * time.Second
)

// Watch looks at the running edge until ctx ends, and shows each look. An edge that
// does not answer any more is asked again; one that does not answer at first, and
// a look that cannot be shown, end it.
func Watch(ctx context.Context, edge *spec.Edge, every time.Duration, depth engine.Depth, show func(status.Look) error) error {
	var last status.Status // in which the engine had its word
	var lastAt time.Time
	answered := false
	for {
		began := time.Now()
		s, err := AskStatus(ctx, edge, depth)
		now := time.Now()
		look := status.Look{At: s.At, Status: &s}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !answered:
			return err
		case err != nil:
			look = status.Look{At: now, Error: err.Error()}
		default:
			answered = true
			look.Rates = status.Compare(last, s, now.Sub(lastAt))
			if s.Counted() {
				last, lastAt = s, now
			}
		}
		if err := show(look); err != nil {
			return err
		}
		took := now.Sub(began)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(every-took, min(pausePerLook*took, longestPause))):
		}
	}
}
