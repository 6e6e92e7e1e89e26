// Package otelusher tells OpenTelemetry of what usher does: metrics, and a span for each verb.
//
//	observer, err := otelusher.New()
//	…
//	r, err := repo.New(db, repo.WithObserver(observer))
//	…
//	gates, err := otelusher.Gates(r) // how full they are, and how long they wait
//
// It is a module of its own, so that an application without OpenTelemetry does not get it.
package otelusher

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/repo"
)

// Name is the instrumentation scope of all metrics and spans.
const Name = "github.com/usher-go/usher/otelusher"

// DefaultGates is how many gates are reported by [Gates].
const DefaultGates = 50

type settings struct {
	meters  metric.MeterProvider
	tracers trace.TracerProvider
	gates   int
}

// Option changes where, and how much, is told.
type Option func(*settings)

// WithMeterProvider is where the metrics go. Defaults to the global provider.
func WithMeterProvider(p metric.MeterProvider) Option { return func(s *settings) { s.meters = p } }

// WithTracerProvider is where the spans go. Defaults to the global provider.
func WithTracerProvider(p trace.TracerProvider) Option { return func(s *settings) { s.tracers = p } }

// WithGates bounds how many gates [Gates] reports, those that wait longest first; each is a few time
// series. 0 reports none. Defaults to 50.
func WithGates(n int) Option { return func(s *settings) { s.gates = n } }

func chosen(options []Option) settings {
	s := settings{meters: otel.GetMeterProvider(), tracers: otel.GetTracerProvider(), gates: DefaultGates}
	for _, option := range options {
		option(&s)
	}
	return s
}

// New is an observer for [repo.WithObserver]. One will do for several repositories.
func New(options ...Option) (repo.Observer, error) {
	s := chosen(options)
	meters, err := metersOf(s.meters.Meter(Name))
	if err != nil {
		return repo.Observer{}, err
	}
	tracer := s.tracers.Tracer(Name)
	return repo.Observer{
		Verb: func(ctx context.Context, verb string) (context.Context, func(error)) {
			ctx, end := meters.verb(ctx, verb)
			ctx, span := tracer.Start(ctx, "usher "+verb)
			return ctx, func(err error) {
				endSpan(span, err)
				end(err)
			}
		},
		Changed: meters.changed,
		Passed: func(ctx context.Context, p repo.Pass) {
			meters.passed(ctx, p)
			spanOfPass(trace.SpanFromContext(ctx), p)
		},
		Retried: func(ctx context.Context, verb string, retry locking.Retry) {
			meters.retried(ctx, verb, retry)
			spanOfRetry(trace.SpanFromContext(ctx), retry)
		},
	}, nil
}

// kindOf is error.type of an error that a verb returned: one of a few words.
func kindOf(err error) string {
	for _, kind := range []struct {
		is   error
		word string
	}{
		{locking.ErrCommitUnknown, "commit_unknown"},
		{locking.ErrContention, "contention"},
		{locking.ErrGone, "gone"},
		{locking.ErrSnapshot, "snapshot"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "timeout"},
		{repo.ErrNoTables, "no_tables"},
		{repo.ErrDead, "dead"},
		{repo.ErrInvalid, "invalid"},
	} {
		if errors.Is(err, kind.is) {
			return kind.word
		}
	}
	return "_OTHER" // by OpenTelemetry's convention
}

// reason is error.type of a transaction that is tried again.
func reason(retry locking.Retry) string {
	if errors.Is(retry.Err, locking.ErrChanged) {
		return "changed"
	}
	return strings.ReplaceAll(retry.Class.String(), " ", "_")
}
