package store

import (
	"testing"

	"gatehouse/app"
)

func TestARotatedKeyKeepsItsQuotas(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		org := insertOrgs(t, s, "acme")[0].ID
		old, other, fresh := newKey(1, 1), newKey(2, 1), newKey(3, 2)
		insertKeys(t, s, org, old, other)
		budget := app.QuotaOverride{Org: org, Key: old.ID, Reason: "agreed", UpdatedBy: "operator opr_1", UpdatedAt: at(7),
			Quota: app.Quota{Meter: app.MeterCost, Limit: 5_000_000, Period: app.PeriodMonth, Grace: 5}}
		others := budget
		others.Key, others.Limit = other.ID, 1
		for _, o := range []app.QuotaOverride{budget, others} {
			if err := s.PutQuotaOverride(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.RotateKey(t.Context(), org, old.ID, at(101), fresh); err != nil {
			t.Fatal(err)
		}
		list, err := s.QuotaOverrides(t.Context(), org)
		if err != nil {
			t.Fatal(err)
		}
		found := map[app.KeyID]app.QuotaOverride{}
		for _, o := range list {
			found[o.Key] = o
		}
		got, want := found[fresh.ID], budget
		want.Key = fresh.ID
		if got.Key != want.Key || got.Reason != want.Reason || got.UpdatedBy != want.UpdatedBy || !got.UpdatedAt.Equal(want.UpdatedAt) ||
			got.Limit != want.Limit || got.Grace != want.Grace || got.Period != want.Period {
			t.Errorf("the fresh key has %+v, want %+v", got, want)
		}
		if len(list) != 3 || found[old.ID].Limit != budget.Limit {
			t.Errorf("the old key's goes on for its grace: %+v", list)
		}
	})
}
