// Package tracing sends OpenTelemetry traces where the operator wants them.
// Without an endpoint nothing of it runs, and a request costs nothing.
package tracing

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"gatehouse/web/respond"
)

// Options say where traces go. An empty Endpoint is off.
type Options struct {
	Endpoint string            // OTLP over HTTP, such as http://127.0.0.1:4318 or with a path of its own
	Headers  map[string]string // such as an authorization
	Ratio    float64           // share of new traces that is kept, 0–1
	Service  string            // default: gatehouse
	Version  string
}

// Tracing makes spans of requests. A nil *Tracing makes none.
type Tracing struct {
	provider   *trace.TracerProvider
	propagator propagation.TextMapPropagator
}

// Open returns nil when no endpoint is set. Close must be called in the end.
// Nothing is connected before the first trace is sent.
func Open(ctx context.Context, o Options) (*Tracing, error) {
	if o.Endpoint == "" {
		return nil, nil
	}
	target, err := url.Parse(o.Endpoint)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return nil, fmt.Errorf("tracing endpoint %q must look like http://host:4318", o.Endpoint)
	}
	if target.Path == "" || target.Path == "/" {
		target.Path = "/v1/traces" // where OTLP receivers listen
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target.String()), otlptracehttp.WithHeaders(o.Headers))
	if err != nil {
		return nil, fmt.Errorf("open trace exporter: %w", err)
	}
	return newTracing(trace.WithBatcher(exporter), o), nil
}

func newTracing(processor trace.TracerProviderOption, o Options) *Tracing {
	service := o.Service
	if service == "" {
		service = "gatehouse"
	}
	about := resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.version", o.Version))
	return &Tracing{
		provider: trace.NewTracerProvider(processor, trace.WithResource(about),
			trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(o.Ratio)))),
		propagator: propagation.TraceContext{},
	}
}

// Provider returns the source of tracers for spans inside a request; nil when off.
func (t *Tracing) Provider() oteltrace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// Close sends what is left and ends.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Wrap makes a span of each request of a surface. It continues the caller's
// trace, and rewrites the request's traceparent, so that an app behind the
// gateway continues ours. When tracing is off it returns next itself.
func (t *Tracing) Wrap(surface string, next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	tracer := t.provider.Tracer("gatehouse/" + surface)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, r.Method+" "+surface, oteltrace.WithSpanKind(oteltrace.SpanKindServer),
			oteltrace.WithAttributes(attribute.String("http.request.method", r.Method),
				attribute.String("server.address", r.Host), attribute.String("url.path", respond.SafePath(r.URL.Path))))
		defer span.End()
		t.propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
		seen := &respond.Writer{ResponseWriter: w}
		next.ServeHTTP(seen, r.WithContext(ctx))
		describe(span, seen)
	})
}

func describe(span oteltrace.Span, w *respond.Writer) {
	status := w.Status
	if status == 0 {
		status = http.StatusOK
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if id := respond.RequestID(w); id != "" {
		span.SetAttributes(attribute.String("gatehouse.request_id", id))
	}
	if status >= 500 {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
}
