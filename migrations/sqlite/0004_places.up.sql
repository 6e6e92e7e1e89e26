-- +goose Up
ALTER TABLE dag_run ADD COLUMN sort_ordinal integer NOT NULL DEFAULT 2147483647;

CREATE INDEX idx_dag_run_place ON dag_run (state, backfill_id, dag_id, sort_ordinal, run_after, id)
    WHERE (state = 'queued' OR state = '') AND backfill_id IS NOT NULL;
