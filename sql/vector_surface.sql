--
-- The extension's objects: that those are there which users of vectors expect,
-- and that each object has a comment
--
-- What is expected, from PostgreSQL's catalogs of another such extension
CREATE TEMP TABLE expected (kind text, object text, details text);
INSERT INTO expected VALUES
	('function', 'array_to_vector(double precision[], integer, boolean)', 'returns vector'),
	('function', 'array_to_vector(integer[], integer, boolean)', 'returns vector'),
	('function', 'array_to_vector(numeric[], integer, boolean)', 'returns vector'),
	('function', 'array_to_vector(real[], integer, boolean)', 'returns vector'),
	('function', 'binary_quantize(vector)', 'returns bit'),
	('function', 'cosine_distance(vector, vector)', 'returns double precision'),
	('function', 'inner_product(vector, vector)', 'returns double precision'),
	('function', 'l1_distance(vector, vector)', 'returns double precision'),
	('function', 'l2_distance(vector, vector)', 'returns double precision'),
	('function', 'l2_normalize(vector)', 'returns vector'),
	('function', 'subvector(vector, integer, integer)', 'returns vector'),
	('function', 'vector(vector, integer, boolean)', 'returns vector'),
	('function', 'vector_accum(double precision[], vector)', 'returns double precision[]'),
	('function', 'vector_add(vector, vector)', 'returns vector'),
	('function', 'vector_avg(double precision[])', 'returns vector'),
	('function', 'vector_cmp(vector, vector)', 'returns integer'),
	('function', 'vector_combine(double precision[], double precision[])', 'returns double precision[]'),
	('function', 'vector_concat(vector, vector)', 'returns vector'),
	('function', 'vector_dims(vector)', 'returns integer'),
	('function', 'vector_eq(vector, vector)', 'returns boolean'),
	('function', 'vector_ge(vector, vector)', 'returns boolean'),
	('function', 'vector_gt(vector, vector)', 'returns boolean'),
	('function', 'vector_in(cstring, oid, integer)', 'returns vector'),
	('function', 'vector_l2_squared_distance(vector, vector)', 'returns double precision'),
	('function', 'vector_le(vector, vector)', 'returns boolean'),
	('function', 'vector_lt(vector, vector)', 'returns boolean'),
	('function', 'vector_mul(vector, vector)', 'returns vector'),
	('function', 'vector_ne(vector, vector)', 'returns boolean'),
	('function', 'vector_negative_inner_product(vector, vector)', 'returns double precision'),
	('function', 'vector_norm(vector)', 'returns double precision'),
	('function', 'vector_out(vector)', 'returns cstring'),
	('function', 'vector_recv(internal, oid, integer)', 'returns vector'),
	('function', 'vector_send(vector)', 'returns bytea'),
	('function', 'vector_spherical_distance(vector, vector)', 'returns double precision'),
	('function', 'vector_sub(vector, vector)', 'returns vector'),
	('function', 'vector_to_float4(vector, integer, boolean)', 'returns real[]'),
	('function', 'vector_typmod_in(cstring[])', 'returns integer'),
	('aggregate', 'avg(vector)', 'returns vector'),
	('aggregate', 'sum(vector)', 'returns vector'),
	('operator', 'vector * vector', 'function vector_mul, returns vector'),
	('operator', 'vector + vector', 'function vector_add, returns vector'),
	('operator', 'vector - vector', 'function vector_sub, returns vector'),
	('operator', 'vector < vector', 'function vector_lt, returns boolean'),
	('operator', 'vector <#> vector', 'function vector_negative_inner_product, returns double precision'),
	('operator', 'vector <+> vector', 'function l1_distance, returns double precision'),
	('operator', 'vector <-> vector', 'function l2_distance, returns double precision'),
	('operator', 'vector <= vector', 'function vector_le, returns boolean'),
	('operator', 'vector <=> vector', 'function cosine_distance, returns double precision'),
	('operator', 'vector <> vector', 'function vector_ne, returns boolean'),
	('operator', 'vector = vector', 'function vector_eq, returns boolean'),
	('operator', 'vector > vector', 'function vector_gt, returns boolean'),
	('operator', 'vector >= vector', 'function vector_ge, returns boolean'),
	('operator', 'vector || vector', 'function vector_concat, returns vector'),
	('cast', 'double precision[] -> vector', 'assignment'),
	('cast', 'integer[] -> vector', 'assignment'),
	('cast', 'numeric[] -> vector', 'assignment'),
	('cast', 'real[] -> vector', 'assignment'),
	('cast', 'vector -> real[]', 'implicit'),
	('cast', 'vector -> vector', 'implicit'),
	('operator class', 'btree.vector_ops for vector', '1 <(vector,vector); 2 <=(vector,vector); 3 =(vector,vector); 4 >=(vector,vector); 5 >(vector,vector) (default)');

