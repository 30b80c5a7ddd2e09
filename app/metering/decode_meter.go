package metering

import (
	"fmt"
	"math"

	"gatehouse/app"
)

// section reads the records of a kind that block_meter.go tells of.
func (b *Block) section(d *decoder, kind uint64) {
	switch kind {
	case kindMeters:
		b.meters(d)
	case kindAccounts:
		b.accounts(d)
	case kindEvent:
		b.events(d)
	case kindAdjust:
		b.adjusts(d)
	case kindUse:
		b.uses(d)
	case kindHold:
		b.holds(d)
	case kindDraw:
		b.draws(d)
	default:
		d.fail(fmt.Errorf("%w: kind %d", errNewer, kind))
	}
}

func (b *Block) meters(d *decoder) {
	for range d.items(6) {
		b.Meters = append(b.Meters, MeterSeries{Org: app.OrgID(d.pick()), Key: app.KeyID(d.pick()), Route: app.RouteID(d.pick()),
			Meter: d.pick(), Dims: d.pick(), Unique: d.below(2) == 1})
	}
}

func (b *Block) accounts(d *decoder) {
	for range d.items(6) {
		a := app.Account{Org: app.OrgID(d.pick()), Key: app.KeyID(d.pick()), Meter: d.pick(), Period: app.QuotaPeriod(d.pick()),
			Start: d.signed(), End: d.signed()}
		if a.Start != millis(a.Start) || a.End != millis(a.End) {
			d.fail(errShape)
		}
		b.Accounts = append(b.Accounts, a)
	}
}

func (b *Block) events(d *decoder) {
	for range d.items(31) {
		r := Event{Org: app.OrgID(d.pick()), Key: app.KeyID(d.pick()), Source: d.pick(), Type: d.pick(), ID: d.text()}
		r.At, r.Received = b.time(d), b.time(d)
		copy(r.ID16[:], d.take(len(r.ID16)))
		copy(r.Body[:], d.take(len(r.Body)))
		if len(r.Source) > maxText || len(r.ID) > maxText || len(r.Type) > maxText {
			d.fail(errShape)
		}
		b.Events = append(b.Events, r)
	}
}

func (b *Block) adjusts(d *decoder) {
	for range d.items(5) {
		r := Adjust{Series: d.below(len(b.Meters)), At: b.time(d), Value: d.signed(), By: d.pick(), Reason: d.text()}
		if d.err == nil && b.Meters[r.Series].Unique || r.Value != between(-maxValue, r.Value, maxValue) || len(r.Reason) > maxText {
			d.fail(errShape)
		}
		b.Adjusts = append(b.Adjusts, r)
	}
}

func (b *Block) uses(d *decoder) {
	for range d.items(3) {
		head := d.count()
		r := Use{Series: int(head >> 1), Estimated: head&1 == 1, At: b.time(d), Value: d.signed()}
		if head>>1 >= int64(len(b.Meters)) {
			d.fail(errShape)
			return
		}
		if !b.Meters[r.Series].Unique && r.Value != between(-maxValue, r.Value, maxValue) {
			d.fail(errShape)
		}
		b.Uses = append(b.Uses, r)
	}
}

func (b *Block) holds(d *decoder) {
	for range d.items(3) {
		r := Hold{Intent: d.below(len(b.Intents)), Series: d.below(len(b.Meters)), Amount: d.count()}
		if d.err == nil && b.Meters[r.Series].Unique || r.Amount > maxValue {
			d.fail(errShape)
		}
		b.Holds = append(b.Holds, r)
	}
}

func (b *Block) draws(d *decoder) {
	before := -1
	for range d.items(3) {
		r := Draw{Account: d.below(len(b.Accounts)), Spent: d.signed(), Held: d.signed()}
		if r.Account <= before || r.Spent != drawn(r.Spent) || r.Held != drawn(r.Held) {
			d.fail(errShape)
		}
		before = r.Account
		b.Draws = append(b.Draws, r)
	}
}

// time reads a time relative to the block's.
func (b *Block) time(d *decoder) int64 {
	at := b.Base + d.signed()
	if at != millis(at) {
		d.fail(errShape)
	}
	return at
}

// drawn cuts a draw to what a block may hold.
func drawn(value int64) int64 { return between(-maxDraw, value, maxDraw) }

// plus adds without overflow: a sum beyond stays at the end.
func plus(a, b int64) int64 {
	switch sum := a + b; {
	case b > 0 && sum < a:
		return math.MaxInt64
	case b < 0 && sum > a:
		return math.MinInt64
	default:
		return sum
	}
}
