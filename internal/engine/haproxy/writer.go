package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// Files are written a moment after the change that they are about, since nobody
// reads them before the next reload, which writes all that it needs itself. Until
// then the journal knows what runs: after a crash at any moment the next agent
// brings the files up to it.
const (
	// writeAfter lets changes gather: a hundred a second are a few writes.
	writeAfter = 200 * time.Millisecond
	// writeAgain is the pause after files could not be written.
	writeAgain = 5 * time.Second
	// writeAtOnce is how many files are written while changes wait.
	writeAtOnce = 8
)

// touch marks the files that are others by a plan.
func (d *disk) touch(p plan.Plan) {
	if d.shards != nil {
		d.shards.change(p)
	}
	for _, s := range p.Backends {
		d.dirty[backendFile(stepName(s, func(b *model.Backend) string { return b.Name }))] = true
	}
	for _, s := range p.Listeners {
		d.dirty[listenerFile(stepName(s, func(l *model.Listener) string { return l.Name }))] = true
	}
	if len(p.Probes) > 0 {
		d.dirty[probesFile] = true
	}
	d.touchMaps(p)
	d.awake()
}

func (d *disk) touchMaps(p plan.Plan) {
	if d.maps != nil {
		for _, f := range d.maps.change(p.Routes) {
			d.dirty[filepath.Join(mapsDir, f)] = true
		}
		return
	}
	for _, s := range p.Routes {
		for _, r := range []*model.Route{s.Have, s.Want} {
			if r != nil {
				e := entry(r)
				d.dirty[filepath.Join(mapsDir, mapFile(e.listener, e.kind))] = true
			}
		}
	}
}

func stepName[T any](s plan.Step[T], name func(*T) string) string {
	if s.Want != nil {
		return name(s.Want)
	}
	return name(s.Have)
}

func (d *disk) awake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// writeSome writes some of the files that are behind and, behind the last one, the
// journal. It reports whether there are more.
func (d *disk) writeSome(r renderer, have model.State) (more bool, err error) {
	if !d.stale && !d.forgot {
		return false, nil
	}
	if d.shards == nil {
		d.shards = newShards(have)
	}
	if d.maps == nil {
		d.maps = mapsOf(have)
	}
	if d.all {
		d.dirty, d.all = d.everyFile(), false
	}
	for i, name := range slices.Sorted(maps.Keys(d.dirty)) {
		if i == writeAtOnce {
			return true, nil
		}
		if err := d.writeOne(r, have, name); err != nil {
			return true, err
		}
		delete(d.dirty, name)
	}
	if d.journal != nil {
		if err := d.settle(have); err != nil {
			return true, err
		}
	}
	d.stale, d.forgot = false, false
	return false, nil
}

// settle tells the journal that the files are what runs.
func (d *disk) settle(have model.State) error {
	if d.forgot {
		return d.journal.Rewrite(fill(have, d.bound, d.worker))
	}
	return errors.Join(d.journal.Put(settledKey, true), d.journal.Flush())
}

// everyFile is each file that there is or should be, but those that belong to the
// generation for good.
func (d *disk) everyFile() map[string]bool {
	all := map[string]bool{probesFile: true}
	entries, _ := os.ReadDir(d.path(currentLink)) // without it there is none
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), backendPart) || strings.HasPrefix(e.Name(), listenerPart) {
			all[e.Name()] = true
		}
	}
	for f := range d.shards.backends {
		all[f] = true
	}
	for f := range d.shards.listeners {
		all[f] = true
	}
	for f := range d.maps {
		all[filepath.Join(mapsDir, f)] = true
	}
	return all
}

func (d *disk) writeOne(r renderer, have model.State, name string) error {
	if f, ok := strings.CutPrefix(name, mapsDir+"/"); ok {
		return d.writeMaps([]string{f})
	}
	if name == probesFile {
		return d.replaceOrRemove(name, r.probeSections(have.Probes))
	}
	var tcp map[string]*model.Route
	if strings.HasPrefix(name, listenerPart) {
		tcp = tcpRoutes(have)
	}
	return d.replaceOrRemove(name, d.shards.render(r, name, tcp))
}

// failed tells the log, once, that files or journal could not be written.
func (d *disk) failed(err error) {
	if !d.troubled {
		d.log.Error("files are behind what is served", "engine", "haproxy", "error", err)
	}
	d.troubled = true
	d.awake()
}

// writeBehind writes what is behind, until ctx ends.
func (e *Engine) writeBehind(ctx context.Context) error {
	e.mu.Lock()
	e.writing = true
	e.mu.Unlock()
	for pause := writeAfter; ; {
		select {
		case <-ctx.Done():
			return e.writeLast()
		case <-e.disk.wake:
		}
		select {
		case <-ctx.Done():
			return e.writeLast()
		case <-time.After(pause):
		}
		pause = writeAfter
		if err := e.writeAll(); err != nil {
			pause = writeAgain
		}
	}
}

// writeLast leaves nothing behind.
func (e *Engine) writeLast() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writing = false
	e.writeNow() // the journal has what the files lack
	return nil
}

// writeAll writes until nothing is behind, and lets changes in between. Then it
// has a look at the journal, while it has nothing that is not settled.
func (e *Engine) writeAll() error {
	for {
		e.mu.Lock()
		more, err := e.writeSome()
		if err == nil && !more {
			return e.compactAndUnlock()
		}
		e.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// writeNow is writeAll for who holds the lock; the log has what went wrong.
func (e *Engine) writeNow() {
	for more, err := true, error(nil); more && err == nil; {
		more, err = e.writeSome()
	}
}

func (e *Engine) writeSome() (more bool, err error) {
	if !e.trusted || !e.running.up {
		return false, nil // what runs is not known; who finds out wakes us
	}
	more, err = e.disk.writeSome(e.renderer(e.have.Probes), e.have)
	if err != nil {
		e.disk.failed(err)
	} else if !more && e.disk.troubled {
		e.disk.troubled = false
		e.log.Info("files are what is served again", "engine", "haproxy")
	}
	return more, err
}

// compactAndUnlock rewrites a journal that is mostly about what has gone. Changes go
// on while it writes.
func (e *Engine) compactAndUnlock() error {
	j := e.disk.journal
	if j == nil || !j.Wasteful() || !e.trusted {
		e.mu.Unlock()
		return nil
	}
	c := j.Compact()
	content := fill(e.have, e.disk.bound.clone(), e.disk.worker)
	e.mu.Unlock()
	err := c.Fill(content)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.disk.journal != j {
		return nil // a reload began another
	}
	if err := errors.Join(err, c.Commit()); err != nil {
		e.disk.forget(fmt.Errorf("compact: %w", err))
		return err
	}
	return nil
}
