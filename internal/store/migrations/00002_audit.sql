-- +goose Up
-- The audit log. Rows are only ever added, but for the head. Every table is
-- checked against the others by audit.Verify.
INSERT INTO heads (name) VALUES ('audit');

-- One row, made when the log starts.
CREATE TABLE audit_head (
    name text   PRIMARY KEY,
    size bigint NOT NULL,
    root bytea  NOT NULL
);

-- The public part; kind and at (Unix microseconds) repeat the leaf, for
-- queries.
CREATE TABLE audit_leaves (
    idx  bigint PRIMARY KEY,
    kind text   NOT NULL,
    at   bigint NOT NULL,
    leaf bytea  NOT NULL
);
CREATE INDEX audit_leaves_kind ON audit_leaves (kind, idx);
CREATE INDEX audit_leaves_at ON audit_leaves (at);

-- The hashes of the Merkle tree by tlog's stored-hash index; a leaf's own
-- hash is the one of level 0.
CREATE TABLE audit_hashes (
    idx  bigint PRIMARY KEY,
    hash bytea  NOT NULL
);

-- What the leaf commits to. It may hold personal data, and stays out of the
-- tree for that reason. object repeats the body, for queries.
CREATE TABLE audit_private (
    idx    bigint PRIMARY KEY,
    object text   NOT NULL,
    salt   bytea  NOT NULL,
    body   bytea  NOT NULL
);
CREATE INDEX audit_private_object ON audit_private (object, idx);

-- The checkpoint signed when the log reached the size. All are kept: they
-- tell which entry a rewrite began with.
CREATE TABLE audit_checkpoints (
    size   bigint PRIMARY KEY,
    signed bytea  NOT NULL
);
