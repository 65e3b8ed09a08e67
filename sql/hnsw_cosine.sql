--
-- hnsw under cosine distance
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\set metric :abs_srcdir '/sql/include/hnsw_metric.sql'
\i :helpers
\set op '<=>'
\set class vector_cosine_ops
-- in one dimension, all distances are 0 or 2, of which no graph can be made
\set one 0
\set many 0.6
\i :metric

-- zero vectors have no direction: their distance is NaN, so they come last
INSERT INTO t SELECT i, array_fill(0, '{20}')::vector FROM generate_series(5001, 5200) i;
SELECT rows, lone FROM vectorx_index_info('ti');
SELECT pg_temp.check_query('t', '<=>', pg_temp.cvec(7, 20), k) FROM unnest('{10,1999,2000,2001,2100,NULL}'::int[]) k;
CREATE FUNCTION pg_temp.zeros_last(OUT before bigint, OUT "after" bigint, OUT numbers bigint, OUT rows bigint) LANGUAGE sql AS $$
	SELECT count(*) FILTER (WHERE n <= 2000 AND id > 5000), count(*) FILTER (WHERE n > 2000 AND id <= 5000),
		count(*) FILTER (WHERE d <> 'NaN' AND id > 5000), count(*)
	FROM pg_temp.answer(pg_temp.nearest('t', '<=>', pg_temp.cvec(7, 20), NULL, 'true'), true) a,
		unnest(a.ids, a.ds) WITH ORDINALITY u(id, d, n)
$$;
SELECT * FROM pg_temp.zeros_last();
REINDEX INDEX ti;
SELECT rows, lone FROM vectorx_index_info('ti');
SELECT * FROM pg_temp.zeros_last();
SELECT pg_temp.check_query('t', '<=>', pg_temp.cvec(7, 20), k) FROM unnest('{10,1999,2000,2001,2100,NULL}'::int[]) k;
-- to a zero vector everything is equally far
SELECT pg_temp.check_query('t', '<=>', array_fill(0, '{20}')::vector, k) FROM unnest('{10,2100,NULL}'::int[]) k;
-- length does not matter
SELECT pg_temp.check_query('t', '<=>', array_fill(1e30, '{20}')::vector, k) FROM unnest('{10,NULL}'::int[]) k;
DELETE FROM t WHERE id > 5050;
VACUUM t;
SELECT pg_temp.check_query('t', '<=>', pg_temp.cvec(7, 20), k) FROM unnest('{10,2001,NULL}'::int[]) k;
-- nothing but zero vectors
DELETE FROM t WHERE id <= 5000;
SELECT pg_temp.check_query('t', '<=>', pg_temp.cvec(7, 20), k) FROM unnest('{10,NULL}'::int[]) k;
VACUUM t;
SELECT pg_temp.check_query('t', '<=>', pg_temp.cvec(7, 20), k) FROM unnest('{10,NULL}'::int[]) k;
REINDEX INDEX ti;
SELECT pg_temp.check_query('t', '<=>', pg_temp.cvec(7, 20), k) FROM unnest('{10,NULL}'::int[]) k;
INSERT INTO t SELECT i, pg_temp.cvec(i, 20) FROM generate_series(1, 100) i;
SELECT pg_temp.check_query('t', '<=>', pg_temp.cvec(7, 20), k) FROM unnest('{10,101,NULL}'::int[]) k;

DROP TABLE t;
