package dialect

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/CLUSTERS.md lists what detection gives to engines that were not run.
func TestClustersDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/CLUSTERS.md")
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (.+?) \\| `(.+?)` \\| (.+?) \\|$").FindAllStringSubmatch(string(text), -1) {
		name, banner, strategy := row[1], row[2], row[3]
		server := said{d: postgres{}, version: banner}
		if !strings.HasPrefix(banner, "PostgreSQL") && !strings.HasPrefix(banner, "CockroachDB") {
			server.d = mysql{}
		}
		found, err := server.identify()
		require.NoError(t, err, banner)
		require.Equal(t, strategy, found.Strategy.String(), banner)
		engine, _, _ := strings.Cut(name, " before ")
		if _, as, ok := strings.Cut(name, ": as "); ok {
			engine = as
		}
		require.Equal(t, engine, found.Engine, banner)
		listed[found.Engine] = true
	}
	for _, c := range compatibles {
		require.True(t, listed[c.engine], "docs/CLUSTERS.md does not list %s", c.engine)
	}
	require.True(t, listed["Aurora DSQL"])
}
