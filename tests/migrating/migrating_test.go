// Package migrating has the tools by which teams migrate apply usher's files, and usher run on
// what they made. It is a module of its own, so that no user of usher inherits the tools.
package migrating

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/migrations"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// site is a database that a tool is to migrate.
type site struct {
	*testing.T
	testdb.Database
	folder string
	db     *gorm.DB
	record record // how far Atlas is
}

// files are those for the engine.
func (s *site) files() fs.FS {
	files, err := fs.Sub(migrations.FS, s.folder)
	require.NoError(s, err)
	return files
}

// A tool brings a database to a version, or to the last one when it is 0; and it is told that a
// database is at the last one already.
type tool struct {
	bring func(s *site, version int64) error
	adopt func(s *site, versions []int64) error
}

var tools = map[string]tool{
	"goose": {withGoose, adoptByGoose}, "golang-migrate": {withMigrate, adoptByMigrate},
	"gormigrate": {withGormigrate, adoptByGormigrate}, "Atlas": {withAtlas, adoptByAtlas},
}

func TestSQLiteMattn(t *testing.T) {
	migrateBy(t, "sqlite", func(t testing.TB) testdb.Database { return testdb.SQLite(t, "sqlite3") })
}

func TestSQLiteModernc(t *testing.T) {
	migrateBy(t, "sqlite", func(t testing.TB) testdb.Database { return testdb.SQLite(t, "sqlite") })
}

func TestPostgreSQL(t *testing.T) { migrateBy(t, "postgres", testdb.PostgreSQL) }

func TestMySQL(t *testing.T) { migrateBy(t, "mysql", testdb.MySQL) }

func TestMariaDB(t *testing.T) { migrateBy(t, "mariadb", testdb.MariaDB) }

// migrateBy has each tool make the first version in an empty database, and bring it, with what was
// written there, to what Migrate makes. Called again it does nothing, and schedulers find all they need.
func migrateBy(t *testing.T, folder string, open func(testing.TB) testdb.Database) {
	migrated := open(t)
	same := sameAs(t, &site{t, migrated, folder, migrated.Open(t), nil})
	empty := func(t *testing.T) *site {
		d := open(t)
		if folder == "mysql" || folder == "mariadb" {
			d.DSN += "?multiStatements=true" // for golang-migrate
		}
		return &site{t, d, folder, d.Open(t), record{}}
	}
	for name, tool := range tools {
		t.Run(name, func(t *testing.T) {
			s := empty(t)
			r, err := repo.New(s.db)
			require.NoError(t, err)
			require.NoError(t, tool.bring(s, 1))
			require.NoError(t, s.db.Exec("INSERT INTO dag (dag_id, is_paused, is_stale) VALUES ('old', ?, ?)", false, false).Error)
			things, err := r.Missing(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, things, "what came later")
			for range 2 {
				require.NoError(t, tool.bring(s, 0))
				things, err = r.Missing(t.Context())
				require.NoError(t, err)
				require.Empty(t, things)
				same(s)
			}
			_, err = r.Dag(t.Context(), "old")
			require.NoError(t, err)
			s.race()
		})
		t.Run(name+" takes over what Migrate has made", func(t *testing.T) {
			s := empty(t)
			require.NoError(t, s.migrate())
			require.NoError(t, tool.adopt(s, s.versions()))
			require.NoError(t, tool.bring(s, 0))
			same(s)
		})
	}
}

// migrate is Migrate.
func (s *site) migrate() error {
	r, err := repo.New(s.db)
	require.NoError(s, err)
	return r.Migrate(s.Context())
}

// versions are those of the files.
func (s *site) versions() (all []int64) {
	names, err := fs.Glob(s.files(), "*.up.sql")
	require.NoError(s, err)
	for _, name := range names {
		n, err := strconv.ParseInt(name[:4], 10, 64)
		require.NoError(s, err)
		all = append(all, n)
	}
	require.NotEmpty(s, all)
	return all
}

// race lets schedulers compete for the runs of a DAG and a backfill.
func (s *site) race() {
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute) // against hanging
	defer cancel()
	first, err := repo.New(s.db)
	require.NoError(s, err)
	_, err = first.SetDag(ctx, "d", repo.MaxActiveRuns(2))
	require.NoError(s, err)
	own := models.DagRun{DagID: "d"}
	_, err = first.Enqueue(ctx, slices.Repeat([]models.DagRun{own}, 20)...)
	require.NoError(s, err)
	backfill, err := exercise.Backfill(ctx, s.db, first, "d", 1, 10)
	require.NoError(s, err)
	tally := exercise.NewTally()
	failures := make([]error, 4)
	var all sync.WaitGroup
	for i := range failures {
		r, err := repo.New(s.db)
		require.NoError(s, err)
		scheduler := exercise.Scheduler{Repo: r, Counter: tally, Admit: r.Admit, Work: time.Millisecond, Final: models.Success}
		all.Go(func() { failures[i] = scheduler.Run(ctx) })
	}
	all.Wait()
	require.NoError(s, errors.Join(failures...))
	for gate, limit := range map[repo.Gate]int{{Kind: repo.DagGate, DagID: "d"}: 2, backfill: 1} {
		require.LessOrEqual(s, tally.Peak(gate), limit)
		require.Len(s, tally.Started(gate), map[int]int{2: 20, 1: 10}[limit])
	}
	require.Empty(s, tally.Twice())
}
