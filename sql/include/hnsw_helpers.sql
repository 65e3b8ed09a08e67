\set ECHO none
--
-- What the hnsw tests share.  Read with \i; all of it is temporary.
--
-- Results of an index depend on floating point and chance, so the tests do not
-- print rows: they compare what the index gives to what a sequential scan
-- gives and print a verdict.  Every comparison also makes sure, by EXPLAIN,
-- that one side really used an index and the other did not.
--
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;		-- costs of plans that are switched off would set it going

-- A vector that depends on its number only, evenly distributed over [0, 1)
CREATE FUNCTION pg_temp.vec(i int, dims int) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg((hashint4extended(j, i) & 65535) / 65536.0::float4)::vector
	FROM generate_series(1, dims) j
$$;

-- The same, near one of 50 centers, as real data tend to be
CREATE FUNCTION pg_temp.cvec(i int, dims int) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg((hashint4extended(j, i % 50) & 65535) / 65536.0::float4
		+ (hashint4extended(j, i) & 65535) / 163840.0::float4 - 0.7)::vector
	FROM generate_series(1, dims) j
$$;

-- Make the planner use an index (true), none (false), or what it likes (NULL)
CREATE FUNCTION pg_temp.use_index(yes bool) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('enable_seqscan', (yes IS NOT TRUE)::text, false);
	PERFORM set_config('enable_sort', (yes IS NOT TRUE)::text, false);
	PERFORM set_config('enable_indexscan', (yes IS NOT FALSE)::text, false);
	PERFORM set_config('enable_bitmapscan', (yes IS NULL)::text, false);
	PERFORM set_config('enable_indexonlyscan', (yes IS NULL)::text, false);
END $$;

-- Does the plan of a query have an ordered scan of an index?
CREATE FUNCTION pg_temp.plan_uses_index(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	line text;
	scan bool := false;
	sort bool := false;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		scan := scan OR line ~ '^\s*Order By: .*(<->|<#>|<=>|<\+>)';
		sort := sort OR line ~ '^\s*(->\s+)?(Incremental )?Sort\s*$';
	END LOOP;
	RETURN scan AND NOT sort;
END $$;

-- Ids and distances that a query (SELECT id, distance AS d ...) returns, in order
CREATE FUNCTION pg_temp.answer(query text, indexed bool, OUT ids int[], OUT ds float8[])
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.use_index(indexed);
	IF pg_temp.plan_uses_index(query) <> indexed THEN
		RAISE EXCEPTION 'index %: %', CASE WHEN indexed THEN 'not used' ELSE 'used' END, query;
	END IF;
	EXECUTE format('SELECT array_agg(id), array_agg(d) FROM (%s) s', query) INTO ids, ds;
	ids := coalesce(ids, '{}');
	ds := coalesce(ds, '{}');
	PERFORM pg_temp.use_index(NULL);
END $$;

-- How often do distances fall?  Equal up to rounding is no fall; NaN and NULL are last.
CREATE FUNCTION pg_temp.falls(ds float8[]) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM (SELECT d, lag(d) OVER (ORDER BY n) AS before
		FROM unnest(ds) WITH ORDINALITY u(d, n)) s
	WHERE before > d AND (before = 'NaN' OR before = 'Infinity' OR before - d > 1e-5 * (1 + abs(d)))
$$;

-- The query that asks for all or the nearest k rows of a table
CREATE FUNCTION pg_temp.nearest(tab text, op text, q vector, k int, cond text)
RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT id, v %1$s %3$s AS d FROM %2$s WHERE v IS NOT NULL AND %5$s ORDER BY v %1$s %3$s LIMIT %4$s',
		op, tab, coalesce(quote_literal(q) || '::vector', '(SELECT NULL::vector)'), coalesce(k::text, 'ALL'), cond)
$$;

