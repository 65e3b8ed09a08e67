/*-------------------------------------------------------------------------
 *
 * veccmp.c
 *	  The SQL type vector: order, equality, and hash.
 *
 * Vectors are compared element by element; where one is a prefix of the other,
 * the shorter one sorts first.  Zero and minus zero are equal, so equal
 * vectors need not be the same bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"

#include "compat.h"
#include "type/vector.h"

/* Elements that are hashed at a time */
#define HASH_CHUNK 128

VX_FUNCTION(vx_vector_lt);
VX_FUNCTION(vx_vector_le);
VX_FUNCTION(vx_vector_eq);
VX_FUNCTION(vx_vector_ne);
VX_FUNCTION(vx_vector_ge);
VX_FUNCTION(vx_vector_gt);
VX_FUNCTION(vx_vector_cmp);
VX_FUNCTION(vx_vector_hash);
VX_FUNCTION(vx_vector_hash_extended);

/* Order of two vectors: negative, zero, or positive */
static int
compare(const Vector *a, const Vector *b)
{
	int			dim = Min(a->dim, b->dim);

	for (int i = 0; i < dim; i++)
	{
		if (a->x[i] < b->x[i])
			return -1;
		if (a->x[i] > b->x[i])
			return 1;
	}
	return (a->dim > b->dim) - (a->dim < b->dim);
}

/* Order of the arguments of an SQL function */
static int
compare_args(FunctionCallInfo fcinfo)
{
	Vector	   *a = PG_GETARG_VECTOR_P(0);
	Vector	   *b = PG_GETARG_VECTOR_P(1);
	int			result = compare(a, b);

	/* btree's support functions must not leak */
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

/* vector_lt(vector, vector) returns boolean */
Datum
vx_vector_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) < 0);
}

/* vector_le(vector, vector) returns boolean */
Datum
vx_vector_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) <= 0);
}

/* vector_eq(vector, vector) returns boolean */
Datum
vx_vector_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) == 0);
}

/* vector_ne(vector, vector) returns boolean */
Datum
vx_vector_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) != 0);
}

/* vector_ge(vector, vector) returns boolean */
Datum
vx_vector_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) >= 0);
}

/* vector_gt(vector, vector) returns boolean */
Datum
vx_vector_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) > 0);
}

/* vector_cmp(vector, vector) returns integer */
Datum
vx_vector_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_args(fcinfo));
}

/*
 * Hash of a vector's elements.  Equal vectors have equal hashes: minus zero is
 * hashed as zero.  Chunks are chained through the seed.
 */
static uint64
hash_vector(const Vector *vec, uint64 seed)
{
	float		chunk[HASH_CHUNK];

	for (int start = 0; start < vec->dim; start += HASH_CHUNK)
	{
		int			n = Min(vec->dim - start, HASH_CHUNK);

		/* 0 + -0 is 0, and x + 0 is x for any other x */
		for (int i = 0; i < n; i++)
			chunk[i] = vec->x[start + i] + 0.0f;
		seed = hash_bytes_extended((const unsigned char *) chunk,
								   sizeof(float) * n, seed);
	}
	return seed;
}

/*
 * vector_hash(vector) returns integer
 *
 * The low half of the extended hash with seed 0, as hash indexes and
 * partitioning expect.
 */
Datum
vx_vector_hash(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	uint64		hash = hash_vector(vec, 0);

	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_UINT32((uint32) hash);
}

/* vector_hash_extended(vector, bigint) returns bigint */
Datum
vx_vector_hash_extended(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	uint64		hash = hash_vector(vec, (uint64) PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_UINT64(hash);
}
