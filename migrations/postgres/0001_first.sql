-- What auth keeps. The same tables as in ../sqlite; times are seconds since 1970 UTC.

-- Raised at each change, so that a running auth notices what another process did.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value)
VALUES ('revocations', 0), ('prefixes', 0), ('keys', 0), ('directory', 0);

-- Keys that sign user tickets: 32-byte seeds in base64url. Secret.
CREATE TABLE signing_keys (
    kid        TEXT PRIMARY KEY,
    seed       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

-- Other secrets by name: "refresh" authenticates refresh tokens.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE packages (
    name       TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE package_channels (
    package TEXT NOT NULL REFERENCES packages (name) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    PRIMARY KEY (package, channel)
);

CREATE TABLE accounts (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    signed_in_at  BIGINT,
    disabled_at   BIGINT
);

CREATE TABLE account_packages (
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    package TEXT NOT NULL REFERENCES packages (name) ON DELETE CASCADE,
    PRIMARY KEY (account, package)
);
CREATE INDEX account_packages_by_package ON account_packages (package);

-- Credentials are 256-bit random texts, so a plain hash of them is enough.
CREATE TABLE nodes (
    name            TEXT PRIMARY KEY,
    role            TEXT NOT NULL,
    credential_hash TEXT NOT NULL UNIQUE,
    channels        TEXT NOT NULL, -- a JSON array
    created_at      BIGINT NOT NULL,
    seen_at         BIGINT,
    revoked_at      BIGINT
);

-- One row per sign-in of an account, or per device of a node. No addresses are kept.
CREATE TABLE sessions (
    id           TEXT PRIMARY KEY, -- the tickets' jti
    account      TEXT REFERENCES accounts (id) ON DELETE CASCADE,
    node         TEXT REFERENCES nodes (name) ON DELETE CASCADE,
    device       TEXT NOT NULL,
    generation   BIGINT NOT NULL DEFAULT 0, -- of the refresh token that is valid now
    created_at   BIGINT NOT NULL,
    renewed_at   BIGINT NOT NULL,
    subset       BIGINT,
    asn          BIGINT,
    country      TEXT,
    quic         TEXT NOT NULL DEFAULT '[]', -- a node's advertised addresses, a JSON array
    http         TEXT,
    ended_at     BIGINT,
    ended_reason TEXT,
    CHECK ((account IS NULL) <> (node IS NULL))
);
CREATE INDEX sessions_by_account ON sessions (account, device);
CREATE INDEX sessions_by_node ON sessions (node, device);
CREATE INDEX sessions_by_renewal ON sessions (renewed_at);

CREATE TABLE revocations (
    seq     BIGINT PRIMARY KEY,
    session TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      BIGINT NOT NULL
);

CREATE TABLE prefixes (
    prefix  TEXT PRIMARY KEY,
    subset  BIGINT,
    asn     BIGINT,
    country TEXT
);
