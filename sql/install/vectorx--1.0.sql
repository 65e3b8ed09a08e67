-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION vectorx" to load this file. \quit

-- No function is LEAKPROOF.  Distances and arithmetic raise errors that tell the
-- dimensions of a value, or that a result is out of range; the comparisons raise
-- none, but to use an index on whole vectors before the rows are filtered that a
-- policy hides is worth too little to promise that for them.  A search by distance
-- needs no such promise: the order of an index scan is no condition, and the
-- policy's are applied to each row that it returns.

--
-- The type vector
--

CREATE TYPE vector;

CREATE FUNCTION vector_in(cstring, oid, integer) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_vector_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_in(cstring, oid, integer) IS
	'I/O';

CREATE FUNCTION vector_out(vector) RETURNS cstring
	AS 'MODULE_PATHNAME', 'vx_vector_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_out(vector) IS
	'I/O';

CREATE FUNCTION vector_recv(internal, oid, integer) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_vector_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_recv(internal, oid, integer) IS
	'I/O';

CREATE FUNCTION vector_send(vector) RETURNS bytea
	AS 'MODULE_PATHNAME', 'vx_vector_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_send(vector) IS
	'I/O';

CREATE FUNCTION vector_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'vx_vector_typmod_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_typmod_in(cstring[]) IS
	'I/O typmod';

