package examples

import (
	"bytes"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// cluster has tests/clusters.sh do something with the nodes that are this test's own.
func cluster(t *testing.T, command string, node ...string) string {
	cmd := exec.Command("../tests/clusters.sh", append([]string{command, "galera-regions"}, node...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, "%s: %s", command, &complaints)
	return string(out)
}

// TestRegionsMariaDB: a scheduler in each of two regions, the first of which loses its node, and
// then its scheduler. (The third node decides, as Galera needs it, which of two is cut off.)
func TestRegionsMariaDB(t *testing.T) {
	t.Cleanup(func() { cluster(t, "down") })
	servers := strings.Fields(cluster(t, "up"))
	require.Len(t, servers, 3)
	west := testdb.On(t, "MariaDB", servers[1]) // its node stays
	own, err := url.Parse(west.DSN)
	require.NoError(t, err)
	var nodes []string // in the driver's form
	for _, server := range servers[:2] {
		u, err := url.Parse(server)
		require.NoError(t, err)
		nodes = append(nodes, u.User.String()+"@tcp("+u.Host+")"+own.Path)
	}
	db := west.Open(t)
	r, err := repo.New(db)
	require.NoError(t, err)
	require.NoError(t, r.Migrate(t.Context()))
	_, err = r.SetDag(t.Context(), "sync", repo.MaxActiveRuns(3))
	require.NoError(t, err)
	queued := make([]models.DagRun, 300)
	for i := range queued {
		queued[i].DagID = "sync"
	}
	_, err = r.Enqueue(t.Context(), queued...)
	require.NoError(t, err)

	c := newCrew(t, "./examples/regions")
	jobs := func(n int) (found []repo.JobStatus) {
		c.until("schedulers have registered", func() bool {
			found, err = r.Jobs(t.Context(), false)
			require.NoError(t, err)
			return len(found) == n
		})
		return found
	}
	reached := func(n int) func() bool {
		return func() bool {
			ended, _ := c.executed("")
			return len(ended) >= n
		}
	}
	first := c.start(nil, nodes[0], nodes[1])
	its := jobs(1)[0].ID
	c.start(nil, nodes[1], nodes[0])
	jobs(2)
	c.until("both work", reached(10))
	cluster(t, "kill", "1")
	c.until("the work goes on without the node", reached(60))
	c.until("the first one has runs in hand", func() bool {
		require.NoError(t, first.Process.Signal(syscall.SIGSTOP))
		if slices.ContainsFunc(jobs(2), func(j repo.JobStatus) bool { return j.ID == its && j.Running > 0 }) {
			return true
		}
		require.NoError(t, first.Process.Signal(syscall.SIGCONT))
		return false
	})
	require.NoError(t, first.Process.Kill())
	_ = first.Wait()
	c.members = c.members[1:]
	c.until("the other region does the rest", func() bool {
		runs, err := r.Runs(t.Context(), repo.RunQuery{DagID: "sync", State: models.Success})
		require.NoError(t, err)
		return len(runs) == 300
	})
	c.end()
	_, peak := c.executed("")
	require.Equal(t, 3, peak, c.text())
	require.NotContains(t, c.text(), "taken for dead", "the first one was alive until it was killed")
}
