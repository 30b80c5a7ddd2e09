package api

import (
	"context"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
)

const (
	aboutVerification = "What the last reading of the ledger found. The server reads it as often as `ledger.verify_every` says: what is new since the last one " +
		"that held, and once in `ledger.verify_all_every` the whole of it. " +
		"Without a first reading `at` is absent."
	aboutVerify = "Reads the whole ledger now, and answers when it is through. While one reading runs, others wait for it."
	aboutAdjust = "Adds a value, which may be negative, to what an organization used of a meter that counts or sums. " +
		"The correction stands in the ledger with its reason and its author for ever."
)

// Verification is what a reading of the whole ledger found.
type Verification struct {
	At       time.Time        `json:"at,omitzero" doc:"When it ended; absent before the first"`
	WholeAt  time.Time        `json:"whole_at,omitzero" doc:"When every block was read last, from the first on; in between, new ones and all sums are"`
	OK       bool             `json:"ok" doc:"Whether everything holds"`
	Error    string           `json:"error,omitempty" doc:"Why the ledger could not be read"`
	Replicas int64            `json:"replicas" doc:"Processes that ever wrote to the ledger"`
	Blocks   int64            `json:"blocks" doc:"Blocks whose checksum and place in their chain were checked"`
	Requests int64            `json:"requests" doc:"Requests that passed the gate"`
	Outcomes int64            `json:"outcomes" doc:"Requests whose outcome is known"`
	Unknown  int64            `json:"unknown" doc:"Requests without an outcome: under way, or cut off by a crash"`
	Buckets  int64            `json:"buckets" doc:"Sums of 15 minutes that equal the sum of their records"`
	Sums     int64            `json:"quantities" doc:"The same of meters"`
	Events   int64            `json:"events" doc:"Events that the app reported, and reservations that were settled"`
	Adjusts  int64            `json:"corrections" doc:"Corrections by operators"`
	Accounts int64            `json:"accounts" doc:"Accounts of quotas that equal what was drawn on them"`
	Pruned   int64            `json:"pruned" doc:"Accounts of periods long past that were removed, whose sum still equals their draws"`
	Steps    int64            `json:"steps" doc:"Numbered steps in which blocks were folded"`
	Held     int64            `json:"held" doc:"Requests whose worst case is not settled yet"`
	Faulty   int64            `json:"faulty" doc:"Contradictions found"`
	Faults   []metering.Fault `json:"faults" doc:"The first of them"`
}

// verification is a proof as the API shows it.
func verification(p metering.Proof, at time.Time, err error) Verification {
	v := Verification{At: at, OK: err == nil && !at.IsZero() && p.OK(), Replicas: p.Replicas, Blocks: p.Blocks, Requests: p.Requests,
		Outcomes: p.Outcomes, Unknown: p.Unknown, Buckets: p.Buckets,
		Sums: p.Quantities, Events: p.Events, Adjusts: p.Corrected, Accounts: p.Accounts, Pruned: p.Pruned, Steps: p.Steps,
		WholeAt: p.WholeAt, Held: p.Held, Faulty: p.Faulty, Faults: notNull(p.Faults)}
	if err != nil {
		v.Error = "The ledger could not be read; the log has the cause."
	}
	return v
}

func (x *API) getVerification(_ context.Context, _ app.Actor, _ *struct{}) (*answerOf[Verification], error) {
	return answer(verification(x.Proofs.Last()), nil)
}

func (x *API) verifyUsage(ctx context.Context, _ app.Actor, _ *struct{}) (*answerOf[Verification], error) {
	proof, err := x.Proofs.Now(ctx)
	if err != nil {
		return nil, err
	}
	return answer(verification(proof, x.Now().UTC(), nil), nil)
}

// NewAdjustment is the body of adjustUsage.
type NewAdjustment struct {
	Org        string            `json:"org" maxLength:"100" doc:"The organization, by id or slug" example:"acme"`
	Key        app.KeyID         `json:"key_id,omitempty" maxLength:"100" doc:"A key of it"`
	Route      app.RouteID       `json:"route_id,omitempty" maxLength:"100" doc:"The route"`
	Meter      string            `json:"meter" maxLength:"100" doc:"A meter that counts or sums" example:"documents"`
	Dimensions map[string]string `json:"dimensions,omitempty" doc:"As the events have them"`
	At         time.Time         `json:"at,omitzero" doc:"When it counts; now by default"`
	Value      int64             `json:"value" doc:"What to add; negative takes away" example:"-3"`
	Reason     string            `json:"reason" minLength:"1" maxLength:"500" doc:"Why" example:"counted twice by an import"`
}

type adjustInput struct {
	Creation
	Body NewAdjustment
}

func (x *API) adjustUsage(ctx context.Context, actor app.Actor, in *adjustInput) (*answerOf[app.Adjustment], error) {
	b := in.Body
	org, err := x.org(ctx, b.Org)
	if err == nil {
		err = x.hasKey(ctx, b.Org, b.Key)
	}
	if err != nil {
		return nil, err
	}
	dims, err := dimensions(b.Dimensions)
	if err != nil {
		return nil, err
	}
	if b.At.IsZero() {
		b.At = x.Now().UTC()
	}
	if b.At.After(x.Now().Add(time.Hour)) { // clocks differ
		return nil, app.Invalid("at", "must not lie in the future")
	}
	adjustment := app.Adjustment{Org: org, Key: b.Key, Route: b.Route, Meter: b.Meter, Dims: dims, At: b.At, Value: b.Value, Reason: b.Reason}
	return answer(adjustment, x.Adjustments.Adjust(ctx, actor, adjustment))
}
