package haproxy

import "fmt"

// HAProxy that has all the connections it may have accepts no more of any kind: also
// not its own, by which assumed nodes are held up. Clients therefore get all but a
// few. They are counted as what one entry of a table has open, since HAProxy 2.6 has
// no other count over all ports that a rule could ask for.
const (
	openTable = "landfall-open"
	// keptConnections are not for clients.
	keptConnections = 100
)

// clientConnections is how many of all connections clients may have.
func clientConnections(all int) int { return max(all-keptConnections, all/2) }

func renderOpen() string {
	return fmt.Sprintf("backend %s from landfall-http\n  stick-table type integer size 1 store conn_cur\n", openTable)
}

// shed closes the connections of clients that are too many. Those that an HTTP
// listener's predecessor makes are requests that it took already.
func shed(http bool) string {
	unless := ""
	if http {
		unless = fmt.Sprintf(" unless { so_id %d }", nextID)
	}
	return fmt.Sprintf("  tcp-request connection track-sc2 int(0) table %s%s\n", openTable, unless) +
		"  tcp-request connection reject if { sc_conn_cur(2),sub(proc.clients) gt 0 }\n"
}
