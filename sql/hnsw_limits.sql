--
-- hnsw indexes at the limits of options, dimensions, columns, names; in
-- tablespaces, temporary tables, and under inheritance
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers
-- What is wrong with an index, but for nodes that level 0 alone does not lead to
CREATE FUNCTION pg_temp.check_index(index regclass) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(concat_ws(' ', kind, block, slot, detail), '; '), 'ok') FROM vectorx_index_check(index)
	WHERE kind <> 'unreachable'
$$;
-- A table of so many rows of so many dimensions, its index with options, half
-- of it built and half inserted; a part removed and added again
CREATE FUNCTION pg_temp.live(dims int, n int, options text, op text DEFAULT '<->', class text DEFAULT 'vector_l2_ops') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS l;
	EXECUTE format('CREATE TEMP TABLE l (id int, v vector(%s))', dims);
	ALTER TABLE l ALTER v SET STORAGE EXTERNAL;
	INSERT INTO l SELECT i, pg_temp.cvec(i, dims) FROM generate_series(1, n / 2) i;
	EXECUTE format('CREATE INDEX li ON l USING hnsw (v %s) WITH (%s)', class, options);
	INSERT INTO l SELECT i, pg_temp.cvec(i, dims) FROM generate_series(n / 2 + 1, n) i;
	DELETE FROM l WHERE id % 4 = 1;
	INSERT INTO l SELECT i, pg_temp.cvec(i, dims) FROM generate_series(n + 1, n + n / 8) i;
	RETURN concat_ws(', ', pg_temp.check_query('l', op, pg_temp.cvec(-1, dims), 5), pg_temp.check_query('l', op, pg_temp.cvec(-2, dims)), pg_temp.check_index('li'));
END $$;

-- options and dimensions at their bounds
SELECT dims, options, pg_temp.live(dims, CASE WHEN dims > 2000 THEN 40 ELSE 400 END, options) FROM unnest('{1,2,16,17,64,65,2000,16000}'::int[]) dims,
	unnest('{"m = 2, ef_construction = 4","m = 100, ef_construction = 1000"}'::text[]) options;
SELECT code_bits, pg_temp.live(16000, 24, 'code_bits = ' || code_bits) FROM unnest('{2,4}'::int[]) code_bits;
-- of which no page could hold a slot: it takes fewer
SELECT pg_temp.live(16000, 24, 'code_bits = 8'), code_bits FROM vectorx_index_info('li');
SELECT op, pg_temp.live(dims, 60, 'm = 3', op, format('vector_%s_ops', name)) FROM unnest('{<->,<=>,<#>,<+>}'::text[], '{l2,cosine,ip,l1}'::text[]) m(op, name), unnest('{1,16000}'::int[]) dims;
-- the largest search and the smallest, of a large and a small table
SELECT pg_temp.live(3, 400, 'm = 2');
SELECT a.rows, a.once, a.falls FROM unnest('{1,2,10000}'::text[]) ef,
	pg_temp.answer_with('hnsw.ef_search', ef, 'SELECT id, v <-> ''[0.1,0.2,0.3]'' AS d FROM l ORDER BY v <-> ''[0.1,0.2,0.3]'' LIMIT 20') a;
SELECT a.rows, a.once FROM unnest('{1,1000}'::text[]) mult,
	pg_temp.answer_with('hnsw.scan_mem_multiplier', mult, 'SELECT id, v <-> ''[0.1,0.2,0.3]'' AS d FROM l ORDER BY v <-> ''[0.1,0.2,0.3]''') a;
