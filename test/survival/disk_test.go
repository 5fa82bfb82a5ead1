package survival_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// smallDisk is a folder on a file system of its own, with room for little.
func smallDisk(t *testing.T) string {
	t.Helper()
	testneed.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill takes all the room that is left; free gives it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "somebody-else")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull: there is no room left in the state folder. What can be changed at
// run time is; a new port waits, and the edge says why. Once there is room again
// the port opens by itself, and the files say what runs.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	e := newEdge(t, disk)
	shop := servers(t, "shop", 3)
	e.site("shop", shop[0])
	e.site("other", servers(t, "other", 1)...)
	e.start()
	e.answers("shop.test", "shop")
	e.answers("other.test", "other")
	l := e.load(3, "shop.test", "other.test")
	free := fill(t, disk)

	for _, s := range shop[1:] {
		e.site("shop", s)
		e.await("an endpoint changes", func(st status.Status) bool { return endpointsOf(st, "shop") == s.Address.String() })
	}
	live := time.Now()
	e.site("new", servers(t, "new", 1)...)
	e.answers("new.test", "new")
	l.SetHosts("shop.test", "other.test", "new.test")
	e.noReload("on a full disk")

	port := testnet.FreePort(t)
	e.tcp("raw", port, testload.Serve(t, "127.0.0.1:0", "raw"))
	s := e.await("a new port waits", func(s status.Status) bool {
		return !s.Ready && strings.Contains(strings.Join(s.Waiting, " "), "no space left")
	})
	t.Logf("waiting: %q", s.Waiting)
	e.await("the state of the source cannot be kept", func(s status.Status) bool {
		return slices.ContainsFunc(s.Findings, func(f status.Finding) bool { return f.Reason == "StateNotKept" })
	})
	l.After(200)

	free()
	e.await("everything catches up", func(s status.Status) bool {
		return s.Ready && endpointsOf(s, "raw") != "" && s.HAProxy.Reloads == 1 && len(s.Findings) == 0
	})
	e.same("with room again")
	l.After(200)
	l.Stop()
	if last := shop[1].LastSent(); last.After(live) {
		t.Errorf("a removed endpoint got a request %s after it was removed", last.Sub(live))
	}
}
