package token

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

// The life of signing keys told as a timeline: at each hour the plan is made,
// and the keys stand as named.
func TestRotationTimeline(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	rule := rotation{algorithm: EdDSA, every: 30 * 24 * time.Hour, publishFor: 24 * time.Hour, longest: time.Hour}
	var keys []app.SigningKey
	made := 0
	turn := func(at time.Time, rule rotation) {
		for {
			planned, wanted := rule.plan(keys, nil, at)
			if !wanted {
				keys = planned
				return
			}
			made++
			keys, _ = rule.plan(keys, &app.SigningKey{ID: fmt.Sprintf("k%d", made), Algorithm: rule.algorithm}, at)
		}
	}
	es256 := rule
	es256.algorithm = ES256
	steps := []struct {
		name  string
		hours float64
		rule  rotation
		want  string
	}{
		{"first start", 0, rule, "k1 current, k2 next"},
		{"nothing to do", 1, rule, "k1 current, k2 next"},
		{"one minute before the month ends", 720 - 1./60, rule, "k1 current, k2 next"},
		{"the month ends", 720, rule, "k1 retiring, k2 current, k3 next"},
		{"the old one's last token has expired, the margin has not", 721.1, rule, "k1 retiring, k2 current, k3 next"},
		{"the old one goes", 721.2, rule, "k2 current, k3 next"},
		{"switched off for three months", 3000, rule, "k2 retiring, k3 current, k4 next"},
		{"straight after", 3000.1, rule, "k2 retiring, k3 current, k4 next"},
		{"another algorithm: the unused next is replaced", 3002, es256, "k3 current, k5 next"},
		{"not before it was published long enough", 3025.9, es256, "k3 current, k5 next"},
		{"then at once, though the month is not over", 3026, es256, "k3 retiring, k5 current, k6 next"},
	}
	for _, step := range steps {
		turn(start.Add(time.Duration(step.hours*float64(time.Hour))), step.rule)
		if got := states(keys); got != step.want {
			t.Fatalf("%s: %s, want %s", step.name, got, step.want)
		}
	}
}

// Whatever the replicas' timing, no key may sign that was not published for
// the whole time, and no key may go while its tokens hold.
func TestRotationNeverSurprisesVerifiers(t *testing.T) {
	rule := rotation{algorithm: EdDSA, every: 50 * time.Hour, publishFor: 10 * time.Hour, longest: time.Hour}
	var keys []app.SigningKey
	seen, lastSigned := map[string]time.Time{}, map[string]time.Time{}
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for n := range 3000 {
		now = now.Add(time.Duration(n*n%97) * time.Minute)
		for {
			planned, wanted := rule.plan(keys, nil, now)
			if keys = planned; !wanted {
				break
			}
			keys, _ = rule.plan(keys, &app.SigningKey{ID: fmt.Sprintf("k%d", n*10+len(keys)), Algorithm: EdDSA}, now)
		}
		published := map[string]bool{}
		for _, k := range keys {
			published[k.ID] = true
			if _, ok := seen[k.ID]; !ok {
				seen[k.ID] = now
			}
		}
		current := keys[find(keys, app.SigningStateCurrent)]
		if n > 0 && now.Sub(seen[current.ID]) < rule.publishFor && len(lastSigned) > 1 {
			t.Fatalf("%s signs %s after it was published", current.ID, now.Sub(seen[current.ID]))
		}
		for id, at := range lastSigned {
			if !published[id] && now.Sub(at) < rule.longest {
				t.Fatalf("%s is gone %s after it signed", id, now.Sub(at))
			}
		}
		lastSigned[current.ID] = now
	}
	if len(lastSigned) < 20 {
		t.Fatalf("only %d keys signed: the test turned nothing", len(lastSigned))
	}
}

func states(keys []app.SigningKey) string {
	var words []string
	for _, k := range keys {
		words = append(words, k.ID+" "+string(k.State))
	}
	return strings.Join(words, ", ")
}
