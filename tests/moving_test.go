package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/transfer"
)

// Moving house: everything is copied from each engine to each, by processes that are killed on
// the way, and found equal column by column by a look at both that knows nothing of usher. The
// short form has some thousand runs and one kill; the long one (make prove/copy) 100,000 and several.

// A maker makes databases of one engine.
type maker = func(testing.TB) testdb.Database

func fileOf(driver string) maker {
	return func(t testing.TB) testdb.Database { return testdb.SQLite(t, driver) }
}

var servers = []maker{testdb.PostgreSQL, testdb.MySQL, testdb.MariaDB}

func TestMovingPostgreSQL(t *testing.T) { move(t, testdb.PostgreSQL, servers...) }
func TestMovingMySQL(t *testing.T)      { move(t, testdb.MySQL, servers...) }
func TestMovingMariaDB(t *testing.T)    { move(t, testdb.MariaDB, servers...) }

// TestMovingSQLiteModernc is by itself, for -race makes this driver slow.
func TestMovingSQLiteModernc(t *testing.T) { moveFiles(t, fileOf("sqlite")) }

// moveFiles is from files to each engine, and from each server to files.
func moveFiles(t *testing.T, files maker) {
	move(t, files, append(servers, files)...)
	for _, server := range servers {
		move(t, server, files)
	}
}

// sizeOfMove is how many runs are copied, and how often the process that copies is killed.
func sizeOfMove() (runs, kills int) {
	if prove() {
		return 100_000, 3
	}
	return 1000, 1
}

// move copies from one engine to some.
func move(t *testing.T, from maker, to ...maker) {
	source := newWorld(t, from(t))
	runs, kills := sizeOfMove()
	source.furnish(runs)
	want := source.digests("")
	for i, target := range to {
		d, kills := target(t), kills
		if i > 0 && !prove() {
			kills = 0
		}
		t.Run(source.d.Engine+" to "+d.Engine, func(t *testing.T) {
			w := newWorld(t, d) // which has usher's tables
			began := time.Now()
			for i := range kills {
				w.copyKilled(source.d, i+1, kills)
			}
			killed := time.Since(began)
			rows := w.copied(source.d, kills > 0)
			ended := time.Since(began)
			w.has(want)
			w.goesOn()
			t.Logf("%d rows: killed %d times within %.1f s, finished and compared after %.1f s", rows, kills, killed.Seconds(), ended.Seconds())
		})
	}
}

// furnish fills the database: n runs, half of them in backfills, of every state, and rows that are hard to copy.
func (w *world) furnish(n int) {
	dags, backfills := make([]models.Dag, max(1, n/100)), max(1, n/500)
	for i := range dags {
		limit := i % 20
		dags[i] = models.Dag{DagID: fmt.Sprintf("dag_%d", i), IsPaused: i%7 == 0, IsStale: i%11 == 0, MaxActiveRuns: map[bool]*int{true: nil, false: &limit}[i%3 == 0], Fence: int64(i)}
	}
	w.insert(&dags)
	for i := range backfills {
		w.insert(&models.Backfill{
			DagID: fmt.Sprintf("dag_%d", i%len(dags)), FromDate: odd(i), ToDate: odd(i + 1), DagRunConf: document(i), IsPaused: i%2 == 0, ReprocessBehavior: models.ReprocessNone,
			MaxActiveRuns: i, CreatedAt: odd(i), UpdatedAt: odd(i), TriggeringUserName: "👤", Fence: int64(i) << 40,
		})
	}
	states := []models.State{models.Queued, models.Success, models.Running, models.Failed}
	runs := make([]models.DagRun, n)
	for i := range runs {
		runs[i] = models.DagRun{
			DagID: fmt.Sprintf("dag_%d", i%len(dags)), RunID: fmt.Sprintf("run_%d", i), State: states[i%4], RunType: models.ScheduledRun, LogicalDate: odd(i), DataIntervalStart: odd(i), RunAfter: odd(-i),
			QueuedAt: odd(i + 7), Conf: document(i), TriggeredBy: "test", ClearNumber: i % 5, CreatedAt: odd(i), UpdatedAt: odd(i + 1),
		}
		if job := int64(i%3 + 1); i%4 > 1 {
			runs[i].StartDate, runs[i].ScheduledByJobID = odd(i+8), &job
		}
		if b := int64(i%backfills + 1); i%2 == 0 {
			runs[i].BackfillID, runs[i].SortOrdinal = &b, models.Place(i+1)
		}
	}
	require.NoError(w, w.db.CreateInBatches(&runs, 1000).Error)
	places := make([]models.BackfillDagRun, 0, n/2)
	for i, run := range runs {
		if run.BackfillID != nil {
			places = append(places, models.BackfillDagRun{BackfillID: *run.BackfillID, DagRunID: &run.ID, LogicalDate: run.LogicalDate, SortOrdinal: i + 1})
		}
	}
	require.NoError(w, w.db.CreateInBatches(&places, 1000).Error)
	for i := range 3 {
		w.insert(&models.Job{State: models.Running, JobType: models.UsherScheduler, StartDate: odd(i), LatestHeartbeat: odd(i), Hostname: "host", Unixname: "ø"})
	}
	w.furnishHostile()
}

func (w *world) insert(row any) { require.NoError(w, w.db.Create(row).Error) }

// odd are instants before and after 1970, to the microsecond.
func odd(i int) models.Time {
	return models.At(time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC).Add(time.Duration(i) * (time.Hour + time.Microsecond)))
}

