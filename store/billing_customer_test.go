package store

import (
	"testing"

	"gatehouse/app"
)

func TestBillingCustomers(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		acme := app.BillingCustomer{Org: "org_1", Provider: app.BillingStripe, Customer: "cus_1"}
		if _, err := s.BillingCustomer(t.Context(), acme.Org, acme.Provider); !app.IsKind(err, app.KindNotFound) {
			t.Errorf("before there is one: %v", err)
		}
		if err := s.SetBillingCustomer(t.Context(), app.BillingCustomer{Provider: app.BillingStripe, Customer: "cus_0"}); !app.IsKind(err, app.KindNotFound) {
			t.Errorf("of nobody: %v", err)
		}
		for _, customer := range []string{"cus_1", "cus_2"} {
			acme.Customer = customer
			if err := s.SetBillingCustomer(t.Context(), acme); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.BillingCustomer(t.Context(), acme.Org, acme.Provider); err != nil || got.Customer != "cus_2" || got.UpdatedAt.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
		for _, other := range []struct {
			org      app.OrgID
			provider app.BillingProvider
		}{{"org_2", app.BillingStripe}, {"org_1", "other"}} {
			if _, err := s.BillingCustomer(t.Context(), other.org, other.provider); !app.IsKind(err, app.KindNotFound) {
				t.Errorf("%v: %v", other, err)
			}
			if err := s.DeleteBillingCustomer(t.Context(), other.org, other.provider); !app.IsKind(err, app.KindNotFound) {
				t.Errorf("%v: %v", other, err)
			}
		}
		if list, err := s.BillingCustomers(t.Context(), app.BillingStripe); err != nil || len(list) != 1 {
			t.Errorf("%+v, %v", list, err)
		}
		if err := s.DeleteBillingCustomer(t.Context(), acme.Org, acme.Provider); err != nil {
			t.Error(err)
		}
		if list, err := s.BillingCustomers(t.Context(), app.BillingStripe); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
