package locking_test

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
)

// add adds to a gate's n.
func add(tx *gorm.DB, id int64, n int) error {
	return tx.Model(&gate{ID: id}).UpdateColumn("n", gorm.Expr("n + ?", n)).Error
}

var transactions = cases{
	"committed":                        committed,
	"nested":                           nested,
	"without the plugin":               withoutPlugin,
	"own error":                        ownError,
	"changed":                          changed,
	"attempts":                         attempts,
	"cancelled":                        cancelledBetween,
	"cancelled, commit":                cancelledBeforeCommit,
	"panic":                            panics,
	"one connection":                   oneConnection,
	"one connection, two at first use": oneConnectionTwoAtFirstUse,
	"first answer kept":                firstAnswerKept,
	"classes":                          classes,
	"begin fails":                      beginFails,
	"swallowed conflict":               func(e *engine) { e.swallows(update) },
	"swallowed conflict in a row":      func(e *engine) { e.swallows(updateInRow) },
	"swallowed with another context":   func(e *engine) { e.swallows(updateElsewhere) },
	"only the committed attempt":       onlyTheCommitted,
}

func committed(e *engine) {
	for _, db := range []*gorm.DB{e.db, e.db.Session(&gorm.Session{PrepareStmt: true}), e.db.Where("1 = 0")} {
		n, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (n int, err error) {
			if err := add(tx, 1, 1); err != nil {
				return 0, err
			}
			return n, tx.Model(&gate{}).Where("id = 1").Pluck("n", &n).Error
		})
		require.NoError(e, err)
		require.Equal(e, e.gate(1).N, n)
	}
	require.Equal(e, 3, e.gate(1).N)
}

func nested(e *engine) {
	inner := func(tx *gorm.DB) (int, error) { return 1, add(tx, 2, 1) }
	_, err := locking.InTx(e.ctx, e.db, func(tx *gorm.DB) (int, error) {
		require.NoError(e, add(tx, 1, 1))
		return locking.InTx(e.ctx, tx, inner)
	})
	require.ErrorIs(e, err, locking.ErrNested)
	require.Zero(e, e.gate(1).N)
	_, err = locking.InTx(e.ctx, e.begin(e.db.Session(&gorm.Session{PrepareStmt: true})), inner)
	require.ErrorIs(e, err, locking.ErrNested)
}

func withoutPlugin(e *engine) {
	_, err := locking.InTx(e.ctx, e.bare(), func(tx *gorm.DB) (int, error) { return 1, add(tx, 1, 1) })
	require.ErrorIs(e, err, locking.ErrNoPlugin)
	require.ErrorIs(e, e.db.Use(locking.New()), gorm.ErrRegistered)
}

// ownError comes back as it is, once, and nothing is kept.
func ownError(e *engine) {
	own, tries := errors.New("the application's own"), 0
	n, err := locking.InTx(e.ctx, e.db, func(tx *gorm.DB) (int, error) {
		tries++
		require.NoError(e, add(tx, 1, 1))
		return 7, own
	})
	require.Same(e, own, err)
	require.Equal(e, []int{0, 1, 0}, []int{n, tries, e.gate(1).N})
	_, err = locking.InTx(e.ctx, e.db, func(tx *gorm.DB) (int, error) {
		return 7, tx.Create(&gate{ID: 1}).Error
	})
	require.True(e, locking.Is(e.db, err, dialect.Duplicate), err)
}

// changed: body may ask for another attempt, and only what the last one did is kept.
func changed(e *engine) {
	tries := 0
	n, err := locking.InTx(e.ctx, e.db, func(tx *gorm.DB) (int, error) {
		tries++
		require.NoError(e, add(tx, 1, tries))
		if tries < 4 {
			return -1, locking.ErrChanged
		}
		return tries, nil
	})
	require.NoError(e, err)
	require.Equal(e, []int{4, 4}, []int{n, e.gate(1).N})
}

// attempts are bounded.
func attempts(e *engine) {
	for limit, want := range map[int]int{-1: 1, 0: 1, 1: 1, 3: 3} {
		tries := 0
		n, err := locking.InTx(e.ctx, e.opened(locking.Attempts(limit)), func(tx *gorm.DB) (int, error) {
			tries++
			require.NoError(e, add(tx, 1, 1))
			return tries, locking.ErrChanged
		})
		require.ErrorIs(e, err, locking.ErrContention)
		require.ErrorIs(e, err, locking.ErrChanged)
		require.Equal(e, []int{0, want, 0}, []int{n, tries, e.gate(1).N})
	}
}

