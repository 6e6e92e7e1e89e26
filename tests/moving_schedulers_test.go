package tests

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/runner"
	"github.com/usher-go/usher/transfer"
)

func TestMovingSchedulersPostgreSQL(t *testing.T) {
	moveSchedulers(t, testdb.PostgreSQL, testdb.MySQL)
}

func TestMovingSchedulersMySQL(t *testing.T) { moveSchedulers(t, testdb.MySQL, testdb.MariaDB) }

func TestMovingSchedulersSQLiteModernc(t *testing.T) {
	moveSchedulers(t, fileOf("sqlite"), testdb.PostgreSQL)
	moveSchedulers(t, testdb.MariaDB, fileOf("sqlite"))
}

// moveSchedulers moves house in the middle of the work: schedulers work on the one database while
// most is copied ahead; then they are stopped, or killed with runs in hand, and after the last copy
// others go on with the other database. Each run is handled once, and again only if it was in the
// hands of one that was killed.
func moveSchedulers(t *testing.T, from, to maker) {
	old := newWorld(t, from(t))
	t.Run(old.d.Engine, func(t *testing.T) {
		w := newWorld(t, to(t))
		limits := mixedContest(old)
		old.dag("left", 5)
		limits[dagGate("left")] = 5
		batches := 0
		until := func(what string, come func() bool) { // runs keep coming: one scheduler may be much faster than the other
			old.until(what, func() bool {
				if old.total(models.Queued) < 150 {
					batches++
					old.queue("left", 100, past.AddDate(batches, 0, 0), time.Minute)
				}
				return come()
			})
		}

		tally := exercise.NewTally()
		doomed := &witness{Tally: tally, up: map[int64]models.DagRun{}}
		p := old.spawn(work{Runner: true, DeadAfter: time.Hour}, doomed)
		var handled atomic.Int64
		handle := func(_ context.Context, run models.DagRun) error {
			handled.Add(1)
			if err := tally.Up(run); err != nil {
				return err
			}
			<-time.After(workTime)
			return tally.Down(run)
		}
		calm := []runner.Option{runner.Workers(3), runner.Heartbeat(500 * time.Millisecond)}
		stopping := old.start(old.db, handle, calm...)
		until("runs are handled by both", func() bool { return handled.Load() > 10 && doomed.handled() > 10 })
		_, err := old.copyTo(w, transfer.Ahead())
		require.NoError(t, err)
		more := handled.Load() + 10
		until("more runs are handled", func() bool { return handled.Load() > more })

		old.shoot(p, doomed)
		stopping.stopped()
		_, err = old.copyTo(w)
		require.NoError(t, err)
		w.equalTo(old)
		var before, after []models.DagRun
		require.NoError(t, old.db.Order("id").Find(&before).Error)

		going := w.start(w.db, handle, calm...)
		w.over()
		going.stopped()
		require.NoError(t, w.db.Order("id").Find(&after).Error)
		require.Len(t, after, len(before))
		states := map[models.State]int{}
		for i, run := range after {
			states[before[i].State]++
			attempt := before[i].ClearNumber
			if before[i].State == models.Running { // in the hands of the one that was killed
				attempt++
			}
			require.Equal(t, []any{before[i].RunID, models.Success, attempt}, []any{run.RunID, run.State, run.ClearNumber})
		}
		require.Empty(t, tally.Twice(), "attempts that were handled twice")
		for g, limit := range limits {
			require.LessOrEqual(t, tally.Peak(g), limit, "peak of %v", g)
		}
		require.Positive(t, states[models.Queued])
		t.Logf("moved with %v", states)
	})
}