-- what is beyond the bounds
SELECT o, pg_temp.try(format('CREATE INDEX lx ON l USING hnsw (v) WITH (%s)', o)), pg_temp.try(format('ALTER INDEX li SET (%s)', o))
	FROM unnest('{m = 1,m = 101,m = -2147483648,m = 2147483648,m = 1e9,m = NaN,m = '''',ef_construction = 3,ef_construction = 1001,code_bits = 5,code_bits = ''8 '',fillfactor = 50,nosuch = 1,hnsw.m = 4}'::text[]) o;
SELECT s, pg_temp.try(format('SET %s', s)) FROM
	unnest('{hnsw.ef_search = 0,hnsw.ef_search = 2147483648,hnsw.ef_search = 1e30,hnsw.ef_search = ''40 kB'',hnsw.scan_mem_multiplier = nan,hnsw.scan_mem_multiplier = inf,hnsw.max_scan_tuples = -2147483649,hnsw.nosuch = 1,vectorx.nosuch = 1,vectorx.kernels = avx9}'::text[]) s;
-- options that fit by themselves and not together are found when the index is made
SELECT pg_temp.try('ALTER INDEX li SET (m = 50)'), pg_temp.try('REINDEX INDEX li'), pg_temp.check_query('l', '<->', '[0.1,0.2,0.3]'), pg_temp.check_index('li');
ALTER INDEX li SET (m = 100, ef_construction = 200);
SELECT pg_temp.check_query('l', '<->', '[0.1,0.2,0.3]'), pg_temp.check_index('li'), m FROM vectorx_index_info('li');
REINDEX INDEX li;
SELECT pg_temp.check_query('l', '<->', '[0.1,0.2,0.3]'), pg_temp.check_index('li'), m FROM vectorx_index_info('li');

-- as many columns as a table can have
DO $$ BEGIN
	EXECUTE (SELECT format('CREATE TABLE wide (id int, %s, v vector(3))', string_agg('c' || i || ' int', ', ')) FROM generate_series(1, 1598) i);
END $$;
INSERT INTO wide (id, v, c1598) SELECT i, pg_temp.cvec(i, 3), i FROM generate_series(1, 300) i;
CREATE INDEX wide_v ON wide USING hnsw (v);
INSERT INTO wide (id, v, c700) SELECT i, pg_temp.cvec(i, 3), i FROM generate_series(301, 600) i;
UPDATE wide SET c1598 = 1 WHERE id % 2 = 0;
SELECT pg_temp.check_query('wide', '<->', '[0.1,0.2,0.3]', 10), pg_temp.check_query('wide', '<->', '[0.1,0.2,0.3]', 10, 'c1598 = 1'), pg_temp.check_index('wide_v');
UPDATE wide SET c1 = id;
ALTER TABLE wide DROP COLUMN c3, DROP COLUMN id;
ALTER TABLE wide RENAME COLUMN c1 TO id;
SELECT pg_temp.check_query('wide', '<->', '[0.1,0.2,0.3]'), pg_temp.check_index('wide_v');
DROP TABLE wide;

-- names that want quotes, of as many bytes as there can be
CREATE SCHEMA "Sche""ma; drop 1";
CREATE TABLE "Sche""ma; drop 1"."table "" with ünïcödé and 'quotes'" (id int, "Vec'tor" vector(3));
SET search_path = "Sche""ma; drop 1", public;
CREATE INDEX "ïndëx_ïndëx_ïndëx_ïndëx_ïndëx_ïndëx_ïndëx_ïndëx" ON "table "" with ünïcödé and 'quotes'" USING hnsw ("Vec'tor");
CREATE INDEX "in.dex "" as long as it can be, x and a multibyte character: éé€€ééé" ON "table "" with ünïcödé and 'quotes'" USING hnsw ("Vec'tor") WHERE id > 5;
CREATE INDEX "CON" ON "table "" with ünïcödé and 'quotes'" USING hnsw ("Vec'tor" vector_l1_ops);
INSERT INTO "table "" with ünïcödé and 'quotes'" SELECT i, ARRAY[i, i % 7, i % 3]::vector FROM generate_series(1, 200) i;
SELECT octet_length(relname), i.rows, i.metric, vectorx_recall(c.oid, 5, 10) > 0.5 AS recall, pg_temp.check_index(c.oid)
	FROM pg_class c JOIN pg_am a ON a.oid = relam AND amname = 'hnsw', vectorx_index_info(c.oid) i WHERE relnamespace = '"Sche""ma; drop 1"'::regnamespace ORDER BY relname COLLATE "C";
RESET search_path;
SELECT rows FROM vectorx_index_info('"Sche""ma; drop 1"."CON"');
SELECT pg_temp.try('SELECT rows FROM vectorx_index_info(''"Sche""ma; drop 1".con'')'), pg_temp.try('SELECT vectorx_index_info(''"Sche""ma; drop 1"."table "" with ünïcödé and ''''quotes''''"'')');
REINDEX SCHEMA "Sche""ma; drop 1";
SELECT pg_temp.check_index('"Sche""ma; drop 1"."CON"');
DROP SCHEMA "Sche""ma; drop 1" CASCADE;

-- tablespaces, and what else gives an index another file
SET allow_in_place_tablespaces = true;
CREATE TABLESPACE regress_vx_space LOCATION '';
CREATE TABLE moving (id int, v vector(40));
INSERT INTO moving SELECT i, pg_temp.cvec(i, 40) FROM generate_series(1, 500) i;
CREATE INDEX moving_v ON moving USING hnsw (v) WITH (m = 5) TABLESPACE regress_vx_space;
CREATE INDEX moving_id ON moving (id);
CREATE FUNCTION pg_temp.moved(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before text := pg_relation_filepath('moving_v');
	n int := (SELECT coalesce(max(id), 0) FROM moving);
BEGIN
	PERFORM pg_temp.check_query('moving', '<->', pg_temp.cvec(1, 40), 3);	-- so that the backend knows the old file
	EXECUTE command;
	INSERT INTO moving SELECT i, pg_temp.cvec(i, 40) FROM generate_series(n + 1, n + 30) i;
	RETURN concat_ws(', ', CASE WHEN pg_relation_filepath('moving_v') = before THEN 'same file' END, (SELECT relpersistence FROM pg_class WHERE relname = 'moving_v'),
		(SELECT spcname FROM pg_tablespace t JOIN pg_class ON t.oid = reltablespace AND relname = 'moving_v'),
		pg_temp.check_query('moving', '<->', pg_temp.cvec(1, 40), 10), pg_temp.check_query('moving', '<->', pg_temp.cvec(1, 40)), pg_temp.check_index('moving_v'));
END $$;
SELECT c, pg_temp.moved(c) FROM unnest('{ALTER INDEX moving_v SET TABLESPACE pg_default,ALTER INDEX moving_v SET TABLESPACE regress_vx_space,ALTER TABLE moving SET TABLESPACE regress_vx_space,
	ALTER TABLE moving SET UNLOGGED,ALTER INDEX moving_v SET TABLESPACE pg_default,ALTER TABLE moving SET LOGGED,CLUSTER moving USING moving_id,REINDEX (TABLESPACE regress_vx_space) INDEX moving_v,
	ALTER INDEX ALL IN TABLESPACE regress_vx_space SET TABLESPACE pg_default,ALTER TABLE moving ALTER v TYPE vector(40) USING v + v,TRUNCATE moving,REINDEX TABLE moving}'::text[]) c;
VACUUM FULL moving;
SELECT pg_temp.moved('SELECT 1');
CREATE TABLE copied (LIKE moving INCLUDING ALL);
INSERT INTO copied SELECT * FROM moving;
SELECT pg_get_indexdef(indexrelid), pg_temp.check_index(indexrelid) FROM pg_index WHERE indrelid = 'copied'::regclass AND indexrelid::regclass::text ~ 'v_idx';
DROP TABLE moving, copied;
DROP TABLESPACE regress_vx_space;

-- temporary tables have buffers of their own, of which there may be few
\c -
SET temp_buffers = '800kB';
\i :helpers
CREATE FUNCTION pg_temp.check_index(index regclass) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(concat_ws(' ', kind, block, slot, detail), '; '), 'ok') FROM vectorx_index_check(index)
	WHERE kind <> 'unreachable'
$$;
CREATE TEMP TABLE mine (id int, v vector(300));
INSERT INTO mine SELECT i, pg_temp.cvec(i % 900, 300) FROM generate_series(1, 1000) i;
CREATE INDEX mine_v ON mine USING hnsw (v);
SELECT total_bytes > 2 * 819200 AS larger FROM vectorx_index_info('mine_v');
INSERT INTO mine SELECT i, pg_temp.cvec(i, 300) FROM generate_series(1001, 1500) i;
SELECT pg_temp.check_query('mine', '<->', pg_temp.cvec(i, 300), k) FROM unnest('{1,2,3}'::int[], '{1,30,NULL}'::int[]) t(i, k);
DELETE FROM mine WHERE id % 3 = 0;
SELECT pg_temp.check_query('mine', '<->', pg_temp.cvec(1, 300), 30);
VACUUM mine;
INSERT INTO mine SELECT i, pg_temp.cvec(i, 300) FROM generate_series(1501, 1600) i;
SELECT pg_temp.check_query('mine', '<->', pg_temp.cvec(i, 300), k) FROM unnest('{1,2,3}'::int[], '{1,30,NULL}'::int[]) t(i, k);
SELECT pg_temp.check_index('mine_v'), vectorx_recall('mine_v', 5, 20) > 0.8 AS recall;
REINDEX TABLE mine;
SELECT pg_temp.check_index('mine_v');
SET maintenance_work_mem = '1MB';
SET work_mem = '64kB';
REINDEX TABLE mine;
SELECT pg_temp.check_query('mine', '<->', pg_temp.cvec(1, 300)), pg_temp.check_index('mine_v');
RESET maintenance_work_mem;
RESET work_mem;
-- two scans at a time
SELECT count(*) FROM mine a, LATERAL (SELECT b.id FROM mine b WHERE b.id <> a.id ORDER BY b.v <-> a.v LIMIT 3) s WHERE a.id < 50;
BEGIN;
CREATE TEMP TABLE dropped (id int, v vector(300)) ON COMMIT DROP;
CREATE INDEX dropped_v ON dropped USING hnsw (v);
INSERT INTO dropped SELECT * FROM mine;
SELECT pg_temp.check_query('dropped', '<->', pg_temp.cvec(1, 300), 30), pg_temp.check_index('dropped_v');
COMMIT;
SELECT to_regclass('dropped_v');
CREATE TEMP TABLE emptied (id int, v vector(300)) ON COMMIT DELETE ROWS;
CREATE INDEX emptied_v ON emptied USING hnsw (v);
BEGIN;
INSERT INTO emptied SELECT * FROM mine;
SELECT pg_temp.check_query('emptied', '<->', pg_temp.cvec(1, 300), 30), pg_temp.check_index('emptied_v');
SAVEPOINT s;
INSERT INTO emptied SELECT * FROM mine LIMIT 100;
ROLLBACK TO s;
-- the index that is made at commit is made with these
ALTER INDEX emptied_v SET (m = 40, ef_construction = 80, code_bits = 8);
INSERT INTO emptied SELECT id + 10000, v + v FROM mine LIMIT 10;
COMMIT;
SELECT rows, m, code_bits FROM vectorx_index_info('emptied_v');
BEGIN;
INSERT INTO emptied SELECT * FROM mine LIMIT 200;
SELECT pg_temp.check_query('emptied', '<->', pg_temp.cvec(1, 300), 30), pg_temp.check_query('emptied', '<->', pg_temp.cvec(1, 300)), pg_temp.check_index('emptied_v');
COMMIT;
INSERT INTO emptied SELECT * FROM mine LIMIT 20;
SELECT rows, pg_temp.check_index('emptied_v') FROM vectorx_index_info('emptied_v');

-- inheritance: each table has its own index, and a search takes from all
CREATE TABLE parent (id int, v vector(5));
CREATE TABLE child (more text) INHERITS (parent);
CREATE TABLE grandchild () INHERITS (child);
INSERT INTO parent SELECT i, pg_temp.cvec(i, 5) FROM generate_series(1, 200) i;
INSERT INTO child SELECT i, pg_temp.cvec(i, 5) FROM generate_series(201, 400) i;
INSERT INTO grandchild SELECT i, pg_temp.cvec(i, 5) FROM generate_series(401, 600) i;
CREATE INDEX ON parent USING hnsw (v);
CREATE INDEX ON child USING hnsw (v);
CREATE INDEX ON grandchild USING hnsw (v);
SELECT t, k, pg_temp.check_query(t, '<->', '[0.1,0.2,0.3,0.4,0.5]', k) FROM unnest('{parent,ONLY parent,child,grandchild}'::text[]) t, unnest('{1,50,NULL}'::int[]) k;
DROP TABLE parent CASCADE;
