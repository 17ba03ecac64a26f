-- The guide as it was read last, one row: JSON, as `GET /v1/guide` gives it but for the time.
CREATE TABLE guide (
    id        BIGINT PRIMARY KEY CHECK (id = 1),
    loaded_at BIGINT NOT NULL,
    body      TEXT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('guide', 0);
