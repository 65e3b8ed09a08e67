--
-- vectorx_index_check on indexes that are as they should be; test/t/007_check.pl
-- has those that are not
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

-- What a check finds, as one line.  How many nodes level 0 alone does not lead to
-- depends on the data, and is not looked at here.
CREATE FUNCTION pg_temp.check_index(index regclass, heap bool DEFAULT true) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(format('%s: %s (%s)', severity, kind, detail), '; '), 'ok')
	FROM vectorx_index_check(index, heap) WHERE kind <> 'unreachable'
$$;

-- every kind of index, as built, and as changed by all that changes one
CREATE FUNCTION pg_temp.fill(first int, last int, dims int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO t SELECT i, CASE WHEN i % 5 = 0 THEN pg_temp.cvec(i % 15, dims)
		WHEN i % 97 = 0 THEN array_fill(0, ARRAY[dims])::vector
		WHEN i % 101 = 0 THEN NULL
		ELSE pg_temp.cvec(i, dims) END FROM generate_series(first, last) i;
END $$;
CREATE FUNCTION pg_temp.life_of_index(dims int, class text, options text,
	OUT code text, OUT bits int, OUT built text, OUT inserted text, OUT deleted text, OUT without_table text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE t (id int, v vector(%s))', dims);
	PERFORM pg_temp.fill(1, 400, dims);
	EXECUTE format('CREATE INDEX ti ON t USING hnsw (v %s) %s', class, options);
	SELECT i.code, i.code_bits INTO code, bits FROM vectorx_index_info('ti') i;
	built := pg_temp.check_index('ti');
	PERFORM pg_temp.fill(401, 600, dims);
	UPDATE t SET v = pg_temp.cvec(id + 1000, dims) WHERE id % 7 = 0;
	UPDATE t SET id = -id WHERE id % 11 = 0;
	inserted := pg_temp.check_index('ti');
	DELETE FROM t WHERE id % 3 = 0;
	deleted := pg_temp.check_index('ti');
	without_table := pg_temp.check_index('ti', false);
END $$;
SELECT format('SELECT %L AS dims, %L AS class, * FROM pg_temp.life_of_index(%s, %L, %L)', dims, class, dims, class,
	CASE WHEN bits > 0 THEN format('WITH (m = 6, ef_construction = 24, code_bits = %s)', bits) ELSE '' END),
	'VACUUM t', 'SELECT pg_temp.check_index(''ti'') AS vacuumed',
	'SELECT pg_temp.fill(601, 900, ' || dims || ')', 'SELECT pg_temp.check_index(''ti'') AS filled_again', 'DELETE FROM t', 'VACUUM t',
	'SELECT pg_temp.check_index(''ti'') AS emptied', 'DROP TABLE t'
FROM (VALUES (3, 'vector_l2_ops', 0), (3, 'vector_l1_ops', 0), (3, 'vector_cosine_ops', 0), (40, 'vector_l2_ops', 0),
	(40, 'vector_l1_ops', 0), (100, 'vector_l2_ops', 0), (100, 'vector_ip_ops', 0), (100, 'vector_cosine_ops', 0),
	(101, 'vector_l2_ops', 2), (101, 'vector_l1_ops', 4), (2500, 'vector_l2_ops', 0)) v(dims, class, bits)
\gexec

-- of evenly distributed vectors, nearly all can be reached
CREATE TABLE r (id int, v vector(20));
INSERT INTO r SELECT i, pg_temp.vec(i, 20) FROM generate_series(1, 3000) i;
CREATE INDEX ri ON r USING hnsw (v);
SELECT count(*) FROM vectorx_index_check('ri') WHERE kind <> 'unreachable' OR substring(detail FROM '\(([0-9.]+) %\)')::float8 > 1;
DROP TABLE r;

-- small memory: sorts go to disk, builds by insertion
SET maintenance_work_mem = '1MB';
CREATE TABLE b (id int, v vector(4));
INSERT INTO b SELECT i, pg_temp.cvec(i, 4) FROM generate_series(1, 30000) i;
SET client_min_messages = error;
CREATE INDEX bi ON b USING hnsw (v) WITH (m = 4, ef_construction = 10);
SET client_min_messages = warning;
SELECT pg_temp.check_index('bi');
RESET maintenance_work_mem;
DROP TABLE b;

-- one long chain, of which the head goes, then every other one, then all but one
CREATE TABLE d (id int, v vector(5));
INSERT INTO d SELECT i, '[1,2,3,4,5]' FROM generate_series(1, 2000) i;
CREATE INDEX di ON d USING hnsw (v);
SELECT pg_temp.check_index('di');
DELETE FROM d WHERE id = 1;
VACUUM d;
SELECT pg_temp.check_index('di');
DELETE FROM d WHERE id % 2 = 0;
VACUUM d;
INSERT INTO d SELECT i, '[1,2,3,4,5]' FROM generate_series(1, 100) i;
SELECT pg_temp.check_index('di');
DELETE FROM d WHERE id <> 1001;
VACUUM d;
SELECT pg_temp.check_index('di');
DROP TABLE d;

-- expressions and predicates
CREATE TABLE e (id int, tag text, x float4[], v vector);
INSERT INTO e SELECT i, CASE WHEN i % 3 = 0 THEN 'a' ELSE 'b' END, pg_temp.cvec(i, 6)::float4[], pg_temp.cvec(i, 4 + i % 2)
	FROM generate_series(1, 600) i;
CREATE INDEX e_partial ON e USING hnsw ((v::vector(4))) WHERE vector_dims(v) = 4;
CREATE INDEX e_expression ON e USING hnsw ((x::vector(6)) vector_cosine_ops) WHERE tag = 'a';
CREATE FUNCTION half(x float4[]) RETURNS vector LANGUAGE sql IMMUTABLE AS $$ SELECT x::public.vector OPERATOR(public.-) x::public.vector OPERATOR(public.-) x::public.vector $$;
CREATE INDEX e_function ON e USING hnsw ((half(x)::vector(6)));
SELECT i, pg_temp.check_index(i::regclass) FROM unnest('{e_partial,e_expression,e_function}'::text[]) i;
UPDATE e SET tag = 'a' WHERE id % 7 = 0;
DELETE FROM e WHERE id % 5 = 0;
SELECT i, pg_temp.check_index(i::regclass) FROM unnest('{e_partial,e_expression,e_function}'::text[]) i;
VACUUM e;
SELECT i, pg_temp.check_index(i::regclass) FROM unnest('{e_partial,e_expression,e_function}'::text[]) i;
-- a predicate that does not mean what it meant: rows are missing
CREATE TABLE f (id int, v vector(3));
CREATE FUNCTION wanted(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN id % 100 > 2; END';
INSERT INTO f SELECT i, pg_temp.cvec(i, 3) FROM generate_series(1, 100) i;
CREATE INDEX fi ON f USING hnsw (v) WHERE wanted(id);
SELECT pg_temp.check_index('fi');
CREATE OR REPLACE FUNCTION wanted(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
SELECT * FROM vectorx_index_check('fi');
SELECT * FROM vectorx_index_check('fi', false);
-- nor a value what it was
CREATE FUNCTION moved(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN v; END';
CREATE INDEX fm ON f USING hnsw ((moved(v)::vector(3))) WHERE id > 97;
CREATE OR REPLACE FUNCTION moved(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN v OPERATOR(public.+) v; END';
SELECT severity, kind, block, slot BETWEEN 0 AND 5 AS slot, tid, detail FROM vectorx_index_check('fm') ORDER BY tid;

-- what a transaction has not committed yet is there for it, and not for others
BEGIN;
INSERT INTO f SELECT i, pg_temp.cvec(i, 3) FROM generate_series(101, 150) i;
DELETE FROM f WHERE id % 4 = 0;
SELECT pg_temp.check_index('fi', false);
ROLLBACK;
DROP INDEX fi, fm;
CREATE INDEX fi ON f USING hnsw (v);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM f;
INSERT INTO f SELECT i, pg_temp.cvec(i, 3) FROM generate_series(201, 250) i;
SELECT pg_temp.check_index('fi');
SAVEPOINT s;
DELETE FROM f WHERE id % 4 = 0;
SELECT pg_temp.check_index('fi');
ROLLBACK TO s;
SELECT pg_temp.check_index('fi');
ROLLBACK;
SELECT pg_temp.check_index('fi');
BEGIN READ ONLY;
SELECT pg_temp.check_index('fi');
COMMIT;

-- empty, one row, temporary, unlogged, a partition's
CREATE TABLE o (id int, v vector(3));
CREATE INDEX oi ON o USING hnsw (v);
SELECT pg_temp.check_index('oi');
INSERT INTO o VALUES (1, '[1,2,3]');
SELECT pg_temp.check_index('oi');
CREATE TEMP TABLE tmp AS SELECT * FROM f;
CREATE INDEX tmpi ON tmp USING hnsw (v);
SELECT pg_temp.check_index('tmpi');
CREATE UNLOGGED TABLE u AS SELECT * FROM f;
CREATE INDEX ui ON u USING hnsw (v);
SELECT pg_temp.check_index('ui');
CREATE TABLE p (id int, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (1000);
CREATE INDEX pi ON p USING hnsw (v);
INSERT INTO p SELECT * FROM f;
SELECT pg_temp.check_index('p1_v_idx');

-- objects that are no hnsw index
CREATE INDEX oid ON o (id);
SELECT c, pg_temp.try('SELECT * FROM vectorx_index_check(' || quote_literal(c) || ')') FROM unnest('{o,oid,pi,pg_class}'::text[]) c;
SELECT * FROM vectorx_index_check(NULL);

-- for the owner and those who may read everything; it runs as the owner
CREATE ROLE regress_vx_owner;
CREATE ROLE regress_vx_nobody;
CREATE ROLE regress_vx_reader;
GRANT pg_read_all_data TO regress_vx_reader;
GRANT CREATE ON SCHEMA public TO regress_vx_owner;
ALTER TABLE o OWNER TO regress_vx_owner;
SET ROLE regress_vx_owner;
CREATE FUNCTION who(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN v; END';
CREATE INDEX ow ON o USING hnsw ((who(v)::vector(3)));
CREATE OR REPLACE FUNCTION who(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
	RAISE INFO 'as %, search_path %', current_user, current_setting('search_path');
	RETURN v;
END $$;
SELECT pg_temp.check_index('oi');
SELECT * FROM vectorx_index_check('ow');
RESET ROLE;
SELECT * FROM vectorx_index_check('ow');
SHOW search_path;
SELECT current_user = session_user AS same;
SET ROLE regress_vx_reader;
SELECT * FROM vectorx_index_check('ow');
SELECT current_user;
SET ROLE regress_vx_nobody;
SELECT * FROM vectorx_index_check('oi');
RESET ROLE;
-- what it runs cannot change anything for the one who checks
SET ROLE regress_vx_owner;
CREATE OR REPLACE FUNCTION who(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
	PERFORM set_config('role', 'regress_vx_reader', false);
	RETURN v;
END $$;
RESET ROLE;
SELECT * FROM vectorx_index_check('ow');
DROP TABLE o, e, f, u, p;
DROP FUNCTION who, half, wanted, moved;
REVOKE CREATE ON SCHEMA public FROM regress_vx_owner;
DROP ROLE regress_vx_owner, regress_vx_nobody, regress_vx_reader;
