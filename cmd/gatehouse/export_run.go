package main

import (
	"context"
	"log/slog"
	"time"

	"gatehouse/app"
	"gatehouse/app/export"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// exportWorkers opens what sends usage elsewhere by itself, and returns what
// runs it. find tells what a meter is.
func (p *Program) exportWorkers(ctx context.Context, find func(context.Context, string) (app.Meter, error)) (run []func(context.Context), err error) {
	exporter, to, err := newExporter(p.config, p.ledgerStore, p.now, p.log)
	if err != nil {
		return nil, err
	}
	if exporter != nil {
		p.onClose("export", func(context.Context) error { return to.Close() })
		run = append(run, exporter.Run)
	}
	stripe, err := newStripe(ctx, p.config, p.ledgerStore, p.store, find, p.now, p.log)
	if stripe != nil {
		run = append(run, stripe.Run)
	}
	return run, err
}

// s3Of is how the configured storage is reached.
func s3Of(config *Config) export.S3 {
	s3 := config.Export.S3
	return export.S3{Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey, AllowPrivate: s3.AllowPrivate}
}

// newExporter is what writes usage elsewhere by itself; nil: export.to is not set.
func newExporter(config *Config, ledger *store.Ledger, now func() time.Time, log *slog.Logger) (*export.Exporter, export.Place, error) {
	c := config.Export
	if c.To == "" {
		return nil, nil, nil
	}
	to, err := export.OpenPlace(c.To, s3Of(config))
	if err != nil {
		return nil, nil, err
	}
	e, err := export.New(export.Options{Source: metering.Exporter{Store: ledger}, Cursors: ledger, To: to,
		Every: c.Every, Format: c.Format, Gzip: c.Gzip, Now: now, Log: log})
	return e, to, err
}

// newStripe is what reports usage to Stripe; nil: stripe.secret_key is not set.
// find tells what a mapped meter is: only what is added up can be reported.
func newStripe(ctx context.Context, config *Config, ledger *store.Ledger, customers export.Customers,
	find func(context.Context, string) (app.Meter, error), now func() time.Time, log *slog.Logger) (*export.Stripe, error) {
	c := config.Stripe
	if c.SecretKey == "" {
		return nil, nil
	}
	meters := map[string]string{}
	for _, m := range c.Meters {
		meter, err := find(ctx, m.Meter)
		if err != nil && !app.IsKind(err, app.KindNotFound) { // one that is made later is reported from then on
			return nil, err
		}
		if err == nil && meter.Aggregation != app.AggregationSum && meter.Aggregation != app.AggregationCount {
			return nil, app.Invalid("stripe.meters", "%s is a %s: only meters that count or sum can be reported", m.Meter, meter.Aggregation)
		}
		meters[m.Meter] = m.EventName
	}
	return export.NewStripe(export.StripeOptions{Source: metering.Exporter{Store: ledger}, Outbox: ledger, Customers: customers,
		Meters: meters, SecretKey: c.SecretKey, URL: c.URL, Allow: c.URL != defaultStripeURL, Now: now, Log: log}), nil
}

// defaultStripeURL is Stripe itself, which has no private address.
const defaultStripeURL = "https://api.stripe.com"
