package tests

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A source is one Go file of the tree, by its path from the root.
type source struct {
	path string
	*ast.File
	lines func(ast.Node) int
}

func (s source) dir() string  { return path.Dir(s.path) }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// within reports whether the file is in one of the folders.
func (s source) within(folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(s.path, f+"/") })
}

func parse(t *testing.T, name string, text []byte) source {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	return source{name, file, func(n ast.Node) int { return set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1 }}
}

// A rule lists what breaks it.
type rule struct {
	name  string
	check func([]source) []string
	// broken are files that break it, one of which each is reported; kept are files that do not.
	broken, kept map[string]string
}

func TestArchitecture(t *testing.T) {
	var tree []source
	require.NoError(t, filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return cmp.Or(err, fs.SkipDir)
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		rel, _ := filepath.Rel("..", name)
		tree = append(tree, parse(t, filepath.ToSlash(rel), text))
		return err
	}))
	require.Greater(t, len(tree), 50)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			require.Empty(t, r.check(tree), "%s", strings.Join(r.check(tree), "\n"))
			for name, text := range r.broken {
				require.NotEmpty(t, r.check([]source{parse(t, name, []byte(text))}), "the rule does not see what breaks it in %s:\n%s", name, text)
			}
			for name, text := range r.kept {
				require.Empty(t, r.check([]source{parse(t, name, []byte(text))}), "the rule sees what does not break it in %s:\n%s", name, text)
			}
		})
	}
}

// each makes a rule of one file out of one that reports the positions and texts of what breaks it.
func each(check func(s source, report func(format string, args ...any))) func([]source) []string {
	return func(tree []source) (broken []string) {
		for _, s := range tree {
			check(s, func(format string, args ...any) { broken = append(broken, s.path+": "+fmt.Sprintf(format, args...)) })
		}
		return broken
	}
}

const module = "github.com/usher-go/usher/"

var driver = regexp.MustCompile(`^(gorm\.io/driver/|github\.com/(go-sql-driver|mattn/go-sqlite3|jackc/pgx|lib/pq|glebarez|ncruces)|modernc\.org/sqlite)`)

// layers are the packages that users build on, with those of usher's that each may import.
var layers = map[string][]string{
	"dialect": {}, "models": {"dialect"}, "locking": {"dialect"}, "repo": {"locking", "models", "dialect"},
	"schedule": {"repo"}, "runner": {"repo", "models", "locking"}, "migrations": {}, "transfer": {"models", "locking"},
}

// foreign are the modules that a layer may import besides GORM.
var foreign = map[string]string{"schedule": "github.com/netresearch/go-cron"}

func imports(s source, report func(string, ...any)) {
	for _, i := range s.Imports {
		name, _ := strconv.Unquote(i.Path.Value)
		own, isOwn := strings.CutPrefix(name, module)
		may, isLayer := layers[s.dir()]
		switch {
		case s.isTest():
		case own == "internal/testdb":
			report("only tests import %s", name)
		case driver.MatchString(name) && !s.within("internal/opendb", "internal/testdb", "tests", "examples"):
			report("imports the driver %s, which internal/opendb alone does", name)
		case isLayer && isOwn && !slices.Contains(may, own):
			report("imports %s, against the arrow", own)
		case isLayer && name == foreign[s.dir()]:
		case isLayer && !isOwn && strings.Contains(name, ".") && name != "gorm.io/gorm" && !strings.HasPrefix(name, "gorm.io/gorm/"):
			report("imports %s, which is neither the standard library nor GORM", name)
		}
	}
}

// literals reports string literals.
func literals(s source, report func(literal string)) {
	ast.Inspect(s.File, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			text, _ := strconv.Unquote(l.Value)
			report(text)
		}
		return true
	})
}

// selectors reports x.name wherever it is used: the text of x, when x is a name, and name.
func selectors(s source, report func(x, name string)) {
	ast.Inspect(s.File, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			x, _ := sel.X.(*ast.Ident)
			if x == nil {
				x = ast.NewIdent("")
			}
			report(x.Name, sel.Sel.Name)
		}
		return true
	})
}

func engineNames(s source, report func(string, ...any)) {
	if s.isTest() || s.within("dialect", "internal/opendb", "internal/testdb", "tests", "examples/switch") {
		return
	}
	literals(s, func(text string) {
		if slices.Contains([]string{"sqlite", "postgres", "mysql", "mariadb"}, text) {
			report("names the engine %q", text)
		}
	})
}

