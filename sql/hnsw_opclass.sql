--
-- Operator classes that are not ours, made of our functions or of others: an
-- error at validation and when an index is made, or searched, never a crash
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

-- what takes internal, nobody can call; before 15.19 some find no value for it, not no function
SELECT p, pg_temp.try(format('SELECT %s', p)) ~ '^(42883|0A000) ' AS refused FROM unnest('{hnswhandler(NULL),hnswhandler(0),
	vectorx_vector_l2_space(NULL),vectorx_vector_ip_space(0),vectorx_vector_cosine_space(''x''),"vectorx_vector_l1_space(''x''::cstring)",
	vector_subscript_handler(NULL),vector_subscript_handler(''vector''::regtype),"vector_recv(NULL, 0, -1)","vector_recv(''x''::cstring, 0, -1)"}'::text[]) p;
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND extname = 'vectorx'
	WHERE 'internal'::regtype = ANY (proargtypes) AND NOT proisstrict;

-- a support function of ours, and a type that is not: values are no vectors
CREATE TABLE foreigners (id int, n int4, s varchar(10), x numeric(10, 2), b bit(8), a float4[], v vector(3), w vector(3));
INSERT INTO foreigners SELECT i, i, repeat(chr(i), 9), i, i::bit(8), ARRAY[i], ARRAY[i, i, i]::vector, ARRAY[1, i, 2]::vector FROM generate_series(1, 100) i;
CREATE FUNCTION pg_temp.make_class(name text, type text, support text, operator text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('CREATE OPERATOR CLASS %1$I FOR TYPE %2$s USING hnsw AS %4$s FUNCTION 1 (%2$s) %3$s(internal)',
		name, type, support, 'OPERATOR 1 ' || operator || ' FOR ORDER BY float_ops, '))
$$;
SELECT type, pg_temp.make_class('not_' || type, type, 'vectorx_vector_l2_space') FROM unnest('{int4,varchar,numeric,bit}'::text[]) type;
SELECT pg_temp.make_class('not_anyarray', 'anyarray', 'vectorx_vector_cosine_space');
SELECT c, pg_temp.try(format('CREATE INDEX ON foreigners USING hnsw (%s)', c)) FROM
	unnest('{n not_int4,s not_varchar,x not_numeric,b not_bit,a not_anyarray}'::text[]) c;
\set VERBOSITY default
CREATE INDEX ON foreigners USING hnsw (s not_varchar);

-- our type, and a support function that is not ours
CREATE FUNCTION of_its_own(internal) RETURNS internal LANGUAGE internal AS 'array_subscript_handler';
CREATE FUNCTION with_settings(internal) RETURNS internal LANGUAGE C STRICT IMMUTABLE SET work_mem = '1MB'
	AS '$libdir/vectorx', 'vx_vector_l2_space';
SELECT f, pg_temp.make_class('by_' || f, 'vector', f, '<->') FROM unnest('{vector_subscript_handler,of_its_own,with_settings}'::text[]) f;
SELECT pg_temp.make_class('by_none', 'vector', 'no_such_function');
CREATE OPERATOR CLASS by_nothing FOR TYPE vector USING hnsw AS OPERATOR 1 <-> FOR ORDER BY float_ops;
SELECT c, pg_temp.try(format('CREATE INDEX ON foreigners USING hnsw (v %s)', c)) FROM
	unnest('{by_vector_subscript_handler,by_of_its_own,by_with_settings,by_nothing}'::text[]) c;
SELECT count(*) FROM pg_index WHERE indrelid = 'foreigners'::regclass;

-- one of a user's own that is right
SELECT pg_temp.make_class('right_one', 'vector', 'vectorx_vector_l2_space', '<->');
CREATE INDEX right_index ON foreigners USING hnsw (v right_one);
SELECT pg_temp.check_query('foreigners', '<->', '[1,2,3]', 10);
DROP INDEX right_index;

-- amvalidate tells them apart
SELECT opcname, amvalidate(oid) FROM pg_opclass WHERE opcname ~ '^(not_|by_|right_)' ORDER BY 1;

-- operators that a search would take for what they are not
CREATE FUNCTION pg_temp.distance(vector, int4) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE OPERATOR <-> (LEFTARG = vector, RIGHTARG = int4, FUNCTION = pg_temp.distance);
CREATE INDEX wrong ON foreigners USING hnsw (v);
BEGIN;
ALTER OPERATOR FAMILY vector_l2_ops USING hnsw ADD OPERATOR 1 <-> (vector, int4) FOR ORDER BY float_ops;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'vector_l2_ops';
SELECT pg_temp.use_index(true);
SELECT pg_temp.plan_uses_index('SELECT id FROM foreigners ORDER BY v <-> 3 LIMIT 1');
SELECT id FROM foreigners ORDER BY v <-> 3 LIMIT 1;
ROLLBACK;
BEGIN;
ALTER OPERATOR FAMILY vector_l2_ops USING hnsw ADD OPERATOR 2 <=> (vector, vector) FOR ORDER BY float_ops;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'vector_l2_ops';
SELECT pg_temp.use_index(true);
SELECT pg_temp.plan_uses_index('SELECT id FROM foreigners ORDER BY v <=> ''[1,2,3]'' LIMIT 1');
SELECT id FROM foreigners ORDER BY v <=> '[1,2,3]' LIMIT 1;
ROLLBACK;
BEGIN;
ALTER OPERATOR FAMILY vector_l2_ops USING hnsw ADD OPERATOR 3 = (vector, vector);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'vector_l2_ops';
SELECT pg_temp.use_index(true);
SELECT id FROM foreigners WHERE v = '[1,1,1]' ORDER BY v <-> '[1,2,3]' LIMIT 1;
ROLLBACK;
-- nothing of that is left
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'vector_l2_ops';
SELECT pg_temp.check_query('foreigners', '<->', '[1,2,3]', 10);

DROP TABLE foreigners;
DROP OPERATOR <-> (vector, int4);
DROP OPERATOR FAMILY not_int4 USING hnsw;
DROP OPERATOR FAMILY not_varchar USING hnsw;
DROP OPERATOR FAMILY not_numeric USING hnsw;
DROP OPERATOR FAMILY not_bit USING hnsw;
DROP OPERATOR FAMILY not_anyarray USING hnsw;
DROP OPERATOR FAMILY by_vector_subscript_handler USING hnsw;
DROP OPERATOR FAMILY by_of_its_own USING hnsw;
DROP OPERATOR FAMILY by_with_settings USING hnsw;
DROP OPERATOR FAMILY by_nothing USING hnsw;
DROP OPERATOR FAMILY right_one USING hnsw;
DROP FUNCTION of_its_own, with_settings;
