package status_test

import (
	"fmt"

	"github.com/landfall-edge/landfall/internal/status"
)

func ExampleCheckTable() {
	fmt.Print(status.CheckTable([]status.Check{
		{What: "haproxy", OK: true, Message: "version 2.6.12"},
		{What: "port 80", Message: "it is held by nginx (pid 812); stop that, or choose another port for what is served here"},
		{What: "port 443", OK: true, Message: "free for this edge"},
	}, status.Format{Width: 72}))
	// Output:
	// ok       haproxy   version 2.6.12
	// finding  port 80
	//          it is held by nginx (pid 812); stop that, or choose another
	//          port for what is served here
	// ok       port 443  free for this edge
	//
	// 1 finding
}
