-- The same with names and moments, for people: SELECT * FROM readable.orders.

CREATE SCHEMA readable;

CREATE VIEW readable.ticks AS
SELECT a.account, s.symbol, utc(t.time_ns) AS time, t.feed_seq, t.seq, t.bid, t.ask,
       nullif(t.last, 'NaN') AS last, nullif(t.volume, 0) AS volume, t.flags
FROM ticks t JOIN accounts a USING (account_id) JOIN symbols s USING (symbol_id);

CREATE VIEW readable.bars AS
SELECT account, symbol, clock, utc(open_ns) AS open_time, open, high, low, close, spread_mean,
       spread_max, volume, ticks, seq
FROM bars;

CREATE VIEW readable.predictions AS
SELECT account, number, symbol, utc(now_ns) AS time, nullif(probability, 'NaN') AS probability,
       bundle_id, feed_seq
FROM predictions;

CREATE VIEW readable.orders AS
SELECT o.account, o.number, o.client_order_id, o.symbol, utc(o.created_ns) AS time,
       CASE o.type WHEN 0 THEN 'buy' WHEN 1 THEN 'sell' WHEN 2 THEN 'buy_limit'
            WHEN 3 THEN 'sell_limit' WHEN 4 THEN 'buy_stop' WHEN 5 THEN 'sell_stop' END AS type,
       o.volume_lots, o.price, r.retcode, r.filled_lots, r.order_ticket, o.bundle_id
FROM orders o
LEFT JOIN LATERAL (
    SELECT retcode, filled_lots, order_ticket FROM reports
    WHERE client_order_id = o.client_order_id AND account = o.account
    ORDER BY report_seq DESC LIMIT 1
) r ON true;

CREATE VIEW readable.deals AS
SELECT DISTINCT ON (account, ticket) account, ticket, order_ticket, position_id, symbol,
       utc(time_ns) AS time, CASE side WHEN 1 THEN 'buy' WHEN -1 THEN 'sell' END AS side,
       CASE entry WHEN 0 THEN 'in' WHEN 1 THEN 'out' WHEN 2 THEN 'inout' END AS entry,
       volume_lots, price, profit, swap, commission, comment
FROM deals ORDER BY account, ticket, report_seq;

CREATE VIEW readable.account_states AS
SELECT account, report_seq, utc(time_ns) AS time, currency, balance, credit, equity, margin,
       positions
FROM account_states;

CREATE VIEW readable.alerts AS
SELECT utc(time_ns) AS time, severity, service, code, text, details FROM alerts;

-- Where the time of an order went, from the stamps that messages carry.
CREATE VIEW readable.order_latency AS
SELECT o.account, o.client_order_id, utc(o.created_ns) AS time,
       (o.received_ns - o.tick_ns) / 1000.0 AS tick_to_loop_us,
       (o.decided_ns - o.received_ns) / 1000.0 AS loop_us,
       (o.sent_ns - o.decided_ns) / 1000.0 AS journal_us,
       (r.received_ns - o.sent_ns) / 1000.0 AS to_gateway_us,
       (r.sent_ns - r.received_ns) / 1000.0 AS gateway_us,
       (r.answered_ns - r.sent_ns) / 1000.0 AS broker_us
FROM orders o JOIN reports r USING (account, client_order_id);
