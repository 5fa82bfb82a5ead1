package app

import (
	"errors"
	"syscall"

	"github.com/landfall-edge/landfall/internal/admin"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/source/kube"
)

// Conditions that a caller tells apart, besides those of the packages below.
var (
	errFile       = errors.New("edge file")
	errNotRunning = errors.New("the edge is not running")
)

// Class is the kind of trouble that an error is, for exit codes.
type Class int

// The classes.
const (
	Failure     Class = iota // nothing more particular
	BadFile                  // the edge's file is missing or wrong
	NoHAProxy                // HAProxy is missing or too old
	PortInUse                // a port is held by another process
	NoBind                   // no permission to open a port
	LongSocket               // the path of a socket is too long
	Credentials              // a kubeconfig cannot be read, or is not accepted
	NotRunning               // no edge answers
)

// Classify says what kind of trouble err is.
func Classify(err error) Class {
	for _, c := range []struct {
		is    error
		class Class
	}{
		{errFile, BadFile},
		{haproxy.ErrMissing, NoHAProxy},
		{haproxy.ErrTooOld, NoHAProxy},
		{admin.ErrSocketPath, LongSocket},
		{haproxy.ErrSocketPath, LongSocket},
		{kube.ErrKubeconfig, Credentials},
		{kube.ErrCredentials, Credentials},
		{errNotRunning, NotRunning},
		{errNoBind, NoBind},
		{syscall.EADDRINUSE, PortInUse},
	} {
		if errors.Is(err, c.is) {
			return c.class
		}
	}
	return Failure
}
