package locking_test

import (
	"errors"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
)

var joining = cases{
	"joined": func(e *engine) {
		tx := e.begin(e.db)
		in, err := locking.Join(tx, &gate{})
		require.NoError(e, err)
		require.Equal(e, []bool{true, false, false}, []bool{locking.Joined(in), locking.Joined(tx), locking.Joined(e.db)})
		n, err := locking.InTx(e.ctx, in, func(tx *gorm.DB) (int, error) {
			_, err := locking.InTx(e.ctx, tx, func(*gorm.DB) (int, error) { return 1, nil })
			require.ErrorIs(e, err, locking.ErrNested)
			return 7, add(tx, 1, 1)
		})
		require.NoError(e, err)
		require.Equal(e, 7, n)
		require.False(e, locking.MayBeStale(in), "not outside the body")
		require.NoError(e, tx.Commit().Error)
		require.Equal(e, 1, e.gate(1).N)
	},
	"joined, changed": func(e *engine) {
		tx := e.begin(e.db)
		in, err := locking.Join(tx, &gate{})
		require.NoError(e, err)
		tries := 0
		_, err = locking.InTx(e.ctx, in, func(tx *gorm.DB) (int, error) {
			tries++
			require.NoError(e, add(tx, 1, 1))
			return 7, locking.ErrChanged
		})
		want := locking.ErrContention
		if e.server().LockingReadsAreLatest() { // it may be the snapshot that is old
			want = locking.ErrSnapshot
		}
		require.ErrorIs(e, err, want)
		require.ErrorIs(e, err, locking.ErrChanged)
		require.Equal(e, 1, tries)
		require.NoError(e, tx.Commit().Error)
		require.Zero(e, e.gate(1).N)
	},
	// A conflict that GORM's callbacks have not seen ends the transaction once it is told of.
	"joined, told": func(e *engine) {
		if !e.RowLocks {
			return // it is not the writer, or it is and meets no conflict
		}
		other, tx := e.begin(e.opened()), e.begin(e.db)
		in, err := locking.Join(tx, &gate{})
		require.NoError(e, err)
		require.NoError(e, locking.Told(in, nil))
		require.Equal(e, errors.ErrUnsupported, locking.Told(in, errors.ErrUnsupported))
		require.NoError(e, errors.Join(add(tx, 1, 1), add(other, 2, 1), add(other, 3, 1), add(other, 4, 1)))
		won := make(chan error, 1)
		go func() { won <- add(other, 1, 1) }()
		e.untilWaiting()
		_, err = tx.Statement.ConnPool.ExecContext(e.ctx, "UPDATE gates SET n = 7 WHERE id = 2")
		if err == nil { // the other one was rolled back
			require.Error(e, <-won)
			return
		}
		require.NoError(e, <-won)
		require.ErrorIs(e, locking.Told(in, err), locking.ErrGone)
		require.ErrorIs(e, add(tx, 5, 1), locking.ErrGone)
	},
	// Where a lock is not to be trusted, a locking read is not either.
	"joined, without locks": func(e *engine) {
		db := e.opened(locking.WithStrategy(dialect.Strategy{Lock: dialect.NoLock, Fence: true}))
		in, err := locking.Join(e.begin(db), &gate{})
		require.NoError(e, err)
		_, err = locking.InTx(e.ctx, in, func(tx *gorm.DB) ([]int64, error) { return locking.Hold(tx, gates, []int64{1}) })
		if e.Engine == "PostgreSQL" { // which can be asked
			require.NoError(e, err)
		} else {
			require.ErrorIs(e, err, locking.ErrSnapshot)
		}
	},
}
