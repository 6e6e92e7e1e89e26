package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
)

// audit finds nothing in what usher has admitted, and what was wrong under a lower limit.
func audit(t *testing.T, d testdb.Database) {
	done(t, d.DSN, "migrate")
	done(t, d.DSN, "dag", "set", "etl", "--max-active-runs", "7")
	done(t, d.DSN, "run", "queue", "etl", "--run-id", "r", "--count", "7")
	done(t, d.DSN, "admit")
	fine := usher(t, d.DSN, "audit")
	require.Equal(t, 0, fine.status)
	require.Empty(t, fine.stdout)
	require.Contains(t, fine.stderr, "no gate ever held more")
	require.Empty(t, objects(t, d.DSN, "audit"))

	done(t, d.DSN, "dag", "set", "etl", "--max-active-runs", "3")
	people := usher(t, d.DSN, "audit")
	require.Equal(t, 1, people.status)
	require.Regexp(t, `dag +etl +3 +7 +20\S+Z +r_1, r_2, r_3, r_4, r_5, and 2 more`, people.stdout)
	require.Equal(t, "usher: limits were exceeded: 1 times, the limits being those of now\n", people.stderr)
	programs := usher(t, d.DSN, "audit", "--json")
	require.Equal(t, 1, programs.status)
	require.Equal(t, people.stderr, programs.stderr)
	require.Equal(t, 1, strings.Count(programs.stdout, "\n"))
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(programs.stdout), &v))
	require.NotNil(t, v["from"])
	require.Nil(t, v["to"])
	require.Len(t, v["runs"], 7)
	for key, want := range map[string]any{"kind": "dag", "dag_id": "etl", "backfill_id": 0.0, "max_active_runs": 3.0, "peak": 7.0, "total": 7.0} {
		require.Equal(t, want, v[key], key)
	}
	require.Equal(t, 1, usher(t, d.DSN, "audit", "--dag", "etl").status)
	done(t, d.DSN, "dag", "set", "other")
	require.Equal(t, 0, usher(t, d.DSN, "audit", "--dag", "other").status)
}
