package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/app/traffic"
)

// Metrics shows the gateway's counters to Prometheus. It reads what the
// overview counts anyway, so a scrape costs and a request does not. No label
// names an organization: their number has no bound.
type Metrics struct {
	Traffic *traffic.Recorder
	Gateway *Gateway
}

var (
	requestsDesc = prometheus.NewDesc("gatehouse_requests_total",
		"Requests by how they ended: allowed, refused by the gate, or failed behind it.", []string{"verdict"}, nil)
	refusalsDesc = prometheus.NewDesc("gatehouse_refusals_total",
		"Refused requests by reason.", []string{"code"}, nil)
	durationDesc = prometheus.NewDesc("gatehouse_request_duration_seconds",
		"Duration of requests that passed the gate, the app included.", nil, nil)
	ownDesc = prometheus.NewDesc("gatehouse_own_duration_seconds",
		"The gate's own share of the duration.", nil, nil)
	wouldRefuseDesc = prometheus.NewDesc("gatehouse_limits_would_refuse_total",
		"Requests that passed and that a limit in dry-run would have refused.", nil, nil)
	healthyDesc = prometheus.NewDesc("gatehouse_upstream_address_healthy",
		"1 while an upstream's address takes requests.", []string{"upstream", "target"}, nil)
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{requestsDesc, refusalsDesc, durationDesc, ownDesc, wouldRefuseDesc, healthyDesc} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	allowed, refused, failed := m.Traffic.Totals()
	for verdict, n := range map[string]int64{"allowed": allowed, "refused": refused, "failed": failed} {
		out <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(n), verdict)
	}
	m.Traffic.Refusals(func(code string, n int64) {
		out <- prometheus.MustNewConstMetric(refusalsDesc, prometheus.CounterValue, float64(n), code)
	})
	out <- prometheus.MustNewConstMetric(wouldRefuseDesc, prometheus.CounterValue, float64(m.Gateway.wouldRefuse.Load()))
	whole, own := m.Traffic.Durations()
	out <- prometheus.MustNewConstHistogram(durationDesc, whole.Count, whole.Sum.Seconds(), whole.Cumulative)
	out <- prometheus.MustNewConstHistogram(ownDesc, own.Count, own.Sum.Seconds(), own.Cumulative)
	for name, addresses := range m.Gateway.Upstreams() {
		for _, address := range addresses {
			value := 0.0
			if address.Healthy {
				value = 1
			}
			out <- prometheus.MustNewConstMetric(healthyDesc, prometheus.GaugeValue, value, name, address.Address)
		}
	}
}