-- Does the index give as many rows as a sequential scan, each once, with as
-- good as the same distances?  Without a limit, the same rows.  "recall" is
-- the share of rows that must be no further away than the furthest exact one.
-- In strict order, distances must not fall except once, where the rows begin
-- that were kept back; and not at all where the limit leaves most rows out and
-- is at most ef_search.
CREATE FUNCTION pg_temp.check_query(tab text, op text, q vector, k int DEFAULT NULL,
	cond text DEFAULT 'true', recall float8 DEFAULT 0) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	i record;
	s record;
	n int;
	once int;
	good int;
	total int;
	kth float8;
BEGIN
	i := pg_temp.answer(pg_temp.nearest(tab, op, q, k, cond), true);
	s := pg_temp.answer(pg_temp.nearest(tab, op, q, k, cond), false);
	n := cardinality(s.ids);
	EXECUTE format('SELECT count(v) FROM %s WHERE %s', tab, cond) INTO total;
	SELECT count(DISTINCT x) INTO once FROM unnest(i.ids) x;
	IF cardinality(i.ids) <> n THEN
		RETURN format('%s rows instead of %s', cardinality(i.ids), n);
	ELSIF once <> n THEN
		RETURN format('%s rows twice', n - once);
	ELSIF k IS NULL AND NOT i.ids @> s.ids THEN
		RETURN 'other rows';
	ELSIF current_setting('hnsw.iterative_scan') = 'strict_order' AND pg_temp.falls(i.ds) >
		(CASE WHEN k <= least(current_setting('hnsw.ef_search')::int, total / 4) THEN 0 ELSE 1 END) THEN
		RETURN 'not in order';
	END IF;
	kth := s.ds[n];
	SELECT count(*) INTO good FROM unnest(i.ds) x
		WHERE x <= kth + 1e-5 * (1 + abs(kth)) OR kth = 'NaN' OR kth IS NULL;
	IF good < recall * n THEN
		RETURN format('%s of %s nearest', good, n);
	END IF;
	RETURN 'ok';
END $$;

-- What an index gives to a query while a setting has another value
CREATE FUNCTION pg_temp.answer_with(setting text, val text, query text,
	OUT rows int, OUT once bigint, OUT falls bigint, OUT visited bigint, OUT flat bool) LANGUAGE plpgsql AS $$
DECLARE
	old text := current_setting(setting);
	a record;
BEGIN
	PERFORM set_config(setting, val, false);
	a := pg_temp.answer(query, true);
	PERFORM set_config(setting, old, false);
	rows := cardinality(a.ids);
	once := (SELECT count(DISTINCT x) FROM unnest(a.ids) x);
	falls := pg_temp.falls(a.ds);
	SELECT s.nodes_visited, s.strategy = 'flat' INTO visited, flat FROM vectorx_last_scan() s;
END $$;

-- Recall of several queries, which are numbers of vectors
CREATE FUNCTION pg_temp.check_recall(tab text, op text, queries vector[], k int, at_least float8,
	cond text DEFAULT 'true') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	q vector;
	i record;
	s record;
	kth float8;
	wanted int := 0;
	found int := 0;
BEGIN
	FOREACH q IN ARRAY queries LOOP
		i := pg_temp.answer(pg_temp.nearest(tab, op, q, k, cond), true);
		s := pg_temp.answer(pg_temp.nearest(tab, op, q, k, cond), false);
		IF cardinality(i.ids) <> cardinality(s.ids) THEN
			RETURN format('%s rows instead of %s', cardinality(i.ids), cardinality(s.ids));
		END IF;
		kth := s.ds[cardinality(s.ds)];
		wanted := wanted + cardinality(s.ids);
		found := found + (SELECT count(*) FROM unnest(i.ds) x WHERE x <= kth + 1e-5 * (1 + abs(kth)));
	END LOOP;
	IF wanted = 0 THEN
		RETURN 'nothing to find';
	ELSIF found < at_least * wanted THEN
		RETURN format('recall %s', round(found::numeric / wanted, 3));
	END IF;
	RETURN 'ok';
END $$;

-- Run a command; its SQLSTATE and message, or "ok"
CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate || ' ' || sqlerrm;
END $$;
\set ECHO all
