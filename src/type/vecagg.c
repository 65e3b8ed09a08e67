/*-------------------------------------------------------------------------
 *
 * vecagg.c
 *	  The SQL type vector: the average.
 *
 * The state is a float8 array: the number of vectors, then the sum of each
 * dimension; {0} before the first vector.  Anyone may call the functions with
 * an array of their own making, so the state is checked each time.
 *
 * sum(vector) needs nothing but vector_add.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/float.h"

#include "compat.h"
#include "type/vector.h"

VX_FUNCTION(vx_vector_accum);
VX_FUNCTION(vx_vector_combine);
VX_FUNCTION(vx_vector_avg);

/* Elements of a state array, which has no null bitmap: count, then sums */
#define STATE_VALUES(state) \
	((float8 *) ((char *) (state) + ARR_OVERHEAD_NONULLS(1)))

/*
 * Check that an array can be a state, and return the number of its dimensions,
 * which is 0 if there was no vector yet.  Raises 22023 if it cannot.
 */
static int
check_state(ArrayType *state)
{
	int			n = 0;

	if (ARR_NDIM(state) == 1)
		n = ARR_DIMS(state)[0];
	if (n < 1 || n > VECTOR_MAX_DIM + 1 || ARR_HASNULL(state) ||
		ARR_ELEMTYPE(state) != FLOAT8OID ||
		!isfinite(STATE_VALUES(state)[0]) || STATE_VALUES(state)[0] < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid transition state for average of vectors")));
	return n - 1;
}

/* Allocate a state for dim dimensions, all zero */
static ArrayType *
allocate_state(int dim)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float8) * (dim + 1);
	ArrayType  *state = (ArrayType *) palloc0(size);

	SET_VARSIZE(state, size);
	state->ndim = 1;
	state->dataoffset = 0;		/* no null bitmap */
	state->elemtype = FLOAT8OID;
	ARR_DIMS(state)[0] = dim + 1;
	ARR_LBOUND(state)[0] = 1;
	return state;
}

/*
 * The state to write to: state itself within an aggregate, where it is ours,
 * else a copy.  A state without dimensions is replaced by one of dim.
 */
static ArrayType *
writable_state(FunctionCallInfo fcinfo, ArrayType *state, int dim)
{
	int			state_dim = check_state(state);
	ArrayType  *result;

	if (state_dim == dim && AggCheckCallContext(fcinfo, NULL))
		return state;
	result = allocate_state(dim);
	memcpy(STATE_VALUES(result), STATE_VALUES(state),
		   sizeof(float8) * (state_dim + 1));
	return result;
}

/*
 * vector_accum(double precision[], vector) returns double precision[]
 */
Datum
vx_vector_accum(PG_FUNCTION_ARGS)
{
	ArrayType  *state = PG_GETARG_ARRAYTYPE_P(0);
	Vector	   *vec = PG_GETARG_VECTOR_P(1);
	int			dim = check_state(state);
	float8	   *values;

	if (dim != 0)
		VxCheckTypmodDim(dim, vec->dim);
	state = writable_state(fcinfo, state, vec->dim);
	values = STATE_VALUES(state);
	values[0] += 1;
	for (int i = 0; i < vec->dim; i++)
		values[i + 1] += vec->x[i];
	PG_FREE_IF_COPY(vec, 1);
	PG_RETURN_ARRAYTYPE_P(state);
}

/*
 * vector_combine(double precision[], double precision[])
 *		returns double precision[]
 */
Datum
vx_vector_combine(PG_FUNCTION_ARGS)
{
	ArrayType  *state = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType  *other = PG_GETARG_ARRAYTYPE_P(1);
	int			dim = check_state(state);
	int			other_dim = check_state(other);
	float8	   *values;
	float8	   *other_values = STATE_VALUES(other);

	if (dim != 0 && other_dim != 0)
		VxCheckTypmodDim(dim, other_dim);
	state = writable_state(fcinfo, state, Max(dim, other_dim));
	values = STATE_VALUES(state);
	for (int i = 0; i <= other_dim; i++)
		values[i] += other_values[i];
	PG_FREE_IF_COPY(other, 1);
	PG_RETURN_ARRAYTYPE_P(state);
}

/*
 * vector_avg(double precision[]) returns vector
 *
 * Null if there was no vector.
 */
Datum
vx_vector_avg(PG_FUNCTION_ARGS)
{
	ArrayType  *state = PG_GETARG_ARRAYTYPE_P(0);
	int			dim = check_state(state);
	float8	   *values = STATE_VALUES(state);
	Vector	   *result;

	if (values[0] == 0)
		PG_RETURN_NULL();
	VxCheckDim(dim);
	result = VxVectorAlloc(dim);
	for (int i = 0; i < dim; i++)
	{
		float8		mean = values[i + 1] / values[0];

		result->x[i] = (float) mean;
		if (isinf(result->x[i]) && !isinf(mean))
			float_overflow_error();
	}
	VxCheckElements(result->x, dim);
	PG_RETURN_VECTOR_P(result);
}
