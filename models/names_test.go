package models_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/models"
)

// shouting is a Namer that is no NamingStrategy.
type shouting struct{ schema.Namer }

func (shouting) TableName(name string) string { return "T_" + strings.ToUpper(name) }

func TestTableNames(t *testing.T) {
	for name, c := range map[string]struct {
		namer schema.Namer
		want  string
	}{
		"default":            {schema.NamingStrategy{}, "dag dag_run backfill backfill_dag_run job"},
		"prefix":             {schema.NamingStrategy{TablePrefix: "af_"}, "af_dag af_dag_run af_backfill af_backfill_dag_run af_job"},
		"schema":             {schema.NamingStrategy{TablePrefix: "af."}, "af.dag af.dag_run af.backfill af.backfill_dag_run af.job"},
		"singular":           {schema.NamingStrategy{SingularTable: true}, "dag dag_run backfill backfill_dag_run job"},
		"pointer":            {&schema.NamingStrategy{TablePrefix: "af."}, "af.dag af.dag_run af.backfill af.backfill_dag_run af.job"},
		"replacer":           {schema.NamingStrategy{NameReplacer: strings.NewReplacer("dag", "flow")}, "flow flow_run backfill backfill_flow_run job"},
		"replacer, prefixed": {&schema.NamingStrategy{TablePrefix: "x_", NameReplacer: strings.NewReplacer("job", "worker")}, "x_dag x_dag_run x_backfill x_backfill_dag_run x_worker"},
		"own names":          {models.Tables{DagRun: "workflow_run", Job: "ops.worker"}, "dag workflow_run backfill backfill_dag_run ops.worker"},
		"own, prefixed":      {&models.Tables{NamingStrategy: schema.NamingStrategy{TablePrefix: "x_"}, Dag: "flow", Backfill: "Replay", BackfillDagRun: "replayed"}, "flow x_dag_run Replay replayed x_job"},
		"another namer":      {shouting{schema.NamingStrategy{}}, "T_DAG T_DAG_RUN T_BACKFILL T_BACKFILL_DAG_RUN T_JOB"},
	} {
		t.Run(name, func(t *testing.T) {
			var tables []string
			for _, model := range models.All() {
				parsed, err := schema.Parse(model, &sync.Map{}, c.namer)
				require.NoError(t, err)
				tables = append(tables, parsed.Table)
			}
			require.Equal(t, c.want, strings.Join(tables, " "))
		})
	}
}

// TestOwnNamesAreUshersAlone: other models are called as before, and indexes after their tables.
func TestOwnNamesAreUshersAlone(t *testing.T) {
	type Order struct {
		DagRunID int64 `gorm:"index"`
	}
	namer := models.Tables{NamingStrategy: schema.NamingStrategy{TablePrefix: "x_"}, DagRun: "flow.run"}
	parsed, err := schema.Parse(&Order{}, &sync.Map{}, namer)
	require.NoError(t, err)
	require.Equal(t, []string{"x_orders", "idx_x_orders_dag_run_id"}, []string{parsed.Table, parsed.ParseIndexes()[0].Name})
	parsed, err = schema.Parse(&models.DagRun{}, &sync.Map{}, namer)
	require.NoError(t, err)
	require.Len(t, parsed.ParseIndexes(), 4)
	for _, index := range parsed.ParseIndexes() {
		require.True(t, strings.HasPrefix(index.Name, "idx_flow_run_"), index.Name)
	}
}

// TestColumns: whatever the naming strategy, the columns are Airflow's.
func TestColumns(t *testing.T) {
	parsed, err := schema.Parse(&models.DagRun{}, &sync.Map{}, schema.NamingStrategy{NoLowerCase: true})
	require.NoError(t, err)
	require.Equal(t, []string{"id", "dag_id", "run_id", "state"}, parsed.DBNames[:4])
	for _, name := range parsed.DBNames {
		require.Equal(t, strings.ToLower(name), name)
	}
}
