package manifests_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/landfall-edge/landfall/internal/testnet"
)

// TestMountedOver: a file system that is mounted over the folder is seen at once,
// and not when the folder is looked at for no reason.
func TestMountedOver(t *testing.T) {
	if !testnet.Inside(t) { // with mounts of its own
		return
	}
	files, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(files, "web.yaml"), service("web", 80))
	mounted := false
	t.Cleanup(func() {
		if mounted {
			check(t, syscall.Unmount(dir, syscall.MNT_DETACH))
		}
	})
	r := start(t, dir)
	r.await("an empty folder", names(""))
	for range 3 { // one of them might meet a regular look
		check(t, syscall.Mount(files, dir, "", syscall.MS_BIND, ""))
		mounted = true
		r.await("what was mounted", names("default/web"))
		check(t, syscall.Unmount(dir, syscall.MNT_DETACH))
		mounted = false
		r.await("what lies below", func(a answer) bool { return a.err != nil })
	}
}
