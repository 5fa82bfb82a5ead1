//go:build phonehome

package main

import (
	"errors"
	"syscall"

	"github.com/spf13/cobra"
)

func commands() []*cobra.Command {
	return []*cobra.Command{phoneHomeCommand(), versionCommand()}
}

func exitOf(err error) int {
	if errors.Is(err, syscall.EADDRINUSE) {
		return exitPortInUse
	}
	return exitFailure
}
