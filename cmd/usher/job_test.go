package main_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// jobs lists schedulers, and takes back what dead ones had in hand.
func jobs(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl")
	db := d.Open(t)
	for i, to := range []string{"queued", "failed"} {
		done(t, d.DSN, "run", "queue", "etl", "--run-id", to)
		r, err := repo.New(db)
		require.NoError(t, err)
		job, err := r.Register(t.Context())
		require.NoError(t, err)
		runs, err := r.Admit(t.Context())
		require.NoError(t, err)
		require.Len(t, runs, i+1) // the one that was queued again, too
		listed := objects(t, d.DSN, "job", "list")
		require.Equal(t, []any{float64(job.ID)}, values(listed, "id"))
		require.Equal(t, []any{"running"}, values(listed, "state"))
		require.Equal(t, []any{float64(i + 1)}, values(listed, "running"))
		require.Equal(t, []any{job.Hostname}, values(listed, "hostname"))
		require.Regexp(t, strconv.FormatInt(job.ID, 10)+` +running .*Z +`+strconv.Itoa(i+1), done(t, d.DSN, "job", "list"))

		require.Empty(t, objects(t, d.DSN, "job", "recover", "--silent-for", "1h", "--as", to), "it is alive")
		require.NoError(t, db.Model(&job).UpdateColumn("latest_heartbeat", models.At(time.Now().Add(-2*time.Hour))).Error)
		recovered := objects(t, d.DSN, "job", "recover", "--silent-for", "1h", "--as", to)
		require.Len(t, recovered, i+1)
		require.Equal(t, to, recovered[0]["state"])
		require.Empty(t, objects(t, d.DSN, "job", "list"))
		require.Len(t, objects(t, d.DSN, "job", "list", "--all"), i+1)
	}
	before := contents(t, d)
	for _, args := range [][]string{
		{"recover"},
		{"recover", "--silent-for", "0s"},
		{"recover", "--silent-for", "x"},
		{"recover", "--silent-for", "-1s"},
		{"recover", "--silent-for", "1s", "--as", "success"},
		{"recover", "x"},
		{"list", "x"},
	} {
		refused(t, usher(t, d.DSN, append([]string{"job"}, args...)...), 2)
	}
	require.Equal(t, before, contents(t, d), "nothing has changed")
}
