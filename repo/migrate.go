package repo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// migrateAttempts is how often Migrate starts again because another process made the same thing first.
const migrateAttempts = 20

// Migrate creates the tables, columns and indexes that are missing. It changes and drops
// nothing that is there, so it may run twice, in several processes at once, and on Airflow's
// metadata database. Run it before schedulers of a new version start. After an error some of it may
// be there; it goes on from there when it is called again.
//
// It does the same for the models of the application's own that it is given: for one that embeds
// [models.DagRun], say, the columns that it has besides. Let those be nullable or have a default,
// since usher, which does not know them, writes rows without them.
func (r *Repo) Migrate(ctx context.Context, own ...any) error {
	ctx, verb := r.begin(ctx, "migrate")
	if err := r.apart(); err != nil {
		return verb.end(err)
	}
	for attempt := 1; ; attempt++ {
		err := r.migrate(ctx, own)
		if err == nil || attempt == migrateAttempts || !r.racing(err) {
			return verb.end(err)
		}
		select {
		case <-time.After(rand.N(100 * time.Millisecond)):
		case <-ctx.Done():
			return verb.end(ctx.Err())
		}
	}
}

// racing reports whether err is what a migration meets that runs beside another one.
func (r *Repo) racing(err error) bool {
	for _, class := range []dialect.Class{dialect.Exists, dialect.Duplicate, dialect.Conflict, dialect.Busy} {
		if locking.Is(r.db, err, class) {
			return true
		}
	}
	return false
}

// besideOthers is the application's logger without the errors that a migration beside another one
// meets: they are tried again.
type besideOthers struct {
	logger.Interface
	r *Repo
}

func (l besideOthers) Trace(ctx context.Context, began time.Time, statement func() (string, int64), err error) {
	if err != nil && l.r.racing(err) {
		err = nil
	}
	l.Interface.Trace(ctx, began, statement, err)
}

func (r *Repo) migrate(ctx context.Context, own []any) error {
	server, err := locking.Server(ctx, r.db)
	if err != nil {
		return err
	}
	db := r.db.WithContext(ctx)
	db = db.Session(&gorm.Session{Logger: besideOthers{db.Logger, r}})
	if options := server.TableOptions(server.Version); options != "" {
		db = db.Set("gorm:table_options", options)
	}
	return walk(db, own, func(m missing) error { return m.create(db.Migrator()) })
}

// Missing lists what [Repo.Migrate] would create for the same models, in words; none when the database is up to date.
func (r *Repo) Missing(ctx context.Context, own ...any) (things []string, err error) {
	if _, err := locking.Server(ctx, r.db); err != nil {
		return nil, fmt.Errorf("look for tables: %w", err)
	}
	err = walk(r.db.WithContext(ctx), own, func(m missing) error {
		things = append(things, m.what)
		return nil
	})
	if err == nil { // GORM takes a database that does not answer for one without tables
		err = r.db.WithContext(ctx).Exec("SELECT 1").Error
	}
	return things, r.explain("look for tables", err)
}

// missing is something that the database lacks.
type missing struct {
	what   string
	create func(gorm.Migrator) error
}

// walk goes through all that usher's models and the application's own ask for, and calls do for
// what is missing.
func walk(db *gorm.DB, own []any, do func(missing) error) error {
	m := db.Migrator()
	for _, model := range append(models.All(), own...) {
		table := &gorm.Statement{DB: db}
		if err := table.Parse(model); err != nil {
			return err
		}
		if !m.HasTable(model) {
			create := func(m gorm.Migrator) error { return m.CreateTable(model) }
			if err := do(missing{"table " + table.Table, create}); err != nil {
				return err
			}
			continue
		}
		if err := walkTable(m, model, table.Schema, do); err != nil {
			return err
		}
	}
	return nil
}

// walkTable does it for the columns and indexes of a table that exists.
func walkTable(m gorm.Migrator, model any, table *schema.Schema, do func(missing) error) error {
	var errs []error
	for _, column := range table.DBNames {
		if !m.HasColumn(model, column) {
			create := func(m gorm.Migrator) error { return m.AddColumn(model, column) }
			errs = append(errs, do(missing{"column " + table.Table + "." + column, create}))
		}
	}
	for _, index := range table.ParseIndexes() {
		if !m.HasIndex(model, index.Name) {
			create := func(m gorm.Migrator) error { return m.CreateIndex(model, index.Name) }
			errs = append(errs, do(missing{"index " + index.Name, create}))
		}
	}
	return errors.Join(errs...)
}
