package models_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
)

// values is a table with a time and a document in a fresh database.
type values struct {
	*testing.T
	testdb.Database
	db *gorm.DB
}

// value is a row of it.
type value struct {
	ID  int64
	At  models.Time `gorm:"column:happened_at"`
	Doc models.JSON
}

// TableName is no word of SQL, unlike GORM's own choice.
func (value) TableName() string { return "kept" }

func onEngine(t *testing.T, open func(testing.TB) testdb.Database) {
	for name, test := range map[string]func(*values){
		"times read back":      timesReadBack,
		"times compare":        timesCompare,
		"no time":              noTime,
		"times outside gorm":   timesOutsideGORM,
		"unique logical date":  uniqueLogicalDate,
		"documents read back":  documentsReadBack,
		"documents of others":  documentsOfOthers,
		"no document":          noDocument,
		"refused documents":    refusedDocuments,
		"deep documents":       deepDocuments,
		"tables of all models": migrateTwice,
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			v := &values{T: t, Database: d, db: d.Open(t)}
			require.NoError(t, v.db.AutoMigrate(&value{}))
			test(v)
		})
	}
}

func TestSQLiteModernc(t *testing.T) {
	onEngine(t, func(t testing.TB) testdb.Database { return testdb.SQLite(t, "sqlite") })
}

func TestPostgreSQL(t *testing.T) { onEngine(t, testdb.PostgreSQL) }

func TestMySQL(t *testing.T) { onEngine(t, testdb.MySQL) }

func TestMariaDB(t *testing.T) { onEngine(t, testdb.MariaDB) }

// migrateTwice: all models become tables, and again without a change.
func migrateTwice(v *values) {
	for range 2 {
		require.NoError(v, v.db.AutoMigrate(models.All()...))
	}
	for _, table := range []string{"dag", "dag_run", "backfill", "backfill_dag_run", "job"} {
		require.True(v, v.db.Migrator().HasTable(table), table)
	}
}
