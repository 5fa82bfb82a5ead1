//go:build !phonehome

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

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

// format is how tables are written to w: with colours and cut to its width on a
// terminal, plain and whole elsewhere.
func format(w io.Writer) status.Format {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return status.Format{}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 40 {
		width = 80
	}
	return status.Format{Width: width, Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}