// cancelledBetween: there is no further attempt, and the error is the context's.
func cancelledBetween(e *engine) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	tries := 0
	_, err := locking.InTx(ctx, e.db, func(tx *gorm.DB) (int, error) {
		tries++
		cancel()
		return 0, locking.ErrChanged
	})
	require.ErrorIs(e, err, context.Canceled)
	require.NotErrorIs(e, err, locking.ErrCommitUnknown)
	require.Equal(e, 1, tries)
	_, err = locking.InTx(ctx, e.opened(), func(tx *gorm.DB) (int, error) { tries++; return 0, nil })
	require.ErrorIs(e, err, context.Canceled)
	require.Equal(e, 1, tries)
}

// cancelledBeforeCommit: COMMIT is not sent, and that is known.
func cancelledBeforeCommit(e *engine) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	n, err := locking.InTx(ctx, e.db, func(tx *gorm.DB) (int, error) {
		require.NoError(e, add(tx, 1, 1))
		cancel()
		return 7, nil
	})
	require.ErrorIs(e, err, context.Canceled)
	require.NotErrorIs(e, err, locking.ErrCommitUnknown)
	require.Equal(e, []int{0, 0}, []int{n, e.gate(1).N})
}

// panics roll back, and the only connection returns to the pool.
func panics(e *engine) {
	db := e.one(e.opened())
	require.PanicsWithValue(e, "oh", func() {
		_, _ = locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) {
			require.NoError(e, add(tx, 1, 1))
			panic("oh")
		})
	})
	n, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (n int, err error) {
		return n, tx.Model(&gate{}).Where("id = 1").Pluck("n", &n).Error
	})
	require.NoError(e, err)
	require.Zero(e, n)
}

// oneConnection is enough, also when the engine is found within a transaction.
func oneConnection(e *engine) {
	inTx := e.one(e.opened())
	held, err := locking.InTx(e.ctx, inTx, func(tx *gorm.DB) ([]int64, error) { return locking.Hold(tx, gates, []int64{1}) })
	require.NoError(e, err)
	require.Equal(e, []int64{1}, held)
	own := e.begin(e.one(e.opened()))
	held, err = locking.Hold(own, gates, []int64{1})
	require.NoError(e, err)
	require.Equal(e, []int64{1}, held)
	require.NoError(e, own.Commit().Error)
	queried := e.begin(e.one(e.opened()))
	require.NoError(e, queried.Clauses(locking.SkipLocked()).Find(&[]gate{}).Error)
}

// oneConnectionTwoAtFirstUse: who has the connection does not wait for who asks for it.
func oneConnectionTwoAtFirstUse(e *engine) {
	db := e.one(e.opened())
	pool, err := db.DB()
	require.NoError(e, err)
	tx := e.begin(db)
	done := make(chan error)
	go func() {
		_, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) { return 1, add(tx, 2, 1) })
		done <- err
	}()
	for pool.Stats().WaitCount == 0 { // it asks for the engine, and waits for the connection
		require.NoError(e, tx.Exec("SELECT 1").Error)
	}
	_, err = locking.Hold(tx, gates, []int64{1})
	require.NoError(e, err)
	require.NoError(e, tx.Commit().Error)
	require.NoError(e, <-done)
	require.Equal(e, 1, e.gate(2).N)
}

// firstAnswerKept: a failure to ask is not, an answer is.
func firstAnswerKept(e *engine) {
	db := e.opened()
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err := locking.Server(ctx, db)
	require.ErrorIs(e, err, context.Canceled)
	server, err := locking.Server(e.ctx, db)
	require.NoError(e, err)
	again, err := locking.Server(ctx, db)
	require.NoError(e, err)
	require.Same(e, server, again)
	require.Equal(e, "usher:locking", db.Plugins[locking.Name].Name())
}

func classes(e *engine) {
	e.server()
	err := e.db.Create(&gate{ID: 1}).Error
	require.True(e, locking.Is(e.db, err, dialect.Duplicate), err)
	require.False(e, locking.Is(e.db, err, dialect.Missing))
	require.False(e, locking.Is(e.db, nil, dialect.Other))
}

// beginFails: an error before the body is the caller's.
func beginFails(e *engine) {
	db := e.opened()
	_, err := locking.Server(e.ctx, db)
	require.NoError(e, err)
	pool, err := db.DB()
	require.NoError(e, err)
	require.NoError(e, pool.Close())
	_, err = locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) { return 1, errors.New("not reached") })
	require.EqualError(e, err, "sql: database is closed")
}

