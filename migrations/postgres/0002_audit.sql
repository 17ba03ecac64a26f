-- What administrators did. No secrets and no addresses; times are seconds since 1970 UTC.
CREATE TABLE audit (
    seq     BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    act     TEXT NOT NULL,
    subject TEXT NOT NULL,
    request TEXT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('audit', 0);
