-- +goose Up

-- What the host tells of itself, by the minute.
CREATE TABLE host_signals (
    minute bigint NOT NULL,
    kind   text   NOT NULL,
    object text   NOT NULL,
    n      bigint NOT NULL,
    PRIMARY KEY (minute, kind, object)
);
