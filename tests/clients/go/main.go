// Pushes with Go's own client of Prometheus as an application does: protobuf, which is its default.
// Usage: push URL push|add|delete JOB [NAME=VALUE...]
// Prints the error that the client makes of the answer, or nothing.
package main

import (
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

func registry() *prometheus.Registry {
	jobs := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobs_total", Help: "Jobs \"done\"\nby state."}, []string{"state"})
	jobs.WithLabelValues("ok").Add(12)
	jobs.WithLabelValues("a\\b\n\"c\" é").Add(0.5)
	last := prometheus.NewGauge(prometheus.GaugeOpts{Name: "last_success_seconds", Help: "When."})
	last.Set(1.25e9)
	unknown := prometheus.NewGauge(prometheus.GaugeOpts{Name: "nobody_knows"})
	unknown.Set(math.NaN())
	latency := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latency_seconds", Buckets: []float64{0.1, 1, 10}})
	sizes := prometheus.NewSummary(prometheus.SummaryOpts{Name: "size_bytes", Objectives: map[float64]float64{0.5: 0.05, 0.9: 0.01}})
	both := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "both_seconds", Buckets: []float64{1}, NativeHistogramBucketFactor: 1.1,
	})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native_seconds", NativeHistogramBucketFactor: 1.1})
	for _, seconds := range []float64{0.05, 0.5, 5, 50} {
		latency.Observe(seconds)
		sizes.Observe(seconds)
		both.Observe(seconds)
		native.Observe(seconds)
	}
	all := prometheus.NewRegistry()
	all.MustRegister(jobs, last, unknown, latency, sizes, both, native)
	return all
}

func run(pusher *push.Pusher, what string) error {
	switch what {
	case "push":
		return pusher.Gatherer(registry()).Push()
	case "add":
		return pusher.Gatherer(registry()).Add()
	case "delete":
		return pusher.Delete()
	}
	return fmt.Errorf("push, add or delete, not %s", what)
}

func main() {
	pusher := push.New(os.Args[1], os.Args[3]).BasicAuth("user", "secret")
	for _, pair := range os.Args[4:] {
		name, value, _ := strings.Cut(pair, "=")
		pusher = pusher.Grouping(name, value)
	}
	if err := run(pusher, os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
