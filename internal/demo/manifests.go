// Package demo is what "landfall demo" shows: sample manifests, the small servers
// that stand behind them, and a line for people about each change.
package demo

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"text/template"

	"github.com/landfall-edge/landfall/internal/atomicfile"
)

//go:embed manifests/*.yaml
var samples embed.FS

// Fronts are the ports that clients of the demo use.
type Fronts struct {
	HTTP   uint16 // where hosts and paths are served; named in comments only
	Hello  uint16 // the TCP service's own
	Sticky uint16 // the one with affinity
}

// Endpoints are the addresses that one sample service answers on, which share a
// port.
type Endpoints struct {
	Port      uint16
	Addresses []netip.Addr
	// Spare answers too, and is for people to add.
	Spare netip.Addr
}

// Services are the endpoints of all of them.
type Services struct{ Shop, API, Hello, Sticky Endpoints }

// Write writes the sample manifests into a folder, which is made if it is missing.
// Files of the same names are replaced, each in one step; others are left alone.
func Write(dir string, services Services, fronts Fronts) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder of manifests: %w", err)
	}
	values := struct {
		Services
		HTTP, HelloFront, StickyFront uint16
	}{services, fronts.HTTP, fronts.Hello, fronts.Sticky}
	all, err := template.New("").Option("missingkey=error").
		Funcs(template.FuncMap{"inc": func(i int) int { return i + 1 }}).ParseFS(samples, "manifests/*.yaml")
	if err != nil {
		return fmt.Errorf("read sample manifests: %w", err)
	}
	entries, err := samples.ReadDir("manifests")
	if err != nil {
		return fmt.Errorf("read sample manifests: %w", err)
	}
	for _, e := range entries {
		var text bytes.Buffer
		if err := all.ExecuteTemplate(&text, e.Name(), values); err != nil {
			return fmt.Errorf("fill in sample manifest: %w", err)
		}
		if err := atomicfile.WriteUnsynced(filepath.Join(dir, e.Name()), text.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write sample manifest: %w", err)
		}
	}
	return nil
}
