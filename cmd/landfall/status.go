//go:build !phonehome

package main

import (
	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/status"
)

func statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what is served, where and how healthy",
		Long: `Asks the running edge what it serves, where and how healthy it is, what it found
wrong and what to do about it, and what changed last and by which way.

With --watch it asks again and again, and shows what happens per second: on a
terminal in place, until Ctrl-C or q; elsewhere one block after the other; with
-o json one document per line.`,
		Example: `  landfall status
  landfall status --watch
  landfall status --watch=5s --endpoints
  landfall status --watch -o json | jq --unbuffered .rates.edge.requests
  landfall status -o json | jq '.findings[] | .namespace + "/" + .name + ": " + .message'`,
	}
	file, output := withFile(c), withOutput(c)
	var every interval
	flag := c.Flags().VarPF(&every, "watch", "w", "show it every `INTERVAL`, with rates")
	flag.NoOptDefVal = "1s"
	endpoints := c.Flags().Bool("endpoints", false, "with --watch: each endpoint too")
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		if err := output.check(); err != nil {
			return err
		}
		edge, err := app.Load(*file)
		if err != nil {
			return err
		}
		if every > 0 {
			depth := engine.Brief
			if *endpoints {
				depth = engine.Whole
			}
			return watch(c, edge, every, depth, output)
		}
		s, err := app.AskStatus(c.Context(), edge, engine.Whole)
		if err != nil {
			return err
		}
		return output.print(c, s, func(f status.Format) string { return status.Table(s, f) })
	})
	describeExits(c, exitOK, exitFailure, exitUsage, exitNotRunning)
	return c
}
