package testkube_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/landfall-edge/landfall/internal/testneed"
)

// TestBoundToParent kills a parent and waits for its child to end. Both hold the
// pipe's other end, so that the pipe's end is the end of both.
func TestBoundToParent(t *testing.T) {
	testneed.Binary(t, "setpriv")
	script, err := filepath.Abs("bound-to-parent")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	command := filepath.Join(dir, "sh")
	for link, target := range map[string]string{
		command:                       script,
		filepath.Join(dir, "program"): filepath.Dir(testneed.Binary(t, "sh")),
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}

	parent := exec.Command("sh", "-c", `"$1" -c "echo started; exec sleep 3600" & wait`, "sh", command)
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	started := make([]byte, len("started\n"))
	if _, err := io.ReadFull(output, started); err != nil {
		t.Fatalf("wait for the child: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// A child that lives on ends this by the timeout of go test.
	if _, err := io.ReadAll(output); err != nil {
		t.Fatalf("wait for the child's end: %v", err)
	}
	parent.Wait() // killed, which is no news
}
