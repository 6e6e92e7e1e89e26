-- +goose Up
CREATE TABLE dag (
    dag_id varchar(250) PRIMARY KEY,
    is_paused boolean NOT NULL,
    is_stale boolean NOT NULL,
    max_active_runs bigint,
    fence bigint NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE dag_run (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    dag_id varchar(250) NOT NULL,
    run_id varchar(250) NOT NULL,
    state varchar(50),
    run_type varchar(50) NOT NULL,
    logical_date datetime(6),
    data_interval_start datetime(6),
    data_interval_end datetime(6),
    run_after datetime(6) NOT NULL,
    queued_at datetime(6),
    start_date datetime(6),
    end_date datetime(6),
    last_scheduling_decision datetime(6),
    backfill_id bigint,
    conf json,
    triggered_by varchar(50),
    triggering_user_name varchar(512),
    creating_job_id bigint,
    scheduled_by_job_id bigint,
    clear_number integer NOT NULL DEFAULT 0,
    created_at datetime(6),
    updated_at datetime(6),
    UNIQUE INDEX idx_dag_run_run_id (dag_id, run_id),
    UNIQUE INDEX idx_dag_run_logical_date (dag_id, logical_date),
    INDEX idx_dag_run_gate (state, backfill_id, dag_id, run_after, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE backfill (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    dag_id varchar(250) NOT NULL,
    from_date datetime(6) NOT NULL,
    to_date datetime(6) NOT NULL,
    dag_run_conf json,
    is_paused boolean NOT NULL,
    reprocess_behavior varchar(250) NOT NULL,
    max_active_runs integer NOT NULL DEFAULT 10,
    created_at datetime(6) NOT NULL,
    completed_at datetime(6),
    updated_at datetime(6) NOT NULL,
    triggering_user_name varchar(512),
    fence bigint NOT NULL DEFAULT 0,
    INDEX idx_backfill_dag (dag_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE backfill_dag_run (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    backfill_id bigint NOT NULL,
    dag_run_id bigint,
    exception_reason varchar(250),
    logical_date datetime(6) NOT NULL,
    sort_ordinal bigint NOT NULL,
    UNIQUE INDEX idx_backfill_dag_run_run (backfill_id, dag_run_id),
    INDEX idx_backfill_dag_run_ordinal (backfill_id, sort_ordinal, dag_run_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE job (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    state varchar(20),
    job_type varchar(30),
    start_date datetime(6),
    end_date datetime(6),
    latest_heartbeat datetime(6),
    hostname varchar(500),
    unixname varchar(1000),
    INDEX idx_job_heartbeat (job_type, latest_heartbeat)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
