--
-- hnsw: the planner's choice
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

-- The scan of t that the planner chooses: hnsw (ordered), or the node's type
CREATE FUNCTION pg_temp.chosen(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
	found text;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	SELECT CASE WHEN j ? 'Order By' THEN 'hnsw' WHEN j ? 'Index Name' THEN j ->> 'Index Name' ELSE j ->> 'Node Type' END
		INTO found FROM jsonb_path_query(plan::jsonb, '$.**') j
		WHERE jsonb_typeof(j) = 'object' AND (j ->> 'Relation Name' = 't' OR (j ->> 'Index Name') LIKE 't\_%') LIMIT 1;
	RETURN found;
END $$;
-- Estimates of the topmost node
CREATE FUNCTION pg_temp.costs(query text, OUT startup float8, OUT total float8, OUT rows float8) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	startup := plan -> 0 -> 'Plan' ->> 'Startup Cost';
	total := plan -> 0 -> 'Plan' ->> 'Total Cost';
	rows := plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;

CREATE TABLE t (id int, n int, v vector(100));
INSERT INTO t SELECT i, i % 1000, pg_temp.cvec(i, 100) FROM generate_series(1, 15000) i;
CREATE INDEX t_v ON t USING hnsw (v) WITH (m = 8, ef_construction = 16);
CREATE INDEX t_id ON t (id);
CREATE INDEX t_n ON t (n);
CREATE TABLE q (id int, v vector(100));
INSERT INTO q SELECT i, pg_temp.cvec(100000 + i, 100) FROM generate_series(1, 10) i;
VACUUM ANALYZE t;
VACUUM ANALYZE q;
SELECT quote_literal(pg_temp.cvec(100001, 100)) || '::vector' AS q \gset
\set near 'ORDER BY v <-> ' :q

-- chosen for nearest neighbors
SELECT l, pg_temp.chosen('SELECT id FROM t ' || :'near' || ' LIMIT ' || l) FROM unnest('{1,10,100}'::int[]) l;
SELECT pg_temp.chosen('SELECT id FROM t ' || :'near' || ' LIMIT 10 OFFSET 5');
SELECT pg_temp.chosen('SELECT id FROM t WHERE n < 900 ' || :'near' || ' LIMIT 10');
SELECT pg_temp.chosen('SELECT id, v <-> ' || :'q' || ' FROM t ' || :'near' || ' LIMIT 10');
SELECT pg_temp.chosen('SELECT * FROM (SELECT id FROM t ' || :'near' || ' LIMIT 10) s ORDER BY id');
SELECT pg_temp.chosen('SELECT id FROM t ORDER BY ' || :'q' || ' <-> v LIMIT 10') AS commuted;
SELECT pg_temp.chosen('SELECT q.id, s.id FROM q, LATERAL (SELECT id FROM t ORDER BY t.v <-> q.v LIMIT 10) s') AS lateral;
SELECT pg_temp.chosen('SELECT id FROM t ORDER BY v <-> (SELECT v FROM q WHERE id = 1) LIMIT 10') AS subquery;
PREPARE p(vector) AS SELECT id FROM t ORDER BY v <-> $1 LIMIT 10;
SET plan_cache_mode = force_generic_plan;
SELECT pg_temp.chosen('EXECUTE p(NULL)') AS prepared;
RESET plan_cache_mode;

-- not for anything else
SELECT pg_temp.chosen('SELECT sum(n + id) FROM t');
SELECT pg_temp.chosen('SELECT id FROM t ORDER BY v LIMIT 10');
SELECT pg_temp.chosen('SELECT n + id FROM t LIMIT 10');
SELECT pg_temp.chosen('SELECT id FROM t WHERE v <-> ' || :'q' || ' < 1');
SELECT pg_temp.chosen('SELECT id FROM t ORDER BY v <-> ' || :'q' || ' DESC LIMIT 10');
SELECT pg_temp.chosen('SELECT id FROM t ORDER BY (v <-> ' || :'q' || ') + 1 LIMIT 10');
SELECT pg_temp.chosen('SELECT id FROM t ORDER BY v <-> v LIMIT 10');
SELECT op, pg_temp.chosen('SELECT id FROM t ORDER BY v ' || op || ' ' || :'q' || ' LIMIT 10') FROM unnest('{<->,<#>,<=>,<+>}'::text[]) op;
SELECT pg_temp.chosen('SELECT id FROM t ' || :'near');
-- not even if told to, where it cannot serve
SET enable_seqscan = off;
SELECT pg_temp.chosen('SELECT id FROM t WHERE v <-> ' || :'q' || ' < 1');
SELECT pg_temp.chosen('SELECT id FROM t ORDER BY v <=> ' || :'q' || ' LIMIT 10');
RESET enable_seqscan;
-- nor by two distances
SELECT pg_temp.chosen('SELECT id FROM t ORDER BY v <-> ' || :'q' || ', v <-> pg_temp.vec(2, 100) LIMIT 10');
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> :q, v <-> pg_temp.vec(2, 100) LIMIT 10) s;

