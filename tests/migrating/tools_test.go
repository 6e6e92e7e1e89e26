package migrating

import (
	"database/sql"
	"errors"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/mysql"
	pgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/database/sqlite3"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"
	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/migrations"
)

// versions is the table of versions, beside which the application's own may stand.
const versions = "usher_versions"

func (s *site) goose() (*sql.DB, goose.Dialect) {
	pool, err := s.db.DB()
	require.NoError(s, err)
	return pool, map[string]goose.Dialect{"sqlite": goose.DialectSQLite3, "postgres": goose.DialectPostgres, "mysql": goose.DialectMySQL, "mariadb": goose.DialectMySQL}[s.folder]
}

func withGoose(s *site, version int64) error {
	pool, dialect := s.goose()
	p, err := goose.NewProvider(dialect, pool, s.files(), goose.WithTableName(versions))
	if err != nil {
		return err
	}
	if version > 0 {
		_, err = p.UpTo(s.Context(), version)
	} else {
		_, err = p.Up(s.Context())
	}
	return err
}

// adoptByGoose writes a row for each version: one that has none counts as left out.
func adoptByGoose(s *site, all []int64) error {
	pool, dialect := s.goose()
	store, err := goosedb.NewStore(dialect, versions)
	require.NoError(s, err)
	require.NoError(s, store.CreateVersionTable(s.Context(), pool))
	for _, version := range append([]int64{0}, all...) {
		require.NoError(s, store.Insert(s.Context(), pool, goosedb.InsertRequest{Version: version}))
	}
	return nil
}

func withMigrate(s *site, version int64) error {
	return s.golangMigrate(func(m *migrate.Migrate) error {
		do := m.Up
		if version > 0 {
			do = func() error { return m.Migrate(uint(version)) }
		}
		err := do()
		if errors.Is(err, migrate.ErrNoChange) {
			return nil
		}
		return err
	})
}

func adoptByMigrate(s *site, all []int64) error {
	return s.golangMigrate(func(m *migrate.Migrate) error { return m.Force(int(all[len(all)-1])) })
}

// golangMigrate does something with the tool.
func (s *site) golangMigrate(do func(*migrate.Migrate) error) error {
	db := s.Open(s) // which the tool closes
	pool, err := db.DB()
	require.NoError(s, err)
	var target database.Driver
	switch {
	case s.Driver == "sqlite3":
		target, err = sqlite3.WithInstance(pool, &sqlite3.Config{MigrationsTable: versions})
	case s.Driver == "sqlite":
		target, err = sqlite.WithInstance(pool, &sqlite.Config{MigrationsTable: versions})
	case s.folder == "postgres":
		target, err = pgx.WithInstance(pool, &pgx.Config{MigrationsTable: versions})
	default:
		target, err = mysql.WithInstance(pool, &mysql.Config{MigrationsTable: versions})
	}
	require.NoError(s, err)
	files, err := iofs.New(migrations.FS, s.folder)
	require.NoError(s, err)
	m, err := migrate.NewWithInstance("iofs", files, s.folder, target)
	require.NoError(s, err)
	err = do(m)
	failed, other := m.Close()
	return errors.Join(err, failed, other)
}
