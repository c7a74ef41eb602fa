-- +goose Up
-- One row per Idempotency-Key: kind 'request' of Gantry's own endpoints,
-- kind 'operation' of the host. The states and their rules are in package
-- idempotency. expires_at 0 never expires: an operation in progress or in
-- doubt stays until somebody settles it.
CREATE TABLE idempotency (
    kind        text   NOT NULL,
    scope       text   NOT NULL,
    key         text   NOT NULL,
    state       text   NOT NULL,
    token       bigint NOT NULL,
    fingerprint bytea  NOT NULL,
    in_sql      bigint NOT NULL,
    lease_until bigint NOT NULL,
    expires_at  bigint NOT NULL,
    status      bigint NOT NULL,
    header      text   NOT NULL,
    body        bytea  NOT NULL,
    PRIMARY KEY (kind, scope, key)
);
CREATE INDEX idempotency_expires ON idempotency (expires_at);
