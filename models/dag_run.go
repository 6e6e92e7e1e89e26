package models

import (
	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// RunType is what brought a run about.
type RunType string

// The types of a run, as Airflow names them.
const (
	ManualRun         RunType = "manual"          // somebody asked for it
	ScheduledRun      RunType = "scheduled"       // the DAG's schedule
	BackfillRun       RunType = "backfill"        // a backfill
	AssetTriggeredRun RunType = "asset_triggered" // a change of data that it works on
)

// DagRun is one run of a DAG.
//
// Two indexes serve every question of admission. One has the runs in a state, of a gate, in the
// order of run_after and id; the other the queued runs of a backfill in the backfill's order.
// Where the engine has partial indexes, finished runs are in neither. (The empty state in the
// second, which no run has, keeps PostgreSQL from dropping the question for the state as
// answered, and with it the index's order.)
type DagRun struct {
	// ID is the key, and the last tie-breaker of every order.
	ID int64 `gorm:"column:id;primaryKey;index:,composite:gate,priority:5;index:,composite:place,priority:6" json:"id"`
	// DagID is the DAG's id.
	DagID string `gorm:"column:dag_id;size:250;not null;uniqueIndex:,composite:run_id,priority:1;uniqueIndex:,composite:logical_date,priority:1;index:,composite:gate,priority:3;index:,composite:place,priority:3" json:"dag_id"`
	// RunID names the run within its DAG: at most 250 characters.
	RunID string `gorm:"column:run_id;size:250;not null;uniqueIndex:,composite:run_id,priority:2" json:"run_id"`
	// State is where the run is in its life.
	State State `gorm:"column:state;size:50;index:,composite:gate,priority:1,where:state = 'queued' OR state = 'running';index:,composite:place,priority:1,where:(state = 'queued' OR state = '') AND backfill_id IS NOT NULL" json:"state"`
	// RunType is what brought the run about.
	RunType RunType `gorm:"column:run_type;size:50;not null" json:"run_type"`
	// LogicalDate is the date that the run is for, unique within its DAG; NULL for a run without one.
	LogicalDate Time `gorm:"column:logical_date;uniqueIndex:,composite:logical_date,priority:2" json:"logical_date"`
	// DataIntervalStart is the beginning of the data that the run is to work on.
	DataIntervalStart Time `gorm:"column:data_interval_start" json:"data_interval_start"`
	// DataIntervalEnd is the end of that data.
	DataIntervalEnd Time `gorm:"column:data_interval_end" json:"data_interval_end"`
	// RunAfter is the earliest time at which the run may start.
	RunAfter Time `gorm:"column:run_after;not null;index:,composite:gate,priority:4;index:,composite:place,priority:5" json:"run_after"`
	// QueuedAt is when the run was queued last.
	QueuedAt Time `gorm:"column:queued_at" json:"queued_at"`
	// StartDate is when the run was admitted; NULL while it is queued.
	StartDate Time `gorm:"column:start_date" json:"start_date"`
	// EndDate is when the run ended; NULL until then.
	EndDate Time `gorm:"column:end_date" json:"end_date"`
	// LastSchedulingDecision is Airflow's; usher does not write it.
	LastSchedulingDecision Time `gorm:"column:last_scheduling_decision" json:"last_scheduling_decision"`
	// BackfillID is the backfill that the run belongs to; nil for the DAG's own runs.
	BackfillID *int64 `gorm:"column:backfill_id;index:,composite:gate,priority:2;index:,composite:place,priority:2" json:"backfill_id"`
	// SortOrdinal is the run's place in its backfill's order, as in backfill_dag_run, where it is
	// read for a queued run that has none here. Who makes a backfill sets both.
	SortOrdinal Place `gorm:"column:sort_ordinal;type:integer;not null;default:2147483647;index:,composite:place,priority:4" json:"sort_ordinal"`
	// Conf is the run's configuration.
	Conf JSON `gorm:"column:conf" json:"conf"`
	// TriggeredBy is the kind of actor that queued the run, such as "cli" or "rest_api".
	TriggeredBy string `gorm:"column:triggered_by;size:50" json:"triggered_by"`
	// TriggeringUserName is the user who queued the run.
	TriggeringUserName string `gorm:"column:triggering_user_name;size:512" json:"triggering_user_name"`
	// CreatingJobID is the job that created the run.
	CreatingJobID *int64 `gorm:"column:creating_job_id" json:"creating_job_id"`
	// ScheduledByJobID is the scheduler that admitted the run.
	ScheduledByJobID *int64 `gorm:"column:scheduled_by_job_id" json:"scheduled_by_job_id"`
	// ClearNumber counts the attempts before this one: it grows when the run is queued again.
	ClearNumber int `gorm:"column:clear_number;type:integer;not null;default:0" json:"clear_number"`
	// CreatedAt is when the row was made.
	CreatedAt Time `gorm:"column:created_at;autoCreateTime:false" json:"created_at"`
	// UpdatedAt is when the row was changed last.
	UpdatedAt Time `gorm:"column:updated_at;autoUpdateTime:false" json:"updated_at"`
}

// TableName is Airflow's, "dag_run", under the application's NamingStrategy.
func (DagRun) TableName(namer schema.Namer) string { return table(namer, "dag_run") }

// AfterCreate takes the column's default out of a run without a place, into which GORM puts it.
// The tag has the default for the sake of AutoMigrate, which would else take it from the column.
func (r *DagRun) AfterCreate(*gorm.DB) error {
	if r.SortOrdinal == NoPlace {
		r.SortOrdinal = 0
	}
	return nil
}
