package testnet_test

import (
	"net"
	"testing"

	"github.com/landfall-edge/landfall/internal/testnet"
)

func TestInside(t *testing.T) {
	if !testnet.Inside(t, "198.51.100.1/32") {
		return
	}
	l, err := net.Listen("tcp", "198.51.100.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := net.Dial("tcp", "192.0.2.1:80"); err == nil {
		c.Close()
		t.Error("there is a way out")
	}
}
