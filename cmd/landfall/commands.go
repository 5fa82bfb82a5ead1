//go:build !phonehome

package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
)

// commands are all there are. The tag phonehome, of container images, leaves the agent
// alone: a tenth of the memory beside somebody's workload, and of the image.
func commands() []*cobra.Command {
	return []*cobra.Command{
		edgeCommand(), renderCommand(), checkCommand(), statusCommand(), approveCommand(), stopCommand(),
		cleanupCommand(), demoCommand(), phoneHomeCommand(), versionCommand(),
	}
}

// withFile adds the flag that every command about an edge has.
func withFile(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", app.DefaultFile, "the edge's `FILE`")
}

// exitOf is the code for an error of a command that was called well.
func exitOf(err error) int {
	if errors.As(err, new(couldNotCheck)) {
		return exitUsage
	}
	switch app.Classify(err) {
	case app.BadFile:
		return exitUsage
	case app.NoHAProxy:
		return exitNoHAProxy
	case app.PortInUse:
		return exitPortInUse
	case app.NoBind:
		return exitNoBind
	case app.LongSocket:
		return exitSocketPath
	case app.Credentials:
		return exitCredentials
	case app.NotRunning:
		return exitNotRunning
	default:
		return exitFailure
	}
}
