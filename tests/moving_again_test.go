package tests

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/transfer"
)

// elsewhere is another database of the same engine, with usher's tables under a prefix.
func (w *world) elsewhere(prefix string) *world {
	open := map[string]maker{"PostgreSQL": testdb.PostgreSQL, "MySQL": testdb.MySQL, "MariaDB": testdb.MariaDB}[w.d.Engine]
	if open == nil {
		open = fileOf(w.d.Driver)
	}
	other := &world{T: w.T, ctx: w.ctx, d: open(w.T)}
	other.db = other.d.Open(w)
	other.db.NamingStrategy = schema.NamingStrategy{TablePrefix: prefix}
	other.r = other.repo()
	require.NoError(w, other.r.Migrate(w.ctx))
	return other
}

// copyTo copies everything to another world, and returns what was done in all tables.
func (w *world) copyTo(other *world, options ...transfer.Option) (sum transfer.Table, err error) {
	tables, err := transfer.Copy(w.ctx, w.db, other.db, options...)
	for _, t := range tables {
		sum.Rows, sum.Copied, sum.Removed = sum.Rows+t.Rows, sum.Copied+t.Copied, sum.Removed+t.Removed
	}
	return sum, err
}

var moving = []testCase{
	{"a copy ahead, and what has changed by the last one", copyAhead},
	{"a copy while the source changes is of one instant, and not taken for finished", copyOfOneInstant},
	{"a copy where one side has many rows that the other has not", copyOfGaps},
	{"a copy beside another one to the same target", copyTwice},
	{"a target that is used, or was never a copy, is not touched", copyToOthers},
	{"a source with living schedulers is refused", copyFromLiving},
}

// copyAhead: rows that are new, changed and gone since the first copy.
func copyAhead(w *world) {
	w.furnish(100)
	other := w.elsewhere("af_")
	first, err := w.copyTo(other, transfer.Ahead())
	require.NoError(w, err)
	require.Equal(w, []int{first.Rows, 0}, []int{first.Copied, first.Removed})

	w.queue("dag_0", 7, past, time.Minute)
	require.NoError(w, w.db.Model(&models.DagRun{}).Where("id IN ?", []int64{10, 11}).UpdateColumn("state", models.Failed).Error)
	require.NoError(w, w.db.Model(&models.DagRun{}).Where("id = ?", 13).UpdateColumns(map[string]any{"conf": models.JSON(`{"a":2}`), "clear_number": 77, "triggered_by": nil}).Error)
	require.NoError(w, w.db.Delete(&models.DagRun{}, []int64{14, 15, 1 << 40}).Error)
	require.NoError(w, w.db.Where("dag_id = ?", "A").Delete(&models.Dag{}).Error)
	require.NoError(w, w.db.Model(&models.Dag{DagID: "a"}).UpdateColumn("fence", 5).Error)
	w.changeHands([][2]any{{20, "between"}, {40, "run_19"}, {20, "run_39"}})
	again, err := w.copyTo(other)
	require.NoError(w, err)
	require.Equal(w, transfer.Table{Rows: first.Rows + 7 - 4, Copied: 7 + 2 + 1 + 1 + 2, Removed: 4}, again)
	require.Equal(w, w.digests(""), other.digests("af_"))

	none, err := w.copyTo(other)
	require.NoError(w, err, "they are equal")
	require.Equal(w, transfer.Table{Rows: again.Rows}, none)
	other.db.NamingStrategy = schema.NamingStrategy{TablePrefix: "af_"}
	other.goesOn()
}

// changeHands gives runs other names.
func (w *world) changeHands(names [][2]any) {
	for _, name := range names {
		require.NoError(w, w.db.Model(&models.DagRun{}).Where("id = ?", name[0]).UpdateColumn("run_id", name[1]).Error)
	}
}

// copyOfOneInstant: in the middle of the copy a backfill is made, with its runs. The snapshot has
// neither, though the table of backfills is read later; and the comparison finds it.
func copyOfOneInstant(w *world) {
	w.furnish(100)
	other := w.elsewhere("")
	changes := 0
	during := transfer.Progress(func(int, int) {
		if changes++; changes == 2 { // the runs have been read
			w.backfill("dag_0", 2, 3)
		}
	})
	_, err := w.copyTo(other, transfer.Ahead(), during)
	require.NoError(w, err)
	require.Greater(w, changes, 2)
	var dates []models.BackfillDagRun
	require.NoError(w, other.db.Find(&dates, "backfill_id > 1").Error)
	require.Empty(w, dates, "dates of a backfill whose runs are not there")

	changes = 0
	_, err = w.copyTo(other, during)
	require.ErrorIs(w, err, transfer.ErrDiffers)
	require.ErrorContains(w, err, "dag_run ")
	require.ErrorContains(w, err, "is in the source alone")
	_, err = w.copyTo(other)
	require.NoError(w, err)
	other.equalTo(w)
}

