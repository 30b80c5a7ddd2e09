package main

import (
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

func TestShippedPlansAreTheSettledTable(t *testing.T) {
	plans, err := shippedPlans()
	if err != nil {
		t.Fatal(err)
	}
	// product.md, "The first customer's own numbers".
	want := []struct {
		slug, price                       string
		hour, minute, minutes, tasks, mem int64
		cap                               app.Money
	}{
		{"free", "0", 100, 10, 100, 1, 1, 1 * app.Micros},
		{"starter", "49", 1_000, 100, 1_000, 3, 5, 7 * app.Micros},
		{"pro", "149", 10_000, 1_000, 10_000, 10, 20, 22 * app.Micros},
		{"enterprise", "", 0, 0, 0, 0, 0, 500 * app.Micros},
	}
	if len(plans) != len(want) {
		t.Fatalf("%d plans", len(plans))
	}
	for i, w := range want {
		p := plans[i]
		if wrong := p.Check(); len(wrong) > 0 {
			t.Errorf("%s: %v", p.Slug, wrong)
		}
		price := ""
		if p.Price != nil {
			price = p.Price.String()
		}
		got := map[string]int64{"tasks": p.Tasks, "members": p.Members}
		for _, l := range p.RateLimits {
			got[l.Name+" "+l.Window.Std().String()] = l.Requests
		}
		for _, q := range p.Quotas {
			got[q.Meter+" "+string(q.Period)] = q.Limit
		}
		if p.Slug != w.slug || price != w.price || got["tasks"] != w.tasks || got["members"] != w.mem ||
			got["hour "+time.Hour.String()] != w.hour || got["minute "+time.Minute.String()] != w.minute ||
			got["agent_minutes month"] != w.minutes || got["cost month"] != int64(w.cap) {
			t.Errorf("%s: price %q, %v", p.Slug, price, got)
		}
	}
}

func TestDocumentsExplainWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nearest name", "plans:\n  - slug: x\n    rate_limit: []\n", "plans[0].rate_limit: f.yaml:3: there is no such name here; did you mean rate_limits?"},
		{"deep name", "plans:\n- rate_limits:\n  - {name: a, request: 1}\n", "plans[0].rate_limits[0].request: f.yaml:3: there is no such name here; did you mean requests?"},
		{"list at the top", "- slug: x\n", "must hold plans"},
		{"text for a number", "plans: [{slug: x, tasks: many}]", "plans.tasks"},
		{"bad duration", "plans: [{rate_limits: [{window: soon}]}]", "soon"},
		{"bad money", "plans: [{price: lots}]", "lots"},
		{"no YAML", "plans: [", "neither YAML nor JSON"},
		{"empty", "", "is empty"},
	} {
		_, err := parseDocuments[planFile]([]byte(c.text), "f.yaml")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nlacks %q", c.name, err, c.want)
		}
	}
}

func TestDocumentsMayBeSeveralAndJSON(t *testing.T) {
	text := `{"plans": [{"slug": "a", "name": "A", "price": 0.05}]}` + "\n---\nplans:\n  - {slug: b, name: B, price: 12}\n"
	documents, err := parseDocuments[planFile]([]byte(text), "f")
	if err != nil {
		t.Fatal(err)
	}
	plans := readPlans(documents)
	if len(plans) != 2 || plans[0].Price.String() != "0.05" || plans[1].Price.String() != "12" {
		t.Errorf("got %+v", plans)
	}
}
