package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-edge/landfall/internal/status"
)

// output is the -o of commands whose answer a program may read.
type output struct{ as string }

func withOutput(c *cobra.Command) *output {
	o := &output{}
	c.Flags().StringVarP(&o.as, "output", "o", "table", "table or json")
	return o
}

func (o *output) check() error {
	if o.as != "table" && o.as != "json" {
		return usageError(fmt.Sprintf("-o %q: want table or json", o.as))
	}
	return nil
}

// print writes value as JSON, or the table for people.
func (o *output) print(c *cobra.Command, value any, table func(status.Format) string) error {
	w := c.OutOrStdout()
	if o.as == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	_, err := fmt.Fprint(w, table(format(w)))
	return err
}

// usageError is a flag with a value that it cannot have.
type usageError string

func (e usageError) Error() string { return string(e) }
