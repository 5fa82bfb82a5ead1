package endpoints_test

import (
	"testing"

	"github.com/landfall-edge/landfall/internal/source/kube/translate/translatetest"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

func TestCases(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", translatetest.Complete)
}
