package haproxy

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ended waits until a process has ended, and reports false when ctx ended first.
// A process that is only a zombie has ended.
func ended(ctx context.Context, pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer unix.Close(fd)
	for ctx.Err() == nil {
		const milliseconds = 200 // between looks at ctx
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, milliseconds)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return true
		}
	}
	return false
}

// checkSockets refuses socket paths that the kernel would (unix(7): 108 bytes
// with the final zero).
func checkSockets(s Settings) error {
	const limit = 107
	for _, name := range []string{masterSocket, statsSocket, metricsSocket, peersSocket, logSocket} {
		// HAProxy binds a temporary name first: the path, a pid and ".tmp".
		if p := s.socket(name); len(p) > limit-len(".4194304.tmp") {
			return fmt.Errorf("%w: %s has %d bytes, and at most %d are possible; choose a shorter folder for admin.socket",
				ErrSocketPath, p, len(p), limit-len(".4194304.tmp"))
		}
	}
	return nil
}
