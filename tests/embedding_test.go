package tests

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/transfer"
)

// tenantRun is a run as an application has it: with columns of its own, with hooks, and deleted softly.
type tenantRun struct {
	models.DagRun
	Tenant    string `gorm:"size:50;not null;default:nobody;index"`
	Weight    *float64
	Report    []byte
	DeletedAt gorm.DeletedAt
}

// BeforeUpdate is a hook that usher would fall over.
func (*tenantRun) BeforeUpdate(tx *gorm.DB) error {
	if tx.Statement.Changed("State") {
		return errHook
	}
	return nil
}

// AfterFind is another.
func (r *tenantRun) AfterFind(*gorm.DB) error {
	r.Tenant = strings.ToUpper(r.Tenant)
	return nil
}

type ownedDag struct {
	models.Dag
	Owner string `gorm:"size:50;not null;default:nobody"`
}

type billedBackfill struct {
	models.Backfill
	Ticket *int64 `gorm:"uniqueIndex"`
}

// embedders are the models of an application that has put columns into usher's tables.
var embedders = []any{&tenantRun{}, &ownedDag{}, &billedBackfill{}}

// embedded is a world with such an application.
func (w *world) embedded() { require.NoError(w, w.r.Migrate(w.ctx, embedders...)) }

// tenants are the runs by id, and what the application has written of them.
func (w *world) tenants(db *gorm.DB) map[int64]string {
	var found []tenantRun
	require.NoError(w, db.Unscoped().Find(&found).Error)
	all := map[int64]string{}
	for _, run := range found {
		all[run.ID] = run.Tenant
	}
	return all
}

var embedding = []testCase{
	{"an application's columns are added beside usher's, and stay", columnsAdded},
	{"AutoMigrate of an application's run leaves usher's columns as they are", autoMigrated},
	{"no verb reads or changes an application's columns", columnsLeftAlone},
	{"an application writes its columns in the transaction that queues the run", columnsWithTheRun},
	{"an application's hooks and soft delete are not usher's", hooksAreTheApplications},
	{"a column of a type that usher does not know", columnOfAnyType},
	{"a column that must be given stops usher from queueing, with its name", columnWithoutDefault},
	{"a copy names the columns that it does not copy", columnsLeftBehind},
	{"two tables of one name are refused, and names that cannot be quoted", tablesRefused},
}

func columnsAdded(w *world) {
	w.dag("d", 3)
	run := w.queue("d", 1, past, 0)[0]
	things, err := w.r.Missing(w.ctx, embedders...)
	require.NoError(w, err)
	require.ElementsMatch(w, []string{
		"column dag_run.tenant", "column dag_run.weight", "column dag_run.report", "column dag_run.deleted_at", "index idx_dag_run_tenant",
		"column dag.owner", "column backfill.ticket", "index idx_backfill_ticket",
	}, things)
	w.embedded()
	require.Equal(w, map[int64]string{run.ID: "NOBODY"}, w.tenants(w.db))
	r, t := w.traced()
	for _, own := range [][]any{nil, embedders} {
		require.NoError(w, r.Migrate(w.ctx, own...))
		things, err = r.Missing(w.ctx, own...)
		require.NoError(w, err)
		require.Empty(w, things)
	}
	for _, statement := range t.statements {
		require.False(w, alters(statement), statement)
	}
	require.Equal(w, run, w.run(run.ID))
	require.Len(w, w.pass(), 1)
}

// autoMigrated: who writes a run without usher, as Airflow does, still finds usher's defaults.
func autoMigrated(w *world) {
	w.dag("d", 3)
	run := w.queue("d", 1, past, 0)[0]
	for range 2 {
		require.NoError(w, w.db.AutoMigrate(&tenantRun{}, &ownedDag{}))
		things, err := w.r.Missing(w.ctx, &tenantRun{}, &ownedDag{})
		require.NoError(w, err)
		require.Empty(w, things)
	}
	require.Equal(w, run, w.run(run.ID))
	require.NoError(w, w.db.Exec("INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after) VALUES ('d', 'foreign', 'manual', 'queued', ?)", models.At(past)).Error)
	require.NoError(w, w.db.Exec("INSERT INTO dag (dag_id, is_paused, is_stale) VALUES ('foreign', FALSE, FALSE)").Error)
	var defaults int64
	require.NoError(w, w.db.Model(&models.DagRun{}).Where("run_id = ? AND sort_ordinal = ? AND clear_number = 0", "foreign", models.NoPlace).Count(&defaults).Error)
	require.EqualValues(w, 1, defaults)
	require.NoError(w, w.db.Model(&models.Dag{}).Where("dag_id = ? AND fence = 0", "foreign").Count(&defaults).Error)
	require.EqualValues(w, 1, defaults)
	require.Len(w, w.pass(), 2)
}

