// Package health measures the parts an app depends on and says how they are.
package health
