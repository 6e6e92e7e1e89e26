// Package models says what usher stores.
//
// It is responsible for the five tables and their columns, which carry the names and the
// meaning of Apache Airflow's (3.1 to 3.3), for values of time and JSON that read back the
// same on every engine, and for the table of state changes ([DagRun.SetState]). It holds no
// queries: those are in package repo.
//
// Start with [DagRun] and [Backfill]; the rules of admission that use them are in repo.
package models

import "gorm.io/gorm/schema"

// All lists the models in the order in which their tables are created. It is what a
// migration tool wants that compares schemas; [github.com/usher-go/usher/repo.Repo.Migrate] uses
// it too. GORM's AutoMigrate is no such tool: it alters columns that are as they should be.
func All() []any {
	return []any{&Dag{}, &DagRun{}, &Backfill{}, &BackfillDagRun{}, &Job{}}
}

// table is Airflow's singular name under the application's NamingStrategy: a prefix or a
// schema is kept, the plural is not made. Another kind of Namer is asked for its own name.
func table(namer schema.Namer, name string) string {
	switch strategy := namer.(type) {
	case schema.NamingStrategy:
		strategy.SingularTable = true
		return strategy.TableName(name)
	case *schema.NamingStrategy:
		return table(*strategy, name)
	case Tables:
		return strategy.of(name)
	case *Tables:
		return strategy.of(name)
	}
	return namer.TableName(name)
}
