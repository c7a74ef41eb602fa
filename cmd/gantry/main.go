// Command gantry is launch control for a backend; see README.md.
package main

import (
	"context"
	"os"

	"avalo.app/gantry/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.LookupEnv,
		cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
