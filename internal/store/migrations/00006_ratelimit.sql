-- +goose Up
-- A policy that the API set; a NULL policy is a reset, whose version goes on.
CREATE TABLE ratelimit_policies (
    action     text   PRIMARY KEY,
    version    bigint NOT NULL,
    policy     text,
    updated_at bigint NOT NULL,
    updated_by text   NOT NULL
);

CREATE TABLE ratelimit_overrides (
    id          text   PRIMARY KEY,
    dimension   text   NOT NULL,
    subject     text   NOT NULL,
    action      text   NOT NULL,
    multiplier  bigint NOT NULL,
    exempt      bigint NOT NULL,
    block_until bigint NOT NULL,
    expires_at  bigint NOT NULL,
    reason      text   NOT NULL,
    created_by  text   NOT NULL,
    created_at  bigint NOT NULL,
    UNIQUE (dimension, subject, action)
);

-- One row counts the refusals of one rule for one subject in one window.
-- offender_* repeat who the refusal is laid to (see ratelimit.Offender).
CREATE TABLE ratelimit_violations (
    action       text   NOT NULL,
    scope        text   NOT NULL,
    user_id      text   NOT NULL,
    ip_hash      text   NOT NULL,
    device_hash  text   NOT NULL,
    window_start bigint NOT NULL,
    shadow       bigint NOT NULL,
    window_us    bigint NOT NULL,
    limit_units  bigint NOT NULL,
    count        bigint NOT NULL,
    first_at     bigint NOT NULL,
    last_at      bigint NOT NULL,
    offender_dim text   NOT NULL,
    offender     text   NOT NULL,
    PRIMARY KEY (action, scope, user_id, ip_hash, device_hash, window_start, shadow)
);
CREATE INDEX ratelimit_violations_last ON ratelimit_violations (last_at);
CREATE INDEX ratelimit_violations_user ON ratelimit_violations (user_id, last_at);
CREATE INDEX ratelimit_violations_action ON ratelimit_violations (action, last_at);

-- The last batch that each node wrote, so that a repeated one counts once.
CREATE TABLE ratelimit_batches (
    node    text   PRIMARY KEY,
    seq     bigint NOT NULL,
    at      bigint NOT NULL
);

INSERT INTO heads (name) VALUES ('ratelimit');
