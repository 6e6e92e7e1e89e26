package locking_test

import (
	"context"
	"database/sql/driver"
	"slices"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
)

var gates = locking.Rows{Model: &gate{}, Fence: "fence"}

var holding = cases{
	"hold outside a transaction": func(e *engine) {
		_, err := locking.Hold(e.db, gates, []int64{1})
		require.ErrorIs(e, err, locking.ErrNoTransaction)
		_, err = locking.Await(e.db, gates, []int64{1})
		require.ErrorIs(e, err, locking.ErrNoTransaction)
	},
	"hold without the plugin": func(e *engine) {
		_, err := locking.Hold(e.begin(e.bare()), gates, []int64{1})
		require.ErrorIs(e, err, locking.ErrNoPlugin)
		_, err = locking.Server(e.ctx, e.bare())
		require.ErrorIs(e, err, locking.ErrNoPlugin)
	},
	"hold nothing":     holdNothing,
	"hold in order":    holdInOrder,
	"hold by texts":    holdByTexts,
	"hold by bytes":    holdByBytes,
	"hold by uuids":    holdByUUIDs,
	"hold by octets":   holdByOctets,
	"hold by lower":    holdByLower,
	"hold what cannot": holdWhatCannot,
	"hold, chained":    holdChained,
	"await":            await,
	"fence":            fence,
	"no fence":         noFence,
	"write and fence":  writeAndFence,
}

func holdNothing(e *engine) {
	held, err := locking.Hold(e.begin(e.db), gates, []int64{})
	require.NoError(e, err)
	require.Empty(e, held)
	require.Zero(e, e.gate(1).Fence)
}

func holdInOrder(e *engine) {
	tx := e.begin(e.db)
	held, err := locking.Hold(tx, gates, []int64{4, 99, 2, 3})
	require.NoError(e, err)
	if e.RowLocks {
		require.Equal(e, []int64{2, 3, 4}, held)
	} else {
		require.ElementsMatch(e, []int64{4, 99, 2, 3}, held)
	}
	held, err = locking.Await(tx, gates, []int64{5, 1})
	require.NoError(e, err)
	slices.Sort(held)
	require.Equal(e, []int64{1, 5}, held)
	require.NoError(e, tx.Commit().Error)
}

