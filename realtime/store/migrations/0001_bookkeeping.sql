-- What the recorder needs to know about itself: committed in the same transactions as the rows.

CREATE FUNCTION utc(time_ns bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT to_timestamp(time_ns / 1000000000)
           + (time_ns % 1000000000 / 1000) * interval '1 microsecond' $$;
COMMENT ON FUNCTION utc IS 'UTC nanoseconds as a moment that people can read; cut to microseconds';

-- Names in the one big table are numbers: its rows are then of one length, which is what makes
-- COPY from arrays, and into arrays, fast.
CREATE TABLE accounts (
    account_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text NOT NULL UNIQUE
);
CREATE TABLE symbols (
    symbol_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol    text NOT NULL UNIQUE
);

CREATE TABLE recorded (
    stream          text PRIMARY KEY,
    last_stream_seq bigint NOT NULL,
    created_ns      bigint NOT NULL,  -- when the stream was made: a new one counts from 1 again
    updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE recorded IS 'last message of each stream whose rows are committed';

CREATE TABLE sequences (
    stream text NOT NULL,
    kind   text NOT NULL,             -- feed_seq, seq, number, ...
    name   text NOT NULL,             -- account, or account/symbol, ...
    last   bigint NOT NULL,
    PRIMARY KEY (stream, kind, name)
);
COMMENT ON TABLE sequences IS 'last number recorded of everything that is numbered without gaps';

CREATE TABLE gaps (
    gap_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream     text NOT NULL,
    kind       text NOT NULL,         -- as in sequences; stream_seq: trimmed before it was read
    name       text NOT NULL,
    first      bigint NOT NULL,
    last       bigint NOT NULL CHECK (last >= first),
    noticed_at timestamptz NOT NULL DEFAULT now(),
    filled_at  timestamptz            -- what was missing came later
);
COMMENT ON TABLE gaps IS 'numbers that were missing when later ones arrived';
CREATE INDEX gaps_open ON gaps (stream, kind, name) WHERE filled_at IS NULL;

CREATE TABLE dead_letters (
    stream      text NOT NULL,
    created_ns  bigint NOT NULL,
    stream_seq  bigint NOT NULL,
    subject     text NOT NULL,
    reason      text NOT NULL,
    payload     bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, created_ns, stream_seq)
);
COMMENT ON TABLE dead_letters IS 'messages that could not be recorded, as they came';
