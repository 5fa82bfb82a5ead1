package file

import (
	"context"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/spec"
)

var (
	_ source.Source   = (*Source)(nil)
	_ source.Constant = (*Source)(nil)
)

// Source is a Source whose answer is in the edge's file and never changes.
type Source struct {
	fragment model.Fragment
}

// New returns the source of this name.
func New(name string, services []spec.Service) *Source {
	return &Source{fragment: Fragment(name, services)}
}

// Name is the source's name in the edge's file.
func (s *Source) Name() string { return s.fragment.Source }

// Run waits until ctx ends: there is nothing to keep fresh.
func (s *Source) Run(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

// Read returns the same Fragment each time.
func (s *Source) Read(context.Context) (model.Fragment, error) { return s.fragment, nil }

// Constant says that nothing of this source need be kept on disk.
func (s *Source) Constant() {}
