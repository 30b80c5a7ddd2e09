package ui

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func TestScalesEndOnRoundNumbers(t *testing.T) {
	for largest, want := range map[float64][2]float64{0: {1, 1}, 1: {1, .25}, 290: {300, 100}, 545: {600, 200}, 61: {80, 20}, 1000: {1000, 250}, .03: {.03, .01}, 7: {8, 2}} {
		top, every := niceScale(largest)
		if diff(top, want[0]) || diff(every, want[1]) {
			t.Errorf("up to %v: top %v in steps of %v, want %v", largest, top, every, want)
		}
		if top < largest {
			t.Errorf("%v does not fit below %v", largest, top)
		}
		if lines := top / every; lines < 1 || lines > 4.001 {
			t.Errorf("up to %v there are %v lines", largest, lines)
		}
	}
}

func diff(a, b float64) bool { return a-b > 1e-9 || b-a > 1e-9 }

func sample() Chart {
	return Chart{ID: "c", Label: "Requests", First: "From (UTC)", Series: []Series{{"Allowed", "s-a"}, {"Refused", "s-w"}}, Steps: []Step{
		{Label: "13:00", Tick: "13:00", Values: []float64{100, 0}, Texts: []string{"100", "0"}},
		{Label: "13:01", Values: []float64{50, .001}, Texts: []string{"50", "0.001"}},
		{Label: "13:02", Partial: true, Values: []float64{10, 10}, Texts: []string{"10", "10"}}}}
}

func TestBarsStackAndTheSmallestCanBeSeen(t *testing.T) {
	c := sample()
	if n := strings.Count(c.path(0, false), "M"); n != 2 {
		t.Errorf("%d whole bars of the first series, want 2", n)
	}
	if n := strings.Count(c.path(0, true), "M"); n != 1 {
		t.Errorf("%d partial bars, want 1", n)
	}
	if got := c.path(1, false); strings.Count(got, "M") != 1 || !strings.Contains(got, "V98") && !strings.Contains(got, "V97") {
		t.Errorf("a tiny value is drawn as %q: too thin to be seen", got)
	}
	if bars := (Chart{}).path(0, false); bars != "" {
		t.Errorf("an empty chart draws %q", bars)
	}
}

func TestAChartsTextIsInTheTableToo(t *testing.T) {
	var html bytes.Buffer
	if err := Numbers(sample()).Render(context.Background(), &html); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"13:01", "0.001", "From (UTC)", "Refused", `id="c-numbers"`} {
		if !strings.Contains(html.String(), want) {
			t.Errorf("the table lacks %q", want)
		}
	}
}

func TestSparklinesStayInTheirBox(t *testing.T) {
	for _, values := range [][]int64{nil, {0}, {0, 0, 0}, {1, 1_000_000_000, 0}} {
		line, _ := spark(values)
		if strings.Contains(line, "NaN") || strings.Contains(line, "Inf") || strings.Contains(line, "-") {
			t.Errorf("%v is drawn as %q", values, line)
		}
	}
}

func TestFusesWarnAtEightyAndStopAtAHundred(t *testing.T) {
	for percent, want := range map[int64]string{0: "", 79: "", 80: "warn", 99: "warn", 100: "bad", 250: "bad"} {
		if got := (Fuse{Percent: percent}).level(); got != want {
			t.Errorf("at %d %% the fuse is %q, want %q", percent, got, want)
		}
	}
}

func TestWhatPeopleTypeIsEscaped(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	var html bytes.Buffer
	render := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	render(Input(Field{Name: "name", Label: evil, Value: evil, Hint: evil, Wrong: evil, Placeholder: evil}).Render(context.Background(), &html))
	render(NoticeBox(Notice{Text: evil, Name: evil, Href: "javascript:alert(1)", Link: evil}).Render(context.Background(), &html))
	render(ConfirmSheet(Confirm{Title: evil, Name: evil, Lines: []string{evil}, Action: evil}).Render(context.Background(), &html))
	render(PasteBox(Paste{ID: "x", Text: evil}).Render(context.Background(), &html))
	if strings.Contains(html.String(), "<script") || strings.Contains(html.String(), `href="javascript:`) {
		t.Errorf("something came through: %s", html.String())
	}
}
