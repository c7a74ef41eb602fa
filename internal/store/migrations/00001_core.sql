-- +goose Up
-- Heads are the rows that writers lock first; see dialect.lock.
CREATE TABLE heads (
    name text PRIMARY KEY
);

-- A change bumps its topic in its own transaction; nodes poll and reload.
CREATE TABLE revisions (
    topic text   PRIMARY KEY,
    rev   bigint NOT NULL
);

-- Facts about this installation that must never change under a node's feet:
-- fingerprints of the audit key and of the hash key.
CREATE TABLE installation (
    name  text PRIMARY KEY,
    value text NOT NULL
);
