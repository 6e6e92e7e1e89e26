package tests

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// clash is two transactions of the application's, each of which comes for what the other has:
// DAG d or DAG e. Where there is one writer, one has read before somebody else wrote.
func (w *world) clash(first, then func(tx *gorm.DB, dag string) error) [2]error {
	var ends [2]error
	if !w.d.RowLocks {
		ends[0] = w.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
			require.NoError(w, tx.Find(&[]note{}).Error)
			w.set("e", repo.MaxActiveRuns(5))
			return then(tx, "e")
		})
		return ends
	}
	var ready, both sync.WaitGroup
	ready.Add(2)
	for i, dags := range [][2]string{{"d", "e"}, {"e", "d"}} {
		both.Go(func() {
			ends[i] = w.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
				err := first(tx, dags[0])
				ready.Done()
				ready.Wait()
				return errors.Join(err, then(tx, dags[1]))
			})
		})
	}
	both.Wait()
	return ends
}

// setsDag changes a DAG in the application's transaction.
func (w *world) setsDag(tx *gorm.DB, dag string) error {
	in, err := w.r.WithTx(tx)
	if err == nil {
		_, err = in.SetDag(w.ctx, dag, repo.MaxActiveRuns(7))
	}
	return err
}

// limits are those of the DAGs d and e.
func (w *world) limits() (limits []int) {
	for _, id := range []string{"d", "e"} {
		dag, err := w.r.Dag(w.ctx, id)
		require.NoError(w, err)
		limits = append(limits, *dag.MaxActiveRuns)
	}
	return limits
}

// deadlock: who loses is told that the transaction is gone, and if it goes on all the same,
// nothing of it is done.
func deadlock(w *world) {
	require.NoError(w, w.db.AutoMigrate(&note{}))
	w.dag("d", 3)
	w.dag("e", 3)
	var lost atomic.Int32
	ends := w.clash(w.setsDag, func(tx *gorm.DB, dag string) error {
		err := w.setsDag(tx, dag)
		if err == nil {
			return tx.Create(&note{Text: "won"}).Error
		}
		lost.Add(1)
		require.ErrorIs(w, err, locking.ErrGone)
		require.True(w, w.r.Transient(err))
		require.ErrorIs(w, tx.Create(&note{Text: "lost"}).Error, locking.ErrGone)
		require.ErrorIs(w, tx.Exec("DELETE FROM dag").Error, locking.ErrGone)
		_, again := w.r.WithTx(tx)
		require.ErrorIs(w, again, locking.ErrGone)
		return nil // which commits
	})
	require.Equal(w, int32(1), lost.Load())
	require.ErrorContains(w, errors.Join(ends[:]...), locking.ErrGone.Error(), "COMMIT says so as well")
	if w.d.RowLocks {
		require.Equal(w, []int{7, 7}, w.limits())
		require.True(w, ends[0] == nil || ends[1] == nil, "the other one has won")
		require.Equal(w, 1, w.notes())
	} else {
		require.Equal(w, []int{3, 5}, w.limits())
		require.Zero(w, w.notes())
	}
}

// tooLate: a joined repository finds out that the transaction has ended behind its back, so
// that nothing of what it does is committed on its own.
func tooLate(w *world) {
	require.NoError(w, w.db.AutoMigrate(&note{}))
	require.NoError(w, w.db.Create([]note{{ID: 1}, {ID: 2}}).Error)
	w.dag("d", 3)
	w.queue("d", 3, past, 0)
	if !w.d.RowLocks {
		return // it has no such thing
	}
	change := func(tx *gorm.DB, dag string) error {
		return tx.Model(&note{ID: map[string]int64{"d": 1, "e": 2}[dag]}).UpdateColumn("text", dag).Error
	}
	var lost atomic.Int32
	w.clash(change, func(tx *gorm.DB, dag string) error {
		in, err := w.r.WithTx(tx)
		require.NoError(w, err)
		if change(tx, dag) == nil {
			return nil
		}
		lost.Add(1) // and goes on
		_, err = in.Admit(w.ctx)
		require.ErrorIs(w, err, locking.ErrGone)
		_, err = in.Enqueue(w.ctx, models.DagRun{DagID: "d"})
		require.ErrorIs(w, err, locking.ErrGone)
		return err
	})
	require.Equal(w, int32(1), lost.Load())
	require.Equal(w, 3, w.count(dagGate("d"), models.Queued))
	err := w.joined(w.db, func(tx *gorm.DB, in *repo.Repo) error {
		require.NoError(w, tx.Exec("ROLLBACK").Error)
		_, err := in.Enqueue(w.ctx, models.DagRun{DagID: "d"})
		require.ErrorIs(w, err, locking.ErrGone)
		return err
	})
	require.ErrorIs(w, err, locking.ErrGone)
	require.Equal(w, 3, w.count(dagGate("d"), models.Queued))
}

