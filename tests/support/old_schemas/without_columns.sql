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
    PRIMARY KEY (source, as_of, table_name, recorded_at)
);

CREATE TABLE IF NOT EXISTS live.users (source text NOT NULL DEFAULT 'postgres', as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, signup_date date NOT NULL, user_gender text NOT NULL, user_is_senior boolean NOT NULL, has_family boolean NOT NULL, has_dependents boolean NOT NULL, PRIMARY KEY (source, as_of, user_id)); CREATE TABLE IF NOT EXISTS history.users (source text NOT NULL, as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, recorded_at timestamptz NOT NULL, signup_date date, user_gender text, user_is_senior boolean, has_family boolean, has_dependents boolean, retracted boolean NOT NULL, CHECK (retracted OR (signup_date IS NOT NULL AND user_gender IS NOT NULL AND user_is_senior IS NOT NULL AND has_family IS NOT NULL AND has_dependents IS NOT NULL)), PRIMARY KEY (source, as_of, user_id, recorded_at));
CREATE TABLE IF NOT EXISTS live.subscriptions (source text NOT NULL DEFAULT 'postgres', as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, months_active bigint NOT NULL, plan_stream_tv boolean, plan_stream_movies boolean, contract_type text NOT NULL, paperless_billing boolean NOT NULL, monthly_fee double precision NOT NULL, total_paid double precision NOT NULL, net_service text NOT NULL, PRIMARY KEY (source, as_of, user_id)); CREATE TABLE IF NOT EXISTS history.subscriptions (source text NOT NULL, as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, recorded_at timestamptz NOT NULL, months_active bigint, plan_stream_tv boolean, plan_stream_movies boolean, contract_type text, paperless_billing boolean, monthly_fee double precision, total_paid double precision, net_service text, retracted boolean NOT NULL, CHECK (retracted OR (months_active IS NOT NULL AND contract_type IS NOT NULL AND paperless_billing IS NOT NULL AND monthly_fee IS NOT NULL AND total_paid IS NOT NULL AND net_service IS NOT NULL)), PRIMARY KEY (source, as_of, user_id, recorded_at));
CREATE TABLE IF NOT EXISTS live.usage_agg_30d (source text NOT NULL DEFAULT 'postgres', as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, watch_hours_30d double precision NOT NULL, avg_session_mins_7d double precision NOT NULL, unique_devices_30d bigint NOT NULL, skips_7d bigint NOT NULL, rebuffer_events_7d bigint NOT NULL, PRIMARY KEY (source, as_of, user_id)); CREATE TABLE IF NOT EXISTS history.usage_agg_30d (source text NOT NULL, as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, recorded_at timestamptz NOT NULL, watch_hours_30d double precision, avg_session_mins_7d double precision, unique_devices_30d bigint, skips_7d bigint, rebuffer_events_7d bigint, retracted boolean NOT NULL, CHECK (retracted OR (watch_hours_30d IS NOT NULL AND avg_session_mins_7d IS NOT NULL AND unique_devices_30d IS NOT NULL AND skips_7d IS NOT NULL AND rebuffer_events_7d IS NOT NULL)), PRIMARY KEY (source, as_of, user_id, recorded_at));
CREATE TABLE IF NOT EXISTS live.payments_agg_90d (source text NOT NULL DEFAULT 'postgres', as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, failed_payments_90d bigint NOT NULL, PRIMARY KEY (source, as_of, user_id)); CREATE TABLE IF NOT EXISTS history.payments_agg_90d (source text NOT NULL, as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, recorded_at timestamptz NOT NULL, failed_payments_90d bigint, retracted boolean NOT NULL, CHECK (retracted OR (failed_payments_90d IS NOT NULL)), PRIMARY KEY (source, as_of, user_id, recorded_at));
CREATE TABLE IF NOT EXISTS live.support_agg_90d (source text NOT NULL DEFAULT 'postgres', as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, support_tickets_90d bigint NOT NULL, ticket_avg_resolution_hrs_90d double precision NOT NULL, PRIMARY KEY (source, as_of, user_id)); CREATE TABLE IF NOT EXISTS history.support_agg_90d (source text NOT NULL, as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, recorded_at timestamptz NOT NULL, support_tickets_90d bigint, ticket_avg_resolution_hrs_90d double precision, retracted boolean NOT NULL, CHECK (retracted OR (support_tickets_90d IS NOT NULL AND ticket_avg_resolution_hrs_90d IS NOT NULL)), PRIMARY KEY (source, as_of, user_id, recorded_at));
CREATE TABLE IF NOT EXISTS live.labels (source text NOT NULL DEFAULT 'postgres', as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, churn_label boolean NOT NULL, PRIMARY KEY (source, as_of, user_id)); CREATE TABLE IF NOT EXISTS history.labels (source text NOT NULL, as_of date NOT NULL, user_id text COLLATE "C" NOT NULL, recorded_at timestamptz NOT NULL, churn_label boolean, retracted boolean NOT NULL, CHECK (retracted OR (churn_label IS NOT NULL)), PRIMARY KEY (source, as_of, user_id, recorded_at));
CREATE OR REPLACE FUNCTION history.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history.% is append-only: % refused; record a corrected extract instead', TG_TABLE_NAME, TG_OP;
END $$;
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.extracts FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.users FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.subscriptions FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.usage_agg_30d FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.payments_agg_90d FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.support_agg_90d FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.labels FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change();
