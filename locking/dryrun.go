package locking

import (
	"context"
	"database/sql"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
)

// rehearse is [InTx] with GORM's DryRun.
func rehearse[T any](ctx context.Context, db *gorm.DB, server *dialect.Server, body func(tx *gorm.DB) (T, error)) (T, error) {
	t := &transaction{server: server}
	tx := t.session(ctx, db)
	tx.Statement.ConnPool = nowhere{}
	return body(tx)
}

// nowhere stands for the connection of a transaction that is not begun.
type nowhere struct{}

var (
	_ gorm.ConnPool    = nowhere{}
	_ gorm.TxCommitter = nowhere{}
)

func (nowhere) PrepareContext(context.Context, string) (*sql.Stmt, error) { return nil, ErrDryRun }

func (nowhere) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, ErrDryRun
}

func (nowhere) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, ErrDryRun
}

func (nowhere) QueryRowContext(context.Context, string, ...any) *sql.Row { return nil } // as GORM itself does

func (nowhere) Commit() error { return nil }

func (nowhere) Rollback() error { return nil }
