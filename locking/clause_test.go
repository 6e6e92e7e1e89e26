package locking_test

import (
	"strings"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
)

var clauses = cases{
	"skip locked outside a transaction": func(e *engine) {
		var found []gate
		require.ErrorIs(e, e.db.Clauses(locking.SkipLocked()).Find(&found).Error, locking.ErrNoTransaction)
		_, err := e.db.Model(&gate{}).Clauses(locking.SkipLocked()).Rows()
		require.ErrorIs(e, err, locking.ErrNoTransaction)
		require.Empty(e, found)
	},
	"skip locked without the plugin": func(e *engine) {
		require.ErrorIs(e, e.begin(e.bare()).Clauses(locking.SkipLocked()).Find(&[]gate{}).Error, locking.ErrNoPlugin)
	},
	"skip locked":              skipLocked,
	"skip locked, no answer":   skipLockedNoAnswer,
	"skip locked, alias":       skipLockedAlias,
	"skip locked and preload":  skipLockedPreload,
	"skip locked, generics":    skipLockedGenerics,
	"skip locked in a dry run": skipLockedDryRun,
	"lock of one's own": func(e *engine) { // a clause.Locking that is not usher's stays as it is
		sql := e.db.ToSQL(func(tx *gorm.DB) *gorm.DB {
			return tx.Clauses(clause.Locking{Strength: "UPDATE"}).Find(&[]gate{})
		})
		require.Equal(e, e.RowLocks, strings.HasSuffix(sql, "FOR UPDATE"), sql)
	},
}

// skipLocked: two transactions take different rows, and none waits. On SQLite there is one at a time.
func skipLocked(e *engine) {
	take := func(tx *gorm.DB) (ids []int64) {
		require.NoError(e, tx.Model(&gate{}).Clauses(locking.SkipLocked()).Order("id").Limit(2).Pluck("id", &ids).Error)
		return ids
	}
	one := e.begin(e.db)
	require.Equal(e, []int64{1, 2}, take(one))
	if e.RowLocks {
		require.Equal(e, []int64{3, 4}, take(e.begin(e.db)))
	}
	require.NoError(e, one.Rollback().Error)
	require.Equal(e, []int64{1, 2}, take(e.begin(e.db)))
}

// skipLockedNoAnswer: when the engine cannot be asked, the query fails.
func skipLockedNoAnswer(e *engine) {
	tx := e.begin(e.opened())
	require.NoError(e, tx.Rollback().Error)
	require.ErrorContains(e, tx.Clauses(locking.SkipLocked()).Find(&[]gate{}).Error, "detect engine: ")
}

func skipLockedAlias(e *engine) {
	var found []gate
	require.NoError(e, e.begin(e.db).Table("gates AS g").Clauses(locking.SkipLocked()).Where("g.id < 3").Order("g.id").Find(&found).Error)
	require.Len(e, found, 2)
}

// skipLockedPreload: the lock is the query's; associations are read whoever holds them.
func skipLockedPreload(e *engine) {
	if e.RowLocks {
		require.NoError(e, e.begin(e.db).Clauses(locking.SkipLocked()).Find(&[]task{}).Error)
	}
	var found []gate
	require.NoError(e, e.begin(e.db).Preload("Tasks").Clauses(locking.SkipLocked()).Order("id").Find(&found).Error)
	require.Len(e, found, 5)
	for _, g := range found {
		require.Equal(e, []task{{ID: g.ID, GateID: g.ID}}, g.Tasks)
	}
}

func skipLockedGenerics(e *engine) {
	found, err := gorm.G[gate](e.begin(e.db), locking.SkipLocked()).Where("id > ?", 2).Order("id").Find(e.ctx)
	require.NoError(e, err)
	require.Equal(e, []gate{{ID: 3}, {ID: 4}, {ID: 5}}, found)
	_, err = gorm.G[gate](e.db, locking.SkipLocked()).Find(e.ctx)
	require.ErrorIs(e, err, locking.ErrNoTransaction)
}

