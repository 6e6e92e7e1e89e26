-- +goose Up
ALTER TABLE job
    ADD INDEX idx_job_alive (job_type, state, latest_heartbeat),
    DROP INDEX idx_job_heartbeat;
