package config

// origin remembers where values were written, by path
// ("ratelimit.policies.LOGIN.window"), so that errors can say the line and
// nothing prints what came from the environment.
type origin map[string]place

type place struct {
	line, column int
	raw          string // as written, if it holds a reference to a variable
}