var lockSQL = regexp.MustCompile(`\bFOR (NO KEY )?(UPDATE|SHARE)\b|\bLOCK IN SHARE MODE\b`)

func locks(s source, report func(string, ...any)) {
	if s.isTest() || s.path == "locking/clause.go" || s.within("tests/bench") { // which has a rival's
		return
	}
	literals(s, func(text string) {
		if lockSQL.MatchString(text) || strings.Contains(text, "SKIP LOCKED") && !s.within("dialect") { // whose reasons speak of it
			report("writes a lock: %q", text)
		}
	})
	selectors(s, func(x, name string) {
		if x == "clause" && strings.HasPrefix(name, "Locking") {
			report("makes a lock clause")
		}
	})
}

// transactions: but for the applications of which there are examples.
func transactions(s source, report func(string, ...any)) {
	ast.Inspect(s.File, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if ok && slices.Contains([]string{"Transaction", "Begin", "BeginTx"}, sel.Sel.Name) && !s.isTest() && s.path != "locking/tx.go" && !s.within("examples") {
			report("begins a transaction with %s", sel.Sel.Name)
		}
		return true
	})
}

func globals(s source, report func(string, ...any)) {
	for _, d := range s.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			report("has an init function")
		}
	}
	if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "base"}, s.Name.Name) {
		report("package %s says nothing", s.Name.Name)
	}
}

func clocks(s source, report func(string, ...any)) {
	selectors(s, func(x, name string) {
		switch {
		case x != "time":
		case name == "Sleep" && s.isTest():
			report("a test sleeps")
		case (name == "Now" || name == "Since") && !s.isTest() && !s.within("cmd", "internal/exercise", "examples", "otelusher", "tests/bench"):
			report("reads the clock of its own machine")
		}
	})
}

// documented: exported names, and in models the fields of structs.
func documented(s source, report func(string, ...any)) {
	if s.isTest() || s.Name.Name == "main" || s.within("tests") {
		return
	}
	for _, d := range s.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d))) {
				report("%s has no comment", d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				documentedSpec(s, d, spec, report)
			}
		}
	}
}

func documentedSpec(s source, d *ast.GenDecl, spec ast.Spec, report func(string, ...any)) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
				report("%s has no comment", name)
			}
		}
	case *ast.TypeSpec:
		if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
			report("%s has no comment", spec.Name)
		}
		fields, ok := spec.Type.(*ast.StructType)
		if !ok || !spec.Name.IsExported() || s.dir() != "models" {
			return
		}
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				if name.IsExported() && f.Doc == nil && f.Comment == nil {
					report("%s.%s has no comment", spec.Name, name)
				}
			}
		}
	}
}

// receiver is the name of the type that a method is of.
func receiver(f *ast.FuncDecl) string {
	t := f.Recv.List[0].Type
	for {
		switch of := t.(type) {
		case *ast.StarExpr:
			t = of.X
		case *ast.IndexExpr:
			t = of.X
		case *ast.Ident:
			return of.Name
		default:
			return ""
		}
	}
}

// packageComments: one file of each package says what the package is for.
func packageComments(tree []source) (broken []string) {
	has := map[string]bool{}
	for _, s := range tree {
		if s.isTest() && s.dir() != "tests" {
			continue
		}
		has[s.dir()] = has[s.dir()] || s.Doc != nil
	}
	for dir, ok := range has {
		if !ok {
			broken = append(broken, dir+": no package comment")
		}
	}
	return broken
}

// sizes of what is not a test: files are short, functions shorter.
func sizes(tree []source) (broken []string) {
	var files, functions []int
	for _, s := range tree {
		if s.isTest() {
			continue
		}
		n := s.lines(s.File) + 1
		files = append(files, n)
		if n > 250 {
			broken = append(broken, fmt.Sprintf("%s: %d lines", s.path, n))
		}
		for _, d := range s.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				functions = append(functions, s.lines(f))
				if s.lines(f) > 50 {
					broken = append(broken, fmt.Sprintf("%s: %s has %d lines", s.path, f.Name, s.lines(f)))
				}
			}
		}
	}
	if n := quantile(files, 50); n > 100 {
		broken = append(broken, fmt.Sprintf("half of the files have more than %d lines", n))
	}
	if n := quantile(functions, 90); n > 30 {
		broken = append(broken, fmt.Sprintf("a tenth of the functions have more than %d lines", n))
	}
	return broken
}

