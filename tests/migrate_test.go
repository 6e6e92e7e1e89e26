package tests

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// trace is a GORM logger that keeps the statements, and what they failed with.
type trace struct {
	logger.Interface
	mu         sync.Mutex
	statements []string
	failures   []error
}

func (t *trace) LogMode(logger.LogLevel) logger.Interface { return t }

func (t *trace) Trace(_ context.Context, _ time.Time, statement func() (string, int64), err error) {
	sql, _ := statement()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.statements = append(t.statements, sql)
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		t.failures = append(t.failures, fmt.Errorf("%w: %s", err, sql))
	}
}

// traced is a scheduler whose statements are kept.
func (w *world) traced(options ...repo.Option) (*repo.Repo, *trace) {
	t := &trace{Interface: logger.Discard}
	r, err := repo.New(w.db.Session(&gorm.Session{Logger: t}), options...)
	require.NoError(w, err)
	return r, t
}

// alters tells whether a statement changes the schema.
func alters(statement string) bool {
	for _, verb := range []string{"CREATE", "ALTER", "DROP", "MODIFY", "RENAME"} {
		if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(statement)), verb) {
			return true
		}
	}
	return false
}

// unmigrate drops usher's tables.
func (w *world) unmigrate() {
	for _, model := range models.All() {
		require.NoError(w, w.db.Migrator().DropTable(model))
	}
}

var migration = []testCase{
	{"a second migration alters nothing", func(w *world) {
		r, t := w.traced()
		require.NoError(w, r.Migrate(w.ctx))
		require.NotEmpty(w, t.statements)
		for _, statement := range t.statements {
			require.False(w, alters(statement), statement)
		}
		w.unmigrate()
		t.statements = nil
		require.NoError(w, r.Migrate(w.ctx))
		created := 0
		for _, statement := range t.statements {
			if alters(statement) {
				created++
			}
		}
		require.GreaterOrEqual(w, created, len(models.All()), "the control: the first one creates the tables")
	}},
	{"what is missing is named, added, and data stays", func(w *world) {
		w.dag("d", 3)
		run := w.queue("d", 1, past, 0)[0]
		missing := func() []string {
			things, err := w.r.Missing(w.ctx)
			require.NoError(w, err)
			return things
		}
		require.Empty(w, missing())
		index := w.indexOf(&models.DagRun{}, "gate")
		require.NoError(w, w.db.Migrator().DropIndex(&models.DagRun{}, index))
		require.NoError(w, w.db.Migrator().DropColumn(&models.Dag{}, "fence"))
		require.NoError(w, w.db.Migrator().DropTable(&models.Job{}))
		require.ElementsMatch(w, []string{"column dag.fence", "index " + index, "table job"}, missing())
		require.NoError(w, w.r.Migrate(w.ctx))
		require.Empty(w, missing())
		require.Equal(w, run, w.run(run.ID))
		require.Equal(w, []string{run.RunID}, w.pass())
	}},
	{"processes that migrate at once all succeed", func(w *world) {
		for range rounds(3) {
			w.unmigrate()
			var all []*process
			for range 4 {
				all = append(all, w.spawn(work{Migrate: true}, nil))
			}
			for _, p := range all {
				require.NoError(w, p.wait())
			}
			things, err := w.r.Missing(w.ctx)
			require.NoError(w, err)
			require.Empty(w, things)
		}
	}},
	{"migrations at once log no error", func(w *world) {
		var wrong log
		for range rounds(3) {
			w.unmigrate()
			var all sync.WaitGroup
			for range 4 {
				db := w.d.Bare(w, &gorm.Config{Logger: logger.New(stdlog.New(&wrong, "", 0), logger.Config{LogLevel: logger.Error})})
				require.NoError(w, db.Use(locking.New()))
				r, err := repo.New(db)
				require.NoError(w, err)
				all.Go(func() { assert.NoError(w, r.Migrate(w.ctx)) })
			}
			all.Wait()
		}
		require.Empty(w, wrong.String())
	}},
	{"without tables every verb says what to do", func(w *world) {
		w.unmigrate()
		_, err := w.r.Admit(w.ctx)
		require.ErrorIs(w, err, repo.ErrNoTables)
		require.ErrorContains(w, err, "usher migrate")
		_, err = w.r.Enqueue(w.ctx, models.DagRun{DagID: "d"})
		require.ErrorIs(w, err, repo.ErrNoTables)
		_, err = w.r.SetDag(w.ctx, "d")
		require.ErrorIs(w, err, repo.ErrNoTables)
		_, err = w.r.Status(w.ctx)
		require.ErrorIs(w, err, repo.ErrNoTables)
		require.ErrorIs(w, w.r.Finish(w.ctx, models.DagRun{ID: 1}, models.Success), repo.ErrNoTables)
	}},
	{"the application's prefix names the tables", func(w *world) {
		w.prefixed("af_")
		require.True(w, w.db.Migrator().HasTable("af_dag_run"))
	}},
	{"the application's schema names the tables", func(w *world) {
		w.unmigrate()
		where := "main"
		switch w.d.Engine {
		case "PostgreSQL":
			where = "af"
			require.NoError(w, w.db.Exec("CREATE SCHEMA af").Error)
		case "MySQL", "MariaDB":
			where = w.db.Migrator().CurrentDatabase()
		}
		w.prefixed(where + ".")
	}},
}

// prefixed migrates to tables with a prefix, and starts runs there.
func (w *world) prefixed(prefix string) {
	w.db = w.d.Open(w)
	w.db.NamingStrategy = schema.NamingStrategy{TablePrefix: prefix}
	w.r = w.repo(repo.WithRunsPerPass(20))
	require.NoError(w, w.r.Migrate(w.ctx))
	things, err := w.r.Missing(w.ctx)
	require.NoError(w, err)
	require.Empty(w, things, "the indexes have names of their own")
	w.dag("d", 2)
	w.queue("d", 3, past, time.Hour)
	b := w.backfill("d", 1, 3)
	w.pass()
	w.running(map[repo.Gate]int{dagGate("d"): 2, b: 1})
	_, err = w.r.CancelBackfill(w.ctx, b.BackfillID)
	require.NoError(w, err)
	_, err = w.r.Status(w.ctx)
	require.NoError(w, err)
}

// indexOf is the name of an index of the model whose name ends so.
func (w *world) indexOf(model any, suffix string) string {
	table := &gorm.Statement{DB: w.db}
	require.NoError(w, table.Parse(model))
	for _, index := range table.Schema.ParseIndexes() {
		if strings.HasSuffix(index.Name, suffix) {
			return index.Name
		}
	}
	require.Fail(w, "no index "+suffix)
	return ""
}
