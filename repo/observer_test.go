package repo

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
)

// TestUnobserved: what tells observers costs nothing where there are none.
func TestUnobserved(t *testing.T) {
	r := &Repo{logger: slog.New(slog.DiscardHandler)}
	runs := make([]models.DagRun, 10)
	tell := func() {
		ctx, verb := r.begin(context.Background(), "admit")
		r.passed(ctx, Pass{Gates: 1})
		r.changed(ctx, models.Running, runs...)
		r.over(ctx)
		_ = verb.end(nil)
	}
	require.Zero(t, testing.AllocsPerRun(100, tell))
}

// BenchmarkUnobserved is the same in time.
func BenchmarkUnobserved(b *testing.B) {
	r := &Repo{logger: slog.New(slog.DiscardHandler)}
	for b.Loop() {
		ctx, verb := r.begin(context.Background(), "admit")
		r.passed(ctx, Pass{Gates: 1})
		r.changed(ctx, models.Running)
		_ = verb.end(nil)
	}
}
