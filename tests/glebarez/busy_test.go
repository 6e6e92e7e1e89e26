package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
)

type row struct{ ID, N int }

// TestBusyCommit: with a rollback journal COMMIT fails while somebody reads. This driver then
// leaves the transaction open, on a connection that goes back to the pool with the one lock that
// there is. usher rolls it back, and what the application has left open in the same way.
func TestBusyCommit(t *testing.T) {
	file := "file:" + filepath.Join(t.TempDir(), "usher.db") + "?_pragma=busy_timeout(50)"
	db, err := open(file, &gorm.Config{}, locking.Attempts(1))
	require.NoError(t, err)
	reader, err := open(file, &gorm.Config{})
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	pool.SetMaxOpenConns(1)
	require.NoError(t, db.AutoMigrate(&row{}))
	require.NoError(t, db.Create(&row{ID: 1}).Error)
	add := func(tx *gorm.DB) error { return tx.Model(&row{ID: 1}).Update("n", gorm.Expr("n + 1")).Error }
	reading := func(during func()) {
		read := reader.Begin()
		require.NoError(t, read.Take(&row{}).Error)
		during()
		require.NoError(t, read.Rollback().Error)
	}

	reading(func() {
		_, err := locking.InTx(t.Context(), db, func(tx *gorm.DB) (int, error) { return 1, add(tx) })
		require.ErrorIs(t, err, locking.ErrContention)
	})
	require.NoError(t, db.Transaction(add), "the connection is as it was")

	reading(func() { require.Error(t, db.Transaction(add)) })
	require.ErrorContains(t, db.Transaction(add), "within a transaction", "the control: the application's own is left open")
	try := func() error {
		_, err := locking.InTx(t.Context(), db, func(tx *gorm.DB) (int, error) { return 1, add(tx) })
		return err
	}
	require.ErrorContains(t, try(), "within a transaction", "of one attempt: it is rolled back")
	require.NoError(t, try())
	var found row
	require.NoError(t, reader.Take(&found).Error)
	require.Equal(t, 2, found.N)
}
