-- +goose Up
CREATE INDEX idx_job_alive ON job (job_type, state, latest_heartbeat);

DROP INDEX idx_job_heartbeat;
