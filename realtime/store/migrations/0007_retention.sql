-- Nothing is thrown away unless somebody says so: INSERT INTO retention VALUES ('ticks', 400);

CREATE TABLE retention (
    table_name text PRIMARY KEY CHECK (table_name = 'ticks'),
    keep_days  integer NOT NULL CHECK (keep_days > 0)
);

-- Drops partitions (or chunks) that are older as a whole; says how many.
CREATE FUNCTION drop_old_ticks() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    days integer := (SELECT keep_days FROM public.retention WHERE table_name = 'ticks');
    before_ns bigint;
    part record;
    dropped integer := 0;
BEGIN
    IF days IS NULL THEN
        RETURN 0;
    END IF;
    before_ns := (extract(epoch FROM now())::bigint - days * 86400::bigint) * 1000000000;
    IF EXISTS (SELECT FROM pg_class WHERE oid = 'public.ticks'::regclass AND relkind <> 'p') THEN
        EXECUTE 'SELECT count(*) FROM public.drop_chunks(''public.ticks'', $1)'
            INTO dropped USING before_ns;
        RETURN dropped;
    END IF;
    FOR part IN
        SELECT c.oid::regclass AS name
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.ticks'::regclass
          AND c.relname ~ '^ticks_\d{4}_\d{2}$'
          AND public.month_start_ns((to_date(right(c.relname, 7), 'YYYY_MM')
                                     + interval '1 month')::date) <= before_ns
    LOOP
        EXECUTE format('DROP TABLE %s', part.name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
REVOKE EXECUTE ON FUNCTION drop_old_ticks FROM PUBLIC;
