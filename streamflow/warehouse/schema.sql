CREATE SCHEMA IF NOT EXISTS live;
CREATE SCHEMA IF NOT EXISTS history;

CREATE OR REPLACE FUNCTION history.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history.% is append-only: % refused; record a corrected extract instead', TG_TABLE_NAME, TG_OP;
END $$;

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
    PRIMARY KEY (source, as_of, table_name, recorded_at)
);
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.extracts
    FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change();
