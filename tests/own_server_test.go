package tests

import (
	"bytes"
	"fmt"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// ownServer is a server or a cluster that the test may break; tests/clusters.sh starts it.
type ownServer struct {
	testing.TB
	kind, engine string
	dsns         []string // of the nodes
}

// start makes a server of its own for the test. When it cannot, the test has failed.
func start(t testing.TB, kind, engine string) *ownServer {
	s := &ownServer{TB: t, kind: kind, engine: engine}
	t.Cleanup(func() {
		if t.Failed() {
			s.lastWords()
		}
		s.run("down")
	})
	s.dsns = strings.Fields(s.run("up"))
	require.NotEmpty(t, s.dsns)
	return s
}

// lastWords shows the end of each node's log, which goes away with the node.
func (s *ownServer) lastWords() {
	for i := range s.dsns {
		lines := strings.Split(s.run("log", i+1), "\n")
		s.Logf("node %d of %s:\n%s", i+1, s.kind, strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}

// run has the script do something, with a node or not.
func (s *ownServer) run(command string, node ...int) string {
	args := []string{command, s.kind}
	for _, n := range node {
		args = append(args, strconv.Itoa(n))
	}
	cmd := exec.Command("./clusters.sh", args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(s, err, "%s %s: %s", command, s.kind, &complaints)
	return string(out)
}

// database makes a fresh database, and returns it as each node has it.
func (s *ownServer) database(t testing.TB) (nodes []testdb.Database) {
	first := testdb.On(t, s.engine, s.dsns[0])
	made, err := url.Parse(first.DSN)
	require.NoError(t, err)
	for _, dsn := range s.dsns {
		u, err := url.Parse(dsn)
		require.NoError(t, err)
		u.Path = made.Path
		d := first
		d.DSN = u.String()
		nodes = append(nodes, d)
	}
	return nodes
}

// reached opens the database on a node, once the node has heard of it.
func (w *world) reached(node testdb.Database, options ...locking.Option) *gorm.DB {
	for {
		db, err := node.Connect()
		if err == nil {
			pool, err := db.DB()
			require.NoError(w, err)
			require.NoError(w, pool.Close())
			return node.Open(w, options...)
		}
		require.NoError(w, w.ctx.Err(), "%v", err)
	}
}

// agree waits until every node has what the world's own has.
func (w *world) agree(nodes []*gorm.DB) {
	count := func(db *gorm.DB) string {
		var runs, open int64
		_ = db.Model(&models.DagRun{}).Count(&runs)
		_ = db.Model(&models.DagRun{}).Where("state IN ?", []models.State{models.Queued, models.Running}).Count(&open)
		return fmt.Sprint(runs, open)
	}
	want := count(w.db)
	for _, db := range nodes {
		for count(db) != want {
			require.NoError(w, w.ctx.Err(), "the nodes do not agree")
		}
	}
}
