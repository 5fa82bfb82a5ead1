//go:build !phonehome

package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/app"
)

func renderCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "render",
		Short: "Print every file that an edge would write",
		Long: `Reads every source once and prints every file that the edge would write for
HAProxy, each behind a line with its name, or writes them below a folder. Findings
go to standard error. Nothing else is touched.`,
		Example: `  landfall render -c edge.yaml | less
  landfall render -c edge.yaml -o /tmp/out && diff -r /tmp/out /tmp/before`,
	}
	file := withFile(c)
	dir := c.Flags().StringP("output", "o", "", "write the files below this `DIR` instead of printing them")
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		edge, err := app.Load(*file)
		if err != nil {
			return err
		}
		out, err := app.Render(c.Context(), edge, app.Options{Version: version, Log: slog.New(slog.DiscardHandler)})
		for _, f := range out.Findings {
			fmt.Fprintf(c.ErrOrStderr(), "finding: %s: %s\n", f.Origin, f.Message)
		}
		if *dir != "" {
			return errors.Join(err, out.Write(c.Context(), *dir))
		}
		fmt.Fprint(c.OutOrStdout(), out.Text())
		return err
	})
	describeExits(c, exitOK, exitFailure, exitUsage, exitNoHAProxy, exitCredentials)
	return c
}
