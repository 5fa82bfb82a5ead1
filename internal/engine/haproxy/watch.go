package haproxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

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

// gone reports whether a process has ended.
func gone(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// plainPath needs no quotes, neither in a line nor as an argument of a converter.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/_.+@-]+$`)

// CheckPaths refuses folders that HAProxy would misread or its workers cannot
// enter, and socket paths that the kernel would refuse (unix(7): 108 bytes with the
// final zero; ErrSocketPath).
func CheckPaths(s Settings) error {
	const limit = 107
	for _, dir := range []string{s.Dir, s.RunDir} {
		if !plainPath.MatchString(dir) {
			return fmt.Errorf("the folder %q cannot stand in HAProxy's configuration; use letters, digits and - _ . + @ in stateDir and admin.socket", dir)
		}
	}
	// HAProxy keeps the paths of all files in one variable: see shards.go.
	const variable = 128 << 10
	if (backendShards+listenerShards+100)*len(filepath.Join(s.Dir, currentLink, backendPart+"000"+cfgSuffix)+";") > variable {
		return fmt.Errorf("the path of the state folder is too long for HAProxy (%d bytes): choose a shorter stateDir", len(s.Dir))
	}
	for _, name := range []string{masterSocket, statsSocket, metricsSocket, peersSocket, logSocket, nextSockets + "3w5e11264sgsf.sock"} {
		// HAProxy binds a temporary name first: the path, a pid and ".tmp".
		if p := s.socket(name); len(p) > limit-len(".4194304.tmp") {
			return fmt.Errorf("%w: %s has %d bytes, and at most %d are possible; choose a shorter folder for admin.socket",
				ErrSocketPath, p, len(p), limit-len(".4194304.tmp"))
		}
	}
	if s.User == "" {
		return nil
	}
	return enterable(s.RunDir, s.User)
}

// enterable refuses a folder that workers cannot enter: they connect to each
// other by the sockets in it.
func enterable(dir, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("look up whom HAProxy's workers run as: %w", err)
	}
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		switch {
		case errors.Is(err, os.ErrNotExist): // will be made so that it can be entered
		case err != nil:
			return fmt.Errorf("look at the socket folder: %w", err)
		case !mayEnter(info, u):
			return fmt.Errorf("HAProxy's workers run as user %s, who may not enter %s; run 'chmod o+x %s', "+
				"or choose another folder for admin.socket", name, d, d)
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

func mayEnter(info os.FileInfo, u *user.User) bool {
	const others, group, owner = 0o001, 0o010, 0o100
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case u.Uid == "0", !ok:
		return true
	case strconv.Itoa(int(st.Uid)) == u.Uid:
		return info.Mode()&owner != 0
	case strconv.Itoa(int(st.Gid)) == u.Gid:
		return info.Mode()&group != 0
	}
	return info.Mode()&others != 0
}
