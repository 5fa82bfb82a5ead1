// Command landfall gives a Kubernetes cluster on your own machines a front door
// that never closes. This package only turns flags into options, makes one call
// and prints what comes back; each command has a file of its own.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	root := newRoot()
	err := root.Execute()
	code := exitCode(err)
	var silent silentError
	if err != nil && !errors.As(err, &silent) {
		fmt.Fprintln(os.Stderr, "landfall:", err)
		if code == exitUsage && !errors.As(err, new(ranError)) {
			fmt.Fprintln(os.Stderr, "See landfall -h, or landfall <command> -h for one of them.")
		}
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "landfall",
		Short: "A front door for Kubernetes on your own machines",
		Long: `Landfall puts whatever a Kubernetes cluster, a folder of manifests or a list of
services exposes behind one HAProxy, within milliseconds of each change and
without a lost request.`,
		Example: `  landfall demo                             see it work, with no cluster
  landfall check -c /etc/landfall/edge.yaml  what is wrong, before or after a start
  landfall edge  -c /etc/landfall/edge.yaml  run an edge
  landfall status                           what is served, where, how healthy`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetHelpTemplate(helpTemplate)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(commands()...)
	describeExits(root, allExits()...)
	return root
}

// helpTemplate is cobra's, with the exit codes behind it.
const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}{{with index .Annotations "exits"}}
Exit codes:
{{.}}{{end}}`

// does makes a command of a call that takes no arguments, and marks its errors as
// those of the call, not of how it was called.
func does(call func(c *cobra.Command) error) (cobra.PositionalArgs, func(*cobra.Command, []string) error) {
	return cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		if err := call(c); err != nil {
			return ranError{err}
		}
		return nil
	}
}

// ranError is an error of a command that was called well.
type ranError struct{ error }

func (e ranError) Unwrap() error { return e.error }

// silentError has been told already: only the exit code is left.
type silentError struct{ code int }

func (e silentError) Error() string { return fmt.Sprintf("exit code %d", e.code) }
