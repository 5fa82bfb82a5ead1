package haproxy

import (
	"context"
	"errors"
	"fmt"
	"regexp"

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

// plainPath needs no quotes, neither in a line nor as an argument of a converter.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/_.+@-]+$`)

// checkPaths refuses folders that HAProxy would misread, and socket paths that the
// kernel would refuse (unix(7): 108 bytes with the final zero).
func checkPaths(s Settings) error {
	const limit = 107
	for _, dir := range []string{s.Dir, s.RunDir} {
		if !plainPath.MatchString(dir) {
			return fmt.Errorf("the folder %q cannot stand in HAProxy's configuration; use letters, digits and - _ . + @ in stateDir and admin.socket", dir)
		}
	}
	for _, name := range []string{masterSocket, statsSocket, metricsSocket, peersSocket, logSocket, nextSockets + "3w5e11264sgsf.sock"} {
		// HAProxy binds a temporary name first: the path, a pid and ".tmp".
		if p := s.socket(name); len(p) > limit-len(".4194304.tmp") {
			return fmt.Errorf("%w: %s has %d bytes, and at most %d are possible; choose a shorter folder for admin.socket",
				ErrSocketPath, p, len(p), limit-len(".4194304.tmp"))
		}
	}
	return nil
}
