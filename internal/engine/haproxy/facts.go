package haproxy

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// One of these ports is Settings.OKPort.
const (
	okPortFirst = 9181
	okPorts     = 100
)

// Facts looks at the binary and the machine, and changes nothing.
func Facts(ctx context.Context, c Config) (Settings, error) {
	features, err := Detect(ctx, c.Binary)
	if err != nil {
		return Settings{}, err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return Settings{}, fmt.Errorf("find state folder: %w", err)
	}
	run, err := filepath.Abs(c.RunDir)
	if err != nil {
		return Settings{}, fmt.Errorf("find socket folder: %w", err)
	}
	s := Settings{Features: features, Dir: dir, RunDir: run, OpenFiles: openFiles(), Spares: c.Spares}
	_, err = os.Stat("/proc/net/if_inet6")
	s.IPv6 = err == nil
	_, err = os.Stat("/dev/log")
	s.Syslog = err == nil
	if os.Geteuid() == 0 {
		s.User, s.UserChosen = currentExtras(c).user()
		if _, err := user.Lookup("haproxy"); err == nil && !s.UserChosen {
			s.User = "haproxy"
		}
	}
	s.OKPort = okPort(dir)
	return s, nil
}

// openFiles is the hard limit of this process, which HAProxy inherits and must
// not exceed without CAP_SYS_RESOURCE.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return int(min(l.Max, 1<<20))
}

// okPort is the port kept from an earlier start, or a free one.
func okPort(dir string) uint16 {
	if data, err := os.ReadFile(filepath.Join(dir, okPortFile)); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 16); err == nil && n > 0 {
			return uint16(n)
		}
	}
	// Edges that start together on one machine look at the same ports: each begins
	// with another.
	h := fnv.New32a()
	h.Write([]byte(dir))
	return freeOKPort(okPortFirst + uint16(h.Sum32()%okPorts))
}

// freeOKPort is p if nobody listens on it, else another.
func freeOKPort(p uint16) uint16 {
	// Without listening: another edge of this machine may be about to.
	free := func(port uint16) bool {
		sockets, err := listening("/proc", map[uint16]bool{port: true})
		return err == nil && len(sockets) == 0 && tryBind(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)) == nil
	}
	if free(p) {
		return p
	}
	for i := range uint16(okPorts) {
		if port := okPortFirst + (p-okPortFirst+i)%okPorts; free(port) {
			return port
		}
	}
	return p
}

// keepOKPort makes the choice last: a reload must find the same port.
func keepOKPort(s Settings) error {
	if kept, err := os.ReadFile(filepath.Join(s.Dir, okPortFile)); err == nil && strings.TrimSpace(string(kept)) == portString(s.OKPort) {
		return nil
	}
	err := os.WriteFile(filepath.Join(s.Dir, okPortFile), []byte(portString(s.OKPort)+"\n"), 0o600)
	if err != nil {
		return fmt.Errorf("keep port: %w", err)
	}
	return nil
}
