package main_test

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
)

// refused checks a refusal: the exit status, one line on stderr that says what is wanted, no
// password, nothing on stdout.
func refused(t *testing.T, r result, status int, says ...string) {
	t.Helper()
	require.Equal(t, status, r.status, "stdout %q, stderr %q", r.stdout, r.stderr)
	require.Empty(t, r.stdout)
	require.Regexp(t, `\Ausher: [^\n]+\n\z`, r.stderr, "one line")
	for _, text := range says {
		require.Contains(t, r.stderr, text)
	}
	for _, password := range passwords {
		require.NotContains(t, r.stderr, password)
	}
}

// passwords are those that tests use.
var passwords = []string{"usher-test", "Wr0ng/pass word", "Wr0ng", "pass%20word"}

// prepare makes a DAG with a run that has ended and one that is queued.
func prepare(t *testing.T, d testdb.Database) {
	t.Helper()
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl", "--max-active-runs", "1")
	done(t, d.DSN, "run", "queue", "etl", "--run-id", "ended")
	done(t, d.DSN, "admit")
	done(t, d.DSN, "run", "finish", "etl", "ended", "--state", "success")
	done(t, d.DSN, "run", "queue", "etl", "--run-id", "r_2", "--logical-date", "2024-01-01")
}

// refusals are wrong command lines against a database that is in order.
func refusals(t *testing.T, d testdb.Database) {
	prepare(t, d)
	before := contents(t, d)
	long := strings.Repeat("é", 251)
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"dag", "set", "etl", "--max-active-runs", "-1"}, 2, "from 0"},
		{[]string{"dag", "set", "etl", "--max-active-runs", "2147483648"}, 2, "2147483647"},
		{[]string{"dag", "set", "etl", "--max-active-runs", "many"}, 2, "--max-active-runs"},
		{[]string{"dag", "set", "etl", "--max-active-runs", "1", "--default-limit"}, 2, "give one"},
		{[]string{"dag", "set", ""}, 2, "DAG id: it is empty"},
		{[]string{"dag", "set", long}, 2, "250 is the most"},
		{[]string{"dag", "set", "a\xff"}, 2, "UTF-8"},
		{[]string{"dag", "set"}, 2, "give DAG"},
		{[]string{"dag"}, 2, "list, pause, set, unpause"},
		{[]string{"dag", "pause", "nothing"}, 3, "usher dag list"},
		{[]string{"dag", "unpause", "nothing"}, 3, "usher dag list"},
		{[]string{"dag", "pause"}, 2, "give DAG"},
		{[]string{"audit", "--dag", "nothing"}, 3, "usher dag list"},
		{[]string{"audit", "etl"}, 2, "no arguments"},
		{[]string{"dag", "sett"}, 2, "did you mean set"},
		{[]string{"dag", "list", "everything"}, 2, "no arguments"},
		{[]string{"run", "queue", ""}, 2, "DAG id: it is empty"},
		{[]string{"run", "queue", long}, 2, "250 is the most"},
		{[]string{"run", "queue", "etl", "--run-id", ""}, 2, "give an id"},
		{[]string{"run", "queue", "etl", "--run-id", long}, 2, "250 is the most"},
		{[]string{"run", "queue", "etl", "--run-id", strings.Repeat("x", 249), "--count", "2"}, 2, "250 is the most"},
		{[]string{"run", "queue", "etl", "--count", "0"}, 2, "give 1 to"},
		{[]string{"run", "queue", "etl", "--count", "1000001"}, 2, "give 1 to 1000000"},
		{[]string{"run", "queue", "etl", "--count", "2", "--logical-date", "2024-02-01"}, 2, "one by one"},
		{[]string{"run", "queue", "etl", "--logical-date", "yesterday"}, 2, "2024-01-01T00:00:00+02:00"},
		{[]string{"run", "queue", "etl", "--logical-date", "2024-02-30"}, 2, "2024-01-01T00:00:00+02:00"},
		{[]string{"run", "queue", "etl", "--run-after", ""}, 2, "2024-01-01T00:00:00+02:00"},
		{[]string{"run", "queue", "etl", "--run-after", "0001-01-01"}, 2, "years 1000 to 9999"},
		{[]string{"run", "queue", "etl", "--conf", "{"}, 2, "invalid JSON"},
		{[]string{"run", "queue", "etl", "--backfill", "0"}, 2, "id of a backfill"},
		{[]string{"run", "queue", "etl", "--backfill", "77"}, 3, "no such backfill"},
		{[]string{"run", "queue", "nothing"}, 3, "usher dag set"},
		{[]string{"run", "queue", "etl", "--run-id", "ended"}, 4, "exists already"},
		{[]string{"run", "queue", "etl", "--run-id", "r", "--count", "3"}, 4, "nothing was queued"},
		{[]string{"run", "queue", "etl", "--logical-date", "2024-01-01"}, 4, "2024-01-01"},
		{[]string{"run", "finish", "etl", "ended", "--state", "success"}, 4, "usher run clear"},
		{[]string{"run", "finish", "etl", "r_2", "--state", "running"}, 2, "success or failed"},
		{[]string{"run", "finish", "etl", "r_2"}, 2, "success or failed"},
		{[]string{"run", "finish", "etl", "--state", "success"}, 2, "DAG and RUN"},
		{[]string{"run", "finish", "etl", "nothing", "--state", "success"}, 3, "usher run list"},
		{[]string{"run", "finish", "nothing", "ended", "--state", "success"}, 3, "usher dag list"},
		{[]string{"run", "finish", "", "ended", "--state", "success"}, 2, "DAG id: it is empty"},
		{[]string{"run", "clear", "etl", "nothing"}, 3, "usher run list"},
		{[]string{"run", "clear", "etl"}, 2, "--failed"},
		{[]string{"run", "clear"}, 2, "DAG and RUN"},
		{[]string{"run", "clear", "etl", "--dry-run"}, 2, "which runs"},
		{[]string{"run", "clear", "etl", "ended", "--failed"}, 2, "exclude each other"},
		{[]string{"run", "clear", "etl", "ended", "--from", "2024-01-01"}, 2, "exclude each other"},
		{[]string{"run", "clear", "etl", "ended", "--dry-run"}, 2, "several runs"},
		{[]string{"run", "clear", "etl", "--from", "soon"}, 2, "2024-01-01T00:00:00+02:00"},
		{[]string{"run", "clear", "etl", "--from", "2024-01-02", "--to", "2024-01-01"}, 2, "before it begins"},
		{[]string{"run", "clear", "etl", "--state", "queued"}, 2, "success or failed or running"},
		{[]string{"run", "clear", "etl", "--backfill", "0"}, 2, "id of a backfill"},
		{[]string{"run", "clear", "etl", "--backfill", "77"}, 3, "usher backfill list"},
		{[]string{"run", "clear", "nothing", "--failed"}, 3, "usher dag list"},
		{[]string{"run", "clear", "etl", long}, 2, "250 is the most"},
		{[]string{"run", "list", "--state", "done"}, 2, "queued or running or success or failed"},
		{[]string{"run", "list", "--state", ""}, 2, "--state"},
		{[]string{"run", "list", "--limit", "-1"}, 2, "--limit"},
		{[]string{"run", "list", "--dag", "nothing"}, 3, "usher dag list"},
		{[]string{"run", "list", "--dag", ""}, 2, "DAG id: it is empty"},
		{[]string{"admit", "--passes", "0"}, 2, "give 1 or more"},
		{[]string{"admit", "--passes", "1", "--watch"}, 2, "give one"},
		{[]string{"admit", "--every", "1s"}, 2, "--watch"},
		{[]string{"admit", "--watch", "--every", "-1s"}, 2, "500ms"},
		{[]string{"admit", "--watch", "--every", "often"}, 2, "--every"},
		{[]string{"statsu"}, 2, "did you mean status"},
		{[]string{"status", "--colour"}, 2, "--colour"},
		{[]string{d.DSN}, 2, "unknown command"},
		{[]string{"status", d.DSN}, 2, "no arguments"},
	} {
		for _, json := range []string{"--json=false", "--json"} {
			r := usher(t, d.DSN, append(c.args, json)...)
			refused(t, r, c.status, c.says)
			if c.status == 2 {
				require.Contains(t, r.stderr, "--help`)")
			}
		}
	}
	require.Equal(t, before, contents(t, d))
}

