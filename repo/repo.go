package repo

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// Defaults of the options of [New].
const (
	DefaultMaxActiveRuns = 16  // of WithMaxActiveRuns
	DefaultGatesPerPass  = 100 // of WithGatesPerPass
	DefaultRunsPerPass   = 500 // of WithRunsPerPass
)

// Repo admits runs, and changes what admission depends on. It is safe for use by several
// goroutines. Make one with [New], once for a scheduler.
type Repo struct {
	db            *gorm.DB
	clock         func() time.Time // nil: the database's
	logger        *slog.Logger
	progress      func(done, total int)
	observers     []Observer
	job           *atomic.Pointer[int64] // the scheduler's id; nil for none
	maxActiveRuns int
	gatesPerPass  int
	runsPerPass   int

	parallelBackfills bool

	kinds      []kind
	names      []string // placeholders in SQL and the tables that they stand for, in pairs
	words      *atomic.Pointer[words]
	index      string // of the runs by gate
	placeIndex string // of a backfill's queued runs by their place
	queued     queuedColumns
	nullable   []*schema.Field // of a run
	ring       *ring
}

// Option changes how a [Repo] works. It is an error to give one a value that makes no sense.
type Option func(*Repo) error

// New makes a repository over db, which must have the plugin: db.Use(locking.New()). It asks
// the database nothing. It returns [locking.ErrNoPlugin], [locking.ErrNested] when db is a
// transaction, [locking.ErrDryRun] when db has GORM's DryRun, since every verb goes by what the
// database answers, or [ErrInvalid] for a bad option or a NamingStrategy whose
// names GORM cannot quote, or that has one name for two tables.
func New(db *gorm.DB, options ...Option) (*Repo, error) {
	if _, ok := db.Plugins[locking.Name]; !ok {
		return nil, fmt.Errorf("make repository: %w", locking.ErrNoPlugin)
	}
	if _, ok := db.Statement.ConnPool.(gorm.TxCommitter); ok {
		return nil, fmt.Errorf("make repository: %w", locking.ErrNested)
	}
	if db.DryRun {
		return nil, fmt.Errorf("make repository: %w", locking.ErrDryRun)
	}
	r := &Repo{
		db:            locking.Unprepared(db).Session(&gorm.Session{QueryFields: true}), // no *: a later version may add a column
		logger:        slog.New(slog.DiscardHandler),
		job:           &atomic.Pointer[int64]{},
		words:         &atomic.Pointer[words]{},
		ring:          &ring{after: map[Kind]any{}, round: map[Kind]bool{}, perRun: 1},
		maxActiveRuns: DefaultMaxActiveRuns,
		gatesPerPass:  DefaultGatesPerPass,
		runsPerPass:   DefaultRunsPerPass,
	}
	for _, option := range options {
		if err := option(r); err != nil {
			return nil, fmt.Errorf("make repository: %w", err)
		}
	}
	if err := r.nameTables(); err != nil {
		return nil, fmt.Errorf("make repository: %w", err)
	}
	r.kinds = kinds(r.maxActiveRuns)
	return r, nil
}

// nameTables finds out what tables and index are called under the application's NamingStrategy.
func (r *Repo) nameTables() error {
	named := map[string]string{}
	for name, model := range map[string]any{
		"{dag}": &models.Dag{}, "{dag_run}": &models.DagRun{},
		"{backfill}": &models.Backfill{}, "{backfill_dag_run}": &models.BackfillDagRun{}, "{job}": &models.Job{},
	} {
		table := &gorm.Statement{DB: r.db}
		if err := table.Parse(model); err != nil {
			return err
		}
		if strings.ContainsAny(table.Schema.Table, "?`") {
			return fmt.Errorf("%w name of a table, %q: GORM cannot quote ? and `, so choose another NamingStrategy", ErrInvalid, table.Schema.Table)
		}
		same := strings.ToLower(table.Schema.Table) // to some engines
		if other := named[same]; other != "" {
			return fmt.Errorf("%w names of tables: the NamingStrategy calls both %s and %s %s", ErrInvalid, min(name, other), max(name, other), table.Schema.Table)
		}
		named[same] = name
		r.names = append(r.names, name, table.Quote(clause.Table{Name: table.Schema.Table}))
		if alias := map[string]string{"{dag_run}": "r", "{backfill}": "g", "{job}": "j"}[name]; alias != "" {
			r.names = append(r.names, "{"+alias+".*}", alias+"."+strings.Join(table.Schema.DBNames, ", "+alias+"."))
		}
		if name == "{dag_run}" {
			r.queued, r.nullable = columnsOf(r.db.Dialector, table.Schema), nullableOf(table.Schema)
		}
		for _, index := range table.Schema.ParseIndexes() {
			ordered := slices.ContainsFunc(index.Fields, func(f schema.IndexOption) bool { return f.DBName == "sort_ordinal" })
			switch {
			case name != "{dag_run}" || index.Class != "": // unique
			case ordered:
				r.placeIndex = index.Name
			default:
				r.index = index.Name
			}
		}
	}
	return nil
}