// texts are what a list of texts must not stumble over.
var texts = []string{"", "'", `"`, `""`, "(?)", ",", `\`, `\"`, `\\`, "$1", "?", "@p", "NULL", "a,b", "{", "{}", "}", "ü"}

type word struct {
	Word  string `gorm:"primaryKey;size:20"`
	Fence int64
}

// holds are the keys of those that a transaction takes.
func holds[K any](e *engine, rows locking.Rows, keys []K) []K {
	held, err := locking.InTx(e.ctx, e.db, func(tx *gorm.DB) ([]K, error) { return locking.Hold(tx, rows, keys) })
	require.NoError(e, err)
	return held
}

func holdByTexts(e *engine) {
	require.NoError(e, e.db.AutoMigrate(&word{}))
	for _, text := range texts {
		require.NoError(e, e.db.Create(&word{Word: text}).Error)
	}
	words := locking.Rows{Model: &word{}, Fence: "fence"}
	require.ElementsMatch(e, texts, holds(e, words, texts))
	for _, text := range texts {
		require.Equal(e, []string{text}, holds(e, words, []string{text}))
	}
}

// code is a text to the application, and bytes to the driver.
type code string

func (c code) Value() (driver.Value, error) { return []byte(c), nil }

func holdByBytes(e *engine) {
	require.NoError(e, e.db.AutoMigrate(&word{}))
	require.NoError(e, e.db.Create(&word{Word: "a"}).Error)
	require.Equal(e, []code{"a"}, holds(e, locking.Rows{Model: &word{}}, []code{"a"}))
}

// holdByOctets: a list of numbers of one byte each is no text.
func holdByOctets(e *engine) {
	type octet struct{ ID uint8 }
	require.NoError(e, e.db.AutoMigrate(&octet{}))
	require.NoError(e, e.db.Create([]octet{{1}, {2}}).Error)
	require.Equal(e, []uint8{1, 2}, holds(e, locking.Rows{Model: &octet{}}, []uint8{1, 2}))
}

// lower is a text that the database writes in small letters.
type lower string

func (l lower) GormValue(context.Context, *gorm.DB) clause.Expr {
	return clause.Expr{SQL: "LOWER(?)", Vars: []any{string(l)}}
}

func holdByLower(e *engine) {
	require.NoError(e, e.db.AutoMigrate(&word{}))
	require.NoError(e, e.db.Create(&word{Word: "a"}).Error)
	require.Len(e, holds(e, locking.Rows{Model: &word{}}, []lower{"A"}), 1)
}

// holdByUUIDs: a column may be of a type that is no text, while its field is one.
func holdByUUIDs(e *engine) {
	kind := "CHAR(36)"
	if e.db.Name() == "postgres" {
		kind = "UUID"
	}
	require.NoError(e, e.db.Exec("CREATE TABLE tokens (id "+kind+" PRIMARY KEY)").Error)
	type token struct {
		ID string `gorm:"type:uuid"`
	}
	id := "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	require.NoError(e, e.db.Create(&token{id}).Error)
	require.Equal(e, []string{id}, holds(e, locking.Rows{Model: &token{}}, []string{id}))
}

type pair struct {
	A int `gorm:"primaryKey;autoIncrement:false"`
	B int `gorm:"primaryKey;autoIncrement:false"`
}

func holdWhatCannot(e *engine) {
	tx := e.begin(e.db)
	_, err := locking.Hold(tx, locking.Rows{Model: &pair{}}, []int{1})
	require.EqualError(e, err, "hold rows: table pairs has no primary key of one column")
	_, err = locking.Hold(tx, locking.Rows{Model: 7}, []int{1})
	require.ErrorContains(e, err, "hold rows: ")
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err = locking.Hold(tx.WithContext(ctx), gates, []int64{1})
	require.ErrorIs(e, err, context.Canceled)
}

// holdChained: conditions of the *gorm.DB that is passed do not leak into the hold.
func holdChained(e *engine) {
	held, err := locking.Hold(e.begin(e.db).Where("1 = 0"), gates, []int64{1, 2})
	require.NoError(e, err)
	require.Equal(e, []int64{1, 2}, held)
}

// await returns when the holder has committed, and sees what it did.
func await(e *engine) {
	holder := e.begin(e.db)
	_, err := locking.Hold(holder, gates, []int64{1})
	require.NoError(e, err)
	saw := make(chan int)
	go func() {
		n, _ := locking.InTx(e.ctx, e.db, func(tx *gorm.DB) (n int, err error) {
			if _, err := locking.Await(tx, gates, []int64{1, 2}); err != nil {
				return -1, err
			}
			return n, tx.Model(&gate{}).Where("id = 1").Pluck("n", &n).Error
		})
		saw <- n
	}()
	if e.RowLocks {
		e.untilWaiting()
	}
	require.NoError(e, holder.Model(&gate{ID: 1}).UpdateColumn("n", 7).Error)
	require.NoError(e, holder.Commit().Error)
	require.Equal(e, 7, <-saw)
}

// fence: each hold adds one, in the transaction.
func fence(e *engine) {
	db := e.opened(locking.WithStrategy(dialect.Strategy{Lock: dialect.SkipLocked, Fence: true}))
	require.Equal(e, "skip locked and fence", e.strategy(db))
	hold := func(tx *gorm.DB) ([]int64, error) { return locking.Hold(tx, gates, []int64{1, 3}) }
	held, err := locking.InTx(e.ctx, db, hold)
	require.NoError(e, err)
	require.Equal(e, []int64{1, 3}, held)
	require.Equal(e, []int64{1, 0, 1}, []int64{e.gate(1).Fence, e.gate(2).Fence, e.gate(3).Fence})
	tx := e.begin(db)
	_, err = hold(tx)
	require.NoError(e, err)
	require.NoError(e, tx.Rollback().Error)
	require.Equal(e, int64(1), e.gate(1).Fence)
}

// noFence: where the transaction writes to the rows anyway, or the strategy has none, none is written.
func noFence(e *engine) {
	db := e.opened(locking.WithStrategy(dialect.Strategy{Lock: dialect.SkipLocked, Fence: true}))
	for pool, rows := range map[*gorm.DB]locking.Rows{db: {Model: &gate{}}, e.db: gates} {
		held, err := locking.InTx(e.ctx, pool, func(tx *gorm.DB) ([]int64, error) { return locking.Await(tx, rows, []int64{1}) })
		require.NoError(e, err)
		require.Equal(e, []int64{1}, held)
		require.Zero(e, e.gate(1).Fence)
	}
}

// writeAndFence: without a lock the write is the hold, and a second holder waits for it.
func writeAndFence(e *engine) {
	db := e.opened(locking.WithStrategy(dialect.Strategy{Lock: dialect.NoLock, Fence: true}))
	require.Equal(e, "write and fence", e.strategy(db))
	holder := e.begin(db)
	held, err := locking.Hold(holder, gates, []int64{2, 1})
	require.NoError(e, err)
	require.ElementsMatch(e, []int64{1, 2}, held)
	done := make(chan error)
	go func() {
		_, err := locking.InTx(e.ctx, db, func(tx *gorm.DB) ([]int64, error) { return locking.Hold(tx, gates, []int64{1}) })
		done <- err
	}()
	if e.RowLocks {
		e.untilWaiting()
	}
	require.Zero(e, e.gate(1).Fence)
	require.NoError(e, holder.Commit().Error)
	require.NoError(e, <-done)
	require.Equal(e, []int64{2, 1}, []int64{e.gate(1).Fence, e.gate(2).Fence})
}

func (e *engine) strategy(db *gorm.DB) string {
	server, err := locking.Server(e.ctx, db)
	require.NoError(e, err)
	require.Equal(e, "the application chose it", server.Why)
	return server.Strategy.String()
}

var rowHolding = cases{
	"hold passes over": func(e *engine) {
		one, two := e.begin(e.db), e.begin(e.db)
		held, err := locking.Hold(one, gates, []int64{2, 4})
		require.NoError(e, err)
		require.Equal(e, []int64{2, 4}, held)
		held, err = locking.Hold(two, gates, []int64{5, 4, 3, 2, 1})
		require.NoError(e, err)
		require.Equal(e, []int64{1, 3, 5}, held)
		held, err = locking.Hold(two, gates, []int64{2})
		require.NoError(e, err)
		require.Empty(e, held)
	},
	"hold that waits": func(e *engine) { // for update, where there is no SKIP LOCKED
		db := e.opened(locking.WithStrategy(dialect.Strategy{Lock: dialect.ForUpdate}))
		require.Equal(e, "for update", e.strategy(db))
		holder := e.begin(db)
		_, err := locking.Hold(holder, gates, []int64{1})
		require.NoError(e, err)
		got := make(chan []int64)
		go func() {
			held, _ := locking.InTx(e.ctx, db, func(tx *gorm.DB) ([]int64, error) { return locking.Hold(tx, gates, []int64{2, 1}) })
			got <- held
		}()
		e.untilWaiting()
		require.NoError(e, holder.Commit().Error)
		require.Equal(e, []int64{1, 2}, <-got)
	},
	"await, cancelled": func(e *engine) {
		_, err := locking.Hold(e.begin(e.db), gates, []int64{1})
		require.NoError(e, err)
		ctx, cancel := context.WithCancel(e.ctx)
		failed := make(chan error)
		go func() {
			_, err := locking.InTx(ctx, e.db, func(tx *gorm.DB) ([]int64, error) { return locking.Await(tx, gates, []int64{1}) })
			failed <- err
		}()
		e.untilWaiting()
		cancel()
		err = <-failed
		require.ErrorIs(e, err, context.Canceled)
		require.NotErrorIs(e, err, locking.ErrContention)
		require.NotErrorIs(e, err, locking.ErrCommitUnknown)
	},
}
