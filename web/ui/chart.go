package ui

import (
	"math"
	"strconv"
	"strings"
)

// Series is one kind of value in a chart; Class colours it: s-a (allowed,
// accent), s-w (refused), s-b (failed), s-g (neutral), or of groups s-1 to s-5
// and s-rest.
type Series struct {
	Name  string
	Class string
}

// Step is one bar of a chart: what the table and the read-out call it, and the
// value of each series in the order of the chart's series.
type Step struct {
	Label   string // "24 Nov, 13:20"
	Tick    string // label of the axis below, empty for most
	Minor   bool   // the tick is left out on a phone
	Partial bool   // not over yet: drawn lighter
	Future  bool   // not begun yet: a stub keeps its place
	Values  []float64
	Texts   []string // the values as the table shows them

	TotalText  string  // all of it, if the chart has a column of totals
	Before     float64 // all of this step in the period before, if the chart has one
	BeforeText string
}

// Chart is stacked bars over time. Its plot stretches to the width it gets,
// while its text keeps its size.
type Chart struct {
	ID     string // unique in the page, part of ids
	Label  string // what it shows, its unit, period and time zone, for who cannot see it
	Rest   string // the line that the read-out shows while nothing is pointed at
	First  string // head of the table's first column, such as "From (UTC)"
	Series []Series
	Steps  []Step
	Total  string               // head of the column of totals; empty: there is none
	Before string               // name of the period before, drawn as a mark across each bar; empty: none
	Unit   func(float64) string // writes a label of the axis at the left; nil: Short
}

// plotHeight and plotWidth are the plot's own units; the height is the pixels
// that CSS gives it, the width is stretched.
const (
	plotHeight = 190
	plotWidth  = 1000
	plotTop    = 10 // room for half of the topmost label
)

// scale is the value at the top of the plot and the distance of its lines.
func (c Chart) scale() (top, every float64) {
	var largest float64
	for _, step := range c.Steps {
		var sum float64
		for _, v := range step.Values {
			sum += v
		}
		largest = max(largest, sum)
		if c.Before != "" {
			largest = max(largest, step.Before)
		}
	}
	return niceScale(largest)
}

// niceScale rounds up to 1, 2, 2.5 or 5 times a power of ten per line, with
// two to four lines above zero.
func niceScale(largest float64) (top, every float64) {
	if largest <= 0 {
		return 1, 1
	}
	power := math.Pow(10, math.Floor(math.Log10(largest/3)))
	for _, times := range []float64{1, 2, 2.5, 5, 10} {
		if every = times * power; largest <= 4*every {
			break
		}
	}
	return math.Ceil(largest/every) * every, every
}

// gridLine is a line of the plot and its label.
type gridLine struct {
	Y     string
	TextY string
	Label string
}

func (c Chart) grid() []gridLine {
	top, every := c.scale()
	var lines []gridLine
	for i := 0; float64(i)*every <= top*1.0001; i++ {
		value := float64(i) * every
		y := c.y(value, top)
		write := c.Unit
		if write == nil {
			write = axisNumber
		}
		lines = append(lines, gridLine{Y: number(y), TextY: number(y/plotHeight*100) + "%", Label: write(value)})
	}
	return lines
}

func (c Chart) y(value, top float64) float64 {
	return plotHeight - 1 - value/top*(plotHeight-1-plotTop)
}

// path draws the bars of one series as one path: partial selects the steps
// that are not over yet.
func (c Chart) path(series int, partial bool) string {
	top, _ := c.scale()
	width := plotWidth / float64(max(len(c.Steps), 1))
	gap := width * 0.18
	var d strings.Builder
	for i, step := range c.Steps {
		if step.Partial != partial || series >= len(step.Values) || step.Values[series] <= 0 {
			continue
		}
		var below float64
		for _, v := range step.Values[:series] {
			below += v
		}
		from, to := c.y(below, top), c.y(below+step.Values[series], top)
		if below > 0 && from-to > 3 {
			from-- // a line of the ground between two parts
		}
		to = min(to, from-1.5) // what is not nothing can be seen
		x := float64(i)*width + gap/2
		d.WriteString("M" + number(x) + " " + number(from) + "V" + number(to) + "h" + number(width-gap) + "V" + number(from) + "z")
	}
	return d.String()
}

// marks draws how much there was in the period before, across each bar.
func (c Chart) marks() string {
	if c.Before == "" {
		return ""
	}
	top, _ := c.scale()
	width := plotWidth / float64(max(len(c.Steps), 1))
	var d strings.Builder
	for i, step := range c.Steps {
		if step.Before > 0 {
			d.WriteString("M" + number(float64(i)*width+width*.02) + " " + number(c.y(step.Before, top)) + "h" + number(width*.96))
		}
	}
	return d.String()
}

// stubs keep the places of the steps that have not begun.
func (c Chart) stubs() string {
	width := plotWidth / float64(max(len(c.Steps), 1))
	gap := width * 0.18
	var d strings.Builder
	for i, step := range c.Steps {
		if step.Future {
			d.WriteString("M" + number(float64(i)*width+gap/2) + " " + number(plotHeight-1) + "v-3h" + number(width-gap) + "v3z")
		}
	}
	return d.String()
}

// tick is a label of the axis below, placed in percent so that it keeps its
// size at every width.
type tick struct {
	X      string
	Anchor string
	Label  string
	Class  string
}

func (c Chart) ticks() []tick {
	var ticks []tick
	for i, step := range c.Steps {
		if step.Tick == "" {
			continue
		}
		share := (float64(i) + .5) / float64(len(c.Steps))
		anchor := "middle"
		switch {
		case share < .04:
			share, anchor = 0, "start"
		case share > .96:
			share, anchor = 1, "end"
		}
		class := "c-text"
		if step.Minor {
			class += " c-minor"
		}
		ticks = append(ticks, tick{X: number(share*100) + "%", Anchor: anchor, Label: step.Tick, Class: class})
	}
	return ticks
}

// axisNumber writes a label of the axis: 0, 0.5, 20, 40k, 1.5M.
func axisNumber(v float64) string {
	unit := ""
	switch {
	case v >= 1e9:
		v, unit = v/1e9, "G"
	case v >= 1e6:
		v, unit = v/1e6, "M"
	case v >= 1e3:
		v, unit = v/1e3, "k"
	}
	return strconv.FormatFloat(v, 'f', -1, 32) + unit
}

// number writes a coordinate with one decimal at most.
func number(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// spark is the outline of a sparkline of 96 by 22, and the area below it.
func spark(values []int64) (line, area string) {
	largest := int64(1)
	for _, v := range values {
		largest = max(largest, v)
	}
	var points []string
	for i, v := range values {
		x := float64(i) / float64(max(len(values)-1, 1)) * 96
		points = append(points, number(x)+","+number(20.5-float64(v)/float64(largest)*18.5))
	}
	line = strings.Join(points, " ")
	return line, "0,22 " + line + " 96,22"
}
