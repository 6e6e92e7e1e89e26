package locking_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
)

// gate is a row to hold.
type gate struct {
	ID    int64
	N     int
	Fence int64
	Tasks []task
}

// task belongs to a gate.
type task struct {
	ID     int64
	GateID int64
}

// engine is a fresh database with the gates 1 to 5, each with one task of the same number.
type engine struct {
	*testing.T
	testdb.Database
	ctx context.Context
	db  *gorm.DB
}

type cases map[string]func(*engine)

func onEngine(t *testing.T, open func(testing.TB) testdb.Database, groups ...cases) {
	for _, group := range groups {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				d := open(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // against hanging
				t.Cleanup(cancel)
				e := &engine{T: t, Database: d, ctx: ctx, db: d.Open(t).WithContext(ctx)}
				require.NoError(t, e.db.AutoMigrate(&gate{}, &task{}))
				for i := range int64(5) {
					require.NoError(t, e.db.Create(&gate{ID: i + 1, Tasks: []task{{ID: i + 1}}}).Error)
				}
				test(e)
			})
		}
	}
}

func onSQLite(driver string) func(testing.TB) testdb.Database {
	return func(t testing.TB) testdb.Database { return testdb.SQLite(t, driver) }
}

func TestSQLiteModernc(t *testing.T) {
	onEngine(t, onSQLite("sqlite"), holding, looking, clauses, transactions, snapshots, joining, applications, ofSQLite)
}

func TestPostgreSQL(t *testing.T) {
	onEngine(t, testdb.PostgreSQL, holding, looking, clauses, transactions, snapshots, joining, applications, rowHolding, rowTransactions, ofPostgreSQL)
}

func TestMySQL(t *testing.T) {
	onEngine(t, testdb.MySQL, holding, looking, clauses, transactions, snapshots, joining, applications, rowHolding, rowTransactions)
}

func TestMariaDB(t *testing.T) {
	onEngine(t, testdb.MariaDB, holding, looking, clauses, transactions, snapshots, joining, applications, rowHolding, rowTransactions)
}

// opened is another pool on the database, with the plugin's options.
func (e *engine) opened(options ...locking.Option) *gorm.DB {
	return e.Open(e.T, options...).WithContext(e.ctx)
}

// begin begins a transaction without InTx, which is rolled back when the test ends.
func (e *engine) begin(db *gorm.DB) *gorm.DB {
	tx := db.Begin()
	require.NoError(e, tx.Error)
	e.Cleanup(func() { tx.Rollback() })
	return tx
}

// bare is the database without the plugin.
func (e *engine) bare() *gorm.DB {
	db := e.db.Session(&gorm.Session{NewDB: true})
	db.Plugins = nil // of this session's copy of the configuration
	return db
}

// gate reads a gate.
func (e *engine) gate(id int64) (g gate) {
	require.NoError(e, e.db.Take(&g, id).Error)
	return g
}

func (e *engine) server() *dialect.Server {
	server, err := locking.Server(e.ctx, e.db)
	require.NoError(e, err)
	return server
}

// configured is another pool on the database, with GORM's configuration of the application's own.
func (e *engine) configured(config gorm.Config) *gorm.DB {
	db := e.Bare(e.T, &config)
	require.NoError(e, db.Use(locking.New()))
	return db.WithContext(e.ctx)
}

// one limits a pool to one connection.
func (e *engine) one(db *gorm.DB) *gorm.DB {
	pool, err := db.DB()
	require.NoError(e, err)
	pool.SetMaxOpenConns(1)
	return db
}

// untilWaiting returns when somebody waits for a lock in this database, or has just asked for it.
func (e *engine) untilWaiting() {
	query := "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() AND command IN ('Query', 'Execute') AND (info LIKE '%FOR UPDATE' OR info LIKE 'UPDATE%')"
	if e.Engine == "PostgreSQL" {
		query = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
	}
	for n := 0; n == 0; {
		require.NoError(e, e.db.Raw(query).Scan(&n).Error)
	}
}
