//go:build !phonehome

package main

import (
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
)

// drainFor is how long --drain without a value gives requests in flight, and
// maxDrain the longest that can be asked for.
const (
	drainFor = 30 * time.Second
	maxDrain = 4 * time.Minute
)

func stopCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "stop",
		Short: "End an edge and its HAProxy",
		Long: `Ends the edge and the HAProxy behind it: nothing is served any more. If only
HAProxy runs, because its edge was ended before, it is ended too.

With --drain, ports are closed at once, and requests in flight are finished first,
for at most that long.`,
		Example: `  landfall stop
  landfall stop --drain
  landfall stop --drain=2m`,
	}
	file := withFile(c)
	drain := c.Flags().Duration("drain", 0, "finish requests in flight first, for at most this long; 30s if no `DURATION` is given")
	c.Flags().Lookup("drain").NoOptDefVal = drainFor.String()
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		if *drain < 0 || *drain > maxDrain {
			return usageError(fmt.Sprintf("--drain %s: want a duration up to %s, for example 30s", *drain, maxDrain))
		}
		edge, err := app.Load(*file)
		if err != nil {
			return err
		}
		ctx, cancel := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer cancel()
		if err := app.Stop(ctx, edge, *drain, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), "stopped")
		return nil
	})
	describeExits(c, exitOK, exitFailure, exitUsage, exitNoHAProxy, exitSocketPath, exitNotRunning)
	return c
}
