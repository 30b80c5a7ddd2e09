package billing_test

import (
	"path/filepath"
	"testing"

	"gatehouse/app"
	"gatehouse/app/billing"
	"gatehouse/store"
)

func TestWhoNamesCustomers(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	customers := &billing.Customers{Store: s}
	operator := func(scope string) app.Actor { return app.Actor{Kind: app.ActorOperator, Scopes: []string{scope}} }
	for _, c := range []struct {
		actor       app.Actor
		read, write bool
	}{
		{app.Actor{Kind: app.ActorAnonymous}, false, false},
		{app.Actor{Kind: app.ActorKey, OrgID: "org_1", Scopes: []string{"billing:write"}}, false, false},
		{operator("plans:write"), false, false},
		{operator("billing:read"), true, false},
		{operator("billing:write"), false, true},
		{app.Actor{Kind: app.ActorSystem}, true, true},
	} {
		_, err := customers.Customers(t.Context(), c.actor)
		if c.read != (err == nil) {
			t.Errorf("%v reads: %v", c.actor, err)
		}
		if _, err = customers.Customer(t.Context(), c.actor, "org_2"); app.IsKind(err, app.KindForbidden) == c.read {
			t.Errorf("%v reads one: %v", c.actor, err)
		}
		if _, err = customers.Set(t.Context(), c.actor, "org_1", "cus_1"); app.IsKind(err, app.KindForbidden) == c.write {
			t.Errorf("%v sets: %v", c.actor, err)
		}
		if err = customers.Remove(t.Context(), c.actor, "org_2"); app.IsKind(err, app.KindForbidden) == c.write {
			t.Errorf("%v removes: %v", c.actor, err)
		}
	}
}

func TestCustomersOfStripe(t *testing.T) {
	system := app.Actor{Kind: app.ActorSystem}
	for _, id := range []string{"", "cus_", "acct_1", "cus_1 ", "cus_1&x=y"} {
		if _, err := (&billing.Customers{}).Set(t.Context(), system, "org_1", id); !app.IsKind(err, app.KindInvalid) {
			t.Errorf("%q: %v", id, err)
		}
	}
}