// words are what the placeholders in SQL stand for on a server.
type words struct {
	server *dialect.Server
	*strings.Replacer
}

// sql puts names into a statement, and what the engine needs to be told to use the runs' indexes.
func (r *Repo) sql(text string) string {
	server := locking.Found(r.db)
	known := r.words.Load()
	if known == nil || known.server != server {
		known = &words{server, strings.NewReplacer(append(r.hints(server), r.names...)...)}
		r.words.Store(known)
	}
	return known.Replace(text)
}

// hints are what statements say in the engine's way, each behind its name. Where it goes by the
// order that is asked for, runs without a place are asked for in theirs: the index by gate, which
// does not have it, would lead through the whole queue.
func (r *Repo) hints(server *dialect.Server) []string {
	byIndex, byPlace, order, inOrder := "", "", "", ""
	noPlace := "r.sort_ordinal = " + strconv.Itoa(models.NoPlace)
	runs := r.names[slices.Index(r.names, "{dag_run}")+1]
	count, counted, runsByID := "(SELECT COUNT(*) ", ")", "CROSS JOIN "+runs+" r"
	part, parted := "(", ")"
	if server != nil {
		part, parted = server.Part()
		byIndex, byPlace, order = server.ForceIndex(r.index), server.ForceIndex(r.placeIndex), server.OrderBy("r.state", "r.backfill_id", "r.dag_id")
	}
	if order != "" {
		inOrder = " ORDER BY " + strings.TrimSuffix(order, ", ")
		noPlace = "r.sort_ordinal >= " + strconv.Itoa(models.NoPlace) + " ORDER BY " + order + "r.sort_ordinal"
	}
	if server != nil && server.ReadsAll() {
		count, counted = "(SELECT COUNT(*) FROM (SELECT 1 ", inOrder+") n)"
		runsByID = "CROSS JOIN LATERAL (SELECT * FROM " + runs + " r WHERE r.id = p.id LIMIT 1) r"
	}
	return []string{
		"{by index}", byIndex, "{by place}", byPlace, "{order}", order, "{in order}", inOrder, "{no place}", noPlace,
		"{count}", count, "{counted}", counted, "{runs by p.id}", runsByID,
		"{part}", part, "{parted}", parted,
	}
}

// forEach is the engine's way to a query's ids for each row of a table; empty when it has none.
func (r *Repo) forEach() string {
	if server := locking.Found(r.db); server != nil {
		return server.ForEach("{dag_run}")
	}
	return ""
}

// now is the clock that schedulers agree on, as an operand of SQL: the database's, unless the
// application gave its own. To read it, select column and ask [Repo.clockOr].
func (r *Repo) now(ctx context.Context) (now clause.Expr, column string, err error) {
	server, err := locking.Server(ctx, r.db) // also for the sake of what statements say in its way
	if err != nil {
		return now, "", err
	}
	if r.clock != nil {
		return clause.Expr{SQL: "?", Vars: []any{models.At(r.clock())}}, "NULL", nil
	}
	return clause.Expr{SQL: server.Now()}, server.Now(), nil
}

// clockOr is the database's reading, unless the application gave a clock of its own.
func (r *Repo) clockOr(reading models.Time) models.Time {
	if r.clock != nil {
		return models.At(r.clock())
	}
	return reading
}

// read is one reading of the clock.
func (r *Repo) read(tx *gorm.DB) (now models.Time, err error) {
	_, column, err := r.now(tx.Statement.Context)
	if err != nil {
		return now, err
	}
	err = tx.Raw("SELECT " + column).Row().Scan(&now)
	return r.clockOr(now), err
}
