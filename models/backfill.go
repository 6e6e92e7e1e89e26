package models

import "gorm.io/gorm/schema"

// ReprocessBehavior says what a backfill does with a date that has a run already.
type ReprocessBehavior string

// The ways to treat a date that has a run, as Airflow names them.
const (
	ReprocessNone      ReprocessBehavior = "none"      // leave it
	ReprocessFailed    ReprocessBehavior = "failed"    // queue it again if it failed
	ReprocessCompleted ReprocessBehavior = "completed" // queue it again if it ended
)

// DefaultBackfillMaxActiveRuns is the limit of a backfill that names none.
const DefaultBackfillMaxActiveRuns = 10

// Backfill is a set of runs of one DAG over a range of dates, and the gate of those runs.
type Backfill struct {
	// ID is the key.
	ID int64 `gorm:"column:id;primaryKey" json:"id"`
	// DagID is the DAG's id.
	DagID string `gorm:"column:dag_id;size:250;not null;index:,composite:dag" json:"dag_id"`
	// FromDate is the first date of the range.
	FromDate Time `gorm:"column:from_date;not null" json:"from_date"`
	// ToDate is the last date of the range.
	ToDate Time `gorm:"column:to_date;not null" json:"to_date"`
	// DagRunConf is the configuration given to each run.
	DagRunConf JSON `gorm:"column:dag_run_conf" json:"dag_run_conf"`
	// IsPaused keeps the runs of an active backfill queued.
	IsPaused bool `gorm:"column:is_paused;not null" json:"is_paused"`
	// ReprocessBehavior says what became of dates that had a run.
	ReprocessBehavior ReprocessBehavior `gorm:"column:reprocess_behavior;size:250;not null" json:"reprocess_behavior"`
	// MaxActiveRuns is the gate's limit; 0 lets none start. The column's default is 10.
	MaxActiveRuns int `gorm:"column:max_active_runs;type:integer NOT NULL DEFAULT 10" json:"max_active_runs"`
	// CreatedAt is when the backfill was made.
	CreatedAt Time `gorm:"column:created_at;not null;autoCreateTime:false" json:"created_at"`
	// CompletedAt is when the backfill ended, or was cancelled; NULL while it is active.
	CompletedAt Time `gorm:"column:completed_at" json:"completed_at"`
	// UpdatedAt is when the row was changed last.
	UpdatedAt Time `gorm:"column:updated_at;not null;autoUpdateTime:false" json:"updated_at"`
	// TriggeringUserName is the user who made the backfill.
	TriggeringUserName string `gorm:"column:triggering_user_name;size:512" json:"triggering_user_name"`
	// Fence is written by the fence on multi-primary clusters. Its value means nothing.
	Fence int64 `gorm:"column:fence;type:bigint;not null;default:0" json:"-"`
}

// TableName is Airflow's, "backfill", under the application's NamingStrategy.
func (Backfill) TableName(namer schema.Namer) string { return table(namer, "backfill") }

// ExceptionReason is why a date of a backfill got no run.
type ExceptionReason string

// The reasons for which a date gets no run, as Airflow names them.
const (
	InFlight      ExceptionReason = "in flight"      // its run is queued or running
	AlreadyExists ExceptionReason = "already exists" // its run has ended, and is not to be reprocessed
	Unknown       ExceptionReason = "unknown"        // any other: a run of another date has its run_id, say
)

// BackfillDagRun is one date of a backfill: its place in the order, and its run or the
// reason why it has none.
//
// Only the index that walks the order begins with backfill_id, so that an engine without
// statistics cannot take another one and sort.
type BackfillDagRun struct {
	// ID is the key.
	ID int64 `gorm:"column:id;primaryKey" json:"id"`
	// BackfillID is the backfill.
	BackfillID int64 `gorm:"column:backfill_id;not null;uniqueIndex:,composite:run,priority:2;index:,composite:ordinal,priority:1" json:"backfill_id"`
	// DagRunID is the run; nil for a date that was skipped.
	DagRunID *int64 `gorm:"column:dag_run_id;uniqueIndex:,composite:run,priority:1;index:,composite:ordinal,priority:3" json:"dag_run_id"`
	// ExceptionReason is why the date was skipped; empty when it has a run.
	ExceptionReason ExceptionReason `gorm:"column:exception_reason;size:250" json:"exception_reason"`
	// LogicalDate is the date.
	LogicalDate Time `gorm:"column:logical_date;not null" json:"logical_date"`
	// SortOrdinal is the place in the backfill's order, from 1.
	SortOrdinal int `gorm:"column:sort_ordinal;not null;index:,composite:ordinal,priority:2" json:"sort_ordinal"`
}

// TableName is Airflow's, "backfill_dag_run", under the application's NamingStrategy.
func (BackfillDagRun) TableName(namer schema.Namer) string { return table(namer, "backfill_dag_run") }
