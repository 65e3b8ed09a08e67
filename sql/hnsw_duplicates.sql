--
-- hnsw: many rows of one vector
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

-- 10,000 equal rows among 20,000, as a build sees them
CREATE TABLE d (id int, v vector(8));
INSERT INTO d SELECT i, CASE WHEN i % 2 = 0 THEN '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]' ELSE pg_temp.vec(i, 8) END
	FROM generate_series(1, 20000) i;
CREATE INDEX di ON d USING hnsw (v);
\set same '''[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]''::vector'
SELECT rows, duplicates, dead FROM vectorx_index_info('di');

-- of the 10,000, how many come first
CREATE FUNCTION pg_temp.same_first(k int) RETURNS TABLE (rows bigint, once bigint, same bigint) LANGUAGE sql AS $$
	SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE d = 0)
	FROM pg_temp.answer(pg_temp.nearest('d', '<->', array_fill(0.5, '{8}')::vector, k, 'true'), true) a, unnest(a.ids, a.ds) u(id, d)
$$;
SELECT k, s.* FROM unnest('{1,10,100,9999,10000,10001,15000,20000,NULL}'::int[]) k, pg_temp.same_first(k) s;
-- the others are found among them
SELECT pg_temp.check_recall('d', '<->', array_agg(pg_temp.vec(i, 8)), 10, 0.95) FROM generate_series(100001, 100020) i;
SELECT pg_temp.check_recall('d', '<->', array_agg(v), 1, 1) FROM (SELECT v FROM d WHERE id % 2 = 1 ORDER BY id LIMIT 50) s;
SELECT pg_temp.check_query('d', '<->', pg_temp.vec(100001, 8), k) FROM unnest('{40,500,NULL}'::int[]) k;
SELECT pg_temp.check_query('d', '<->', pg_temp.vec(100001, 8), k, 'id % 5000 = 0') FROM unnest('{1,2,4,10,NULL}'::int[]) k;

-- half of them go; first the index does not know yet
DELETE FROM d WHERE id % 4 = 0;
SELECT k, s.* FROM unnest('{1,100,4999,5000,5001,NULL}'::int[]) k, pg_temp.same_first(k) s;
VACUUM d;
SELECT k, s.* FROM unnest('{1,100,4999,5000,5001,NULL}'::int[]) k, pg_temp.same_first(k) s;
SELECT pg_temp.check_recall('d', '<->', array_agg(pg_temp.vec(i, 8)), 10, 0.95) FROM generate_series(100001, 100020) i;
SELECT pg_temp.check_query('d', '<->', pg_temp.vec(100001, 8), k) FROM unnest('{40,500,NULL}'::int[]) k;
-- and come back
INSERT INTO d SELECT i, array_fill(0.5, '{8}')::vector FROM generate_series(4, 20000, 4) i;
SELECT k, s.* FROM unnest('{100,9999,10000,10001,NULL}'::int[]) k, pg_temp.same_first(k) s;

-- all but one go, then all, then one comes back
DELETE FROM d WHERE id % 2 = 0 AND id <> 777 * 4;
VACUUM d;
SELECT k, s.* FROM unnest('{1,2,100,NULL}'::int[]) k, pg_temp.same_first(k) s;
DELETE FROM d WHERE id % 2 = 0;
VACUUM d;
SELECT k, s.* FROM unnest('{1,2,100,NULL}'::int[]) k, pg_temp.same_first(k) s;
INSERT INTO d VALUES (2, array_fill(0.5, '{8}')::vector);
SELECT k, s.* FROM unnest('{1,2,100,NULL}'::int[]) k, pg_temp.same_first(k) s;
SELECT pg_temp.check_recall('d', '<->', array_agg(pg_temp.vec(i, 8)), 10, 0.95) FROM generate_series(100001, 100020) i;
DROP TABLE d;

-- the same by insertion only; a temporary table, as no other session can keep
-- its dead rows from being removed
CREATE TEMP TABLE d (id int, v vector(8));
CREATE INDEX di ON d USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 32);
INSERT INTO d SELECT i, CASE WHEN i % 2 = 0 THEN '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]' ELSE pg_temp.vec(i, 8) END
	FROM generate_series(1, 6000) i;
SELECT rows, duplicates, dead FROM vectorx_index_info('di');
SELECT k, s.* FROM unnest('{1,100,2999,3000,3001,NULL}'::int[]) k, pg_temp.same_first(k) s;
SELECT pg_temp.check_recall('d', '<->', array_agg(pg_temp.vec(i, 8)), 10, 0.95) FROM generate_series(100001, 100020) i;
DELETE FROM d WHERE id % 4 = 0;
VACUUM d;
SELECT rows, duplicates, dead FROM vectorx_index_info('di');
SELECT k, s.* FROM unnest('{1,100,1499,1500,1501,NULL}'::int[]) k, pg_temp.same_first(k) s;
DELETE FROM d WHERE id <= 3000;
VACUUM d;
SELECT rows, duplicates FROM vectorx_index_info('di');
SELECT k, s.* FROM unnest('{1,100,749,750,751,NULL}'::int[]) k, pg_temp.same_first(k) s;
SELECT pg_temp.check_recall('d', '<->', array_agg(pg_temp.vec(i, 8)), 10, 0.95) FROM generate_series(100001, 100020) i;
-- many groups of a few
INSERT INTO d SELECT 10000 + i, pg_temp.vec(i % 300, 8) FROM generate_series(1, 3000) i;
SELECT pg_temp.check_query('d', '<->', pg_temp.vec(7, 8), k, recall => 1) FROM unnest('{1,10,11,NULL}'::int[]) k;
DROP TABLE d;

-- nothing but one vector, in every metric
CREATE TABLE d (id int, v vector(3));
INSERT INTO d SELECT i, '[1,2,3]' FROM generate_series(1, 2000) i;
CREATE INDEX d1 ON d USING hnsw (v vector_l2_ops);
CREATE INDEX d2 ON d USING hnsw (v vector_ip_ops);
CREATE INDEX d3 ON d USING hnsw (v vector_cosine_ops);
CREATE INDEX d4 ON d USING hnsw (v vector_l1_ops);
SELECT i, (vectorx_index_info(i::regclass)).duplicates FROM unnest('{d1,d2,d3,d4}'::text[]) i;
INSERT INTO d SELECT i, '[1,2,3]' FROM generate_series(2001, 3000) i;
SELECT op, k, pg_temp.check_query('d', op, '[1,2,3]', k), pg_temp.check_query('d', op, '[-3,1,9]', k)
	FROM unnest('{<->,<#>,<=>,<+>}'::text[]) op, unnest('{1,50,2999,NULL}'::int[]) k;
-- directions that are the same are no duplicates where lengths differ
INSERT INTO d SELECT 10000 + i, array[1 * i, 2 * i, 3 * i]::vector FROM generate_series(2, 200) i;
SELECT op, pg_temp.check_query('d', op, '[1,2,3]'), pg_temp.check_query('d', op, '[10,20,30]', 10)
	FROM unnest('{<->,<#>,<=>,<+>}'::text[]) op;
DELETE FROM d WHERE id % 3 > 0;
VACUUM d;
SELECT op, pg_temp.check_query('d', op, '[1,2,3]'), pg_temp.check_query('d', op, '[10,20,30]', 10)
	FROM unnest('{<->,<#>,<=>,<+>}'::text[]) op;
DROP TABLE d;

-- rows whose vectors only the nodes of removed rows have are found still when all that
-- had links to those nodes is gone, too
CREATE TEMP TABLE d (id int, v vector(8));
INSERT INTO d SELECT i, pg_temp.vec(i, 8) FROM generate_series(1, 6000) i;
INSERT INTO d SELECT -i, pg_temp.vec(i, 8) FROM generate_series(1, 300) i;
CREATE INDEX di ON d USING hnsw (v) WITH (m = 8, ef_construction = 32);
DELETE FROM d WHERE id BETWEEN 1 AND 300;
VACUUM d;
DELETE FROM d WHERE id % 4 > 0;
VACUUM d;
DELETE FROM d WHERE id % 64 > 0;
VACUUM d;
INSERT INTO d SELECT i, pg_temp.vec(i, 8) FROM generate_series(10001, 14000) i;
DELETE FROM d WHERE id BETWEEN 1 AND 10000;
VACUUM d;
SELECT rows, duplicates, dead FROM vectorx_index_info('di');
SELECT pg_temp.check_recall('d', '<->', array_agg(v), 1, 1) FROM d WHERE id < 0;
SELECT severity, kind, detail FROM vectorx_index_check('di');
DROP TABLE d;
