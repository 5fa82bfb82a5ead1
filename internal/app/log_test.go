package app_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// No line of the log, the engine's included, has a key twice: what reads JSON
// would take either.
func TestLogKeys(t *testing.T) {
	needHAProxy(t)
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	own := filepath.Join(dir, "own.cfg")
	if err := os.WriteFile(own, []byte("frontend broken\n  bind nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := testnet.FreePort(t)
	edge := load(t, port, "  - {name: own, services: [{name: shop, hosts: [shop.test], endpoints: [\""+says(t, "here").String()+"\"]}]}\n")
	edge.HAProxy.Extra = []string{own}
	startWith(t, edge, app.Options{Version: "test", Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	await(t, port, "shop.test", "here")

	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	ofEngine := 0
	for line := range strings.Lines(string(text)) {
		seen := map[string]bool{}
		for _, key := range keys(t, line) {
			if seen[key] {
				t.Errorf("%s is there twice: %s", key, line)
			}
			seen[key] = true
		}
		if seen["engine"] {
			ofEngine++
		}
	}
	if ofEngine == 0 {
		t.Errorf("the engine has no line:\n%s", text)
	}
}

// keys are those of an object in JSON, in their order.
func keys(t *testing.T, object string) []string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(object))
	if _, err := d.Token(); err != nil { // {
		t.Fatal(err)
	}
	var all []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		all = append(all, key.(string))
	}
	return all
}
