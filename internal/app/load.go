package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/landfall-edge/landfall/internal/admin"
	"github.com/landfall-edge/landfall/internal/spec"
)

// DefaultFile is the edge's file if none is named.
const DefaultFile = "/etc/landfall/edge.yaml"

// maxFile bounds the edge's file.
const maxFile = 4 << 20

// Load reads the edge's file. An edge without a name gets the machine's.
func Load(path string) (*spec.Edge, error) {
	data, err := readFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s does not exist; name another with -c, or write one (landfall edge -h shows a small one)", errFile, path)
		}
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	edge, err := spec.Parse(data, path)
	if err != nil {
		return nil, &fileError{err, socketTooLong(err)}
	}
	if edge.Name == "" {
		if edge.Name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("%w: it has no name, and neither has the machine: %w", errFile, err)
		}
	}
	return edge, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, err
}

// fileError is an error whose text is the problems alone, each with its place.
type fileError struct {
	problems error
	socket   bool // all that is wrong is the length of the socket's path
}

func (e *fileError) Error() string { return e.problems.Error() }

func (e *fileError) Unwrap() []error {
	if e.socket {
		return []error{admin.ErrSocketPath, e.problems}
	}
	return []error{errFile, e.problems}
}

func socketTooLong(err error) bool {
	var problems spec.Problems
	return errors.As(err, &problems) && len(problems) == 1 &&
		problems[0].Field == "admin.socket" && strings.Contains(problems[0].Message, "sun_path")
}