CREATE FUNCTION vector_subscript_handler(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'vx_vector_subscript_handler'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_subscript_handler(internal) IS
	'subscripting: element of a vector, counted from 1';

-- The elements are not declared (ELEMENT = real): that would let clients take
-- vector for an array type.  The subscript handler knows what they are.
CREATE TYPE vector (
	INPUT = vector_in,
	OUTPUT = vector_out,
	RECEIVE = vector_recv,
	SEND = vector_send,
	TYPMOD_IN = vector_typmod_in,
	SUBSCRIPT = vector_subscript_handler,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = external
);
COMMENT ON TYPE vector IS
	'vector of float4 elements; vector(n) has n dimensions';

--
-- Distances
--
-- COST is in units of a simple operator: adding two float8 took 7.6 ns where
-- this was measured.  A distance of 768 dimensions took 41 times that for a
-- vector within the row, and 325 times for one stored out of line, as vectors
-- of more than some 500 dimensions are; 100 is between the two.  The other
-- functions that read every element are much the same.  For distances, the
-- support function tells the planner which of the two it is.
--

CREATE FUNCTION vectorx_distance_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'vx_distance_support'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vectorx_distance_support(internal) IS
	'planner support: what a distance costs';

CREATE FUNCTION l2_distance(vector, vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vx_l2_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100
	SUPPORT vectorx_distance_support;
COMMENT ON FUNCTION l2_distance(vector, vector) IS
	'Euclidean distance';

CREATE FUNCTION inner_product(vector, vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vx_inner_product'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100
	SUPPORT vectorx_distance_support;
COMMENT ON FUNCTION inner_product(vector, vector) IS
	'inner product';

CREATE FUNCTION cosine_distance(vector, vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vx_cosine_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100
	SUPPORT vectorx_distance_support;
COMMENT ON FUNCTION cosine_distance(vector, vector) IS
	'cosine distance: 1 - cosine similarity; NaN if a vector is zero';

CREATE FUNCTION l1_distance(vector, vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vx_l1_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100
	SUPPORT vectorx_distance_support;
COMMENT ON FUNCTION l1_distance(vector, vector) IS
	'taxicab distance';

-- What index operator classes and order by need

CREATE FUNCTION vector_l2_squared_distance(vector, vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vx_vector_l2_squared_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100
	SUPPORT vectorx_distance_support;
COMMENT ON FUNCTION vector_l2_squared_distance(vector, vector) IS
	'squared Euclidean distance';

CREATE FUNCTION vector_negative_inner_product(vector, vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vx_vector_negative_inner_product'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100
	SUPPORT vectorx_distance_support;
COMMENT ON FUNCTION vector_negative_inner_product(vector, vector) IS
	'implementation of <#> operator';

CREATE FUNCTION vector_spherical_distance(vector, vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vx_vector_spherical_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_spherical_distance(vector, vector) IS
	'angle between vectors of length one, as a fraction of pi';

--
-- Properties, parts, and arithmetic
--

CREATE FUNCTION vector_dims(vector) RETURNS integer
	AS 'MODULE_PATHNAME', 'vx_vector_dims'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_dims(vector) IS
	'number of dimensions';

CREATE FUNCTION vector_norm(vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vx_vector_norm'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_norm(vector) IS
	'Euclidean norm';

CREATE FUNCTION l2_normalize(vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_l2_normalize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION l2_normalize(vector) IS
	'vector scaled to a Euclidean norm of one; a zero vector stays zero';

CREATE FUNCTION binary_quantize(vector) RETURNS bit
	AS 'MODULE_PATHNAME', 'vx_binary_quantize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION binary_quantize(vector) IS
	'one bit per dimension: whether the element is positive';

CREATE FUNCTION subvector(vector, integer, integer) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_subvector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION subvector(vector, integer, integer) IS
	'part of a vector: from the given place, counted from 1, at most the given number of dimensions';

CREATE FUNCTION vector_add(vector, vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_vector_add'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_add(vector, vector) IS
	'implementation of + operator';

CREATE FUNCTION vector_sub(vector, vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_vector_sub'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_sub(vector, vector) IS
	'implementation of - operator';

CREATE FUNCTION vector_mul(vector, vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_vector_mul'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_mul(vector, vector) IS
	'implementation of * operator';

CREATE FUNCTION vector_concat(vector, vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_vector_concat'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_concat(vector, vector) IS
	'implementation of || operator';

--
-- Order, equality, and hash
--

CREATE FUNCTION vector_lt(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vx_vector_lt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_lt(vector, vector) IS
	'implementation of < operator';

CREATE FUNCTION vector_le(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vx_vector_le'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_le(vector, vector) IS
	'implementation of <= operator';

CREATE FUNCTION vector_eq(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vx_vector_eq'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_eq(vector, vector) IS
	'implementation of = operator';

CREATE FUNCTION vector_ne(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vx_vector_ne'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_ne(vector, vector) IS
	'implementation of <> operator';

CREATE FUNCTION vector_ge(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vx_vector_ge'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_ge(vector, vector) IS
	'implementation of >= operator';

CREATE FUNCTION vector_gt(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vx_vector_gt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_gt(vector, vector) IS
	'implementation of > operator';

CREATE FUNCTION vector_cmp(vector, vector) RETURNS integer
	AS 'MODULE_PATHNAME', 'vx_vector_cmp'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_cmp(vector, vector) IS
	'less-equal-greater';

CREATE FUNCTION vector_hash(vector) RETURNS integer
	AS 'MODULE_PATHNAME', 'vx_vector_hash'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_hash(vector) IS
	'hash';

CREATE FUNCTION vector_hash_extended(vector, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'vx_vector_hash_extended'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_hash_extended(vector, bigint) IS
	'hash';

--
-- Casts
--

CREATE FUNCTION vector(vector, integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector(vector, integer, boolean) IS
	'adjust vector to typmod dimensions';

CREATE FUNCTION array_to_vector(integer[], integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_array_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION array_to_vector(integer[], integer, boolean) IS
	'convert integer[] to vector';

CREATE FUNCTION array_to_vector(real[], integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_array_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION array_to_vector(real[], integer, boolean) IS
	'convert real[] to vector';

CREATE FUNCTION array_to_vector(double precision[], integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_array_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION array_to_vector(double precision[], integer, boolean) IS
	'convert double precision[] to vector';

CREATE FUNCTION array_to_vector(numeric[], integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_array_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION array_to_vector(numeric[], integer, boolean) IS
	'convert numeric[] to vector';

CREATE FUNCTION vector_to_float4(vector, integer, boolean) RETURNS real[]
	AS 'MODULE_PATHNAME', 'vx_vector_to_float4'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_to_float4(vector, integer, boolean) IS
	'convert vector to real[]';

CREATE CAST (vector AS vector)
	WITH FUNCTION vector(vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (vector AS vector) IS
	'checks the number of dimensions';

CREATE CAST (integer[] AS vector)
	WITH FUNCTION array_to_vector(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS vector) IS
	'from a one-dimensional array without nulls';

CREATE CAST (real[] AS vector)
	WITH FUNCTION array_to_vector(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS vector) IS
	'from a one-dimensional array without nulls';

CREATE CAST (double precision[] AS vector)
	WITH FUNCTION array_to_vector(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS vector) IS
	'from a one-dimensional array without nulls';

CREATE CAST (numeric[] AS vector)
	WITH FUNCTION array_to_vector(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS vector) IS
	'from a one-dimensional array without nulls';

CREATE CAST (vector AS real[])
	WITH FUNCTION vector_to_float4(vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (vector AS real[]) IS
	'to an array of the elements';

--
-- Aggregates
--

CREATE FUNCTION vector_accum(double precision[], vector) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'vx_vector_accum'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_accum(double precision[], vector) IS
	'aggregate transition function';

CREATE FUNCTION vector_combine(double precision[], double precision[]) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'vx_vector_combine'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_combine(double precision[], double precision[]) IS
	'aggregate combine function';

CREATE FUNCTION vector_avg(double precision[]) RETURNS vector
	AS 'MODULE_PATHNAME', 'vx_vector_avg'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION vector_avg(double precision[]) IS
	'aggregate final function';

CREATE AGGREGATE avg(vector) (
	SFUNC = vector_accum,
	STYPE = double precision[],
	FINALFUNC = vector_avg,
	COMBINEFUNC = vector_combine,
	INITCOND = '{0}',
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(vector) IS
	'the average (arithmetic mean) as vector of all vectors';

CREATE AGGREGATE sum(vector) (
	SFUNC = vector_add,
	STYPE = vector,
	COMBINEFUNC = vector_add,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(vector) IS
	'sum as vector of all vectors';

--
-- Operators
--

CREATE OPERATOR <-> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = l2_distance,
	COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (vector, vector) IS
	'Euclidean distance';

CREATE OPERATOR <#> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_negative_inner_product,
	COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (vector, vector) IS
	'negative inner product';

CREATE OPERATOR <=> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = cosine_distance,
	COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (vector, vector) IS
	'cosine distance';

CREATE OPERATOR <+> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = l1_distance,
	COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (vector, vector) IS
	'taxicab distance';

CREATE OPERATOR + (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_add,
	COMMUTATOR = +
);
COMMENT ON OPERATOR + (vector, vector) IS
	'add';

CREATE OPERATOR - (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_sub
);
COMMENT ON OPERATOR - (vector, vector) IS
	'subtract';

CREATE OPERATOR * (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_mul,
	COMMUTATOR = *
);
COMMENT ON OPERATOR * (vector, vector) IS
	'multiply element by element';

CREATE OPERATOR || (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_concat
);
COMMENT ON OPERATOR || (vector, vector) IS
	'concatenate';

CREATE OPERATOR < (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_lt,
	COMMUTATOR = >, NEGATOR = >=,
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (vector, vector) IS
	'less than';

CREATE OPERATOR <= (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_le,
	COMMUTATOR = >=, NEGATOR = >,
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (vector, vector) IS
	'less than or equal';

CREATE OPERATOR = (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_eq,
	COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel,
	HASHES, MERGES
);
COMMENT ON OPERATOR = (vector, vector) IS
	'equal';

CREATE OPERATOR <> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ne,
	COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (vector, vector) IS
	'not equal';

CREATE OPERATOR >= (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ge,
	COMMUTATOR = <=, NEGATOR = <,
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (vector, vector) IS
	'greater than or equal';

CREATE OPERATOR > (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_gt,
	COMMUTATOR = <, NEGATOR = <=,
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (vector, vector) IS
	'greater than';

--
-- Operator classes of the core access methods
--

CREATE OPERATOR FAMILY vector_ops USING btree;
COMMENT ON OPERATOR FAMILY vector_ops USING btree IS
	'order of vectors';

CREATE OPERATOR CLASS vector_ops
	DEFAULT FOR TYPE vector USING btree FAMILY vector_ops AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 vector_cmp(vector, vector);
COMMENT ON OPERATOR CLASS vector_ops USING btree IS
	'order of vectors: by elements, then by dimensions';

CREATE OPERATOR FAMILY vector_ops USING hash;
COMMENT ON OPERATOR FAMILY vector_ops USING hash IS
	'equality of vectors';

CREATE OPERATOR CLASS vector_ops
	DEFAULT FOR TYPE vector USING hash FAMILY vector_ops AS
	OPERATOR 1 =,
	FUNCTION 1 vector_hash(vector),
	FUNCTION 2 vector_hash_extended(vector, bigint);
COMMENT ON OPERATOR CLASS vector_ops USING hash IS
	'equality of vectors';

-- ==== end of the type; the access method follows ====

--
-- Access method hnsw
--

CREATE FUNCTION hnswhandler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'vx_hnswhandler' LANGUAGE C STRICT;
COMMENT ON FUNCTION hnswhandler(internal) IS
	'handler of the index access method hnsw';

CREATE ACCESS METHOD hnsw TYPE INDEX HANDLER hnswhandler;
COMMENT ON ACCESS METHOD hnsw IS
	'nearest neighbors by a hierarchical navigable small world graph';

-- What an operator class indexes; for the access method, not to be called
CREATE FUNCTION vectorx_vector_l2_space(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'vx_vector_l2_space' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vectorx_vector_l2_space(internal) IS
	'hnsw support: vectors under Euclidean distance';

CREATE FUNCTION vectorx_vector_ip_space(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'vx_vector_ip_space' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vectorx_vector_ip_space(internal) IS
	'hnsw support: vectors under negative inner product';

CREATE FUNCTION vectorx_vector_cosine_space(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'vx_vector_cosine_space' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vectorx_vector_cosine_space(internal) IS
	'hnsw support: vectors under cosine distance';

CREATE FUNCTION vectorx_vector_l1_space(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'vx_vector_l1_space' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vectorx_vector_l1_space(internal) IS
	'hnsw support: vectors under taxicab distance';

CREATE OPERATOR FAMILY vector_l2_ops USING hnsw;
COMMENT ON OPERATOR FAMILY vector_l2_ops USING hnsw IS
	'Euclidean distance of vectors';
CREATE OPERATOR CLASS vector_l2_ops
	DEFAULT FOR TYPE vector USING hnsw FAMILY vector_l2_ops AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (vector) vectorx_vector_l2_space(internal);
COMMENT ON OPERATOR CLASS vector_l2_ops USING hnsw IS
	'Euclidean distance of vectors';

CREATE OPERATOR FAMILY vector_ip_ops USING hnsw;
COMMENT ON OPERATOR FAMILY vector_ip_ops USING hnsw IS
	'negative inner product of vectors';
CREATE OPERATOR CLASS vector_ip_ops
	FOR TYPE vector USING hnsw FAMILY vector_ip_ops AS
	OPERATOR 1 <#> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (vector) vectorx_vector_ip_space(internal);
COMMENT ON OPERATOR CLASS vector_ip_ops USING hnsw IS
	'negative inner product of vectors';

CREATE OPERATOR FAMILY vector_cosine_ops USING hnsw;
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING hnsw IS
	'cosine distance of vectors';
CREATE OPERATOR CLASS vector_cosine_ops
	FOR TYPE vector USING hnsw FAMILY vector_cosine_ops AS
	OPERATOR 1 <=> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (vector) vectorx_vector_cosine_space(internal);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING hnsw IS
	'cosine distance of vectors';

CREATE OPERATOR FAMILY vector_l1_ops USING hnsw;
COMMENT ON OPERATOR FAMILY vector_l1_ops USING hnsw IS
	'taxicab distance of vectors';
CREATE OPERATOR CLASS vector_l1_ops
	FOR TYPE vector USING hnsw FAMILY vector_l1_ops AS
	OPERATOR 1 <+> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (vector) vectorx_vector_l1_space(internal);
COMMENT ON OPERATOR CLASS vector_l1_ops USING hnsw IS
	'taxicab distance of vectors';

--
-- Filter columns: what of the values of a type a slot holds is known to the access
-- method, so these operator classes have no support functions.  Strategies 1 to 5
-- are those of B-trees, 6 is && and 7 is @> of arrays.
--

CREATE OPERATOR FAMILY bool_ops USING hnsw;
COMMENT ON OPERATOR FAMILY bool_ops USING hnsw IS
	'filter by boolean';
CREATE OPERATOR CLASS bool_ops
	DEFAULT FOR TYPE boolean USING hnsw FAMILY bool_ops AS
	OPERATOR 1 pg_catalog.< (boolean, boolean),
	OPERATOR 2 pg_catalog.<= (boolean, boolean),
	OPERATOR 3 pg_catalog.= (boolean, boolean),
	OPERATOR 4 pg_catalog.>= (boolean, boolean),
	OPERATOR 5 pg_catalog.> (boolean, boolean);
COMMENT ON OPERATOR CLASS bool_ops USING hnsw IS
	'filter column of type boolean';

CREATE OPERATOR FAMILY integer_ops USING hnsw;
COMMENT ON OPERATOR FAMILY integer_ops USING hnsw IS
	'filter by integers';
CREATE OPERATOR CLASS int2_ops
	DEFAULT FOR TYPE smallint USING hnsw FAMILY integer_ops AS
	OPERATOR 1 pg_catalog.< (smallint, smallint),
	OPERATOR 2 pg_catalog.<= (smallint, smallint),
	OPERATOR 3 pg_catalog.= (smallint, smallint),
	OPERATOR 4 pg_catalog.>= (smallint, smallint),
	OPERATOR 5 pg_catalog.> (smallint, smallint);
COMMENT ON OPERATOR CLASS int2_ops USING hnsw IS
	'filter column of type smallint';
CREATE OPERATOR CLASS int4_ops
	DEFAULT FOR TYPE integer USING hnsw FAMILY integer_ops AS
	OPERATOR 1 pg_catalog.< (integer, integer),
	OPERATOR 2 pg_catalog.<= (integer, integer),
	OPERATOR 3 pg_catalog.= (integer, integer),
	OPERATOR 4 pg_catalog.>= (integer, integer),
	OPERATOR 5 pg_catalog.> (integer, integer);
COMMENT ON OPERATOR CLASS int4_ops USING hnsw IS
	'filter column of type integer';
CREATE OPERATOR CLASS int8_ops
	DEFAULT FOR TYPE bigint USING hnsw FAMILY integer_ops AS
	OPERATOR 1 pg_catalog.< (bigint, bigint),
	OPERATOR 2 pg_catalog.<= (bigint, bigint),
	OPERATOR 3 pg_catalog.= (bigint, bigint),
	OPERATOR 4 pg_catalog.>= (bigint, bigint),
	OPERATOR 5 pg_catalog.> (bigint, bigint);
COMMENT ON OPERATOR CLASS int8_ops USING hnsw IS
	'filter column of type bigint';
ALTER OPERATOR FAMILY integer_ops USING hnsw ADD
	OPERATOR 1 pg_catalog.< (smallint, integer),
	OPERATOR 2 pg_catalog.<= (smallint, integer),
	OPERATOR 3 pg_catalog.= (smallint, integer),
	OPERATOR 4 pg_catalog.>= (smallint, integer),
	OPERATOR 5 pg_catalog.> (smallint, integer),
	OPERATOR 1 pg_catalog.< (smallint, bigint),
	OPERATOR 2 pg_catalog.<= (smallint, bigint),
	OPERATOR 3 pg_catalog.= (smallint, bigint),
	OPERATOR 4 pg_catalog.>= (smallint, bigint),
	OPERATOR 5 pg_catalog.> (smallint, bigint),
	OPERATOR 1 pg_catalog.< (integer, smallint),
	OPERATOR 2 pg_catalog.<= (integer, smallint),
	OPERATOR 3 pg_catalog.= (integer, smallint),
	OPERATOR 4 pg_catalog.>= (integer, smallint),
	OPERATOR 5 pg_catalog.> (integer, smallint),
	OPERATOR 1 pg_catalog.< (integer, bigint),
	OPERATOR 2 pg_catalog.<= (integer, bigint),
	OPERATOR 3 pg_catalog.= (integer, bigint),
	OPERATOR 4 pg_catalog.>= (integer, bigint),
	OPERATOR 5 pg_catalog.> (integer, bigint),
	OPERATOR 1 pg_catalog.< (bigint, smallint),
	OPERATOR 2 pg_catalog.<= (bigint, smallint),
	OPERATOR 3 pg_catalog.= (bigint, smallint),
	OPERATOR 4 pg_catalog.>= (bigint, smallint),
	OPERATOR 5 pg_catalog.> (bigint, smallint),
	OPERATOR 1 pg_catalog.< (bigint, integer),
	OPERATOR 2 pg_catalog.<= (bigint, integer),
	OPERATOR 3 pg_catalog.= (bigint, integer),
	OPERATOR 4 pg_catalog.>= (bigint, integer),
	OPERATOR 5 pg_catalog.> (bigint, integer);

CREATE OPERATOR FAMILY oid_ops USING hnsw;
COMMENT ON OPERATOR FAMILY oid_ops USING hnsw IS
	'filter by oid';
CREATE OPERATOR CLASS oid_ops
	DEFAULT FOR TYPE oid USING hnsw FAMILY oid_ops AS
	OPERATOR 1 pg_catalog.< (oid, oid),
	OPERATOR 2 pg_catalog.<= (oid, oid),
	OPERATOR 3 pg_catalog.= (oid, oid),
	OPERATOR 4 pg_catalog.>= (oid, oid),
	OPERATOR 5 pg_catalog.> (oid, oid);
COMMENT ON OPERATOR CLASS oid_ops USING hnsw IS
	'filter column of type oid';

CREATE OPERATOR FAMILY float_ops USING hnsw;
COMMENT ON OPERATOR FAMILY float_ops USING hnsw IS
	'filter by floating-point numbers';
CREATE OPERATOR CLASS float4_ops
	DEFAULT FOR TYPE real USING hnsw FAMILY float_ops AS
	OPERATOR 1 pg_catalog.< (real, real),
	OPERATOR 2 pg_catalog.<= (real, real),
	OPERATOR 3 pg_catalog.= (real, real),
	OPERATOR 4 pg_catalog.>= (real, real),
	OPERATOR 5 pg_catalog.> (real, real);
COMMENT ON OPERATOR CLASS float4_ops USING hnsw IS
	'filter column of type real';
CREATE OPERATOR CLASS float8_ops
	DEFAULT FOR TYPE double precision USING hnsw FAMILY float_ops AS
	OPERATOR 1 pg_catalog.< (double precision, double precision),
	OPERATOR 2 pg_catalog.<= (double precision, double precision),
	OPERATOR 3 pg_catalog.= (double precision, double precision),
	OPERATOR 4 pg_catalog.>= (double precision, double precision),
	OPERATOR 5 pg_catalog.> (double precision, double precision);
COMMENT ON OPERATOR CLASS float8_ops USING hnsw IS
	'filter column of type double precision';
ALTER OPERATOR FAMILY float_ops USING hnsw ADD
	OPERATOR 1 pg_catalog.< (real, double precision),
	OPERATOR 2 pg_catalog.<= (real, double precision),
	OPERATOR 3 pg_catalog.= (real, double precision),
	OPERATOR 4 pg_catalog.>= (real, double precision),
	OPERATOR 5 pg_catalog.> (real, double precision),
	OPERATOR 1 pg_catalog.< (double precision, real),
	OPERATOR 2 pg_catalog.<= (double precision, real),
	OPERATOR 3 pg_catalog.= (double precision, real),
	OPERATOR 4 pg_catalog.>= (double precision, real),
	OPERATOR 5 pg_catalog.> (double precision, real);

CREATE OPERATOR FAMILY numeric_ops USING hnsw;
COMMENT ON OPERATOR FAMILY numeric_ops USING hnsw IS
	'filter by numeric';
CREATE OPERATOR CLASS numeric_ops
	DEFAULT FOR TYPE numeric USING hnsw FAMILY numeric_ops AS
	OPERATOR 1 pg_catalog.< (numeric, numeric),
	OPERATOR 2 pg_catalog.<= (numeric, numeric),
	OPERATOR 3 pg_catalog.= (numeric, numeric),
	OPERATOR 4 pg_catalog.>= (numeric, numeric),
	OPERATOR 5 pg_catalog.> (numeric, numeric);
COMMENT ON OPERATOR CLASS numeric_ops USING hnsw IS
	'filter column of type numeric';

CREATE OPERATOR FAMILY datetime_ops USING hnsw;
COMMENT ON OPERATOR FAMILY datetime_ops USING hnsw IS
	'filter by dates and timestamps';
CREATE OPERATOR CLASS date_ops
	DEFAULT FOR TYPE date USING hnsw FAMILY datetime_ops AS
	OPERATOR 1 pg_catalog.< (date, date),
	OPERATOR 2 pg_catalog.<= (date, date),
	OPERATOR 3 pg_catalog.= (date, date),
	OPERATOR 4 pg_catalog.>= (date, date),
	OPERATOR 5 pg_catalog.> (date, date);
COMMENT ON OPERATOR CLASS date_ops USING hnsw IS
	'filter column of type date';
CREATE OPERATOR CLASS timestamp_ops
	DEFAULT FOR TYPE timestamp without time zone USING hnsw FAMILY datetime_ops AS
	OPERATOR 1 pg_catalog.< (timestamp without time zone, timestamp without time zone),
	OPERATOR 2 pg_catalog.<= (timestamp without time zone, timestamp without time zone),
	OPERATOR 3 pg_catalog.= (timestamp without time zone, timestamp without time zone),
	OPERATOR 4 pg_catalog.>= (timestamp without time zone, timestamp without time zone),
	OPERATOR 5 pg_catalog.> (timestamp without time zone, timestamp without time zone);
COMMENT ON OPERATOR CLASS timestamp_ops USING hnsw IS
	'filter column of type timestamp without time zone';
CREATE OPERATOR CLASS timestamptz_ops
	DEFAULT FOR TYPE timestamp with time zone USING hnsw FAMILY datetime_ops AS
	OPERATOR 1 pg_catalog.< (timestamp with time zone, timestamp with time zone),
	OPERATOR 2 pg_catalog.<= (timestamp with time zone, timestamp with time zone),
	OPERATOR 3 pg_catalog.= (timestamp with time zone, timestamp with time zone),
	OPERATOR 4 pg_catalog.>= (timestamp with time zone, timestamp with time zone),
	OPERATOR 5 pg_catalog.> (timestamp with time zone, timestamp with time zone);
COMMENT ON OPERATOR CLASS timestamptz_ops USING hnsw IS
	'filter column of type timestamp with time zone';
ALTER OPERATOR FAMILY datetime_ops USING hnsw ADD
	OPERATOR 1 pg_catalog.< (timestamp without time zone, date),
	OPERATOR 2 pg_catalog.<= (timestamp without time zone, date),
	OPERATOR 3 pg_catalog.= (timestamp without time zone, date),
	OPERATOR 4 pg_catalog.>= (timestamp without time zone, date),
	OPERATOR 5 pg_catalog.> (timestamp without time zone, date),
	OPERATOR 1 pg_catalog.< (timestamp with time zone, date),
	OPERATOR 2 pg_catalog.<= (timestamp with time zone, date),
	OPERATOR 3 pg_catalog.= (timestamp with time zone, date),
	OPERATOR 4 pg_catalog.>= (timestamp with time zone, date),
	OPERATOR 5 pg_catalog.> (timestamp with time zone, date),
	OPERATOR 1 pg_catalog.< (timestamp with time zone, timestamp without time zone),
	OPERATOR 2 pg_catalog.<= (timestamp with time zone, timestamp without time zone),
	OPERATOR 3 pg_catalog.= (timestamp with time zone, timestamp without time zone),
	OPERATOR 4 pg_catalog.>= (timestamp with time zone, timestamp without time zone),
	OPERATOR 5 pg_catalog.> (timestamp with time zone, timestamp without time zone);

CREATE OPERATOR FAMILY time_ops USING hnsw;
COMMENT ON OPERATOR FAMILY time_ops USING hnsw IS
	'filter by time of day';
CREATE OPERATOR CLASS time_ops
	DEFAULT FOR TYPE time without time zone USING hnsw FAMILY time_ops AS
	OPERATOR 1 pg_catalog.< (time without time zone, time without time zone),
	OPERATOR 2 pg_catalog.<= (time without time zone, time without time zone),
	OPERATOR 3 pg_catalog.= (time without time zone, time without time zone),
	OPERATOR 4 pg_catalog.>= (time without time zone, time without time zone),
	OPERATOR 5 pg_catalog.> (time without time zone, time without time zone);
COMMENT ON OPERATOR CLASS time_ops USING hnsw IS
	'filter column of type time without time zone';

CREATE OPERATOR FAMILY uuid_ops USING hnsw;
COMMENT ON OPERATOR FAMILY uuid_ops USING hnsw IS
	'filter by uuid';
CREATE OPERATOR CLASS uuid_ops
	DEFAULT FOR TYPE uuid USING hnsw FAMILY uuid_ops AS
	OPERATOR 1 pg_catalog.< (uuid, uuid),
	OPERATOR 2 pg_catalog.<= (uuid, uuid),
	OPERATOR 3 pg_catalog.= (uuid, uuid),
	OPERATOR 4 pg_catalog.>= (uuid, uuid),
	OPERATOR 5 pg_catalog.> (uuid, uuid);
COMMENT ON OPERATOR CLASS uuid_ops USING hnsw IS
	'filter column of type uuid';

CREATE OPERATOR FAMILY network_ops USING hnsw;
COMMENT ON OPERATOR FAMILY network_ops USING hnsw IS
	'filter by network addresses';
CREATE OPERATOR CLASS inet_ops
	DEFAULT FOR TYPE inet USING hnsw FAMILY network_ops AS
	OPERATOR 1 pg_catalog.< (inet, inet),
	OPERATOR 2 pg_catalog.<= (inet, inet),
	OPERATOR 3 pg_catalog.= (inet, inet),
	OPERATOR 4 pg_catalog.>= (inet, inet),
	OPERATOR 5 pg_catalog.> (inet, inet);
COMMENT ON OPERATOR CLASS inet_ops USING hnsw IS
	'filter column of type inet';

CREATE OPERATOR FAMILY text_ops USING hnsw;
COMMENT ON OPERATOR FAMILY text_ops USING hnsw IS
	'filter by equality of text';
CREATE OPERATOR CLASS text_ops
	DEFAULT FOR TYPE text USING hnsw FAMILY text_ops AS
	OPERATOR 3 pg_catalog.= (text, text);
COMMENT ON OPERATOR CLASS text_ops USING hnsw IS
	'filter column of type text';

CREATE OPERATOR FAMILY bpchar_ops USING hnsw;
COMMENT ON OPERATOR FAMILY bpchar_ops USING hnsw IS
	'filter by equality of character';
CREATE OPERATOR CLASS bpchar_ops
	DEFAULT FOR TYPE character USING hnsw FAMILY bpchar_ops AS
	OPERATOR 3 pg_catalog.= (character, character);
COMMENT ON OPERATOR CLASS bpchar_ops USING hnsw IS
	'filter column of type character';

CREATE OPERATOR FAMILY enum_ops USING hnsw;
COMMENT ON OPERATOR FAMILY enum_ops USING hnsw IS
	'filter by equality of enums';
CREATE OPERATOR CLASS enum_ops
	DEFAULT FOR TYPE anyenum USING hnsw FAMILY enum_ops AS
	OPERATOR 3 pg_catalog.= (anyenum, anyenum);
COMMENT ON OPERATOR CLASS enum_ops USING hnsw IS
	'filter column of type anyenum';

CREATE OPERATOR FAMILY array_ops USING hnsw;
COMMENT ON OPERATOR FAMILY array_ops USING hnsw IS
	'filter by elements of arrays';
CREATE OPERATOR CLASS array_ops
	DEFAULT FOR TYPE anyarray USING hnsw FAMILY array_ops AS
	OPERATOR 6 pg_catalog.&& (anyarray, anyarray),
	OPERATOR 7 pg_catalog.@> (anyarray, anyarray);
COMMENT ON OPERATOR CLASS array_ops USING hnsw IS
	'filter column of type anyarray';

--
-- What can be asked of an index
--

CREATE FUNCTION vectorx_index_info(
	index regclass,
	OUT dimensions integer,
	OUT metric text,				-- l2, ip, cosine, l1
	OUT m integer,
	OUT ef_construction integer,
	OUT code text,					-- rotated, scalar, raw
	OUT code_bits integer,			-- per dimension
	OUT rows bigint,				-- that a scan may return, duplicates and lone ones included
	OUT duplicates bigint,			-- rows with the vector of another row
	OUT lone bigint,				-- rows outside the graph: zero vectors under cosine
	OUT dead bigint,				-- removed, waiting for vacuum to free them
	OUT free bigint,				-- slots that can be taken
	OUT levels integer,
	OUT mean_degree double precision,	-- links of a node on level 0
	OUT filter_columns integer,
	OUT slots_per_page integer,
	OUT node_bytes bigint,			-- node pages: what searches walk through
	OUT vector_bytes bigint,		-- vector pages: read for the final ranking
	OUT total_bytes bigint
) RETURNS record
	AS 'MODULE_PATHNAME', 'vx_index_info' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vectorx_index_info(regclass) IS
	'describe an hnsw index: layout, rows, graph, size; reads all its node pages';

CREATE FUNCTION vectorx_last_scan(
	OUT hops bigint,				-- nodes whose links were followed
	OUT nodes_visited bigint,		-- nodes whose distance was estimated
	OUT nodes_passed bigint,		-- of these, rows that passed the filter
	OUT pages_touched bigint,		-- accesses to node pages
	OUT vectors_read bigint,		-- exact distances computed
	OUT resumes bigint,				-- times the walk went on with a larger beam
	OUT strategy text				-- walk; resume: with a larger beam; flat: all nodes read
) RETURNS record
	AS 'MODULE_PATHNAME', 'vx_last_scan' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION vectorx_last_scan() IS
	'what the last hnsw index scan of this session did';

CREATE FUNCTION vectorx_recall(
	index regclass, k integer DEFAULT 10, queries integer DEFAULT 100
) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vx_recall' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vectorx_recall(regclass, integer, integer) IS
	'share of the k nearest rows of sampled rows that searches with the present settings find';

CREATE FUNCTION vectorx_index_check(
	index regclass,
	heap boolean DEFAULT true,		-- compare with the table, too
	OUT severity text,				-- error; or warning, where only time or recall suffers
	OUT kind text,					-- what it is about, see the README
	OUT block bigint,				-- of the index
	OUT slot integer,				-- on that block
	OUT tid tid,					-- the row in the table
	OUT detail text
) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vx_index_check' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vectorx_index_check(regclass, boolean) IS
	'what is wrong with an hnsw index, a row for each finding; reads all of it and of its table';
