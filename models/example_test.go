package models_test

import (
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
)

// The application's tables begin with "app_", and that of runs has a name of its own.
func ExampleTables() {
	db, done := testdb.ForExample(&gorm.Config{NamingStrategy: models.Tables{
		NamingStrategy: schema.NamingStrategy{TablePrefix: "app_"},
		DagRun:         "workflow_run",
	}})
	defer done()

	for _, model := range models.All() {
		table := &gorm.Statement{DB: db}
		if err := table.Parse(model); err != nil {
			panic(err)
		}
		fmt.Println(table.Table)
	}
	// Output:
	// app_dag
	// workflow_run
	// app_backfill
	// app_backfill_dag_run
	// app_job
}

// A tool that compares schemas is given the models.
func ExampleAll() {
	for _, model := range models.All() {
		fmt.Printf("%T\n", model)
	}
	// Output:
	// *models.Dag
	// *models.DagRun
	// *models.Backfill
	// *models.BackfillDagRun
	// *models.Job
}

// An instant is the same one when it is read back, so it is cut to what each engine keeps.
func ExampleAt() {
	berlin := time.FixedZone("CET", 3600)
	fmt.Println(models.At(time.Date(2024, 1, 1, 9, 0, 0, 123456789, berlin)))
	fmt.Println(models.At(time.Time{}).IsZero()) // which is stored as NULL
	// Output:
	// 2024-01-01 08:00:00.123456 +0000 UTC
	// true
}

// A document is in one form, so that two of equal value are equal.
func ExampleParseJSON() {
	conf, err := models.ParseJSON(`{"to": 1e3, "from": 1.0}`)
	fmt.Println(conf, err)
	_, err = models.ParseJSON(`{"to": `)
	fmt.Println(err)
	// Output:
	// {"from":1,"to":1000} <nil>
	// invalid JSON: unexpected EOF
}

func ExampleParseState() {
	state, err := models.ParseState("failed")
	fmt.Println(state, err)
	_, err = models.ParseState("done")
	fmt.Println(err)
	// Output:
	// failed <nil>
	// unknown state "done": use queued, running, success or failed
}

func ExampleState_Finished() {
	fmt.Println(models.Running.Finished(), models.Failed.Finished())
	// Output: false true
}

// What would become of a run: nothing is changed in the database.
func ExampleDagRun_SetState() {
	noon := models.At(time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC))
	run := models.DagRun{State: models.Running, StartDate: noon}

	run.SetState(models.Success, models.At(noon.Add(time.Hour)))
	fmt.Println(run.State, run.EndDate.Sub(run.StartDate.Time))
	run.SetState(models.Queued, models.At(noon.Add(2*time.Hour)))
	fmt.Println(run.State, run.StartDate.IsZero(), run.EndDate.IsZero())
	// Output:
	// success 1h0m0s
	// queued true true
}
