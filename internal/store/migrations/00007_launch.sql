-- +goose Up
INSERT INTO heads (name) VALUES ('launch');

-- What admins decide: 'mode', 'settings', 'maintenance', 'phase:MODE'. What
-- was never set has no row, and its default holds.
CREATE TABLE launch_docs (
    name       text   PRIMARY KEY,
    version    bigint NOT NULL,
    doc        text   NOT NULL,
    updated_at bigint NOT NULL,
    updated_by text   NOT NULL
);

-- Every transition, only ever added to. version is the mode's, from it on.
CREATE TABLE launch_history (
    version     bigint PRIMARY KEY,
    from_mode   text   NOT NULL,
    to_mode     text   NOT NULL,
    at          bigint NOT NULL,
    by_id       text   NOT NULL,
    reason      text   NOT NULL,
    revoke_open bigint NOT NULL,
    revoked     bigint NOT NULL,
    override_id text   NOT NULL,
    approved_by text   NOT NULL,
    report      text   NOT NULL
);

CREATE TABLE launch_overrides (
    id              text   PRIMARY KEY,
    from_version    bigint NOT NULL,
    from_mode       text   NOT NULL,
    to_mode         text   NOT NULL,
    reason          text   NOT NULL,
    revoke_open     bigint NOT NULL,
    report          text   NOT NULL,
    requested_by    text   NOT NULL,
    requested_owner text   NOT NULL,
    requested_at    bigint NOT NULL,
    approved_by     text   NOT NULL,
    approved_owner  text   NOT NULL,
    approved_at     bigint NOT NULL,
    used_at         bigint NOT NULL
);

-- Counters of a day: country '' counts all. open and confirmed are exactly
-- the rows of signup_reservations in these states.
CREATE TABLE signup_days (
    day       text   NOT NULL,
    country   text   NOT NULL,
    open      bigint NOT NULL,
    confirmed bigint NOT NULL,
    cap       bigint NOT NULL,
    PRIMARY KEY (day, country)
);

CREATE TABLE signup_reservations (
    id           text   PRIMARY KEY,
    state        text   NOT NULL,
    day          text   NOT NULL,
    country      text   NOT NULL,
    mode         text   NOT NULL,
    user_id      text   NOT NULL,
    email_hash   text   NOT NULL,
    network      text   NOT NULL,
    device       text   NOT NULL,
    invite_id    text   NOT NULL,
    source       text   NOT NULL,
    account      bigint NOT NULL,
    grants       bigint NOT NULL,
    created_at   bigint NOT NULL,
    expires_at   bigint NOT NULL,
    confirmed_at bigint NOT NULL,
    ended_at     bigint NOT NULL
);
-- A subject holds one slot. The books see to it; these are the net.
CREATE UNIQUE INDEX signup_reservations_holder_user ON signup_reservations (user_id)
    WHERE user_id <> '' AND state IN ('open', 'confirmed');
CREATE UNIQUE INDEX signup_reservations_holder_email ON signup_reservations (email_hash)
    WHERE email_hash <> '' AND state IN ('open', 'confirmed');
-- What stands for a subject, and the newest of what has ended.
CREATE INDEX signup_reservations_stands_user ON signup_reservations (user_id) WHERE state IN ('open', 'confirmed', 'unbacked');
CREATE INDEX signup_reservations_stands_email ON signup_reservations (email_hash) WHERE state IN ('open', 'confirmed', 'unbacked') AND email_hash <> '';
CREATE INDEX signup_reservations_user ON signup_reservations (user_id, created_at);
CREATE INDEX signup_reservations_email ON signup_reservations (email_hash, created_at) WHERE email_hash <> '';
CREATE INDEX signup_reservations_due ON signup_reservations (expires_at) WHERE state = 'open';
CREATE INDEX signup_reservations_network ON signup_reservations (network) WHERE state = 'open' AND network <> '';
CREATE INDEX signup_reservations_device ON signup_reservations (device) WHERE state = 'open' AND device <> '';
CREATE INDEX signup_reservations_state ON signup_reservations (state, created_at);
CREATE INDEX signup_reservations_created ON signup_reservations (created_at);
CREATE INDEX signup_reservations_ended ON signup_reservations (ended_at) WHERE ended_at > 0;

-- Which reservation a hook's event made, so that a replay makes no other.
CREATE TABLE signup_events (
    event          text   PRIMARY KEY,
    reservation_id text   NOT NULL,
    at             bigint NOT NULL
);
CREATE INDEX signup_events_at ON signup_events (at);
CREATE INDEX signup_events_reservation ON signup_events (reservation_id);

-- used is exactly the open and confirmed reservations of the invite.
CREATE TABLE invites (
    id         text   PRIMARY KEY,
    hash       text   NOT NULL UNIQUE,
    batch      text   NOT NULL,
    max_uses   bigint NOT NULL,
    used       bigint NOT NULL,
    country    text   NOT NULL,
    email_hash text   NOT NULL,
    note       text   NOT NULL,
    created_by text   NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint NOT NULL
);
CREATE INDEX invites_batch ON invites (batch);
CREATE INDEX invites_created ON invites (created_at);

CREATE TABLE invite_claims (
    email_hash text   PRIMARY KEY,
    invite_id  text   NOT NULL,
    at         bigint NOT NULL
);

CREATE TABLE allowlist (
    id       text   PRIMARY KEY,
    kind     text   NOT NULL,
    value    text   NOT NULL,
    note     text   NOT NULL,
    added_by text   NOT NULL,
    added_at bigint NOT NULL,
    UNIQUE (kind, value)
);

CREATE TABLE waitlist (
    id         text   PRIMARY KEY,
    seq        bigint NOT NULL UNIQUE,
    email      text   NOT NULL UNIQUE,
    country    text   NOT NULL,
    refused    text   NOT NULL,
    joined_at  bigint NOT NULL,
    invited_at bigint NOT NULL,
    invite_id  text   NOT NULL
);
CREATE INDEX waitlist_waiting ON waitlist (country, seq) WHERE invited_at = 0;
CREATE INDEX waitlist_invite ON waitlist (invite_id);
