package phonehome

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// maxToken is far more than any token has.
const maxToken = 64 << 10

// token is what an edge knows us by. One from a file is read anew each time, as
// Kubernetes replaces the tokens that it projects into a pod.
type token struct {
	file string // empty: it does not change

	mu   sync.Mutex
	last string
}

// read returns the token. When the file cannot be read that is an error, and the
// token is what it was.
func (t *token) read() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == "" {
		return t.last, nil
	}
	text, err := readBounded(t.file, maxToken)
	if err == nil {
		text, err = checkToken(text)
	}
	if err != nil {
		return t.last, fmt.Errorf("read token: %w", err)
	}
	t.last = text
	return text, nil
}

// checkToken drops the end of the line and refuses what no header can carry. What it
// says never holds the token.
func checkToken(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errors.New("it is empty")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("it has spaces, line breaks or letters beyond ASCII in it; want one word")
	}
	return text, nil
}

// readBounded reads a whole file that is small.
func readBounded(name string, most int64) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", err
	}
	if int64(len(data)) > most {
		return "", fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return string(data), nil
}
