//go:build !phonehome

package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
)

func cleanupCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove what a stopped edge left on the machine",
		Long: `Removes the files and sockets that an edge and its HAProxy left on the machine.
Both must have been stopped. The edge's own file and its manifests stay.`,
		Example: `  landfall stop && landfall cleanup`,
	}
	file := withFile(c)
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		edge, err := app.Load(*file)
		if err != nil {
			return err
		}
		if err := app.Cleanup(c.Context(), edge, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), "nothing is left")
		return nil
	})
	describeExits(c, exitOK, exitFailure, exitUsage, exitNoHAProxy)
	return c
}