// copyOfGaps: what is read at a time of one side ends far before that of the other. Between them
// unique values have changed hands, which no order of single changes could bring.
func copyOfGaps(w *world) {
	runs := make([]models.DagRun, 3500)
	for i := range runs {
		runs[i] = models.DagRun{DagID: "d", RunID: strconv.Itoa(i), RunAfter: odd(i)}
	}
	require.NoError(w, w.db.CreateInBatches(&runs, 1000).Error)
	other := w.elsewhere("")
	_, err := w.copyTo(other, transfer.Ahead())
	require.NoError(w, err)
	require.NoError(w, w.db.Where("id BETWEEN 300 AND 1700 OR id > 3300").Delete(&models.DagRun{}).Error)
	require.NoError(w, other.db.Where("id BETWEEN 1900 AND 3100").Delete(&models.DagRun{}).Error)
	w.changeHands([][2]any{{5, "3399"}, {10, "between"}, {3200, "9"}, {10, "3199"}})
	done, err := w.copyTo(other)
	require.NoError(w, err)
	require.Equal(w, transfer.Table{Rows: 3500 - 1401 - 200, Copied: 1201 + 3, Removed: 1401 + 200}, done)
	other.equalTo(w)
}

// copyTwice: two copies take turns, and neither meets the rows of the other half written.
func copyTwice(w *world) {
	w.furnish(100)
	other := w.elsewhere("")
	_, err := w.copyTo(other, transfer.Ahead())
	require.NoError(w, err)
	require.NoError(w, other.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
	require.NoError(w, other.db.Model(&models.BackfillDagRun{}).Where("1 = 1").UpdateColumn("sort_ordinal", 9999).Error)
	failures := make([]error, 4)
	var all sync.WaitGroup
	for i := range failures {
		all.Go(func() { _, failures[i] = w.copyTo(other, transfer.Ahead()) })
	}
	all.Wait()
	require.NoError(w, errors.Join(failures...))

	other = w.elsewhere("")
	newer := false // another one, which begins later, overtakes this one
	_, err = w.copyTo(other, transfer.Ahead(), transfer.Progress(func(int, int) {
		if newer {
			return
		}
		newer = true
		require.NoError(w, w.db.Model(&models.DagRun{}).Where("id = ?", 10).UpdateColumn("state", models.Failed).Error)
		_, err := w.copyTo(other, transfer.Ahead())
		require.NoError(w, err)
	}))
	require.NoError(w, err)
	_, err = w.copyTo(other)
	require.NoError(w, err)
	other.equalTo(w)
}

// copyToOthers: what is in the target is not the copy's own, and stays as it is.
func copyToOthers(w *world) {
	w.dag("d", 1)
	w.queue("d", 10, past, time.Minute)
	refused := func(from, to *world, reason error, says string) {
		w.Helper()
		before := to.digests("")
		for _, options := range [][]transfer.Option{nil, {transfer.Ahead()}} {
			done, err := from.copyTo(to, options...)
			require.ErrorIs(w, err, reason)
			require.ErrorContains(w, err, says)
			require.Zero(w, done.Copied+done.Removed)
		}
		require.Equal(w, before, to.digests(""))
	}
	stranger := w.elsewhere("")
	stranger.dag("mine", 1)
	refused(w, stranger, transfer.ErrForeign, `dag "mine" is in the target alone`)

	other := w.elsewhere("")
	_, err := w.copyTo(other, transfer.Ahead())
	require.NoError(w, err)
	refused(other, w, transfer.ErrUnfinished, "begun at ")

	_, err = other.r.Register(w.ctx)
	require.NoError(w, err)
	refused(w, other, transfer.ErrForeign, "has worked there")
	require.NoError(w, other.db.Where("job_type = ?", models.UsherScheduler).Delete(&models.Job{}).Error)
	_, err = w.copyTo(other)
	require.NoError(w, err)
	before := other.digests("")
	again, err := w.copyTo(other)
	require.NoError(w, err, "it is compared")
	require.Zero(w, again.Copied+again.Removed)
	require.Equal(w, before, other.digests(""))

	require.NoError(w, other.db.Model(&models.DagRun{}).Where("id = 10").UpdateColumn("state", models.Failed).Error) // it works now
	refused(w, other, transfer.ErrForeign, `dag_run 10: column state is "queued" in the source and "failed" in the target`)
}

// copyFromLiving: a scheduler that beats is an obstacle until it leaves, or has been silent.
func copyFromLiving(w *world) {
	w.dag("d", 1)
	w.queue("d", 10, past, time.Minute)
	other := w.elsewhere("")
	living := w.repo()
	job, err := living.Register(w.ctx)
	require.NoError(w, err)
	_, err = w.copyTo(other)
	require.ErrorIs(w, err, transfer.ErrAlive)
	require.ErrorContains(w, err, "job ")
	_, err = w.copyTo(other, transfer.Ahead())
	require.NoError(w, err)
	_, err = w.copyTo(other)
	require.ErrorIs(w, err, transfer.ErrAlive)

	require.NoError(w, w.db.Model(&job).UpdateColumn("latest_heartbeat", models.At(job.LatestHeartbeat.Add(-time.Hour))).Error)
	_, err = w.copyTo(other, transfer.SilentFor(2*time.Hour))
	require.ErrorIs(w, err, transfer.ErrAlive)
	woken := false // one that was only slow comes back in the course of the copy
	_, err = w.copyTo(other, transfer.Progress(func(int, int) {
		if !woken {
			woken = true
			require.NoError(w, living.Beat(w.ctx))
		}
	}))
	require.ErrorIs(w, err, transfer.ErrAlive)

	require.NoError(w, living.Leave(w.ctx))
	_, err = w.copyTo(other)
	require.NoError(w, err)
	other.equalTo(w)
}