// document is JSON with numbers that no float64 has.
func document(i int) models.JSON {
	switch i % 3 {
	case 0:
		return nil
	case 1:
		return models.JSON(fmt.Sprintf(`{"b":[{"n":[9007199254740993,-9223372036854775808,18446744073709551615,0.1,1.5e300]}],"a":{"é\"\\":"😀 ' ","i":%d,"null":null,"t":true,"":{}}}`, i))
	}
	return models.JSON(`[]`)
}

// furnishHostile adds ids that mean something to some parser or look like one another, NULL
// wherever it may be beside the empty text, times at the ends of what all engines have, and gaps.
func (w *world) furnishHostile() {
	ends := []time.Time{
		time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(1900, 2, 28, 23, 59, 59, 999_999_000, time.UTC), time.Date(1970, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC),
	}
	dags, runs := make([]models.Dag, len(names)), make([]models.DagRun, len(names))
	for i, name := range names {
		end := models.At(ends[i%len(ends)])
		dags[i] = models.Dag{DagID: name}
		runs[i] = models.DagRun{DagID: name, RunID: name, RunAfter: end, LogicalDate: end, TriggeringUserName: name, Conf: document(i)}
	}
	w.insert(&dags)
	w.insert(&runs)
	for table, columns := range map[string][]string{
		"dag_run": {"state", "triggered_by", "triggering_user_name", "logical_date", "conf"}, "job": {"state", "job_type", "start_date", "latest_heartbeat", "hostname", "unixname"},
		"backfill": {"dag_run_conf", "triggering_user_name"}, "backfill_dag_run": {"exception_reason", "dag_run_id"},
	} {
		for i, column := range columns {
			var ids []int64
			require.NoError(w, w.db.Table(table).Order("id DESC").Limit(i+1).Pluck("id", &ids).Error)
			require.NoError(w, w.db.Table(table).Where("id = ?", ids[len(ids)-1]).UpdateColumn(column, nil).Error)
		}
	}
	w.insert(&models.DagRun{ID: 1 << 40, DagID: "a", RunID: "far", RunAfter: odd(0)})
	require.NoError(w, w.db.Delete(&models.DagRun{}, []int64{2, 3, 5}).Error)
}

// copying is a process that copies.
type copying struct {
	From, To testdb.Database
	Part     float64 // it kills itself soon after it has written this part of the rows; 0: it does not
	Resumed  bool    // it looks first at what is there
}

// looked is what a process tells after each chunk.
type looked struct{ Done, Total int }

// run is the work of such a process. When its time has come, SIGKILL meets it in whatever it does
// next, but before it has written all.
func (c copying) run(ctx context.Context) error {
	from, err := c.From.Connect()
	if err != nil {
		return err
	}
	to, err := c.To.Connect()
	if err != nil {
		return err
	}
	dying := false
	_, err = transfer.Copy(ctx, from, to, transfer.Progress(func(done, total int) {
		_ = json.NewEncoder(os.Stdout).Encode(looked{done, total})
		rows, before := total/2, 0 // each is written and compared
		if c.Resumed {
			rows, before = total/3, total/3
		}
		if c.Part > 0 && !dying && done >= before+int(c.Part*float64(rows)) {
			dying = true
			time.AfterFunc(rand.N(10*time.Millisecond), func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
		}
		if dying && done >= before+rows {
			<-ctx.Done()
		}
	}))
	return err
}

// copyKilled copies in a process that is killed in one part of several.
func (w *world) copyKilled(from testdb.Database, part, of int) {
	p := w.spawnCopy(copying{From: from, To: w.d, Part: float64(part) / float64(of+1), Resumed: part > 1})
	for p.next() {
	}
	var exit *exec.ExitError
	require.ErrorAs(w, p.cmd.Wait(), &exit, "%s", &p.errors)
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(w, ok && status.Signal() == syscall.SIGKILL, "%s: %s", exit, &p.errors)
	var mark int64
	require.NoError(w, w.db.Model(&models.Job{}).Where("job_type = 'UsherCopy'").Count(&mark).Error)
	require.EqualValues(w, 1, mark, "the copy is unfinished")
}

// copied copies in a process that comes to its end, and returns how many rows it looked at.
func (w *world) copied(from testdb.Database, resumed bool) (rows int) {
	p := w.spawnCopy(copying{From: from, To: w.d})
	for p.next() {
	}
	require.NoError(w, p.cmd.Wait(), "%s", &p.errors)
	require.Equal(w, p.at.Total, p.at.Done)
	if resumed {
		return p.at.Total / 3
	}
	return p.at.Total / 2
}

// copyProcess is one that has been started.
type copyProcess struct {
	cmd    *exec.Cmd
	errors log
	told   *json.Decoder
	at     looked
}

func (p *copyProcess) next() bool { return p.told.Decode(&p.at) == nil }

func (w *world) spawnCopy(c copying) *copyProcess {
	text, err := json.Marshal(work{Copying: &c})
	require.NoError(w, err)
	program, err := os.Executable()
	require.NoError(w, err)
	p := &copyProcess{cmd: exec.CommandContext(w.ctx, program)}
	p.cmd.Env = append(os.Environ(), workVariable+"="+string(text), "GORACE=atexit_sleep_ms=0") // else a second for each, under -race
	p.cmd.Stderr = &p.errors
	out, err := p.cmd.StdoutPipe()
	require.NoError(w, err)
	p.told = json.NewDecoder(out)
	require.NoError(w, p.cmd.Start())
	return p
}
