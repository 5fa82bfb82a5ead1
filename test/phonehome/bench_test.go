package phonehome_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/testnet"
)

// report tells the middle and the end of what was measured.
func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkEndpoint is from the call that registers an address at an open port to
// the first request that it serves.
func BenchmarkEndpoint(b *testing.B) {
	if !testnet.Inside(b, addresses()...) {
		return
	}
	newEdge(b)
	serve(b, "203.0.113.1:30843", "1")
	serve(b, "203.0.113.2:30843", "2")
	put(b, tokenA, "shop", "203.0.113.1", 8443, 30843, "", http.StatusCreated)
	answers(b, 8443, "", "1")
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		next, before := fmt.Sprint(2-i%2), fmt.Sprint(1+i%2)
		began := time.Now()
		if i > 1 { // it drains still: its call brings it back
			put(b, tokenA, "shop", "203.0.113."+next, 8443, 30843, "", http.StatusCreated)
		} else {
			ask(b, tokenA, http.MethodPut, "/v1/registrations/shop", `{"address":"203.0.113.`+next+`","ports":[{"port":8443,"targetPort":30843}]}`)
		}
		for {
			if _, body, err := testnet.Get(b.Context(), url(8443), ""); err == nil && body == next {
				break
			}
		}
		took = append(took, time.Since(began))
		ask(b, tokenA, http.MethodDelete, "/v1/registrations/shop?address=203.0.113."+before, "")
	}
	report(b, took)
}

// BenchmarkWrongTokens is a call with a right token, alone and beside a thousand
// calls a second with wrong ones from the same address; ratio is of the two.
func BenchmarkWrongTokens(b *testing.B) {
	if !testnet.Inside(b, addresses()...) {
		return
	}
	newEdge(b)
	middle := func() time.Duration {
		var took []time.Duration
		for range 500 {
			began := time.Now()
			if a := ask(b, tokenA, http.MethodGet, "/v1/whoami", ""); a.code != http.StatusOK {
				b.Fatal(a.text)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	for b.Loop() {
		alone := middle()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					wg.Go(func() {
						req, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, base+"/hooks/update-haproxy", strings.NewReader("{}"))
						req.Header.Set("X-Funkypenguin-Token", "wrong")
						if resp, err := http.DefaultClient.Do(req); err == nil {
							resp.Body.Close()
						}
					})
				}
			}
		})
		beside := middle()
		close(stop)
		wg.Wait()
		b.ReportMetric(float64(beside)/float64(alone), "ratio")
		b.ReportMetric(float64(alone.Microseconds())/1000, "alone-ms")
	}
}
