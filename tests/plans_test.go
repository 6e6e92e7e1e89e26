package tests

import (
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// deepQueue is 100,000 queued runs, half of them of 200 DAGs and half of 100 backfills, among
// 100,000 that have ended. It is made from one of each by INSERT … SELECT.
func (w *world) deepQueue() {
	w.uncounted()
	w.dag("seed", 1)
	w.queue("seed", 250, past, time.Hour)
	seed := w.backfill("seed", 1, 500)
	dags := make([]models.Dag, 300)
	for i := range dags {
		limit := 3
		dags[i] = models.Dag{DagID: fmt.Sprintf("d%03d", i), MaxActiveRuns: &limit}
	}
	require.NoError(w, w.db.Create(&dags).Error)
	backfills := make([]models.Backfill, 100)
	for i := range backfills {
		backfills[i] = models.Backfill{DagID: dags[200+i].DagID, MaxActiveRuns: 3, FromDate: models.At(past), ToDate: models.At(past), CreatedAt: models.At(past), UpdatedAt: models.At(past)}
	}
	require.NoError(w, w.db.Create(&backfills).Error)
	for _, state := range []models.State{models.Success, models.Queued} {
		suffix := map[models.State]string{models.Success: "done", models.Queued: "x"}[state]
		w.copyRuns("d.dag_id", "NULL", "d.dag_id < 'd200' AND d.dag_id <> 'seed' AND r.backfill_id IS NULL", "dag d", suffix, state)
		w.copyRuns("b.dag_id", "b.id", fmt.Sprintf("b.dag_id <> 'seed' AND r.backfill_id = %d", seed.BackfillID), "backfill b", suffix, state)
	}
	require.NoError(w, w.db.Exec(`INSERT INTO backfill_dag_run (backfill_id, dag_run_id, logical_date, sort_ordinal)
		SELECT b.id, r.id, r.run_after, o.sort_ordinal FROM backfill b JOIN backfill_dag_run o ON o.backfill_id = ?
		JOIN dag_run s ON s.id = o.dag_run_id JOIN dag_run r ON r.dag_id = b.dag_id AND r.run_id = CONCAT(s.run_id, 'x')
		WHERE b.dag_id <> 'seed'`, seed.BackfillID).Error)
	require.NoError(w, w.db.Where("dag_id = 'seed'").Delete(&models.DagRun{}).Error)
	require.Equal(w, 100_000, w.total(models.Queued))
	require.Equal(w, 100_000, w.total(models.Success))
}

// tables are those that usher has.
var tables = []string{"dag", "dag_run", "backfill", "backfill_dag_run", "job"}

// uncounted keeps PostgreSQL from counting the tables by itself, at a moment of its own, before
// [world.analyze] does.
func (w *world) uncounted() {
	if w.db.Name() == "postgres" {
		for _, table := range tables {
			require.NoError(w, w.db.Exec("ALTER TABLE "+table+" SET (autovacuum_enabled = off)").Error)
		}
	}
}

func (w *world) copyRuns(dagID, backfillID, where, from, suffix string, state models.State) {
	require.NoError(w, w.db.Exec(fmt.Sprintf(`INSERT INTO dag_run (dag_id, run_id, state, run_type, run_after, queued_at, backfill_id, clear_number)
		SELECT %s, CONCAT(r.run_id, '%s'), '%s', r.run_type, r.run_after, r.queued_at, %s, 0 FROM dag_run r, %s
		WHERE r.dag_id = 'seed' AND r.state = 'queued' AND %s`, dagID, suffix, state, backfillID, from, where)).Error)
}

// requeueAll puts all running runs back into the queue.
func (w *world) requeueAll() {
	require.NoError(w, w.db.Model(&models.DagRun{}).Where("state = ?", models.Running).UpdateColumn("state", models.Queued).Error)
}

func (w *world) total(state models.State) int {
	var n int64
	require.NoError(w, w.db.Model(&models.DagRun{}).Where("state = ?", state).Count(&n).Error)
	return int(n)
}

// plan is what the engine says about how it runs a statement: for each step the table, how it
// is read, and what else is done. PostgreSQL runs queries for it, and tells what it read.
func (w *world) plan(statement string) string {
	explain := map[string]string{"postgres": "EXPLAIN (ANALYZE, TIMING OFF) ", "mysql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN "}[w.db.Name()]
	if w.d.Engine == "MySQL" {
		explain += "FORMAT=TRADITIONAL " // 9 has another default
	}
	if !strings.HasPrefix(statement, "SELECT") {
		explain = strings.Replace(explain, "(ANALYZE, TIMING OFF) ", "", 1)
	}
	rows, err := w.db.Raw(explain + statement).Rows()
	require.NoError(w, err, statement)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(w, err)
	var lines []string
	for rows.Next() {
		values, places := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			places[i] = &values[i]
		}
		require.NoError(w, rows.Scan(places...))
		var line []string
		for i, name := range columns {
			if slices.Contains([]string{"QUERY PLAN", "table", "type", "key", "Extra", "detail"}, name) {
				line = append(line, values[i].String)
			}
		}
		lines = append(lines, strings.Join(line, " "))
	}
	require.NoError(w, rows.Err())
	return strings.Join(lines, "\n")
}

