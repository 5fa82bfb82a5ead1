package testwait_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/landfall-edge/landfall/internal/testwait"
)

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		due := time.Now().Add(testwait.Patience - time.Second)
		testwait.Until(t, "the time", func() bool { return !time.Now().Before(due) })
	})
}

// failing keeps the error that would end the test.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestGivesUp(t *testing.T) {
	tests := []struct{ seen, want string }{
		{"", "the answer: not within 1m0s"},
		{"nothing", "the answer: not within 1m0s; last seen: nothing"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			f := &failing{TB: t}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				testwait.UntilSeen(f, "the answer", func() (bool, string) { return false, tt.seen })
			}()
			<-ended
			if f.said != tt.want {
				t.Errorf("got %q, want %q", f.said, tt.want)
			}
		})
	}
}
