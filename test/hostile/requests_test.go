package hostile_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/testnet"
)

const get = "GET / HTTP/1.1\r\n"

// refused is what no backend answers: by a status of HAProxy's own, which may be
// another in another version, or by nothing but the end of the connection.
const refused = "refused"

// requests are what a client may send, and who answers: the backend that tells what
// it was asked for, or nobody.
func requests() map[string]string {
	head := func(line string) string { return line + " HTTP/1.1\r\nHost: good.test\r\n\r\n" }
	return map[string]string{
		// A Host is a host and nothing else.
		get + "Host: evil.test/good.test\r\n\r\n":                refused,
		get + "Host: good.test/public\r\n\r\n":                   refused,
		get + "Host: ../good.test\r\n\r\n":                       refused,
		get + "Host: ..good.test\r\n\r\n":                        refused,
		get + "Host: good.test%2Fpublic\r\n\r\n":                 refused,
		get + "Host: good%2Etest\r\n\r\n":                        refused,
		get + "Host: good.test\x00evil.test\r\n\r\n":             refused,
		get + "Host: good.test\x00/public\r\n\r\n":               refused,
		get + "Host: good.test,evil.test\r\n\r\n":                refused,
		get + "Host: good.test evil.test\r\n\r\n":                refused,
		get + "Host: evil.test@good.test\r\n\r\n":                refused,
		get + "Host: good.test:80:90\r\n\r\n":                    refused,
		get + "Host: [good.test]\r\n\r\n":                        refused,
		get + "Host: [::1]:80\r\n\r\n":                           refused,
		get + "Host: \r\n\r\n":                                   refused,
		get + "\r\n":                                             refused,
		get + "Host: evil.test\r\n .good.test\r\n\r\n":           refused,
		get + "Host: " + strings.Repeat("a", 400) + "\r\n\r\n":   refused,
		get + "Host: " + strings.Repeat("a", 12000) + "\r\n\r\n": refused,
		get + "Host: good.test\r\nHost: evil.test\r\n\r\n":       refused,
		get + "Host: good.test\r\nHost: good.test\r\n\r\n":       "good /",
		// Case, port and a dot at the end do not count.
		get + "Host: GOOD.Test:80\r\n\r\n":   "good /",
		get + "Host: good.test.:80\r\n\r\n":  "good /",
		"GET / HTTP/1.0\r\nHost: good.test.": refused,
		// The authority of an absolute URI is that of Host.
		head("GET http://evil.test/x"):                        refused,
		head("GET http://evil.test@good.test/x"):              "good http://evil.test@good.test/x",
		head("GET http://good.test@evil.test/x"):              refused,
		head("GET http://GOOD.test:80/public"):                "public http://GOOD.test/public",
		head("GET foo://good.test.evil.test/x"):               refused,
		head("GET foo:/public"):                               refused,
		head("CONNECT evil.test:80"):                          refused,
		"GET http://evil.test/x HTTP/1.1\r\n\r\n":             refused,
		"GET http://good.test/x HTTP/1.1\r\nHost: evil\r\n\r": refused,
		// A path is routed, and handed on, as it was written.
		head("GET /public?x=/private"):             "public /public?x=/private",
		head("GET /public/../private"):             "public /public/../private",
		head("GET /public/%2e%2e/private"):         "public /public/%2e%2e/private",
		head("GET /public/..%2fprivate"):           "public /public/..%2fprivate",
		head("GET /private/../public"):             "good /private/../public",
		head("GET //public"):                       "good //public",
		head("GET /./public"):                      "good /./public",
		head("GET /%70ublic"):                      "good /%70ublic",
		head("GET /public;x/private"):              "good /public;x/private",
		head("GET /public%2fx"):                    "good /public%2fx",
		head("GET /public\\x"):                     "good /public\\x",
		head("GET /Public"):                        "good /Public",
		head("GET //evil.test/x"):                  "good //evil.test/x",
		head("GET /%[src]%[var(txn.be)]"):          refused, // the backend, a Go server, refuses the escape
		head("GET evil.test/x"):                    refused,
		head("GET ?x"):                             refused,
		head("GET /public#x"):                      refused,
		head("GET /public\x00x"):                   refused,
		head("GET /public\xffx"):                   refused,
		head("GET /public x"):                      refused,
		head("GET /" + strings.Repeat("a", 20000)): refused,
		// Where a body ends is not a matter of opinion.
		"POST / HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /private HTTP/1.1\r\nHost: good.test\r\n\r\n": "evil /",
		"POST / HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345":                                                              refused,
		"POST / HTTP/1.1\r\nHost: evil.test\r\nContent-Length: +5\r\n\r\n12345":                                                                                  refused,
		"POST / HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 0x5\r\n\r\n12345":                                                                                 refused,
		"POST / HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 99999999999999999999\r\n\r\n12345":                                                                refused,
		"POST / HTTP/1.1\r\nHost: evil.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n":                                                                     refused,
		"POST / HTTP/1.1\r\nHost: evil.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n":                                                                     refused,
		"POST / HTTP/1.1\r\nHost: evil.test\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n":                                                      refused,
		"GET / HTTP/1.1\r\nHost: evil.test\r\nBad Name: x\r\n\r\n":                                                                                               refused,
		"GET / HTTP/1.1\r\nHost: evil.test\r\n: x\r\n\r\n":                                                                                                       refused,
	}
}

// TestRequests: no request reaches the route of another host or path, whatever it is
// made to look like. One answer each, too: what follows a request is none by itself.
func TestRequests(t *testing.T) {
	serve := func(name string) string {
		return testnet.Serve(t, "127.0.0.1:0", tells(name)).Address.String()
	}
	w := newWorld(t, "")
	w.write("sites.yaml", neighbour(serve("good"), serve("public"))+"---"+site("evil", "evil.test", serve("evil"), "/"))
	w.answers("good.test", "/", "good /")
	w.answers("good.test", "/public", "public /public")
	w.answers("evil.test", "/", "evil /")
	asked := w.ask("good.test", "/private", "good /private")
	for request, want := range requests() {
		got := w.raw(request)
		switch {
		case want == refused && (len(got) == 0 || len(got) == 1 && strings.HasPrefix(got[0], "4")):
		case want != refused && len(got) == 1 && got[0] == "200 "+want:
		default:
			t.Errorf("%.120q is answered %.200q, want %s", request, got, want)
		}
	}
	t.Run("HTTP/2 without TLS", func(t *testing.T) {
		var p http.Protocols
		p.SetUnencryptedHTTP2(true)
		tr := &http.Transport{Protocols: &p}
		defer tr.CloseIdleConnections()
		for host, want := range map[string]string{"good.test": "good /x", "evil.test:80": "evil /x"} {
			if body, err := once(t.Context(), &http.Client{Transport: tr}, w.url("/x"), host, false); body != want {
				t.Errorf("%s is answered %q, %v", host, body, err)
			}
		}
	})
	asked.stop()
}