// wasteful finds, in a plan, a scan of the runs or a sort of the queue. The gates may be scanned.
var wasteful = map[string]*regexp.Regexp{
	"postgres": regexp.MustCompile(`(?s)Seq Scan on dag_run|Seq Scan on backfill_dag_run|(?s)Update on.*idx_dag_run_gate|Sort.* on (dag_run|backfill_dag_run)\b`),
	"mysql":    regexp.MustCompile(`(?m)^(r|o|dag_run) (ALL|index) |^(r|o|dag_run) .*Using filesort`),
	"sqlite":   regexp.MustCompile(`(?m)SCAN (r|o|dag_run|backfill_dag_run)\b|^USE TEMP B-TREE FOR (LAST )?.*ORDER BY`),
}

// ofRuns finds the sorts among them that are of runs.
var ofRuns = regexp.MustCompile(`(?m)(SEARCH|SCAN) r\b.*\nUSE TEMP B-TREE|^(r|o|dag_run) .*Using filesort`)

var sorts = regexp.MustCompile(`Sort[^\n]*|USE TEMP B-TREE FOR ORDER BY|Using filesort`)

// checkPlan refuses wasteful plans. What comes out of the walk over gates may be sorted: it is
// no longer than the list of gates.
func (w *world) checkPlan(statement, plan string) {
	if strings.Contains(statement, "_ring") || strings.Contains(statement, " AS slots") {
		require.Empty(w, ofRuns.FindString(plan), "%s\n%s", statement, plan)
		plan = sorts.ReplaceAllString(plan, "")
	}
	if strings.Contains(statement, "r.state = 'running'") && !strings.Contains(statement, "'queued'") {
		plan = sorts.ReplaceAllString(plan, "") // running runs are few
	}
	if strings.Contains(statement, "FOR UPDATE") {
		plan = sorts.ReplaceAllString(plan, "") // what is held is no longer than the list of its keys
	}
	require.Empty(w, wasteful[w.db.Name()].FindString(plan), "%s\n%s", statement, plan)
}

var (
	readLine = regexp.MustCompile(`(?: on)?(?: using \S+)? on (dag_run|backfill_dag_run)\b.*actual rows=(\d+)`)
	loopsOf  = regexp.MustCompile(`actual rows=\d+ loops=(\d+)`)
)

// read is how many rows of the runs and of the backfills' order a plan of PostgreSQL has read.
func read(plan string) (n int) {
	loops := 0
	for line := range strings.Lines(plan) {
		if found := loopsOf.FindStringSubmatch(line); found != nil {
			loops, _ = strconv.Atoi(found[1])
		}
		if found := readLine.FindStringSubmatch(line); found != nil {
			rows, _ := strconv.Atoi(found[2])
			n += max(rows, 1) * loops
		} else if _, removed, ok := strings.Cut(line, "Rows Removed by Filter: "); ok {
			rows, _ := strconv.Atoi(strings.TrimSpace(removed))
			n += rows * loops
		}
	}
	return n
}

// handlers runs a query on the one connection of db, and returns how many rows it read by
// walking along an index or a table.
func (w *world) handlers(db *gorm.DB, query string) (n int) {
	require.NoError(w, db.Exec("FLUSH STATUS").Error)
	require.NoError(w, db.Exec(query).Error)
	rows, err := db.Raw("SHOW SESSION STATUS WHERE Variable_name IN ('Handler_read_next', 'Handler_read_prev', 'Handler_read_rnd', 'Handler_read_rnd_next')").Rows()
	require.NoError(w, err)
	defer rows.Close()
	for rows.Next() {
		var name, value string
		require.NoError(w, rows.Scan(&name, &value))
		count, err := strconv.Atoi(value)
		require.NoError(w, err)
		n += count
	}
	return n
}

