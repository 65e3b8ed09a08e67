--
-- hnsw: rows come, change and go; space is used again
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

-- Temporary tables, as no other session can keep their dead rows from being
-- removed, so that VACUUM removes all of them and sizes can be compared.
CREATE TEMP TABLE m (id int, v vector(32));
CREATE INDEX mi ON m USING hnsw (v) WITH (m = 12, ef_construction = 40);
INSERT INTO m SELECT i, pg_temp.cvec(i, 32) FROM generate_series(1, 1500) i;
SELECT pg_temp.check_query('m', '<->', pg_temp.cvec(100001, 32), k, recall => 0.9) FROM unnest('{10,NULL}'::int[]) k;

-- delete all, vacuum, insert all, ten times: no growth after the first
CREATE TEMP TABLE sizes (n serial, bytes bigint);
INSERT INTO sizes (bytes) VALUES (pg_relation_size('mi'));
SELECT unnest(ARRAY['DELETE FROM m', 'VACUUM m',
	'INSERT INTO m SELECT i, pg_temp.cvec(i, 32) FROM generate_series(1, 1500) i',
	'INSERT INTO sizes (bytes) VALUES (pg_relation_size(''mi''))'])
FROM generate_series(1, 10) \gexec
SELECT count(*), max(bytes) FILTER (WHERE n > 1) <= 1.05 * min(bytes) FILTER (WHERE n = 2) AS steady,
	max(bytes) <= 1.05 * min(bytes) FILTER (WHERE n = 1) AS no_larger_than_at_first FROM sizes;
SELECT rows, dead, duplicates FROM vectorx_index_info('mi');
SELECT pg_temp.check_query('m', '<->', pg_temp.cvec(100001, 32), k, recall => 0.9) FROM unnest('{10,NULL}'::int[]) k;
SELECT pg_temp.check_recall('m', '<->', array_agg(pg_temp.cvec(i, 32)), 10, 0.95) FROM generate_series(100001, 100020) i;

-- the same with a third of the rows at a time, other ones each round
TRUNCATE sizes RESTART IDENTITY;
INSERT INTO sizes (bytes) VALUES (pg_relation_size('mi'));
SELECT unnest(ARRAY[format('DELETE FROM m WHERE id %% 3 = %s', r % 3), 'VACUUM m',
	format('INSERT INTO m SELECT i, pg_temp.cvec(i + 10000 * %s, 32) FROM generate_series(1, 1500) i WHERE i %% 3 = %s', r, r % 3),
	'INSERT INTO sizes (bytes) VALUES (pg_relation_size(''mi''))'])
FROM generate_series(1, 10) r \gexec
SELECT count(*), max(bytes) <= 1.05 * min(bytes) FILTER (WHERE n = 1) AS steady FROM sizes;
SELECT rows, dead FROM vectorx_index_info('mi');
SELECT pg_temp.check_query('m', '<->', pg_temp.cvec(100001, 32), k, recall => 0.9) FROM unnest('{10,NULL}'::int[]) k;
SELECT pg_temp.check_recall('m', '<->', array_agg(pg_temp.cvec(i, 32)), 10, 0.95) FROM generate_series(100001, 100020) i;

-- all gone, all back into an index that was built
DELETE FROM m;
VACUUM m;
SELECT rows, dead, levels, mean_degree FROM vectorx_index_info('mi');
SELECT pg_temp.check_query('m', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,NULL}'::int[]) k;
INSERT INTO m VALUES (1, pg_temp.cvec(1, 32));
SELECT pg_temp.check_query('m', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,NULL}'::int[]) k;
DROP TABLE m;

-- an index filled by INSERT is as good as one that was built
CREATE TABLE b (id int, v vector(32));
INSERT INTO b SELECT i, pg_temp.cvec(i, 32) FROM generate_series(1, 5000) i;
CREATE TABLE i (LIKE b);
CREATE INDEX bi ON b USING hnsw (v);
CREATE INDEX ii ON i USING hnsw (v);
INSERT INTO i SELECT * FROM b;
SELECT b.rows = i.rows AS rows, b.node_bytes::float8 / i.node_bytes BETWEEN 0.8 AND 1.25 AS size,
	b.mean_degree / i.mean_degree BETWEEN 0.7 AND 1.4 AS degree, abs(b.levels - i.levels) <= 2 AS levels
	FROM vectorx_index_info('bi') b, vectorx_index_info('ii') i;
SELECT t, pg_temp.check_recall(t, '<->', (SELECT array_agg(pg_temp.cvec(i, 32)) FROM generate_series(100001, 100040) i), 10, 0.95)
	FROM unnest('{b,i}'::text[]) t;
SELECT vectorx_recall('bi', 10, 200) - vectorx_recall('ii', 10, 200) BETWEEN -0.05 AND 0.05 AS alike;
-- with little memory, part of a build goes the way of INSERT
SET maintenance_work_mem = '1MB';
SET client_min_messages = notice;
\set VERBOSITY sqlstate
REINDEX INDEX bi;
RESET maintenance_work_mem;
SET client_min_messages = warning;
\set VERBOSITY default
SELECT pg_temp.check_recall('b', '<->', array_agg(pg_temp.cvec(i, 32)), 10, 0.95) FROM generate_series(100001, 100040) i;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;

