-- Orders, what became of them, and the account they left behind.

CREATE TABLE orders (
    account         text NOT NULL,
    number          bigint NOT NULL,
    client_order_id text NOT NULL,
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
    valid_until_ns  bigint NOT NULL,
    feed_seq        bigint NOT NULL,
    decision_number bigint NOT NULL,
    bundle_id       text NOT NULL,
    slippage_points bigint  NOT NULL,
    tick_ns         bigint NOT NULL,
    received_ns     bigint NOT NULL,
    decided_ns      bigint NOT NULL,
    sent_ns         bigint NOT NULL,
    stream_seq      bigint NOT NULL,
    PRIMARY KEY (account, number)
);
CREATE UNIQUE INDEX orders_client ON orders (client_order_id, account);

CREATE TABLE reports (
    account         text NOT NULL,
    report_seq      bigint NOT NULL,
    client_order_id text NOT NULL,
    order_number    bigint NOT NULL,
    symbol          text NOT NULL,
    state           bigint  NOT NULL,
    retcode         bigint  NOT NULL,
    comment         text NOT NULL,
    order_ticket    bigint NOT NULL,
    filled_lots     float8 NOT NULL,
    deals           integer NOT NULL,
    feed_seq        bigint NOT NULL,
    time_ns         bigint NOT NULL,
    received_ns     bigint NOT NULL,
    sent_ns         bigint NOT NULL,
    answered_ns     bigint NOT NULL,
    published_ns    bigint NOT NULL,
    stream_seq      bigint NOT NULL,
    PRIMARY KEY (account, report_seq)
);
CREATE INDEX reports_client ON reports (client_order_id, account);
CREATE INDEX reports_ticket ON reports (order_ticket) WHERE order_ticket <> 0;

CREATE TABLE deals (
    account      text NOT NULL,
    report_seq   bigint NOT NULL,
    place        integer NOT NULL,  -- in the report
    ticket       bigint NOT NULL,
    order_ticket bigint NOT NULL,
    position_id  bigint NOT NULL,
    symbol       text NOT NULL,
    time_ns      bigint NOT NULL,
    side         integer NOT NULL,
    entry        bigint  NOT NULL,
    reason       bigint  NOT NULL,
    volume_lots  float8 NOT NULL,
    price        float8 NOT NULL,
    profit       float8 NOT NULL,
    swap         float8 NOT NULL,
    commission   float8 NOT NULL,
    magic        bigint NOT NULL,
    comment      text NOT NULL,
    PRIMARY KEY (account, report_seq, place)
);
CREATE INDEX deals_ticket ON deals (account, ticket);
CREATE INDEX deals_position ON deals (account, position_id);

CREATE TABLE account_states (
    account    text NOT NULL,
    report_seq bigint NOT NULL,
    time_ns    bigint NOT NULL,
    currency   text NOT NULL,
    balance    float8 NOT NULL,
    credit     float8 NOT NULL,
    equity     float8 NOT NULL,
    margin     float8 NOT NULL,
    leverage   float8 NOT NULL,
    mode       bigint  NOT NULL,
    positions  integer NOT NULL,
    PRIMARY KEY (account, report_seq)
);

CREATE TABLE positions (
    account     text NOT NULL,
    report_seq  bigint NOT NULL,
    place       integer NOT NULL,   -- the oldest first
    position_id bigint NOT NULL,
    symbol      text NOT NULL,
    side        integer NOT NULL,
    open_ns     bigint NOT NULL,
    volume_lots float8 NOT NULL,
    open_price  float8 NOT NULL,
    stop_loss   float8 NOT NULL,
    take_profit float8 NOT NULL,
    swap        float8 NOT NULL,
    profit      float8 NOT NULL,
    magic       bigint NOT NULL,
    comment     text NOT NULL,
    PRIMARY KEY (account, report_seq, place)
);
COMMENT ON TABLE positions IS 'all open positions after each report';
