package tests

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// cluster is a multi-primary cluster with schedulers on every node.
type cluster struct {
	*ownServer
	name string // as detection has it
}

func TestGaleraMariaDB(t *testing.T) {
	multiPrimary(t, cluster{start(t, "galera", "MariaDB"), "Galera"})
}

func TestGroupReplicationMySQL(t *testing.T) {
	multiPrimary(t, cluster{start(t, "group-replication", "MySQL"), "Group Replication"})
}

// clusterTest gets a fresh database, as each node has it.
type clusterTest struct {
	name string
	test func(*world, []testdb.Database)
}

// multiPrimary: the short form shows that the limit holds between nodes, that it does not without
// the fence, and that a node's crash costs nothing. The long one has contests and more faults.
func multiPrimary(t *testing.T, c cluster) {
	tests := []clusterTest{
		{"detection", c.detected},
		{"a pass in the middle of a pass", c.passInPass},
		{"control: without the fence the limit is exceeded", c.control},
		{"faults", c.faults},
	}
	if c.name == "Galera" {
		tests = append(tests, clusterTest{"a node refuses COMMIT and ROLLBACK", c.refusesCommit})
	}
	if prove() {
		tests = append(tests,
			clusterTest{"8 schedulers at gates of both kinds", c.contest(contest{gates: mixedContest})},
			clusterTest{"8 processes at gates of both kinds", c.contest(contest{gates: mixedContest, processes: true})},
			clusterTest{"8 schedulers at a DAG's gate", c.contest(contest{gates: dagContest})},
			clusterTest{"8 schedulers at a backfill's gate", c.contest(contest{gates: backfillContest})},
			clusterTest{"8 schedulers at gates of both kinds, default isolation", c.contest(contest{gates: mixedContest, isolation: ownIsolation})},
			clusterTest{"runs that others do not see yet", c.fenced},
		)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			nodes := c.database(t)
			test.test(newWorld(t, nodes[0]), nodes)
		})
	}
}

// detected: every node knows that it is not alone.
func (c cluster) detected(w *world, nodes []testdb.Database) {
	require.Len(w, nodes, 3)
	for _, node := range nodes {
		server, err := locking.Server(w.ctx, w.reached(node))
		require.NoError(w, err)
		require.Equal(w, []string{c.name, "skip locked and fence"}, []string{server.Cluster, server.Strategy.String()})
	}
}

// contest is a contest whose schedulers are spread over the nodes.
func (c cluster) contest(of contest) func(*world, []testdb.Database) {
	return func(w *world, nodes []testdb.Database) {
		dbs := opened(w, nodes, of.isolation...)
		for range rounds(1) {
			w.db.Where("1 = 1").Delete(&models.DagRun{})
			limits := of.gates(w)
			w.agree(dbs)
			tally := exercise.NewTally()
			if of.processes {
				inProcessesOn(w, nodes, tally)
			} else {
				competeOn(w, tally, dbs)
			}
			w.agree(dbs)
			of.check(w, tally, limits)
			for g, limit := range limits {
				w.Logf("peak of %v: %d of %d", g, tally.Peak(g), limit)
			}
		}
	}
}

func opened(w *world, nodes []testdb.Database, options ...locking.Option) (dbs []*gorm.DB) {
	for _, node := range nodes {
		dbs = append(dbs, w.reached(node, options...))
	}
	return dbs
}

// competeOn is compete with the schedulers spread over the nodes.
func competeOn(w *world, tally *exercise.Tally, dbs []*gorm.DB) {
	failures := make([]error, schedulers)
	var all sync.WaitGroup
	for i := range schedulers {
		all.Go(func() {
			r, err := repo.New(dbs[i%len(dbs)])
			if err != nil {
				failures[i] = err
				return
			}
			s := exercise.Scheduler{Repo: r, Counter: tally, Admit: r.Admit, Work: workTime, Final: models.Success}
			failures[i] = s.Run(w.ctx)
		})
	}
	all.Wait()
	require.NoError(w, errors.Join(failures...))
}

func inProcessesOn(w *world, nodes []testdb.Database, tally *exercise.Tally) {
	var all []*process
	for i := range schedulers {
		all = append(all, w.spawnOn(nodes[i%len(nodes)], work{}, tally))
	}
	for _, p := range all {
		require.NoError(w, p.wait())
	}
}