-- filters: few survivors are better sorted, many are better found in passing
SELECT pg_temp.chosen('SELECT id FROM t WHERE id = 5 ' || :'near' || ' LIMIT 10');
SELECT pg_temp.chosen('SELECT id FROM t WHERE n = 5 ' || :'near' || ' LIMIT 10') IN ('Bitmap Heap Scan', 'Custom Scan') AS by_bitmap;
SELECT pg_temp.chosen('SELECT id FROM t WHERE id < 50 ' || :'near' || ' LIMIT 10');
SELECT pg_temp.chosen('SELECT id FROM t WHERE id < 10000 ' || :'near' || ' LIMIT 10');
SELECT pg_temp.chosen('SELECT id FROM t WHERE n < 500 ' || :'near' || ' LIMIT 10');

-- a small table is scanned and sorted
CREATE TABLE s (LIKE t);
INSERT INTO s SELECT * FROM t LIMIT 20;
CREATE INDEX s_v ON s USING hnsw (v);
VACUUM ANALYZE s;
SELECT pg_temp.plan_uses_index('SELECT id FROM s ' || :'near' || ' LIMIT 10');

-- other operators with their classes
CREATE INDEX t_ip ON t USING hnsw (v vector_ip_ops) WITH (m = 4, ef_construction = 8);
CREATE INDEX t_co ON t USING hnsw (v vector_cosine_ops) WITH (m = 4, ef_construction = 8);
SELECT op, x, pg_temp.chosen('SELECT id FROM t ORDER BY v ' || op || ' ' || :'q' || ' LIMIT 10')
	FROM (VALUES ('<->', 't_v'), ('<#>', 't_ip'), ('<=>', 't_co'), ('<+>', NULL)) o(op, x);

-- costs are sane: finite, positive, cheaper than sorting all, dearer with more rows,
-- more candidates, more selective filters; all at startup as most of it is
SELECT k.startup > 0 AS positive, k.total >= k.startup AS ordered, k.rows = 10 AS rows,
	k.total < a.total AS cheaper_than_all, k.total < s.total AS cheaper_than_sort
	FROM pg_temp.costs('SELECT id FROM t ' || :'near' || ' LIMIT 10') k, pg_temp.costs('SELECT id FROM t ' || :'near') a,
	pg_temp.costs('SELECT id FROM t ORDER BY v <+> ' || :'q' || ' LIMIT 10') s;
CREATE FUNCTION pg_temp.index_cost(query text, ef int DEFAULT 40) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	c float8;
BEGIN
	PERFORM set_config('hnsw.ef_search', ef::text, false);
	PERFORM pg_temp.use_index(true);
	SELECT total INTO c FROM pg_temp.costs(query);
	PERFORM pg_temp.use_index(NULL);
	RESET hnsw.ef_search;
	RETURN c;
END $$;
SELECT pg_temp.index_cost('SELECT id FROM t ' || :'near' || ' LIMIT 10') < pg_temp.index_cost('SELECT id FROM t ' || :'near' || ' LIMIT 1000') AS more_rows,
	pg_temp.index_cost('SELECT id FROM t ' || :'near' || ' LIMIT 10', 10) < pg_temp.index_cost('SELECT id FROM t ' || :'near' || ' LIMIT 10', 400) AS more_candidates,
	pg_temp.index_cost('SELECT id FROM t ' || :'near' || ' LIMIT 10') < pg_temp.index_cost('SELECT id FROM t WHERE n % 7 = 3 ' || :'near' || ' LIMIT 10') AS filter,
	pg_temp.index_cost('SELECT id FROM t ' || :'near') < 'Infinity' AS finite;
-- a dearer distance makes an index worth more
SELECT p.procost > 0 AND d.procost >= p.procost AS costs FROM pg_proc p, pg_proc d
	WHERE p.oid = 'vector_dims(vector)'::regprocedure AND d.oid = 'l2_distance(vector,vector)'::regprocedure;

-- a partial index, an expression index
DROP INDEX t_v, t_ip, t_co;
CREATE INDEX t_part ON t USING hnsw (v) WITH (m = 4, ef_construction = 8) WHERE n < 300;
SELECT pg_temp.chosen('SELECT id FROM t WHERE n < 300 ' || :'near' || ' LIMIT 10') AS implied,
	pg_temp.chosen('SELECT id FROM t ' || :'near' || ' LIMIT 10') AS not_implied;
DROP TABLE t, q, s;
