package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// cell names one figure of the table.
type cell struct {
	contestant, delay string
	connections       int
}

// results are the samples of every cell, one per round.
type results struct{ runs map[cell][]sample }

// median returns the middle of what the samples say, and half the distance
// between the quartiles as a share of it.
func median[T cmp.Ordered](samples []sample, of func(sample) T) (middle, low, high T) {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2], values[len(values)/4], values[len(values)*3/4]
}

// printTable writes the Markdown table of one upstream.
func printTable(w io.Writer, p plan, delay string, contestants []contestant, r *results) {
	name := delay
	if delay == "fast" {
		name = "about 50 µs"
	}
	fmt.Fprintf(w, "\n**Upstream of %s, answers of %s, medians of %d rounds of %s**\n\n| |", name, p.answer, p.rounds, p.length)
	for _, n := range p.connections {
		fmt.Fprintf(w, " %d: requests/s (× bare) | p50 / p99 ms | CPU µs |", n)
	}
	fmt.Fprintf(w, " memory |\n|---|%s---|\n", strings.Repeat("---|---|---|", len(p.connections)))
	for _, c := range contestants {
		fmt.Fprintf(w, "| %s |", c.name)
		for _, n := range p.connections {
			printCell(w, r.runs[cell{c.name, delay, n}], r.runs[cell{"bare ReverseProxy", delay, n}], len(c.pids) > 0)
		}
		memory, _, _ := median(r.runs[cell{c.name, delay, p.connections[len(p.connections)-1]}], func(s sample) int64 { return s.memory })
		if len(c.pids) == 0 {
			fmt.Fprintln(w, " – |")
			continue
		}
		fmt.Fprintf(w, " %d MB |\n", memory/1e6)
	}
}

func printCell(w io.Writer, mine, bare []sample, gate bool) {
	perSecond := func(s sample) float64 { return s.perSecond }
	got, low, high := median(mine, perSecond)
	base, _, _ := median(bare, perSecond)
	p50, _, _ := median(mine, func(s sample) time.Duration { return s.p50 })
	p99, _, _ := median(mine, func(s sample) time.Duration { return s.p99 })
	fmt.Fprintf(w, " %.0f ±%.0f%% (%.2f) | %s / %s |", got, 50*(high-low)/got, got/base, ms(p50), ms(p99))
	if !gate {
		fmt.Fprint(w, " – |")
		return
	}
	cpu, _, _ := median(mine, func(s sample) time.Duration { return s.cpu })
	bareCPU, _, _ := median(bare, func(s sample) time.Duration { return s.cpu })
	fmt.Fprintf(w, " %.0f (%.2f) |", float64(cpu)/1e3, float64(cpu)/float64(bareCPU))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e3) }
