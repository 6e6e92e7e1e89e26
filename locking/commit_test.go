package locking_test

import (
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
)

// losesCommit cuts the connection when the client says COMMIT: before the server hears of it,
// or when it has answered. The client cannot tell, and must not try again.
func (e *engine) losesCommit(heard bool) {
	d, proxy := e.Through(e.T, heard)
	db := d.Open(e.T)
	_, err := locking.Server(e.ctx, db)
	require.NoError(e, err)
	proxy.LoseCommit()
	tries := 0
	n, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) {
		tries++
		return 7, add(tx, 1, 1)
	})
	require.ErrorIs(e, err, locking.ErrCommitUnknown)
	require.NotErrorIs(e, err, locking.ErrContention)
	require.Equal(e, []int{0, 1}, []int{n, tries})
	require.True(e, proxy.Lost(), "the proxy has seen COMMIT")
	require.Equal(e, map[bool]int{true: 1, false: 0}[heard], e.gate(1).N)
	_, err = locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) { return 7, add(tx, 2, 1) })
	require.NoError(e, err, "the pool has other connections")
}
