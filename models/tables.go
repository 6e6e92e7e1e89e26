package models

import (
	"cmp"

	"gorm.io/gorm/schema"
)

// Tables is a NamingStrategy under which usher's tables have names of the application's own, and
// all else has those of GORM's strategy:
//
//	gorm.Open(dialector, &gorm.Config{NamingStrategy: models.Tables{DagRun: "workflow_run"}})
//
// A name is the whole name: no prefix is put before it, and it may have a schema ("flows.run"). A
// table without one has the name that the strategy gives it. Indexes are named after their tables.
type Tables struct {
	// NamingStrategy is the application's own. Defaults to GORM's. When names get long on
	// PostgreSQL, set its IdentifierMaxLength to 63: GORM's driver does so for a bare one alone.
	schema.NamingStrategy
	// Dag is the table of [Dag]. Defaults to "dag", under the strategy, and so do the others.
	Dag string
	// DagRun is the table of [DagRun].
	DagRun string
	// Backfill is the table of [Backfill].
	Backfill string
	// BackfillDagRun is the table of [BackfillDagRun].
	BackfillDagRun string
	// Job is the table of [Job].
	Job string
}

// of is the name that the application gives to one of usher's tables.
func (t Tables) of(name string) string {
	own := map[string]string{"dag": t.Dag, "dag_run": t.DagRun, "backfill": t.Backfill, "backfill_dag_run": t.BackfillDagRun, "job": t.Job}
	return cmp.Or(own[name], table(t.NamingStrategy, name))
}
