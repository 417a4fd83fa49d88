CREATE SCHEMA IF NOT EXISTS live;
CREATE SCHEMA IF NOT EXISTS history;

CREATE TABLE IF NOT EXISTS history.extracts (
    source text NOT NULL,
    as_of date NOT NULL,
    table_name text NOT NULL,
    recorded_at timestamptz NOT NULL,
    rows bigint NOT NULL,
    content_sha256 text NOT NULL,
    added bigint NOT NULL,
    changed bigint NOT NULL,
    retracted bigint NOT NULL,
    columns jsonb NOT NULL,
    PRIMARY KEY (source, as_of, table_name, recorded_at)
);

CREATE TABLE IF NOT EXISTS history.erasures (
    id text PRIMARY KEY,
    record text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE IF NOT EXISTS history.erased_users (
    commitment bytea PRIMARY KEY,
    salt bytea NOT NULL
);