// triedAgain: in a transaction of usher's, that of the application is tried again by itself.
func triedAgain(w *world) {
	require.NoError(w, w.db.AutoMigrate(&note{}))
	w.dag("d", 3)
	w.dag("e", 3)
	var tries atomic.Int32
	var ready, both sync.WaitGroup
	ready.Add(2)
	for _, dags := range [][]string{{"d", "e"}, {"e", "d"}} {
		both.Go(func() {
			mine := 0
			_, err := locking.InTx(w.ctx, w.db, func(tx *gorm.DB) (struct{}, error) {
				mine++
				tries.Add(1)
				in, err := w.r.WithTx(tx)
				for i := 0; i < 2 && err == nil; i++ {
					if _, err = in.SetDag(w.ctx, dags[i], repo.MaxActiveRuns(7)); i == 0 && mine == 1 && w.d.RowLocks {
						ready.Done()
						ready.Wait()
					}
				}
				if err == nil {
					err = tx.Create(&note{}).Error
				}
				return struct{}{}, err
			})
			require.NoError(w, err)
		})
	}
	both.Wait()
	require.Equal(w, []int{7, 7}, w.limits())
	require.Equal(w, 2, w.notes())
	if w.d.RowLocks {
		require.Greater(w, tries.Load(), int32(2))
	}
	// One that swallows it is not committed either.
	swallowed := 0
	_, err := locking.InTx(w.ctx, w.db, func(tx *gorm.DB) (struct{}, error) {
		swallowed++
		in, err := w.r.WithTx(tx.WithContext(w.ctx)) // a handle of its own
		if err == nil && swallowed == 1 && w.d.RowLocks {
			require.NoError(w, tx.Exec("ROLLBACK").Error)
			_, err = in.Enqueue(w.ctx, models.DagRun{DagID: "d"})
			require.ErrorIs(w, err, locking.ErrGone)
		}
		return struct{}{}, nil
	})
	if w.d.RowLocks {
		require.ErrorIs(w, err, locking.ErrGone)
	}
	require.Zero(w, w.runs("1 = 1"))
}

// cancelledInside: a verb whose context has ended does nothing, and the transaction goes on.
func cancelledInside(w *world) {
	w.dag("d", 3)
	w.queue("d", 3, past, 0)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	require.NoError(w, w.joined(w.db, func(_ *gorm.DB, in *repo.Repo) error {
		_, err := in.Admit(ctx)
		require.ErrorIs(w, err, context.Canceled)
		err = in.FinishAll(ctx, nil, models.Success)
		require.ErrorIs(w, err, context.Canceled)
		require.NotErrorIs(w, err, locking.ErrGone)
		runs, err := in.Admit(w.ctx)
		require.Len(w, runs, 3)
		return err
	}))
	w.running(map[repo.Gate]int{dagGate("d"): 3})
}

// passedOver: a gate that the application's transaction has is passed over, and served when it
// has ended. Where there is one writer, the transaction is it from the start.
func passedOver(w *world) {
	w.dag("d", 3)
	w.queue("d", 4, past, 0)
	if !w.d.RowLocks {
		require.NoError(w, w.joined(w.db, func(*gorm.DB, *repo.Repo) error {
			held, err := locking.Held(w.ctx, w.d.Open(w), locking.Rows{Model: &models.Dag{}}, []string{"d"})
			require.Equal(w, []string{"d"}, held)
			return err
		}))
		return
	}
	require.ErrorIs(w, w.joined(w.db, func(_ *gorm.DB, in *repo.Repo) error {
		runs, err := in.Admit(w.ctx)
		require.NoError(w, err)
		require.Len(w, runs, 3)
		require.Empty(w, w.passes(2))
		return errOwn
	}), errOwn)
	require.Len(w, w.pass(), 3)
}

// readsAreTold: at SERIALIZABLE the first look at the gates takes locks where reads do, so it may
// lose a conflict as well, or not get them in time. In the first case the transaction is gone, and
// in the second it goes on.
func readsAreTold(w *world) {
	require.NoError(w, w.db.AutoMigrate(&note{}))
	w.dag("d", 3)
	w.queue("d", 3, past, 0)
	if w.d.Engine != "MySQL" && w.d.Engine != "MariaDB" {
		return // reads take no locks
	}
	notes := make([]note, 20)
	require.NoError(w, w.db.Create(&notes).Error)
	touch := func(tx *gorm.DB, notes []note) error { return tx.Model(&notes).UpdateColumn("text", "touched").Error }
	other := w.db.WithContext(w.ctx).Begin(&sql.TxOptions{Isolation: sql.LevelReadCommitted}) // without locks on gaps
	defer other.Rollback()
	require.NoError(w, touch(other, notes[1:])) // so much that it is not the one to be rolled back
	require.NoError(w, other.Model(&models.Dag{DagID: "d"}).UpdateColumn("max_active_runs", 5).Error)
	level := &sql.TxOptions{Isolation: sql.LevelSerializable}

	require.NoError(w, w.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
		require.NoError(w, tx.Exec("SET SESSION innodb_lock_wait_timeout = 1").Error)
		in, err := w.r.WithTx(tx)
		require.NoError(w, err)
		_, err = in.Admit(w.ctx)
		require.ErrorIs(w, err, locking.ErrContention)
		return errors.Join(tx.Exec("SET SESSION innodb_lock_wait_timeout = DEFAULT").Error, tx.Create(&note{Text: "goes on"}).Error)
	}, level))

	err := w.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
		require.NoError(w, touch(tx, notes[:1]))
		in, err := w.r.WithTx(tx)
		require.NoError(w, err)
		waits := make(chan error, 1)
		go func() { waits <- touch(other, notes[:1]) }()
		_, err = in.Admit(w.ctx)
		require.ErrorIs(w, err, locking.ErrGone)
		require.NoError(w, <-waits)
		require.ErrorIs(w, tx.Create(&note{Text: "lost"}).Error, locking.ErrGone)
		return err
	}, level)
	require.ErrorIs(w, err, locking.ErrGone)
	require.NoError(w, other.Rollback().Error)
	require.Equal(w, 21, w.notes())
}

var joinedGone = []testCase{
	{"in the caller's transaction: a read that meets a conflict", readsAreTold},
	{"in the caller's transaction: a deadlock", deadlock},
	{"in the caller's transaction: it has ended behind usher's back", tooLate},
	{"in the caller's transaction: which usher tries again", triedAgain},
	{"in the caller's transaction: a context that has ended", cancelledInside},
	{"in the caller's transaction: a gate is held until it ends", passedOver},
}
