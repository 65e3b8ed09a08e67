--
-- Functions of vectors
--
SELECT l2_distance('[0,0]', '[3,4]'), l2_distance('[1,2,3]', '[1,2,3]'), l2_distance('[0]', '[-2]');
SELECT vector_l2_squared_distance('[0,0]', '[3,4]'), vector_l2_squared_distance('[1]', '[1]');
SELECT inner_product('[1,2]', '[3,4]'), inner_product('[1,0]', '[0,1]'), inner_product('[1,2]', '[-3,-4]');
SELECT vector_negative_inner_product('[1,2]', '[3,4]'), vector_negative_inner_product('[1,2]', '[-3,-4]');
SELECT cosine_distance('[3,4]', '[6,8]'), cosine_distance('[1,0]', '[0,2]'), cosine_distance('[3,4]', '[-3,-4]');
SELECT l1_distance('[0,0]', '[3,-4]'), l1_distance('[1,2,3]', '[1,2,3]');
SELECT vector_spherical_distance('[1,0]', '[1,0]'), vector_spherical_distance('[1,0]', '[0,1]'), vector_spherical_distance('[1,0]', '[-1,0]');

-- a zero vector has no direction
SELECT cosine_distance('[1,1]', '[0,0]'), cosine_distance('[0,0]', '[1,1]'), cosine_distance('[0,0]', '[0,0]');
-- out of acos's domain
SELECT vector_spherical_distance('[2,0]', '[2,0]'), vector_spherical_distance('[2,0]', '[-2,0]');

-- sums beyond float4 are right, and so is what nearly vanishes
SELECT l2_distance('[3e38]', '[-3e38]') > 5.9e38, vector_l2_squared_distance('[3e38]', '[-3e38]') > 3.5e77, l2_distance('[1e-45]', '[0]') > 1e-45;
SELECT inner_product('[3e38]', '[3e38]') > 8e76, vector_negative_inner_product('[3e38,3e38]', '[3e38,3e38]') < -1e77;
SELECT l1_distance('[3e38,3e38]', '[-3e38,-3e38]') > 1e39;
SELECT cosine_distance('[3e38,0]', '[0,3e38]'), cosine_distance('[3e38]', '[3e38]'), cosine_distance('[1e-44]', '[-1e-44]');

-- each length meets the kernels' tails; the results are exact
SELECT count(*) AS n,
	count(*) FILTER (WHERE vector_l2_squared_distance(a, b) <> l2) AS l2,
	count(*) FILTER (WHERE inner_product(a, b) <> ip) AS ip,
	count(*) FILTER (WHERE l1_distance(a, b) <> l1) AS l1
FROM (SELECT n, array_agg(j % 7)::vector AS a, array_agg(j % 5 - 3)::vector AS b,
		sum((j % 7 - (j % 5 - 3)) ^ 2) AS l2, sum(j % 7 * (j % 5 - 3)) AS ip, sum(abs(j % 7 - (j % 5 - 3))) AS l1
	FROM generate_series(1, 300) n, generate_series(1, n) j GROUP BY n) s;

-- dimensions must be equal
SELECT l2_distance('[1,2]', '[3]');
SELECT vector_l2_squared_distance('[1,2]', '[3]');
SELECT inner_product('[1,2]', '[3]');
SELECT vector_negative_inner_product('[1,2]', '[3]');
SELECT cosine_distance('[1,2]', '[3]');
SELECT l1_distance('[1]', '[3,4]');
SELECT vector_spherical_distance('[1,2]', '[3,4,5]');
\set VERBOSITY sqlstate
SELECT l2_distance('[1,2]', '[3]');
\set VERBOSITY default

-- null in, null out
SELECT l2_distance(NULL, '[1]'), inner_product('[1]', NULL), vector_dims(NULL), vector_norm(NULL), subvector('[1]', NULL, 1);

SELECT vector_dims('[1,2,3]'), vector_dims('[1]');
SELECT vector_norm('[3,4]'), vector_norm('[0,0]'), vector_norm('[3e38,4e37]')::real, vector_norm('[1e-45]')::real;

SELECT l2_normalize('[3,4]'), l2_normalize('[0,0]'), l2_normalize('[-5]'), l2_normalize('[3e38]'), l2_normalize('[1e-45]');

