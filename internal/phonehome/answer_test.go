package phonehome

import (
	"net/http"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"
)

// TestNext: never late after a success, never longer than the interval after a
// failure, and as long as the edge asks.
func TestNext(t *testing.T) {
	for _, random := range []float64{0, 0.5, 0.999} {
		if wait := next(30*time.Second, result{}, 0, random); wait < 24*time.Second || wait > 30*time.Second {
			t.Errorf("after a success: %s", wait)
		}
		if wait := next(30*time.Second, result{lease: 30 * time.Second}, 0, random); wait > 10*time.Second {
			t.Errorf("with a short lease: %s", wait)
		}
		for failures := 1; failures < 100; failures++ {
			most := min(time.Second<<min(failures-1, 10), 30*time.Second)
			if wait := next(30*time.Second, result{wrong: "x"}, failures, random); wait < most/2 || wait > most {
				t.Errorf("after %d failures: %s", failures, wait)
			}
		}
		if wait := next(30*time.Second, result{wrong: "x", retryAfter: time.Minute}, 1, random); wait < time.Minute || wait > 66*time.Second {
			t.Errorf("with Retry-After: %s", wait)
		}
	}
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "-5": 0, "99999999": time.Hour, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestPlain: whatever an edge says is one bounded line.
func TestPlain(t *testing.T) {
	err := quick.Check(func(data []byte) bool {
		text := plain(string(data))
		return text != "" && utf8.ValidString(text) && len([]rune(text)) <= 303 && !strings.ContainsAny(text, "\n\r\t\x1b")
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(200, "PUT", `{"address":"203.0.113.7","leaseSeconds":90,"ports":[{"port":1,"targetPort":2,"served":false,"reason":"x"}]}`, "")
	f.Add(201, "PUT", `{"address":"203.0.113.7","ports":[{"protocol":"http","hosts":["a"],"served":false}]}`, "")
	f.Add(403, "PUT", `{"title":"Forbidden","detail":"no","errors":[{"pointer":"#/x","detail":"y"}]}`, "")
	f.Add(200, "POST", hookRefused, "")
	f.Add(429, "PUT", "", "120")
	f.Add(307, "DELETE", "", "Fri, 02 Jan 2026 00:00:00 GMT")
	f.Fuzz(func(t *testing.T, status int, method, body, header string) {
		a := answer{status: status, body: []byte(body), header: http.Header{"Retry-After": {header}, "Location": {header}}}
		r := judge(request{method: method, old: method == http.MethodPost}, a, time.Unix(0, 0))
		if len(r.wrong) > 3000 || len(r.notes) > maxPorts || r.retryAfter < 0 || r.retryAfter > maxRetryAfter || r.lease < 0 || r.lease > maxLease {
			t.Errorf("%+v", r)
		}
		if r.ok() && (status < 200 || status > 299) {
			t.Errorf("status %d is taken for a success", status)
		}
	})
}
