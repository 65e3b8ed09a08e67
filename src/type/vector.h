/*-------------------------------------------------------------------------
 *
 * vector.h
 *	  The SQL type vector: its varlena form.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_VECTOR_H
#define VX_VECTOR_H

#include "fmgr.h"

#define VECTOR_MAX_DIM 16000

typedef struct Vector
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int16		dim;			/* number of dimensions, 1 .. VECTOR_MAX_DIM */
	int16		unused;			/* zero */
	float		x[FLEXIBLE_ARRAY_MEMBER];
} Vector;

#define VECTOR_SIZE(_dim)		(offsetof(Vector, x) + sizeof(float) * (_dim))
#define DatumGetVector(x)		((Vector *) PG_DETOAST_DATUM(x))
#define PG_GETARG_VECTOR_P(n)	DatumGetVector(PG_GETARG_DATUM(n))
#define PG_RETURN_VECTOR_P(x)	PG_RETURN_POINTER(x)

extern PGDLLEXPORT Datum vx_vector_in(PG_FUNCTION_ARGS);	/* by it the type is known */

extern Vector *VxVectorAlloc(int dim);	/* zeroed but for length and dim */

/*
 * Checks of a value on its way in.  Each raises an error: dimensions outside
 * 1 .. VECTOR_MAX_DIM (22000, 54000), dimensions other than typmod's unless
 * that is -1 (22000), NaN or infinite elements (22000), and two vectors of
 * different dimensions (22000).
 */
extern void VxCheckDim(int64 dim);
extern void VxCheckTypmodDim(int32 typmod, int dim);
extern void VxCheckElements(const float *x, int dim);
extern void VxCheckSameDim(const Vector *a, const Vector *b);

#endif							/* VX_VECTOR_H */
