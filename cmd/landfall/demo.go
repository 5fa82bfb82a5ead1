//go:build !phonehome

package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
)

func demoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole thing on one machine, with no cluster",
		Long: `Runs an edge on high ports of this machine's loopback addresses, before a few
sample services that ordinary Kubernetes manifests in a folder describe. It prints
what to try and which folder to edit, and then tells of each change as it goes live.
HAProxy must be installed. Ctrl-C leaves nothing running.`,
		Example: `  landfall demo
  landfall demo --http-port 8000 --dir ~/landfall-demo`,
	}
	log := withLog(c, "error")
	dir := c.Flags().String("dir", "", "keep everything in this `DIR`, whose sample manifests are written anew; default: one that goes at the end")
	port := c.Flags().Uint16("http-port", 0, "serve HTTP on this `PORT`; default: 8080, or the next that is free")
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		logger, err := log.logger(c.ErrOrStderr())
		if err != nil {
			return err
		}
		ctx, cancel := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		defer cancel()
		err = app.Demo(ctx, app.DemoOptions{
			Options: app.Options{Version: version, Log: logger},
			Program: os.Args[0], Dir: *dir, HTTPPort: *port, Out: c.OutOrStdout(),
		})
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), "ended: nothing of it runs any more")
		}
		return err
	})
	describeExits(c, exitOK, exitFailure, exitUsage, exitNoHAProxy, exitPortInUse, exitNoBind, exitSocketPath)
	return c
}
