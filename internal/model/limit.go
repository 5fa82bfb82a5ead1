package model

// Limit bounds what one client may do on the routes of one object: they share it,
// and each edge counts by itself. A client is an IPv4 address, or an IPv6 network
// of 64 bits. The zero value is no limit.
type Limit struct {
	// Rate is in requests per second, of TCP in new connections, on the average of
	// a few seconds; 0 is no limit.
	Rate int `json:"rate,omitempty"`
	// Connections is how many requests, of TCP how many connections, may be under
	// way at a time; 0 is no limit.
	Connections int `json:"connections,omitempty"`
}