// clash runs two transactions that lose a conflict to each other in their first attempt: each
// has gate 1 or 2 and comes for the other one. On SQLite one has read before another wrote.
func (e *engine) clash(come func(tx *gorm.DB, id int64) error, body func(tx *gorm.DB, err error) error) (tries int32, first, second error) {
	var count atomic.Int32
	var ready [2]chan struct{}
	ready[0], ready[1] = make(chan struct{}), make(chan struct{})
	try := func(me int64) error {
		mine := 0
		_, err := locking.InTx(e.ctx, e.db, func(tx *gorm.DB) (int, error) {
			count.Add(1)
			mine++
			if !e.RowLocks {
				return e.clashOnSQLite(tx, mine, me, come, body)
			}
			if err := add(tx, me, 1); err != nil {
				return 0, err
			}
			if mine == 1 {
				close(ready[me-1])
				<-ready[2-me]
			}
			return mine, body(tx, come(tx, 3-me))
		})
		return err
	}
	if !e.RowLocks {
		return count.Load(), try(1), try(2)
	}
	other := make(chan error)
	go func() { other <- try(2) }()
	first = try(1)
	second = <-other
	return count.Load(), first, second
}

// clashOnSQLite has the transaction read, and somebody else write, before it writes.
func (e *engine) clashOnSQLite(tx *gorm.DB, mine int, me int64, come func(tx *gorm.DB, id int64) error, body func(tx *gorm.DB, err error) error) (int, error) {
	if mine == 1 {
		var n int
		require.NoError(e, tx.Model(&gate{}).Where("id = ?", me).Pluck("n", &n).Error)
		require.NoError(e, e.db.Exec("UPDATE gates SET fence = fence + 1 WHERE id = 5").Error)
	}
	if err := body(tx, come(tx, 3-me)); err != nil {
		return 0, err
	}
	return mine, add(tx, me, 1)
}

func update(tx *gorm.DB, id int64) error { return add(tx, id, 10) }

// updateElsewhere meets the conflict in a session with a context of its own, as repositories have it.
func updateElsewhere(tx *gorm.DB, id int64) error {
	return add(tx.WithContext(context.Background()), id, 10)
}

// updateInRow meets the conflict in a statement of which GORM does not see the error.
func updateInRow(tx *gorm.DB, id int64) error {
	if tx.Name() == "mysql" {
		var n int
		if err := tx.Raw("SELECT n FROM gates WHERE id = ? FOR UPDATE", id).Row().Scan(&n); err != nil {
			return err
		}
		return update(tx, id)
	}
	var n int
	return tx.Raw("UPDATE gates SET n = n + 10 WHERE id = ? RETURNING n", id).Row().Scan(&n)
}

// swallows: a body that goes on after a conflict is stopped, and tried again.
func (e *engine) swallows(come func(tx *gorm.DB, id int64) error) {
	e.server()
	var refused atomic.Int32
	_, first, second := e.clash(come, func(tx *gorm.DB, err error) error {
		if err == nil {
			return nil
		}
		// On MySQL and MariaDB this would be committed on its own.
		late := tx.Create(&task{ID: 77, GateID: 1}).Error
		if errors.Is(late, locking.ErrGone) && errors.Is(tx.Raw("SELECT 1").Scan(new(int)).Error, locking.ErrGone) && errors.Is(tx.Take(&gate{}).Error, locking.ErrGone) && errors.Is(tx.WithContext(context.Background()).Take(&gate{}).Error, locking.ErrGone) &&
			errors.Is(add(tx, 3, 1), locking.ErrGone) && errors.Is(tx.Delete(&gate{ID: 3}).Error, locking.ErrGone) && errors.Is(tx.Exec("DELETE FROM tasks").Error, locking.ErrGone) {
			refused.Add(1)
		}
		return nil
	})
	require.NoError(e, first)
	require.NoError(e, second)
	require.Positive(e, refused.Load())
	require.Equal(e, []int{11, 11, 0}, []int{e.gate(1).N, e.gate(2).N, e.gate(3).N})
	var tasks int64
	require.NoError(e, e.db.Model(&task{}).Count(&tasks).Error)
	require.EqualValues(e, 5, tasks)
}

// onlyTheCommitted: what a lost attempt made is not in the result.
func onlyTheCommitted(e *engine) {
	e.server()
	var lost atomic.Int32
	_, first, second := e.clash(update, func(tx *gorm.DB, err error) error {
		if err != nil {
			lost.Add(1)
		}
		return err
	})
	require.NoError(e, first)
	require.NoError(e, second)
	require.Positive(e, lost.Load())
	require.Equal(e, []int{11, 11}, []int{e.gate(1).N, e.gate(2).N})
}

var rowTransactions = cases{
	"values of a deadlock":   valuesOfADeadlock,
	"read committed":         readCommitted,
	"default isolation":      defaultIsolation,
	"killed before COMMIT":   killedBeforeCommit,
	"COMMIT's answer lost":   func(e *engine) { e.losesCommit(true) },
	"COMMIT lost on the way": func(e *engine) { e.losesCommit(false) },
}

