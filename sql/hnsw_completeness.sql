--
-- hnsw: a query gets as many rows from an index as without it, each once
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

CREATE TABLE c (id int, n int, v vector(20));
INSERT INTO c SELECT i, i % 10000, pg_temp.cvec(i, 20) FROM generate_series(1, 20000) i;
INSERT INTO c SELECT -i, -i, NULL FROM generate_series(1, 10) i;
CREATE INDEX ci ON c USING hnsw (v);
ANALYZE c;

-- LIMIT below, at and above ef_search, and none
SELECT k, pg_temp.check_query('c', '<->', pg_temp.cvec(100001, 20), k)
	FROM unnest('{0,1,39,40,41,100,1000,19999,20000,20001,NULL}'::int[]) k;
SET hnsw.ef_search = 1;
SELECT k, pg_temp.check_query('c', '<->', pg_temp.cvec(100002, 20), k) FROM unnest('{1,10,500,NULL}'::int[]) k;
-- a beam of one is a walk, too
SELECT pg_temp.check_recall('c', '<->', array_agg(pg_temp.cvec(i, 20)), 1, 0.3) FROM generate_series(100001, 100100) i;
SET hnsw.ef_search = 10000;
SELECT k, pg_temp.check_query('c', '<->', pg_temp.cvec(100002, 20), k, recall => 0.999) FROM unnest('{1,10,500,NULL}'::int[]) k;
RESET hnsw.ef_search;
-- a large ef finds (nearly) everything
SET hnsw.ef_search = 400;
SELECT pg_temp.check_recall('c', '<->', array_agg(pg_temp.cvec(i, 20)), 10, 0.99) FROM generate_series(100001, 100020) i;
RESET hnsw.ef_search;

-- filters
SELECT cond, pg_temp.check_query('c', '<->', pg_temp.cvec(100003, 20), k, cond) FROM
	unnest('{n % 2 = 0,n % 100 = 7,n % 1000 = 7,n = 7,n = -1,id = 12345,false}'::text[]) cond, unnest('{1,2,30,NULL}'::int[]) k
	WHERE cond <> 'false';
SELECT pg_temp.use_index(true);
SELECT count(*) FROM (SELECT id FROM c WHERE n = 7 ORDER BY v <-> pg_temp.cvec(100004, 20) LIMIT 10) s;
SELECT strategy FROM vectorx_last_scan();
SELECT count(*) FROM (SELECT id FROM c ORDER BY v <-> pg_temp.cvec(100004, 20) LIMIT 10) s;
SELECT strategy, resumes, nodes_passed BETWEEN 40 AND nodes_visited AS passed, nodes_visited BETWEEN 40 AND 5000 AS visited, hops BETWEEN 10 AND 1000 AS hops,
	vectors_read BETWEEN 10 AND 1000 AS read FROM vectorx_last_scan();
SELECT count(*) FROM (SELECT id FROM c ORDER BY v <-> pg_temp.cvec(100004, 20) LIMIT 100) s;
SELECT strategy, resumes > 0 AS resumed FROM vectorx_last_scan();

-- the settings that trade completeness away
SET hnsw.iterative_scan = relaxed_order;
SELECT k, pg_temp.check_query('c', '<->', pg_temp.cvec(100001, 20), k) FROM unnest('{10,1000,20000,NULL}'::int[]) k;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(100001, 20), 10, 'n = 7');
SET hnsw.iterative_scan = off;
SELECT ef, k, a.rows, a.once, a.falls, a.flat FROM unnest('{1,40,200}'::int[]) ef, unnest('{1,40,NULL}'::int[]) k,
	pg_temp.answer_with('hnsw.ef_search', ef::text, pg_temp.nearest('c', '<->', pg_temp.cvec(100001, 20), k, 'true')) a;
SELECT a.rows, a.flat FROM pg_temp.answer_with('hnsw.ef_search', '40', pg_temp.nearest('c', '<->', pg_temp.cvec(100001, 20), 10, 'n = 7')) a;
RESET hnsw.iterative_scan;
SELECT m, k, a.rows >= least(40, k) AS enough, a.rows <= m + 600 AS bounded, a.visited <= m + 600 AS visited, a.rows = a.once AS once
	FROM unnest('{1,100,1000,5000}'::int[]) m, unnest('{10,NULL}'::int[]) k,
	pg_temp.answer_with('hnsw.max_scan_tuples', m::text, pg_temp.nearest('c', '<->', pg_temp.cvec(100001, 20), k, 'true')) a;
SELECT m, a.rows < 2 AS fewer, a.visited <= m + 600 AS visited FROM unnest('{1,1000}'::int[]) m,
	pg_temp.answer_with('hnsw.max_scan_tuples', m::text, pg_temp.nearest('c', '<->', pg_temp.cvec(100001, 20), 10, 'n = 7')) a;

-- cursors, read in pieces of growing size to the end and beyond it
CREATE FUNCTION pg_temp.read(c refcursor, pieces int[]) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
	id int;
	ids int[] := '{}';
BEGIN
	FOR i IN 1 .. cardinality(pieces) LOOP
		FOR j IN 1 .. pieces[i] LOOP
			FETCH c INTO id;
			EXIT WHEN NOT FOUND;
			ids := ids || id;
		END LOOP;
	END LOOP;
	RETURN ids;
