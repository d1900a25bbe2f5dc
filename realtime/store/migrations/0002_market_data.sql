-- Ticks, what was refused, and bars.

-- A hypertable of weeks where TimescaleDB is installed, otherwise partitions of a month each. The
-- time is part of the key because both ask for it; no two rows share (account_id, feed_seq), which
-- the recorder's sequences see to.
DO $migration$
DECLARE
    with_timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    EXECUTE $ddl$
        CREATE TABLE ticks (
            account_id   integer NOT NULL,
            feed_seq     bigint NOT NULL,
            symbol_id    integer NOT NULL,
            seq          bigint NOT NULL,
            time_ns      bigint NOT NULL,
            bid          float8 NOT NULL,
            ask          float8 NOT NULL,
            last         float8 NOT NULL,
            volume       float8 NOT NULL,
            flags        integer NOT NULL,
            drained_ns   bigint NOT NULL,
            published_ns bigint NOT NULL,
            PRIMARY KEY (account_id, feed_seq, time_ns)
        ) $ddl$ || CASE WHEN with_timescale THEN '' ELSE 'PARTITION BY RANGE (time_ns)' END;
    IF with_timescale THEN
        PERFORM create_hypertable('ticks', 'time_ns', create_default_indexes => false,
                                  chunk_time_interval => 604800000000000::bigint);
    END IF;
END
$migration$;
CREATE INDEX ticks_time ON ticks USING brin (time_ns);
COMMENT ON TABLE ticks IS 'every valid tick, in the order of the feed; last NaN: none; volume 0: none';

CREATE FUNCTION month_start_ns(month date) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT
AS $$ SELECT ((month - date '1970-01-01')::bigint) * 86400000000000 $$;

-- Called by the recorder, before the transaction that needs the month: attaching takes a lock that
-- neither readers nor writers wait for.
CREATE FUNCTION ensure_tick_month(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    first date := date_trunc('month', month)::date;
    following date := (date_trunc('month', month) + interval '1 month')::date;
    name text := 'ticks_' || to_char(first, 'YYYY_MM');
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = 'public.ticks'::regclass AND relkind <> 'p') THEN
        RETURN false;  -- a hypertable makes its own
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('aitrading ticks'));
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.ticks INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE public.ticks ATTACH PARTITION public.%I FOR VALUES FROM (%s) TO (%s)',
                   name, public.month_start_ns(first), public.month_start_ns(following));
    RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION ensure_tick_month FROM PUBLIC;

CREATE TABLE quarantine (
    account    text NOT NULL,
    symbol     text NOT NULL,
    number     bigint NOT NULL,
    server_ms  bigint NOT NULL,
    time_ns    bigint NOT NULL,
    bid        float8 NOT NULL,
    ask        float8 NOT NULL,
    last       float8 NOT NULL,
    volume     float8 NOT NULL,
    flags      bigint NOT NULL,
    reason     text NOT NULL,
    stream_seq bigint NOT NULL,
    PRIMARY KEY (account, symbol, number)
);
COMMENT ON TABLE quarantine IS 'ticks that the gateway refused, and why';

CREATE TABLE bars (
    account     text NOT NULL,
    symbol      text NOT NULL,
    clock       text NOT NULL,
    seq         bigint NOT NULL,
    open_ns     bigint NOT NULL,
    end_ns      bigint NOT NULL,
    open        float8 NOT NULL,
    high        float8 NOT NULL,
    low         float8 NOT NULL,
    close       float8 NOT NULL,
    spread_mean float8 NOT NULL,
    spread_max  float8 NOT NULL,
    volume      float8 NOT NULL,
    ticks       bigint NOT NULL,
    feed_seq    bigint NOT NULL,
    stream_seq  bigint NOT NULL,
    PRIMARY KEY (account, symbol, clock, seq)
);
CREATE INDEX bars_time ON bars (symbol, clock, open_ns);
COMMENT ON TABLE bars IS 'bars that the loop finished; prices are bids';
