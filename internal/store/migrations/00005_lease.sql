-- +goose Up
-- One row per piece of background work. Rows stay, so that the token, which
-- fences every write under the lease, rises for ever.
CREATE TABLE leases (
    name       text   PRIMARY KEY,
    holder     text   NOT NULL,
    token      bigint NOT NULL,
    expires_at bigint NOT NULL
);
