package models

import "gorm.io/gorm/schema"

// Dag is a workflow, and the gate of its runs that belong to no backfill.
type Dag struct {
	// DagID is the key: at most 250 characters, compared byte by byte.
	DagID string `gorm:"column:dag_id;primaryKey;size:250" json:"dag_id"`
	// IsPaused keeps every queued run of the DAG queued, those of its backfills too.
	IsPaused bool `gorm:"column:is_paused;not null" json:"is_paused"`
	// IsStale marks a DAG whose definition is gone; its runs are not started either.
	IsStale bool `gorm:"column:is_stale;not null" json:"is_stale"`
	// MaxActiveRuns is the gate's limit. Nil means the repository's default (16); 0 lets none start.
	MaxActiveRuns *int `gorm:"column:max_active_runs" json:"max_active_runs"`
	// Fence is written by the fence on multi-primary clusters. Its value means nothing.
	Fence int64 `gorm:"column:fence;type:bigint;not null;default:0" json:"-"`
}

// TableName is Airflow's, "dag", under the application's NamingStrategy.
func (Dag) TableName(namer schema.Namer) string { return table(namer, "dag") }
