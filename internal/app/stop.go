package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/landfall-edge/landfall/internal/admin"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
)

// answerTimeout is how long a running edge may take to answer.
const answerTimeout = 15 * time.Second

// AskStatus asks the running edge how it is doing.
func AskStatus(ctx context.Context, edge *spec.Edge, depth engine.Depth) (status.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	s, err := admin.NewClient(edge.Admin.Socket).Status(ctx, depth)
	return s, unanswered(err)
}

// Approve has the running edge let go what it holds back of a source, or of all
// if none is named.
func Approve(ctx context.Context, edge *spec.Edge, source string) (status.Approved, error) {
	if source != "" && !slices.ContainsFunc(edge.Sources, func(s spec.Source) bool { return s.Name == source }) {
		return status.Approved{}, fmt.Errorf("%w: it has no source %q; landfall status shows those that there are", errFile, source)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	a, err := admin.NewClient(edge.Admin.Socket).Approve(ctx, source)
	return a, unanswered(err)
}

// unanswered says what to do about an edge that gave no answer.
func unanswered(err error) error {
	switch {
	case errors.Is(err, admin.ErrNobody):
		return fmt.Errorf("%w: %w; start it with landfall edge, or name another file with -c", errNotRunning, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run as root or as the user that the edge runs as", err)
	}
	return err
}

// Stop ends the edge of this file and its engine: through the agent if it runs,
// else HAProxy alone.
func Stop(ctx context.Context, edge *spec.Edge, drain time.Duration, log *slog.Logger) error {
	ask, cancel := context.WithTimeout(ctx, drain+answerTimeout)
	defer cancel()
	err := admin.NewClient(edge.Admin.Socket).Stop(ask, drain)
	if !errors.Is(err, admin.ErrNobody) {
		return err
	}
	engine, running, err := findEngine(ctx, edge, log)
	if err != nil {
		return err
	}
	if !running {
		return fmt.Errorf("%w: neither an edge nor its HAProxy answers in %s", errNotRunning, filepath.Dir(edge.Admin.Socket))
	}
	return stopEngine(ctx, engine, drain)
}

// findEngine returns the engine of an edge that does not run, and whether its
// HAProxy does. It makes nothing where there is nothing.
func findEngine(ctx context.Context, edge *spec.Edge, log *slog.Logger) (_ *haproxy.Engine, running bool, err error) {
	config := engineConfig(edge, log)
	if _, err := os.Stat(config.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	found, err := haproxy.New(ctx, config)
	if err != nil {
		return nil, false, err
	}
	if _, err := found.Observe(ctx); err != nil {
		return nil, false, fmt.Errorf("look for HAProxy: %w", err)
	}
	stats, err := found.Stats(ctx, engine.Brief)
	return found, err != nil || len(stats.Workers) > 0, nil
}

func stopEngine(ctx context.Context, engine *haproxy.Engine, drain time.Duration) error {
	if drain > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, drain)
		defer cancel()
	}
	return engine.Stop(ctx, drain > 0)
}

// Cleanup removes what an edge that does not run left on the machine.
func Cleanup(ctx context.Context, edge *spec.Edge, log *slog.Logger) error {
	if _, err := os.Stat(edge.StateDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	held, err := lock(edge.StateDir)
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }()
	engine, running, err := findEngine(ctx, edge, log)
	if err != nil {
		return err
	}
	if running {
		return errors.New("HAProxy is still serving; end it first with landfall stop")
	}
	var errs []error
	if engine != nil {
		errs = append(errs, engine.Cleanup(ctx))
	}
	errs = append(errs, os.RemoveAll(filepath.Join(edge.StateDir, sourcesDir)))
	for _, path := range []string{filepath.Join(edge.StateDir, lockFile), edge.Admin.Socket} {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	_ = os.Remove(edge.StateDir) // if nothing of others is in it
	return errors.Join(errs...)
}
