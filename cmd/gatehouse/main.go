// Command gatehouse is one binary in front of an app: it identifies, limits,
// counts and forwards the app's traffic, and serves its own console and API.
package main

import (
	"context"
	"os"
	"time"
	_ "time/tzdata" // pages show the browser's time zone; containers often have no data of their own

	"github.com/mattn/go-isatty"
)

func main() {
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Environ(), now: time.Now,
		interactive: isatty.IsTerminal(os.Stdin.Fd())}
	os.Exit(c.run(context.Background(), os.Args[1:]))
}
