--
-- Operators of vectors
--
SELECT '[0,0]'::vector <-> '[3,4]', '[1,2]'::vector <#> '[3,4]', '[1,0]'::vector <=> '[0,1]', '[0,0]'::vector <+> '[3,4]';

SELECT '[1,2,3]'::vector + '[4,5,6]', '[1,2,3]'::vector - '[4,5,7]', '[1,2,3]'::vector * '[4,5,-6]', '[1,2]'::vector || '[3]';
SELECT '[0.1]'::vector + '[0.2]', '[1e-45]'::vector - '[1e-45]', '[0,1e-45]'::vector * '[1e-45,0]';
SELECT '[1,2]'::vector + '[3]';
SELECT '[1,2]'::vector - '[3]';
SELECT '[1,2]'::vector * '[3]';
SELECT '[3e38]'::vector + '[3e38]';
SELECT '[0,-3e38]'::vector - '[1,3e38]';
SELECT '[1e20]'::vector * '[-1e20]';
SELECT '[1,1e-30]'::vector * '[1,1e-30]';
SELECT vector_dims(a::vector || a::vector) FROM (SELECT array_fill(1, ARRAY[8000]) AS a) s;
SELECT a::vector || '[1]' FROM (SELECT array_fill(1, ARRAY[16000]) AS a) s;

SELECT '[1,2]'::vector + NULL, NULL::vector || '[1]', NULL::vector = NULL, '[1]'::vector < NULL;

-- order: by elements, then by dimensions; zero has no sign
SELECT a.v AS a, b.v AS b, a.v < b.v AS lt, a.v <= b.v AS le, a.v = b.v AS eq, a.v <> b.v AS ne, a.v >= b.v AS ge, a.v > b.v AS gt, vector_cmp(a.v, b.v) AS cmp
FROM unnest('{"[1,2]","[1,3]","[1]","[0,-0]","[-0,0]"}'::vector[]) WITH ORDINALITY a(v, i),
	unnest('{"[1,2]","[1,2,3]","[0,0]"}'::vector[]) WITH ORDINALITY b(v, j) ORDER BY i, j;

-- what the catalogs say of the operators
SELECT oprname, oprcode, oprcom::regoperator, oprnegate::regoperator, oprrest, oprjoin, oprcanhash, oprcanmerge
FROM pg_operator WHERE oprleft = 'vector'::regtype AND oprright = 'vector'::regtype ORDER BY oprname COLLATE "C";

-- nearest neighbors without an index
CREATE TABLE vo (id int, v vector(2));
INSERT INTO vo SELECT i, ARRAY[i % 5, i]::vector FROM generate_series(1, 20) i;
INSERT INTO vo VALUES (0, NULL);
SELECT id, v <-> '[3,7]' AS d FROM vo ORDER BY d, id LIMIT 3;
SELECT id, v <#> '[3,7]' AS d FROM vo ORDER BY d, id LIMIT 3;
SELECT id FROM vo ORDER BY v <=> '[3,7]', id LIMIT 3;
SELECT id, v <+> '[3,7]' AS d FROM vo ORDER BY d, id LIMIT 3;
SELECT count(*) FROM vo WHERE v <-> '[3,7]' < 3;
SELECT id FROM vo WHERE v = '[2,7]' OR v = '[2,8]';
DROP TABLE vo;
