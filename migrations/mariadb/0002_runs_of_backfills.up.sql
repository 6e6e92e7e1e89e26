-- +goose Up
ALTER TABLE backfill_dag_run
    DROP INDEX idx_backfill_dag_run_run,
    ADD UNIQUE INDEX idx_backfill_dag_run_run (dag_run_id, backfill_id);
