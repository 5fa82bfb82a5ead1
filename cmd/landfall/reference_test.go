package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/landfall-edge/landfall/internal/testgolden"
)

// TestReference keeps the page of all commands equal to what they say of
// themselves.
func TestReference(t *testing.T) {
	var page bytes.Buffer
	page.WriteString("# Command reference\n\n*Answers: what exactly does each command say of itself?*\n\n" +
		"Generated from `-h` by `make docs`. [Commands](commands.md) says when to use which.\n")
	root := newRoot()
	for _, c := range root.Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		c.InitDefaultHelpFlag()
		var help bytes.Buffer
		c.SetOut(&help)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&page, "\n## landfall %s\n\n```text\n%s\n```\n", c.Name(), bytes.TrimSpace(help.Bytes()))
	}
	testgolden.File(t, "../../docs/user/reference.md", page.Bytes())
}
