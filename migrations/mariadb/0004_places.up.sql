-- +goose Up
ALTER TABLE dag_run
    ADD COLUMN sort_ordinal integer NOT NULL DEFAULT 2147483647,
    ADD INDEX idx_dag_run_place (state, backfill_id, dag_id, sort_ordinal, run_after, id);
