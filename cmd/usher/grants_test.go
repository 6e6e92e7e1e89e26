package main_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// granted are the statements of docs/GRANTS.md for an engine, for a user of that name.
func granted(t *testing.T, engine, name string) []string {
	text, err := os.ReadFile("../../docs/GRANTS.md")
	require.NoError(t, err)
	section := regexp.MustCompile("(?s)## [^\n]*" + engine + ".*?```sql\n(.*?)```").FindSubmatch(text)
	require.NotNil(t, section, engine)
	var statements []string
	for _, line := range strings.Split(strings.TrimSpace(string(section[1])), "\n") {
		statements = append(statements, strings.TrimSuffix(strings.ReplaceAll(line, "TO usher", "TO "+name), ";"))
	}
	return statements
}

// leastPrivilege: a user with what docs/GRANTS.md grants can do all but migrate.
func leastPrivilege(t *testing.T, d testdb.Database, sql roles) {
	prepare(t, d)
	name, dsn := newUser(t, d, sql)
	owner := d.Open(t)
	for _, grant := range granted(t, d.Engine, name) {
		require.NoError(t, owner.Exec(grant).Error, grant)
	}
	for _, args := range [][]string{
		{"dag", "set", "etl", "--max-active-runs", "3"},
		{"dag", "set", "new"},
		{"run", "queue", "etl", "--count", "3"},
		{"admit"},
		{"status"},
		{"doctor"},
		{"run", "finish", "etl", "r_2", "--state", "success"},
		{"run", "clear", "etl", "r_2"},
		{"run", "list"},
		{"backfill", "list"},
		{"backfill", "sweep"},
		{"audit"},
		{"backfill", "create", "etl", "--from", "2023-01-01", "--to", "2023-01-03", "--schedule", "@daily"},
		{"backfill", "cancel", "1"},
	} {
		done(t, dsn, args...)
	}
	require.NoError(t, library(t, d, dsn))
	for _, grant := range granted(t, d.Engine, name) { // none of them is too much
		revoke := strings.Replace(strings.Replace(grant, "GRANT", "REVOKE", 1), " TO ", " FROM ", 1)
		require.NoError(t, owner.Exec(revoke).Error, revoke)
		require.Error(t, library(t, d, dsn), "without %s", grant)
		require.NoError(t, owner.Exec(grant).Error)
	}
}

// library uses each table through the library.
func library(t *testing.T, d testdb.Database, dsn string) error {
	d.DSN = dsn
	db := d.Open(t)
	_, err := locking.Server(t.Context(), db)
	require.NoError(t, err)
	r, err := repo.New(db)
	require.NoError(t, err)
	if _, err := r.Register(t.Context()); err != nil {
		return err
	}
	if err := r.Leave(t.Context()); err != nil {
		return err
	}
	if _, err := r.SetDag(t.Context(), "lib", repo.MaxActiveRuns(1)); err != nil {
		return err
	}
	if _, err := r.Enqueue(t.Context(), models.DagRun{DagID: "lib"}); err != nil {
		return err
	}
	runs, err := r.Admit(t.Context())
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := r.Finish(t.Context(), run, models.Success); err != nil {
			return err
		}
	}
	b, _, err := r.CreateBackfill(t.Context(), repo.BackfillRequest{DagID: "lib", Schedule: repo.Dates(time.Unix(0, 0))})
	if err != nil {
		return err
	}
	_, err = r.CancelBackfill(t.Context(), b.ID)
	return err
}
