package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

// TestDashboard: each metric of the dashboard is one that the program shows, with the labels by
// which the dashboard asks for it.
func TestDashboard(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "observed.db")
	program := filepath.Join(dir, "observed")
	require.NoError(t, exec.Command("go", "build", "-o", program, ".").Run())
	cmd := exec.Command(program, "-listen", "127.0.0.1:0", "-db", file+"?_busy_timeout=20&_journal_mode=WAL")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait())
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)

	wanted := queried(t)
	require.GreaterOrEqual(t, len(wanted), 8)
	db, err := gorm.Open(sqlite.Open(file + "?_busy_timeout=10000&_journal_mode=WAL"))
	require.NoError(t, err)
	var missing []string
	for busy := 50 * time.Millisecond; busy < 20*time.Second; busy *= 2 {
		<-time.After(time.Second)
		if missing = lacking(wanted, shown(t, strings.TrimSpace(address))); len(missing) == 0 {
			return
		}
		keepOthersOut(t, db, busy)
	}
	require.Empty(t, missing, "the dashboard asks for what the program does not show")
}

// TestDocument: what docs/OBSERVING.md has of this program is in it.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/OBSERVING.md")
	require.NoError(t, err)
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(observer, .*?)```").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 1)
	for line := range strings.Lines(blocks[0][1]) {
		require.Contains(t, string(program), "\n\t"+line)
	}
}

// keepOthersOut is the writer for a time, so that the program's transactions have to be tried again,
// and when it is long enough, fail.
func keepOthersOut(t *testing.T, db *gorm.DB, busy time.Duration) {
	require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
		err := tx.Exec("DELETE FROM dag WHERE 1 = 0").Error
		<-time.After(busy)
		return err
	}))
}

// queried are the metrics that the dashboard asks for, each with its labels.
func queried(t *testing.T) map[string][]string {
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	wanted := map[string][]string{}
	for _, panel := range dashboard.Panels {
		require.NotEmpty(t, panel.Title)
		require.NotEmpty(t, panel.Targets)
		for _, target := range panel.Targets {
			labels := regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1)
			metrics := regexp.MustCompile(`\busher_\w+_(?:total|seconds|bucket|count|limit|runs)\b`).FindAllString(target.Expr, -1)
			require.NotEmpty(t, metrics, target.Expr)
			for _, metric := range metrics {
				wanted[metric] = append(wanted[metric], "")
				for _, label := range labels {
					if label[1] != "usher_backfill_id" { // there is no backfill here
						wanted[metric] = append(wanted[metric], label[1])
					}
				}
			}
		}
	}
	return wanted
}

// lacking are the metrics and labels that are not shown.
func lacking(wanted map[string][]string, lines []string) (missing []string) {
	for metric, labels := range wanted {
		for _, label := range labels {
			found := func(line string) bool {
				return strings.HasPrefix(line, metric+"{") && strings.Contains(line, label)
			}
			if !slices.ContainsFunc(lines, found) {
				missing = append(missing, metric+" "+label)
			}
		}
	}
	return missing
}

// shown are the lines that Prometheus would read.
func shown(t *testing.T, address string) []string {
	answer, err := http.Get(address)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return strings.Split(string(text), "\n")
}
