// Package auth says which client of a phone-home source a token is of. Tokens are
// kept as hashes, and compared in a time that says nothing about them.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// What a token can be refused for.
var (
	// ErrUnknown is a token of no client.
	ErrUnknown = errors.New("the token is of no client")
	// ErrUnavailable is a token that cannot be judged now.
	ErrUnavailable = errors.New("the token cannot be judged now")
)

// maxToken is how long a token may be; those of Kubernetes have some 1 kB.
const maxToken = 16 << 10

// Client is who may call. It has one of SHA256, File, Env and Account.
type Client struct {
	Name string
	// SHA256 is the hash of its token in hexadecimal digits.
	SHA256 string
	// File holds its token, and is read again when it changes.
	File string
	// Env is the variable that held its token when the program started.
	Env     string
	Account *Account
}

// Book knows the tokens of all clients. ReadFiles and AskIssuers keep it fresh.
type Book struct {
	mu      sync.RWMutex
	entries []*entry
}

type entry struct {
	Client
	known   bool // there is a hash
	hash    [sha256.Size]byte
	problem string // why there is none, or why it is not fresh
	keys    *keys  // of an Account
}

// New returns a Book that knows what needs no reading.
func New(clients []Client, getenv func(string) string, now func() time.Time) (*Book, error) {
	b := &Book{}
	for _, c := range clients {
		e := &entry{Client: c}
		switch {
		case c.SHA256 != "":
			sum, err := hex.DecodeString(c.SHA256)
			if err != nil || len(sum) != sha256.Size {
				return nil, fmt.Errorf("client %s: its token's hash is no SHA-256 sum", c.Name)
			}
			e.known, e.hash = true, [sha256.Size]byte(sum)
		case c.Env != "":
			e.take(getenv(c.Env), "the environment variable "+c.Env)
		case c.Account != nil:
			e.keys = &keys{account: *c.Account, now: now}
		}
		b.entries = append(b.entries, e)
	}
	return b, nil
}

// take makes text the token. A line end behind it is not part of it, as files and
// secrets often have one.
func (e *entry) take(text, where string) {
	text = strings.TrimRight(text, "\r\n")
	switch {
	case text == "":
		e.problem = where + " is empty"
	case len(text) > maxToken:
		e.problem = fmt.Sprintf("%s has more than %d bytes", where, maxToken)
	default:
		e.hash, e.known, e.problem = sha256.Sum256([]byte(text)), true, ""
	}
}

// ReadFiles reads tokens and keys again that lie in files. A file that cannot be
// read leaves what it held before.
func (b *Book) ReadFiles() {
	for _, e := range b.entries {
		switch {
		case e.File != "":
			data, err := readFile(e.File)
			b.mu.Lock()
			if err != nil {
				e.problem = err.Error()
			} else {
				e.take(string(data), e.File)
			}
			b.mu.Unlock()
		case e.keys != nil && e.Account.JWKSFile != "":
			b.told(e, e.keys.read())
		}
	}
}

// AskIssuers asks those that have not given their keys yet.
func (b *Book) AskIssuers(ctx context.Context) {
	for _, e := range b.entries {
		if e.keys != nil && e.Account.JWKSFile == "" && !e.keys.known() {
			b.told(e, e.keys.ask(ctx))
		}
	}
}

func (b *Book) told(e *entry, problem string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.problem = problem
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return nil, fmt.Errorf("%s is no file of at most 1 MiB", path)
	}
	return os.ReadFile(path)
}

// Problems says for each client, by its place, why its tokens are not known or not
// fresh; "" is nothing.
func (b *Book) Problems() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]string, len(b.entries))
	for i, e := range b.entries {
		all[i] = e.problem
	}
	return all
}

// Who returns the name of the client whose token this is. All hashes are compared,
// whatever the outcome, so that the time it takes says nothing.
func (b *Book) Who(ctx context.Context, token string) (string, error) {
	if token == "" || len(token) > maxToken {
		return "", ErrUnknown
	}
	hash := sha256.Sum256([]byte(token))
	found := -1
	b.mu.RLock()
	for i, e := range b.entries {
		same := subtle.ConstantTimeCompare(hash[:], e.hash[:])
		if same == 1 && e.known && found < 0 {
			found = i
		}
	}
	b.mu.RUnlock()
	if found >= 0 {
		return b.entries[found].Name, nil
	}
	return b.whoseAccount(ctx, token)
}

func (b *Book) whoseAccount(ctx context.Context, token string) (string, error) {
	claims, ok := peek(token)
	if !ok {
		return "", ErrUnknown
	}
	err := ErrUnknown
	for _, e := range b.entries {
		if e.keys == nil || !e.keys.account.mayBe(claims) {
			continue
		}
		switch verifyErr := e.keys.verify(ctx, token); {
		case verifyErr == nil:
			return e.Name, nil
		case errors.Is(verifyErr, ErrUnavailable):
			err = verifyErr
		}
	}
	return "", err
}
