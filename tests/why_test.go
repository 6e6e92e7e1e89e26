package tests

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// why asks for the reasons of a run, and checks that they are of the kinds wanted.
func (w *world) why(run models.DagRun, kinds ...repo.ReasonKind) repo.Explanation {
	w.Helper()
	e, err := w.r.Why(w.ctx, run.DagID, run.RunID)
	require.NoError(w, err)
	var got []repo.ReasonKind
	for _, reason := range e.Reasons {
		require.NotEmpty(w, reason.Text)
		require.NotContains(w, reason.Text, "{")
		got = append(got, reason.Kind)
	}
	require.Equal(w, kinds, got)
	require.Equal(w, w.run(run.ID), e.Run)
	require.Equal(w, repo.GateOf(run), e.Gate)
	return e
}

// runsOf are the runs of a backfill, by id.
func (w *world) runsOf(g repo.Gate) []models.DagRun {
	runs, err := w.r.Runs(w.ctx, repo.RunQuery{BackfillID: g.BackfillID, Limit: 100_000})
	require.NoError(w, err)
	return runs
}

// inLine: what Why says of the runs of a full gate is what passes do.
func inLine(w *world, g repo.Gate, runs []models.DagRun, limit int) {
	for i, run := range runs {
		if i < limit {
			w.why(run, repo.NextPass)
			continue
		}
		behind := w.why(run, repo.Behind).Reasons[0]
		require.Equal(w, i, behind.Ahead)
		require.False(w, behind.AheadOrMore)
	}
	require.Len(w, w.pass(), limit)
	for i, run := range runs[limit:] {
		kinds := []repo.ReasonKind{repo.GateFull, repo.Behind}
		e := w.why(run, kinds[:min(i+1, 2)]...)
		require.Equal(w, limit, *e.MaxActiveRuns)
		require.Equal(w, limit, e.Running)
		full := e.Reasons[0]
		require.Len(w, full.Holders, limit)
		for j, holder := range full.Holders {
			running := w.run(runs[j].ID)
			require.Equal(w, repo.Holder{ID: running.ID, RunID: running.RunID, StartDate: running.StartDate, ScheduledByJobID: running.ScheduledByJobID}, holder)
		}
		if i > 0 {
			require.Equal(w, i, e.Reasons[1].Ahead)
		}
	}
	require.NoError(w, w.r.Finish(w.ctx, w.run(runs[0].ID), models.Success))
	w.why(runs[limit], repo.NextPass)
	require.Equal(w, []string{runs[limit].RunID}, w.pass())
}