func quantile(of []int, percent int) int {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[(len(of)-1)*percent/100]
}

// in is a file with a function of the statements.
func in(statements string) string { return "package p\n\nfunc f() {\n" + statements + "\n}\n" }

var rules = []rule{
	{
		"imports", each(imports),
		map[string]string{
			"models/a.go":            `package models; import "github.com/usher-go/usher/locking"`,
			"dialect/a.go":           `package dialect; import "github.com/usher-go/usher/models"`,
			"locking/a.go":           `package locking; import "github.com/usher-go/usher/repo"`,
			"locking/b.go":           `package locking; import "gorm.io/driver/postgres"`,
			"repo/a.go":              `package repo; import "github.com/jackc/pgx/v5/pgconn"`,
			"repo/b.go":              `package repo; import "github.com/stretchr/testify/require"`,
			"repo/c.go":              `package repo; import "github.com/usher-go/usher/internal/opendb"`,
			"repo/d.go":              `package repo; import "github.com/usher-go/usher/schedule"`,
			"repo/e.go":              `package repo; import "github.com/netresearch/go-cron"`,
			"schedule/a.go":          `package schedule; import "github.com/usher-go/usher/locking"`,
			"schedule/b.go":          `package schedule; import "github.com/stretchr/testify/require"`,
			"transfer/a.go":          `package transfer; import "github.com/usher-go/usher/repo"`,
			"internal/other/a.go":    `package other; import _ "modernc.org/sqlite"`,
			"cmd/usher/a.go":         `package main; import "github.com/usher-go/usher/internal/testdb"`,
			"internal/exercise/a.go": `package exercise; import "gorm.io/driver/mysql"`,
		},
		map[string]string{
			"repo/a.go":            `package repo; import ("context"; "database/sql"; "gorm.io/gorm"; "gorm.io/gorm/clause"; "github.com/usher-go/usher/locking"; "github.com/usher-go/usher/dialect")`,
			"repo/a_test.go":       `package repo; import ("gorm.io/driver/postgres"; "github.com/usher-go/usher/internal/testdb")`,
			"internal/opendb/a.go": `package opendb; import "gorm.io/driver/postgres"`,
			"schedule/a.go":        `package schedule; import ("github.com/netresearch/go-cron"; "github.com/usher-go/usher/repo")`,
		},
	},
	{
		"engine names", each(engineNames),
		map[string]string{"repo/a.go": in(`_ = "mysql"`), "cmd/usher/a.go": in(`switch d { case "sqlite": }`), "locking/a.go": in("_ = `mariadb`"), "models/a.go": in(`_ = "postgres"`)},
		map[string]string{"repo/a.go": in(`_ = "see mysql's manual" // "mysql"`), "dialect/a.go": in(`_ = "mysql"`), "repo/a_test.go": in(`_ = "mysql"`)},
	},
	{
		"locks", each(locks),
		map[string]string{
			"repo/a.go": in(`db.Raw("SELECT 1 FOR UPDATE")`), "repo/b.go": in("db.Raw(`SELECT 1 \nFOR NO KEY UPDATE`)"), "locking/hold.go": in(`_ = "SKIP LOCKED"`),
			"repo/c.go": in(`db.Clauses(clause.Locking{Strength: "UPDATE"})`), "dialect/a.go": in(`_ = "SELECT id FOR UPDATE SKIP LOCKED"`), "cmd/usher/a.go": in(`_ = "SELECT 1 LOCK IN SHARE MODE"`),
		},
		map[string]string{"locking/clause.go": in(`_ = "FOR UPDATE SKIP LOCKED"; _ = clause.Locking{}`), "repo/a.go": in(`// FOR UPDATE SKIP LOCKED`), "repo/a_test.go": in(`_ = "FOR UPDATE"`), "dialect/a.go": in(`_ = "it has SKIP LOCKED"`)},
	},
	{
		"transactions", each(transactions),
		map[string]string{"repo/a.go": in(`r.db.Transaction(f)`), "locking/hold.go": in(`db.Begin()`), "cmd/usher/a.go": in(`db.WithContext(ctx).Begin(o)`), "dialect/a.go": in(`pool.BeginTx(ctx, nil)`)},
		map[string]string{"locking/tx.go": in(`db.Transaction(f)`), "repo/a.go": in(`locking.InTx(ctx, db, f)`), "repo/a_test.go": in(`db.Begin()`)},
	},
	{
		"no globals at work", each(globals),
		map[string]string{"repo/a.go": "package repo\nfunc init() {}", "internal/util/a.go": "package util", "misc/a.go": "package misc", "repo/a_test.go": "package repo\nfunc init() {}"},
		map[string]string{"repo/a.go": "package repo\ntype t int\nfunc (t) init() {}"},
	},
	{
		"clocks", each(clocks),
		map[string]string{"repo/a.go": in(`_ = time.Now()`), "repo/b.go": in(`f := time.Now; _ = f`), "locking/a.go": in(`_ = time.Since(t)`), "tests/a_test.go": in(`time.Sleep(time.Second)`), "repo/a_test.go": in(`time.Sleep(1)`)},
		map[string]string{"cmd/usher/a.go": in(`_ = time.Now()`), "tests/a_test.go": in(`_ = time.Now()`), "locking/tx.go": in(`<-time.After(1)`)},
	},
	{
		"documented", each(documented),
		map[string]string{
			"repo/a.go": "package repo\nfunc Exported() {}", "repo/b.go": "package repo\ntype T int", "repo/c.go": "package repo\n// T is.\ntype T int\nfunc (t *T) M() {}",
			"repo/d.go": "package repo\nconst (\n\tA = 1\n)", "repo/e.go": "package repo\nvar V int", "models/a.go": "package models\n// T is.\ntype T struct {\n\tField int\n}",
			"repo/f.go": "package repo\n// T is.\ntype T[K any] struct{}\nfunc (t T[K]) M() {}", "internal/opendb/a.go": "package opendb\nfunc Exported() {}",
		},
		map[string]string{
			"repo/a.go":      "package repo\n// These are.\nconst (\n\tA = 1\n)\n// Exported is.\nfunc Exported() {}\ntype t int\nfunc (t) M() {}\nconst (\n\tB = 1 // is\n)",
			"models/a.go":    "package models\n// T is.\ntype T struct {\n\t// Field is.\n\tField int\n\tother int\n\tLast int // is\n}",
			"cmd/usher/a.go": "package main\nfunc Exported() {}", "repo/a_test.go": "package repo\nfunc TestX() {}",
		},
	},
	{
		"examples", examples,
		map[string]string{
			"repo/a.go": "package repo\nfunc F() {}", "repo/b.go": "package repo\ntype T int\nfunc (t *T) M() {}", "locking/a.go": "package locking\nfunc F[K any]() (K, error) {}",
			"models/a.go":  "package models\nfunc F() {}\nfunc ExampleF() {}", // which is not run
			"locking/b.go": "package locking\nfunc Found() {}\nfunc ExampleFound() {\n\t// Output: x\n}",
		},
		map[string]string{
			"repo/a.go":      "package repo\nfunc F() {}\ntype T int\nfunc (t *T) M() {}\nfunc ExampleF() {\n\t// Output: x\n}\nfunc ExampleT_M() {\n\t// Output: x\n}",
			"repo/b.go":      "package repo\nfunc WithX() Option {}\nfunc Paused() DagSetting {}\ntype T int\nfunc (T) String() string {}\ntype t int\nfunc (t) M() {}\nfunc f() {}",
			"repo/a_test.go": "package repo\nfunc TestX() {}", "dialect/a.go": "package dialect\nfunc F() {}",
		},
	},
	{
		"package comments", packageComments,
		map[string]string{"repo/a.go": "package repo", "cmd/usher/main.go": "package main"},
		map[string]string{"repo/a.go": "// Package repo is.\npackage repo", "repo/a_test.go": "package repo"},
	},
	{
		"sizes", sizes,
		map[string]string{
			"repo/a.go": "package repo" + strings.Repeat("\nvar _ int", 250), "repo/b.go": "package repo" + strings.Repeat("\nvar _ int", 101),
			"repo/c.go": in(strings.Repeat("\n", 49)), "repo/d.go": in(strings.Repeat("\n", 30)),
		},
		map[string]string{"repo/a.go": in(strings.Repeat("\n", 20)), "repo/a_test.go": in(strings.Repeat("\n", 300))},
	},
}