END $$;
BEGIN;
DECLARE cur NO SCROLL CURSOR FOR SELECT id FROM c ORDER BY v <-> '[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]';
INSERT INTO c SELECT 50000 + i, 0, pg_temp.cvec(i, 20) FROM generate_series(1, 100) i;	-- not visible to it
SELECT pg_temp.read('cur', '{7}') AS piece1, pg_temp.read('cur', '{100}') AS piece2 \gset
SELECT cardinality(:'piece1'::int[]), cardinality(:'piece2'::int[]);
MOVE 1000 FROM cur;
SELECT pg_temp.read('cur', '{10,5000,5000,10000}') AS piece3 \gset
SELECT pg_temp.read('cur', '{10}');
SELECT count(*), count(DISTINCT x), bool_and(x <= 20000) FROM unnest(:'piece1'::int[] || :'piece2'::int[] || :'piece3'::int[]) x;
CLOSE cur;
-- two at once
DECLARE a CURSOR FOR SELECT id FROM c ORDER BY v <-> '[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]';
DECLARE b CURSOR FOR SELECT id FROM c ORDER BY v <-> '[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]';
SELECT pg_temp.read('a', '{60}') AS a1, pg_temp.read('b', '{200}') AS b1, pg_temp.read('a', '{140}') AS a2 \gset
SELECT :'a1'::int[] || :'a2'::int[] = :'b1'::int[] AS same;
DECLARE h CURSOR WITH HOLD FOR SELECT id FROM c ORDER BY v <-> '[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]' LIMIT 3000;
ROLLBACK;
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT id FROM c ORDER BY v <-> '[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]' LIMIT 3000;
SELECT pg_temp.read('h', '{50}') AS h1 \gset
COMMIT;
SELECT count(*), count(DISTINCT x) FROM unnest(:'h1'::int[] || pg_temp.read('h', '{5000}')) x;
CLOSE h;
BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT id FROM c ORDER BY v <-> '[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]' LIMIT 500;
SELECT pg_temp.read('s', '{500}') AS s1 \gset
MOVE ABSOLUTE 0 FROM s;
SELECT pg_temp.read('s', '{500}') = :'s1'::int[] AS same;
COMMIT;

-- rescans
CREATE TABLE q (id int, v vector(20));
INSERT INTO q SELECT i, pg_temp.cvec(200000 + i, 20) FROM generate_series(1, 20) i;
INSERT INTO q VALUES (21, NULL);
SELECT pg_temp.plan_uses_index('SELECT * FROM q, LATERAL (SELECT id FROM c ORDER BY c.v <-> q.v LIMIT 100) s');
SELECT count(*), count(DISTINCT (q.id, s.id)), count(DISTINCT q.id)
	FROM q, LATERAL (SELECT id FROM c ORDER BY c.v <-> q.v LIMIT 100) s;
SELECT min(n), max(n), max(n - once), count(*) FROM (SELECT count(*) AS n, count(DISTINCT s.id) AS once
	FROM q, LATERAL (SELECT id FROM c WHERE c.v IS NOT NULL ORDER BY c.v <-> q.v) s WHERE q.id % 4 = 1 GROUP BY q.id) s;
SELECT sum(n) FROM (SELECT (SELECT count(*) FROM (SELECT FROM c ORDER BY c.v <-> q.v LIMIT q.id * 10) s) AS n FROM q WHERE q.v IS NOT NULL) s;
SELECT pg_temp.use_index(NULL);

-- little memory: the flat pass takes over, several times, and nothing is lost
SET work_mem = '64kB';
SELECT k, pg_temp.check_query('c', '<->', pg_temp.cvec(100005, 20), k) FROM unnest('{10,3000,20000,NULL}'::int[]) k;
SELECT strategy FROM vectorx_last_scan();
SET hnsw.scan_mem_multiplier = 1000;
SELECT k, pg_temp.check_query('c', '<->', pg_temp.cvec(100005, 20), k) FROM unnest('{10,3000,NULL}'::int[]) k;
RESET work_mem;
RESET hnsw.scan_mem_multiplier;

-- rows that were never committed, savepoints
BEGIN;
INSERT INTO c SELECT 60000 + i, 0, pg_temp.cvec(i, 20) FROM generate_series(1, 200) i;
SAVEPOINT s;
INSERT INTO c SELECT 70000 + i, 0, pg_temp.cvec(i, 20) FROM generate_series(1, 200) i;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(5, 20), k) FROM unnest('{3,300,NULL}'::int[]) k;
ROLLBACK TO s;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(5, 20), k) FROM unnest('{3,300,NULL}'::int[]) k;
DELETE FROM c WHERE id % 3 = 0;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(5, 20), k) FROM unnest('{3,300,NULL}'::int[]) k;
ROLLBACK;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(5, 20), k) FROM unnest('{3,300,NULL}'::int[]) k;

-- most rows gone, without and with vacuum
DELETE FROM c WHERE id % 500 <> 0 OR id > 20000;
SELECT k, pg_temp.check_query('c', '<->', pg_temp.cvec(100006, 20), k) FROM unnest('{1,10,40,NULL}'::int[]) k;
VACUUM c;
SELECT k, pg_temp.check_query('c', '<->', pg_temp.cvec(100006, 20), k) FROM unnest('{1,10,40,NULL}'::int[]) k;
INSERT INTO c SELECT i, i, pg_temp.cvec(i, 20) FROM generate_series(30001, 31000) i;
SELECT k, pg_temp.check_query('c', '<->', pg_temp.cvec(100006, 20), k) FROM unnest('{1,10,400,NULL}'::int[]) k;
SELECT pg_temp.check_recall('c', '<->', array_agg(pg_temp.cvec(i, 20)), 10, 0.95) FROM generate_series(100001, 100020) i;
DROP TABLE c, q;
