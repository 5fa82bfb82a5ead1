package main

import (
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
)

func statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what is served, where and how healthy",
		Long: `Asks the running edge what it serves, where and how healthy it is, what it found
wrong and what to do about it, and what changed last and by which way.`,
		Example: `  landfall status
  landfall status --watch
  landfall status -o json | jq '.findings[] | .namespace + "/" + .name + ": " + .message'`,
	}
	file, output := withFile(c), withOutput(c)
	watch := c.Flags().BoolP("watch", "w", false, "show it again every second, until Ctrl-C")
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		if err := output.check(); err != nil {
			return err
		}
		edge, err := app.Load(*file)
		if err != nil {
			return err
		}
		if !*watch {
			return showStatus(c, edge, output)
		}
		ctx, cancel := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer cancel()
		for {
			if output.as == "table" && format(c.OutOrStdout()).Width > 0 {
				fmt.Fprint(c.OutOrStdout(), "\x1b[H\x1b[2J") // from the top of an empty screen
			}
			if err := showStatus(c, edge, output); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
		}
	})
	describeExits(c, exitOK, exitFailure, exitUsage, exitNotRunning)
	return c
}

func showStatus(c *cobra.Command, edge *spec.Edge, o *output) error {
	s, err := app.AskStatus(c.Context(), edge, engine.Whole)
	if err != nil {
		return err
	}
	return o.print(c, s, func(f status.Format) string { return status.Table(s, f) })
}
