package repo

import (
	"database/sql/driver"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

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
		if err := r.insertSome(tx, some); err != nil {
			return err
		}
		m.add(len(some))
	}
	return nil
}

func (r *Repo) insertSome(tx *gorm.DB, runs []models.DagRun) error {
	if server := locking.Found(r.db); server != nil && server.RowsOf() != "" {
		return r.insertDocuments(tx, runs, server.RowsOf())
	}
	if err := tx.Omit(r.leftNull(tx, runs)...).Create(runs).Error; err != nil {
		return err
	}
	return r.readKeys(tx, runs)
}

// insertDocuments writes the runs as two JSON documents: an object with what is the same in all
// of them, which is most, and a list of objects with what is not. GORM creates them all the same.
func (r *Repo) insertDocuments(tx *gorm.DB, runs []models.DagRun, rowsOf string) error {
	var columns []string
	same, rows := map[string]any{}, make([]map[string]any, len(runs))
	for i := range rows {
		rows[i] = map[string]any{}
	}
	for _, f := range r.fields {
		if f.PrimaryKey {
			continue
		}
		columns = append(columns, f.DBName)
		values, alike, err := valuesOf(tx, f, runs)
		switch {
		case err != nil:
			return err
		case alike:
			same[f.DBName] = values[0]
		default:
			for i, v := range values {
				rows[i][f.DBName] = v
			}
		}
	}
	base, err := json.Marshal(same)
	if err != nil {
		return err
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	names := strings.Join(columns, ", ")
	return tx.Raw(r.sql("INSERT INTO {dag_run} ("+names+") SELECT "+names+" FROM "+rowsOf+" RETURNING id"), string(base), string(list)).Create(runs).Error
}

// valuesOf are what is sent for a field of the runs, and whether they are alike, which is not
// said of documents.
func valuesOf(tx *gorm.DB, f *schema.Field, runs []models.DagRun) (values []any, alike bool, err error) {
	values, alike = make([]any, len(runs)), true
	for i := range runs {
		value, _ := f.ValueOf(tx.Statement.Context, reflect.ValueOf(&runs[i]).Elem())
		sent, err := driver.DefaultParameterConverter.ConvertValue(value)
		if err != nil {
			return nil, false, err
		}
		if document, ok := sent.(string); ok && f.FieldType == reflect.TypeFor[models.JSON]() {
			sent, alike = json.RawMessage(document), false
		}
		values[i] = sent
		alike = alike && sent == values[0]
	}
	return values, alike, nil
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
