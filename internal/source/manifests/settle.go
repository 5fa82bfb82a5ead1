package manifests

import "time"

// How long a file is left alone after something happened to it.
const (
	// quiet joins what one saving of a file causes: several writes, or a rename.
	quiet = 10 * time.Millisecond
	// unfinishedQuiet is for a file that looks as if more of it will follow.
	unfinishedQuiet = 200 * time.Millisecond
	// impatience is after how long a file that is written all the time is read.
	impatience = time.Second
	// farewell is for a file that is gone: editors rename theirs away and write
	// another, and that must not end what it asks for.
	farewell = 100 * time.Millisecond
	// longFarewell is for the files of a folder that has just been replaced, or has
	// just come back: it may still be filled.
	longFarewell = 2 * time.Second
)

// settling says which files have something going on, and when to look at them. It
// reads no clock.
type settling struct {
	files map[string]*unrest
}

// unrest is what goes on with one file.
type unrest struct {
	first, last time.Time
	// due is when to look at it.
	due time.Time
}

// touch notes that something happened to a file.
func (s *settling) touch(name string, now time.Time) {
	u := s.files[name]
	if u == nil {
		u = &unrest{first: now}
		s.files[name] = u
	}
	u.last = now
	u.due = earlier(now.Add(quiet), u.first.Add(impatience))
}

// wait puts a file off until it has been left alone for so long. It reports
// whether that is still to come.
func (s *settling) wait(name string, rest time.Duration, now time.Time) bool {
	u := s.files[name]
	if u == nil {
		return false
	}
	until := u.last.Add(rest)
	if rest < impatience {
		until = earlier(until, u.first.Add(impatience))
	}
	if !now.Before(until) {
		return false
	}
	u.due = until
	return true
}

// done forgets what went on with a file.
func (s *settling) done(name string) { delete(s.files, name) }

// due lists the files to look at now, in no order.
func (s *settling) due(now time.Time) []string {
	var names []string
	for name, u := range s.files {
		if !u.due.After(now) {
			names = append(names, name)
		}
	}
	return names
}

// next is when the next file is due; ok is false if none is.
func (s *settling) next() (at time.Time, ok bool) {
	for _, u := range s.files {
		if !ok || u.due.Before(at) {
			at, ok = u.due, true
		}
	}
	return at, ok
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