// valuesOfADeadlock: the loser of a deadlock runs again and returns the slice of that attempt alone.
func valuesOfADeadlock(e *engine) {
	ready := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	var tries [2]int
	try := func(me int64) ([]int64, error) {
		return locking.InTx(e.ctx, e.db, func(tx *gorm.DB) (ids []int64, err error) {
			tries[me-1]++
			for i, id := range []int64{me, 3 - me} {
				if err := add(tx, id, 1); err != nil {
					return append(ids, -1), err
				}
				ids = append(ids, id)
				if i == 0 && tries[me-1] == 1 {
					close(ready[me-1])
					<-ready[2-me]
				}
			}
			return ids, nil
		})
	}
	other := make(chan error)
	var theirs []int64
	go func() {
		ids, err := try(2)
		theirs = ids
		other <- err
	}()
	mine, err := try(1)
	require.NoError(e, err)
	require.NoError(e, <-other)
	require.Equal(e, [][]int64{{1, 2}, {2, 1}}, [][]int64{mine, theirs})
	require.Greater(e, tries[0]+tries[1], 2)
	require.Equal(e, []int{2, 2}, []int{e.gate(1).N, e.gate(2).N})
}

// reads is what a transaction sees of a gate at first, while somebody else has changed it, and
// when that is committed; and the name of its isolation, where the server tells it.
func (e *engine) reads(db *gorm.DB) (seen []int, level string) {
	other := e.begin(e.db)
	read := func(tx *gorm.DB) {
		var n int
		require.NoError(e, tx.Model(&gate{}).Where("id = 1").Pluck("n", &n).Error)
		seen = append(seen, n)
	}
	_, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) {
		read(tx)
		require.NoError(e, add(other, 1, 1))
		read(tx)
		require.NoError(e, other.Commit().Error)
		read(tx)
		if e.Engine == "PostgreSQL" {
			return 0, tx.Raw("SHOW transaction_isolation").Scan(&level).Error
		}
		return 0, nil
	})
	require.NoError(e, err)
	return seen, level
}

func readCommitted(e *engine) {
	seen, level := e.reads(e.db)
	require.Equal(e, []int{0, 0, 1}, seen)
	require.Contains(e, []string{"", "read committed"}, level)
}

// defaultIsolation is the engine's, with a fence for what a snapshot hides.
func defaultIsolation(e *engine) {
	db := e.opened(locking.DefaultIsolation())
	server, err := locking.Server(e.ctx, db)
	require.NoError(e, err)
	require.Equal(e, dialect.Strategy{Lock: dialect.SkipLocked, Fence: true}, server.Strategy)
	require.Contains(e, server.Why, ", and the isolation is the engine's default")
	seen, level := e.reads(db)
	want := []int{0, 0, 0} // REPEATABLE READ
	if e.Engine == "PostgreSQL" {
		want = []int{0, 0, 1}
		require.Equal(e, "read committed", level)
	}
	require.Equal(e, want, seen)
}

// killedBeforeCommit: a connection that breaks in the body costs an attempt, no more.
func killedBeforeCommit(e *engine) {
	self, kill := "SELECT CONNECTION_ID()", "KILL ?"
	if e.Engine == "PostgreSQL" {
		self, kill = "SELECT pg_backend_pid()", "SELECT pg_terminate_backend(?)"
	}
	tries := 0
	n, err := locking.InTx(e.ctx, e.db, func(tx *gorm.DB) (n int, err error) {
		tries++
		if err := add(tx, 1, 1); err != nil || tries > 1 {
			return tries, err
		}
		var id int
		require.NoError(e, tx.Raw(self).Scan(&id).Error)
		require.NoError(e, e.db.Exec(kill, id).Error)
		for err == nil {
			err = tx.Exec("SELECT 1").Error
		}
		return 0, err
	})
	require.NoError(e, err)
	require.Equal(e, []int{2, 2, 1}, []int{n, tries, e.gate(1).N})
}

// refusedByCommit: an error from COMMIT that is the server's word is not in doubt.
func refusedByCommit(e *engine) {
	require.NoError(e, e.db.Exec("CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)").Error)
	_, err := locking.InTx(e.ctx, e.db, func(tx *gorm.DB) (sql.Result, error) {
		return nil, tx.Exec("INSERT INTO late VALUES (1), (1)").Error
	})
	require.True(e, locking.Is(e.db, err, dialect.Duplicate), err)
	require.NotErrorIs(e, err, locking.ErrCommitUnknown)
}
