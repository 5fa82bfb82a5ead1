package app_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// The demo is started, one endpoint is added, a mistake made and mended, the edge
// asked, and all of it ended; nothing is left.
func TestDemo(t *testing.T) {
	needHAProxy(t)
	dir, port := testnet.Folder(t), testnet.FreePort(t)
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := app.Demo(ctx, app.DemoOptions{Options: options(), Program: "landfall", Dir: dir, HTTPPort: port, Out: in})
		ended <- err
		_ = in.CloseWithError(err)
	}()
	lines := bufio.NewScanner(out)
	next := func(text string) string {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return lines.Text()
			}
		}
		t.Fatalf("it never said %q: %v", text, lines.Err())
		return ""
	}
	next("landfall status -c " + filepath.Join(dir, "edge.yaml"))
	next("Ctrl-C")
	await(t, port, "shop.localhost", "shop-1")

	shop := filepath.Join(dir, "manifests", "shop.yaml")
	right, err := os.ReadFile(shop)
	if err != nil {
		t.Fatal(err)
	}
	more := regexp.MustCompile(`(?m)^#(- addresses|  targetRef)`).ReplaceAll(right, []byte("$1"))
	write(t, shop, more)
	if line := next("web/shop"); !strings.Contains(line, "added, live in") || !strings.HasSuffix(line, "no reload") {
		t.Errorf("it tells of the endpoint: %s", line)
	}
	await(t, port, "shop.localhost", "shop-3")
	write(t, shop, []byte("nonsense: ["))
	next("! shop.yaml:1: ")
	await(t, port, "shop.localhost", "shop-3") // as it was when it was last right
	write(t, shop, more)
	next("shop.yaml: mended")

	edge, err := app.Load(filepath.Join(dir, "edge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := app.AskStatus(ctx, edge, engine.Brief)
	if err != nil || !s.Ready || len(s.Findings) > 0 || s.HAProxy.Reloads > 0 {
		t.Errorf("%v; status %+v", err, s)
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("end: %v", err)
	}
	if err := app.Stop(t.Context(), edge, 0, options().Log); app.Classify(err) != app.NotRunning {
		t.Errorf("something still runs: %v", err)
	}
	for _, gone := range []string{"state", "run"} {
		if _, err := os.Stat(filepath.Join(dir, gone)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
}

// write replaces a file in one step, as an editor does.
func write(t *testing.T, path string, text []byte) {
	t.Helper()
	next := filepath.Join(t.TempDir(), "next")
	if err := os.WriteFile(next, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}
