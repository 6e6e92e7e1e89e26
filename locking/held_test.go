package locking_test

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
)

var looking = cases{
	"who holds":                heldByAnother,
	"who holds, in vain":       heldUnknown,
	"who holds, one at a time": heldPatience,
	"who holds, cancelled": func(e *engine) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		_, err := locking.Held(ctx, e.db, gates, []int64{1})
		require.ErrorIs(e, err, context.Canceled)
	},
}

// heldByAnother: what somebody else holds is told without waiting, and what nobody holds is not held afterwards.
func heldByAnother(e *engine) {
	all := []int64{1, 2, 3, 99}
	held, err := locking.Held(e.ctx, e.db, gates, all)
	require.NoError(e, err)
	require.Empty(e, held)
	tx := e.begin(e.opened())
	_, err = locking.Hold(tx, gates, []int64{2, 3})
	require.NoError(e, err)
	held, err = locking.Held(e.ctx, e.db, gates, all) // would wait for ever, and the test fail by its time limit
	require.NoError(e, err)
	if e.RowLocks {
		require.Equal(e, []int64{2, 3}, held)
	} else {
		require.Equal(e, all, held)
	}
	require.NoError(e, tx.Rollback().Error)
	held, err = locking.Held(e.ctx, e.db, gates, all)
	require.NoError(e, err)
	require.Empty(e, held)
	taken, err := locking.Hold(e.begin(e.opened()), gates, []int64{1, 2, 3})
	require.NoError(e, err)
	require.Len(e, taken, 3, "whoever looked has let go")
}

// heldUnknown: where a lock only waits nothing is known, and in a transaction nothing is asked.
func heldUnknown(e *engine) {
	_, err := locking.Held(e.ctx, e.bare(), gates, []int64{1})
	require.ErrorIs(e, err, locking.ErrNoPlugin)
	_, err = locking.Held(e.ctx, e.begin(e.db), gates, []int64{1})
	require.ErrorIs(e, err, locking.ErrNested)
	tx := e.begin(e.opened())
	_, err = locking.Hold(tx, gates, []int64{1})
	require.NoError(e, err)
	for _, s := range []dialect.Strategy{{Lock: dialect.ForUpdate}, {Lock: dialect.NoLock, Fence: true}} {
		held, err := locking.Held(e.ctx, e.opened(locking.WithStrategy(s)), gates, []int64{1})
		require.NoError(e, err)
		require.Empty(e, held)
	}
	held, err := locking.Held(e.ctx, e.db, gates, []int64{})
	require.NoError(e, err)
	require.Empty(e, held)
}

// heldPatience: the one connection that looks is afterwards as it was, in whatever it found.
func heldPatience(e *engine) {
	db := e.one(e.opened())
	read, set := e.server().Patience()
	if e.RowLocks {
		require.Empty(e, read+set)
		return
	}
	patience := func() (ms int) {
		require.NoError(e, db.Raw(read).Row().Scan(&ms))
		return ms
	}
	before := patience()
	require.Positive(e, before)
	tx := e.begin(e.opened())
	_, err := locking.Hold(tx, gates, []int64{1})
	require.NoError(e, err)
	for _, model := range []any{&gate{}, &struct{ ID int64 }{}} { // the second has no table
		_, _ = locking.Held(e.ctx, db, locking.Rows{Model: model}, []int64{1})
		require.Equal(e, before, patience())
	}
	require.NoError(e, tx.Rollback().Error)
	_, err = locking.Held(e.ctx, db, gates, []int64{1})
	require.NoError(e, err)
	require.Equal(e, before, patience())
}