// mostRead is what a pass may read: each run is found in its queue, changed and read; each
// of the 300 gates is looked at a few times.
func mostRead(started int) int { return 12*started + 12*400 }

var plans = []testCase{
	{"a pass over 100,000 queued runs scans no runs and sorts no queue", func(w *world) {
		w.deepQueue()
		w.checkPass()
		w.analyze()
		w.checkPass()
		plan := w.plan("SELECT r.id FROM dag_run r WHERE r.conf IS NULL ORDER BY r.queued_at LIMIT 5")
		require.NotEmpty(w, wasteful[w.db.Name()].FindString(plan), "the control: the check sees a wasteful plan\n%s", plan)
	}},
	{"a pass over backfills whose runs have their place reads no more, with most of each done", func(w *world) {
		w.deepQueue()
		w.setPlaces()
		require.NoError(w, w.db.Exec("UPDATE dag_run SET state = 'success' WHERE state = 'queued' AND backfill_id IS NOT NULL AND sort_ordinal <= 400").Error)
		w.checkPass()
		w.analyze()
		w.checkPass()
	}},
	{"a pass through a table that is small, and new to the engine, reads what it starts", func(w *world) {
		w.uncounted()
		w.dag("d", 16)
		w.queue("d", 4000, past, 0)
		w.checkSmallPass(16)
		w.dags(100, 3, 160)
		w.checkSmallPass(300)
	}},
	{"a hold goes by the keys, however many rows there are", func(w *world) {
		if !w.d.RowLocks {
			return // the writer holds all
		}
		w.manyGates(10_000)
		w.checkHold()
		w.analyze()
		w.checkHold()
	}},
	{"what why costs does not grow with the queue", func(w *world) {
		const deep = 12_000
		w.uncounted()
		w.dag("d", 2)
		runs := w.queue("d", deep, past, 0)
		b := w.backfill("d", 2, deep)
		require.NoError(w, w.db.Model(&models.DagRun{}).Where("backfill_id = ?", b.BackfillID).UpdateColumn("run_after", models.At(past)).Error)
		w.pass()
		ofBackfill := w.runsOf(b)
		w.checkWhy(runs[1100], runs[deep-1])
		w.analyze() // PostgreSQL takes a backfill that it has not counted for a short one, and sorts it
		w.checkWhy(runs[1100], runs[deep-1], ofBackfill[1100], ofBackfill[deep-1])
	}},
	{"recovery reads the running runs and the silent schedulers, whatever the history", func(w *world) {
		w.deepQueue()
		w.manyJobs()
		require.NoError(w, w.db.Exec("UPDATE dag_run SET state = 'running', dag_id = 'd299', backfill_id = NULL, run_id = CONCAT(run_id, id), scheduled_by_job_id = ? WHERE state = 'success' AND id % 20 = 0", w.alive()).Error)
		w.checkRecovery(`Seq Scan|SCAN job|^job ALL `) // MySQL takes a table that it has not counted for a short one, and reads the whole index
		w.analyze()
		w.checkRecovery(`Seq Scan|SCAN job|^job (ALL|index) `)
	}},
	{"to resume a backfill reads its dates, whatever the history of the DAG", func(w *world) {
		w.deepQueue()
		require.NoError(w, w.db.Exec("UPDATE dag_run SET state = 'failed', dag_id = 'd299', run_id = CONCAT(run_id, id) WHERE state = 'success'").Error)
		w.checkResumption()
		w.analyze()
		w.checkResumption()
	}},
}

// oneConnection is another pool of a single connection: what was read is counted by connection.
func (w *world) oneConnection() *gorm.DB {
	again := w.d.Open(w)
	pool, err := again.DB()
	require.NoError(w, err)
	pool.SetMaxOpenConns(1)
	return again
}

