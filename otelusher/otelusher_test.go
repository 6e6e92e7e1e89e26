package otelusher_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/otelusher"
	"github.com/usher-go/usher/repo"
)

func TestSQLiteModernc(t *testing.T) { told(t, testdb.SQLite(t, "sqlite")) }
func TestPostgreSQL(t *testing.T)    { told(t, testdb.PostgreSQL(t)) }
func TestMySQL(t *testing.T)         { told(t, testdb.MySQL(t)) }
func TestMariaDB(t *testing.T)       { told(t, testdb.MariaDB(t)) }

var past = models.At(time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC))

// watched is a repository whose metrics and spans are kept.
type watched struct {
	*testing.T
	db     *gorm.DB
	reader *metric.ManualReader
	spans  *tracetest.SpanRecorder
	r      *repo.Repo
}

func watch(t *testing.T, d testdb.Database) watched {
	w := watched{T: t, db: d.Open(t), reader: metric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	meters := otelusher.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(w.reader)))
	observer, err := otelusher.New(meters, otelusher.WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(w.spans))))
	require.NoError(t, err)
	w.r, err = repo.New(w.db, repo.WithObserver(observer), repo.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	require.NoError(t, w.r.Migrate(t.Context()))
	registration, err := otelusher.Gates(w.r, meters, otelusher.WithGates(2))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, registration.Unregister()) })
	return w
}

// collected are the values of a metric, by the attributes' values: of a histogram, the count.
func (w watched) collected(name string) map[string]float64 {
	var all metricdata.ResourceMetrics
	require.NoError(w, w.reader.Collect(w.Context(), &all))
	values := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		require.Equal(w, otelusher.Name, scope.Scope.Name)
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			require.NotEmpty(w, m.Unit)
			require.NotEmpty(w, m.Description)
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					values[words(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					values[words(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					values[words(p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					require.Positive(w, p.Sum)
					values[words(p.Attributes)] = float64(p.Count)
				}
			}
		}
	}
	return values
}

// words are the values of attributes, in the order of their keys.
func words(set attribute.Set) (text string) {
	for _, a := range set.ToSlice() {
		text += " " + a.Value.Emit()
	}
	return text
}

// last is the span that ended last.
func (w watched) last() trace.ReadOnlySpan {
	ended := w.spans.Ended()
	require.NotEmpty(w, ended)
	return ended[len(ended)-1]
}

func told(t *testing.T, d testdb.Database) {
	w := watch(t, d)
	ctx := t.Context()
	_, err := w.r.SetDag(ctx, "d", repo.MaxActiveRuns(2))
	require.NoError(t, err)
	run := models.DagRun{DagID: "d", RunAfter: past}
	_, err = w.r.Enqueue(ctx, run, run, run)
	require.NoError(t, err)
	_, err = w.r.SetDag(ctx, "idle")
	require.NoError(t, err)
	_, err = w.r.SetDag(ctx, "idle too")
	require.NoError(t, err)

	fails(w, 1)
	runs, err := w.r.Admit(ctx)
	require.NoError(t, err)
	require.Len(t, runs, 2)
	span := w.last()
	require.Equal(t, "usher admit", span.Name())
	require.Equal(t, codes.Unset, span.Status().Code)
	require.ElementsMatch(t, []attribute.KeyValue{attribute.Int("usher.pass.gates", 1), attribute.Int("usher.pass.passed_over", 0), attribute.Int("usher.pass.started", 2)}, span.Attributes())
	require.Len(t, span.Events(), 1)
	require.Equal(t, "try again", span.Events()[0].Name)
	require.ElementsMatch(t, []attribute.KeyValue{attribute.Int("usher.attempt", 1), attribute.String("error.type", "changed")}, span.Events()[0].Attributes)

	none, err := w.r.Admit(ctx)
	require.NoError(t, err)
	require.Empty(t, none)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = w.r.Admit(canceled)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, codes.Error, w.last().Status().Code)
	require.NoError(t, w.r.Finish(ctx, runs[0], models.Success))
	require.ErrorIs(t, w.r.Finish(ctx, runs[0], models.Success), repo.ErrState)
	require.NoError(t, w.r.Finish(ctx, runs[1], models.Failed))

	require.Equal(t, map[string]float64{" queued": 3, " running": 2, " success": 1, " failed": 1}, w.collected("usher.runs"))
	require.Equal(t, map[string]float64{" started": 1, " empty": 1, " failed": 1}, w.collected("usher.passes"))
	require.Equal(t, map[string]float64{"": 1}, w.collected("usher.gates"))
	require.Equal(t, map[string]float64{"": 0}, w.collected("usher.gates.passed_over"))
	require.Equal(t, map[string]float64{" changed admit": 1}, w.collected("usher.retries"))
	require.Equal(t, map[string]float64{" enqueue": 1, " admit": 2, " canceled admit": 1, " finish run": 2, " _OTHER finish run": 1, " migrate": 1, " set DAG": 3}, w.collected("usher.verb.duration"))

	require.Equal(t, map[string]float64{" d dag queued": 1, " d dag running": 0, " idle dag queued": 0, " idle dag running": 0}, w.collected("usher.gate.runs"), "of three gates, the two that wait longest")
	require.Equal(t, map[string]float64{" d dag": 2, " idle dag": 16}, w.collected("usher.gate.limit"))
	waiting := w.collected("usher.gate.waiting")
	require.Positive(t, waiting[" d dag"])
	require.Less(t, waiting[" d dag"], 600.0, "it waits since it was queued, not since it was due")
	require.Zero(t, waiting[" idle dag"])
}

// fails has the next changes of runs fail as often, as if somebody had been faster.
func fails(w watched, times int) {
	require.NoError(w, w.db.Callback().Update().After("gorm:update").Register("test:fails", func(tx *gorm.DB) {
		if times > 0 && tx.Statement.Table == "dag_run" {
			times--
			_ = tx.AddError(locking.ErrChanged)
		}
	}))
}
