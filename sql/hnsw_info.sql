--
-- vectorx_index_info, vectorx_last_scan, vectorx_recall
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

CREATE TABLE f (id int PRIMARY KEY, v vector(32));
INSERT INTO f SELECT i, pg_temp.cvec(i, 32) FROM generate_series(1, 3000) i;
INSERT INTO f SELECT i, pg_temp.cvec(1, 32) FROM generate_series(3001, 3100) i;
INSERT INTO f SELECT i, NULL FROM generate_series(3101, 3110) i;
INSERT INTO f SELECT i, array_fill(0, '{32}')::vector FROM generate_series(3111, 3113) i;
CREATE INDEX fi ON f USING hnsw (v vector_cosine_ops) WITH (m = 10, ef_construction = 50, code_bits = 8);
CREATE INDEX fl ON f USING hnsw (v);

\x on
SELECT dimensions, metric, m, ef_construction, code, code_bits, rows, duplicates, lone, dead,
	filter_columns, free < slots_per_page AS free, levels BETWEEN 2 AND 8 AS levels, mean_degree BETWEEN 3 AND 20 AS mean_degree,
	slots_per_page BETWEEN 10 AND 100 AS slots_per_page,
	node_bytes + vector_bytes + current_setting('block_size')::int = total_bytes AS sum,
	total_bytes = pg_relation_size('fi') AS total,
	node_bytes >= (rows / slots_per_page) * 8192 AND node_bytes < (rows * 1.3 / slots_per_page + 2) * 8192 AS node_bytes,
	vector_bytes BETWEEN rows * 128 AND rows * 128 * 1.5 AS vector_bytes
	FROM vectorx_index_info('fi');
SELECT dimensions, metric, m, ef_construction, code, code_bits, rows, duplicates, lone, dead FROM vectorx_index_info('fl');
\x off
SELECT pg_typeof(i) FROM vectorx_index_info('fi') i;

-- dead rows until vacuum; in a temporary table, where nothing keeps them
CREATE TEMP TABLE g AS SELECT * FROM f;
CREATE INDEX gi ON g USING hnsw (v);
DELETE FROM g WHERE id % 2 = 0;
SELECT rows, dead FROM vectorx_index_info('gi');
VACUUM g;
SELECT i.rows = (SELECT count(v) FROM g) AS rows, dead, free >= 1400 AS free FROM vectorx_index_info('gi') i;

-- what the last scan did
SELECT pg_temp.use_index(true);
SELECT count(*) FROM (SELECT id FROM f ORDER BY v <-> pg_temp.cvec(100001, 32) LIMIT 10) s;
SELECT hops BETWEEN 5 AND 500 AS hops, nodes_visited BETWEEN 40 AND 1500 AS visited, pages_touched BETWEEN hops AND 5000 AS pages,
	vectors_read BETWEEN 10 AND 500 AS vectors, resumes, strategy FROM vectorx_last_scan();
-- asking does not change the answer
SELECT count(DISTINCT s::text) FROM (SELECT vectorx_last_scan() AS s UNION ALL SELECT vectorx_last_scan()) s;
SELECT count(*) FROM (SELECT id FROM f ORDER BY v <-> pg_temp.cvec(100001, 32)) s;
SELECT strategy, nodes_visited >= 3000 AS visited, vectors_read BETWEEN 2900 AND 7000 AS vectors FROM vectorx_last_scan();
SET hnsw.ef_search = 400;
SELECT count(*) FROM (SELECT id FROM f ORDER BY v <-> pg_temp.cvec(100001, 32) LIMIT 10) s;
SELECT nodes_visited > 400 AS visited, resumes FROM vectorx_last_scan();
RESET hnsw.ef_search;
SELECT pg_temp.use_index(NULL);
\c -
-- a session without a scan
SELECT * FROM vectorx_last_scan();

-- recall
SELECT vectorx_recall('fi') BETWEEN 0.7 AND 1, vectorx_recall('fi', 1) BETWEEN 0.8 AND 1, vectorx_recall('fi', 10, 300) BETWEEN 0.7 AND 1,
	vectorx_recall(index => 'fl', queries => 5, k => 50) BETWEEN 0.5 AND 1;
