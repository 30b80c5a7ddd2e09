package store

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/app"
)

// checkQuotaMeters refuses plans with quotas of meters that do not exist or do
// not add quantities up: what is left of one would mean nothing. The meters
// stay as they are until the transaction ends.
func (t *tx) checkQuotaMeters(list []app.Plan) error {
	known, err := t.meters(t.dialect.lockRow)
	if err != nil {
		return err
	}
	meters := index(append(app.BuiltInMeters(), known...), func(m app.Meter) string { return m.Slug })
	var wrong []app.FieldError
	for i, p := range list {
		for j, q := range p.Quotas {
			m, exists := meters[q.Meter]
			if fault := q.CheckMeter(m, exists); fault != "" {
				wrong = append(wrong, app.FieldError{Field: fmt.Sprintf("plans[%d].quotas[%d].meter", i, j), Message: fault})
			}
		}
	}
	if len(wrong) > 0 {
		return app.InvalidFields(wrong)
	}
	return nil
}

// checkQuotaMeter is checkQuotaMeters for the quota of an override.
func (t *tx) checkQuotaMeter(q app.Quota) error {
	err := t.checkQuotaMeters([]app.Plan{{Quotas: []app.Quota{q}}})
	if known := app.AsError(err); known != nil && len(known.Fields) > 0 {
		return app.Invalid("meter", "%s", known.Fields[0].Message)
	}
	return err
}

// unnamed refuses with meter_in_use when quotas of plans or organizations name
// the meter. It must be locked, or not exist yet.
func (t *tx) unnamed(slug string) error {
	plans, err := t.plansThatName(slug)
	if err != nil {
		return err
	}
	orgs, err := t.orgsThatName(slug)
	if err != nil || len(plans)+len(orgs) == 0 {
		return err
	}
	conflict := app.Conflict("meter_in_use", "Quotas name the meter %q: those of %s.", slug,
		strings.Join(slices.DeleteFunc([]string{someOf("plan", plans), someOf("organization", orgs)}, func(s string) bool { return s == "" }), " and "))
	conflict.Advice = "Take these quotas away first: apply the plans without them, and unset the organizations' overrides."
	return conflict
}

func (t *tx) plansThatName(meter string) (slugs []string, err error) {
	plans, err := t.plans("slug")
	for _, p := range plans {
		if slices.ContainsFunc(p.Quotas, func(q app.Quota) bool { return q.Meter == meter }) {
			slugs = append(slugs, p.Slug)
		}
	}
	return slugs, err
}

// orgsThatName finds organizations with an override of the meter, their own or
// a key's; one that only takes the plan's quota away needs no meter.
func (t *tx) orgsThatName(meter string) (slugs []string, err error) {
	type named struct {
		slug string
		app.QuotaOverride
	}
	list, err := rows(t, func(row scanner) (n named, err error) { return n, row.Scan(&n.slug, inJSON(&n.QuotaOverride)) },
		`SELECT o.slug, q.definition FROM quota_override q JOIN org o ON o.id = q.org_id WHERE q.meter = $1 ORDER BY o.slug`, meter)
	for _, n := range list {
		if !n.Unlimited && !slices.Contains(slugs, n.slug) {
			slugs = append(slugs, n.slug)
		}
	}
	return slugs, err
}

// maxNamed bounds the names in a refusal.
const maxNamed = 5

// someOf is "the plans free, pro and 3 more"; empty for none.
func someOf(noun string, names []string) string {
	switch n := len(names); {
	case n == 0:
		return ""
	case n == 1:
		return "the " + noun + " " + names[0]
	case n > maxNamed:
		return fmt.Sprintf("the %ss %s and %d more", noun, strings.Join(names[:maxNamed], ", "), n-maxNamed)
	default:
		return fmt.Sprintf("the %ss %s and %s", noun, strings.Join(names[:n-1], ", "), names[n-1])
	}
}
