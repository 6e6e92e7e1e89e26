package tests

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// names are ids that mean something to some parser, or look like one another.
var names = []string{
	"a", "A", "á", "a\u0301", "a ", " a", "ß", "ss", "ﬁ", "fi", "İ", "i", "%", "_", "*", "NULL", "null", "0", "1e1", "true", "-- ", "#", "/*", "*/",
	"'", "''", `"`, "`", "``", `\`, `\\`, `\'`, `\"`, "\n", "\r\n", "\t", "\x01", "\x7f", "\u200b", "\u202e", "\ufeff", "\ufffd", "😀", "👩‍👩‍👧", "𝒳", "\U0010ffff",
	"?", "??", "$1", ":name", "@name", "{dag_run}", "{by index}", "${x}", "%s", "%!d", "$$", "$a$", "E'x'",
	`'; DROP TABLE dag_run; --`, `"; DROP TABLE dag_run; --`, "`; DROP TABLE dag_run; -- ", `\'; DROP TABLE dag_run; -- `, `' OR '1'='1`, `\' OR 1=1 -- `, `1) OR (1=1`, "x' UNION SELECT 1 -- ",
	strings.Repeat("😀", 250), strings.Repeat("'", 250), strings.Repeat(`\`, 250), strings.Repeat("x", 249) + "😀",
}

// refusedNames are ids that some engine could not store, or not as they are.
var refusedNames = []string{"", "\x00", "a\x00b", "\xff", "a\xc3", "\xed\xa0\x80", strings.Repeat("x", 251), strings.Repeat("😀", 251)}

// hostileNames: each name is a DAG and a run of its own, and survives every verb.
func hostileNames(w *world) {
	backfills := 0
	for i, name := range names {
		dag, err := w.r.SetDag(w.ctx, name, repo.MaxActiveRuns(i%3+1))
		require.NoError(w, err, "%q", name)
		require.Equal(w, name, dag.DagID)
	}
	dags, err := w.r.Dags(w.ctx)
	require.NoError(w, err)
	require.Len(w, dags, len(names))
	for i, name := range names {
		dag, err := w.r.Dag(w.ctx, name)
		require.NoError(w, err, "%q", name)
		require.Equal(w, []any{name, i%3 + 1}, []any{dag.DagID, *dag.MaxActiveRuns})
		w.verbs(name)
		if prove() || i%8 == 0 {
			w.backfillVerbs(name)
			backfills++
		}
	}
	status, err := w.r.Status(w.ctx)
	require.NoError(w, err)
	for _, s := range status {
		require.Equal(w, []int{0, 0}, []int{s.Running, s.Queued}, "%q", s.DagID)
	}
	var runs int64
	require.NoError(w, w.db.Model(&models.DagRun{}).Count(&runs).Error)
	require.Equal(w, len(names)+3*backfills, int(runs), "nothing was made or dropped on the way")
}

// verbs goes through the life of a run called name, of a DAG called name.
func (w *world) verbs(name string) {
	encoded, err := json.Marshal(map[string]string{name: name})
	require.NoError(w, err)
	text, err := models.ParseJSON(string(encoded))
	require.NoError(w, err)
	stored, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: name, RunID: name, RunAfter: models.At(past), Conf: text, TriggeringUserName: name, TriggeredBy: "'"})
	require.NoError(w, err, "%q", name)
	_, err = w.r.Enqueue(w.ctx, models.DagRun{DagID: name, RunID: name})
	require.ErrorIs(w, err, repo.ErrExists, "%q", name)
	require.ErrorContains(w, err, name)
	run, err := w.r.Run(w.ctx, name, name)
	require.NoError(w, err, "%q", name)
	require.Equal(w, []any{stored[0].ID, name, name, name, string(text)}, []any{run.ID, run.DagID, run.RunID, run.TriggeringUserName, string(run.Conf)})
	require.Equal(w, []string{name}, w.pass())
	run = w.run(run.ID)
	run, err = w.r.Clear(w.ctx, run)
	require.NoError(w, err)
	run, err = w.r.SetState(w.ctx, run, models.Running)
	require.NoError(w, err)
	require.NoError(w, w.r.Finish(w.ctx, run, models.Success))
}

// backfillVerbs goes through the life of a backfill of the DAG.
func (w *world) backfillVerbs(name string) {
	g := w.backfill(name, 1, 3)
	found, err := w.r.Backfills(w.ctx, name, false)
	require.NoError(w, err)
	require.Len(w, found, 1, "%q", name)
	for _, change := range []func() (models.Backfill, error){
		func() (models.Backfill, error) { return w.r.PauseBackfill(w.ctx, g.BackfillID) },
		func() (models.Backfill, error) { return w.r.UnpauseBackfill(w.ctx, g.BackfillID) },
		func() (models.Backfill, error) { return w.r.LimitBackfill(w.ctx, g.BackfillID, 2) },
	} {
		b, err := change()
		require.NoError(w, err)
		require.Equal(w, name, b.DagID)
	}
	require.Len(w, w.pass(), 2, "%q", name)
	_, err = w.r.CancelBackfill(w.ctx, g.BackfillID)
	require.NoError(w, err)
	running, err := w.r.Runs(w.ctx, repo.RunQuery{DagID: name, State: models.Running})
	require.NoError(w, err)
	require.Len(w, running, 2, "%q", name)
	for _, run := range running {
		require.NoError(w, w.r.Finish(w.ctx, run, models.Failed))
	}
}

// hostileRefusals: what cannot be stored is refused by every verb that takes it, and nothing is changed.
func hostileRefusals(w *world) {
	w.dag("d", 1)
	for _, name := range refusedNames {
		_, err := w.r.SetDag(w.ctx, name)
		require.ErrorIs(w, err, repo.ErrInvalid, "%q", name)
		_, err = w.r.Dag(w.ctx, name)
		require.ErrorIs(w, err, repo.ErrInvalid, "%q", name)
		_, err = w.r.Run(w.ctx, "d", name)
		require.ErrorIs(w, err, repo.ErrInvalid, "%q", name)
		_, err = w.r.Run(w.ctx, name, "r")
		require.ErrorIs(w, err, repo.ErrInvalid, "%q", name)
		_, err = w.r.Enqueue(w.ctx, models.DagRun{DagID: name, RunID: "r"})
		require.ErrorIs(w, err, repo.ErrInvalid, "%q", name)
		if name == "" {
			continue // all of them, or one that usher makes
		}
		_, err = w.r.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: name})
		require.ErrorIs(w, err, repo.ErrInvalid, "%q", name)
		_, err = w.r.Runs(w.ctx, repo.RunQuery{DagID: name})
		require.ErrorIs(w, err, repo.ErrInvalid, "%q", name)
		_, err = w.r.Backfills(w.ctx, name, true)
		require.ErrorIs(w, err, repo.ErrInvalid, "%q", name)
	}
	for _, run := range []models.DagRun{
		{TriggeringUserName: "a\x00"},
		{TriggeringUserName: "\xff"},
		{TriggeringUserName: strings.Repeat("x", 513)},
		{TriggeredBy: "\x00"},
		{TriggeredBy: "\xff"},
		{TriggeredBy: strings.Repeat("x", 51)},
		{RunType: "\x00"},
		{RunType: models.RunType(strings.Repeat("x", 51))},
		{Conf: models.JSON("\xff")},
		{Conf: models.JSON(`"\u0000"`)},
	} {
		run.DagID = "d"
		_, err := w.r.Enqueue(w.ctx, run)
		require.ErrorIs(w, err, repo.ErrInvalid, "%+v", run)
	}
	var n int64
	require.NoError(w, w.db.Model(&models.DagRun{}).Count(&n).Error)
	require.Zero(w, n)
}

// hostileTables: a table prefix that is no word is quoted, or refused before anything is made.
func hostileTables(w *world) {
	for _, prefix := range []string{`a"b';--_`, "{dag} A_", `a\b_`, "é_", "@x$1_", "a`b_", "?_"} {
		db := w.d.Open(w)
		db.NamingStrategy = schema.NamingStrategy{TablePrefix: prefix, IdentifierMaxLength: 60}
		r, err := repo.New(db)
		if strings.ContainsAny(prefix, "?`") {
			require.ErrorIs(w, err, repo.ErrInvalid, "%q", prefix)
			continue
		}
		require.NoError(w, err)
		require.NoError(w, r.Migrate(w.ctx), "%q", prefix)
		missing, err := r.Missing(w.ctx)
		require.NoError(w, err)
		require.Empty(w, missing, "%q", prefix)
		_, err = r.SetDag(w.ctx, "d", repo.MaxActiveRuns(2))
		require.NoError(w, err, "%q", prefix)
		_, err = r.Enqueue(w.ctx, models.DagRun{DagID: "d", RunAfter: models.At(past)}, models.DagRun{DagID: "d", RunAfter: models.At(past.Add(time.Hour))})
		require.NoError(w, err, "%q", prefix)
		runs, err := r.Admit(w.ctx)
		require.NoError(w, err, "%q", prefix)
		require.Len(w, runs, 2, "%q", prefix)
		for _, run := range runs {
			require.NoError(w, r.Finish(w.ctx, run, models.Success), "%q", prefix)
		}
		_, err = r.Status(w.ctx)
		require.NoError(w, err, "%q", prefix)
	}
	_, err := w.r.Dags(w.ctx)
	require.NoError(w, err, "usher's own tables are there")
}

var hostile = []testCase{
	{"hostile names survive every verb, and each is its own", hostileNames},
	{"what cannot be stored is refused", hostileRefusals},
	{"hostile prefixes of tables are quoted", hostileTables},
}

// numbered: SQLite lets any program put a number into a column of times.
var numbered = []testCase{
	{"times that another program has stored as numbers", func(w *world) {
		w.dag("d", 1)
		run := w.queue("d", 1, past, 0)[0]
		require.NoError(w, w.db.Exec("UPDATE dag_run SET run_after = ?, queued_at = ?, created_at = ?", past.Unix(), past.Unix()+1, past.Unix()+2).Error)
		runs, err := w.r.Admit(w.ctx)
		require.NoError(w, err)
		require.Len(w, runs, 1)
		require.Equal(w, run.ID, runs[0].ID)
		for i, read := range []models.Time{runs[0].RunAfter, runs[0].QueuedAt, runs[0].CreatedAt} {
			require.Equal(w, models.At(past.Add(time.Duration(i)*time.Second)), read)
		}
	}},
}
