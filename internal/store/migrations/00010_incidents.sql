-- +goose Up
INSERT INTO heads (name) VALUES ('incident');

-- The last number given to an incident and to a delivery: numbers are not
-- used again, whatever is pruned.
CREATE TABLE incident_numbers (
    name text   PRIMARY KEY,
    last bigint NOT NULL
);
INSERT INTO incident_numbers (name, last) VALUES ('incident', 0), ('delivery', 0);

-- What fails now. reporter: a node for facts that are about one node, '' for
-- those that any node may state.
CREATE TABLE incident_conditions (
    rule     text   NOT NULL,
    object   text   NOT NULL,
    reporter text   NOT NULL,
    value    text   NOT NULL,
    since    bigint NOT NULL,
    seen_at  bigint NOT NULL,
    PRIMARY KEY (rule, object, reporter)
);

-- One row for each incident. notices: what each receiver was told last, JSON.
CREATE TABLE incidents (
    id          text   PRIMARY KEY,
    seq         bigint NOT NULL UNIQUE,
    cause_group text   NOT NULL,
    object      text   NOT NULL,
    rules       text   NOT NULL,
    class       text   NOT NULL,
    state       text   NOT NULL,
    summary     text   NOT NULL,
    opened_at   bigint NOT NULL,
    raised_at   bigint NOT NULL,
    first_sent  bigint NOT NULL,
    acked_at    bigint NOT NULL,
    acked_by    text   NOT NULL,
    resolved_at bigint NOT NULL,
    resolved_by text   NOT NULL,
    reopened    bigint NOT NULL,
    notices     text   NOT NULL,
    notes       bigint NOT NULL,
    version     bigint NOT NULL
);
CREATE UNIQUE INDEX incidents_active ON incidents (cause_group, object) WHERE state <> 'resolved';
CREATE INDEX incidents_resolved ON incidents (resolved_at);

-- The timeline.
CREATE TABLE incident_updates (
    incident_id text   NOT NULL,
    n           bigint NOT NULL,
    at          bigint NOT NULL,
    kind        text   NOT NULL,
    by_id       text   NOT NULL,
    text        text   NOT NULL,
    PRIMARY KEY (incident_id, n)
);

-- The outbox. incident_id is '' for heartbeats. next_at: when the next attempt
-- is due, and, of a claimed row, when its claim ends.
CREATE TABLE incident_deliveries (
    id          bigint PRIMARY KEY,
    incident_id text   NOT NULL,
    receiver    text   NOT NULL,
    action      text   NOT NULL,
    class       text   NOT NULL,
    message     text   NOT NULL,
    state       text   NOT NULL,
    attempts    bigint NOT NULL,
    created_at  bigint NOT NULL,
    next_at     bigint NOT NULL,
    done_at     bigint NOT NULL,
    answer      text   NOT NULL
);
CREATE INDEX incident_deliveries_pending ON incident_deliveries (receiver, incident_id, id) WHERE state = 'pending';
CREATE INDEX incident_deliveries_next ON incident_deliveries (receiver, class, id) WHERE state = 'pending';
CREATE INDEX incident_deliveries_failed ON incident_deliveries (receiver) WHERE state = 'failed';
CREATE INDEX incident_deliveries_done ON incident_deliveries (receiver, done_at) WHERE state = 'delivered';
CREATE INDEX incident_deliveries_incident ON incident_deliveries (incident_id, id);

CREATE TABLE incident_silences (
    id         text   PRIMARY KEY,
    rule       text   NOT NULL,
    object     text   NOT NULL,
    class      text   NOT NULL,
    reason     text   NOT NULL,
    by_id      text   NOT NULL,
    created_at bigint NOT NULL,
    ends_at    bigint NOT NULL
);