// arrivals is a race with runs that are queued on every node meanwhile, each due before all
// that wait: so two nodes do not agree which run is next. Where they do agree, the guard of the
// run itself lets one of two passes commit, and hides what a gate's lock is worth. It returns
// the peak for a limit of 3.
func arrivals(w *world, dbs []*gorm.DB) int {
	w.db.Where("1 = 1").Delete(&models.DagRun{})
	w.dag("d", 3)
	w.queue("d", 60, past, time.Minute)
	w.agree(dbs)
	tally := exercise.NewTally()
	var feeders sync.WaitGroup
	for i, db := range dbs {
		r, err := repo.New(db)
		require.NoError(w, err)
		feeders.Go(func() {
			for n := range 60 {
				due := past.Add(-time.Duration(n*len(dbs)+i) * time.Hour)
				for { // the cluster may let another transaction win
					_, err := r.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: due.String(), RunAfter: models.At(due)})
					if err == nil || w.ctx.Err() != nil {
						break
					}
				}
			}
		})
	}
	competeOn(w, tally, dbs)
	feeders.Wait()
	w.agree(dbs)
	competeOn(w, tally, dbs) // what came after they had gone
	w.agree(dbs)
	require.Equal(w, 60+60*len(dbs), w.count(dagGate("d"), models.Success))
	require.Empty(w, tally.Twice())
	w.Logf("peak: %d of 3", tally.Peak(dagGate("d")))
	return tally.Peak(dagGate("d"))
}

// fenced: the limit holds in that race.
func (c cluster) fenced(w *world, nodes []testdb.Database) {
	dbs := opened(w, nodes)
	for range rounds(5) {
		require.LessOrEqual(w, arrivals(w, dbs), 3)
	}
}

// inTheMiddle is a pass on the second node, in the middle of which the first one queues a run
// that is due before all others, and starts it. It returns how many runs of a gate with limit 1
// are running then.
func (c cluster) inTheMiddle(w *world, nodes []testdb.Database, id string, before int, options ...locking.Option) int {
	dbs := opened(w, nodes, options...)
	w.dag(id, 1)
	w.queue(id, 2, past, time.Minute)
	w.agree(dbs)
	count := 0
	second := w.interruptedOn(dbs[1], before, func() {
		first, err := repo.New(dbs[0])
		require.NoError(w, err)
		_, err = first.Enqueue(w.ctx, models.DagRun{DagID: id, RunID: "early", RunAfter: models.At(past.Add(-time.Hour))})
		require.NoError(w, err)
		_, err = first.Admit(w.ctx)
		require.NoError(w, err)
	}, &count)
	_, err := second.Admit(w.ctx)
	require.NoError(w, err)
	require.GreaterOrEqual(w, count, before, "the pass has been interrupted")
	w.agree(dbs)
	return w.count(dagGate(id), models.Running)
}

// statements is of how many statements a pass consists that starts a run.
func (c cluster) statements(w *world, options ...locking.Option) (count int) {
	w.dag("peace", 1)
	w.queue("peace", 1, past, time.Minute)
	started, err := w.interruptedOn(w.d.Open(w, options...), 0, nil, &count).Admit(w.ctx)
	require.NoError(w, err)
	require.Len(w, started, 1)
	return count
}

// passInPass: whatever the moment, one of the two passes starts its run.
func (c cluster) passInPass(w *world, nodes []testdb.Database) {
	statements := c.statements(w)
	for before := 1; before <= statements; before++ {
		require.Equal(w, 1, c.inTheMiddle(w, nodes, fmt.Sprintf("before_%d", before), before), "before statement %d", before)
	}
}

// control: the lock alone, which is what a single server is given, does not leave its node. So
// before the mark, which is the last statement but one, the limit is exceeded; but for the case
// that the two transactions meet in some other row or page of an index, and one is made anew.
func (c cluster) control(w *world, nodes []testdb.Database) {
	alone := locking.WithStrategy(dialect.Strategy{Lock: dialect.SkipLocked})
	mark := c.statements(w, alone) - 1
	for try := range 10 {
		if c.inTheMiddle(w, nodes, fmt.Sprintf("try_%d", try), mark, alone) > 1 {
			return
		}
	}
	require.Fail(w, "the exercise must be able to show the race")
}

