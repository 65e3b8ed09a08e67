/*-------------------------------------------------------------------------
 *
 * vecfunc.c
 *	  The SQL type vector: distances, norms, arithmetic, and parts.
 *
 * Distances are computed by the kernels; see kernels.h for their accuracy.
 * All functions of two vectors but concatenation want equal dimensions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/float.h"
#include "utils/varbit.h"

#include "compat.h"
#include "kernels/kernels.h"
#include "type/vector.h"

VX_FUNCTION(vx_l2_distance);
VX_FUNCTION(vx_vector_l2_squared_distance);
VX_FUNCTION(vx_inner_product);
VX_FUNCTION(vx_vector_negative_inner_product);
VX_FUNCTION(vx_cosine_distance);
VX_FUNCTION(vx_vector_spherical_distance);
VX_FUNCTION(vx_l1_distance);
VX_FUNCTION(vx_vector_dims);
VX_FUNCTION(vx_vector_norm);
VX_FUNCTION(vx_l2_normalize);
VX_FUNCTION(vx_vector_add);
VX_FUNCTION(vx_vector_sub);
VX_FUNCTION(vx_vector_mul);
VX_FUNCTION(vx_vector_concat);
VX_FUNCTION(vx_subvector);
VX_FUNCTION(vx_binary_quantize);

/*
 * Distance of the first two arguments of an SQL function.  Raises an error if
 * their dimensions differ.
 */
static double
distance_of_args(FunctionCallInfo fcinfo, VxMetric metric)
{
	Vector	   *a = PG_GETARG_VECTOR_P(0);
	Vector	   *b = PG_GETARG_VECTOR_P(1);
	double		result;

	VxCheckSameDim(a, b);
	result = VxDistance(VX_ELEM_FLOAT4, metric, a->dim, a->x, b->x);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

/* l2_distance(vector, vector) returns double precision */
Datum
vx_l2_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(sqrt(distance_of_args(fcinfo, VX_METRIC_L2)));
}

/*
 * vector_l2_squared_distance(vector, vector) returns double precision
 *
 * Sorts as l2_distance does and saves the square root.
 */
Datum
vx_vector_l2_squared_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, VX_METRIC_L2));
}

/* inner_product(vector, vector) returns double precision */
Datum
vx_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, VX_METRIC_IP));
}

/*
 * vector_negative_inner_product(vector, vector) returns double precision
 *
 * Negated because indexes scan in ascending order only.
 */
Datum
vx_vector_negative_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(-distance_of_args(fcinfo, VX_METRIC_IP));
}

/*
 * cosine_distance(vector, vector) returns double precision
 *
 * 1 - similarity, in [0, 2]; NaN if a vector has no direction.
 */
Datum
vx_cosine_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(1.0 - distance_of_args(fcinfo, VX_METRIC_COSINE));
}

/*
 * vector_spherical_distance(vector, vector) returns double precision
 *
 * Angle between two unit vectors as a fraction of pi.  The arguments are taken
 * to be of length one; their inner product is clamped to what acos takes.
 */
Datum
vx_vector_spherical_distance(PG_FUNCTION_ARGS)
{
	double		ip = distance_of_args(fcinfo, VX_METRIC_IP);

	if (ip > 1)
		ip = 1;
	else if (ip < -1)
		ip = -1;
	PG_RETURN_FLOAT8(acos(ip) / M_PI);
}

/* l1_distance(vector, vector) returns double precision */
Datum
vx_l1_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, VX_METRIC_L1));
}

/* vector_dims(vector) returns integer */
Datum
vx_vector_dims(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	int			dim = vec->dim;

	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_INT32(dim);
}

/*
 * Euclidean norm.  Squares of float4 neither overflow nor underflow in double
 * precision; four sums do not wait for each other.
 */
