package locking

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/dialect"
)

// Held tells which of the rows with the given keys somebody else holds at this moment, and
// waits for nobody. It tries to hold them itself and lets go at once, so a pass that comes at
// that very moment passes over them. Call it outside a transaction.
//
// Where there is one writer, everything is held while somebody writes, whether the rows exist
// or not. It is not known, and none are returned, on engines that only have a lock that waits,
// when this user, or this server, may not lock, and in a transaction that [Join] has joined.
//
// It returns [ErrNested] in another transaction, [ErrNoPlugin], [ErrDryRun], the context's
// error, or that of the database.
func Held[K any](ctx context.Context, db *gorm.DB, rows Rows, keys []K) ([]K, error) {
	p, err := plugin(db)
	if err != nil || len(keys) == 0 || Joined(db) {
		return nil, err
	}
	if inTransaction(db) {
		return nil, ErrNested
	}
	if db.DryRun {
		return nil, ErrDryRun
	}
	server, err := p.detect(ctx, db)
	if err != nil {
		return nil, err
	}
	var held []K
	switch {
	case server.Strategy == dialect.SingleWriter:
		var writing bool
		if writing, err = somebodyWrites(ctx, db, server, rows.Model); writing {
			held = keys
		}
	case server.Strategy.Lock == dialect.SkipLocked:
		held, err = once(ctx, db, server, p.txOptions(server), leavesOpen(db, server), func(tx *gorm.DB) ([]K, error) { return passedOver(tx, server, rows, keys) })
	}
	if class := server.Class(err); err != nil && (class == dialect.Denied || class == dialect.ReadOnly) {
		return nil, nil
	}
	return held, err
}

// passedOver are the rows that exist and that a hold has passed over.
func passedOver[K any](tx *gorm.DB, server *dialect.Server, rows Rows, keys []K) (missed []K, err error) {
	free, err := Hold(tx, Rows{Model: rows.Model}, keys)
	if err != nil {
		return nil, err
	}
	table := &gorm.Statement{DB: tx}
	if err := table.Parse(rows.Model); err != nil {
		return nil, fmt.Errorf("look for held rows: %w", err)
	}
	primary := table.Schema.PrioritizedPrimaryField
	key := clause.Column{Name: primary.DBName}
	query := tx.Model(rows.Model).Where(dialect.Among(server, key, primary.DataType, keys))
	if len(free) > 0 {
		query = query.Not(dialect.Among(server, key, primary.DataType, free))
	}
	return missed, query.Order(clause.OrderByColumn{Column: key}).Pluck(key.Name, &missed).Error
}

// somebodyWrites tries to become the one writer, on a connection that does not wait for it
// meanwhile. The statement is no transaction, so the lock is gone with it. Once the connection
// is there it runs to its end, whatever becomes of ctx: the connection must be as it was.
func somebodyWrites(ctx context.Context, db *gorm.DB, server *dialect.Server, model any) (writing bool, err error) {
	read, set := server.Patience()
	table := &gorm.Statement{DB: db.Session(&gorm.Session{NewDB: true})}
	if err := table.Parse(model); err != nil || read == "" {
		return false, err
	}
	pool, err := db.DB()
	if err != nil {
		return false, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }() // it only goes back to the pool
	ctx = context.WithoutCancel(ctx)
	var patience int
	if err := conn.QueryRowContext(ctx, read).Scan(&patience); err != nil {
		return false, err
	}
	if _, err = conn.ExecContext(ctx, fmt.Sprintf(set, 0)); err == nil {
		_, err = conn.ExecContext(ctx, noRowOf+table.Quote(clause.Table{Name: table.Table})+noRow)
	}
	if _, restored := conn.ExecContext(ctx, fmt.Sprintf(set, patience)); restored != nil {
		discard(conn)
	}
	if server.Class(err) == dialect.Busy {
		return true, nil
	}
	return false, err
}
