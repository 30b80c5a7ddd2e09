package api_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"gatehouse/app"
	"gatehouse/app/keys"
)

// pagesReader counts pages, and wants them of documents.
type pagesReader struct{}

func (pagesReader) Read(kind string, data []byte) ([]app.Use, string) {
	if kind == "document" && !strings.Contains(string(data), "pages") {
		return nil, "the meter pages needs data.pages"
	}
	return nil, ""
}

func TestEventsInEachForm(t *testing.T) {
	const structured, batch = "application/cloudevents+json", "application/cloudevents-batch+json"
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(`[{"id":"1","type":"x","org":"acme"}]`))
	z.Close()
	for _, c := range []struct {
		name, body string
		header     []string
		status     int
		want       string // of a batch, how many are accepted and rejected; of a refusal its code
	}{
		{"plain", `{"id":"1","type":"x","org":"acme"}`, nil, 200, "1 0"},
		{"plain array", `[{"id":"1","type":"x","org":"acme"},{"id":"2","type":"x","subject":"acme"}]`, nil, 200, "2 0"},
		{"structured", `{"specversion":"1.0","id":"1","source":"s","type":"x","subject":"acme","time":"2026-11-24T00:00:00+05:30"}`,
			[]string{"Content-Type", structured}, 200, "1 0"},
		{"batch", `[{"specversion":"1.0","id":"1","source":"s","type":"x","subject":"acme"}]`, []string{"Content-Type", batch}, 200, "1 0"},
		{"binary", `{"pages":3}`, []string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "s", "Ce-Type", "document", "Ce-Subject", "acme"}, 200, "1 0"},
		{"compressed", zipped.String(), []string{"Content-Encoding", "gzip"}, 200, "1 0"},
		{"bad ones among good ones", `[{"id":"1","type":"x","org":"acme"},7,{"type":"x","org":"acme"},{"id":"2","org":"acme"},{"id":"3","type":"x"},
			{"id":"4","type":"x","org":"nobody"},{"id":"5","type":"document","org":"acme"},{"id":"6","type":"x","org":"acme","time":"noon"},
			{"id":"7","type":"x","org":"acme","data":[1]},{"specversion":"2.0","id":"8","type":"x","org":"acme"}]`, nil, 200, "1 9"},
		{"too long an event among others", `[{"id":"1","type":"x","org":"acme"},{"id":"2","type":"` + strings.Repeat("x", 70<<10) + `","org":"acme"}]`, nil, 200, "1 1"},
		{"one that is wrong", `{"id":"5","type":"document","org":"acme"}`, nil, 400, "event_rejected"},
		{"no JSON", `{"id":`, nil, 400, "invalid_input"},
		{"two documents", `{"id":"1","type":"x","org":"acme"} {}`, nil, 400, "invalid_input"},
		{"an array that does not end", `[{"id":"1","type":"x","org":"acme"}`, nil, 400, "invalid_input"},
		{"nothing", `[]`, nil, 400, "invalid_input"},
		{"an object as a batch", `{"id":"1"}`, []string{"Content-Type", batch}, 400, "invalid_input"},
		{"an array as one", `[]`, []string{"Content-Type", structured}, 400, "invalid_input"},
		{"another media type", `id=1`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		{"another coding", `[]`, []string{"Content-Encoding", "br"}, 400, "invalid_input"},
		{"not compressed", `[]`, []string{"Content-Encoding", "gzip"}, 400, "invalid_input"},
		{"damaged in the middle", zipped.String()[:15] + "\xff\xff\xff\xff" + zipped.String()[19:], []string{"Content-Encoding", "gzip"}, 400, "invalid_input"},
		{"cut", zipped.String()[:20], []string{"Content-Encoding", "gzip"}, 400, "invalid_input"},
		{"too many", `[` + strings.Repeat(`{"id":"1"},`, 10_000) + `{"id":"1"}]`, nil, 400, "invalid_input"},
		{"too large", `[{"id":"` + strings.Repeat("x", 11<<20) + `"}]`, nil, 413, "body_too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, sqlite(t))
			h.must(201, "POST /v1/orgs", `{"name":"Acme"}`)
			a := h.call("POST /v1/events", h.admin, c.body, c.header...)
			got := a.code()
			if a.status == 200 {
				got = fmt.Sprint(a.body["accepted"], " ", a.body["rejected"])
			}
			if a.status != c.status || got != c.want {
				t.Errorf("%d %q, want %d %q: %.400s", a.status, got, c.status, c.want, a.text)
			}
		})
	}
}

func TestAnOrganizationsKeyReportsItsOwnEvents(t *testing.T) {
	h := open(t, sqlite(t))
	h.must(201, "POST /v1/orgs", `{"name":"Acme"}`)
	h.must(201, "POST /v1/orgs", `{"name":"Other"}`)
	org, err := h.store.OrgBySlug(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	key := h.mint(keys.New{Org: org.ID, Name: "own"})
	a := h.call("POST /v1/events", key, `[{"id":"1","type":"x"},{"id":"2","type":"x","org":"acme"},{"id":"3","type":"x","org":"other"},{"id":"4","type":"x","subject":"other"}]`)
	if a.status != 200 || a.body["accepted"] != 3.0 || a.body["rejected"] != 1.0 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	for _, e := range h.recorded.events {
		if e.Org != org.ID || e.Key == "" {
			t.Errorf("%s is counted for %s, key %q", e.ID, e.Org, e.Key)
		}
	}
}
