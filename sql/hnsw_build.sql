--
-- CREATE INDEX: by one process and by several, with and without enough memory
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers
SET max_parallel_maintenance_workers = 2;

-- Rows near each other, with duplicates (one thousandfold), NULLs and zero vectors
CREATE FUNCTION pg_temp.fill(dims int, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS t;
	EXECUTE format('CREATE TABLE t (id int, v vector(%s))', dims);
	INSERT INTO t SELECT i, CASE WHEN i % 10 = 0 THEN NULL WHEN i % 100 = 1 THEN array_fill(0, array[dims])::vector
		WHEN i % 5 = 2 THEN pg_temp.cvec(7, dims) WHEN i % 5 = 3 THEN pg_temp.cvec(i % 1000, dims)
		ELSE pg_temp.cvec(i, dims) END
	FROM generate_series(1, n) i;
	ANALYZE t;
END $$;

-- Build an index on t with so many workers and so much memory, and compare its
-- answers to the exact ones
CREATE FUNCTION pg_temp.build(op text, class text, options text, workers int, memory text, at_least float8,
	OUT indexed bool, OUT duplicates bool, OUT lone bigint, OUT recall text, OUT few text, OUT "all" text)
LANGUAGE plpgsql AS $$
DECLARE
	dims int := (SELECT vector_dims(v) FROM t WHERE v IS NOT NULL LIMIT 1);
	queries vector[] := (SELECT array_agg(pg_temp.cvec(i, dims)) FROM generate_series(100001, 100020) i);
	zeros bigint := (SELECT count(*) FROM t WHERE vector_norm(v) = 0);
	less bigint := (SELECT count(v) - count(DISTINCT v) FROM t);
BEGIN
	DROP INDEX IF EXISTS ti;
	EXECUTE format('ALTER TABLE t SET (parallel_workers = %s)', workers);
	PERFORM set_config('maintenance_work_mem', memory, true);
	EXECUTE format('CREATE INDEX ti ON t USING hnsw (v %s) %s', class, options);
	-- participants that insert the same vector at once may miss each other's
	SELECT i.rows = (SELECT count(v) FROM t), i.duplicates + i.lone BETWEEN less * 0.9 - 30 AND less + 1, i.lone
		INTO indexed, duplicates, lone FROM vectorx_index_info('ti') i;
	SET LOCAL hnsw.ef_search = 100;
	recall := pg_temp.check_recall('t', op, queries, 10, at_least);
	few := pg_temp.check_query('t', op, queries[1], 3, recall => at_least);
	"all" := pg_temp.check_query('t', op, queries[3]);
END $$;

-- metrics, workers, memory
SELECT pg_temp.fill(32, 8000);
SELECT op, workers, memory, b.* FROM unnest('{<->,<=>,<#>,<+>}'::text[], '{l2,cosine,ip,l1}'::text[]) m(op, name),
	unnest('{0,2}'::int[]) workers, unnest('{1MB,64MB}'::text[]) memory,
	pg_temp.build(op, format('vector_%s_ops', name), '', workers, memory, CASE op WHEN '<#>' THEN 0.8 WHEN '<=>' THEN 0.8 ELSE 0.95 END) b;
-- codes that are not those for building, and such as are; many links
SELECT options, workers, memory, b.* FROM unnest('{code_bits = 2,code_bits = 4,m = 60}'::text[]) options,
	unnest('{0,2}'::int[]) workers, unnest('{1MB,64MB}'::text[]) memory,
	pg_temp.build('<->', 'vector_l2_ops', format('WITH (%s, ef_construction = 120)', options), workers, memory, 0.9) b;
-- vectors that are their own codes
SELECT pg_temp.fill(4, 6000);
SELECT op, workers, memory, b.* FROM unnest('{<->,<+>}'::text[], '{l2,l1}'::text[]) m(op, name),
	unnest('{0,2}'::int[]) workers, unnest('{1MB,64MB}'::text[]) memory,
	pg_temp.build(op, format('vector_%s_ops', name), '', workers, memory, 0.9) b;
-- a vector of more than a page; a handful of them is all that fits into memory
SELECT pg_temp.fill(5000, 150);
SELECT workers, memory, b.* FROM unnest('{0,2}'::int[]) workers, unnest('{1MB,64MB}'::text[]) memory,
	pg_temp.build('<->', 'vector_l2_ops', '', workers, memory, 0.9) b;

-- nothing to index, and next to nothing
DELETE FROM t WHERE v IS NOT NULL;
REINDEX INDEX ti;
SELECT rows FROM vectorx_index_info('ti');
TRUNCATE t;
REINDEX INDEX ti;
SELECT rows FROM vectorx_index_info('ti');
INSERT INTO t SELECT 1, array_fill(1, '{5000}')::vector;
REINDEX INDEX ti;
SELECT rows FROM vectorx_index_info('ti');

-- an expression and a predicate
SELECT pg_temp.fill(20, 3000);
ALTER TABLE t SET (parallel_workers = 2);
CREATE INDEX te ON t USING hnsw (((v + v)::vector(20))) WHERE id % 3 <> 0;
CREATE INDEX tl ON t USING hnsw ((l2_normalize(v)::vector(20)) vector_ip_ops);
SELECT rows = (SELECT count(v) FROM t WHERE id % 3 <> 0) AS indexed FROM vectorx_index_info('te');
SELECT rows = (SELECT count(v) FROM t) AS indexed FROM vectorx_index_info('tl');
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM t WHERE id % 3 <> 0 ORDER BY (v + v)::vector(20) <-> pg_temp.cvec(1, 20) LIMIT 100) s;
RESET enable_seqscan;
-- which nobody but the session can compute: no workers
CREATE TEMP TABLE p (id int, v vector(20));
INSERT INTO p SELECT * FROM t;
ALTER TABLE p SET (parallel_workers = 2);
CREATE INDEX pi ON p USING hnsw (v);
SELECT rows = (SELECT count(v) FROM p) AS indexed FROM vectorx_index_info('pi');
DROP TABLE p;
-- rows of the wrong dimensions end the build, wherever they are met
CREATE TABLE w (v vector);
INSERT INTO w SELECT v FROM t WHERE v IS NOT NULL;
INSERT INTO w VALUES ('[1,2]');
ALTER TABLE w SET (parallel_workers = 2);
\set VERBOSITY sqlstate
CREATE INDEX wi ON w USING hnsw ((v::vector(20)));
\set VERBOSITY default
DELETE FROM w WHERE vector_dims(v) = 2;
CREATE INDEX wi ON w USING hnsw ((v::vector(20)));
SELECT rows = (SELECT count(*) FROM w) AS indexed FROM vectorx_index_info('wi');
DROP TABLE t, w;
