package otelusher

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Attributes of metrics and spans.
const (
	stateKey      = attribute.Key("usher.state")
	resultKey     = attribute.Key("usher.pass.result")
	verbKey       = attribute.Key("usher.verb")
	errorKey      = attribute.Key("error.type")
	attemptKey    = attribute.Key("usher.attempt")
	gatesKey      = attribute.Key("usher.pass.gates")
	passedOverKey = attribute.Key("usher.pass.passed_over")
	startedKey    = attribute.Key("usher.pass.started")
	kindKey       = attribute.Key("usher.gate.kind")
	dagKey        = attribute.Key("usher.dag.id")
	backfillKey   = attribute.Key("usher.backfill.id")
)

// meters are the instruments that are written as things happen.
type meters struct {
	runs, passes, gates, passedOver, retries metric.Int64Counter
	duration                                 metric.Float64Histogram
}

func metersOf(m metric.Meter) (i meters, err error) {
	counter := func(name, unit, description string) metric.Int64Counter {
		c, failed := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		err = errors.Join(err, failed)
		return c
	}
	i.runs = counter("usher.runs", "{run}", "Runs that came to a state: running when they were admitted, success and failed when they ended.")
	i.passes = counter("usher.passes", "{pass}", "Passes: those that started runs, came back empty, or failed.")
	i.gates = counter("usher.gates", "{gate}", "Gates that passes went to.")
	i.passedOver = counter("usher.gates.passed_over", "{gate}", "Gates that passes went to and somebody else held.")
	i.retries = counter("usher.retries", "{retry}", "Transactions that were tried again, by the class of the error.")
	var failed error
	i.duration, failed = m.Float64Histogram("usher.verb.duration", metric.WithUnit("s"), metric.WithDescription("How long a verb took, all attempts together."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	return i, errors.Join(err, failed)
}

func (m meters) verb(ctx context.Context, verb string) (context.Context, func(error)) {
	began := time.Now()
	return ctx, func(err error) {
		about := []attribute.KeyValue{verbKey.String(verb)}
		if err != nil {
			about = append(about, errorKey.String(kindOf(err)))
		}
		m.duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(about...))
	}
}

func (m meters) changed(ctx context.Context, state models.State, runs []models.DagRun) {
	m.runs.Add(ctx, int64(len(runs)), metric.WithAttributes(stateKey.String(string(state))))
}

func (m meters) passed(ctx context.Context, p repo.Pass) {
	result := "started"
	switch {
	case p.Err != nil:
		result = "failed"
	case p.Started == 0:
		result = "empty"
	}
	m.passes.Add(ctx, 1, metric.WithAttributes(resultKey.String(result)))
	m.gates.Add(ctx, int64(p.Gates))
	m.passedOver.Add(ctx, int64(p.PassedOver))
}

func (m meters) retried(ctx context.Context, verb string, retry locking.Retry) {
	m.retries.Add(ctx, 1, metric.WithAttributes(verbKey.String(verb), errorKey.String(reason(retry))))
}
