-- +goose Up
INSERT INTO heads (name) VALUES ('media');

-- Content in the bucket: one row for each owner and content. state 'pending':
-- being written; 'live': refs uploads refer to it; 'deleting': nothing does,
-- and its bytes go.
CREATE TABLE media_objects (
    id         text   PRIMARY KEY,
    owner      text   NOT NULL,
    sha256     text   NOT NULL,
    key        text   NOT NULL UNIQUE,
    state      text   NOT NULL,
    refs       bigint NOT NULL,
    mime       text   NOT NULL,
    size       bigint NOT NULL,
    stored     bigint NOT NULL,
    created_at bigint NOT NULL,
    touched_at bigint NOT NULL
);
CREATE UNIQUE INDEX media_objects_content ON media_objects (owner, sha256) WHERE state <> 'deleting';
CREATE INDEX media_objects_left ON media_objects (touched_at) WHERE state <> 'live';

-- One reference to an object, or an object in quarantine. quarantine is the
-- key of its bytes there, kept until they are deleted.
CREATE TABLE media_uploads (
    id          text   PRIMARY KEY,
    owner       text   NOT NULL,
    state       text   NOT NULL,
    name        text   NOT NULL,
    declared    text   NOT NULL,
    size        bigint NOT NULL,
    quarantine  text   NOT NULL,
    object_id   text   NOT NULL,
    scanned     text   NOT NULL,
    created_at  bigint NOT NULL,
    verified_at bigint NOT NULL
);
CREATE UNIQUE INDEX media_uploads_quarantine ON media_uploads (quarantine) WHERE quarantine <> '';
CREATE INDEX media_uploads_waiting ON media_uploads (created_at) WHERE state = 'quarantined';

-- The verdict log: one row for each upload that was refused.
CREATE TABLE media_refusals (
    id         text   PRIMARY KEY,
    at         bigint NOT NULL,
    owner_hash text   NOT NULL,
    flow       text   NOT NULL,
    code       text   NOT NULL,
    reason     text   NOT NULL,
    declared   text   NOT NULL,
    detected   text   NOT NULL,
    limit_at   bigint NOT NULL,
    actual     bigint NOT NULL
);
CREATE INDEX media_refusals_at ON media_refusals (at);
CREATE INDEX media_refusals_owner ON media_refusals (owner_hash, at);
