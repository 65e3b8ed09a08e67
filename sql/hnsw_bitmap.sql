--
-- hnsw: searches among the rows that other indexes tell
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

-- Always true, but neither an index nor the planner knows: with a condition like
-- that a plan is the dearer the more rows it looks at
CREATE FUNCTION pg_temp.dear(id int) RETURNS bool LANGUAGE plpgsql COST 100000 AS 'BEGIN RETURN true; END';

-- Make the planner search among the rows of a bitmap (true), or do without any
-- index (false), or as it likes (NULL)
CREATE FUNCTION pg_temp.use_bitmap(yes bool) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('enable_seqscan', (yes IS NOT TRUE)::text, false);
	PERFORM set_config('enable_sort', (yes IS NOT TRUE)::text, false);
	PERFORM set_config('enable_indexscan', (yes IS NOT FALSE)::text, false);
	PERFORM set_config('enable_bitmapscan', (yes IS NOT FALSE)::text, false);
END $$;

-- A plan as run, without what differs between versions or by chance
CREATE FUNCTION pg_temp.explained(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		line := regexp_replace(line, '(rows=\d+)\.\d+', '\1');
		line := regexp_replace(line, '((Nodes Visited|Vectors Read): )\d+', '\1N');
		line := regexp_replace(line, 'Strategy: (walk|flat)', 'Strategy: search');
		CONTINUE WHEN line ~ 'Index Searches|Heap Fetches';
		RETURN NEXT line;
	END LOOP;
END $$;

-- Does the plan of a query search in a bitmap, and does it search, or rank all
-- rows?  Whether a search walks or goes flat is chance.
CREATE FUNCTION pg_temp.strategy(query text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(DISTINCT substring(l FROM 'Strategy: (\w+)'), ', '), 'none')
	FROM pg_temp.explained(query) l
$$;

-- Does a search among the rows of a bitmap give as many rows as a sequential
-- scan, each once, none that does not match, in order, and near ones?
CREATE FUNCTION pg_temp.check_bitmap(tab text, cond text, k int DEFAULT 10, recall float8 DEFAULT 0.9,
	q vector DEFAULT pg_temp.cvec(100001, 12), OUT strategy text, OUT verdict text) LANGUAGE plpgsql AS $$
DECLARE
	query text := pg_temp.nearest(tab, '<->', q, k, format('(%s) AND pg_temp.dear(id)', cond));
	ids int[];
	ds float8[];
	s record;
	n int;
	matching int[];
	good int;
BEGIN
	PERFORM pg_temp.use_bitmap(true);
	strategy := pg_temp.strategy(query);
	EXECUTE format('SELECT coalesce(array_agg(id), ''{}''), coalesce(array_agg(d), ''{}'') FROM (%s) s', query) INTO ids, ds;
	PERFORM pg_temp.use_bitmap(false);
	s := pg_temp.answer(query, false);
	EXECUTE format('SELECT coalesce(array_agg(id), ''{}'') FROM %s WHERE %s', tab, cond) INTO matching;
	PERFORM pg_temp.use_bitmap(NULL);
	n := cardinality(s.ids);
	SELECT count(*) INTO good FROM unnest(ds) d WHERE d <= s.ds[n] * 1.00001;
	verdict := CASE
		WHEN cardinality(ids) <> n THEN format('%s rows instead of %s', cardinality(ids), n)
		WHEN (SELECT count(DISTINCT i) FROM unnest(ids) i) <> n THEN 'rows twice'
		WHEN NOT ids <@ matching THEN 'rows that do not match'
		WHEN pg_temp.falls(ds) > (CASE WHEN k IS NULL THEN 1 ELSE 0 END) THEN 'not in order'
		WHEN good < n * (CASE strategy WHEN 'exact' THEN 1 ELSE recall END) THEN format('%s of %s nearest', good, n)
		ELSE 'ok' END;
END $$;

CREATE TABLE t (id int PRIMARY KEY, n int, h int, tags int[], box box, at int, pad text, v vector(12));
INSERT INTO t SELECT i, hashint4(i) & 1023, i % 7, ARRAY[i % 3, 10 + i % 50, 100 + i % 997],
	box(point(i % 100, i / 100), point(i % 100 + 1, i / 100 + 1)), i / 10, repeat('x', i % 30), pg_temp.cvec(i, 12)
	FROM generate_series(1, 6000) i;
INSERT INTO t SELECT i, i & 1023, 0, '{}', NULL, 700 FROM generate_series(6001, 6010) i;
CREATE INDEX t_v ON t USING hnsw (v) WITH (m = 8, ef_construction = 40);
CREATE INDEX t_n ON t (n);
CREATE INDEX t_h ON t USING hash (h);
CREATE INDEX t_tags ON t USING gin (tags);
CREATE INDEX t_box ON t USING gist (box);
CREATE INDEX t_at ON t USING brin (at) WITH (pages_per_range = 4);
VACUUM ANALYZE t;

-- every kind of index, at every selectivity
SELECT c, b.* FROM unnest('{n < 0, n = 5, n < 3, n < 30, n < 100, n < 300, n < 700}'::text[]) c, pg_temp.check_bitmap('t', c) b;
SELECT c, b.* FROM unnest('{h = 3, h = 8}'::text[]) c, pg_temp.check_bitmap('t', c) b;
SELECT c, b.* FROM unnest(ARRAY['tags @> ''{1}''', 'tags @> ''{1, 20}''', 'tags @> ''{500}''', 'tags && ''{20, 21, 500}''', 'tags @> ''{9}''']) c,
	pg_temp.check_bitmap('t', c) b;
SELECT c, b.* FROM unnest(ARRAY['box && ''(1,1),(3,3)''', 'box && ''(10,10),(60,50)''', 'box ~= ''(7,7),(8,8)''']) c, pg_temp.check_bitmap('t', c) b;
SELECT c, b.* FROM unnest('{at = 77, at BETWEEN 100 AND 300, at < 500}'::text[]) c, pg_temp.check_bitmap('t', c) b;
SELECT c, b.verdict FROM unnest(ARRAY['n < 100 AND h = 3', 'n < 300 AND tags @> ''{1}''', 'n < 20 OR n > 1000', 'n < 50 OR tags @> ''{20}'' OR h = 3',
	'(n < 300 OR h = 2) AND tags @> ''{1}''', 'n IN (1, 2, 3, 500)', 'n = ANY (''{7,8,NULL}'')']) c, pg_temp.check_bitmap('t', c) b;
-- all rows, more than ef_search, few, none
SELECT c, k, b.verdict FROM unnest('{n = 5, n < 30, n < 300}'::text[]) c, unnest('{NULL, 1, 100, 1000, 0}'::int[]) k, pg_temp.check_bitmap('t', c, k) b;
-- other queries, one of them a vector of the table
SELECT q, b.verdict FROM unnest('{100002, 100003, 17}'::int[]) q, pg_temp.check_bitmap('t', 'n < 200', q => pg_temp.cvec(q, 12)) b;

-- lossy bitmaps
SET work_mem = '64kB';
CREATE TABLE w (id int, n int, pad text, v vector(12));
INSERT INTO w SELECT i, hashint4(i) & 1023, repeat('x', 900), pg_temp.cvec(i, 12) FROM generate_series(1, 6000) i;
CREATE INDEX w_v ON w USING hnsw (v) WITH (m = 8, ef_construction = 40);
CREATE INDEX w_n ON w (n);
VACUUM ANALYZE w;
SELECT c, k, b.verdict FROM unnest('{n < 700, n < 900}'::text[]) c, unnest('{10, 100, NULL}'::int[]) k, pg_temp.check_bitmap('w', c, k) b;
SELECT pg_temp.use_bitmap(true);
SELECT count(*) FROM pg_temp.explained('SELECT id FROM w WHERE n < 700 AND pg_temp.dear(id) ORDER BY v <-> ' || quote_literal(pg_temp.cvec(1, 12)) || ' LIMIT 10') l
	WHERE l ~ 'Bitmap Lossy Blocks: [1-9]';
SELECT pg_temp.use_bitmap(NULL);
RESET work_mem;
DROP TABLE w;

-- rows updated, within the page and beyond it, deleted, and not vacuumed; then vacuumed
CREATE FUNCTION pg_temp.check_all() RETURNS TABLE (cond text, k int, verdict text) LANGUAGE sql AS $$
	SELECT c, k, b.verdict FROM unnest(ARRAY['n < 3', 'n < 60', 'n < 600', 'tags @> ''{1}''', 'at BETWEEN 100 AND 300']) c, unnest('{10, NULL}'::int[]) k,
		pg_temp.check_bitmap('t', c, k) b WHERE b.verdict <> 'ok'
$$;
ALTER TABLE t SET (fillfactor = 50);
VACUUM FULL t;
UPDATE t SET pad = pad || 'y' WHERE id % 3 = 0;
SELECT * FROM pg_temp.check_all();
UPDATE t SET n = (n + 500) % 1024 WHERE id % 5 = 0;
SELECT * FROM pg_temp.check_all();
UPDATE t SET v = pg_temp.cvec(id + 7, 12) WHERE id % 7 = 0;
DELETE FROM t WHERE id % 11 = 0;
INSERT INTO t SELECT i, i & 1023, 0, '{1}', NULL, 200, '', pg_temp.cvec(i % 50, 12) FROM generate_series(10001, 10300) i;
SELECT * FROM pg_temp.check_all();
VACUUM t;
SELECT * FROM pg_temp.check_all();
BEGIN;
DELETE FROM t WHERE id % 2 = 0;
SELECT * FROM pg_temp.check_all();
ROLLBACK;
SELECT * FROM pg_temp.check_all();
VACUUM ANALYZE t;

-- plans
SELECT quote_literal('[.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5]') || '::vector' AS q \gset
\set near 'ORDER BY v <-> ' :q
SELECT pg_temp.use_bitmap(true);
SELECT * FROM pg_temp.explained('SELECT id FROM t WHERE n = 5 ' || :'near' || ' LIMIT 3');
SELECT * FROM pg_temp.explained('SELECT id FROM t WHERE n < 30 AND pg_temp.dear(id) ' || :'near' || ' LIMIT 10');
SELECT * FROM pg_temp.explained('SELECT id FROM t WHERE n < 700 AND pg_temp.dear(id) ' || :'near' || ' LIMIT 10');
SELECT * FROM pg_temp.explained('SELECT id FROM t WHERE (n < 30 OR n > 1010) AND tags && ''{1, 20}'' AND pg_temp.dear(id) ' || :'near' || ' LIMIT 10');
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE n = 5 ORDER BY v <-> '[.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5]' LIMIT 3;
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM t WHERE n = 5 ORDER BY v <-> '[.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5]' LIMIT 3;
-- with what is asked for: the distance, system columns, whole rows
EXPLAIN (COSTS OFF, VERBOSE) SELECT id, v <-> '[.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5]' FROM t WHERE n = 5 ORDER BY 2 LIMIT 3;
SELECT count(*), bool_and(t.ctid = s.ctid AND t.xmin = s.xmin AND s.tableoid = 't'::regclass AND t::text = s.t::text AND s.d = t.v <-> :q) FROM
	(SELECT ctid, xmin, tableoid, t, id, v <-> :q AS d FROM t WHERE n < 20 AND pg_temp.dear(id) ORDER BY v <-> :q LIMIT 20) s JOIN t USING (id);
SELECT count(*), bool_and(t.ctid = s.ctid AND t.xmin = s.xmin AND s.tableoid = 't'::regclass AND t::text = s.t::text AND s.d = t.v <-> :q) FROM
	(SELECT ctid, xmin, tableoid, t, id, v <-> :q AS d FROM t WHERE n < 600 AND pg_temp.dear(id) ORDER BY v <-> :q LIMIT 20) s JOIN t USING (id);
-- conditions that no row decides, and contradictions
SELECT count(*) FROM (SELECT id FROM t WHERE n = 5 AND current_setting('work_mem') IS NULL ORDER BY v <-> :q LIMIT 3) s;
SELECT count(*) FROM (SELECT id FROM t WHERE n = 5 AND current_setting('work_mem') IS NOT NULL ORDER BY v <-> :q LIMIT 3) s;
SELECT count(*) FROM (SELECT id FROM t WHERE n = 5 AND n = 6 ORDER BY v <-> :q LIMIT 3) s;
-- a query vector that is NULL, or of other dimensions
SELECT count(*), count(id) FROM (SELECT id FROM t WHERE n < 30 AND pg_temp.dear(id) ORDER BY v <-> (SELECT NULL::vector)) s;
SELECT count(*) FROM t WHERE n < 30 AND v IS NOT NULL;
-- rows whose vector is NULL are not in the index, and not ranked either
SELECT count(*) FROM (SELECT id FROM t WHERE n = 882 ORDER BY v <-> (SELECT NULL::vector)) s;
SELECT count(*) FROM (SELECT id FROM t WHERE n = 882 ORDER BY v <-> :q) s;
SELECT count(*), count(v) FROM t WHERE n = 882;
SELECT pg_temp.try('SELECT id FROM t WHERE n = 5 ORDER BY v <-> ''[1,2]'' LIMIT 3');
SELECT pg_temp.try('SELECT id FROM t WHERE n < 300 AND pg_temp.dear(id) ORDER BY v <-> ''[1,2]'' LIMIT 3');
SELECT pg_temp.use_bitmap(NULL);

-- switched off
SET hnsw.enable_bitmap_filter = off;
SELECT pg_temp.use_bitmap(true);
SELECT pg_temp.strategy('SELECT id FROM t WHERE n < 30 AND pg_temp.dear(id) ' || :'near' || ' LIMIT 10') AS strategy;
RESET hnsw.enable_bitmap_filter;
SELECT pg_temp.strategy('SELECT id FROM t WHERE n < 30 AND pg_temp.dear(id) ' || :'near' || ' LIMIT 10') AS strategy;
SELECT pg_temp.use_bitmap(NULL);
SET enable_bitmapscan = off;
SELECT pg_temp.strategy('SELECT id FROM t WHERE n = 5 ' || :'near' || ' LIMIT 10') AS strategy;
RESET enable_bitmapscan;
-- not without an order, or in another one
SELECT pg_temp.use_bitmap(true);
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE n = 5 AND v IS NOT NULL LIMIT 3;
SELECT pg_temp.strategy('SELECT id FROM t WHERE n < 5 AND h = 3 ORDER BY v <=> ' || :'q' || ' LIMIT 3');

-- how a search goes on is decided as it goes
CREATE FUNCTION pg_temp.flat_with(ef int, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	PERFORM set_config('hnsw.ef_search', ef::text, true);
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE) ' || query LOOP
		IF line ~ 'Strategy' THEN
			RETURN trim(line);
		END IF;
	END LOOP;
END $$;
SELECT pg_temp.flat_with(10, 'SELECT id FROM t WHERE n < 700 AND pg_temp.dear(id) ' || :'near' || ' LIMIT 10') AS walk,
	pg_temp.flat_with(1000, 'SELECT id FROM t WHERE n < 30 AND pg_temp.dear(id) ' || :'near' || ' LIMIT 10') AS flat;

-- prepared: the number of rows becomes known when it runs
SET plan_cache_mode = force_generic_plan;
PREPARE p(vector, int) AS SELECT id FROM t WHERE n < $2 AND pg_temp.dear(id) ORDER BY v <-> $1 LIMIT 10;
SELECT n, pg_temp.strategy(format('EXECUTE p(%s, %s)', :'q', n)) FROM unnest('{0,3,40,900}'::int[]) n;
PREPARE a(vector, int[]) AS SELECT id FROM t WHERE n = ANY ($2) AND pg_temp.dear(id) ORDER BY v <-> $1 LIMIT 10;
SELECT pg_temp.strategy(format('EXECUTE a(%s, ''{1,2,3}'')', :'q'));
RESET plan_cache_mode;
-- invalidated plans
EXECUTE p('[.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5]', 0);
DROP INDEX t_n;
SELECT pg_temp.strategy(format('EXECUTE p(%s, %s)', :'q', 5));
CREATE INDEX t_n ON t (n);
SET plan_cache_mode = force_generic_plan;
SELECT pg_temp.strategy(format('EXECUTE p(%s, %s)', :'q', 5));
RESET plan_cache_mode;

-- cursors
CREATE FUNCTION pg_temp.fetched(cond text, counts int[], scroll text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := 'c';
	ds float8[] := '{}';
	d float8;
BEGIN
	EXECUTE format('DECLARE c %s CURSOR FOR SELECT v <-> %L FROM t WHERE %s AND pg_temp.dear(id) AND v IS NOT NULL ORDER BY v <-> %2$L', scroll, pg_temp.cvec(9, 12), cond);
	FOR i IN 1 .. cardinality(counts) LOOP
		FOR j IN 1 .. counts[i] LOOP
			FETCH c INTO d;
			ds := ds || d;
		END LOOP;
		DELETE FROM t WHERE id = i;
		INSERT INTO t SELECT (SELECT max(id) + 1 FROM t), 0, 0, '{}', NULL, 0, '', pg_temp.cvec(9, 12);
	END LOOP;
	CLOSE c;
	RETURN format('%s rows, %s falls', cardinality(ds), pg_temp.falls(ds));
END $$;
BEGIN;
SELECT pg_temp.fetched('n < 8', '{1,5,10}'), pg_temp.fetched('n < 500', '{1,20,100}'), pg_temp.fetched('n < 500', '{1,20,100}', 'SCROLL');
ROLLBACK;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM t WHERE n < 8 ORDER BY v <-> '[.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5]';
CREATE FUNCTION pg_temp.back_and_forth(n int) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := 'c';
	i int;
	forth int[] := '{}';
	back int[] := '{}';
BEGIN
	FOR j IN 1 .. n LOOP
		FETCH c INTO i;
		forth := forth || i;
	END LOOP;
	FOR j IN 1 .. n - 1 LOOP
		FETCH PRIOR FROM c INTO i;
		back := i || back;
	END LOOP;
	RETURN forth[1:n - 1] = back;
END $$;
SELECT pg_temp.back_and_forth(10);
ROLLBACK;

-- joins: below a nested loop, with and without a bitmap that depends on it; from a function
CREATE TABLE q (id int, n int, v vector(12));
INSERT INTO q SELECT i, i * 40, pg_temp.cvec(100000 + i, 12) FROM generate_series(1, 12) i;
ANALYZE q;
CREATE FUNCTION pg_temp.same(query text, OUT used bool, OUT rows bigint, OUT missing bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.use_bitmap(true);
	used := bool_or(l ~ 'Strategy: ') FROM pg_temp.explained(query) l;
	EXECUTE 'CREATE TEMP TABLE x AS ' || query;
	PERFORM pg_temp.use_bitmap(false);
	EXECUTE 'CREATE TEMP TABLE y AS ' || query;
	rows := count(*) FROM x;
	missing := (SELECT count(*) FROM y) - rows + count(*) FROM (TABLE x EXCEPT ALL TABLE y) s;
	DROP TABLE x, y;
	PERFORM pg_temp.use_bitmap(NULL);
END $$;
SET hnsw.ef_search = 400;
SELECT * FROM pg_temp.same('SELECT q.id, s.id AS t FROM q, LATERAL (SELECT id FROM t WHERE n < 8 AND pg_temp.dear(id) ORDER BY t.v <-> q.v LIMIT 5) s');
SELECT * FROM pg_temp.same('SELECT q.id, s.id AS t FROM q, LATERAL (SELECT id FROM t WHERE n < 300 AND pg_temp.dear(id) ORDER BY t.v <-> q.v LIMIT 5) s');
SELECT * FROM pg_temp.same('SELECT q.id, s.id AS t FROM q, LATERAL (SELECT id FROM t WHERE n = q.n AND pg_temp.dear(id) ORDER BY t.v <-> q.v LIMIT 5) s');
SELECT * FROM pg_temp.same('SELECT q.id, s.id AS t FROM q, LATERAL (SELECT id FROM t WHERE n BETWEEN q.n AND q.n * 3 AND pg_temp.dear(id) ORDER BY t.v <-> q.v LIMIT 5) s');
SELECT * FROM pg_temp.same('SELECT q.id, s.id AS t FROM q, LATERAL (SELECT id FROM t WHERE n BETWEEN q.n AND q.n * 3 AND pg_temp.dear(id) ORDER BY t.v <-> (SELECT v FROM q WHERE id = 3) LIMIT 5) s');
SELECT * FROM pg_temp.same('SELECT i, s.id AS t FROM generate_series(1, 900, 100) i, LATERAL (SELECT id FROM t WHERE n < i AND h <> i % 7 AND pg_temp.dear(id) ORDER BY v <-> ' || :'q' || ' LIMIT 7) s');
SELECT * FROM pg_temp.same('SELECT t.id, i FROM t JOIN generate_series(1, 5) i ON t.h = i WHERE n < 40 AND pg_temp.dear(t.id) ' || :'near' || ' LIMIT 20');
RESET hnsw.ef_search;

-- conditions of which the index decides some, and a bitmap others
DROP INDEX t_v;
CREATE INDEX t_v ON t USING hnsw (v, h) WITH (m = 8, ef_construction = 40);
SELECT c, b.* FROM unnest(ARRAY['n < 300 AND h = 3', 'n < 300 AND h IN (1, 2)', 'n = 5 AND h > 3']) c, pg_temp.check_bitmap('t', c) b;
SELECT b.verdict FROM pg_temp.check_bitmap('t', 'n < 300 AND h IS NULL') b;
SELECT pg_temp.use_bitmap(true);
SELECT * FROM pg_temp.explained('SELECT id FROM t WHERE n < 300 AND h IN (1, 2) AND pg_temp.dear(id) ' || :'near' || ' LIMIT 10');
SELECT pg_temp.use_bitmap(NULL);
-- a partial index, of which a bitmap knows nothing
DROP INDEX t_v, t_h;
CREATE INDEX t_v ON t USING hnsw (v) WITH (m = 8, ef_construction = 40) WHERE h = 3;
SELECT c, b.* FROM unnest('{n = 5 AND h = 3, n < 80 AND h = 3, n < 800 AND h = 3}'::text[]) c, pg_temp.check_bitmap('t', c) b;
SELECT c, k, b.verdict FROM unnest('{n < 8 AND h = 3, n < 800 AND h = 3}'::text[]) c, unnest('{NULL, 100}'::int[]) k, pg_temp.check_bitmap('t', c, k) b;
-- an index on an expression
DROP INDEX t_v;
CREATE INDEX t_v ON t USING hnsw (((v + v)::vector(12)) vector_l2_ops) WITH (m = 8, ef_construction = 40);
SELECT * FROM pg_temp.same('SELECT id FROM t WHERE n = 5 ORDER BY (v + v)::vector(12) <-> ' || :'q' || ' LIMIT 7');
SELECT * FROM pg_temp.same('SELECT id FROM t WHERE n < 300 AND pg_temp.dear(id) ORDER BY (v + v)::vector(12) <-> ' || :'q' || ' LIMIT 7');
DROP INDEX t_v;
CREATE INDEX t_v ON t USING hnsw (v) WITH (m = 8, ef_construction = 40);

-- row-level security, and functions that would tell what they see
CREATE ROLE regress_vx_reader;
CREATE FUNCTION tell(id int) RETURNS bool LANGUAGE plpgsql COST 0.001 AS 'BEGIN IF id % 2 = 1 THEN RAISE EXCEPTION ''saw %'', id; END IF; RETURN true; END';
CREATE POLICY even ON t FOR SELECT TO regress_vx_reader USING (id % 2 = 0);
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON t TO regress_vx_reader;
SELECT format('SELECT array_agg(id) FROM (SELECT id FROM t WHERE n < 8 AND tell(id) ORDER BY v <-> %s LIMIT 7) s', :'q') AS few,
	format('SELECT array_agg(id) FROM (SELECT id FROM t WHERE n < 300 AND tell(id) ORDER BY v <-> %s LIMIT 7) s', :'q') AS many \gset
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_temp TO regress_vx_reader;
SET ROLE regress_vx_reader;
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE n < 8 AND tell(id) ORDER BY v <-> '[.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5]' LIMIT 7;
:few \gset few_
:many \gset many_
RESET ROLE;
SELECT cardinality(:'few_array_agg'::int[]), cardinality(:'many_array_agg'::int[]);
RESET enable_seqscan;
RESET enable_sort;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
DROP POLICY even ON t;
DROP OWNED BY regress_vx_reader;
DROP FUNCTION tell;
DROP ROLE regress_vx_reader;

-- rows locked; the table changed by the query that reads it
SELECT pg_temp.use_bitmap(true);
SELECT count(*) FROM pg_temp.explained('SELECT id FROM t WHERE n < 8 ' || :'near' || ' LIMIT 5 FOR UPDATE') l WHERE l ~ 'LockRows|HnswBitmapFilter';
UPDATE t SET pad = 'locked' WHERE id IN (SELECT id FROM t WHERE n < 300 AND pg_temp.dear(id) ORDER BY v <-> :q LIMIT 5 FOR UPDATE);
SELECT count(*) FROM t WHERE pad = 'locked';
SELECT pg_temp.use_bitmap(NULL);

-- in a parallel worker
SET hnsw.ef_search = 400;
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT set_config('max_parallel_workers_per_gather', '2', false);
SELECT c, (SELECT count(*) FROM pg_temp.explained('SELECT id FROM t WHERE ' || c || ' ' || :'near' || ' LIMIT 5') l WHERE l ~ 'Gather|HnswBitmapFilter') AS nodes,
	s.rows, s.missing FROM unnest('{n < 10, n < 20}'::text[]) c, pg_temp.same('SELECT id FROM t WHERE ' || c || ' ' || :'near' || ' LIMIT 5') s;
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT set_config('max_parallel_workers_per_gather', '0', false);
RESET hnsw.ef_search;

-- partitions
CREATE TABLE part (id int, n int, c int, v vector(12)) PARTITION BY LIST (c);
CREATE TABLE part_0 PARTITION OF part FOR VALUES IN (0);
CREATE TABLE part_1 (v vector(12), c int, gone int, id int, n int);
ALTER TABLE part_1 DROP COLUMN gone;
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
INSERT INTO part SELECT i, hashint4(i) & 1023, i % 3, pg_temp.cvec(i, 12) FROM generate_series(1, 6000) i;
CREATE INDEX part_v ON part USING hnsw (v);
CREATE INDEX part_n ON part (n);
VACUUM ANALYZE part;
SELECT c, b.* FROM unnest('{n < 8, n < 200, n < 200 AND c > 0, n < 10 AND c < 2}'::text[]) c, pg_temp.check_bitmap('part', c) b;
SELECT pg_temp.use_bitmap(true);
EXPLAIN (COSTS OFF) SELECT id FROM part WHERE n < 8 AND c < 2 ORDER BY v <-> '[.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5]' LIMIT 3;
SELECT pg_temp.use_bitmap(NULL);
DROP TABLE part;

-- conditions that the planner leaves out of ordered scans, in some versions
CREATE TABLE f (id int, c int, b bool, x text, v vector(12));
INSERT INTO f SELECT i, i % 10, CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END, 'x' || i % 20, pg_temp.cvec(i, 12) FROM generate_series(1, 2000) i;
CREATE INDEX f_v ON f USING hnsw (v, c, b, x) WITH (m = 8, ef_construction = 40);
VACUUM ANALYZE f;
CREATE FUNCTION pg_temp.conditions(cond text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	found text;
BEGIN
	PERFORM pg_temp.use_index(true);
	FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT id FROM f WHERE %s ORDER BY v <-> %L LIMIT 5', cond, pg_temp.cvec(1, 12)) LOOP
		found := concat_ws(' ', found, substring(line FROM '(?:Index Cond|Filter): .*'));
	END LOOP;
	PERFORM pg_temp.use_index(NULL);
	RETURN found;
END $$;
SELECT c, pg_temp.conditions(c), pg_temp.check_query('f', '<->', pg_temp.cvec(100005, 12), 20, c) FROM unnest(ARRAY['c IN (1, 2)', 'c = ANY (''{3,NULL,4}'')', 'b', 'NOT b', 'b IS TRUE',
	'b IS FALSE', 'b IS NULL', 'b IS NOT NULL', 'b IS NOT TRUE', 'c BETWEEN 2 AND 4', 'c IN (1, 2) AND b AND x IN (''x1'', ''x11'')',
	'c <> ALL (''{1,2}'')', 'c IN (1, 2) OR b', 'b AND x = ''x3''', 'NOT b AND c = 4', 'c = id % 10 AND c = 3']) c;
SET plan_cache_mode = force_generic_plan;
PREPARE f(int[], vector) AS SELECT id FROM f WHERE c = ANY ($1) AND b ORDER BY v <-> $2 LIMIT 5;
SELECT pg_temp.use_index(true);
EXPLAIN (COSTS OFF) EXECUTE f('{1,2}', NULL);
SELECT pg_temp.use_index(NULL);
RESET plan_cache_mode;
-- an operator that might tell what it sees is not applied before a policy
CREATE TABLE g (id int, y numeric, v vector(3));
INSERT INTO g SELECT i, i % 10, pg_temp.cvec(i, 3) FROM generate_series(1, 2000) i;
CREATE INDEX g_v ON g USING hnsw (v, y);
VACUUM ANALYZE g;
CREATE ROLE regress_vx_reader;
CREATE POLICY even ON g FOR SELECT TO regress_vx_reader USING (id % 2 = 0);
ALTER TABLE g ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON g TO regress_vx_reader;
SELECT pg_temp.use_index(true);
EXPLAIN (COSTS OFF) SELECT id FROM g WHERE y IN (1, 2) ORDER BY v <-> '[1,2,3]' LIMIT 3;
SET ROLE regress_vx_reader;
EXPLAIN (COSTS OFF) SELECT id FROM g WHERE y IN (1, 2) ORDER BY v <-> '[1,2,3]' LIMIT 3;
RESET ROLE;
SELECT pg_temp.use_index(NULL);
DROP TABLE g;
DROP ROLE regress_vx_reader;
CREATE TABLE fp (LIKE f) PARTITION BY LIST (c);
CREATE TABLE fp_0 PARTITION OF fp FOR VALUES IN (0, 1, 2, 3, 4);
CREATE TABLE fp_1 PARTITION OF fp DEFAULT;
INSERT INTO fp SELECT * FROM f;
CREATE INDEX ON fp USING hnsw (v, c, b) WITH (m = 8, ef_construction = 40);
VACUUM ANALYZE fp;
SELECT pg_temp.use_index(true);
EXPLAIN (COSTS OFF) SELECT id FROM fp WHERE c IN (4, 5) AND b ORDER BY v <-> '[.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5,.5]' LIMIT 3;
SELECT pg_temp.use_index(NULL);
DROP TABLE f, fp, q, t;
