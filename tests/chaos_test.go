package tests

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/testdb"
)

// Chaos: everything that breaks, by chance, while schedulers in processes of their own admit
// runs on a server of the test's own. The short form has each fault once. The long one (make
// prove) goes on for USHER_CHAOS_TIME, ten minutes if that is not set, in which there are a
// hundred kills and five crashes of the server.

func TestChaosPostgreSQL(t *testing.T) { chaosOnServer(t, "postgres", "PostgreSQL") }
func TestChaosMySQL(t *testing.T)      { chaosOnServer(t, "mysql", "MySQL") }
func TestChaosMariaDB(t *testing.T)    { chaosOnServer(t, "mariadb", "MariaDB") }

func TestChaosSQLiteModernc(t *testing.T) { chaosOnFile(t, testdb.SQLite(t, "sqlite")) }

// chaosTime is how long faults are injected, and how often each at least.
func chaosTime(t testing.TB) (lasting time.Duration, each int) {
	text := os.Getenv("USHER_CHAOS_TIME")
	switch {
	case text == "" && !prove():
		return 0, 1
	case text == "":
		text = "10m"
	}
	lasting, err := time.ParseDuration(text)
	require.NoError(t, err, "USHER_CHAOS_TIME is a time, as 10m is")
	return lasting, max(1, int(lasting/(100*time.Second)))
}

// watched is the job of schedulers that others take for dead when they are silent.
var watched = work{DeadAfter: takenForDead}

func chaosOnServer(t *testing.T, kind, engine string) {
	s := start(t, kind, engine)
	node := s.database(t)[0]
	w := newWorld(t, node)
	through, seen := w.through(node)
	lasting, each := chaosTime(t)
	c := w.muster(watched, lasting+5*time.Minute, node, seen) // half of the schedulers connect through the relay
	c.progress("the start", 50)
	faults := []fault{stopped, held, disconnected, restarted(s), through.slows(), through.cuts(), through.halfCloses(), through.loses()}
	c.suffer(append(faults, c.kills()...), each, lasting)
	c.over()
	c.Logf("COMMITs of passes lost: %d, of which the server heard %d", through.lost.Load(), through.heard.Load())
}

func chaosOnFile(t *testing.T, d testdb.Database) {
	faults := []fault{stopped, heldBriefly}
	if prove() {
		var disk string
		d, disk = onSmallDisk(t, d)
		faults = append(faults, full(disk))
	}
	lasting, each := chaosTime(t)
	c := newWorld(t, d).muster(watched, lasting+5*time.Minute, d)
	c.progress("the start", 50)
	c.suffer(append(faults, c.kills()...), each, lasting)
	c.over()
}

// kills are many.
func (c *crew) kills() []fault {
	if !prove() {
		return slices.Repeat([]fault{killed}, 6)
	}
	others := early(c)
	return append(slices.Repeat([]fault{killed}, 18-len(others)), others...)
}

// killed is a scheduler killed with SIGKILL.
var killed = fault{"scheduler killed", func(c *crew) { c.replace(c.anyone(), c.job) }}

// stopped is half of the schedulers stopped where they are, maybe with gates in their hands, for
// longer than the silence after which others take them for dead and execute their runs.
var stopped = fault{"half of the schedulers stopped", func(c *crew) {
	some := slices.Clone(c.members[:len(c.members)/2])
	for _, m := range some {
		m.signal(syscall.SIGSTOP)
	}
	c.during(takenForDead + takenForDead/3)
	for _, m := range some {
		m.signal(syscall.SIGCONT)
	}
}}

// held is a long transaction of somebody else on a gate: the others go on.
var held = fault{"gate held by somebody else", func(c *crew) {
	c.holding(dagGate("a"), func() { c.progress("other gates go on", 10) })
}}

// heldBriefly is the same where one transaction writes at a time.
var heldBriefly = fault{"database held by somebody else", func(c *crew) {
	c.holding(dagGate("a"), func() { wait(c.ctx, 300*time.Millisecond) })
}}

// disconnected is every connection killed by the server.
var disconnected = fault{"connections killed", func(c *crew) {
	if c.d.Engine == "PostgreSQL" {
		_ = c.db.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		return
	}
	_ = c.db.Connection(func(own *gorm.DB) error {
		var ids []int64
		err := own.Raw("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()").Scan(&ids).Error
		require.NotEmpty(c, ids, "%v", err)
		for _, id := range ids {
			_ = own.Exec("KILL ?", id) // it may have gone meanwhile
		}
		return nil
	})
}}

// restarted is the server crashed and started again.
func restarted(s *ownServer) fault {
	return fault{"server crashed", func(*crew) {
		s.run("kill", 1)
		s.run("start", 1)
	}}
}

func (r *relay) slows() fault {
	return fault{"network slow", func(c *crew) {
		r.slow.Store(int64(20 * time.Millisecond))
		c.progress("runs end on a slow network", 10)
		r.slow.Store(0)
	}}
}

func (r *relay) cuts() fault {
	return fault{"connections cut", func(*crew) { r.each((*pair).close) }}
}

func (r *relay) halfCloses() fault {
	return fault{"connections half closed", func(*crew) {
		r.each(func(p *pair) { _ = p.server.CloseWrite() })
	}}
}

func (r *relay) loses() fault {
	return fault{"20 COMMITs of passes lost", func(c *crew) { r.loseCommits(c, 20) }}
}

// loseCommits goes on until so many COMMITs of passes have been lost.
func (r *relay) loseCommits(c *crew, n int64) {
	r.lose.Store(n)
	c.until("COMMITs are lost", func() bool {
		c.feed()
		return r.lose.Load() == 0
	})
}

func TestLostCommitPostgreSQL(t *testing.T) { lostCommits(t, testdb.PostgreSQL(t)) }
func TestLostCommitMySQL(t *testing.T)      { lostCommits(t, testdb.MySQL(t)) }
func TestLostCommitMariaDB(t *testing.T)    { lostCommits(t, testdb.MariaDB(t)) }

// lostCommits: of the COMMITs of passes the answers to some are lost, half of which the server
// heard. Nobody is taken for dead here. So who admitted a run without being told has to find it
// by itself, and each run is handled in its first attempt, once.
func lostCommits(t *testing.T, d testdb.Database) {
	n := int64(20)
	if prove() {
		n = 500
	}
	w := newWorld(t, d)
	through, seen := w.through(d)
	c := w.muster(work{DeadAfter: time.Hour}, 10*time.Minute, seen)
	c.progress("the start", 50)
	through.loseCommits(c, n)
	require.Zero(t, c.over(), "no run is queued again")
	require.Equal(t, []int64{n, n / 2}, []int64{through.lost.Load(), through.heard.Load()}, "COMMITs lost, and heard by the server")
	t.Logf("COMMITs of passes lost: %d, of which the server heard %d", n, n/2)
}
