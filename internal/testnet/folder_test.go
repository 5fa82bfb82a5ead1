package testnet_test

import (
	"os/exec"
	"testing"

	"github.com/landfall-edge/landfall/internal/testnet"
)

func TestFolderEndsDaemons(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "cat")
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	t.Run("a test that forgets", func(t *testing.T) {
		cmd.Args = []string{"cat", "-", testnet.Folder(t) + "/socket"}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	if err := cmd.Wait(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("it ended by %v", err)
	}
}