// readsOf looks at the plans of statements, and at what the engine reads for each when it is
// run again. It returns the rows read, and how many statements were looked at.
func (w *world) readsOf(statements []string, again *gorm.DB) (reads, checked int) {
	for _, statement := range statements {
		if !strings.Contains(statement, "dag_run") || strings.HasSuffix(statement, "WHERE 1 = 0") {
			continue // the second makes a transaction of SQLite the writer, and reads nothing, whatever its plan says
		}
		plan := w.plan(statement)
		require.NotEmpty(w, plan)
		w.checkPlan(statement, plan)
		n := read(plan)
		if again.Name() == "mysql" && strings.HasPrefix(statement, "SELECT") {
			n = w.handlers(again, statement)
		}
		w.Logf("%d rows read by %.60s\n%.3000s", n, statement, plan)
		reads += n
		checked++
	}
	return reads, checked
}

// setPlaces gives the runs of backfills the places that backfill_dag_run has.
func (w *world) setPlaces() {
	require.NoError(w, w.db.Exec(`UPDATE dag_run SET sort_ordinal = (SELECT o.sort_ordinal FROM backfill_dag_run o WHERE o.dag_run_id = dag_run.id AND o.backfill_id = dag_run.backfill_id)
		WHERE state = 'queued' AND backfill_id IS NOT NULL`).Error)
}

// checkPass looks at the statements of a pass.
func (w *world) checkPass() {
	t := &trace{Interface: logger.Discard}
	r, err := repo.New(w.db.Session(&gorm.Session{Logger: t}))
	require.NoError(w, err)
	again := w.oneConnection()
	for range 2 {
		t.statements = nil
		runs, err := r.Admit(w.ctx)
		require.NoError(w, err)
		require.NotEmpty(w, runs)
		w.requeueAll()
		reads, checked := w.readsOf(t.statements, again)
		require.GreaterOrEqual(w, checked, 4, "hint, capacity, queues, change")
		if w.d.RowLocks { // SQLite does not tell what it read
			require.Greater(w, reads, len(runs))
			require.Less(w, reads, mostRead(len(runs)), "to start %d runs", len(runs))
		}
	}
}

// manyGates are DAGs with a backfill each.
func (w *world) manyGates(n int) {
	dags, backfills := make([]models.Dag, n), make([]models.Backfill, n)
	for i := range n {
		dags[i].DagID = fmt.Sprintf("d%05d", i)
		backfills[i] = models.Backfill{ID: int64(i + 1), DagID: dags[i].DagID, FromDate: models.At(past), ToDate: models.At(past), CreatedAt: models.At(past), UpdatedAt: models.At(past)}
	}
	require.NoError(w, w.db.CreateInBatches(dags, 1000).Error)
	require.NoError(w, w.db.CreateInBatches(backfills, 1000).Error)
}

// checkHold looks at how the gates of a large pass are held, and fenced.
func (w *world) checkHold() {
	const many = 250
	t := &trace{Interface: logger.Discard}
	db := w.d.Open(w, locking.WithStrategy(dialect.Strategy{Lock: dialect.SkipLocked, Fence: true})).Session(&gorm.Session{Logger: t})
	var ids []int64
	var names []string
	for i := range many {
		ids, names = append(ids, int64(i*37+1)), append(names, fmt.Sprintf("d%05d", i*37))
	}
	held, err := locking.InTx(w.ctx, db, func(tx *gorm.DB) (int, error) {
		t.statements = nil
		dags, err := locking.Hold(tx, locking.Rows{Model: &models.Dag{}, Fence: "fence"}, names)
		if err != nil {
			return 0, err
		}
		backfills, err := locking.Hold(tx, locking.Rows{Model: &models.Backfill{}, Fence: "fence"}, ids)
		return len(dags) + len(backfills), err
	})
	require.NoError(w, err)
	require.Equal(w, 2*many, held)
	require.Len(w, t.statements, 4)
	for _, statement := range t.statements {
		plan := w.plan(statement)
		w.Logf("%.60s\n%.2000s", statement, plan)
		require.NotRegexp(w, `Seq Scan|^(dag|backfill) (ALL|index) `, plan)
		require.LessOrEqual(w, read(plan), 3*many)
	}
}

// checkSmallPass looks at the statements of a pass that starts so many runs at least, and of their end.
func (w *world) checkSmallPass(started int) {
	r, t := w.traced()
	runs, err := r.Admit(w.ctx)
	require.NoError(w, err)
	require.GreaterOrEqual(w, len(runs), started)
	require.NoError(w, r.FinishAll(w.ctx, runs, models.Success))
	require.NoError(w, w.db.Model(&models.DagRun{}).Where("state = ?", models.Success).UpdateColumn("state", models.Queued).Error)
	w.bounded(t, w.oneConnection(), 5, 12*len(runs)+1000)
}

