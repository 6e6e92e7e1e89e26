package tests

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Replicas of PostgreSQL: reads that are routed to one, and failover to one.

func TestReplicaPostgreSQL(t *testing.T) {
	type test struct {
		name string
		test func(*ownServer, *world)
	}
	for _, c := range []struct {
		name, kind string
		tests      []test // on the same servers; a failover is the last
	}{
		{"asynchronous", "postgres-replica", []test{
			{"reads go to a replica that stands still", readsElsewhere},
			{"a runner on a replica waits, and says why", waits},
			{"failover to a replica that lags loses what was admitted", losesAdmissions},
		}},
		{"synchronous", "postgres-sync-replica", []test{{"failover to a replica that COMMIT waits for loses nothing", losesNothing}}},
		{"schedulers", "postgres-sync-replica", []test{{"schedulers go on through a failover", goesOn}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.kind, "PostgreSQL")
			for _, test := range c.tests {
				t.Run(test.name, func(t *testing.T) {
					test.test(s, newWorld(t, testdb.On(t, "PostgreSQL", s.whoeverWrites())))
				})
			}
		})
	}
}

// whoeverWrites is a DSN that leads to the node that is the primary at the time.
func (s *ownServer) whoeverWrites() string {
	var hosts []string
	for _, dsn := range s.dsns {
		u, err := url.Parse(dsn)
		require.NoError(s, err)
		hosts = append(hosts, u.Host)
	}
	u, err := url.Parse(s.dsns[0])
	require.NoError(s, err)
	u.Host, u.RawQuery = strings.Join(hosts, ","), "target_session_attrs=read-write"
	return u.String()
}

// replica is the world's database as the second node has it.
func (w *world) replica(s *ownServer) testdb.Database {
	u, err := url.Parse(s.dsns[1])
	require.NoError(w, err)
	mine, err := url.Parse(w.d.DSN)
	require.NoError(w, err)
	u.Path = mine.Path
	d := w.d
	d.DSN = u.String()
	return d
}

var errOver = errors.New("all runs have ended")

// readsElsewhere: a replica on which all runs are queued for ever, and none runs, is asked
// whatever is read outside a transaction. The limits hold, each run starts once, and the
// replica's own log of statements has none that is executed in a transaction, as holds and
// counts are.
func readsElsewhere(s *ownServer, w *world) {
	limits := mixedContest(w)
	replica := w.reached(w.replica(s))
	w.agree([]*gorm.DB{replica})
	require.NoError(w, replica.Exec("SELECT pg_wal_replay_pause()").Error)
	w.logsStatements(replica)
	db := w.d.Open(w)
	require.NoError(w, db.Use(dbresolver.Register(dbresolver.Config{Replicas: []gorm.Dialector{postgres.Open(w.replica(s).DSN)}})))
	texts := readTexts(w, db)
	const runs = 120
	tally := exercise.NewTally()
	failures := make([]error, schedulers)
	var all sync.WaitGroup
	for i := range schedulers {
		all.Go(func() {
			r, err := repo.New(db)
			require.NoError(w, err)
			admit := func(ctx context.Context) ([]models.DagRun, error) {
				if _, done := tally.Now(); done == runs {
					return nil, errOver
				}
				return r.Admit(ctx)
			}
			x := exercise.Scheduler{Repo: r, Counter: tally, Admit: admit, Work: workTime, Final: models.Success}
			failures[i] = x.Run(w.ctx)
		})
	}
	all.Wait()
	for _, err := range failures {
		require.ErrorIs(w, err, errOver)
	}
	var seen int64
	require.NoError(w, db.Model(&models.DagRun{}).Where("state = ?", models.Queued).Count(&seen).Error)
	require.EqualValues(w, runs, seen, "reads go to the replica, which stands still")
	contest{}.check(w, tally, limits)
	texts.checkLog(w, s.run("log", 2))
	require.NoError(w, replica.Exec("SELECT pg_wal_replay_resume()").Error)
}

// logsStatements has a server of PostgreSQL log every statement.
func (w *world) logsStatements(db *gorm.DB) {
	require.NoError(w, db.Exec("ALTER SYSTEM SET log_statement = 'all'").Error)
	require.NoError(w, db.Exec("SELECT pg_reload_conf()").Error)
	for now := ""; now != "all"; {
		require.NoError(w, db.Raw("SHOW log_statement").Scan(&now).Error)
		require.NoError(w, w.ctx.Err())
	}
}

// texts are the statements that usher executes in its transactions, and outside.
type texts struct {
	mu              sync.Mutex
	inside, outside map[string]bool
}

// readTexts collects the statements of a database handle.
func readTexts(w *world, db *gorm.DB) *texts {
	t := &texts{inside: map[string]bool{}, outside: map[string]bool{}}
	read := func(tx *gorm.DB) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, ok := tx.Statement.ConnPool.(gorm.TxCommitter); ok {
			t.inside[words(tx.Statement.SQL.String())] = true
		} else {
			t.outside[words(tx.Statement.SQL.String())] = true
		}
	}
	c := db.Callback()
	require.NoError(w, errors.Join(
		c.Query().After("*").Register("test:read", read),
		c.Row().After("*").Register("test:read", read),
		c.Raw().After("*").Register("test:read", read),
		c.Update().After("*").Register("test:read", read),
	))
	return t
}

