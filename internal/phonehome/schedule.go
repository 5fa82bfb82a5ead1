package phonehome

import "time"

// Between tries of an edge that does not take it.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// next says how long to wait before an edge is told again: less than the interval
// after a success, so that many agents spread and none is late, and twice as long
// with every failure. random is in [0, 1).
func next(interval time.Duration, r result, failures int, random float64) time.Duration {
	if r.ok() {
		wait := interval
		if r.lease > 0 {
			wait = min(wait, r.lease/3) // the edge may grant less than was asked
		}
		return spread(wait, 0.8, 1, random)
	}
	most := lastRetry
	if interval > 0 {
		most = max(firstRetry, min(interval, lastRetry))
	}
	wait := firstRetry
	for range failures - 1 {
		if wait *= 2; wait >= most {
			wait = most
			break
		}
	}
	wait = spread(wait, 0.5, 1, random)
	if r.retryAfter > wait {
		return spread(r.retryAfter, 1, 1.1, random)
	}
	return wait
}

// spread is a time between two parts of d.
func spread(d time.Duration, from, to, random float64) time.Duration {
	return time.Duration(float64(d) * (from + (to-from)*random))
}
