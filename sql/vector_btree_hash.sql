--
-- Order and equality of vectors in sorts, joins, and the core indexes
--
CREATE TABLE vb (id int, v vector);
INSERT INTO vb SELECT i, ARRAY[i % 7, i % 3 - 1]::vector FROM generate_series(1, 2000) i;
INSERT INTO vb VALUES (3001, '[1]'), (3002, '[1,0,0]'), (3003, '[-0,-0]'), (3004, '[0,0]'), (3005, NULL);

SELECT count(DISTINCT v) FROM vb;
SELECT v, count(*) FROM vb WHERE v < '[1,0,1]' GROUP BY v ORDER BY v;
SELECT v FROM vb GROUP BY v ORDER BY v DESC NULLS FIRST LIMIT 3;

-- each way of joining agrees
CREATE FUNCTION join_count(hash bool, merge bool, loop bool) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE result bigint;
BEGIN
	PERFORM set_config('enable_hashjoin', hash::text, true), set_config('enable_mergejoin', merge::text, true), set_config('enable_nestloop', loop::text, true);
	SELECT count(*) INTO result FROM vb a JOIN vb b ON a.v = b.v;
	RETURN result;
END $$;
BEGIN;
SELECT join_count(true, false, false), join_count(false, true, false), join_count(false, false, true);
ROLLBACK;
DROP FUNCTION join_count;
BEGIN;
SET LOCAL enable_sort = off;
SELECT count(*) FROM (SELECT v FROM vb GROUP BY v) s;
SET LOCAL enable_sort = on;
SET LOCAL enable_hashagg = off;
SELECT count(*) FROM (SELECT v FROM vb GROUP BY v) s;
ROLLBACK;

-- B-tree
CREATE INDEX vb_btree ON vb (v);
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM vb WHERE v = '[0,0]';
SELECT count(*), min(id), max(id) FROM vb WHERE v = '[0,0]';
SELECT count(*) FROM vb WHERE v >= '[1]' AND v <= '[1,0,0]';
SELECT v FROM vb ORDER BY v LIMIT 2;
ROLLBACK;
DROP INDEX vb_btree;

-- hash
CREATE INDEX vb_hash ON vb USING hash (v);
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM vb WHERE v = '[-0,0]';
SELECT count(*), min(id), max(id) FROM vb WHERE v = '[-0,0]';
SELECT count(*) FROM vb WHERE v = '[1,0,0]';
SELECT count(*) FROM vb WHERE v = '[1,0,0,0]';
ROLLBACK;

-- equal vectors have equal hashes, and others most likely not
SELECT vector_hash('[0,1,-0]') = vector_hash('[-0,1,0]'), vector_hash_extended('[0,1,-0]', 5) = vector_hash_extended('[-0,1,0]', 5);
SELECT vector_hash('[0]') = vector_hash('[0,0]'), vector_hash_extended('[1]', 1) = vector_hash_extended('[1]', 2);
SELECT bool_and(vector_hash(v)::bigint & 4294967295 = vector_hash_extended(v, 0) & 4294967295) FROM vb;
SELECT count(DISTINCT vector_hash(array_fill(0, ARRAY[i])::vector)) FROM generate_series(1, 1000) i;
SELECT count(DISTINCT vector_hash_extended(array_fill(0, ARRAY[i])::vector || ARRAY[i % 2]::vector, 42)) FROM generate_series(1, 1000) i;

-- unique, primary key, partitions
CREATE TABLE vu (v vector PRIMARY KEY);
INSERT INTO vu VALUES ('[0,1]'), ('[1,0]'), ('[0,1,0]');
INSERT INTO vu VALUES ('[-0,1]');
INSERT INTO vu VALUES ('[-0,1]') ON CONFLICT DO NOTHING;
SELECT * FROM vu ORDER BY v;
CREATE TABLE vp (v vector) PARTITION BY HASH (v);
CREATE TABLE vp0 PARTITION OF vp FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE vp1 PARTITION OF vp FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO vp SELECT v FROM vb WHERE v IS NOT NULL;
SELECT count(*), count(DISTINCT v) FROM vp;
SELECT count(*) FROM (SELECT v FROM vp0 INTERSECT SELECT v FROM vp1) s;
DROP TABLE vb, vu, vp;

SELECT amname, opcname, opcdefault, opfname FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod JOIN pg_opfamily f ON f.oid = opcfamily
	WHERE opcintype = 'vector'::regtype AND amname IN ('btree', 'hash') ORDER BY amname;
