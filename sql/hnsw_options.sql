--
-- hnsw indexes: options, settings, what can be indexed, life of an index
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers
\set VERBOSITY terse

CREATE TABLE o (id int, v vector(3), w vector, n int);
INSERT INTO o SELECT i, pg_temp.vec(i, 3), pg_temp.vec(i, 3), i FROM generate_series(1, 200) i;
INSERT INTO o VALUES (201, NULL, NULL, 201);

-- bounds of the options
SELECT opt, pg_temp.try('CREATE INDEX oi ON o USING hnsw (v) WITH (' || opt || ')'),
	pg_temp.try('DROP INDEX oi')
	FROM unnest('{m=2,m=100,m=1,m=101,m=-1,m=x,ef_construction=4,ef_construction=1000,ef_construction=3,
		ef_construction=1001,"m=2, ef_construction=4","m=2, ef_construction=3","m=32, ef_construction=63",
		"m=32, ef_construction=64","m=33","m=100, ef_construction=199","m=100, ef_construction=200",
		code_bits=2,code_bits=4,code_bits=8,code_bits=1,code_bits=3,code_bits=0,code_bits=16,code_bits=x,
		"code_bits=''''","m=8, ef_construction=20, code_bits=8",lists=1,fillfactor=70}'::text[]) opt;
\set VERBOSITY sqlstate
CREATE INDEX ON o USING hnsw (v) WITH (m = 1);
CREATE INDEX ON o USING hnsw (v) WITH (code_bits = 5);
CREATE INDEX ON o USING hnsw (v) WITH (m = 50);
\set VERBOSITY terse

-- the options an index was built with stay its own
CREATE INDEX oi ON o USING hnsw (v);
SELECT m, ef_construction, code, code_bits, rows FROM vectorx_index_info('oi');
SELECT pg_temp.try('ALTER INDEX oi SET (m = 1)'), pg_temp.try('ALTER INDEX oi SET (m = 24)');
SELECT m FROM vectorx_index_info('oi');
SELECT pg_temp.check_query('o', '<->', '[0.5,0.5,0.5]');
REINDEX INDEX oi;
SELECT m FROM vectorx_index_info('oi');
SELECT pg_temp.check_query('o', '<->', '[0.5,0.5,0.5]');
ALTER INDEX oi RESET (m);
REINDEX INDEX oi;
SELECT m FROM vectorx_index_info('oi');

-- settings
SELECT name, vartype, min_val, max_val, enumvals, boot_val, context FROM pg_settings
	WHERE name LIKE 'hnsw.%' ORDER BY name;
SELECT s, pg_temp.try('SET hnsw.' || s)
	FROM unnest('{ef_search=1,ef_search=10000,ef_search=0,ef_search=10001,ef_search=-1,ef_search=x,
		iterative_scan=off,iterative_scan=relaxed_order,iterative_scan=strict_order,iterative_scan=on,
		max_scan_tuples=1,max_scan_tuples=2147483647,max_scan_tuples=0,max_scan_tuples=-1,
		scan_mem_multiplier=1,scan_mem_multiplier=1.5,scan_mem_multiplier=1000,scan_mem_multiplier=0.9,
		scan_mem_multiplier=1001,probes=1}'::text[]) s;
RESET hnsw.ef_search; RESET hnsw.iterative_scan; RESET hnsw.max_scan_tuples; RESET hnsw.scan_mem_multiplier;

-- what cannot be indexed
CREATE INDEX ON o USING hnsw (w);
CREATE INDEX ON o USING hnsw (n);
CREATE INDEX ON o USING hnsw (n vector_l2_ops);
CREATE INDEX ON o USING hnsw (v bit_hamming_ops);
CREATE INDEX ON o USING hnsw (v vector_ops);
CREATE INDEX ON o USING hnsw (v, w);
CREATE INDEX ON o USING hnsw (v) INCLUDE (id);
CREATE INDEX ON o USING hnsw (v DESC);
CREATE INDEX ON o USING hnsw (v NULLS FIRST);
CREATE UNIQUE INDEX ON o USING hnsw (v);
\set VERBOSITY sqlstate
ALTER TABLE o ADD EXCLUDE USING hnsw (v WITH =);
\set VERBOSITY terse
CREATE INDEX ON o USING hnsw ((w::vector(4)));
CREATE INDEX ON o USING hnsw (array_agg(v));
CREATE TABLE big (id int, v vector(16001));
SELECT count(*) FROM pg_index WHERE indrelid = 'o'::regclass;

