package migrating

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"ariga.io/atlas/sql/sqltool"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// record is how far a database is, which Atlas' own program keeps in a table.
type record map[string]*migrate.Revision

func (record) Ident() *migrate.TableIdent { return &migrate.TableIdent{} }

func (r record) ReadRevisions(context.Context) ([]*migrate.Revision, error) {
	var all []*migrate.Revision
	for _, version := range slices.Sorted(maps.Keys(r)) {
		all = append(all, r[version])
	}
	return all, nil
}

func (r record) ReadRevision(_ context.Context, version string) (*migrate.Revision, error) {
	if found, ok := r[version]; ok {
		return found, nil
	}
	return nil, migrate.ErrRevisionNotExist
}

func (r record) WriteRevision(_ context.Context, revision *migrate.Revision) error {
	r[revision.Version] = revision
	return nil
}

func (r record) DeleteRevision(_ context.Context, version string) error {
	delete(r, version)
	return nil
}

// atlas is Atlas over a database.
func (s *site) atlas(db *gorm.DB) migrate.Driver {
	pool, err := db.DB()
	require.NoError(s, err)
	open := map[string]func(schema.ExecQuerier) (migrate.Driver, error){"sqlite": sqlite.Open, "postgres": postgres.Open, "mysql": mysql.Open, "mariadb": mysql.Open}
	driver, err := open[s.folder](pool)
	require.NoError(s, err)
	return driver
}

// atlasFolder is the folder of the files as `atlas migrate hash` leaves it.
func (s *site) atlasFolder() migrate.Dir {
	folder := s.TempDir()
	require.NoError(s, os.CopyFS(folder, s.files()))
	dir, err := sqltool.NewGolangMigrateDir(folder)
	require.NoError(s, err)
	sum, err := dir.Checksum()
	require.NoError(s, err)
	require.NoError(s, migrate.WriteSumFile(dir, sum))
	return dir
}

func withAtlas(s *site, version int64) error {
	executor, err := migrate.NewExecutor(s.atlas(s.db), s.atlasFolder(), s.record)
	require.NoError(s, err)
	if version > 0 {
		return executor.ExecuteTo(s.Context(), fmt.Sprintf("%04d", version))
	}
	if err = executor.ExecuteN(s.Context(), 0); errors.Is(err, migrate.ErrNoPendingFiles) {
		return nil
	}
	return err
}

func adoptByAtlas(s *site, all []int64) error {
	last := fmt.Sprintf("%04d", all[len(all)-1])
	executor, err := migrate.NewExecutor(s.atlas(s.db), s.atlasFolder(), s.record, migrate.WithBaselineVersion(last))
	require.NoError(s, err)
	if err = executor.ExecuteN(s.Context(), 0); errors.Is(err, migrate.ErrNoPendingFiles) {
		return nil
	}
	return err
}

// tables are usher's, as Atlas sees them.
func (s *site) tables() *schema.Schema {
	found, err := s.atlas(s.db).InspectSchema(s.Context(), "", &schema.InspectOptions{Tables: []string{"dag", "dag_run", "backfill", "backfill_dag_run", "job"}})
	require.NoError(s, err)
	require.Len(s, found.Tables, len(models.All()))
	found.Name = "" // of the database
	return found
}

// sameAs migrates a database, and returns a function by which Atlas compares others with it.
func sameAs(t *testing.T, migrated *site) func(*site) {
	r, err := repo.New(migrated.db)
	require.NoError(t, err)
	require.NoError(t, r.Migrate(t.Context()))
	want := migrated.tables()
	differences := func(s *site) []schema.Change {
		changes, err := s.atlas(s.db).SchemaDiff(s.tables(), want)
		require.NoError(s, err)
		return changes
	}
	require.Empty(t, differences(migrated))
	require.NoError(t, migrated.db.Migrator().DropColumn(&models.Dag{}, "fence"))
	require.NotEmpty(t, differences(migrated), "the control: a column less is seen")
	return func(s *site) { require.Empty(s, differences(s)) }
}
