/*-------------------------------------------------------------------------
 *
 * veccast.c
 *	  The SQL type vector: casts from and to arrays.
 *
 * integer and double precision elements are rounded to float4.  One that is
 * too large for it is an error; one that is too small becomes zero.  numeric
 * elements are converted as a cast to real does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "type/vector.h"

VX_FUNCTION(vx_array_to_vector);
VX_FUNCTION(vx_vector_to_float4);

/*
 * Round double precision elements.  Infinities and NaN are kept for the caller
 * to refuse.
 */
static void
convert_float8(const char *data, int n, float *x)
{
	for (int i = 0; i < n; i++)
	{
		double		value;

		memcpy(&value, data + sizeof(value) * i, sizeof(value));
		x[i] = (float) value;
		if (unlikely(isinf(x[i])) && !isinf(value))
			float_overflow_error();
	}
}

static void
convert_int4(const char *data, int n, float *x)
{
	for (int i = 0; i < n; i++)
	{
		int32		value;

		memcpy(&value, data + sizeof(value) * i, sizeof(value));
		x[i] = (float) value;
	}
}

static void
convert_numeric(ArrayType *array, int n, float *x)
{
	Datum	   *elems;
	int			nelems;

	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT,
					  &elems, NULL, &nelems);
	Assert(nelems == n);
	for (int i = 0; i < n; i++)
		x[i] = DatumGetFloat4(DirectFunctionCall1(numeric_float4, elems[i]));
	pfree(elems);
}

/*
 * Convert the n elements of an array without nulls to float4.  Elements of
 * fixed length follow each other without gaps.
 */
static void
convert_elements(ArrayType *array, int n, float *x)
{
	/* ARR_DATA_PTR, but for a warning about signs; a bitmap may have no nulls */
	const char *data = (const char *) array +
		(ARR_HASNULL(array) ? (Size) array->dataoffset :
		 ARR_OVERHEAD_NONULLS(ARR_NDIM(array)));

	switch (ARR_ELEMTYPE(array))
	{
		case INT4OID:
			convert_int4(data, n, x);
			break;
		case FLOAT4OID:
			memcpy(x, data, sizeof(float) * n);
			break;
		case FLOAT8OID:
			convert_float8(data, n, x);
			break;
		case NUMERICOID:
			convert_numeric(array, n, x);
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("cannot convert array of type %s to vector",
							format_type_be(ARR_ELEMTYPE(array)))));
	}
}

/*
 * array_to_vector(integer[] or real[] or double precision[] or numeric[],
 *				   integer, boolean) returns vector
 */
Datum
vx_array_to_vector(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int32		typmod = PG_GETARG_INT32(1);
	Vector	   *result;
	int			dim;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("array must be one-dimensional")));
	if (ARR_HASNULL(array) && array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("array must not contain nulls")));

	dim = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	VxCheckDim(dim);
	VxCheckTypmodDim(typmod, dim);
	result = VxVectorAlloc(dim);
	convert_elements(array, dim, result->x);
	VxCheckElements(result->x, dim);
	PG_FREE_IF_COPY(array, 0);
	PG_RETURN_VECTOR_P(result);
}

/* vector_to_float4(vector, integer, boolean) returns real[] */
Datum
vx_vector_to_float4(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float) * vec->dim;
	ArrayType  *result = (ArrayType *) palloc0(size);

	/* saves the array of datums that construct_array would want */
	SET_VARSIZE(result, size);
	result->ndim = 1;
	result->dataoffset = 0;		/* no null bitmap */
	result->elemtype = FLOAT4OID;
	ARR_DIMS(result)[0] = vec->dim;
	ARR_LBOUND(result)[0] = 1;
	memcpy((char *) result + ARR_OVERHEAD_NONULLS(1), vec->x,
		   sizeof(float) * vec->dim);
	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_ARRAYTYPE_P(result);
}
