package repo

import (
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// insertBatch is how many runs go into one INSERT: 24 columns each, and SQLite takes 32,766 parameters.
const insertBatch = 1000

// insert writes the runs and fills in their ids.
func (r *Repo) insert(tx *gorm.DB, runs []models.DagRun, m *meter) error {
	for some := range slices.Chunk(runs, insertBatch) {
		if err := tx.Omit(r.leftNull(tx, some)...).Create(some).Error; err != nil {
			return err
		}
		if err := r.readKeys(tx, some); err != nil {
			return err
		}
		m.add(len(some))
	}
	return nil
}

// leftNull are the columns that are NULL in all of the runs. They take a quarter of the time of an
// INSERT, and need not be sent.
func (r *Repo) leftNull(tx *gorm.DB, runs []models.DagRun) (columns []string) {
	for _, f := range r.nullable {
		null := true
		for i := 0; null && i < len(runs); i++ {
			_, null = f.ValueOf(tx.Statement.Context, reflect.ValueOf(&runs[i]).Elem())
		}
		if null {
			columns = append(columns, f.DBName)
		}
	}
	return columns
}

// nullableOf are the fields whose zero value is NULL.
func nullableOf(runs *schema.Schema) (fields []*schema.Field) {
	for _, f := range runs.Fields {
		if !f.NotNull && !f.PrimaryKey && f.FieldType.Kind() != reflect.String {
			fields = append(fields, f)
		}
	}
	return fields
}

// readKeys reads the ids of the runs, where GORM could only guess them.
func (r *Repo) readKeys(tx *gorm.DB, runs []models.DagRun) error {
	if server := locking.Found(r.db); server == nil || !server.GuessesKeys() {
		return nil
	}
	places := map[[2]string]int{}
	names := map[string][]string{}
	for i, run := range runs {
		places[[2]string{run.DagID, run.RunID}] = i
		names[run.DagID] = append(names[run.DagID], run.RunID)
	}
	for dag, ids := range names {
		found, err := find[models.DagRun](tx.Select("id", "dag_id", "run_id").Where("dag_id = ?", dag).Session(&gorm.Session{}), "run_id", ids)
		if err != nil {
			return err
		}
		for _, run := range found {
			runs[places[[2]string{run.DagID, run.RunID}]].ID = run.ID
		}
	}
	return nil
}