SELECT binary_quantize('[1,0,-1,0.5]'), binary_quantize('[-0,0,1e-45]');
SELECT binary_quantize('[1,2,3,4,5,6,7,8,9,-1,-2,-3,-4,-5,-6,-7,1]'), length(binary_quantize('[1,2,3,4,5,6,7,8,9]'));

-- subvector: as far as it exists, but never empty
SELECT subvector('[1,2,3,4,5]', 1, 3), subvector('[1,2,3,4,5]', 3, 2), subvector('[1,2,3,4,5]', 5, 1);
SELECT subvector('[1,2,3,4,5]', -1, 3), subvector('[1,2,3,4,5]', 0, 2), subvector('[1,2,3,4,5]', 4, 100), subvector('[1,2,3,4,5]', -100, 1000);
SELECT subvector('[1,2,3]', 2147483647, 2147483647);
SELECT subvector('[1,2,3]', -2147483648, 2147483647);
SELECT subvector('[1,2,3]', -2147483648, -2147483648);
SELECT subvector('[1,2,3]', 1, 2147483647), subvector('[1,2,3]', -2147483643, 2147483647), subvector('[1,2,3]', 3, 2147483647);
SELECT subvector('[1,2,3]', 1, 0);
SELECT subvector('[1,2,3]', 1, -1);
SELECT subvector('[1,2,3]', 4, 1);
SELECT subvector('[1,2,3]', -1, 2);

-- subscripts: from 1; none such is null, as in arrays
SELECT v[1], v[3], v[0], v[4], v[-1], v[NULL], v[2147483647], v[-2147483648], (NULL::vector)[1]
	FROM (SELECT '[1.5,2,-3]'::vector AS v) s;
SELECT pg_typeof(v[1]), v[1::bigint], v['2'] FROM (SELECT '[1.5,2,-3]'::vector AS v) s;
SELECT v[1:2] FROM (SELECT '[1,2]'::vector AS v) s;
SELECT v[:] FROM (SELECT '[1,2]'::vector AS v) s;
SELECT v[1][1] FROM (SELECT '[1,2]'::vector AS v) s;
SELECT v[now()] FROM (SELECT '[1,2]'::vector AS v) s;

CREATE TABLE vs (id int, v vector(3));
INSERT INTO vs VALUES (1, '[1,2,3]'), (2, '[4,5,6]'), (3, NULL);
UPDATE vs SET v[2] = 0.5 WHERE id < 3;
UPDATE vs SET v[1] = v[3], v[3] = v[1] WHERE id = 1;
UPDATE vs SET v[id] = -v[id] WHERE id = 2;
SELECT * FROM vs ORDER BY id;
UPDATE vs SET v[4] = 1 WHERE id = 1;
UPDATE vs SET v[0] = 1 WHERE id = 1;
UPDATE vs SET v[NULL] = 1 WHERE id = 1;
UPDATE vs SET v[1] = NULL WHERE id = 1;
UPDATE vs SET v[1] = 'NaN' WHERE id = 1;
UPDATE vs SET v[1] = '-Infinity' WHERE id = 1;
UPDATE vs SET v[1] = 1e300::float8 WHERE id = 1;
UPDATE vs SET v[1] = 1 WHERE id = 3;
UPDATE vs SET v[1:2] = '{1,2}' WHERE id = 1;
UPDATE vs SET v[1][2] = 1 WHERE id = 1;
UPDATE vs SET v[1] = '[1]'::vector WHERE id = 1;
INSERT INTO vs (id, v[1]) VALUES (4, 1);
SELECT * FROM vs ORDER BY id;
-- the old value is not touched
WITH u AS (UPDATE vs SET v[1] = 99 WHERE id = 2 RETURNING v) SELECT vs.v AS old, u.v AS new FROM vs, u WHERE id = 2;
-- in views, and in PL/pgSQL
CREATE VIEW vsv AS SELECT v[2] AS second FROM vs;
SELECT pg_get_viewdef('vsv'::regclass) LIKE '%v[2] AS second%' AS deparsed;
SELECT * FROM vsv ORDER BY second;
DO $$
DECLARE v vector := '[1,2,3]';
BEGIN
	v[2] := 7.25;
	RAISE NOTICE '%, %', v, v[2];
END $$;
DROP TABLE vs CASCADE;
