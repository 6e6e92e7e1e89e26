package locking

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
)

// leavesOpen reports whether the server may refuse COMMIT and ROLLBACK, and keep the transaction
// open, as a node does that is cut off from its cluster. database/sql does not heed that, and
// hands the connection out again; to begin a transaction on it would commit the one before it,
// or be refused (class [dialect.LeftOpen]).
//
// What remains: transactions that are not usher's, in the same pool, can be left open in this
// way on such a node. Where usher asks for its isolation level, it meets the refusal and rolls
// them back; with [DefaultIsolation] the server commits them.
func leavesOpen(server *dialect.Server) bool { return server.Cluster != "" }

// take takes a connection out of the pool. It knows no statements that GORM has prepared.
func take(ctx context.Context, db *gorm.DB) (*sql.Conn, error) {
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	return pool.Conn(ctx)
}

// giveBack returns a connection to the pool, but keeps one from being used again on which a
// transaction failed and cannot be rolled back: the server does that when it has gone.
func giveBack(ctx context.Context, conn *sql.Conn, committed bool) {
	if !committed {
		if _, err := conn.ExecContext(ctx, "ROLLBACK"); err != nil {
			discard(conn)
		}
	}
	_ = conn.Close() // it only goes back to the pool
}

// discard keeps a connection from being used again.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // which is how database/sql is told
}
