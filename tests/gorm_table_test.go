package tests

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const table = "../docs/GORM.md"

// engines are the columns of the table.
var engines = []string{"PostgreSQL", "MySQL", "MariaDB", "SQLite (mattn)", "SQLite (modernc)", "SQLite (glebarez)"}

// inTable writes what has become of a usage on the world's engine into docs/GORM.md, when
// USHER_TEST_WRITE is set, or compares it with what is there.
func (w *world) inTable(name, result string) {
	text, err := os.ReadFile(table)
	require.NoError(w, err)
	before, after := around(w, string(text))
	found := cells(string(text))
	if os.Getenv("USHER_TEST_WRITE") == "" {
		require.Equal(w, result, found[name][w.d.Engine], "docs/GORM.md, %s on %s: write it anew with USHER_TEST_WRITE=1", name, w.d.Engine)
		return
	}
	if found[name] == nil {
		found[name] = map[string]string{}
	}
	found[name][w.d.Engine] = result
	require.NoError(w, os.WriteFile(table, []byte(before+rows(found)+after), 0o644))
}

// around is what stands before the table's rows and after.
func around(t require.TestingT, text string) (before, after string) {
	head, rest, found := strings.Cut(text, "| --- |")
	require.True(t, found, "docs/GORM.md has no table")
	ruler, rest, _ := strings.Cut(rest, "\n")
	for strings.HasPrefix(rest, "|") {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	return head + "| --- |" + ruler + "\n", rest
}

// cells are the results in the table, by usage and engine.
func cells(text string) map[string]map[string]string {
	found := map[string]map[string]string{}
	for line := range strings.Lines(text) {
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || len(row) != len(engines)+2 {
			continue
		}
		results := map[string]string{}
		for i, engine := range engines {
			results[engine] = strings.TrimSpace(row[i+1])
		}
		found[strings.TrimSpace(row[0])] = results
	}
	return found
}

// rows are the lines of the table.
func rows(found map[string]map[string]string) string {
	var b strings.Builder
	for _, u := range usages {
		fmt.Fprintf(&b, "| %s", u.name)
		for _, engine := range engines {
			result := found[u.name][engine]
			if !u.triedOn(engine) {
				result = "–"
			}
			fmt.Fprintf(&b, " | %s", result)
		}
		fmt.Fprintf(&b, " | %s |\n", u.note)
	}
	return b.String()
}

// TestGORMTable: the table has the usages that are tried, in their order, with their notes, and
// each engine's result.
func TestGORMTable(t *testing.T) {
	text, err := os.ReadFile(table)
	require.NoError(t, err)
	before, after := around(t, string(text))
	found := cells(string(text))
	require.Equal(t, before+rows(found)+after, string(text), "write it anew with USHER_TEST_WRITE=1")
	for _, u := range usages {
		for _, engine := range engines {
			require.NotEmpty(t, found[u.name][engine], "%s on %s", u.name, engine)
		}
	}
}
