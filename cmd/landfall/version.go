package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  landfall version`,
	}
	c.Args, c.RunE = does(func(c *cobra.Command) error {
		_, err := fmt.Fprintf(c.OutOrStdout(), "landfall %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	})
	describeExits(c, exitOK, exitUsage)
	return c
}
