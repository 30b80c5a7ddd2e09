package quota

import (
	"context"
	"time"

	"gatehouse/app"
)

// Need is a quantity of one meter: what a request may take at most, or what it
// took. Final says that it is exact, so that there is nothing to settle.
type Need struct {
	Meter  string
	Amount int64
	Final  bool
}

// inlineItems is how many quotas a request may be held against without an
// allocation.
const inlineItems = 8

// Hold is what a request reserved. It is settled or released once; then it may
// be used again. The zero value is ready.
type Hold struct {
	org  *org
	n    int // items, in few and then in more
	few  [inlineItems]item
	more []item
}

func (h *Hold) item(i int) *item {
	if i < inlineItems {
		return &h.few[i]
	}
	return &h.more[i-inlineItems]
}

func (h *Hold) add(it item) {
	if h.n < inlineItems {
		h.few[h.n] = it
	} else {
		h.more = append(h.more[:h.n-inlineItems], it)
	}
	h.n++
}

type item struct {
	balance *balance
	amount  int64
	final   bool
	more    int64 // what was taken beyond amount, once that is known; below 0: less
}

// Reserve takes what the needs say from every quota of the line, or nothing. A
// hard quota of the line's meters that is exhausted refuses even where nothing
// is needed of it. The time decides in which periods the request falls.
//
// Errors: quota_exhausted (of cost: budget_exhausted), a payment error with
// Quota filled; quota_unavailable when the database must be asked and does not
// answer, or this replica may not write its ledger any more.
func (l *Line) Reserve(ctx context.Context, now time.Time, h *Hold, needs ...Need) error {
	if l == nil {
		h.n = 0
		return nil
	}
	if !l.book.engine.o.Alive() && l.hard() {
		return unavailable(nil)
	}
	ms := now.UnixMilli()
	o := l.book.org
	o.mu.Lock()
	if l.covered(ms, needs) {
		l.take(ms, now, h, needs)
		o.mu.Unlock()
		return nil
	}
	o.mu.Unlock()
	return l.ask(ctx, now, h, needs)
}

func (l *Line) hard() bool {
	for i := range l.slots {
		if l.slots[i].hard() {
			return true
		}
	}
	return false
}

// needed is what the needs say of a meter.
func needed(needs []Need, meter string) (n Need) {
	n.Final = true
	for i := range needs {
		if needs[i].Meter == meter {
			n.Amount += needs[i].Amount
			n.Final = n.Final && needs[i].Final
		}
	}
	return n
}

// covered reports whether what was lent covers the needs.
func (l *Line) covered(ms int64, needs []Need) bool {
	for i := range l.slots {
		s := &l.slots[i]
		b := s.at(ms)
		if !b.opened || s.hard() && (b.recalled || b.free < max(1, needed(needs, s.quota.Meter).Amount)) {
			return false
		}
	}
	return true
}

func (l *Line) take(ms int64, now time.Time, h *Hold, needs []Need) {
	h.org, h.n = l.book.org, 0
	for i := range l.slots {
		s := &l.slots[i]
		b, n := s.at(ms), needed(needs, s.quota.Meter)
		b.free -= n.Amount
		b.touched = now
		h.add(item{balance: b, amount: n.Amount, final: n.Final && n.Amount > 0})
	}
}

// Draws appends what the hold charges, for the intent of its request.
func (h *Hold) Draws(dst []app.Draw) []app.Draw {
	for i := range h.n {
		it := h.item(i)
		if it.amount == 0 {
			continue
		}
		d := app.Draw{Account: &it.balance.Account, Spent: it.amount}
		if !it.final {
			d.Held = it.amount
		}
		dst = append(dst, d)
	}
	return dst
}

// Settle says what was really taken, of whichever meters, and appends the
// draws that correct the intent's. A meter that is not named took nothing,
// unless its need was final. What is left may be taken by others at once.
func (h *Hold) Settle(dst []app.Draw, used ...Need) []app.Draw {
	dst = h.correct(dst, false, used)
	h.Free()
	return dst
}

// Correct is Settle without its end: what is left is nobody's until Free is
// called. Where Free comes after the draws are handed to the ledger, accounts
// stay within their ceilings even as a crash leaves them.
func (h *Hold) Correct(dst []app.Draw, used ...Need) []app.Draw { return h.correct(dst, false, used) }

// Release says that nothing was taken, not even of a final need, and appends
// the draws that undo the intent's.
func (h *Hold) Release(dst []app.Draw) []app.Draw {
	dst = h.correct(dst, true, nil)
	h.Free()
	return dst
}

func (h *Hold) correct(dst []app.Draw, undo bool, used []Need) []app.Draw {
	for i := range h.n {
		it := h.item(i)
		if it.final && !undo && !names(used, it.balance.Meter) {
			continue
		}
		it.more = needed(used, it.balance.Meter).Amount - it.amount
		d := app.Draw{Account: &it.balance.Account, Spent: it.more}
		if !it.final {
			d.Held = -it.amount
		}
		if d.Spent != 0 || d.Held != 0 {
			dst = append(dst, d)
		}
	}
	return dst
}

// Free ends the hold: what Correct found left may be taken by others.
func (h *Hold) Free() {
	if h.n == 0 {
		return
	}
	h.org.mu.Lock()
	for i := range h.n {
		b := h.item(i).balance
		if b.free -= h.item(i).more; b.free > 0 && !b.live {
			h.org.enlist(b)
		}
	}
	h.org.mu.Unlock()
	h.n = 0
}

func names(list []Need, meter string) bool {
	for i := range list {
		if list[i].Meter == meter {
			return true
		}
	}
	return false
}
