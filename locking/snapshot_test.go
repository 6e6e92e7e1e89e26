package locking_test

import (
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
)

var snapshots = cases{
	"of one instant":      snapshotOfOneInstant,
	"in vain, and nested": snapshotErrors,
}

// snapshotOfOneInstant: what others commit after the first read is not seen, in any table, and
// others do not wait for it.
func snapshotOfOneInstant(e *engine) {
	both, err := locking.Snapshot(e.ctx, e.db, func(tx *gorm.DB) (counts [2]int64, err error) {
		require.NoError(e, tx.Model(&gate{}).Count(&counts[0]).Error)
		require.NoError(e, e.db.Create(&gate{ID: 6, Tasks: []task{{ID: 6}}}).Error)
		require.NoError(e, e.db.Model(&gate{ID: 1}).UpdateColumn("n", 9).Error)
		var n int
		require.NoError(e, tx.Model(&gate{}).Where("id = 1").Pluck("n", &n).Error)
		require.Zero(e, n)
		return counts, tx.Model(&task{}).Count(&counts[1]).Error
	})
	require.NoError(e, err)
	require.Equal(e, [2]int64{5, 5}, both)
	require.Equal(e, 9, e.gate(1).N)
	var after int64
	require.NoError(e, e.db.Model(&task{}).Count(&after).Error)
	require.EqualValues(e, 6, after)
}

func snapshotErrors(e *engine) {
	read := func(tx *gorm.DB) (n int64, err error) { return n, tx.Model(&gate{}).Count(&n).Error }
	_, err := locking.Snapshot(e.ctx, e.db, func(tx *gorm.DB) (int64, error) { return locking.Snapshot(e.ctx, tx, read) })
	require.ErrorIs(e, err, locking.ErrNested)
	_, err = locking.Snapshot(e.ctx, e.db, func(tx *gorm.DB) (int64, error) { return 1, gorm.ErrRecordNotFound })
	require.ErrorIs(e, err, gorm.ErrRecordNotFound)
	_, err = locking.Snapshot(e.ctx, e.bare(), read)
	require.ErrorIs(e, err, locking.ErrNoPlugin)
}
