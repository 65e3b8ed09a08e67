--
-- The type vector: text form, type modifier, storage
--
SELECT '[1,2,3]'::vector;
SELECT ' [ 1 ,	2 , 3 ] '::vector;
SELECT E'\n[\t1\r,\f2\x0b]\n'::vector;
SELECT '[+1,-2,3.5,.5,5.,1e3,1E-3,-1.5e+2]'::vector;

-- shortest text that reads back as the same value
SELECT '[0.1,0.2,0.30000001,1.2345678,123456.7,1234567,12345678]'::vector;
SELECT '[1e5,1e6,1e-4,1e-5,1e22,3.4028235e38,-3.4028235e38]'::vector;
SELECT '[1.1754944e-38,1.4e-45,7.1e-46,-1e-40]'::vector;
SELECT '[0,-0,0.0,-0e10,0e-9999]'::vector;
SELECT '[16777217,16777219,33554435,1.00000005960464477539062501]'::vector;

-- as real does; the second column tells of rounding twice
SELECT count(*) AS n, count(*) FILTER (WHERE ('[' || t || ']')::vector <> ARRAY[t::real]::vector) AS differ
FROM (SELECT ((hashint8(i)::bigint % 1000000007) * 1e-9)::numeric::text || CASE i % 3 WHEN 0 THEN '' ELSE 'e' || (i % 37 - 18) END AS t
	FROM generate_series(1, 20000) i) s;

-- text of any value reads back as the value
SELECT count(*) AS n, count(*) FILTER (WHERE v::text::vector::text <> v::text) AS differ
FROM (SELECT ARRAY[hashint8(i) * 1.7e-12::real, hashint8(-i) * 3.1e25::real, i, -i / 7.0]::vector AS v
	FROM generate_series(1, 10000) i) s;

-- no dimension less, none more than 16000
SELECT '[]'::vector;
SELECT vector_dims(('[' || repeat('1,', 15999) || '1]')::vector);
SELECT ('[' || repeat('1,', 16000) || '1]')::vector;

-- type modifier
SELECT '[1,2,3]'::vector(3);
SELECT '[1,2,3]'::vector(2);
SELECT '[1,2,3]'::vector::vector(4);
SELECT '[1,2,3]'::vector::vector(3);
SELECT '[1]'::vector(1), vector_dims(array_fill(0, ARRAY[16000])::vector(16000));
SELECT '[1]'::vector(0);
SELECT '[1]'::vector(-1);
SELECT '[1]'::vector(16001);
SELECT '[1]'::vector(1, 2);
SELECT '[1]'::vector('a');
SELECT format_type('vector'::regtype, 3), format_type('vector'::regtype, -1);
SELECT vector('[1,2,3]', 3, true), vector('[1,2,3]', -1, true);
SELECT vector('[1,2,3]', 2, false);

CREATE TABLE vt (id int, v vector(3), w vector);
INSERT INTO vt VALUES (1, '[1,2,3]', '[1]'), (2, NULL, NULL), (3, '[4,5,6]', '[1,2,3,4]');
INSERT INTO vt VALUES (4, '[1,2]', NULL);
INSERT INTO vt VALUES (4, '[1,2]'::vector, NULL);
INSERT INTO vt (id, v) SELECT id, w FROM vt WHERE id = 3;
SELECT * FROM vt ORDER BY id;
UPDATE vt SET v = '[7,8,9]' WHERE id = 2;
ALTER TABLE vt ALTER w TYPE vector(4);
DELETE FROM vt WHERE id = 1;
ALTER TABLE vt ALTER w TYPE vector(4);
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
	WHERE attrelid = 'vt'::regclass AND attnum > 0 ORDER BY attnum;
SELECT * FROM vt ORDER BY id;
DROP TABLE vt;

-- a value that goes out of line, whole or in part
CREATE TABLE vt (id int, v vector);
INSERT INTO vt SELECT i, array_agg(i * 10000 + j ORDER BY j)::vector
	FROM generate_series(1, 5) i, generate_series(1, i * 800) j GROUP BY i;
SELECT id, vector_dims(v), v[1], v[vector_dims(v)], vector_norm(v)::real FROM vt ORDER BY id;
SELECT count(*) FROM vt a JOIN vt b ON a.v = b.v;
DROP TABLE vt;

-- how the type is declared
SELECT typlen, typbyval, typalign, typstorage, typcategory, typelem = 0 AS no_element
	FROM pg_type WHERE oid = 'vector'::regtype;

-- arrays and composites of vectors, domains, polymorphism
SELECT ARRAY['[1,2]', '[3,4]']::vector[];
SELECT (ARRAY['[1,2]', '[3,4]']::vector[])[2];
SELECT ROW('[1,2]'::vector, 1);
CREATE DOMAIN unit3 AS vector(3) CHECK (abs(vector_norm(VALUE) - 1) < 1e-6);
SELECT '[0,1,0]'::unit3;
SELECT '[0,1,1]'::unit3;
SELECT '[0,1]'::unit3;
DROP DOMAIN unit3;