// words is a text without regard to its lines and indents.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// checkLog asserts which of the statements the log has: each of those executed outside a
// transaction, and none of the others, nor a lock, nor the beginning of a transaction.
func (t *texts) checkLog(w *world, log string) {
	log = words(log)
	for text := range t.outside {
		require.Contains(w, log, text)
	}
	for text := range t.inside {
		require.NotContains(w, log, text)
	}
	statements := strings.Split(log, " LOG: ")
	for _, statement := range statements {
		require.NotRegexp(w, "(?i)(statement|execute [^:]*): (begin|update|insert|delete)| FOR UPDATE", statement)
	}
	for _, kind := range []string{"FOR UPDATE", "count(*)", "UPDATE"} {
		found := slices.ContainsFunc(slices.Collect(maps.Keys(t.inside)), func(text string) bool { return strings.Contains(strings.ToUpper(text), strings.ToUpper(kind)) })
		require.True(w, found, "a transaction of usher has %s", kind)
	}
	w.Logf("the replica's log: %d entries, none of %d statements of transactions, each of %d others", len(statements), len(t.inside), len(t.outside))
}

// waits: whoever connects to a replica cannot admit. The runner waits for it to take writes, with
// longer and longer pauses: fewer attempts than a fraction of the statements of somebody who
// does not pause.
func waits(s *ownServer, w *world) {
	w.dag("d", 1)
	replica := w.reached(w.replica(s))
	w.agree([]*gorm.DB{replica})
	started := w.start(replica, func(context.Context, models.DagRun) error { return nil })
	refusals := func() int { return strings.Count(started.log.String(), "read-only transaction") }
	w.until("the runner says that it cannot write", func() bool { return refusals() >= 3 })
	require.Contains(w, started.log.String(), "level=WARN msg=\"register later\"")
	before := refusals()
	for range 10 {
		w.whileOthersWork() // 300 statements
	}
	require.Less(w, refusals()-before, 100)
	started.stopped()
}

// cutFrom ends the replica's connection to the primary, for good.
func (w *world) cutFrom(replica *gorm.DB) {
	require.NoError(w, replica.Exec("ALTER SYSTEM SET primary_conninfo = ''").Error)
	require.NoError(w, replica.Exec("SELECT pg_reload_conf()").Error)
	for n := int64(1); n > 0; {
		require.NoError(w, replica.Raw("SELECT COUNT(*) FROM pg_stat_wal_receiver").Scan(&n).Error)
		require.NoError(w, w.ctx.Err())
	}
}

// failOver crashes the primary and makes the replica one. The pool's connections are dead then;
// an application meets that as an error of its next pass, and makes another.
func (s *ownServer) failOver(w *world) {
	s.run("kill", 1)
	s.run("promote", 2)
	for w.db.Take(&models.Dag{}).Error != nil {
		require.NoError(w, w.ctx.Err())
	}
}

// losesAdmissions shows what asynchronous replication costs, so that nobody is told otherwise:
// the new primary does not know what the old one admitted, and starts it again.
func losesAdmissions(s *ownServer, w *world) {
	w.dag("d", 3)
	w.queue("d", 6, past, time.Minute)
	replica := w.reached(w.replica(s))
	w.agree([]*gorm.DB{replica})
	w.cutFrom(replica)
	before := w.pass()
	require.Len(w, before, 3)
	s.failOver(w)
	require.Equal(w, before, w.pass(), "the same runs start again")
}

// losesNothing: where COMMIT waits for the replica, a pass that a failover could lose has not
// returned its runs.
func losesNothing(s *ownServer, w *world) {
	w.dag("d", 3)
	w.queue("d", 6, past, time.Minute)
	before := w.pass()
	require.Len(w, before, 3)
	require.NoError(w, w.r.Finish(w.ctx, w.named(before[0]), models.Success))
	replica := w.reached(w.replica(s))
	w.cutFrom(replica)
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	runs, err := w.r.Admit(ctx)
	require.ErrorIs(w, err, locking.ErrCommitUnknown)
	require.Empty(w, runs)
	s.failOver(w)
	w.running(map[repo.Gate]int{dagGate("d"): 2})
	require.Len(w, w.pass(), 1)
	w.running(map[repo.Gate]int{dagGate("d"): 3})
}

// named is a run by its run_id.
func (w *world) named(id string) (run models.DagRun) {
	require.NoError(w, w.db.Take(&run, "run_id = ?", id).Error)
	return run
}

// goesOn: schedulers in processes of their own find the new primary by themselves.
func goesOn(s *ownServer, w *world) {
	c := w.muster(watched, 4*time.Minute, w.d)
	c.progress("the start", 50)
	s.failOver(w)
	c.progress("work on the new primary", 50)
	c.over()
}