// columnsLeftAlone: every verb is called, and none of its statements has one of the columns.
func columnsLeftAlone(w *world) {
	w.embedded()
	o := w.office()
	require.NoError(w, w.db.Model(&tenantRun{}).Where("1 = 1").UpdateColumn("tenant", "acme").Error)
	require.NoError(w, w.db.Model(&ownedDag{}).Where("1 = 1").UpdateColumn("owner", "acme").Error)
	require.NoError(w, w.db.Model(&billedBackfill{}).Where("1 = 1").UpdateColumn("ticket", gorm.Expr("id + 100")).Error)
	want := w.tenants(w.db)
	same := func(db *gorm.DB, verb string) {
		now := w.tenants(db)
		for id, tenant := range want {
			require.Equal(w, tenant, now[id], "run %d after %s", id, verb)
		}
		var owned, billed int64
		require.NoError(w, db.Model(&ownedDag{}).Where("owner = ?", "acme").Count(&owned).Error)
		require.NoError(w, db.Model(&billedBackfill{}).Where("ticket = id + 100").Count(&billed).Error)
		require.Equal(w, []int64{3, 2}, []int64{owned, billed}, verb)
	}
	traced, t := w.traced()
	for _, v := range joining {
		err := w.db.Transaction(func(tx *gorm.DB) error {
			in, err := traced.WithTx(tx.Session(&gorm.Session{Logger: t}))
			require.NoError(w, err)
			require.NoError(w, v.call(w, in, o), v.name)
			same(tx, v.name)
			return errOwn
		})
		require.ErrorIs(w, err, errOwn)
	}
	for _, list := range [][]verb{apart, reading} {
		for _, v := range list {
			require.NoError(w, v.call(w, traced, o), v.name)
			same(w.db, v.name)
		}
	}
	require.Greater(w, len(t.statements), 50)
	for _, statement := range t.statements {
		for _, column := range []string{"tenant", "weight", "report", "deleted_at", "owner", "ticket"} {
			require.NotContains(w, statement, column)
		}
	}
}

// columnsWithTheRun: the run and what the application knows of it are there both, or neither.
func columnsWithTheRun(w *world) {
	w.embedded()
	w.dag("d", 1)
	queue := func(tenant string, end error) error {
		return w.joined(w.db, func(tx *gorm.DB, in *repo.Repo) error {
			runs, err := in.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: tenant})
			if err != nil {
				return err
			}
			weight := 2.5
			own := tenantRun{DagRun: runs[0], Tenant: tenant, Weight: &weight}
			if err := tx.Model(&own).Select("tenant", "weight").Updates(&own).Error; err != nil {
				return err
			}
			return end
		})
	}
	require.ErrorIs(w, queue("lost", errOwn), errOwn)
	require.NoError(w, queue("acme", nil))
	require.NoError(w, queue("zeta", nil))
	require.Equal(w, []string{"acme"}, w.pass())
	running, err := gorm.G[tenantRun](w.db).Where("state = ?", models.Running).Find(w.ctx)
	require.NoError(w, err)
	require.Len(w, running, 1)
	require.Equal(w, []any{"ACME", 2.5, w.run(running[0].ID)}, []any{running[0].Tenant, *running[0].Weight, running[0].DagRun})
	require.NoError(w, w.r.Finish(w.ctx, running[0].DagRun, models.Success), "what was read as the application's is usher's")
	var waiting []tenantRun
	require.NoError(w, w.db.Where("tenant = ? AND state = ?", "zeta", models.Queued).Find(&waiting).Error)
	require.Len(w, waiting, 1)
	require.EqualValues(w, 2, w.stored())

	// It may also write the whole of it, as whoever queues without usher.
	whole := tenantRun{DagRun: models.DagRun{DagID: "d", RunID: "whole", RunType: models.ManualRun, State: models.Queued, RunAfter: models.At(past)}, Tenant: "acme"}
	require.NoError(w, w.db.Create(&whole).Error)
	require.Equal(w, w.run(whole.ID), whole.DagRun, "what is returned is what is stored")
	require.Equal(w, []string{"whole"}, w.pass(), "which was due before the other")
}

// hooksAreTheApplications: what is deleted softly is a run to usher, and holds its slot.
func hooksAreTheApplications(w *world) {
	w.embedded()
	w.dag("d", 1)
	runs := w.queue("d", 2, past, time.Minute)
	require.NoError(w, w.db.Delete(&tenantRun{}, runs[0].ID).Error)
	var seen []tenantRun
	require.NoError(w, w.db.Find(&seen).Error)
	require.Len(w, seen, 1)
	require.Equal(w, []string{runs[0].RunID}, w.pass())
	require.Empty(w, w.pass())
	require.ErrorIs(w, w.db.Model(&seen[0]).Updates(&tenantRun{DagRun: models.DagRun{State: models.Failed}}).Error, errHook, "the control")
	require.NoError(w, w.r.Finish(w.ctx, w.run(runs[0].ID), models.Success))
	require.Equal(w, []string{runs[1].RunID}, w.pass())
}

