package tests

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/repo"
)

// Who copies the README's program into a module of their own, and opens their database as it
// says, has runs admitted within the limit, by three processes at once.

func TestReadmePostgreSQL(t *testing.T) { follow(t, "PostgreSQL", testdb.PostgreSQL(t)) }

func TestReadmeMySQL(t *testing.T) { follow(t, "MySQL, MariaDB", testdb.MySQL(t)) }

func TestReadmeMariaDB(t *testing.T) { follow(t, "MySQL, MariaDB", testdb.MariaDB(t)) }

func TestReadmeSQLiteModernc(t *testing.T) {
	t.Setenv("CGO_ENABLED", "0")
	follow(t, "SQLite, without cgo", testdb.SQLite(t, "sqlite"))
}

// follow does as the README says for a line of its table, with the database d in place of that
// which it names.
func follow(t *testing.T, line string, d testdb.Database) {
	u, err := url.Parse(d.DSN)
	require.NoError(t, err)
	source := programOfReadme(t, line)
	for theirs, ours := range map[string]string{
		"postgres://user:password@host:5432/app": d.DSN,
		"user:password@tcp(host:3306)/app":       u.User.String() + "@tcp(" + u.Host + ")" + u.Path,
		"app.db":                                 strings.TrimPrefix(d.DSN, "sqlite:"),
	} {
		source = strings.ReplaceAll(source, theirs, ours)
	}
	p := importing(t, source)
	p.goIn(p.dir, "build", "-o", "app", ".")
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			out, err := exec.CommandContext(t.Context(), filepath.Join(p.dir, "app")).CombinedOutput()
			assert.NoError(t, err, string(out))
		})
	}
	all.Wait()

	r, err := repo.New(d.Open(t))
	require.NoError(t, err)
	runs, err := r.Runs(t.Context(), repo.RunQuery{})
	require.NoError(t, err)
	require.Len(t, runs, 15)
	for violation, err := range r.Audit(t.Context(), "") {
		require.NoError(t, err)
		require.Fail(t, "the limit was exceeded", "%+v", violation)
	}
}

// programOfReadme is the README's program, with the database opened as that line says.
func programOfReadme(t *testing.T, line string) string {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	program := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindStringSubmatch(string(text))
	require.NotNil(t, program, "the README has a whole program")
	how := regexp.MustCompile(`(?m)^\| ` + line + " \\| `(([a-z]+)\\..+?)`(?:.*`import (.+)`)?.*\\|$").FindStringSubmatch(string(text))
	require.NotNil(t, how, "the README says how to open %s", line)
	source := strings.Replace(program[1], `"gorm.io/driver/sqlite"`, `"gorm.io/driver/`+how[2]+"\"\n"+how[3]+"\n", 1)
	return strings.Replace(source, `sqlite.Open("quickstart.db")`, how[1], 1)
}
