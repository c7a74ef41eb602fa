package cli

import (
	"errors"
	"fmt"
	"io"

	"avalo.app/gantry/client"
	"avalo.app/gantry/internal/fault"
)

// The exit codes of every command.
const (
	ExitOK       = 0 // done; the answer is yes
	ExitNo       = 1 // done; the answer is no: refused, not verified, invalid
	ExitUsage    = 2 // the arguments or the configuration are wrong
	ExitAway     = 3 // Gantry, or its store, could not be reached
	ExitDenied   = 4 // the credential is missing, wrong or not enough
	ExitInternal = 5 // anything else failed
	ExitDown     = 6 // health is DOWN
)

const exitHelp = `Exit codes: 0 done, yes; 1 done, no (refused, not verified, invalid); 2 wrong arguments or configuration; 3 Gantry or its store is away; 4 not authorised; 5 anything else; 6 health is DOWN. A wrapped command's own code is its wrapper's.`

// no is an answer of "no" that has already been printed.
var errNo = errors.New("no")

// errDown is a health word of DOWN that has already been printed.
var errDown = errors.New("down")

// exitError is the exit code of a command that Gantry ran.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// report prints an error for a person and returns its exit code.
func report(w io.Writer, err error) int {
	if errors.Is(err, errNo) {
		return ExitNo
	}
	if errors.Is(err, errDown) {
		return ExitDown
	}
	var wrapped exitError
	if errors.As(err, &wrapped) {
		return int(wrapped)
	}
	var h hinted
	if errors.As(err, &h) {
		code := report(w, h.error)
		fmt.Fprintf(w, "\n%s\n", h.next)
		return code
	}
	var c *client.Error
	if errors.As(err, &c) {
		fmt.Fprintf(w, "gantry: %s\n", clientText(c))
		return codeExit(fault.Code(c.Problem.Code))
	}
	if errors.Is(err, client.ErrUnavailable) {
		fmt.Fprintf(w, "gantry: %v\nIs it running? Start it with \"gantry serve\", or point --url (GANTRY_URL) at it.\n", err)
		return ExitAway
	}
	var u usageError
	if errors.As(err, &u) {
		fmt.Fprintf(w, "gantry: %v\n", err)
		return ExitUsage
	}
	var f *fault.Error
	if errors.As(err, &f) {
		text := f.Msg
		if text == "" {
			text = f.Error()
		}
		fmt.Fprintf(w, "gantry: %s\n", text)
		return codeExit(f.Code)
	}
	fmt.Fprintf(w, "gantry: %v\n", err)
	return ExitInternal
}

// usageError marks what the caller can mend in arguments or configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// hinted adds to an error what to run next.
type hinted struct {
	error
	next string
}

func (e hinted) Unwrap() error { return e.error }

func clientText(c *client.Error) string {
	text := c.Problem.Detail
	if text == "" {
		text = c.Problem.Message
	}
	if c.Problem.RequestID != "" {
		text += " (request " + c.Problem.RequestID + ")"
	}
	return text
}

func codeExit(c fault.Code) int {
	switch c {
	case fault.Unauthenticated, fault.PermissionDenied:
		return ExitDenied
	case fault.InvalidArgument:
		return ExitUsage
	case fault.ServiceDegraded, fault.SystemMaintenance:
		return ExitAway
	case fault.Internal:
		return ExitInternal
	}
	return ExitNo
}
