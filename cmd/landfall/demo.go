package main

import "github.com/spf13/cobra"

func demoCommand() *cobra.Command {
	c := &cobra.Command{Use: "demo", Short: "Show the whole thing on one machine, with no cluster"}
	describeExits(c, exitOK, exitFailure, exitUsage, exitNoHAProxy, exitPortInUse, exitNoBind)
	return c
}