-- The same of vectorx, in a form that does not depend on the search path
CREATE TEMP VIEW members AS
	SELECT classid, objid FROM pg_depend
	WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vectorx');
CREATE TEMP VIEW present AS
	SELECT CASE prokind WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
		format('%s(%s)', proname, pg_get_function_identity_arguments(p.oid)) AS object,
		'returns ' || format_type(prorettype, NULL) AS details
	FROM pg_proc p JOIN members ON classid = 'pg_proc'::regclass AND objid = p.oid
	UNION ALL
	SELECT 'operator', format('%s %s %s', format_type(oprleft, NULL), oprname, format_type(oprright, NULL)),
		format('function %s, returns %s', proname, format_type(oprresult, NULL))
	FROM pg_operator o JOIN members ON classid = 'pg_operator'::regclass AND objid = o.oid JOIN pg_proc p ON p.oid = oprcode
	UNION ALL
	SELECT 'cast', format('%s -> %s', format_type(castsource, NULL), format_type(casttarget, NULL)),
		CASE castcontext WHEN 'i' THEN 'implicit' WHEN 'a' THEN 'assignment' ELSE 'explicit' END
	FROM pg_cast c JOIN members ON classid = 'pg_cast'::regclass AND objid = c.oid
	UNION ALL
	SELECT 'operator class', format('%s.%s for %s', amname, opcname, format_type(opcintype, NULL)),
		string_agg(format('%s %s(%s,%s)', amopstrategy, oprname, format_type(amoplefttype, NULL), format_type(amoprighttype, NULL)), '; ' ORDER BY amopstrategy)
		|| CASE WHEN opcdefault THEN ' (default)' ELSE '' END
	FROM pg_opclass c JOIN members ON classid = 'pg_opclass'::regclass AND objid = c.oid
		JOIN pg_am a ON a.oid = opcmethod JOIN pg_amop ON amopfamily = opcfamily JOIN pg_operator o ON o.oid = amopopr
	GROUP BY c.oid, amname, opcname, opcintype, opcdefault;

SELECT kind, count(*) FROM expected GROUP BY kind ORDER BY kind;

-- nothing is missing
SELECT * FROM expected EXCEPT SELECT * FROM present ORDER BY 1, 2;

-- functions are strict, immutable, and parallel safe
SELECT p.oid::regprocedure FROM pg_proc p JOIN members ON classid = 'pg_proc'::regclass AND objid = p.oid
WHERE probin IS NOT NULL AND NOT (proisstrict AND provolatile = 'i' AND proparallel = 's')
	AND 'vector'::regtype = ANY (prorettype || proargtypes) ORDER BY 1;

-- every member has a comment
SELECT count(*) > 60 AS has_members FROM members;
SELECT pg_describe_object(classid, objid, 0) AS no_comment FROM members
WHERE NOT (classid = 'pg_type'::regclass AND objid IN (SELECT typarray FROM pg_type)) -- members from 17 on
AND NOT EXISTS (SELECT FROM pg_description d WHERE d.classoid = members.classid AND d.objoid = members.objid AND d.objsubid = 0 AND d.description <> '')
ORDER BY 1;

-- operator classes are complete
SELECT opcname, amname, amvalidate FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod, LATERAL amvalidate(c.oid)
WHERE opcintype = 'vector'::regtype AND amname IN ('btree', 'hash') ORDER BY amname;

-- the extension can be moved
SELECT extrelocatable FROM pg_extension WHERE extname = 'vectorx';
BEGIN;
CREATE SCHEMA elsewhere;
ALTER EXTENSION vectorx SET SCHEMA elsewhere;
SELECT '[1,2]'::elsewhere.vector OPERATOR(elsewhere.<->) '[1,4]', elsewhere.sum(v), elsewhere.avg(v) FROM unnest('{"[1]","[2]"}'::elsewhere.vector[]) v;
ROLLBACK;