static double
euclidean_norm(const Vector *vec)
{
	double		sum[4] = {0, 0, 0, 0};
	int			i = 0;

	for (; i + 4 <= vec->dim; i += 4)
	{
		for (int j = 0; j < 4; j++)
			sum[j] += (double) vec->x[i + j] * vec->x[i + j];
	}
	for (; i < vec->dim; i++)
		sum[0] += (double) vec->x[i] * vec->x[i];
	return sqrt((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* vector_norm(vector) returns double precision */
Datum
vx_vector_norm(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	double		norm = euclidean_norm(vec);

	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_FLOAT8(norm);
}

/*
 * l2_normalize(vector) returns vector
 *
 * The vector scaled to length one; a zero vector stays zero.
 */
Datum
vx_l2_normalize(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	Vector	   *result = VxVectorAlloc(vec->dim);
	double		norm = euclidean_norm(vec);

	if (norm > 0)
	{
		for (int i = 0; i < vec->dim; i++)
			result->x[i] = (float) (vec->x[i] / norm);
	}
	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_VECTOR_P(result);
}

/* Raise an error if the result of finite operands overflowed */
static void
check_overflow(const Vector *vec)
{
	bool		finite = true;

	for (int i = 0; i < vec->dim; i++)
		finite &= (isfinite(vec->x[i]) != 0);
	if (unlikely(!finite))
		float_overflow_error();
}

/*
 * vector_add(vector, vector) returns vector
 *
 * Also transition and combine function of sum(vector), where it may add to the
 * first argument in place.
 */
Datum
vx_vector_add(PG_FUNCTION_ARGS)
{
	Vector	   *a = PG_GETARG_VECTOR_P(0);
	Vector	   *b = PG_GETARG_VECTOR_P(1);
	Vector	   *result;

	VxCheckSameDim(a, b);
	if (AggCheckCallContext(fcinfo, NULL))
		result = a;
	else
		result = VxVectorAlloc(a->dim);
	for (int i = 0; i < a->dim; i++)
		result->x[i] = a->x[i] + b->x[i];
	check_overflow(result);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_VECTOR_P(result);
}

/* vector_sub(vector, vector) returns vector */
Datum
vx_vector_sub(PG_FUNCTION_ARGS)
{
	Vector	   *a = PG_GETARG_VECTOR_P(0);
	Vector	   *b = PG_GETARG_VECTOR_P(1);
	Vector	   *result;

	VxCheckSameDim(a, b);
	result = VxVectorAlloc(a->dim);
	for (int i = 0; i < a->dim; i++)
		result->x[i] = a->x[i] - b->x[i];
	check_overflow(result);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_VECTOR_P(result);
}

/*
 * vector_mul(vector, vector) returns vector
 *
 * Element by element.  As with real, it is an error when a product of non-zero
 * numbers is too small to be told from zero.
 */
Datum
vx_vector_mul(PG_FUNCTION_ARGS)
{
	Vector	   *a = PG_GETARG_VECTOR_P(0);
	Vector	   *b = PG_GETARG_VECTOR_P(1);
	Vector	   *result;
	bool		underflow = false;

	VxCheckSameDim(a, b);
	result = VxVectorAlloc(a->dim);
	for (int i = 0; i < a->dim; i++)
	{
		result->x[i] = a->x[i] * b->x[i];
		underflow |= (result->x[i] == 0 && a->x[i] != 0 && b->x[i] != 0);
	}
	check_overflow(result);
	if (unlikely(underflow))
		float_underflow_error();
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_VECTOR_P(result);
}

/* vector_concat(vector, vector) returns vector */
Datum
vx_vector_concat(PG_FUNCTION_ARGS)
{
	Vector	   *a = PG_GETARG_VECTOR_P(0);
	Vector	   *b = PG_GETARG_VECTOR_P(1);
	Vector	   *result;

	VxCheckDim((int64) a->dim + b->dim);
	result = VxVectorAlloc(a->dim + b->dim);
	memcpy(result->x, a->x, sizeof(float) * a->dim);
	memcpy(result->x + a->dim, b->x, sizeof(float) * b->dim);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_VECTOR_P(result);
}

/*
 * subvector(vector, start integer, count integer) returns vector
 *
 * Elements start .. start + count - 1, counted from 1, as far as they exist;
 * like substring.  It is an error if none does.
 */
Datum
vx_subvector(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	int64		start = PG_GETARG_INT32(1);
	int64		end = start + PG_GETARG_INT32(2);	/* exclusive */
	Vector	   *result;

	start = Max(start, 1);
	end = Min(end, (int64) vec->dim + 1);
	VxCheckDim(end - start);
	result = VxVectorAlloc(end - start);
	memcpy(result->x, vec->x + start - 1, sizeof(float) * (end - start));
	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_VECTOR_P(result);
}

/* binary_quantize(vector) returns bit: bit i tells whether x[i] is positive */
Datum
vx_binary_quantize(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	int			dim = vec->dim;
	int			size = VARBITTOTALLEN(dim);
	VarBit	   *result = (VarBit *) palloc0(size);
	bits8	   *bits = VARBITS(result);

	SET_VARSIZE(result, size);
	VARBITLEN(result) = dim;
	for (int i = 0; i < dim; i++)
		bits[i / BITS_PER_BYTE] |= (vec->x[i] > 0) << (7 - i % BITS_PER_BYTE);
	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_VARBIT_P(result);
}
