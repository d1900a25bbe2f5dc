-- Alerts and health. They carry no number of their own: the position in the stream is their key.

CREATE TABLE alerts (
    created_ns bigint NOT NULL,     -- of the stream
    stream_seq bigint NOT NULL,
    time_ns    bigint NOT NULL,
    severity   text NOT NULL,
    service    text NOT NULL,
    code       text NOT NULL,
    text       text NOT NULL,
    details    jsonb NOT NULL,
    PRIMARY KEY (created_ns, stream_seq)
);
CREATE INDEX alerts_time ON alerts (time_ns);

CREATE TABLE health (
    created_ns bigint NOT NULL,
    stream_seq bigint NOT NULL,
    time_ns    bigint NOT NULL,
    service    text NOT NULL,
    state      text NOT NULL,
    text       text NOT NULL,
    numbers    jsonb NOT NULL,
    PRIMARY KEY (created_ns, stream_seq)
);
CREATE INDEX health_service ON health (service, time_ns);
COMMENT ON TABLE health IS 'one row when state or text of a service changes, else one a minute';
