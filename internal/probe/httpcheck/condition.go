package httpcheck

import (
	"context"

	"cel.dev/cel-go/cel"

	"avalo.app/gantry/internal/probe"
)

// What a condition may cost; CEL counts about one for each step and each ten
// characters compared. A megabyte of JSON is walked several times over.
const (
	maxCost   = 1_000_000
	maxLength = 4 << 10 // of the expression
	checkEach = 100     // steps of a comprehension, for the end of the context
)

type condition struct{ program cel.Program }

// compile reads a CEL expression. Its errors give the place and not the text:
// a condition may compare with a secret.
func compile(expression string) (*condition, error) {
	if n := len(expression); n > maxLength {
		return nil, probe.Invalid("http", "condition", "has %d bytes, at most %d", n, maxLength)
	}
	env, err := cel.NewEnv(cel.Variable("body", cel.DynType), cel.Variable("status", cel.IntType))
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		at := issues.Errors()[0].Location
		return nil, probe.Invalid("http", "condition", "is not CEL over body and status, at line %d, column %d; write, for example, body.status == \"ok\"", at.Line(), at.Column()+1)
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, probe.Invalid("http", "condition", "is of type %s, want bool; compare with something", t)
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(checkEach))
	if err != nil {
		return nil, probe.Invalid("http", "condition", "cannot be made a program; simplify it")
	}
	return &condition{program}, nil
}

// hold returns an error unless the condition is true of an answer.
func (c *condition) hold(ctx context.Context, status int, body any) error {
	out, _, err := c.program.ContextEval(ctx, map[string]any{"body": body, "status": status})
	switch {
	case err != nil && ctx.Err() != nil:
		return probe.Fail(ctx, "condition", ctx.Err())
	case err != nil:
		return probe.Failf("the condition cannot be told of this answer: a member that it names is missing or of another type, or it costs more than %d steps", maxCost)
	case out.Value() != true:
		return probe.Failf("the answer's JSON does not meet the condition")
	}
	return nil
}
