package otelusher

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Gates reports, whenever metrics are collected, how full the gates are and how long each one's
// first run has been waiting, by [repo.Repo.Status]: a query that counts the whole queue. Only the
// gates that wait longest are reported (see [WithGates]). One process of an application is enough
// to do it. The caller ends it by the registration's Unregister.
func Gates(r *repo.Repo, options ...Option) (metric.Registration, error) {
	s := chosen(options)
	m := s.meters.Meter(Name)
	waiting, err := m.Float64ObservableGauge("usher.gate.waiting", metric.WithUnit("s"),
		metric.WithDescription("How long the gate's first queued run has been due: 0 when none is."))
	limit, failed := m.Int64ObservableGauge("usher.gate.limit", metric.WithUnit("{run}"), metric.WithDescription("How many runs of the gate may run."))
	runs, broken := m.Int64ObservableGauge("usher.gate.runs", metric.WithUnit("{run}"), metric.WithDescription("The gate's runs that are queued, and that are running."))
	if err := errors.Join(err, failed, broken); err != nil {
		return nil, err
	}
	return m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		status, err := r.Status(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		for _, g := range longest(status, now, s.gates) {
			about := []attribute.KeyValue{kindKey.String(string(g.Kind)), dagKey.String(g.DagID)}
			if g.Kind == repo.BackfillGate {
				about = append(about, backfillKey.Int64(g.BackfillID))
			}
			o.ObserveFloat64(waiting, age(g, now).Seconds(), metric.WithAttributes(about...))
			o.ObserveInt64(limit, int64(g.MaxActiveRuns), metric.WithAttributes(about...))
			for state, n := range map[models.State]int{models.Queued: g.Queued, models.Running: g.Running} {
				o.ObserveInt64(runs, int64(n), metric.WithAttributes(slices.Concat(about, []attribute.KeyValue{stateKey.String(string(state))})...))
			}
		}
		return nil
	}, waiting, limit, runs)
}

// longest are the n gates whose first run waits longest.
func longest(status []repo.GateStatus, now time.Time, n int) []repo.GateStatus {
	slices.SortStableFunc(status, func(a, b repo.GateStatus) int {
		return cmp.Or(cmp.Compare(age(b, now), age(a, now)), cmp.Compare(b.Running, a.Running))
	})
	return status[:min(n, len(status))]
}

// age is how long the gate's first queued run has been due.
func age(g repo.GateStatus, now time.Time) time.Duration {
	if g.WaitingSince.IsZero() {
		return 0
	}
	return max(0, now.Sub(g.WaitingSince.Time))
}