-- operator classes
SELECT opcname, opcdefault, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
	WHERE amname = 'hnsw' ORDER BY opcname;
SELECT pg_get_indexdef('oi'::regclass);
SELECT p, pg_indexam_has_property(a.oid, p) FROM pg_am a,
	unnest('{can_order,can_unique,can_multi_col,can_exclude,can_include}'::text[]) p WHERE amname = 'hnsw';
SELECT p, pg_index_has_property('oi'::regclass, p) FROM
	unnest('{clusterable,index_scan,bitmap_scan,backward_scan}'::text[]) p;
SELECT p, pg_index_column_has_property('oi'::regclass, 1, p) FROM
	unnest('{orderable,returnable,search_array,search_nulls}'::text[]) p;
DROP INDEX oi;

-- expression
CREATE INDEX oe ON o USING hnsw ((w::vector(3)) vector_cosine_ops);
SELECT dimensions, metric, rows FROM vectorx_index_info('oe');
SELECT pg_temp.use_index(true);
SELECT pg_temp.plan_uses_index($$SELECT id FROM o ORDER BY w::vector(3) <=> '[1,2,3]'$$);
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM o ORDER BY w::vector(3) <=> '[1,2,3]') s;
SELECT pg_temp.use_index(NULL);
INSERT INTO o VALUES (202, NULL, '[1,2]', 1);
DROP INDEX oe;

-- partial
CREATE INDEX op ON o USING hnsw (v) WHERE n % 2 = 0;
SELECT rows FROM vectorx_index_info('op');
SELECT pg_temp.check_query('o', '<->', '[0.5,0.5,0.5]', NULL, 'n % 2 = 0');
INSERT INTO o VALUES (203, '[1,1,1]', NULL, 203), (204, '[1,1,1]', NULL, 204);
UPDATE o SET n = n + 1 WHERE id IN (10, 11);
SELECT pg_temp.check_query('o', '<->', '[0.5,0.5,0.5]', NULL, 'n % 2 = 0');
SELECT pg_temp.check_query('o', '<->', '[0.5,0.5,0.5]', NULL, 'n % 2 = 0 AND n < 10');
DROP INDEX op;

-- several indexes on a column, one for each operator
CREATE INDEX o1 ON o USING hnsw (v vector_l2_ops);
CREATE INDEX o2 ON o USING hnsw (v vector_ip_ops);
CREATE INDEX o3 ON o USING hnsw (v vector_cosine_ops);
CREATE INDEX o4 ON o USING hnsw (v vector_l1_ops);
SELECT op, pg_temp.check_query('o', op, '[0.5,0.25,0.5]') FROM unnest('{<->,<#>,<=>,<+>}'::text[]) op;

-- rewrites of the table
CLUSTER o USING o1;
VACUUM FULL o;
SELECT op, pg_temp.check_query('o', op, '[0.5,0.25,0.5]') FROM unnest('{<->,<#>,<=>,<+>}'::text[]) op;
ALTER TABLE o ALTER id TYPE int8;
SELECT op, pg_temp.check_query('o', op, '[0.5,0.25,0.5]') FROM unnest('{<->,<#>,<=>,<+>}'::text[]) op;
ALTER TABLE o ALTER id TYPE int4;
ALTER TABLE o ALTER v TYPE vector;
ALTER TABLE o ALTER v TYPE vector(4) USING NULL;
SELECT dimensions, rows FROM vectorx_index_info('o1');
ALTER TABLE o ALTER v TYPE vector(3) USING pg_temp.vec(id, 3);
SELECT dimensions, rows FROM vectorx_index_info('o1');
DROP INDEX o2, o3, o4;
ALTER INDEX o1 RENAME TO o5;
SELECT rows FROM vectorx_index_info('o5');

