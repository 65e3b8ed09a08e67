--
-- Casts of vectors
--
SELECT ARRAY[1,2,3]::vector, ARRAY[1.5,2.25]::vector, ARRAY[1.5,2.25]::real[]::vector, ARRAY[1.5,2.25]::float8[]::vector;
SELECT '{16777217,2147483647,-2147483648}'::integer[]::vector, '{0.1,1e-300,3.4028235e38}'::float8[]::vector, '{0.1,123456789012345678901234567890}'::numeric[]::vector;
SELECT '{1,2}'::real[]::vector(2), '{1,2}'::real[]::vector(3);
SELECT '[1.5,-0,3e38]'::vector::real[], '[1,2,3]'::vector::real[] = '{1,2,3}', array_ndims('[1,2]'::vector::real[]), array_lower('[1,2]'::vector::real[], 1);
SELECT vector_to_float4('[1,2]', -1, true), array_to_vector('{1,2}'::real[], 2, false);
SELECT '[5:7]={1,2,3}'::integer[]::vector;

-- what an array must not be
SELECT '{}'::real[]::vector;
SELECT '{1,NULL}'::real[]::vector;
SELECT '{{1,2},{3,4}}'::real[]::vector;
SELECT '{{1}}'::real[]::vector;
SELECT array_fill(0, ARRAY[16001])::vector;
SELECT array_fill(0, ARRAY[20000])::real[]::vector(3);
SELECT '{NaN}'::real[]::vector;
SELECT '{1,Infinity}'::real[]::vector;
SELECT '{1,-Infinity}'::float8[]::vector;
SELECT '{NaN}'::float8[]::vector;
SELECT '{1e300}'::float8[]::vector;
SELECT '{3.4028236e38}'::float8[]::vector;
SELECT '{NaN}'::numeric[]::vector;
SELECT '{Infinity}'::numeric[]::vector;
SELECT '{1e300}'::numeric[]::vector;
SELECT array_to_vector('{1,2}'::real[], 3, true);

-- an array with a null bitmap but without nulls
SELECT a::vector, a::float8[]::vector, a::integer[]::vector, a::numeric[]::vector
FROM (SELECT (array_append('{1,NULL}'::real[], 3))[3:3] || (array_replace('{1,NULL,3}'::real[], NULL, 2)) AS a) s;
CREATE TABLE vc (a real[]);
INSERT INTO vc VALUES ('{1,NULL,3}');
UPDATE vc SET a[2] = 2;
SELECT a::vector FROM vc;
DROP TABLE vc;

-- implicit or on assignment
CREATE TABLE vc (v vector(3), r real[]);
INSERT INTO vc VALUES (ARRAY[1,2,3], '[4,5,6]'::vector);
INSERT INTO vc VALUES (ARRAY[1.5,2,3], '{7}');
INSERT INTO vc VALUES (ARRAY[1,2], '{7}');
SELECT * FROM vc;
SELECT v <-> '[1,2,4]', v <-> ARRAY[1,2,4]::vector, v = ANY ('{"[1,2,3]"}'::vector[]) FROM vc;
\set VERBOSITY sqlstate
SELECT v <-> ARRAY[1,2,4] FROM vc;
SELECT v <-> '{1,2,4}'::real[] FROM vc;
\set VERBOSITY default
DROP TABLE vc;

SELECT castsource::regtype, casttarget::regtype, castfunc::regprocedure, castcontext FROM pg_cast
WHERE castsource = 'vector'::regtype OR casttarget = 'vector'::regtype
ORDER BY castsource::regtype::text COLLATE "C", casttarget::regtype::text COLLATE "C";
