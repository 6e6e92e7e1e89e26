-- +goose Up
CREATE TABLE dag (
    dag_id varchar(250) PRIMARY KEY,
    is_paused boolean NOT NULL,
    is_stale boolean NOT NULL,
    max_active_runs bigint,
    fence bigint NOT NULL DEFAULT 0
);

CREATE TABLE dag_run (
    id bigserial PRIMARY KEY,
    dag_id varchar(250) NOT NULL,
    run_id varchar(250) NOT NULL,
    state varchar(50),
    run_type varchar(50) NOT NULL,
    logical_date timestamptz,
    data_interval_start timestamptz,
    data_interval_end timestamptz,
    run_after timestamptz NOT NULL,
    queued_at timestamptz,
    start_date timestamptz,
    end_date timestamptz,
    last_scheduling_decision timestamptz,
    backfill_id bigint,
    conf jsonb,
    triggered_by varchar(50),
    triggering_user_name varchar(512),
    creating_job_id bigint,
    scheduled_by_job_id bigint,
    clear_number integer NOT NULL DEFAULT 0,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE UNIQUE INDEX idx_dag_run_run_id ON dag_run (dag_id, run_id);

CREATE UNIQUE INDEX idx_dag_run_logical_date ON dag_run (dag_id, logical_date);

CREATE INDEX idx_dag_run_gate ON dag_run (state, backfill_id, dag_id, run_after, id)
    WHERE state = 'queued' OR state = 'running';

CREATE TABLE backfill (
    id bigserial PRIMARY KEY,
    dag_id varchar(250) NOT NULL,
    from_date timestamptz NOT NULL,
    to_date timestamptz NOT NULL,
    dag_run_conf jsonb,
    is_paused boolean NOT NULL,
    reprocess_behavior varchar(250) NOT NULL,
    max_active_runs integer NOT NULL DEFAULT 10,
    created_at timestamptz NOT NULL,
    completed_at timestamptz,
    updated_at timestamptz NOT NULL,
    triggering_user_name varchar(512),
    fence bigint NOT NULL DEFAULT 0
);

CREATE INDEX idx_backfill_dag ON backfill (dag_id);

CREATE TABLE backfill_dag_run (
    id bigserial PRIMARY KEY,
    backfill_id bigint NOT NULL,
    dag_run_id bigint,
    exception_reason varchar(250),
    logical_date timestamptz NOT NULL,
    sort_ordinal bigint NOT NULL
);

CREATE UNIQUE INDEX idx_backfill_dag_run_run ON backfill_dag_run (backfill_id, dag_run_id);

CREATE INDEX idx_backfill_dag_run_ordinal ON backfill_dag_run (backfill_id, sort_ordinal, dag_run_id);

CREATE TABLE job (
    id bigserial PRIMARY KEY,
    state varchar(20),
    job_type varchar(30),
    start_date timestamptz,
    end_date timestamptz,
    latest_heartbeat timestamptz,
    hostname varchar(500),
    unixname varchar(1000)
);

CREATE INDEX idx_job_heartbeat ON job (job_type, latest_heartbeat);
