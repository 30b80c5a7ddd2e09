package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/billing"
	"gatehouse/app/keys"
	"gatehouse/app/metering"
	"gatehouse/app/tenancy"
	"gatehouse/store"
	"gatehouse/web/api"
	"gatehouse/web/respond"
)

// oneMeter is a catalogue of one meter of documents' pages.
type oneMeter struct{ metering.MeterCatalogue }

func (oneMeter) Meters(context.Context) ([]app.Meter, error) {
	return []app.Meter{{Slug: "pages", Aggregation: app.AggregationSum, EventType: "document.converted", Value: "pages", Dimensions: []string{"format"}}}, nil
}

// eventsServer serves the API on a loopback listener, with everything real that
// an event passes: keys, organizations, meters, and the ledger on SQLite.
func eventsServer(b *testing.B) (url, key string) {
	o := store.Options{Path: filepath.Join(b.TempDir(), "gatehouse.db")}
	db, err := store.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	ledger, err := store.OpenLedger(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	events, err := metering.OpenEvents(b.Context(), metering.EventsOptions{Store: ledger})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { events.Close(context.Background()); ledger.Close(); db.Close() })
	meters := &metering.Meters{Store: oneMeter{}}
	plans := &billing.Service{Store: db}
	if _, err := plans.Seed(b.Context(), []app.Plan{{Slug: "free", Name: "Free"}}); err != nil {
		b.Fatal(err)
	}
	if err := meters.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	keyring := &keys.Service{Store: db, Now: time.Now}
	minted, err := keyring.Mint(b.Context(), system, keys.New{Name: "admin", Scopes: []string{"*"}})
	if err != nil {
		b.Fatal(err)
	}
	orgs := &tenancy.Service{Store: db, Now: time.Now}
	if _, err := orgs.Create(b.Context(), system, tenancy.New{Name: "Acme"}); err != nil {
		b.Fatal(err)
	}
	responder := &respond.Responder{Surface: "api", Log: slog.New(slog.DiscardHandler), Now: time.Now}
	server := httptest.NewServer(responder.Wrap(api.New(api.Options{
		Services: api.Services{Orgs: orgs, Identities: db, OrgKeys: keyring, Plans: plans, Events: events, EventReader: meters},
		Keys:     keyring, Touches: keys.NewTouch(db), Idempotency: db, Respond: responder, Now: time.Now,
		Address: func(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() },
	})))
	b.Cleanup(server.Close)
	return server.URL, minted.Secret
}

func post(b *testing.B, url, key, media string, body []byte) (status int, text string) {
	r, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", media)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Error(err)
		return 0, ""
	}
	defer answer.Body.Close()
	read, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(read)
}

// processorTime is what this process has used of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPostEvents posts batches of 1,000 events, as the operator's app
// does, and tells how many were acknowledged in a second. The app's own work is
// in it: it runs on the same processors.
func BenchmarkPostEvents(b *testing.B) {
	const batch = 1000
	for form, c := range map[string]struct{ media, head string }{
		"plain":       {"application/json", `{"id":"document-`},
		"CloudEvents": {"application/cloudevents-batch+json", `{"specversion":"1.0","source":"converter","time":"` + time.Now().UTC().Format(time.RFC3339) + `","id":"document-`},
	} {
		for _, clients := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("%s/%d", form, clients), func(b *testing.B) {
				url, key := eventsServer(b)
				var next atomic.Int64
				var all sync.WaitGroup
				before := processorTime()
				b.ResetTimer()
				for range clients {
					all.Go(func() {
						for first := next.Add(batch) - batch; first < int64(b.N); first = next.Add(batch) - batch {
							body := []byte{'['}
							for n := first; n < first+batch; n++ {
								if n > first {
									body = append(body, ',')
								}
								body = strconv.AppendInt(append(body, c.head...), n, 10)
								body = append(body, `","type":"document.converted","subject":"acme","data":{"pages":12,"format":"pdf"}}`...)
							}
							status, text := post(b, url+"/v1/events", key, c.media, append(body, ']'))
							if status != 200 || !strings.Contains(text, `"accepted":1000`) {
								b.Errorf("%d %.300s", status, text)
								return
							}
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/event")
				b.ReportMetric(float64(next.Load()-int64(clients)*batch)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
