package main

import (
	"gatehouse/app"
	"gatehouse/embed/catalogue"
)

// planFile is one document of `plan apply -f`.
type planFile struct {
	Plans []app.Plan `json:"plans"`
}

// readPlans reads the plans of a file.
func readPlans(documents []planFile) (plans []app.Plan) {
	for _, document := range documents {
		plans = append(plans, document.Plans...)
	}
	return plans
}

// shippedPlans are the plans that a new installation starts with.
func shippedPlans() ([]app.Plan, error) {
	documents, err := parseDocuments[planFile](catalogue.Plans(), "plans.yaml")
	return readPlans(documents), err
}
