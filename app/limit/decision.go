package limit

import (
	"context"
	"fmt"
	"time"

	"gatehouse/app"
)

// Authority decides over rate limits. The time of a decision must come from
// the clock that the authority was given; it is passed so that a request reads
// the clock once.
type Authority interface {
	// Cell answers the cell of a key (OrgCell, KeyCell, RouteCell), created if
	// need be, with the limit as it is now. It is not for the path of a
	// request: resolve cells once and hold them.
	Cell(key string, l app.RateLimit) *Cell
	// Peek answers the cell of a key for who only looks: one that is known
	// keeps its limit, whatever l says, because the caller may have read l
	// before it changed.
	Peek(key string, l app.RateLimit) *Cell
	// Refresh asks how cells stand, so that State also knows of what other
	// replicas took. It is for pages that show limits.
	Refresh(ctx context.Context, cells []*Cell)
	// Take takes n units from every cell, or from none. Cells in dry-run are
	// charged and counted, and never refuse. With n below 1 it takes nothing.
	Take(ctx context.Context, now time.Time, n int64, cells []*Cell) Decision
	// Stats tells how the authority is.
	Stats() Stats
	// Close gives back what is held in advance and stops.
	Close(ctx context.Context) error
}

// Decision is the answer to one Take.
type Decision struct {
	OK          bool
	TooLarge    bool          // the units asked for exceed the capacity of Refused: waiting never helps
	Degraded    bool          // decided, for some cell, without the shared authority
	Units       int64         // what was asked for
	RetryAfter  time.Duration // when every cell would let the units pass; zero with OK and with TooLarge
	Refused     *Cell         // the cell with the longest wait; nil with OK
	WouldRefuse *Cell         // the first cell in dry-run that would have refused
	Err         error         // why there was no decision: an *app.Error; nil otherwise
}

// Problem is the refusal as an error for the client; nil when the decision is OK.
func (d *Decision) Problem(now time.Time) *app.Error {
	switch {
	case d.OK:
		return nil
	case d.Err != nil:
		return app.AsError(d.Err)
	case d.TooLarge:
		return d.tooLarge(now)
	}
	limit := d.Refused.Limit()
	return &app.Error{Kind: app.KindRateLimited, Code: "rate_limited", RetryAfter: d.RetryAfter, Limit: d.detail(now),
		Message: fmt.Sprintf("The %s's rate limit %q of %d units per %s is used up.",
			d.Refused.Scope(), limit.Name, limit.Requests, limit.Window),
		Advice: fmt.Sprintf("Wait %d s before the next request.", Seconds(d.RetryAfter))}
}

// tooLarge is the refusal of a request that no wait can help.
func (d *Decision) tooLarge(now time.Time) *app.Error {
	limit := d.Refused.Limit()
	return &app.Error{Kind: app.KindRateLimited, Code: "exceeds_rate_limit", Limit: d.detail(now),
		Message: fmt.Sprintf("This request takes %d units at once, and the %s's rate limit %q never holds more than %d.",
			d.Units, d.Refused.Scope(), limit.Name, limit.Capacity()),
		Advice: "Do not send it again as it is: ask for less at once, or ask the operator for a larger burst."}
}

func (d *Decision) detail(now time.Time) *app.LimitDetail {
	limit, state := d.Refused.Limit(), d.Refused.State(now)
	return &app.LimitDetail{Name: limit.Name, Scope: string(d.Refused.Scope()), Limit: limit.Requests,
		Remaining: state.Remaining, WindowSec: int64(limit.Window.Std() / time.Second),
		ResetsAt: now.Add(state.Reset).UTC()}
}

// Seconds rounds a wait up to the whole seconds that Retry-After counts in, at least 1.
func Seconds(wait time.Duration) int64 {
	return max(int64((wait+time.Second-1)/time.Second), 1)
}

// Stats tells how an authority is.
type Stats struct {
	Shared        bool      `json:"shared"`   // the authority is Redis
	Cells         int       `json:"cells"`    // cells known to this process
	Replicas      int64     `json:"replicas"` // replicas alive, this one included; 1 when not shared
	Calls         int64     `json:"calls"`    // round trips to Redis for rate limits
	DegradedSince time.Time `json:"degraded_since,omitzero"`
	PassedOpen    int64     `json:"passed_open"`    // requests passed because Redis was away (on_loss: open)
	RefusedClosed int64     `json:"refused_closed"` // requests refused because Redis was away (on_loss: closed)
}

// Degraded reports whether the shared authority is away.
func (s Stats) Degraded() bool { return !s.DegradedSince.IsZero() }
