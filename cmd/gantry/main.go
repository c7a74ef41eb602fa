// Command gantry is launch control for a backend; see README.md.
package main

func main() {}
