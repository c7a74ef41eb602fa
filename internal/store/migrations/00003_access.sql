-- +goose Up
-- API keys. hash is the SHA-256 of the secret; a revoked key keeps its row,
-- so that the list says what became of it. Times are Unix microseconds, 0
-- for never.
CREATE TABLE access_keys (
    id           text   PRIMARY KEY,
    hash         bytea  NOT NULL,
    role         text   NOT NULL,
    label        text   NOT NULL,
    owner        text   NOT NULL,
    created_by   text   NOT NULL,
    created_at   bigint NOT NULL,
    expires_at   bigint NOT NULL,
    last_used_at bigint NOT NULL,
    revoked_at   bigint NOT NULL,
    bootstrap    bigint NOT NULL
);

INSERT INTO heads (name) VALUES ('access');
