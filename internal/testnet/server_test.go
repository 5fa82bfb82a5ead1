package testnet_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/landfall-edge/landfall/internal/testnet"
)

func TestFreePort(t *testing.T) {
	seen := map[uint16]bool{}
	for range 100 {
		port := testnet.FreePort(t)
		if seen[port] || port < 12000 || port >= 32000 {
			t.Errorf("got %d, after %v", port, seen)
		}
		seen[port] = true
	}
}

func TestServe(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", testnet.FreePort(t))
	s := testnet.Serve(t, address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, r.Host, " ", r.Close)
	}))
	if s.Address.String() != address {
		t.Errorf("serves at %s, want %s", s.Address, address)
	}
	url := "http://" + address + "/"
	for _, host := range []string{"shop.test", ""} {
		want := host + " true"
		if host == "" {
			want = address + " true"
		}
		if code, body, err := testnet.Get(t.Context(), url, host); err != nil || code != http.StatusTeapot || body != want {
			t.Errorf("got %d %q %v, want %q", code, body, err, want)
		}
	}
	s.Close()
	if code, _, err := testnet.Get(t.Context(), url, ""); err == nil {
		t.Errorf("got %d after the end", code)
	}
	again := testnet.Serve(t, address, testnet.Text("again"))
	if _, body, err := testnet.Get(t.Context(), "http://"+again.Address.String(), ""); body != "again" {
		t.Errorf("got %q %v", body, err)
	}
}