// skipLockedDryRun: the statement is what would be executed, and nothing is, in a transaction or out of one.
func skipLockedDryRun(e *engine) {
	for _, c := range []struct {
		options          []locking.Option
		postgres, others string
	}{
		{nil, " FOR UPDATE SKIP LOCKED", " FOR UPDATE SKIP LOCKED"},
		{[]locking.Option{locking.NoKeyUpdate()}, " FOR NO KEY UPDATE SKIP LOCKED", " FOR UPDATE SKIP LOCKED"},
		{[]locking.Option{locking.NoKeyUpdate(), locking.WithStrategy(dialect.Strategy{Lock: dialect.ForUpdate})}, " FOR NO KEY UPDATE", " FOR UPDATE"},
		{[]locking.Option{locking.WithStrategy(dialect.Strategy{Fence: true})}, "", ""},
	} {
		want := map[string]string{"PostgreSQL": c.postgres, "MySQL": c.others, "MariaDB": c.others}[e.Engine]
		db := e.opened(c.options...)
		tx := e.begin(db)
		for _, dry := range []*gorm.DB{db, tx} {
			var found []gate
			query := dry.Session(&gorm.Session{DryRun: true}).Clauses(locking.SkipLocked()).Where("id = ?", 1).Find(&found)
			require.NoError(e, query.Error)
			require.Empty(e, found)
			sql := strings.NewReplacer("`", "", `"`, "", "$1", "?").Replace(query.Statement.SQL.String())
			require.Equal(e, "SELECT * FROM gates WHERE id = ?"+want, strings.TrimSpace(sql))
		}
		require.NoError(e, e.db.Model(&gate{ID: 1}).UpdateColumn("n", gorm.Expr("n + 1")).Error, "tx has locked nothing")
		require.NoError(e, tx.Rollback().Error)
	}
}

var ofSQLite = cases{
	// Somebody's transaction on a pooled connection is rolled back, and ours is begun.
	"left open by others": func(e *engine) {
		db := e.one(e.opened())
		require.NoError(e, db.Exec("BEGIN").Error)
		require.NoError(e, add(db.Session(&gorm.Session{SkipDefaultTransaction: true}), 1, 10))
		_, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) (int, error) { return 1, add(tx, 1, 1) })
		require.NoError(e, err)
		require.Equal(e, 1, e.gate(1).N)
	},
	// The writer lock is taken before the query reads, also when it finds nothing.
	"skip locked takes the writer lock": func(e *engine) {
		one, two := e.begin(e.db), e.begin(e.db)
		require.NoError(e, one.Clauses(locking.SkipLocked()).Where("id = 99").Find(&[]gate{}).Error)
		require.NoError(e, two.Exec("PRAGMA busy_timeout = 0").Error)
		err := two.Clauses(locking.SkipLocked()).Find(&[]gate{}).Error
		require.Equal(e, dialect.Busy, e.server().Class(err), err)
		require.True(e, locking.Is(e.db, two.Exec("UPDATE gates SET n = 1").Error, dialect.Busy))
		require.NoError(e, one.Exec("UPDATE gates SET n = 1").Error)
	},
	"hold takes the writer lock": func(e *engine) {
		one, two := e.begin(e.db), e.begin(e.db)
		_, err := locking.Hold(one, gates, []int64{99})
		require.NoError(e, err)
		require.NoError(e, two.Exec("PRAGMA busy_timeout = 0").Error)
		_, err = locking.Hold(two, gates, []int64{1})
		require.True(e, locking.Is(e.db, err, dialect.Busy), err)
	},
	"hold another database's table": func(e *engine) {
		_, err := locking.Hold(e.begin(e.db), locking.Rows{Model: &struct{ ID int64 }{}}, []int64{1})
		require.Error(e, err)
	},
}

var ofPostgreSQL = cases{
	"a transaction's timeout, in COMMIT": timeoutInCommit,
	// With NO KEY UPDATE a child can be inserted while its parent is held.
	"no key update": func(e *engine) {
		db := e.opened(locking.NoKeyUpdate())
		holder, other := e.begin(db), e.begin(db)
		_, err := locking.Hold(holder, gates, []int64{1})
		require.NoError(e, err)
		require.NoError(e, other.Exec("SET LOCAL lock_timeout = '10s'").Error)
		require.NoError(e, other.Create(&task{ID: 9, GateID: 1}).Error)
		held, err := locking.Hold(other, gates, []int64{1, 2})
		require.NoError(e, err)
		require.Equal(e, []int64{2}, held)
	},
	"refused by COMMIT": refusedByCommit,
}