-- reindexing, also concurrently
REINDEX INDEX o5;
REINDEX TABLE o;
REINDEX INDEX CONCURRENTLY o5;
REINDEX TABLE CONCURRENTLY o;
SELECT pg_temp.check_query('o', '<->', '[0.5,0.25,0.5]');
DROP INDEX CONCURRENTLY o5;
CREATE INDEX CONCURRENTLY o5 ON o USING hnsw (v) WITH (m = 8);
CREATE INDEX CONCURRENTLY IF NOT EXISTS o5 ON o USING hnsw (v);
SELECT indisvalid, indisready FROM pg_index WHERE indexrelid = 'o5'::regclass;
SELECT pg_temp.check_query('o', '<->', '[0.5,0.25,0.5]');
CREATE INDEX CONCURRENTLY o6 ON o USING hnsw (w);	-- fails, leaves an invalid index
CREATE INDEX CONCURRENTLY o7 ON o USING hnsw ((w::vector(3)));
SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('o7');
SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('o6');
DROP INDEX o6, o7;

-- truncation, also rolled back
BEGIN;
TRUNCATE o;
SELECT rows FROM vectorx_index_info('o5');
INSERT INTO o SELECT i, pg_temp.vec(i, 3), NULL, i FROM generate_series(1, 10) i;
SELECT pg_temp.check_query('o', '<->', '[0.5,0.25,0.5]');
ROLLBACK;
SELECT rows FROM vectorx_index_info('o5');
TRUNCATE o;
SELECT rows, levels, total_bytes = 8192 AS metapage_only FROM vectorx_index_info('o5');
INSERT INTO o SELECT i, pg_temp.vec(i, 3), NULL, i FROM generate_series(1, 100) i;
SELECT pg_temp.check_query('o', '<->', '[0.5,0.25,0.5]');

-- unlogged, and back
ALTER TABLE o SET UNLOGGED;
SELECT relpersistence FROM pg_class WHERE relname = 'o5';
INSERT INTO o SELECT i, pg_temp.vec(i, 3), NULL, i FROM generate_series(101, 150) i;
SELECT pg_temp.check_query('o', '<->', '[0.5,0.25,0.5]');
ALTER TABLE o SET LOGGED;
SELECT relpersistence FROM pg_class WHERE relname = 'o5';
DELETE FROM o WHERE id % 3 = 0;
VACUUM o;
SELECT pg_temp.check_query('o', '<->', '[0.5,0.25,0.5]');
CREATE UNLOGGED TABLE u (id int, v vector(3));
CREATE INDEX ui ON u USING hnsw (v);
INSERT INTO u SELECT i, pg_temp.vec(i, 3) FROM generate_series(1, 500) i;
SELECT pg_temp.check_query('u', '<->', '[0.5,0.25,0.5]', k) FROM unnest('{10,100,NULL}'::int[]) k;

-- temporary
CREATE TEMP TABLE t (id int, v vector(3)) ON COMMIT DELETE ROWS;
CREATE INDEX ti ON t USING hnsw (v);
BEGIN;
INSERT INTO t SELECT i, pg_temp.vec(i, 3) FROM generate_series(1, 500) i;
DELETE FROM t WHERE id % 7 = 0;
SELECT pg_temp.check_query('t', '<->', '[0.5,0.25,0.5]', k) FROM unnest('{10,100,NULL}'::int[]) k;
COMMIT;
SELECT rows FROM vectorx_index_info('ti');

-- partitions
CREATE TABLE p (id int, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (101);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (101) TO (201);
CREATE INDEX pi ON p USING hnsw (v) WITH (m = 8);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (201) TO (301);
INSERT INTO p SELECT i, pg_temp.vec(i, 3) FROM generate_series(1, 300) i;
SELECT relid, (vectorx_index_info(relid)).m, (vectorx_index_info(relid)).rows
	FROM pg_partition_tree('pi') WHERE isleaf ORDER BY relid::text;
SELECT pg_temp.check_query('p', '<->', '[0.5,0.25,0.5]', k) FROM unnest('{10,100,NULL}'::int[]) k;

DROP TABLE o, u, t, p;
SELECT count(*) FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE amname = 'hnsw';
