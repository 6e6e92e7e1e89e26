package models

import "gorm.io/gorm/schema"

// UsherScheduler is the job_type of usher's schedulers. It is not Airflow's "SchedulerJob",
// whose runs are in the hands of executors that outlive it.
const UsherScheduler = "UsherScheduler"

// Job is a scheduler and its heartbeat.
type Job struct {
	// ID is the key; runs name it in scheduled_by_job_id.
	ID int64 `gorm:"column:id;primaryKey" json:"id"`
	// State is "running" while the scheduler lives, then "success", or "failed" when it was taken for dead.
	State State `gorm:"column:state;size:20;index:,composite:alive,priority:2" json:"state"`
	// JobType is the kind of job; a scheduler of usher's is an [UsherScheduler].
	JobType string `gorm:"column:job_type;size:30;index:,composite:alive,priority:1" json:"job_type"`
	// StartDate is when it began.
	StartDate Time `gorm:"column:start_date" json:"start_date"`
	// EndDate is when it ended.
	EndDate Time `gorm:"column:end_date" json:"end_date"`
	// LatestHeartbeat is when it last said that it lives.
	LatestHeartbeat Time `gorm:"column:latest_heartbeat;index:,composite:alive,priority:3" json:"latest_heartbeat"`
	// Hostname is the machine that it runs on.
	Hostname string `gorm:"column:hostname;size:500" json:"hostname"`
	// Unixname is the user that it runs as.
	Unixname string `gorm:"column:unixname;size:1000" json:"unixname"`
}

// TableName is Airflow's, "job", under the application's NamingStrategy.
func (Job) TableName(namer schema.Namer) string { return table(namer, "job") }
