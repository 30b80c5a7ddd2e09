package tracing

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
)

func TestOffCostsNothing(t *testing.T) {
	off, err := Open(t.Context(), Options{})
	if off != nil || err != nil {
		t.Fatal(off, err)
	}
	next := http.NewServeMux()
	if off.Wrap("gateway", next) != http.Handler(next) {
		t.Error("a layer was added")
	}
	if off.Provider() != nil || off.Close(t.Context()) != nil {
		t.Error("something runs")
	}
}

func TestWrapContinuesTheTrace(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracing := newTracing(trace.WithSyncer(spans), Options{Ratio: 0}) // the caller's decision stands
	var towardsApp string
	handler := tracing.Wrap("gateway", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		towardsApp = r.Header.Get("traceparent")
		if !oteltrace.SpanContextFromContext(r.Context()).IsSampled() {
			t.Error("the span is not in the context")
		}
		w.WriteHeader(502)
	}))
	r := httptest.NewRequest("GET", "/files?token=x", nil)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	got := spans.GetSpans()
	if len(got) != 1 || got[0].SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" ||
		got[0].Parent.SpanID().String() != "b7ad6b7169203331" {
		t.Fatalf("spans %+v", got)
	}
	if want := "00-0af7651916cd43dd8448eb211c80319c-" + got[0].SpanContext.SpanID().String() + "-01"; towardsApp != want {
		t.Errorf("the app sees %q, want %q", towardsApp, want)
	}
	if got[0].Status.Description != "Bad Gateway" {
		t.Errorf("status %+v", got[0].Status)
	}
	for _, a := range got[0].Attributes {
		if strings.Contains(a.Value.String(), "token") {
			t.Errorf("%s holds the query", a.Key)
		}
	}
}

func TestRatioZeroKeepsNoNewTrace(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracing := newTracing(trace.WithSyncer(spans), Options{Ratio: 0})
	tracing.Wrap("api", http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if n := len(spans.GetSpans()); n != 0 {
		t.Errorf("%d spans", n)
	}
}

func TestExportOverHTTP(t *testing.T) {
	got := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		raw, _ := io.ReadAll(body)
		got <- r.URL.Path + " " + r.Header.Get("Authorization") + " " + string(raw)
	}))
	defer receiver.Close()
	tracing, err := Open(t.Context(), Options{Endpoint: receiver.URL, Ratio: 1, Version: "9.9.9",
		Headers: map[string]string{"Authorization": "Bearer x"}})
	if err != nil {
		t.Fatal(err)
	}
	tracing.Wrap("api", http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err := tracing.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := <-got
	for _, want := range []string{"/v1/traces Bearer x ", "GET api", "9.9.9"} {
		if !strings.Contains(sent, want) {
			t.Errorf("without %q: %q", want, sent)
		}
	}
}

func TestBadEndpoint(t *testing.T) {
	for _, endpoint := range []string{"127.0.0.1:4318", "ftp://x", "http://"} {
		if _, err := Open(t.Context(), Options{Endpoint: endpoint}); err == nil {
			t.Errorf("%q was accepted", endpoint)
		}
	}
}
