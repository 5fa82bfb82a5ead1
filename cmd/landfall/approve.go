//go:build !phonehome

package main

import (
	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/status"
)

func approveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "approve",
		Short: "Let go what is held back",
		Long: `A source that suddenly asks for much less than before is more often broken than
meant: what is served of it stays, with the finding RemovalHeld. This lets it go,
and says what that was. What is held back later is not meant by it.`,
		Example: `  landfall status                 what is held back, and why
  landfall approve
  landfall approve --source home`,
	}
	file, output := withFile(c), withOutput(c)
	source := c.Flags().String("source", "", "only what is held back of this source, by its `NAME` in the file")
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		if err := output.check(); err != nil {
			return err
		}
		edge, err := app.Load(*file)
		if err != nil {
			return err
		}
		approved, err := app.Approve(c.Context(), edge, *source)
		if err != nil {
			return err
		}
		return output.print(c, approved, func(f status.Format) string { return status.ApprovedTable(approved, f) })
	})
	describeExits(c, exitOK, exitFailure, exitUsage, exitNotRunning)
	return c
}