// alive is the id of a scheduler that beats.
func (w *world) alive() int64 {
	_, job := w.registered()
	return job.ID
}

// manyJobs are 20,000 schedulers that have left.
func (w *world) manyJobs() {
	gone := make([]models.Job, 20_000)
	for i := range gone {
		gone[i] = models.Job{State: models.Success, JobType: models.UsherScheduler, StartDate: models.At(past), EndDate: models.At(past), LatestHeartbeat: models.At(past)}
	}
	require.NoError(w, w.db.CreateInBatches(&gone, 1000).Error)
}

// checkRecovery looks at the statements with which a scheduler asks for its own runs, and with
// which another one recovers them, while 5,000 runs of a third go on; and at how the silent
// are found, which must not be wasteful.
func (w *world) checkRecovery(wasteful string) {
	dead, job := w.registered()
	runs := w.admitted(dead, 500)
	r, t := w.traced(repo.WithJob(job.ID))
	again := w.oneConnection()
	mine, err := r.Mine(w.ctx)
	require.NoError(w, err)
	require.ElementsMatch(w, ids(runs), ids(mine))
	w.bounded(t, again, 1, 7000)
	w.age(job.ID)
	recovered, err := r.Recover(w.ctx, silence, models.Queued)
	require.NoError(w, err)
	require.ElementsMatch(w, ids(runs), ids(recovered))
	var silent []string
	for _, statement := range t.statements {
		if strings.HasPrefix(statement, "SELECT") && strings.Contains(statement, "latest_heartbeat") {
			silent = append(silent, statement)
		}
	}
	require.Len(w, silent, 1, "the search for the silent")
	plan := w.plan(silent[0])
	require.Contains(w, plan, "idx_job_alive", silent[0])
	require.NotRegexp(w, "(?m)"+wasteful, plan)
	w.bounded(t, again, 4, 25_000) // orphans with their jobs, twice, as the batch is full, the change, and the reading
}

// checkResumption looks at the statements that resume a backfill of 500 dates.
func (w *world) checkResumption() {
	var b models.Backfill
	require.NoError(w, w.db.Where("dag_id = 'd299'").Take(&b).Error)
	_, err := w.r.CancelBackfill(w.ctx, b.ID)
	require.NoError(w, err)
	r, t := w.traced()
	_, runs, err := r.ResumeBackfill(w.ctx, b.ID)
	require.NoError(w, err)
	require.Len(w, runs, 500)
	w.bounded(t, w.oneConnection(), 2, 2500)
}

// bounded asserts that the statements traced so far, at least so many, have read few rows.
func (w *world) bounded(t *trace, again *gorm.DB, statements, most int) {
	w.Helper()
	reads, checked := w.readsOf(t.statements, again)
	require.GreaterOrEqual(w, checked, statements)
	require.Less(w, reads, most)
	t.statements = nil
}

// checkWhy looks at the statements of Why for the runs.
func (w *world) checkWhy(runs ...models.DagRun) {
	t := &trace{Interface: logger.Discard}
	r, err := repo.New(w.db.Session(&gorm.Session{Logger: t}))
	require.NoError(w, err)
	again := w.oneConnection()
	for _, run := range runs {
		t.statements = nil
		e, err := r.Why(w.ctx, run.DagID, run.RunID)
		require.NoError(w, err)
		last := e.Reasons[len(e.Reasons)-1]
		require.Equal(w, repo.Behind, last.Kind)
		require.Equal(w, 1000, last.Ahead)
		require.True(w, last.AheadOrMore)
		reads, checked := w.readsOf(t.statements, again)
		require.GreaterOrEqual(w, checked, 4, "the run, the facts, the slots, the line")
		if w.d.RowLocks {
			require.Greater(w, reads, 1000)
			require.Less(w, reads, 5000)
		}
	}
}

func (w *world) analyze() {
	statement := map[string]string{"postgres": "ANALYZE", "sqlite": "ANALYZE", "mysql": "ANALYZE TABLE " + strings.Join(tables, ", ")}[w.db.Name()]
	require.NoError(w, w.db.Exec(statement).Error)
}
