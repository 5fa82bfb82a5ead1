package haproxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// Limits are counted in one table for all routes, by who is limited and who asks:
// "<client>/<id of the object>". An HTTP route has its limit beside its backend in
// the map ("shop|<id>|<requests in a window>|<requests at a time>"), so that limits
// come, change and go at run time; those of a TCP port are written into its frontend.
const (
	limitsTable = "landfall-limits"
	// LimitTableSize bounds the clients, over all limits, that are counted; who came
	// least recently is forgotten first.
	LimitTableSize = 100_000
	// LimitWindow is over how many seconds a rate is averaged: long enough for a
	// page with all that belongs to it, short enough to be forgiven soon.
	LimitWindow = 5
	// limitIDLength and that of an IPv6 network make up the longest key.
	limitIDLength = 16
	limitKey      = limitIDLength + len("/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	// limitClient is who counts as one: a machine has the whole of an IPv6 /64.
	limitClient = "src,ipmask(32,64)"
)

// renderLimits is the table. What is open in an old worker is not handed over, the
// rates are.
func renderLimits() string {
	return fmt.Sprintf("backend %s from landfall-http\n  stick-table type string len %d size %d expire 1m store gpc0_rate(%ds),conn_cur peers %s\n",
		limitsTable, limitKey, LimitTableSize, LimitWindow, peersSection)
}

// limitID stands for the object whose routes share a limit. It cannot be chosen, so
// that nobody counts against another's.
func limitID(o model.Origin) string {
	sum := sha256.Sum256([]byte(o.Key()))
	return hex.EncodeToString(sum[:limitIDLength/2])
}

// limitValue is what follows the backend in a map: nothing without a limit.
func limitValue(r *model.Route) string {
	if r.Limit == (model.Limit{}) {
		return ""
	}
	number := func(n int) string {
		if n == 0 {
			return "" // HAProxy compares with no number at all
		}
		return strconv.Itoa(n)
	}
	return "|" + limitID(r.Origin) + "|" + number(r.Limit.Rate*LimitWindow) + "|" + number(r.Limit.Connections)
}

// limitRules hold an HTTP request, or a connection that passes TLS through, to the
// limit that the map gave it: rule is what each begins with. What is refused
// does not count as a request: who asks too often still gets what he may. A stopping
// worker counts nothing, as its successor does.
func limitRules(rule, refusal string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+rule+" "+format+"\n", args...) }
	line("set-var(txn.limit) var(txn.be),field(2,|)")
	line("track-sc0 %s,concat(/,txn.limit) table %s if { var(txn.limit) -m found } !{ stopping }", limitClient, limitsTable)
	over := func(field int, name, sample, than string) string {
		return fmt.Sprintf("{ sc_tracked(0) } { var(txn.be),field(%d,|),set-var(txn.%s) -m found } { %s,sub(txn.%s) %s 0 }", field, name, sample, name, than)
	}
	line("%s if %s || %s", refusal, over(3, "rate", "sc_gpc0_rate(0)", "ge"), over(4, "conns", "sc_conn_cur(0)", "gt"))
	line("sc-inc-gpc0(0) if { sc_tracked(0) }")
	return b.String()
}

// tooMany is how an HTTP request beyond a limit is refused.
var tooMany = fmt.Sprintf(`deny deny_status 429 content-type text/plain string "too many requests\n" hdr Retry-After %d`, LimitWindow)

// tcpLimit holds the connections of a TCP listener to its route's limit.
func tcpLimit(r *model.Route) string {
	if r.Limit == (model.Limit{}) {
		return ""
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  tcp-request connection "+format+"\n", args...) }
	line("track-sc0 %s,concat(/%s) table %s", limitClient, limitID(r.Origin), limitsTable)
	if r.Limit.Rate > 0 {
		line("reject if { sc_gpc0_rate(0) ge %d }", r.Limit.Rate*LimitWindow)
	}
	if r.Limit.Connections > 0 {
		line("reject if { sc_conn_cur(0) gt %d }", r.Limit.Connections)
	}
	line("sc-inc-gpc0(0)")
	return b.String()
}

// limitCause is the cause for a reload in a limit: a worker that was loaded before
// there were any would take it for a part of the backend's name.
func limitCause(l loaded, steps []plan.Step[model.Route]) string {
	if l.Limits {
		return ""
	}
	for _, s := range steps {
		if s.Want != nil && s.Want.Limit != (model.Limit{}) {
			return cmp.Or(s.Want.Origin.String(), s.Want.Name) + " has a limit, and what HAProxy has loaded knows none"
		}
	}
	return ""
}
