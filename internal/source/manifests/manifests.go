// Package manifests reads what should be exposed from a folder of Kubernetes
// manifests, in place of an API server: the same objects ask for the same there.
//
//   - A file that is not whole, or not right, counts as it was when it last was.
//   - A folder that is gone, or cannot be read, empties nothing.
//   - Of an object that is there twice the first counts: by the name of the file,
//     then by its place in it. The other takes over when it goes.
package manifests

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
)

// Config is what a Source is made of.
type Config struct {
	// Name is the source's in the edge's file.
	Name string
	// Path of the folder.
	Path string
	// Options for the objects; their Source is set to Name.
	Options translate.Options
	// Logger, and Now, the clock; nil means nowhere, and time.Now.
	Logger *slog.Logger
	Now    func() time.Time
}

// Source is one folder. Make it with New.
type Source struct {
	name   string
	dir    string // absolute
	log    *slog.Logger
	now    func() time.Time
	store  *store  // of Run's goroutine
	folder *folder // of Run's goroutine

	mu       sync.Mutex
	fragment model.Fragment
	err      error // why fragment is not fresh, or not there
}

var _ source.Source = (*Source)(nil)

// New makes a Source of a folder, which need not be there yet. It is read by Run.
func New(cfg Config) (*Source, error) {
	if cfg.Name == "" {
		return nil, errors.New("make manifests source: it has no name")
	}
	if cfg.Path == "" {
		return nil, fmt.Errorf("make manifests source %s: it has no path, for example /etc/landfall/manifests", cfg.Name)
	}
	dir, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("make manifests source %s: %w", cfg.Name, err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Options.Source = cfg.Name
	store, err := newStore(cfg.Options)
	if err != nil {
		return nil, fmt.Errorf("make manifests source %s: %w", cfg.Name, err)
	}
	return &Source{
		name: cfg.Name, dir: dir, log: cfg.Logger.With("source", cfg.Name), now: cfg.Now,
		store: store, folder: &folder{dir: dir, files: make(map[string]*tracked), firstTime: true},
		err: fmt.Errorf("%w: the folder %s has not been read yet", source.ErrNotSynced, dir),
	}, nil
}

// Name is the source's name in the edge's file.
func (s *Source) Name() string { return s.name }

// Read returns what the folder asks for, as it was last read by Run.
func (s *Source) Read(context.Context) (model.Fragment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fragment, s.err
}

// publish makes what was read visible, and reports whether there is news.
func (s *Source) publish() bool {
	err := s.folder.trouble()
	fresh := s.store.dirty && !s.folder.firstTime
	s.mu.Lock()
	defer s.mu.Unlock()
	news := fresh || (err == nil) != (s.err == nil) || err != nil && err.Error() != s.err.Error()
	s.err = err
	if fresh {
		s.fragment = s.store.read()
	}
	return news
}
