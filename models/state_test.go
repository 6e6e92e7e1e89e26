package models_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
)

// TestSetState is Airflow's table, S82 to S86 and the rest of it: every state to every state,
// from none as well.
func TestSetState(t *testing.T) {
	at := func(day int) models.Time { return models.At(time.Date(2024, 1, day, 0, 0, 0, 0, time.UTC)) }
	queued, start, end, now, none := at(1), at(2), at(3), at(4), models.Time{}
	const empty = models.State("")
	for _, c := range []struct {
		from, to           models.State
		queued, start, end models.Time
	}{
		{empty, models.Queued, now, none, none},
		{empty, models.Running, queued, now, none},  // S82
		{empty, models.Success, queued, start, now}, // S82
		{empty, models.Failed, queued, start, now},  // S82
		{models.Queued, models.Queued, now, none, none},
		{models.Queued, models.Running, queued, now, none},
		{models.Queued, models.Success, queued, start, now},
		{models.Queued, models.Failed, queued, start, now},
		{models.Running, models.Queued, now, none, none},
		{models.Running, models.Running, queued, start, end}, // S85
		{models.Running, models.Success, queued, start, now},
		{models.Running, models.Failed, queued, start, now},
		{models.Success, models.Queued, now, none, none},    // S83
		{models.Success, models.Running, queued, now, none}, // S84
		{models.Success, models.Success, queued, start, end},
		{models.Success, models.Failed, queued, start, end}, // S86
		{models.Failed, models.Queued, now, none, none},
		{models.Failed, models.Running, queued, now, none},
		{models.Failed, models.Success, queued, start, end},
		{models.Failed, models.Failed, queued, start, end},
	} {
		run := models.DagRun{ID: 7, State: c.from, QueuedAt: queued, StartDate: start, EndDate: end, ClearNumber: 3, RunAfter: at(9)}
		run.SetState(c.to, now)
		want := models.DagRun{ID: 7, State: c.to, QueuedAt: c.queued, StartDate: c.start, EndDate: c.end, ClearNumber: 3, RunAfter: at(9)}
		require.Equal(t, want, run, "%q to %q", c.from, c.to)
	}
}

func TestParseState(t *testing.T) {
	for _, s := range []models.State{models.Queued, models.Running, models.Success, models.Failed} {
		parsed, err := models.ParseState(string(s))
		require.NoError(t, err)
		require.Equal(t, s, parsed)
		require.Equal(t, s == models.Success || s == models.Failed, s.Finished())
	}
	for _, s := range []string{"", "Queued", "skipped", " running"} {
		parsed, err := models.ParseState(s)
		require.EqualError(t, err, `unknown state "`+s+`": use queued, running, success or failed`)
		require.Empty(t, parsed)
	}
	require.False(t, models.State("").Finished())
}
