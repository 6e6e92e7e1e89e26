package tests

import (
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
)

// The comparison asks the engines for the text of every column, by database/sql alone, and knows
// no more of usher than the names of its tables and which columns are times, JSON or truths.
var (
	usherTables = []string{"dag", "dag_run", "backfill", "backfill_dag_run", "job"}
	instants    = []string{
		"logical_date", "data_interval_start", "data_interval_end", "run_after", "queued_at", "start_date", "end_date", "last_scheduling_decision",
		"created_at", "updated_at", "completed_at", "from_date", "to_date", "latest_heartbeat",
	}
	truths    = []string{"is_paused", "is_stale"}
	documents = []string{"conf", "dag_run_conf"}
)

// as is a column's value as the same text on each engine.
func as(engine, column string) string {
	server, _, _ := strings.Cut(engine, " ")
	switch {
	case slices.Contains(truths, column):
		return "CASE WHEN " + column + " THEN 'yes' ELSE 'no' END"
	case slices.Contains(instants, column):
		return map[string]string{
			"PostgreSQL": "to_char(" + column + " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
			"MySQL":      "DATE_FORMAT(" + column + ", '%Y-%m-%d %H:%i:%s.%f')",
			"MariaDB":    "DATE_FORMAT(" + column + ", '%Y-%m-%d %H:%i:%s.%f')",
			"SQLite":     "CAST(" + column + " AS TEXT)",
		}[server]
	}
	return map[string]string{
		"PostgreSQL": column + "::text", "MySQL": "CAST(" + column + " AS CHAR)", "MariaDB": "CAST(" + column + " AS CHAR)", "SQLite": "CAST(" + column + " AS TEXT)",
	}[server]
}

// digests are those of every column of every table, with the number of rows.
func (w *world) digests(prefix string) map[string]string {
	pool, err := w.db.DB()
	require.NoError(w, err)
	found := map[string]string{}
	for _, table := range usherTables {
		shape, err := pool.QueryContext(w.ctx, "SELECT * FROM "+prefix+table+" WHERE 1 = 0")
		require.NoError(w, err)
		columns, err := shape.Columns()
		require.NoError(w, err)
		require.NoError(w, shape.Close())
		slices.Sort(columns)
		rows := w.texts(pool, prefix+table, columns)
		for i, column := range columns {
			sum := sha256.New()
			for _, row := range rows {
				fmt.Fprintf(sum, "%t %d %s\n", row[i].Valid, len(row[i].String), row[i].String)
			}
			found[table+"."+column] = fmt.Sprintf("%d rows, %x", len(rows), sum.Sum(nil))
		}
	}
	return found
}

// texts are the rows of a table in the order of their keys, byte by byte.
func (w *world) texts(pool *sql.DB, table string, columns []string) (rows [][]sql.NullString) {
	var asText []string
	for _, column := range columns {
		asText = append(asText, as(w.d.Engine, column))
	}
	found, err := pool.QueryContext(w.ctx, "SELECT "+strings.Join(asText, ", ")+" FROM "+table)
	require.NoError(w, err)
	defer found.Close()
	for found.Next() {
		row, places := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range row {
			places[i] = &row[i]
		}
		require.NoError(w, found.Scan(places...))
		for i, column := range columns {
			if row[i].Valid && slices.Contains(documents, column) {
				row[i].String = w.document(row[i].String)
			}
		}
		rows = append(rows, row)
	}
	require.NoError(w, found.Err())
	key := max(slices.Index(columns, "id"), 0) // dag has no id, and its first column in this order is the key
	slices.SortFunc(rows, func(a, b []sql.NullString) int { return strings.Compare(a[key].String, b[key].String) })
	return rows
}

// document is JSON in one form: keys sorted, numbers as fractions.
func (w *world) document(text string) string {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	require.NoError(w, decoder.Decode(&value), text)
	again, err := json.Marshal(w.exact(value))
	require.NoError(w, err)
	return string(again)
}

func (w *world) exact(value any) any {
	switch v := value.(type) {
	case json.Number:
		fraction, ok := new(big.Rat).SetString(v.String())
		require.True(w, ok, v)
		return fraction.String()
	case []any:
		for i := range v {
			v[i] = w.exact(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = w.exact(v[key])
		}
	}
	return value
}

// equalTo asserts that all that the source has is here, and nothing else.
func (w *world) equalTo(source *world) {
	w.Helper()
	w.has(source.digests(""))
}

// has asserts that this is what is here.
func (w *world) has(want map[string]string) {
	w.Helper()
	require.Equal(w, 55, len(want), "every column of the five tables")
	have := w.digests("")
	for column, digest := range want {
		require.Equal(w, digest, have[column], column)
	}
	require.Len(w, have, len(want))
}

// goesOn asserts that what is made here gets ids beyond those that were copied.
func (w *world) goesOn() {
	for _, model := range []any{&models.DagRun{DagID: "new", RunID: "new", RunAfter: odd(0)}, &models.Backfill{DagID: "new", FromDate: odd(0), ToDate: odd(0), CreatedAt: odd(0), UpdatedAt: odd(0)}, &models.BackfillDagRun{LogicalDate: odd(0)}, &models.Job{}} {
		var largest, id int64
		require.NoError(w, w.db.Model(model).Select("MAX(id)").Scan(&largest).Error)
		w.insert(model)
		require.NoError(w, w.db.Model(model).Select("MAX(id)").Scan(&id).Error)
		require.Greater(w, id, largest, "%T", model)
	}
}
