package kube

import (
	"context"
	"time"

	"k8s.io/utils/clock"
)

// clockUntil is the clock of reflectors, which wait for it before some attempts
// without looking at their context. It is over when ctx is, so that an end does
// not take as long as the pause between two attempts.
type clockUntil struct {
	clock.RealClock
	ctx context.Context
}

// After is over when d or ctx is. They look at ctx next.
func (c clockUntil) After(d time.Duration) <-chan time.Time {
	over := make(chan time.Time, 1)
	go func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-c.ctx.Done():
		case <-timer.C:
		}
		over <- time.Now()
	}()
	return over
}