// noTables is what each command says of a database without tables.
func noTables(t *testing.T, d testdb.Database) {
	before := contents(t, d)
	if before == "no file" {
		require.NoError(t, os.WriteFile(strings.TrimPrefix(d.DSN, "sqlite:"), nil, 0o600))
		before = ""
	}
	for _, args := range commands {
		refused(t, usher(t, d.DSN, args...), 1, "usher migrate")
	}
	examined(t, d, []any{"table dag", "table dag_run", "table backfill", "table backfill_dag_run", "table job"})
	require.Equal(t, before, contents(t, d))
}

// commands are those that work on what migrate has made.
var commands = [][]string{
	{"dag", "list"},
	{"dag", "set", "etl"},
	{"run", "queue", "etl"},
	{"run", "finish", "etl", "r_2", "--state", "success"},
	{"run", "clear", "etl", "r_2"},
	{"run", "clear", "etl", "--failed"},
	{"run", "list"},
	{"admit"},
	{"admit", "--watch"},
	{"status"},
	{"why", "etl", "r_2"},
	{"audit"},
	{"dag", "pause", "etl"},
	{"job", "list"},
	{"job", "recover", "--silent-for", "30s"},
}

func TestWrongDSN(t *testing.T) {
	for _, dsn := range []string{
		"", "usher.db", "sqlite:", "sqlite::memory:", "oracle://usher:Wr0ng@127.0.0.1/usher",
		"postgres://usher:Wr0ng@127.0.0.1", "postgres://usher:Wr0ng@/usher", "mysql://usher:Wr0ng%zz@127.0.0.1/usher",
		"postgres://usher:Wr0ng@127.0.0.1:99999/usher", "postgres://usher:Wr0ng@127.0.0.1/usher?sslmode=perhaps",
		"mysql://127.0.0.1/usher?password=Wr0ng&timeout=Wr0ng", "mysql://usher:Wr0ng@127.0.0.1/usher?parseTime=perhaps",
	} {
		for _, args := range [][]string{{"status"}, {"migrate"}, {"doctor"}} {
			refused(t, usher(t, "", append(args, "--dsn", dsn)...), 2, "wrong DSN", "--help`)")
		}
	}
}

func TestHelp(t *testing.T) {
	root := usher(t, "postgres://usher:Wr0ng@127.0.0.1/usher", "--help")
	require.Equal(t, 0, root.status)
	for _, text := range []string{"Exit status", "Examples:", "$USHER_DSN", "sqlite:usher.db"} {
		require.Contains(t, root.stdout, text)
	}
	require.NotContains(t, root.stdout, "Wr0ng")
	require.NotContains(t, root.stdout, "completion")
	require.Equal(t, root.stdout, done(t, ""))
	for _, args := range append(commands, []string{"migrate"}, []string{"doctor"}, []string{"dag"}, []string{"run"}) {
		require.Contains(t, done(t, "", append(args, "--help")...), "Usage:")
	}
	require.Contains(t, done(t, "", "--version"), "usher version ")
}

// with is the DSN with a change.
func with(t *testing.T, dsn string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	change(u)
	return u.String()
}
