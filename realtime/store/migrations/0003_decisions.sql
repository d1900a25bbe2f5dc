-- What the model said, what was decided on it, and in which order the loop took ticks in.

CREATE TABLE predictions (
    account      text NOT NULL,
    number       bigint NOT NULL,
    symbol       text NOT NULL,
    feed_seq     bigint NOT NULL,
    now_ns       bigint NOT NULL,
    bundle_id    text NOT NULL,
    feature_set  text NOT NULL,
    probability  float8 NOT NULL,
    features     float8[] NOT NULL,
    tick_ns      bigint NOT NULL,
    received_ns  bigint NOT NULL,
    features_ns  bigint NOT NULL,
    predicted_ns bigint NOT NULL,
    stream_seq   bigint NOT NULL,
    PRIMARY KEY (account, number)
);
CREATE INDEX predictions_feed ON predictions (account, feed_seq);
COMMENT ON COLUMN predictions.features IS 'in the order of the columns of the bundle';

CREATE TABLE decisions (
    account           text NOT NULL,
    number            bigint NOT NULL,
    symbol            text NOT NULL,
    feed_seq          bigint NOT NULL,
    now_ns            bigint NOT NULL,
    probability       float8 NOT NULL,
    edge              float8 NOT NULL,
    cost              float8 NOT NULL,
    target_lots       float8 NOT NULL,
    allowed_lots      float8 NOT NULL,
    decision_code     bigint  NOT NULL,
    risk_code         bigint  NOT NULL,
    bundle_id         text NOT NULL,
    prediction_number bigint NOT NULL,
    decided_ns        bigint NOT NULL,
    stream_seq        bigint NOT NULL,
    PRIMARY KEY (account, number)
);
CREATE INDEX decisions_feed ON decisions (account, feed_seq);

CREATE TABLE refused_orders (
    account         text NOT NULL,
    decision_number bigint NOT NULL,
    place           integer NOT NULL,
    symbol          text NOT NULL,
    type            bigint  NOT NULL,
    filling         bigint  NOT NULL,
    volume_lots     float8 NOT NULL,
    price           float8 NOT NULL,
    stop_loss       float8 NOT NULL,
    take_profit     float8 NOT NULL,
    position_id     bigint NOT NULL,
    magic           bigint NOT NULL,
    decision_code   bigint  NOT NULL,
    risk_code       bigint  NOT NULL,
    created_ns      bigint NOT NULL,
    retcode         bigint  NOT NULL,
    PRIMARY KEY (account, decision_number, place)
);
COMMENT ON TABLE refused_orders IS 'orders that our own checks would not let out, and why';

CREATE TABLE consumed (
    account                  text NOT NULL,
    number                   bigint NOT NULL,
    first_feed_seq           bigint NOT NULL,
    ticks                    integer NOT NULL,
    now_minus_tick_ns        bigint[] NOT NULL,
    bundle_ids               text NOT NULL,
    report_seq               bigint[] NOT NULL,
    report_after_feed_seq    bigint[] NOT NULL,
    swapped_bundle           text[] NOT NULL,
    swapped_after_feed_seq   bigint[] NOT NULL,
    created_ns               bigint NOT NULL,  -- of the stream
    stream_seq               bigint NOT NULL,
    -- A loop that restarts cuts its messages elsewhere: what counts is which ticks they are about.
    PRIMARY KEY (account, first_feed_seq, created_ns, stream_seq)
);
COMMENT ON TABLE consumed IS 'in which order, and at which moments, the loop took ticks in';
