-- What the isolation tests share: they run in one database, with this in it.
--
-- Points where sessions stop are those of src/inject.h; who holds the advisory
-- lock that they wait for is the test's session "ctl".
CREATE EXTENSION vectorx;

-- A vector that depends on its number only, evenly distributed
CREATE FUNCTION vec(i int, dims int) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg((hashint4extended(j, i) & 65535) / 65536.0::float4)::vector
	FROM generate_series(1, dims) j
$$;

-- What a scan of the table's only hnsw index gives to a query, in its order
CREATE FUNCTION indexed(tab text, q vector, OUT ids int[], OUT ds float8[]) LANGUAGE plpgsql AS $$
DECLARE
	line text;
	used bool := false;
BEGIN
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT id, v <-> %L AS d FROM %s ORDER BY v <-> %L', q, tab, q) LOOP
		used := used OR line LIKE '%Order By: %';
	END LOOP;
	IF NOT used THEN
		RAISE EXCEPTION 'no index scan of %', tab;
	END IF;
	EXECUTE format('SELECT array_agg(id), array_agg(d) FROM (SELECT id, v <-> %L AS d FROM %s ORDER BY v <-> %L) s', q, tab, q)
		INTO ids, ds;
	ids := coalesce(ids, '{}');
	ds := coalesce(ds, '{}');
	SET LOCAL enable_seqscan = on;
	SET LOCAL enable_sort = on;
END $$;

-- Is everything right with a table and its index?  The index is sound, it gives
-- exactly the table's rows, in order, and it does so by its graph alone, from
-- each of the rows and from elsewhere: no node is out of reach.  (One of an insertion
-- that failed may be, until vacuum, and where lists are short, any: then ask without
-- reach.  Rows that the graph does not lead to come at the end, so that order holds
-- but for that.)
CREATE FUNCTION verify(tab text, reach bool DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	index regclass;
	found text;
	q vector;
	queries vector[];
	answer record;
	wanted int[];
	distances float8[];
	way text;
BEGIN
	SELECT indexrelid INTO STRICT index FROM pg_index i JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam
		WHERE indrelid = tab::regclass AND amname = 'hnsw' AND indisvalid;
	SELECT string_agg(f::text, '; ') INTO found FROM vectorx_index_check(index) f
		WHERE CASE WHEN kind = 'unreachable' THEN reach AND detail !~ ', 0 \(0\.00 %\) on no layer$'
			WHEN detail LIKE 'there is no entry point%' THEN reach ELSE true END;
	IF found IS NOT NULL THEN
		RETURN found;
	END IF;
	SET LOCAL enable_indexscan = off;
	EXECUTE format('SELECT coalesce(array_agg(id ORDER BY id), ''{}'') FROM %s', tab) INTO wanted;
	EXECUTE format('SELECT ARRAY(SELECT v FROM %1$s ORDER BY id LIMIT 10) || vec(1000, atttypmod) || vec(1001, atttypmod)
		FROM pg_attribute WHERE attrelid = %1$L::regclass AND attname = ''v''', tab) INTO queries;
	SET LOCAL enable_indexscan = on;
	SET LOCAL hnsw.ef_search = 1000;
	FOREACH way IN ARRAY CASE WHEN reach THEN '{strict_order,off}'::text[] ELSE '{strict_order}' END LOOP
		PERFORM set_config('hnsw.iterative_scan', way, true);
		FOREACH q IN ARRAY queries LOOP
			answer := indexed(tab, q);
			SET LOCAL enable_indexscan = off;
			EXECUTE format('SELECT ARRAY(SELECT v <-> %L FROM %s ORDER BY 1)', q, tab) INTO distances;
			SET LOCAL enable_indexscan = on;
			IF ARRAY(SELECT x FROM unnest(answer.ids) x ORDER BY x) <> wanted THEN
				RETURN format('%s: rows %s instead of %s', way, answer.ids, wanted);
			ELSIF (SELECT array_agg(d ORDER BY d) FROM unnest(answer.ds) d) <> distances THEN
				RETURN format('%s: distances %s instead of %s', way, answer.ds, distances);
			ELSIF (SELECT count(*) FROM generate_series(2, cardinality(distances)) i
				WHERE answer.ds[i] < answer.ds[i - 1]) > (CASE WHEN reach THEN 0 ELSE 1 END) THEN
				RETURN format('%s: not in order: %s', way, answer.ds);
			END IF;
		END LOOP;
	END LOOP;
	RETURN format('ok, %s rows', cardinality(wanted));
END $$;