SELECT vectorx_recall('fl', 10000, 1) BETWEEN 0.5 AND 1;
SELECT vectorx_recall('fl', 1, 100000) BETWEEN 0.9 AND 1;	-- more than there are rows: all of them
SET hnsw.ef_search = 5;
SET hnsw.iterative_scan = off;
SELECT vectorx_recall('fl', 10, 300) BETWEEN 0.1 AND 0.6;	-- five rows are found, one of them the sampled one
SET hnsw.ef_search = 1000;
SELECT vectorx_recall('fl', 10, 100) BETWEEN 0.98 AND 1;
RESET hnsw.ef_search;
RESET hnsw.iterative_scan;
-- nothing to find
CREATE TABLE e (id int, v vector(3));
CREATE INDEX ei ON e USING hnsw (v);
SELECT vectorx_recall('ei') IS NULL AS empty;
INSERT INTO e VALUES (1, '[1,2,3]');
SELECT vectorx_recall('ei') IS NULL AS one_row;
INSERT INTO e VALUES (2, '[1,2,3]');
SELECT vectorx_recall('ei') AS two;
SELECT dimensions, rows, duplicates, levels BETWEEN 1 AND 6 AS levels, total_bytes > 0 AS bytes FROM vectorx_index_info('ei');
SELECT vectorx_recall('ei', NULL), vectorx_recall(NULL), (vectorx_index_info(NULL)).rows;

-- bounds and objects that are no hnsw index
DO $$
DECLARE
	c text;
BEGIN
	FOREACH c IN ARRAY ARRAY['vectorx_recall(''fi'', 0)', 'vectorx_recall(''fi'', -1)', 'vectorx_recall(''fi'', 10001)',
		'vectorx_recall(''fi'', 10, 0)', 'vectorx_recall(''fi'', 10, 100001)', 'vectorx_recall(''f'')', 'vectorx_recall(''f_pkey'')',
		'vectorx_recall(''none'')', 'vectorx_index_info(''f'')', 'vectorx_index_info(''f_pkey'')', 'vectorx_index_info(''pg_class'')'] LOOP
		BEGIN
			EXECUTE 'SELECT ' || c;
			RAISE INFO '% ok', c;
		EXCEPTION WHEN OTHERS THEN
			RAISE INFO '%: % %', c, sqlstate, sqlerrm;
		END;
	END LOOP;
END $$;
CREATE TABLE p (id int, v vector(3)) PARTITION BY RANGE (id);
CREATE INDEX pi ON p USING hnsw (v);
CREATE VIEW w AS SELECT 1;
SELECT vectorx_index_info('pi');
SELECT vectorx_index_info('w');

-- an index that is not valid
CREATE TABLE x (id int, v vector);
INSERT INTO x VALUES (1, '[1,2]');
\set VERBOSITY terse
CREATE INDEX CONCURRENTLY xi ON x USING hnsw ((v::vector(3)));
SELECT vectorx_index_info('xi');
SELECT vectorx_recall('xi');
\set VERBOSITY default

-- permissions: for the owner and those who may read everything
CREATE ROLE regress_vx_nobody;
CREATE ROLE regress_vx_reader;
GRANT pg_read_all_data TO regress_vx_reader;
GRANT SELECT ON f TO regress_vx_nobody;
SET ROLE regress_vx_nobody;
\set VERBOSITY sqlstate
SELECT vectorx_index_info('fi');
SELECT vectorx_recall('fi');
\set VERBOSITY default
SELECT count(*) FROM vectorx_last_scan();
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM f ORDER BY v <-> (SELECT v FROM f WHERE id = 7) LIMIT 10) s;
RESET enable_seqscan;
SET ROLE regress_vx_reader;
SELECT rows FROM vectorx_index_info('fi');
SELECT vectorx_recall('fi') > 0.5;
RESET ROLE;
ALTER TABLE f OWNER TO regress_vx_nobody;
SET ROLE regress_vx_nobody;
SELECT rows FROM vectorx_index_info('fi');
SELECT vectorx_recall('fi') > 0.5;
RESET ROLE;
DROP TABLE f, e, p, x;
DROP VIEW w;
DROP ROLE regress_vx_nobody, regress_vx_reader;
