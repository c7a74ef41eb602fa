package httpapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
)

type batchInput struct{ Body api.BatchRequest }
type batchOutput struct{ Body api.BatchResult }

// checkBatch decides each request on its own, in order. A bad request
// refuses the whole batch before anything is charged.
func (s *Server) checkBatch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	for i, c := range in.Body.Checks {
		if _, err := s.d.Limits.Peek(ctx, limitRequest(c)); err != nil && fault.CodeOf(err) == fault.InvalidArgument {
			return nil, atIndex(err, i)
		}
	}
	out := &batchOutput{Body: api.BatchResult{Results: make([]api.CheckResult, len(in.Body.Checks))}}
	for i, c := range in.Body.Checks {
		v, err := s.d.Limits.Check(ctx, limitRequest(c))
		if err != nil {
			return nil, err
		}
		s.metrics.verdict(v)
		out.Body.Results[i] = checkResult(v)
	}
	return out, nil
}

// atIndex names the item of a list that an error is about.
func atIndex(err error, i int) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	e := *f
	if d, ok := e.Detail.(fault.Field); ok {
		d.Field = fmt.Sprintf("checks[%d].%s", i, d.Field)
		e.Detail = d
	}
	e.Msg = fmt.Sprintf("checks[%d]: %s; nothing of the batch was charged", i, e.Msg)
	return &e
}

type refundInput struct{ Body api.RefundRequest }

func (s *Server) refund(ctx context.Context, in *refundInput) (*struct{}, error) {
	b := in.Body
	return nil, s.d.Limits.Refund(ctx, ratelimit.Request{Action: b.Action, Cost: b.Cost,
		Subject: ratelimit.Subject{User: b.User, IP: b.IP, Device: b.Device}})
}

type policiesOutput struct {
	Body struct {
		Policies []api.Policy `json:"policies"`
	}
}

func (s *Server) listPolicies(context.Context, *struct{}) (*policiesOutput, error) {
	out := &policiesOutput{}
	out.Body.Policies = []api.Policy{}
	for _, a := range s.d.Limits.Active() {
		out.Body.Policies = append(out.Body.Policies, policyOut(a))
	}
	return out, nil
}

// ActionPath names a policy in a path.
type ActionPath struct {
	Action string `path:"action" maxLength:"64" doc:"The policy's action" example:"MESSAGE_SEND"`
}
type policyOutput struct{ Body api.Policy }

func (s *Server) getPolicy(_ context.Context, in *ActionPath) (*policyOutput, error) {
	a, err := s.d.Limits.ActiveFor(in.Action)
	if err != nil {
		return nil, err
	}
	return &policyOutput{Body: policyOut(a)}, nil
}

type putPolicyInput struct {
	ActionPath
	Reason    string  `query:"reason" maxLength:"500" doc:"Why, for the audit log"`
	IfVersion version `query:"ifVersion" minimum:"0" doc:"The version you read (0: never set by the API); CONFLICT if it moved on. Absent: any"`
	Body      api.PolicySpec
}

func (s *Server) putPolicy(ctx context.Context, in *putPolicyInput) (*policyOutput, error) {
	p, err := policyIn(in.Action, in.Body)
	if err != nil {
		return nil, err
	}
	a, err := s.d.Limits.SetPolicy(ctx, p, in.IfVersion.orAny(), callerOf(ctx).principal.ID, in.Reason)
	if err != nil {
		return nil, err
	}
	return &policyOutput{Body: policyOut(a)}, nil
}

type resetPolicyInput struct {
	ActionPath
	Reason    string  `query:"reason" maxLength:"500" doc:"Why, for the audit log"`
	IfVersion version `query:"ifVersion" minimum:"0" doc:"The version you read; CONFLICT if it moved on. Absent: any"`
}

func (s *Server) resetPolicy(ctx context.Context, in *resetPolicyInput) (*struct{}, error) {
	return nil, s.d.Limits.ResetPolicy(ctx, in.Action, in.IfVersion.orAny(), callerOf(ctx).principal.ID, in.Reason)
}

func policyOut(a ratelimit.Active) api.Policy {
	out := api.Policy{Action: a.Action, Source: string(a.Source), Version: a.Version}
	if a.Algorithm != 0 {
		out.Algorithm = a.Algorithm.String()
	}
	out.Window, out.OnFailure, out.Shadow, out.Disabled = a.Window.String(), string(a.OnFailure), a.Shadow, a.Disabled
	for _, r := range a.Rules {
		out.Rules = append(out.Rules, api.Rule{Scope: r.Scope.String(), Limit: r.Limit, Burst: r.Burst})
	}
	if a.Block != nil {
		out.Block = &api.Block{After: a.Block.After, For: a.Block.For.String()}
	}
	return out
}

func policyIn(action string, in api.PolicySpec) (ratelimit.Policy, error) {
	const op = "httpapi.putPolicy"
	p := ratelimit.Policy{Action: action, OnFailure: ratelimit.FailureMode(in.OnFailure), Shadow: in.Shadow, Disabled: in.Disabled}
	var err error
	if p.Window, err = duration(op, "window", in.Window); err != nil {
		return p, err
	}
	if in.Algorithm != "" {
		var ok bool
		if p.Algorithm, ok = ratelimit.ParseAlgorithm(in.Algorithm); !ok {
			return p, fault.Invalid(op, fault.Field{Field: "algorithm", Actual: bounded(in.Algorithm), Allowed: []string{"sliding_window", "window_credit", "gcra"}},
				"there is no such algorithm")
		}
	}
	for i, r := range in.Rules {
		scope, ok := ratelimit.ParseScope(r.Scope)
		if !ok {
			return p, fault.Invalid(op, fault.Field{Field: fmt.Sprintf("rules[%d].scope", i), Actual: bounded(r.Scope), Allowed: []string{"user", "ip", "device", "user+ip", "user+device", "ip+device"}},
				"a scope joins user, ip and device with +")
		}
		p.Rules = append(p.Rules, ratelimit.Rule{Scope: scope, Limit: r.Limit, Burst: r.Burst})
	}
	if in.Block != nil {
		d, err := duration(op, "block.for", in.Block.For)
		if err != nil {
			return p, err
		}
		p.Block = &ratelimit.Block{After: in.Block.After, For: d}
	}
	return p, nil
}

func duration(op, field, s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fault.Invalid(op, fault.Field{Field: field, Problem: "not a duration", Actual: bounded(s)},
			"%s must be a duration such as 90s, 5m or 24h", field)
	}
	return d, nil
}
