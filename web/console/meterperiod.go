package console

import (
	"slices"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// maxSteps bounds the bars of a chart: more would be thinner than a pixel.
const maxSteps = 400

var stepWords = []struct{ step, label, title string }{
	{app.StepBucket, "15 minutes", "in 15 minutes"}, {app.StepHour, "Hours", "an hour"}, {app.StepDay, "Days", "a day"}, {app.StepMonth, "Months", "a month"},
}

// stepped cuts the period into steps of the wall clock of its zone.
func (p period) stepped(step string) period {
	first, last := p.Slots[0], p.End
	p.Slots = nil
	for at := first; at.Before(last); at = nextStep(at, step) {
		p.add(at)
	}
	for _, s := range stepWords {
		if s.step == step {
			p.Title = s.title
		}
	}
	return p
}

// nextStep is where the step after the one that holds the time begins.
func nextStep(at time.Time, step string) time.Time {
	year, month, day := at.Date()
	switch step {
	case app.StepMonth:
		return time.Date(year, month+1, 1, 0, 0, 0, 0, at.Location())
	case app.StepDay:
		return time.Date(year, month, day+1, 0, 0, 0, 0, at.Location())
	case app.StepHour:
		return at.Add(time.Hour)
	}
	return at.Add(app.BucketLength)
}

// stepsOf lists the steps that cut the period into a chart that can be read.
func (p period) stepsOf() []string {
	length := p.End.Sub(p.Slots[0])
	var steps []string
	for step, each := range map[string]time.Duration{app.StepBucket: app.BucketLength, app.StepHour: time.Hour, app.StepDay: 24 * time.Hour, app.StepMonth: 30 * 24 * time.Hour} {
		if length/each <= maxSteps && length >= 2*each {
			steps = append(steps, step)
		}
	}
	slices.SortFunc(steps, func(x, y string) int { return stepRank(x) - stepRank(y) })
	return steps
}

func stepRank(step string) int {
	return slices.IndexFunc(stepWords, func(s struct{ step, label, title string }) bool { return s.step == step })
}

// stepOf is the step that was asked for, if the period allows it, or the one
// that suits the period.
func (p period) stepOf(asked string) string {
	if slices.Contains(p.stepsOf(), asked) {
		return asked
	}
	return p.usualStep()
}

func (p period) usualStep() string {
	switch p.Key {
	case "24h", "7d":
		return app.StepHour
	case "year":
		return app.StepMonth
	}
	return app.StepDay
}

func (p period) stepChoice(now string) ui.Select {
	menu := ui.Select{Name: "step", Label: "Step", Value: now, Apply: true}
	for _, step := range p.stepsOf() {
		menu.Options = append(menu.Options, ui.Option{Value: step, Label: stepWords[stepRank(step)].label})
	}
	return menu
}

// meterPeriodOf is periodOf, and a year of months.
func meterPeriodOf(key string, now time.Time, zone *time.Location) period {
	if key != "year" {
		return periodOf(key, now, zone)
	}
	year, month, _ := now.In(zone).Date()
	p := period{Key: key, Zone: zone, Now: now, End: time.Date(year, month+1, 1, 0, 0, 0, 0, zone)}
	for at := time.Date(year, month-11, 1, 0, 0, 0, 0, zone); at.Before(p.End); at = at.AddDate(0, 1, 0) {
		p.add(at)
	}
	p.Words = p.words()
	return p
}

// stepLabels name a step in the read-out, and some below the chart.
func (p period) stepLabels(step string, i int) (label, tick string, minor bool) {
	at := p.Slots[i]
	switch step {
	case app.StepMonth:
		return at.Format("January 2006"), at.Format("Jan"), i%2 == 1
	case app.StepDay:
		tick, minor = p.dayTick(i)
		return at.Format("Mon 2 Jan 2006"), tick, minor
	}
	label = at.Format("Mon 2 Jan, 15:04")
	if p.Key == "24h" {
		if at.Minute() == 0 && at.Hour()%4 == 0 {
			tick = at.Format("15:04")
		}
		return label, tick, at.Hour()%8 != 0
	}
	if at.Minute() == 0 && at.Hour() == 0 {
		tick = at.Format("2 Jan")
	}
	return label, tick, at.Day()%2 == 1
}

func (p period) dayTick(i int) (string, bool) {
	if p.Key == "7d" {
		return p.Slots[i].Format("2 Jan"), i%2 == 1
	}
	if p.Key == "year" {
		if p.Slots[i].Day() == 1 {
			return p.Slots[i].Format("Jan"), p.Slots[i].Month()%2 == 0
		}
		return "", false
	}
	return p.tick(i)
}
