package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/landfall-edge/landfall/internal/atomicfile"
	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/file"
	"github.com/landfall-edge/landfall/internal/spec"
)

// Rendered is everything that an edge would write.
type Rendered struct {
	Files    []haproxy.File
	Findings []model.Finding
}

// Render reads every source once and returns what the edge would write. It
// touches nothing. With an error beside files, a source is missing from them.
func Render(ctx context.Context, edge *spec.Edge, o Options) (Rendered, error) {
	settings, err := haproxy.Facts(ctx, engineConfig(edge, o.Log))
	if err != nil {
		return Rendered{}, err
	}
	settings.Generation = "current"
	out, statuses, err := once(ctx, edge, o, everySource)
	if err != nil {
		return Rendered{}, err
	}
	return Rendered{Files: haproxy.Render(settings, out.State), Findings: out.Findings}, unsynced(statuses)
}

// Text is the files one after another, each behind a line with its name.
func (r Rendered) Text() string {
	var b strings.Builder
	for _, f := range r.Files {
		fmt.Fprintf(&b, "-- %s --\n%s", f.Path, f.Content)
		if f.Content != "" && !strings.HasSuffix(f.Content, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Write writes the files below dir.
func (r Rendered) Write(_ context.Context, dir string) error {
	for _, f := range r.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write rendered files: %w", err)
		}
		if err := atomicfile.WriteUnsynced(path, []byte(f.Content), 0o644); err != nil {
			return fmt.Errorf("write rendered files: %w", err)
		}
	}
	return nil
}

// once reads the sources that want takes, waiting for them as a start would, and
// builds what they ask for. It writes nothing.
func once(ctx context.Context, edge *spec.Edge, o Options, want func(spec.Source) bool) (*desired.Output, []source.Status, error) {
	o.passive = true
	sources, err := newSources(edge, o, want)
	if err != nil {
		return nil, nil, err
	}
	set, err := newSet(sources, "", grace)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = set.Run(ctx, func() {}) // each source tells of itself in its status
	}()
	defer func() {
		cancel()
		<-ended
	}()
	select {
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-set.Ready():
	}
	fragments := set.Read(ctx)
	out := desired.Build(desired.Input{
		Fragments: fragments, VIPs: vips(edge), HTTPPort: edge.HTTP.Port, HTTPSPort: edge.HTTPS.Port,
		DefaultBackend: file.BackendName(edge.DefaultBackend), Reserved: reserved(edge),
	})
	return out, set.Status(), nil
}

// unsynced is an error if a source has not answered.
func unsynced(statuses []source.Status) error {
	var errs []error
	for _, s := range statuses {
		if !s.Synced {
			errs = append(errs, fmt.Errorf("source %s has not answered within %s: %w", s.Name, grace, s.Err))
		}
	}
	return errors.Join(errs...)
}
