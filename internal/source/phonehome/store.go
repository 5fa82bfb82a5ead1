package phonehome

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/landfall-edge/landfall/internal/journal"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
)

const (
	// storeVersion is that of the file's content; another one is not read.
	storeVersion = 1
	keyVersion   = "version"
	keyCall      = "call " // when a registration was last renewed, which is often
	keyRecord    = "registration "

	// renewalsEvery is how often renewals are written: a crash makes those since the
	// last time older than they are, and their callers come again within an interval.
	renewalsEvery = time.Minute
	retryStore    = 10 * time.Second
)

// record is a registration on disk.
type record struct {
	Client   string          `json:"client"`
	Name     string          `json:"name"`
	Address  netip.Addr      `json:"address"`
	Old      uint16          `json:"old,omitempty"`
	Ports    []registry.Port `json:"ports"`
	Interval time.Duration   `json:"interval,omitempty"`
	Gap      time.Duration   `json:"gap,omitempty"`
	Lease    time.Duration   `json:"lease,omitempty"`
	Created  time.Time       `json:"created"`
	Added    time.Time       `json:"added"`
	Seen     time.Time       `json:"seen"`
	Expires  time.Time       `json:"expires,omitzero"`
	Gone     time.Time       `json:"gone,omitzero"`
	From     netip.Addr      `json:"from,omitzero"`
}

// call is the part of it that each renewal changes.
type call struct {
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires,omitzero"`
}

func recordOf(r *registry.Registration) record {
	return record{
		r.Client, r.Name, r.Address, r.Old, r.Ports, r.Interval, r.Gap, r.Lease,
		r.Created, r.Added, r.Seen, r.Expires, r.Gone, r.From,
	}
}

func (r record) registration() registry.Registration {
	return registry.Registration{
		Key:   registry.Key{Client: r.Client, Name: r.Name, Address: r.Address, Old: r.Old},
		Ports: r.Ports, Interval: r.Interval, Gap: r.Gap, Lease: r.Lease,
		Created: r.Created, Added: r.Added, Seen: r.Seen, Expires: r.Expires, Gone: r.Gone, From: r.From,
	}
}

func keyText(k registry.Key) string {
	return strings.Join([]string{k.Client, k.Name, k.Address.String(), strconv.Itoa(int(k.Old))}, " ")
}

// store keeps registrations in a journal, away from whoever registers.
type store struct {
	path    string
	journal *journal.Journal // of run alone

	mu      sync.Mutex
	changes map[registry.Key]*registry.Registration // nil: it is gone
	renewed map[registry.Key]*registry.Registration
	err     error
	wake    chan struct{}
}

func newStore(path string) *store {
	return &store{
		path: path, wake: make(chan struct{}, 1),
		changes: map[registry.Key]*registry.Registration{}, renewed: map[registry.Key]*registry.Registration{},
	}
}

// loaded is what a journal holds.
type loaded struct {
	version int
	records map[string]record
	calls   map[string]call
}

func (l *loaded) take(key string, value json.RawMessage) error {
	if key == keyVersion {
		return json.Unmarshal(value, &l.version)
	}
	if id, ok := strings.CutPrefix(key, keyCall); ok {
		var c call
		err := json.Unmarshal(value, &c)
		l.calls[id] = c
		return err
	}
	id, ok := strings.CutPrefix(key, keyRecord)
	var r record
	if err := json.Unmarshal(value, &r); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("key %.40q", key))
	}
	if k := r.registration().Key; keyText(k) != id || !k.Address.IsValid() || r.Lease < 0 {
		return fmt.Errorf("it is the registration %.80q", keyText(k))
	}
	l.records[id] = r
	return nil
}

