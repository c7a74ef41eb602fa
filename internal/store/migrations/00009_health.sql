-- +goose Up
-- The newest result of each component: node '' of one that one node measures
-- for all. at is when its last measurement began. The four counts are of all
-- measurements ever, so that a repeated write adds nothing to the uptime.
CREATE TABLE health_results (
    component   text   NOT NULL,
    node        text   NOT NULL,
    at          bigint NOT NULL,
    state       text   NOT NULL,
    last        text   NOT NULL,
    up          bigint NOT NULL,
    degraded    bigint NOT NULL,
    down        bigint NOT NULL,
    maintenance bigint NOT NULL,
    PRIMARY KEY (component, node)
);
CREATE INDEX health_results_at ON health_results (at);

-- Measurements of one day (UTC, 2006-01-02) by the status after them.
CREATE TABLE health_uptime (
    day         text   NOT NULL,
    component   text   NOT NULL,
    up          bigint NOT NULL,
    degraded    bigint NOT NULL,
    down        bigint NOT NULL,
    maintenance bigint NOT NULL,
    PRIMARY KEY (day, component)
);

-- Maintenance windows. components is a JSON list, [] for all.
CREATE TABLE health_windows (
    id         text   PRIMARY KEY,
    components text   NOT NULL,
    from_at    bigint NOT NULL,
    until_at   bigint NOT NULL,
    reason     text   NOT NULL,
    by_id      text   NOT NULL,
    ended_at   bigint NOT NULL,
    ended_by   text   NOT NULL
);
CREATE INDEX health_windows_until ON health_windows (until_at);

-- What each background job reported. plan says when it runs; plan_since is
-- since when that is waited for.
CREATE TABLE health_jobs (
    job        text   PRIMARY KEY,
    plan       text   NOT NULL,
    plan_since bigint NOT NULL,
    record     text   NOT NULL
);

-- How fresh each source was when it was read last.
CREATE TABLE health_sources (
    source     text   PRIMARY KEY,
    updated_at bigint NOT NULL,
    checked_at bigint NOT NULL,
    problem    text   NOT NULL
);
