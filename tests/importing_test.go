package tests

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// importer is a program in a module of its own, as a user of usher has it.
type importer struct {
	*testing.T
	dir string
}

// importing makes one out of its main.go. It takes usher from this tree, and everything else in
// the versions that this tree has.
func importing(t *testing.T, main string) importer {
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	p := importer{t, t.TempDir()}
	text := "module importer\n\ngo 1.26.0\n\nrequire (\n"
	for _, line := range strings.Split(p.goIn(root, "list", "-m", "-f", "{{if not .Main}}{{.Path}} {{.Version}}{{end}}", "gorm.io/gorm",
		"gorm.io/driver/postgres", "github.com/jackc/pgx/v5", "gorm.io/driver/mysql", "github.com/go-sql-driver/mysql", "gorm.io/driver/sqlite", "github.com/mattn/go-sqlite3", "modernc.org/sqlite"), "\n") {
		text += "\t" + line + "\n"
	}
	text += "\t" + itself + " v0.0.0\n)\n\nreplace " + itself + " => " + root + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "go.mod"), []byte(text), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "main.go"), []byte(main), 0o600))
	p.goIn(p.dir, "mod", "tidy")
	return p
}

// goIn runs the go command in a folder, and returns what it says.
func (p importer) goIn(dir string, arguments ...string) string {
	command := exec.Command("go", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	require.NoError(p, err, "go %v: %s", arguments, &complaints)
	return strings.TrimSpace(string(out))
}

// linked are the modules in its binary, by what that says of itself.
func (p importer) linked() (modules []string) {
	binary := filepath.Join(p.dir, "importer")
	p.goIn(p.dir, "build", "-o", binary, ".")
	info, err := buildinfo.ReadFile(binary)
	require.NoError(p, err)
	for _, module := range info.Deps {
		modules = append(modules, module.Path)
	}
	slices.Sort(modules)
	return modules
}

// inGoSum are the modules whose content its go.sum vouches for.
func (p importer) inGoSum() (modules []string) {
	text, err := os.ReadFile(filepath.Join(p.dir, "go.sum"))
	require.NoError(p, err)
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 3 && !strings.HasSuffix(words[1], "/go.mod") {
			modules = append(modules, words[0])
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}

// unexplained are those of the modules of which `go mod why` does not know what they are for.
func (p importer) unexplained(modules []string) (unknown []string) {
	for _, module := range modules {
		if strings.Contains(p.goIn(p.dir, "mod", "why", "-m", module), "main module does not need") {
			unknown = append(unknown, module)
		}
	}
	return unknown
}

const onPostgres = `package main

import (
	"context"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	%s
)

func main() {
	db, err := gorm.Open(postgres.Open(""))
	if err != nil {
		panic(err)
	}
	%s
	_ = context.Background
}
`

var itself = strings.TrimSuffix(module, "/")

// TestImporting: to an application on PostgreSQL, usher adds nothing but itself.
func TestImporting(t *testing.T) {
	without := importing(t, fmt.Sprintf(onPostgres, "", "_ = db"))
	with := importing(t, fmt.Sprintf(onPostgres, `"`+itself+`/locking"
	"`+itself+`/repo"`, `_ = db.Use(locking.New())
	r, _ := repo.New(db)
	_, _ = r.Admit(context.Background())`))
	plain := without.linked()
	require.Contains(t, plain, "gorm.io/gorm")
	require.Contains(t, plain, "github.com/jackc/pgx/v5")
	require.ElementsMatch(t, append(slices.Clone(plain), itself), with.linked())
	packages := strings.Fields(with.goIn(with.dir, "list", "-deps", "."))
	packages = slices.DeleteFunc(packages, func(name string) bool { return !strings.HasPrefix(name, itself) })
	require.ElementsMatch(t, []string{itself + "/dialect", itself + "/locking", itself + "/models", itself + "/repo"}, packages)

	sums := with.inGoSum()
	require.Subset(t, sums, plain)
	require.Empty(t, with.unexplained(sums))
	require.Equal(t, []string{"github.com/spf13/cobra"}, with.unexplained([]string{"gorm.io/gorm", "github.com/spf13/cobra"}), "the control")
}