// load hands out what is on disk. What is damaged is put aside, unless the store is
// only looked at.
func (s *store) load(look bool, take func(registry.Registration)) error {
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	l := &loaded{records: map[string]record{}, calls: map[string]call{}}
	j, err := journal.Open(s.path, l.take)
	if err == nil {
		err = j.Close()
	}
	if err == nil && l.version != storeVersion {
		err = fmt.Errorf("%s is of version %d, and this program reads version %d", s.path, l.version, storeVersion)
	}
	if err != nil {
		if !look {
			err = errors.Join(err, os.Rename(s.path, s.path+".damaged"))
		}
		return err
	}
	for id, r := range l.records {
		if c, ok := l.calls[id]; ok && c.Seen.After(r.Seen) {
			r.Seen, r.Expires = c.Seen, c.Expires
		}
		take(r.registration())
	}
	return nil
}

func (s *store) change(r *registry.Registration) { s.note(r.Key, r) }
func (s *store) remove(k registry.Key)           { s.note(k, nil) }

// renew is written some time later: it is often called.
func (s *store) renew(r *registry.Registration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed[r.Key] = r
}

// note takes a change, which is written soon; nil is that it is gone.
func (s *store) note(k registry.Key, r *registry.Registration) {
	s.mu.Lock()
	s.changes[k] = r
	delete(s.renewed, k)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *store) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// run writes changes at once and renewals from time to time, and everything once
// more when ctx ends. told is called when it begins or ceases to fail.
func (s *store) run(ctx context.Context, all func() []*registry.Registration, told func()) {
	tick := time.NewTicker(renewalsEvery)
	defer tick.Stop()
	var retry <-chan time.Time
	renewals := true // whatever was loaded goes on from now
	for {
		before := s.problem()
		err := s.flush(renewals, all)
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		retry = nil
		if err != nil {
			retry = time.After(retryStore)
		}
		if (err == nil) != (before == nil) {
			told()
		}
		renewals = false
		select {
		case <-ctx.Done():
			err := s.flush(true, all)
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			if s.journal != nil {
				_ = s.journal.Close() // everything has been flushed
			}
			return
		case <-s.wake:
		case <-retry:
		case <-tick.C:
			renewals = true
		}
	}
}

func (s *store) flush(renewals bool, all func() []*registry.Registration) error {
	s.mu.Lock()
	changes, renewed := s.changes, map[registry.Key]*registry.Registration(nil)
	s.changes = map[registry.Key]*registry.Registration{}
	if renewals {
		renewed, s.renewed = s.renewed, map[registry.Key]*registry.Registration{}
	}
	s.mu.Unlock()
	err := s.write(changes, renewed, all)
	if err != nil && s.journal != nil { // nothing is known of what is there: the next one writes everything
		_ = s.journal.Close()
		s.journal = nil
	}
	return err
}

func (s *store) write(changes, renewed map[registry.Key]*registry.Registration, all func() []*registry.Registration) error {
	whole := s.journal == nil
	if whole {
		if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
			return err
		}
		j, err := journal.Open(s.path, func(string, json.RawMessage) error { return nil })
		if err != nil {
			return err
		}
		s.journal = j
	} else {
		if err := putAll(s.journal.Put, changes, renewed); err != nil {
			return err
		}
		if err := s.journal.Flush(); err != nil {
			return err
		}
		whole = s.journal.Wasteful()
	}
	if whole {
		err := s.journal.Rewrite(func(put func(string, any) error) error {
			err := put(keyVersion, storeVersion)
			for _, r := range all() {
				err = errors.Join(err, put(keyRecord+keyText(r.Key), recordOf(r)))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(changes) == 0 && !whole {
		return nil
	}
	return syncFile(s.path)
}

func putAll(put func(string, any) error, changes, renewed map[registry.Key]*registry.Registration) error {
	for k, r := range renewed {
		if _, other := changes[k]; other {
			continue
		}
		if err := put(keyCall+keyText(k), call{r.Seen, r.Expires}); err != nil {
			return err
		}
	}
	for k, r := range changes {
		var value any
		if r != nil {
			value = recordOf(r)
		}
		if err := errors.Join(put(keyRecord+keyText(k), value), put(keyCall+keyText(k), nil)); err != nil {
			return err
		}
	}
	return nil
}

// syncFile makes what was written outlive a loss of power.
func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
