--
-- hnsw: vacuum with memory for what it would keep, and without
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

-- Vectors come in 50 clusters, by id; rows of all clusters go.
-- Codes of 10,000 nodes take more than half of 1 MB, lists of 5,000 dead ones, too
CREATE TEMP TABLE v (id int, v vector(96));
INSERT INTO v SELECT i, pg_temp.cvec(i, 96) FROM generate_series(1, 10000) i;
CREATE INDEX vi ON v USING hnsw (v) WITH (m = 16, ef_construction = 64);
CREATE TEMP TABLE degree AS SELECT mean_degree FROM vectorx_index_info('vi');
SELECT pg_temp.check_recall('v', '<->', array_agg(pg_temp.cvec(i, 96)), 10, 0.95) FROM generate_series(100001, 100020) i;

SET maintenance_work_mem = '1MB';
DELETE FROM v WHERE id / 50 % 2 = 0;
VACUUM v;
SELECT rows, dead, i.mean_degree BETWEEN 0.8 * d.mean_degree AND 1.2 * d.mean_degree AS degree_kept FROM vectorx_index_info('vi') i, degree d;
SELECT pg_temp.check_query('v', '<->', pg_temp.cvec(100001, 96), k, recall => 0.9) FROM unnest('{10,NULL}'::int[]) k;
SELECT pg_temp.check_recall('v', '<->', array_agg(pg_temp.cvec(i, 96)), 10, 0.95) FROM generate_series(100001, 100020) i;

RESET maintenance_work_mem;
INSERT INTO v SELECT i, pg_temp.cvec(i, 96) FROM generate_series(1, 10000) i WHERE i / 50 % 2 = 0;
DELETE FROM v WHERE id / 50 % 2 = 1;
VACUUM v;
SELECT rows, dead, i.mean_degree BETWEEN 0.8 * d.mean_degree AND 1.2 * d.mean_degree AS degree_kept FROM vectorx_index_info('vi') i, degree d;
SELECT pg_temp.check_query('v', '<->', pg_temp.cvec(100001, 96), k, recall => 0.9) FROM unnest('{10,NULL}'::int[]) k;
SELECT pg_temp.check_recall('v', '<->', array_agg(pg_temp.cvec(i, 96)), 10, 0.95) FROM generate_series(100001, 100020) i;

-- nearly all at once: neighbors of nodes that are gone are gone, too
DELETE FROM v WHERE id / 50 % 20 <> 0;
VACUUM v;
SELECT rows, dead FROM vectorx_index_info('vi');
SELECT pg_temp.check_query('v', '<->', pg_temp.cvec(100001, 96), k, recall => 0.9) FROM unnest('{10,NULL}'::int[]) k;
SELECT pg_temp.check_recall('v', '<->', array_agg(pg_temp.cvec(i, 96)), 10, 0.9) FROM generate_series(100001, 100020) i;