var explaining = []testCase{
	{"why: the place in a DAG's line", func(w *world) {
		w.dag("d", 2)
		w.r = w.repo(repo.WithJob(7))
		inLine(w, dagGate("d"), w.queue("d", 5, past, 0), 2)
	}},
	{"why: the place in a backfill's line", func(w *world) {
		w.dag("d", 1)
		b := w.backfill("d", 2, 5)
		inLine(w, b, w.runsOf(b), 2)
	}},
	{"why: asked first of all, with a clock of the application's own", func(w *world) {
		w.dag("d", 1)
		run := w.queue("d", 1, past, 0)[0]
		var err error
		w.r, err = repo.New(w.d.Open(w), repo.WithClock(time.Now)) // nothing is known of the database yet
		require.NoError(w, err)
		w.why(run, repo.NextPass)
	}},
	{"why: a DAG that is paused, stale, or missing", func(w *world) {
		w.dag("d", 1)
		b := w.backfill("d", 1, 1)
		for _, run := range append(w.queue("d", 1, past, 0), w.runsOf(b)...) {
			w.set("d", repo.Paused(true))
			w.why(run, repo.DagPaused)
			w.set("d", repo.Stale(true))
			w.why(run, repo.DagPaused, repo.DagStale)
			w.set("d", repo.Paused(false))
			w.why(run, repo.DagStale)
			w.set("d", repo.Stale(false))
			w.why(run, repo.NextPass)
			require.NoError(w, w.db.Delete(&models.Dag{DagID: "d"}).Error)
			require.Nil(w, w.why(run, repo.DagMissing).MaxActiveRuns)
			w.dag("d", 1)
		}
	}},
	{"why: a backfill that is paused, ended, or missing", func(w *world) {
		w.dag("d", 1)
		b := w.backfill("d", 1, 1)
		run := w.runsOf(b)[0]
		w.change(b, map[string]any{"is_paused": true})
		w.why(run, repo.BackfillPaused)
		w.set("d", repo.Paused(true))
		w.why(run, repo.DagPaused, repo.BackfillPaused)
		w.set("d", repo.Paused(false))
		w.change(b, map[string]any{"completed_at": models.At(past)})
		w.why(run, repo.NextPass)
		require.NoError(w, w.db.Delete(&models.Backfill{ID: b.BackfillID}).Error)
		w.why(run, repo.BackfillMissing)
		require.NoError(w, w.db.Delete(&models.Dag{DagID: "d"}).Error)
		w.why(run, repo.DagMissing, repo.BackfillMissing)
	}},
	{"why: a run in a backfill of another DAG", func(w *world) {
		w.dag("d", 1)
		w.dag("e", 1)
		b := w.backfill("d", 1, 1)
		run := w.queue("e", 1, past, 0)[0]
		require.NoError(w, w.db.Model(&run).UpdateColumn("backfill_id", b.BackfillID).Error)
		run = w.run(run.ID)
		w.why(run, repo.BackfillMissing)
		require.NotContains(w, w.pass(), run.RunID)
	}},
	{"why: a run that is not due is in no line", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 3, past, 0)
		run := w.queue("d", 1, time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC), 0)[0]
		w.why(run, repo.NotDue)
		w.pass()
		w.why(run, repo.NotDue, repo.GateFull)
	}},
	{"why: the runs that hold the slots, by when they started, and of no other gate", func(w *world) {
		w.dag("d", 3)
		b := w.backfill("d", 3, 3)
		runs := w.queue("d", 4, past, 0)
		w.passes(2)
		for i, minutes := range []int{3, 1, 2} {
			require.NoError(w, w.db.Model(&runs[i]).UpdateColumn("start_date", minute(minutes)).Error)
		}
		held := func(run models.DagRun) (by []int64) {
			for _, holder := range w.why(run, repo.GateFull).Reasons[0].Holders {
				by = append(by, holder.ID)
			}
			return by
		}
		require.Equal(w, []int64{runs[1].ID, runs[2].ID, runs[0].ID}, held(runs[3]))
		waits, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: "later", BackfillID: &b.BackfillID})
		require.NoError(w, err)
		require.ElementsMatch(w, ids(w.runsOf(b)[:3]), held(waits[0]))
	}},
	{"why: a run that starts in the middle of the answer is running", func(w *world) {
		w.dag("d", 1)
		run := w.queue("d", 1, past, 0)[0]
		db := w.d.Open(w)
		require.NoError(w, db.Callback().Row().Before("*").Register("test:middle", func(tx *gorm.DB) {
			if strings.Contains(tx.Statement.SQL.String(), " AS stray") && w.run(run.ID).State == models.Queued {
				require.Len(w, w.pass(), 1)
			}
		}))
		other := *w
		var err error
		other.r, err = repo.New(db)
		require.NoError(w, err)
		other.why(run, repo.NotQueued)
	}},
	{"why: not due, and every other reason beside it", func(w *world) {
		w.dag("d", 0)
		soon := models.At(time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC))
		run := w.queue("d", 1, soon.Time, 0)[0]
		w.set("d", repo.Paused(true))
		e := w.why(run, repo.DagPaused, repo.NotDue, repo.GateFull)
		require.Equal(w, soon, e.Reasons[1].RunAfter)
		require.Contains(w, e.Reasons[1].Text, "2999-01-01")
		require.Empty(w, e.Reasons[2].Holders)
		require.Zero(w, *e.MaxActiveRuns, "0 lets none start")
		w.set("d", repo.Paused(false), repo.DefaultLimit())
		e = w.why(run, repo.NotDue)
		require.Equal(w, repo.DefaultMaxActiveRuns, *e.MaxActiveRuns)
		w.r = w.repo(repo.WithClock(func() time.Time { return soon.Time }))
		w.why(run, repo.NextPass)
	}},
	{"why: a gate that somebody holds", func(w *world) {
		w.dag("d", 1)
		b := w.backfill("d", 1, 1)
		for g, run := range map[repo.Gate]models.DagRun{dagGate("d"): w.queue("d", 1, past, 0)[0], b: w.runsOf(b)[0]} {
			w.holding(g, func() { w.why(run, repo.GateHeld) })
			w.why(run, repo.NextPass)
		}
	}},
	{"why: a run that is not queued", func(w *world) {
		w.dag("d", 1)
		w.r = w.repo(repo.WithJob(7))
		run := w.queue("d", 1, past, 0)[0]
		w.pass()
		text := w.why(run, repo.NotQueued).Reasons[0].Text
		require.Contains(w, text, "running since 20")
		require.Contains(w, text, "job 7")
		require.NoError(w, w.r.Finish(w.ctx, w.run(run.ID), models.Failed))
		require.Contains(w, w.why(run, repo.NotQueued).Reasons[0].Text, "ended in failed at 20")
		require.NoError(w, w.db.Model(&run).UpdateColumn("state", nil).Error)
		require.Contains(w, w.why(run, repo.NotQueued).Reasons[0].Text, `""`)
		_, err := w.r.Why(w.ctx, "d", "none")
		require.ErrorIs(w, err, repo.ErrRunNotFound)
		_, err = w.r.Why(w.ctx, "none", "none")
		require.ErrorIs(w, err, repo.ErrDagNotFound)
		_, err = w.r.Why(w.ctx, "", "none")
		require.ErrorIs(w, err, repo.ErrInvalid)
	}},
	{"why: no more of the running runs are named than are bearable", func(w *world) {
		w.dag("d", 30)
		w.queue("d", 30, past, 0)
		w.passes(2)
		e := w.why(w.queue("d", 1, past.Add(time.Hour), 0)[0], repo.GateFull)
		require.Len(w, e.Reasons[0].Holders, 20)
		require.Equal(w, 30, e.Running)
	}},
	{"why: in the end each pass starts what it was said to start", func(w *world) {
		w.dag("d", 3)
		b := w.backfill("d", 2, 15)
		runs := append(w.queue("d", 15, past, time.Minute), w.runsOf(b)...)
		for i := 0; w.total(models.Queued) > 0; i++ {
			var said []string
			for _, run := range runs {
				e, err := w.r.Why(w.ctx, run.DagID, run.RunID)
				require.NoError(w, err)
				if e.Reasons[0].Kind == repo.NextPass {
					said = append(said, run.RunID)
				}
			}
			require.ElementsMatch(w, said, w.pass(), fmt.Sprint("pass ", i))
			for _, run := range runs {
				if run = w.run(run.ID); run.State == models.Running && run.ID%2 == int64(i%2) {
					require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
				}
			}
		}
	}},
}
