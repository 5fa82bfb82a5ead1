//go:build !phonehome

package main

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
)

func edgeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "edge",
		Short: "Run an edge",
		Long: `Runs an edge: watches its sources and keeps HAProxy serving what they ask for.

SIGTERM and SIGINT end this process only. HAProxy goes on serving what it has, and
the next edge adopts it; "landfall stop" ends both.

The smallest file that serves something:

  apiVersion: landfall.dev/v1alpha1
  kind: Edge
  sources:
    - name: files
      manifests: {path: /etc/landfall/manifests}`,
		Example: `  landfall edge
  landfall edge -c /etc/landfall/edge.yaml --log-format json`,
	}
	file, log := withFile(c), withLog(c, "info")
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		logger, err := log.logger(c.ErrOrStderr())
		if err != nil {
			return err
		}
		edge, err := app.Load(*file)
		if err != nil {
			return err
		}
		ctx, cancel := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer cancel()
		a, err := app.New(ctx, edge, app.Options{Version: version, Log: logger})
		if err != nil {
			return err
		}
		return a.Run(ctx)
	})
	describeExits(c, exitOK, exitFailure, exitUsage, exitNoHAProxy, exitPortInUse, exitNoBind, exitSocketPath, exitCredentials)
	return c
}
