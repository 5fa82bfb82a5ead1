package spec

import (
	"strconv"
	"strings"
	"time"
)

const (
	maxGuardAtLeast = 1_000_000
	minGuardConfirm = time.Second
	maxGuardConfirm = 30 * 24 * time.Hour
)

func (r *reader) guard(v value, into *Guard) {
	r.object(v, "guard: {share: 33%, atLeast: 10, confirm: 15m}", fields{
		"share": func(v value) { r.percent(v, &into.Share, "share: 33%") },
		"atLeast": func(v value) {
			if n, ok := r.number(v, 1, maxGuardAtLeast, "atLeast: 10"); ok {
				into.AtLeast = n
			}
		},
		"confirm": func(v value) {
			r.duration(v, minGuardConfirm, maxGuardConfirm, &into.Confirm, "confirm: 15m")
		},
	})
}

// percent reads a share from 1% to 100%.
func (r *reader) percent(v value, into *int, example string) {
	if v.absent() {
		return
	}
	number, found := strings.CutSuffix(v.node.Value, "%")
	if n, err := strconv.Atoi(number); isText(v) && found && err == nil && n >= 1 && n <= 100 {
		*into = n
		return
	}
	r.wrong(v, example, "expected a share from 1%% to 100%% in whole percent, not %s", describe(v.node))
}

// duration reads what Go's time.ParseDuration takes.
func (r *reader) duration(v value, low, high time.Duration, into *Duration, example string) {
	if v.absent() {
		return
	}
	if d, err := time.ParseDuration(v.node.Value); isText(v) && err == nil && d >= low && d <= high {
		into.Duration = d
		return
	}
	r.wrong(v, example, "expected a duration from %s to %s with its unit (s, m, h), not %s", low, high, describe(v.node))
}
