package locking

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
)

// Unprepared is a new session of db that does without PrepareStmt. There GORM has one statement
// of each text for all: who needs it waits while another one prepares it, whatever becomes of
// their contexts. When that one waits for a connection, and this one has the last, both wait for
// ever. usher's statements are of many texts besides, of which GORM would keep each.
func Unprepared(db *gorm.DB) *gorm.DB {
	db = db.Session(&gorm.Session{NewDB: true, Initialized: true, Context: db.Statement.Context})
	db.PrepareStmt = false
	switch prepared := db.Statement.ConnPool.(type) {
	case *gorm.PreparedStmtDB:
		db.Statement.ConnPool = prepared.ConnPool
	case *gorm.PreparedStmtTX:
		db.Statement.ConnPool = prepared.Tx
	}
	return db.Session(&gorm.Session{})
}

// leavesOpen reports whether the server may refuse COMMIT and keep the transaction open, as a node
// does that is cut off from its cluster, which refuses ROLLBACK as well, and a single writer while
// somebody reads. Not all drivers heed that, nor does database/sql, which hands the connection out
// again; to begin a transaction on it would commit the one before it, or be refused (class
// [dialect.LeftOpen]).
//
// What remains: transactions that are not usher's, in the same pool, can be left open in this
// way. Where usher meets the refusal, it rolls them back; on a node, with [DefaultIsolation], the
// server commits them.
func leavesOpen(db *gorm.DB, server *dialect.Server) bool {
	if server.Cluster != "" || server.Strategy != dialect.SingleWriter {
		return server.Cluster != ""
	}
	_, plain := Unprepared(db).Statement.ConnPool.(*sql.DB)
	return plain
}

// take takes a connection out of the pool.
func take(ctx context.Context, db *gorm.DB) (*sql.Conn, error) {
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	return pool.Conn(ctx)
}

// giveBack returns a connection to the pool, but keeps one from being used again on which a
// transaction failed and cannot be rolled back: the server does that when it has gone. A single
// writer is in this process, and refuses only when there is nothing to roll back.
func giveBack(ctx context.Context, conn *sql.Conn, server *dialect.Server, committed bool) {
	switch {
	case committed:
	case server.Strategy == dialect.SingleWriter:
		_ = rollBack(context.WithoutCancel(ctx), conn)
	default:
		if err := rollBack(ctx, conn); err != nil {
			discard(conn)
		}
	}
	_ = conn.Close() // it only goes back to the pool
}

// rollBack ends what is open on a connection. When a context ends, database/sql itself ends the
// transaction and takes the connection away, maybe at this moment: then it hands out none at all,
// and a method of [sql.Conn] panics.
func rollBack(ctx context.Context, conn *sql.Conn) (err error) {
	defer func() {
		if gone := recover(); gone != nil {
			err = fmt.Errorf("%w: %v", sql.ErrConnDone, gone)
		}
	}()
	_, err = conn.ExecContext(ctx, "ROLLBACK")
	return err
}

// discard keeps a connection from being used again; one that was taken away is not (see [rollBack]).
func discard(conn *sql.Conn) {
	defer func() { _ = recover() }()
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // which is how database/sql is told
}
