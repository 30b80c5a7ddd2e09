package main

import (
	"gatehouse/app"
	"gatehouse/embed/catalogue"
)

// rateFile is one document of `rate apply -f`.
type rateFile struct {
	Rates []app.Rate `json:"rates"`
}

// readRates reads the rates of a file.
func readRates(documents []rateFile) (rates []app.Rate) {
	for _, document := range documents {
		rates = append(rates, document.Rates...)
	}
	return rates
}

// shippedRates are the prices that a new installation starts with.
func shippedRates() ([]app.Rate, error) {
	documents, err := parseDocuments[rateFile](catalogue.Rates(), "rates.yaml")
	return readRates(documents), err
}
