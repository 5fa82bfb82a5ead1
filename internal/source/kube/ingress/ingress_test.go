package ingress_test

import (
	"flag"
	"testing"

	"github.com/landfall-edge/landfall/internal/source/kube/translate/translatetest"
)

var update = flag.Bool("update", false, "write down what comes out of the cases")

func TestCases(t *testing.T) {
	translatetest.Run(t, "testdata", *update)
}
