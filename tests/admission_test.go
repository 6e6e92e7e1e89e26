package tests

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

var admission = []testCase{
	{"S01 a due run starts, and when it did", func(w *world) {
		w.dag("d", 16)
		run := w.queue("d", 1, past, 0)[0]
		w.r = w.repo(repo.WithClock(func() time.Time { return past.Add(9 * time.Second) }))
		require.Equal(w, []string{run.RunID}, w.pass())
		require.Equal(w, 9*time.Second, w.run(run.ID).StartDate.Sub(run.RunAfter.Time))
	}},
	{"S02 a manual run waits for the limit", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 1, past, 0)
		w.pass()
		w.queue("d", 1, past.AddDate(-1, 0, 0), 0)
		require.Empty(w, w.pass())
		w.running(map[repo.Gate]int{dagGate("d"): 1})
	}},
	{"S03 S04 S05 a full DAG stops neither other DAGs nor its backfill", func(w *world) {
		w.dag("d1", 1)
		w.dag("d2", 16)
		w.queue("d1", 30, past, time.Hour)
		w.queue("d2", 10, past.AddDate(4, 0, 0), time.Hour)
		w.passes(2)
		w.running(map[repo.Gate]int{dagGate("d1"): 1, dagGate("d2"): 10})
		b := w.backfill("d1", 3, 6)
		w.pass()
		w.running(map[repo.Gate]int{dagGate("d1"): 1, dagGate("d2"): 10, b: 3})
		require.Empty(w, w.pass())
	}},
	{"S10 S11 future runs wait although there is room", func(w *world) {
		w.dag("d1", 1)
		w.dag("d2", 16)
		future := time.Now().AddDate(1, 0, 0)
		w.queue("d1", 1, past, 0)
		w.queue("d1", 4, future, time.Hour)
		w.queue("d2", 1, past, 0)
		w.queue("d2", 2, future, time.Hour)
		b := w.backfill("d1", 3, 6)
		want := map[repo.Gate]int{dagGate("d1"): 1, b: 3, dagGate("d2"): 1}
		w.pass()
		w.running(want)
		require.Empty(w, w.pass())
		w.running(want)
	}},
	{"S18 S19 runs start in the order of run_after", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 1, past.AddDate(1, 0, 0), 0)
		for _, run := range w.queue("d", 30, past, time.Hour) {
			require.Equal(w, []string{run.RunID}, w.passes(2))
			require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
		}
	}},
	{"X15 runs that are equal in every other way start with the lower id", func(w *world) {
		w.dag("d", 1)
		for _, run := range w.queue("d", 5, past, 0) {
			require.Equal(w, []string{run.RunID}, w.passes(2))
			require.NoError(w, w.r.Finish(w.ctx, run, models.Failed))
		}
	}},
	{"S22 S23 a paused DAG starts nothing, its backfills neither", func(w *world) {
		w.dag("d", 16)
		w.queue("d", 1, past, 0)
		b := w.backfill("d", 3, 6)
		w.set("d", repo.Paused(true))
		require.Empty(w, w.passes(2))
		w.set("d", repo.Paused(false))
		w.pass()
		w.running(map[repo.Gate]int{dagGate("d"): 1, b: 3})
	}},
	{"S24 a stale DAG starts nothing, its backfills neither", func(w *world) {
		w.dag("d", 16)
		w.queue("d", 1, past, 0)
		b := w.backfill("d", 3, 6)
		w.set("d", repo.Stale(true))
		require.Empty(w, w.passes(2))
		w.set("d", repo.Stale(false))
		w.pass()
		w.running(map[repo.Gate]int{dagGate("d"): 1, b: 3})
	}},
	{"S26 X12 a limit counts from the moment when it is changed", func(w *world) {
		w.dag("d", 16)
		w.queue("d", 18, past, time.Hour)
		w.passes(2)
		w.running(map[repo.Gate]int{dagGate("d"): 16})
		w.dag("d", 17)
		w.pass()
		w.running(map[repo.Gate]int{dagGate("d"): 17})
		w.dag("d", 3)
		require.Empty(w, w.passes(2))
		w.running(map[repo.Gate]int{dagGate("d"): 17})
	}},
	{"X09 a DAG without a limit has the repository's default", func(w *world) {
		w.set("d", repo.DefaultLimit())
		w.queue("d", 20, past, time.Hour)
		w.passes(2)
		w.running(map[repo.Gate]int{dagGate("d"): 16})
		w.r = w.repo(repo.WithMaxActiveRuns(18))
		w.passes(2)
		w.running(map[repo.Gate]int{dagGate("d"): 18})
	}},
	{"X10 limit 0 lets none start", func(w *world) {
		w.dag("d", 0)
		w.queue("d", 3, past, time.Hour)
		b := w.backfill("d", 0, 3)
		require.Empty(w, w.passes(2))
		w.running(map[repo.Gate]int{dagGate("d"): 0, b: 0})
	}},
	{"a run without a dag row waits", func(w *world) {
		w.dag("d", 16)
		w.queue("d", 1, past, 0)
		b := w.backfill("d", 3, 3)
		require.NoError(w, w.db.Delete(&models.Dag{DagID: "d"}).Error)
		require.Empty(w, w.passes(2))
		w.running(map[repo.Gate]int{dagGate("d"): 0, b: 0})
	}},
	{"admission changes what it must and nothing else", func(w *world) {
		w.dag("d", 16)
		job := int64(7)
		queued, err := w.r.Enqueue(w.ctx, models.DagRun{
			DagID: "d", RunID: "r", LogicalDate: models.At(past), DataIntervalStart: models.At(past), DataIntervalEnd: models.At(past.Add(time.Hour)),
			Conf: models.JSON(`{"a":[1,2.5,"x"]}`), TriggeredBy: "cli", TriggeringUserName: "ada", CreatingJobID: &job, RunType: models.ScheduledRun,
		})
		require.NoError(w, err)
		at := time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.FixedZone("", 3600))
		w.r = w.repo(repo.WithJob(42), repo.WithClock(func() time.Time { return at }))
		runs, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
		want := queued[0]
		scheduler := int64(42)
		want.State, want.StartDate, want.UpdatedAt, want.ScheduledByJobID = models.Running, models.At(at), models.At(at), &scheduler
		require.Equal(w, []models.DagRun{want}, runs)
		require.Equal(w, want, w.run(want.ID))
	}},
	{"times come from the database's clock", func(w *world) {
		w.dag("d", 16)
		before, after := time.Now().Add(-time.Second), time.Now().Add(time.Minute)
		run := w.queue("d", 1, past, 0)[0]
		w.pass()
		run = w.run(run.ID)
		require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
		run = w.run(run.ID)
		for _, at := range []models.Time{run.CreatedAt, run.QueuedAt, run.StartDate, run.EndDate, run.UpdatedAt} {
			require.WithinRange(w, at.Time, before, after)
		}
		require.False(w, run.EndDate.Before(run.StartDate.Time))
	}},
}
