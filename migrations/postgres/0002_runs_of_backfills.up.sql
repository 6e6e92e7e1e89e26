-- +goose Up
DROP INDEX idx_backfill_dag_run_run;

CREATE UNIQUE INDEX idx_backfill_dag_run_run ON backfill_dag_run (dag_run_id, backfill_id);
