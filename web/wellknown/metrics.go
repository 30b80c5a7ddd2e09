package wellknown

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry with the process's and the runtime's metrics,
// the build, and the collectors given. Labels must be bounded: no organization,
// key, address or path.
func NewRegistry(version string, given ...prometheus.Collector) (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "gatehouse_build_info",
		Help: "The running build; the value is always 1."}, []string{"version", "go"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	all := append([]prometheus.Collector{collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build}, given...)
	for _, collector := range all {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

// MetricsHandler serves a registry in Prometheus's text form.
func MetricsHandler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, Registry: registry})
}

// SurfaceMetrics counts the requests of the management API and the console.
// (The gateway counts its own.)
type SurfaceMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewSurfaceMetrics returns metrics to register and to hand to Responders.
func NewSurfaceMetrics() *SurfaceMetrics {
	return &SurfaceMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatehouse_surface_requests_total",
			Help: "Requests to the management API and the console, by class of status."}, []string{"surface", "class"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gatehouse_surface_request_duration_seconds",
			Help:    "How long they took, streams left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}}, []string{"surface"}),
	}
}

// Describe implements prometheus.Collector.
func (m *SurfaceMetrics) Describe(to chan<- *prometheus.Desc) {
	m.requests.Describe(to)
	m.duration.Describe(to)
}

// Collect implements prometheus.Collector.
func (m *SurfaceMetrics) Collect(to chan<- prometheus.Metric) {
	m.requests.Collect(to)
	m.duration.Collect(to)
}

var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Observe returns what a respond.Responder of the surface calls per request.
func (m *SurfaceMetrics) Observe(surface string) func(status int, took time.Duration) {
	duration := m.duration.WithLabelValues(surface)
	var counters [len(classes)]prometheus.Counter
	for i, class := range classes {
		counters[i] = m.requests.WithLabelValues(surface, class)
	}
	return func(status int, took time.Duration) {
		class := status / 100
		if class < 1 || class >= len(classes) {
			class = 0
		}
		counters[class].Inc()
		duration.Observe(took.Seconds())
	}
}

// unbounded are labels whose values grow with customers or traffic.
var unbounded = map[string]bool{"org": true, "organization": true, "tenant": true, "key": true, "user": true,
	"actor": true, "address": true, "ip": true, "path": true, "url": true, "request_id": true}

// UnboundedLabels returns, as "metric.label", the labels of gathered metrics
// that must not exist. Tests of the whole program call it.
func UnboundedLabels(registry prometheus.Gatherer) []string {
	var found []string
	families, _ := registry.Gather() // what could be gathered is what is looked at
	for _, family := range families {
		seen := map[string]bool{}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if name := label.GetName(); unbounded[name] && !seen[name] {
					seen[name] = true
					found = append(found, family.GetName()+"."+name)
				}
			}
		}
	}
	return found
}
