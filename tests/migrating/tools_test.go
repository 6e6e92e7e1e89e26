package migrating

import (
	"errors"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/mysql"
	pgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/database/sqlite3"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/migrations"
)

// versions is the table of versions, beside which the application's own may stand.
const versions = "usher_versions"

func withGoose(s *site, version int64) error {
	pool, err := s.db.DB()
	require.NoError(s, err)
	dialect := map[string]goose.Dialect{"sqlite": goose.DialectSQLite3, "postgres": goose.DialectPostgres, "mysql": goose.DialectMySQL, "mariadb": goose.DialectMySQL}[s.folder]
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

func withMigrate(s *site, version int64) error {
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
	if err != nil {
		return err
	}
	files, err := iofs.New(migrations.FS, s.folder)
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", files, s.folder, target)
	if err != nil {
		return err
	}
	if version > 0 {
		err = m.Migrate(uint(version))
	} else {
		err = m.Up()
	}
	if errors.Is(err, migrate.ErrNoChange) {
		err = nil
	}
	failed, other := m.Close()
	return errors.Join(err, failed, other)
}
