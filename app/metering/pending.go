package metering

import (
	"time"

	"gatehouse/app"
)

// pendingIntent is an INTENT that waits for its block. What it carries stands
// in a cargo beside, so that a request which carries nothing costs nothing.
type pendingIntent struct {
	series Series
	at     int64
	weight int64
	load   load
}

type pendingSettle struct {
	ticket  Ticket
	status  int
	in, out int64
	took    time.Duration
	load    load
}

type pendingAdjust struct {
	app.Adjustment
	by    string
	draws []app.Draw
}

// load is how much of a cargo belongs to one record.
type load struct{ holds, uses, draws uint16 }

// cargo is what the records of a list carry, one after the other.
type cargo struct {
	holds, uses []app.Use
	draws       []app.Draw
}

// add copies what one record carries; beyond 65,535 of a kind is left out,
// which is more than one request can have.
func (c *cargo) add(holds, uses []app.Use, draws []app.Draw) load {
	const most = 1<<16 - 1
	holds, uses, draws = holds[:min(most, len(holds))], uses[:min(most, len(uses))], draws[:min(most, len(draws))]
	c.holds, c.uses, c.draws = append(c.holds, holds...), append(c.uses, uses...), append(c.draws, draws...)
	return load{uint16(len(holds)), uint16(len(uses)), uint16(len(draws))}
}

// take unloads what the next record carries.
func (c *cargo) take(n load) (part cargo) {
	part = cargo{c.holds[:n.holds], c.uses[:n.uses], c.draws[:n.draws]}
	c.holds, c.uses, c.draws = c.holds[n.holds:], c.uses[n.uses:], c.draws[n.draws:]
	return part
}

// emptied is an empty cargo in the same memory, unless a stall has filled it.
func (c cargo) emptied() cargo {
	const large = 1 << 16
	if cap(c.holds)+cap(c.uses)+cap(c.draws) > large {
		return cargo{}
	}
	return cargo{c.holds[:0], c.uses[:0], c.draws[:0]}
}

// skip is what is left of the cargo behind the records.
func (c cargo) skip(list []pendingSettle) cargo {
	for i := range list {
		c.take(list[i].load)
	}
	return c
}
