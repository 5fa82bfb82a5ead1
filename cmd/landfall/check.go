//go:build !phonehome

package main

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/status"
)

func checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the file, the objects and the machine",
		Long: `Looks at the edge's file, at HAProxy, the folders, the ports and the limits of
this machine, and at every object of every source, and says of each whether it is
fine or what to do. Nothing is changed, and an edge that runs is not disturbed.`,
		Example: `  landfall check
  landfall check -c edge.yaml --offline    without asking any API server
  landfall check -o json | jq '.[] | select(.ok | not)'`,
	}
	file, output := withFile(c), withOutput(c)
	offline := c.Flags().Bool("offline", false, "ask no API server")
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		if err := output.check(); err != nil {
			return err
		}
		edge, err := app.Load(*file)
		if err != nil {
			return err
		}
		checks, err := app.Check(c.Context(), edge, *offline, app.Options{Version: version, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return couldNotCheck{err}
		}
		checks = slices.Insert(checks, 0, status.Check{What: "file", OK: true, Message: *file})
		if err := output.print(c, checks, func(f status.Format) string { return status.CheckTable(checks, f) }); err != nil {
			return err
		}
		if slices.ContainsFunc(checks, func(c status.Check) bool { return !c.OK }) {
			return silentError{exitFailure}
		}
		return nil
	})
	describeExits(c, exitOK, exitFailure, exitUsage)
	return c
}

// couldNotCheck is why there is no answer.
type couldNotCheck struct{ error }

func (e couldNotCheck) Error() string { return fmt.Sprintf("could not check: %v", e.error) }