// faults: a node crashes and comes back, another is cut off for longer than the others wait for
// it and comes back, and schedulers die, with admissions going on throughout: 1,000 for each
// minute of USHER_CHAOS_TIME, 10,000 if that is not set. The short form has one machine lost: that
// a node comes back takes half a minute.
func (c cluster) faults(w *world, nodes []testdb.Database) {
	w.agree(opened(w, nodes))
	down := map[int]bool{}
	crew := w.muster(watched, time.Hour, nodes...)
	crew.tend = func() { c.restart(crew, down) }
	crew.progress("the start", 50)
	if !prove() {
		crew.suffer([]fault{c.machineLost(2, down), killed}, 1, 0)
		crew.over()
		return
	}
	var faults []fault
	for _, node := range []int{2, 3} {
		faults = append(faults, c.crash(node, down), c.cutOff(node), killed, killed)
	}
	lasting, _ := chaosTime(w)
	admissions := int(lasting / (time.Minute / 1000))
	parts := max(1, admissions/2500) // each with every fault, and with work in peace
	for range parts {
		crew.suffer(faults, 1, 0)
		crew.progress("work between the faults", admissions/parts)
	}
	crew.over()
}

// restart does what supervisors of servers do: it starts nodes that have ended by themselves.
// MySQL 9.7.4 was seen to (SIGSEGV, in a read of a transaction that another node's had ended).
func (c cluster) restart(crew *crew, down map[int]bool) {
	for i, dsn := range c.dsns {
		u, err := url.Parse(dsn)
		require.NoError(crew, err)
		connection, err := net.DialTimeout("tcp", u.Host, 100*time.Millisecond) // one that is cut off does not answer
		if err == nil {
			_ = connection.Close()
		} else if node := i + 1; errors.Is(err, syscall.ECONNREFUSED) && !down[node] {
			crew.faults["node ended by itself"]++
			c.run("start", node)
		}
	}
}

// crash kills a node, lets the others work, and has it join again.
func (c cluster) crash(node int, down map[int]bool) fault {
	return fault{"node crashed", func(crew *crew) {
		down[node] = true
		c.run("kill", node)
		crew.progress("work without the node that crashed", 20)
		c.run("start", node)
		down[node] = false
	}}
}

// machineLost kills a node and the schedulers that use it, for good. Others take their places on
// the first node.
func (c cluster) machineLost(node int, down map[int]bool) fault {
	return fault{"machine lost", func(crew *crew) {
		down[node] = true
		c.run("kill", node)
		lost := crew.nodes[node-1]
		for _, m := range slices.Clone(crew.members) {
			if m.node == lost {
				m.node = crew.nodes[0]
				crew.replace(m, m.job)
			}
		}
	}}
}

// refusesCommit: a node that is not ready refuses to end a transaction, and keeps it open. What
// it did is not committed by the next one on that connection.
func (c cluster) refusesCommit(w *world, nodes []testdb.Database) {
	for i, options := range [][]locking.Option{nil, ownIsolation} {
		id := fmt.Sprint(i)
		w.dag(id, 1)
		w.queue(id, 2, past, time.Minute)
		db := nodes[0].Open(w, options...)
		pool, err := db.DB()
		require.NoError(w, err)
		pool.SetMaxOpenConns(1)
		r, err := repo.New(db)
		require.NoError(w, err)
		_, err = locking.InTx(w.ctx, db, func(tx *gorm.DB) (struct{}, error) {
			err := tx.Model(&models.Dag{DagID: id}).UpdateColumn("max_active_runs", 2).Error
			return struct{}{}, errors.Join(err, w.db.Exec("SET GLOBAL wsrep_reject_queries = ALL").Error)
		})
		require.NoError(w, w.db.Exec("SET GLOBAL wsrep_reject_queries = NONE").Error)
		require.ErrorIs(w, err, locking.ErrCommitUnknown)
		require.ErrorContains(w, err, "1047")
		for w.count(dagGate(id), models.Running) == 0 { // the gate is held until the node has rolled back
			_, err = r.Admit(w.ctx)
			require.NoError(w, err)
			require.NoError(w, w.ctx.Err())
		}
		require.Equal(w, 1, w.count(dagGate(id), models.Running), "the limit is what it was")
	}
}

// cutOff freezes a node until the others have gone on without it.
func (c cluster) cutOff(node int) fault {
	return fault{"node cut off", func(crew *crew) {
		c.run("freeze", node)
		crew.until("the others go on without the node", func() bool { return c.members(crew) < len(c.dsns) })
		crew.progress("work without the node that was cut off", 20)
		c.run("thaw", node)
		crew.until("the node is back", func() bool { return c.members(crew) == len(c.dsns) })
	}}
}

// members is how many nodes the cluster has, in the eyes of the first.
func (c cluster) members(crew *crew) (n int) {
	query := "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE member_state = 'ONLINE'"
	if c.name == "Galera" {
		query = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_cluster_size'"
	}
	_ = crew.db.WithContext(crew.ctx).Raw(query).Row().Scan(&n)
	return n
}
