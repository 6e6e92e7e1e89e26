-- +goose Up
CREATE TABLE dag (
    dag_id text PRIMARY KEY,
    is_paused numeric NOT NULL,
    is_stale numeric NOT NULL,
    max_active_runs integer,
    fence bigint NOT NULL DEFAULT 0
);

CREATE TABLE dag_run (
    id integer PRIMARY KEY AUTOINCREMENT,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    state text,
    run_type text NOT NULL,
    logical_date datetime,
    data_interval_start datetime,
    data_interval_end datetime,
    run_after datetime NOT NULL,
    queued_at datetime,
    start_date datetime,
    end_date datetime,
    last_scheduling_decision datetime,
    backfill_id integer,
    conf text,
    triggered_by text,
    triggering_user_name text,
    creating_job_id integer,
    scheduled_by_job_id integer,
    clear_number integer NOT NULL DEFAULT 0,
    created_at datetime,
    updated_at datetime
);

CREATE UNIQUE INDEX idx_dag_run_run_id ON dag_run (dag_id, run_id);

CREATE UNIQUE INDEX idx_dag_run_logical_date ON dag_run (dag_id, logical_date);

CREATE INDEX idx_dag_run_gate ON dag_run (state, backfill_id, dag_id, run_after, id)
    WHERE state = 'queued' OR state = 'running';

CREATE TABLE backfill (
    id integer PRIMARY KEY AUTOINCREMENT,
    dag_id text NOT NULL,
    from_date datetime NOT NULL,
    to_date datetime NOT NULL,
    dag_run_conf text,
    is_paused numeric NOT NULL,
    reprocess_behavior text NOT NULL,
    max_active_runs integer NOT NULL DEFAULT 10,
    created_at datetime NOT NULL,
    completed_at datetime,
    updated_at datetime NOT NULL,
    triggering_user_name text,
    fence bigint NOT NULL DEFAULT 0
);

CREATE INDEX idx_backfill_dag ON backfill (dag_id);

CREATE TABLE backfill_dag_run (
    id integer PRIMARY KEY AUTOINCREMENT,
    backfill_id integer NOT NULL,
    dag_run_id integer,
    exception_reason text,
    logical_date datetime NOT NULL,
    sort_ordinal integer NOT NULL
);

CREATE UNIQUE INDEX idx_backfill_dag_run_run ON backfill_dag_run (backfill_id, dag_run_id);

CREATE INDEX idx_backfill_dag_run_ordinal ON backfill_dag_run (backfill_id, sort_ordinal, dag_run_id);

CREATE TABLE job (
    id integer PRIMARY KEY AUTOINCREMENT,
    state text,
    job_type text,
    start_date datetime,
    end_date datetime,
    latest_heartbeat datetime,
    hostname text,
    unixname text
);

CREATE INDEX idx_job_heartbeat ON job (job_type, latest_heartbeat);