-- updates: of the vector, and of something else (which may be HOT)
UPDATE b SET v = pg_temp.cvec(id + 50000, 32) WHERE id % 5 = 0;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;
UPDATE b SET id = -id WHERE id % 7 = 0;
UPDATE b SET id = id + 0;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;
UPDATE b SET v = NULL WHERE id % 11 = 0;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;
VACUUM b;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;
UPDATE b SET v = pg_temp.cvec(id, 32) WHERE v IS NULL;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;
SELECT pg_temp.check_recall('b', '<->', array_agg(pg_temp.cvec(i, 32)), 10, 0.95) FROM generate_series(100001, 100040) i;

-- vacuum in its variants; nothing to do is no work
DELETE FROM b WHERE id % 2 = 0;
VACUUM (INDEX_CLEANUP off) b;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;
VACUUM (INDEX_CLEANUP on, ANALYZE) b;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;
VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) b;
VACUUM (PARALLEL 2) b;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;
VACUUM FULL b;
SELECT pg_temp.check_query('b', '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{10,500,NULL}'::int[]) k;

-- a transaction that fails leaves nothing behind, in COPY and ON CONFLICT too
ALTER TABLE b ADD PRIMARY KEY (id);
INSERT INTO b SELECT i, pg_temp.cvec(i, 32) FROM generate_series(4990, 6000) i ON CONFLICT DO NOTHING;
INSERT INTO b SELECT i, pg_temp.cvec(i + 1, 32) FROM generate_series(4990, 5000) i ON CONFLICT (id) DO UPDATE SET v = excluded.v;
SELECT pg_temp.try('INSERT INTO b SELECT i, pg_temp.cvec(i, 32) FROM generate_series(6100, 6000, -1) i') LIKE '23505%';
COPY i (id, v) FROM stdin;
9001	[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]
9002	\N
9003	[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]
\.
SELECT t, k, pg_temp.check_query(t, '<->', pg_temp.cvec(100001, 32), k) FROM unnest('{b,i}'::text[]) t, unnest('{10,500,NULL}'::int[]) k;
DROP TABLE b, i, sizes;

-- Nodes stay in reach that are nobody's near neighbor, as there are where dimensions
-- are many: of these, 220 were out of reach, and 50 after VACUUM
CREATE TEMP TABLE far (id int, v vector(200));
CREATE INDEX fari ON far USING hnsw (v) WITH (m = 8, ef_construction = 32);
INSERT INTO far SELECT i, pg_temp.vec(i, 200) FROM generate_series(1, 4000) i;
CREATE FUNCTION pg_temp.out_of_reach() RETURNS int LANGUAGE sql AS $$
	SELECT coalesce(max(substring(detail FROM '^(\d+) of')::int), 0) FROM vectorx_index_check('fari')
$$;
SELECT pg_temp.out_of_reach() < 80 AS inserted;
DELETE FROM far WHERE id % 4 = 0;
VACUUM far;
SELECT pg_temp.out_of_reach() < 30 AS vacuumed;
REINDEX INDEX fari;
SELECT pg_temp.out_of_reach() AS built;
DROP TABLE far;

-- One vector amid all others, nearer to each than they are to each other, does not take
-- the place of all other links
CREATE TEMP TABLE star (id int, v vector(64));
CREATE INDEX stari ON star USING hnsw (v);
INSERT INTO star VALUES (0, array_fill(0.5, '{64}'));
INSERT INTO star SELECT i, pg_temp.vec(i, 64) FROM generate_series(1, 4000) i;
SELECT pg_temp.check_recall('star', '<->', array_agg(pg_temp.vec(i, 64)), 10, 0.7) FROM generate_series(100001, 100050) i;
DELETE FROM star WHERE id % 4 = 1;
VACUUM star;
SELECT pg_temp.check_recall('star', '<->', array_agg(pg_temp.vec(i, 64)), 10, 0.7) FROM generate_series(100001, 100050) i;
REINDEX INDEX stari;
SELECT pg_temp.check_recall('star', '<->', array_agg(pg_temp.vec(i, 64)), 10, 0.7) FROM generate_series(100001, 100050) i;
SELECT pg_temp.check_recall('star', '<->', array_agg(v), 1, 0.95) FROM (SELECT v FROM star ORDER BY id LIMIT 200) s;
-- nor do some that come last
INSERT INTO star SELECT -i, array_fill(0.5 + i / 1000.0, '{64}') FROM generate_series(1, 10) i;
SELECT pg_temp.check_recall('star', '<->', array_agg(pg_temp.vec(i, 64)), 10, 0.7) FROM generate_series(100001, 100050) i;
SELECT pg_temp.check_recall('star', '<->', array_agg(v), 1, 0.95) FROM (SELECT v FROM star ORDER BY id LIMIT 200) s;
SELECT mean_degree > 16 AS links FROM vectorx_index_info('stari');
DROP TABLE star;
