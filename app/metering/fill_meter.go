package metering

import "gatehouse/app"

// unload writes what a record carries; holds belong to the block's last INTENT.
func (w *writer) unload(s *Series, at int64, c cargo) {
	b := &w.block
	for i := range c.holds {
		u := &c.holds[i]
		b.Holds = append(b.Holds, Hold{len(b.Intents) - 1, w.meter(s, u), between(0, u.Value, maxValue)})
	}
	for i := range c.uses {
		u := &c.uses[i]
		value := u.Value
		if !u.Unique {
			value = between(-maxValue, value, maxValue)
		}
		b.Uses = append(b.Uses, Use{w.meter(s, u), at, value, u.Estimated})
	}
	for i := range c.draws {
		w.draw(&c.draws[i])
	}
}

// meter is the index in the block of what the use is counted under.
func (w *writer) meter(s *Series, u *app.Use) int {
	key := MeterSeries{s.Org, s.Key, s.Route, u.Meter, u.Dims, u.Unique}
	ref, known := w.meters[key]
	if !known {
		ref = len(w.block.Meters)
		w.meters[key] = ref
		w.block.Meters = append(w.block.Meters, MeterSeries{app.OrgID(clean(string(s.Org))), app.KeyID(clean(string(s.Key))),
			app.RouteID(clean(string(s.Route))), clean(u.Meter), clean(u.Dims), u.Unique})
	}
	return ref
}

// draw adds to the block's draw on the account.
func (w *writer) draw(d *app.Draw) {
	b := &w.block
	ref, known := w.account[d.Account]
	if !known {
		ref = len(b.Accounts)
		w.account[d.Account] = ref
		b.Accounts = append(b.Accounts, cleanAccount(*d.Account))
		b.Draws = append(b.Draws, Draw{Account: ref})
	}
	sum := &b.Draws[ref] // one for each account, in the same order
	sum.Spent, sum.Held = drawn(plus(sum.Spent, d.Spent)), drawn(plus(sum.Held, d.Held))
}

func cleanAccount(a app.Account) app.Account {
	return app.Account{Org: app.OrgID(clean(string(a.Org))), Key: app.KeyID(clean(string(a.Key))), Meter: clean(a.Meter),
		Period: app.QuotaPeriod(clean(string(a.Period))), Start: millis(a.Start), End: millis(a.End)}
}

func (w *writer) adjust(a *pendingAdjust) {
	use := app.Use{Meter: a.Meter, Dims: a.Dims}
	series := w.meter(&Series{a.Org, a.Key, a.Route}, &use)
	w.block.Adjusts = append(w.block.Adjusts, Adjust{series, millis(a.At.UnixMilli()), between(-maxValue, a.Value, maxValue),
		clean(a.Reason), clean(a.by)})
	for i := range a.draws {
		w.draw(&a.draws[i])
	}
}
