// Package journal keeps a set of named values on disk as a file of JSON lines:
// a change appends one line, so that its cost does not grow with the set.
//
// It is the memory of a process that may be killed at any moment: a torn last
// line is passed over, and what was appended before it holds. It does not call
// fsync: after a power cut the last seconds may be missing, and whoever reads it
// compares with the world anyway.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Journal is an open journal. It is not safe for concurrent use.
type Journal struct {
	path  string
	file  *os.File
	torn  bool // the last line has no end
	lines int  // in the file
	live  map[string]struct{}
	buf   bytes.Buffer
	// since is what was put since a compaction began; nil when there is none.
	since *[]line
}

type line struct {
	Key   string          `json:"k"`
	Value json.RawMessage `json:"v,omitempty"` // absent: the key is gone
}

// ErrDamaged is returned by Open for a journal whose values load does not take.
var ErrDamaged = errors.New("journal is damaged")

// Open opens or creates the journal at path and hands each live value to load, in
// the order in which they were put. It writes nothing.
func Open(path string, load func(key string, value json.RawMessage) error) (*Journal, error) {
	j := &Journal{path: path, live: map[string]struct{}{}}
	values, order, torn, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	j.torn = torn
	last := make(map[string]int, len(values))
	for i, key := range order {
		last[key] = i
	}
	for i, key := range order {
		value, ok := values[key]
		if !ok || last[key] != i {
			continue
		}
		if err := load(key, value); err != nil {
			return nil, fmt.Errorf("%w: read %s: %s: %w", ErrDamaged, path, key, err)
		}
		j.live[key] = struct{}{}
	}
	j.lines = len(order)
	j.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return j, nil
}

// read returns the last value of every key, the keys in the order of lines, and
// whether the last line has no end.
func read(path string) (values map[string]json.RawMessage, order []string, torn bool, err error) {
	values = map[string]json.RawMessage{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		text, err := r.ReadBytes('\n')
		var l line
		if len(text) > 1 && json.Unmarshal(text, &l) == nil {
			order = append(order, l.Key)
			if l.Value == nil {
				delete(values, l.Key)
			} else {
				values[l.Key] = l.Value
			}
		}
		if errors.Is(err, io.EOF) {
			return values, order, len(text) > 0, nil
		}
		if err != nil {
			return nil, nil, false, err
		}
	}
}

// Put adds a change to what Flush writes; a nil value removes the key.
func (j *Journal) Put(key string, value any) error {
	l := line{Key: key}
	if value != nil {
		data, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("write journal: %s: %w", key, err)
		}
		l.Value = data
	}
	if j.since != nil {
		*j.since = append(*j.since, l)
	}
	return j.put(l)
}

func (j *Journal) put(l line) error {
	if l.Value != nil {
		j.live[l.Key] = struct{}{}
	} else {
		delete(j.live, l.Key)
	}
	j.lines++
	return json.NewEncoder(&j.buf).Encode(l)
}

// Flush writes what was put since the last one, with one call of the operating
// system. Of one that is cut short, whole lines count.
func (j *Journal) Flush() error {
	if j.buf.Len() == 0 {
		return nil
	}
	if j.torn { // a torn line must not swallow the next one
		if _, err := j.file.WriteString("\n"); err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
		j.torn = false
	}
	_, err := j.file.Write(j.buf.Bytes())
	j.torn = err != nil
	j.buf.Reset()
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// Wasteful reports whether most lines are about values that have gone.
func (j *Journal) Wasteful() bool { return j.lines > 2*len(j.live)+1000 }

// Rewrite replaces the whole content by what fill puts.
func (j *Journal) Rewrite(fill func(put func(key string, value any) error) error) error {
	c := j.Compact()
	return errors.Join(c.Fill(fill), c.Commit())
}

// Compaction is a new content that is written while the old one still grows.
type Compaction struct {
	journal *Journal
	fresh   *Journal
	since   []line
	filled  bool
}

// Compact begins to replace the content by what Fill puts and what is put into the
// journal until Commit. There is one compaction at a time.
func (j *Journal) Compact() *Compaction {
	c := &Compaction{journal: j, fresh: &Journal{path: j.path + ".new", live: map[string]struct{}{}}}
	j.since = &c.since
	return c
}

// Fill writes the new content beside the old one. Of all methods, it alone may run
// while the journal is being used.
func (c *Compaction) Fill(fill func(put func(key string, value any) error) error) error {
	if err := fill(c.fresh.Put); err != nil {
		return err
	}
	if err := os.WriteFile(c.fresh.path, c.fresh.buf.Bytes(), 0o600); err != nil {
		return fmt.Errorf("rewrite journal: %w", err)
	}
	c.fresh.buf.Reset()
	c.filled = true
	return nil
}

// Commit ends the compaction: the new content takes the place of the old one, if
// Fill succeeded.
func (c *Compaction) Commit() error {
	j, fresh := c.journal, c.fresh
	j.since = nil
	if !c.filled {
		return nil
	}
	var err error
	if fresh.file, err = os.OpenFile(fresh.path, os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("rewrite journal: %w", err)
	}
	for _, l := range c.since {
		err = errors.Join(err, fresh.put(l))
	}
	err = errors.Join(err, fresh.Flush())
	if err == nil {
		err = os.Rename(fresh.path, j.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("rewrite journal %s: %w", filepath.Base(j.path), err), fresh.file.Close())
	}
	old := j.file
	j.file, j.lines, j.live, j.torn = fresh.file, fresh.lines, fresh.live, false
	j.buf.Reset()
	return old.Close()
}

// Close closes the file; what was put and not flushed is lost.
func (j *Journal) Close() error { return j.file.Close() }
