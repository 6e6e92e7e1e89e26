package tests

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

var backfillGate = []testCase{
	{"S08 a full backfill starts no more, and the DAG's limit is its own", func(w *world) {
		w.dag("d1", 1)
		b := w.backfill("d1", 3, 6)
		w.pass()
		w.running(map[repo.Gate]int{b: 3})
		require.Empty(w, w.passes(2))
		w.dag("d2", 2)
		w.queue("d2", 5, past, time.Hour)
		b2 := w.backfill("d2", 1, 5)
		w.passes(3)
		w.running(map[repo.Gate]int{b: 3, dagGate("d2"): 2, b2: 1})
	}},
	{"S14 S15 a paused backfill starts nothing until it is unpaused", func(w *world) {
		w.dag("d", 1)
		b := w.backfill("d", 3, 6)
		w.change(b, map[string]any{"is_paused": true})
		require.Empty(w, w.passes(2))
		require.Equal(w, 6, w.count(b, models.Queued))
		w.change(b, map[string]any{"is_paused": false})
		w.pass()
		w.running(map[repo.Gate]int{b: 3})
		require.Equal(w, 3, w.count(b, models.Queued))
	}},
	{"X07 a run of a cancelled backfill that is cleared starts, under the backfill's limit", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 1, 3)
		require.NoError(w, w.db.Model(&models.DagRun{}).Where("backfill_id = ?", b.BackfillID).UpdateColumn("state", models.Failed).Error)
		w.change(b, map[string]any{"is_paused": true, "completed_at": models.At(past)})
		runs, err := w.r.Runs(w.ctx, repo.RunQuery{BackfillID: b.BackfillID})
		require.NoError(w, err)
		for _, run := range runs {
			_, err := w.r.Clear(w.ctx, run)
			require.NoError(w, err)
		}
		require.Equal(w, []string{runs[0].RunID}, w.passes(3))
		w.running(map[repo.Gate]int{b: 1})
	}},
	{"X08 an older, longer queue does not keep a newer one waiting", func(w *world) {
		w.dag("a", 16)
		w.dag("b", 16)
		w.queue("a", 1000, past, time.Minute)
		w.queue("b", 10, past.AddDate(5, 0, 0), time.Minute)
		w.pass()
		require.Positive(w, w.count(dagGate("b"), models.Running))
	}},
	{"a backfill starts its runs by ordinal, then by id, and those without one last", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 1, 6)
		runs, err := w.r.Runs(w.ctx, repo.RunQuery{BackfillID: b.BackfillID})
		require.NoError(w, err)
		for i, ordinal := range []int{3, 1, 2, 1} { // runs 4 and 5 lose theirs
			require.NoError(w, w.db.Model(&models.BackfillDagRun{}).Where("dag_run_id = ?", runs[i].ID).UpdateColumn("sort_ordinal", ordinal).Error)
		}
		require.NoError(w, w.db.Where("dag_run_id IN ?", []int64{runs[4].ID, runs[5].ID}).Delete(&models.BackfillDagRun{}).Error)
		require.NoError(w, w.db.Model(&runs[5]).UpdateColumn("run_after", models.At(past)).Error)
		for _, i := range []int{1, 3, 2, 0, 5, 4} {
			require.Equal(w, []string{runs[i].RunID}, w.pass())
			require.NoError(w, w.r.Finish(w.ctx, runs[i], models.Success))
		}
	}},
	{"runs that have their place start by it, then by run_after and id, also those that are cleared", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 1, 12)
		runs, err := w.r.Runs(w.ctx, repo.RunQuery{BackfillID: b.BackfillID})
		require.NoError(w, err)
		order := []int{7, 2, 11, 0, 5, 9, 1, 3, 10, 4, 8, 6}
		for place, i := range order {
			require.NoError(w, w.db.Model(&runs[i]).UpdateColumn("sort_ordinal", 1+place/2).Error) // two of each
		}
		for i := 0; i < len(order); i += 2 { // of which the earlier date comes first
			slices.Sort(order[i : i+2])
		}
		for n, i := range order {
			require.Equal(w, []string{runs[i].RunID}, w.pass())
			require.NoError(w, w.r.Finish(w.ctx, runs[i], models.Success))
			if n == 6 {
				again, err := w.r.Clear(w.ctx, runs[order[1]])
				require.NoError(w, err)
				require.Equal(w, []string{again.RunID}, w.pass())
				require.NoError(w, w.r.Finish(w.ctx, again, models.Success))
			}
		}
	}},
	{"a gate with many slots and one with few start their runs in order", func(w *world) {
		w.dag("d", 30)
		w.queue("d", 25, past, time.Hour)
		b := w.backfill("d", 11, 20)
		w.setPlaces()
		w.r = w.repo()
		runs, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
		require.Len(w, runs, 36)
		last := map[repo.Gate]models.Time{}
		for _, run := range runs {
			require.True(w, last[repo.GateOf(run)].Before(run.RunAfter.Time), "%s", run.RunID)
			last[repo.GateOf(run)] = run.RunAfter
		}
		w.running(map[repo.Gate]int{dagGate("d"): 25, b: 11})
	}},
	{"one pass takes runs with an ordinal and without", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 5, 6)
		runs, err := w.r.Runs(w.ctx, repo.RunQuery{BackfillID: b.BackfillID})
		require.NoError(w, err)
		require.NoError(w, w.db.Where("dag_run_id IN ?", []int64{runs[0].ID, runs[1].ID, runs[2].ID}).Delete(&models.BackfillDagRun{}).Error)
		require.Equal(w, []string{runs[3].RunID, runs[4].RunID, runs[5].RunID, runs[0].RunID, runs[1].RunID}, w.pass())
	}},
	{"a reverse backfill starts with the last date", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 1, 4)
		runs, err := w.r.Runs(w.ctx, repo.RunQuery{BackfillID: b.BackfillID})
		require.NoError(w, err)
		for i := range runs {
			require.NoError(w, w.db.Model(&models.BackfillDagRun{}).Where("dag_run_id = ?", runs[i].ID).UpdateColumn("sort_ordinal", len(runs)-i).Error)
		}
		for i := len(runs) - 1; i >= 0; i-- {
			require.Equal(w, []string{runs[i].RunID}, w.pass())
			require.NoError(w, w.r.Finish(w.ctx, runs[i], models.Success))
		}
	}},
	{"a backfill's runs are due like others", func(w *world) {
		w.dag("d", 16)
		b := w.backfill("d", 3, 3)
		require.NoError(w, w.db.Model(&models.DagRun{}).Where("backfill_id = ?", b.BackfillID).UpdateColumn("run_after", models.At(time.Now().AddDate(1, 0, 0))).Error)
		require.Empty(w, w.pass())
	}},
	{"runs of a backfill without places are returned in their order", func(w *world) {
		w.dag("d", 1)
		b := w.backfill("d", 3, 0)
		runs := make([]models.DagRun, 3)
		for i := range runs { // the first is queued last
			runs[i] = models.DagRun{DagID: "d", BackfillID: &b.BackfillID, RunID: fmt.Sprint("r", 2-i), RunAfter: models.At(past.Add(-time.Duration(i) * time.Hour))}
		}
		_, err := w.r.Enqueue(w.ctx, runs...)
		require.NoError(w, err)
		require.Equal(w, []string{"r0", "r1", "r2"}, w.pass())
	}},
}
