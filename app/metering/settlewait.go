package metering

import "gatehouse/app"

// SettleTicket is Settle for an outcome that must be durable before its client
// hears of it: Wait of the ticket it returns says when that is.
func (l *Ledger) SettleTicket(t Ticket, out app.Outcome) Ticket {
	if t.group == nil {
		return Ticket{}
	}
	l.mu.Lock()
	receipt := Ticket{ledger: l, series: t.series, at: t.at, group: l.open, index: receiptIndex}
	wake := false
	switch {
	case t.group.void:
		receipt.group = t.group
	case l.fenced:
		receipt.group = l.refused
	default:
		l.urgent = true
		wake = l.settle(t, out)
		wake = l.rouse(forIntent) || wake
		if len(l.settles) > maxSettles { // a stall: it is in a later block
			receipt.group = l.full
		}
	}
	l.mu.Unlock()
	l.ring(wake)
	return receipt
}

// Refused is Wait without waiting: why the request is refused already, as far
// as that is known, or nil.
func (t *Ticket) Refused() error {
	if t.group == nil || t.group.state.Load() != failed {
		return nil
	}
	return unavailable(t.group.cause)
}

// Void reports whether the ticket's request is in no block and never will be.
// After a failed Wait it may be either way.
func (l *Ledger) Void(t Ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return t.group != nil && t.group.void
}

// receiptIndex is the index of a ticket that stands for no request.
const receiptIndex = -1

// settle adds the outcome to the next block; the lock is held.
func (l *Ledger) settle(t Ticket, out app.Outcome) (wake bool) {
	p := pendingSettle{ticket: t, status: out.Status, in: out.BytesIn, out: out.BytesOut, took: out.Duration}
	if len(out.Uses)+len(out.Draws) > 0 {
		p.load = l.after.add(nil, out.Uses, out.Draws)
	}
	l.settles = append(l.settles, p)
	return l.rouse(forAny)
}

// due is how many records wait for a block soon, and not only for company; the
// lock is held.
func (l *Ledger) due() int {
	n := len(l.intents) + len(l.adjusts)
	if l.urgent {
		n += len(l.settles)
	}
	return n
}
