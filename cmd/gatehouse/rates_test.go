package main

import (
	"testing"

	"gatehouse/app/margin"
)

func TestTheShippedPriceListIsValid(t *testing.T) {
	list, err := shippedRates()
	if err != nil {
		t.Fatal(err)
	}
	if wrong := margin.Check(list); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	names := map[string]bool{}
	for _, r := range list {
		names[r.Model] = true
		if r.MaxInput == 0 || r.Provider == "" || (r.MaxOutput == 0) != (r.Output == "0") {
			t.Errorf("%s lacks bounds: %+v", r.Model, r)
		}
	}
	for _, model := range []string{"claude-sonnet-4-5*", "gpt-5", "gpt-4o-mini", "text-embedding-3-small"} {
		if !names[model] {
			t.Errorf("%s is missing", model)
		}
	}
}