func columnOfAnyType(w *world) {
	kind := map[string]string{"PostgreSQL": "tsrange", "MySQL": "geometry", "MariaDB": "uuid"}[w.d.Engine]
	if kind == "" {
		kind = "whatever"
	}
	for _, table := range []string{"dag", "dag_run", "backfill", "backfill_dag_run", "job"} {
		require.NoError(w, w.db.Exec("ALTER TABLE "+table+" ADD shape "+kind).Error)
	}
	require.NoError(w, w.r.Migrate(w.ctx))
	w.core(w.db)
}

func columnWithoutDefault(w *world) {
	w.dag("d", 1)
	require.NoError(w, w.db.Exec("ALTER TABLE dag_run ADD tenant varchar(50) NOT NULL").Error)
	_, err := w.r.Enqueue(w.ctx, models.DagRun{DagID: "d"})
	require.ErrorContains(w, err, "tenant")
	require.Zero(w, w.stored())
}

func columnsLeftBehind(w *world) {
	w.embedded()
	w.furnish(20)
	other := w.elsewhere("af_")
	tables, err := transfer.Copy(w.ctx, w.db, other.db)
	require.NoError(w, err)
	left := map[string][]string{}
	for _, t := range tables {
		left[t.Name] = t.Left
	}
	require.Equal(w, map[string][]string{"dag": {"owner"}, "dag_run": {"tenant", "weight", "report", "deleted_at"}, "backfill": {"ticket"}, "backfill_dag_run": nil, "job": nil}, left)
}

// otherNames are names of the application's own for all tables; one is a word of SQL.
var otherNames = models.Tables{Dag: "workflow", DagRun: "workflow_run", Backfill: "Replay", BackfillDagRun: "replayed", Job: "order"}

func tablesRefused(w *world) {
	for wrong, names := range map[string]models.Tables{
		"both {dag_run} and {job} run":            {DagRun: "run", Job: "run"},
		"both {backfill} and {dag} ":              {Dag: "flow", Backfill: "Flow"},
		"both {backfill_dag_run} and {dag} x_dag": {NamingStrategy: schema.NamingStrategy{TablePrefix: "x_"}, BackfillDagRun: "x_dag"},
		"name of a table, \"a`b\"":                {Job: "a`b"},
		"name of a table, \"why?\"":               {BackfillDagRun: "why?"},
	} {
		db := w.d.Bare(w, &gorm.Config{NamingStrategy: names})
		require.NoError(w, db.Use(locking.New()))
		_, err := repo.New(db)
		require.ErrorIs(w, err, repo.ErrInvalid)
		require.ErrorContains(w, err, wrong)
	}
}

// ownTables: beside usher's, GORM's names are as before; no table of the usual name is made.
func ownTables(w *world) string {
	w.unmigrate()
	there := w.in(w.d.Bare(w, &gorm.Config{NamingStrategy: otherNames}))
	for range 2 {
		require.NoError(w, there.r.Migrate(w.ctx, &order{}, &tenantRun{}))
		things, err := there.r.Missing(w.ctx, &order{}, &tenantRun{})
		require.NoError(w, err)
		require.Empty(w, things)
	}
	tables, err := there.db.Migrator().GetTables()
	require.NoError(w, err)
	for _, name := range []string{"workflow", "workflow_run", "Replay", "replayed", "order", "orders"} {
		require.Contains(w, tables, name)
	}
	require.NotContains(w, tables, "dag_run")
	there.furnishVerbs()
	return there.core(there.db)
}

// furnishVerbs calls every verb once, and leaves nothing.
func (w *world) furnishVerbs() {
	o := w.office()
	for _, list := range [][]verb{apart, reading} {
		for _, v := range list {
			require.NoError(w, v.call(w, w.r, o), v.name)
		}
	}
	for _, v := range joining {
		require.ErrorIs(w, w.joined(w.db, func(_ *gorm.DB, in *repo.Repo) error {
			require.NoError(w, v.call(w, in, o), v.name)
			return errOwn
		}), errOwn)
	}
	for _, model := range models.All() {
		require.NoError(w, w.db.Where("1 = 1").Delete(model).Error)
	}
}

func embeddedCore(w *world) string {
	there := w.in(w.d.Bare(w, &gorm.Config{}))
	there.embedded()
	return there.core(there.db)
}

func autoMigratedCore(w *world) string {
	there := w.in(w.d.Bare(w, &gorm.Config{}))
	require.NoError(w, there.db.AutoMigrate(embedders...))
	return there.core(there.db)
}
