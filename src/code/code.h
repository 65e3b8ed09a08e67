/*-------------------------------------------------------------------------
 *
 * code.h
 *	  Codes: the compact forms of vectors that the graph walk reads.
 *
 * A codec is chosen per index from element type, metric, dimensions and bits
 * per dimension.  It knows three kinds of code:
 *
 *	raw		the vector itself, for very few dimensions; exact
 *	rotated	rotated by a fixed random orthogonal transform, then rounded to a
 *			uniform grid of 2^bits levels; estimates inner products, hence L2,
 *			inner product and cosine distance.  Under cosine the code is that
 *			of the vector at unit length.
 *	scalar	each element rounded to 2^bits levels between the vector's minimum
 *			and maximum, not rotated; estimates L1
 *
 * Distances here are such that smaller is nearer, and codes and vectors speak
 * the same units: squared distance for L2, the negative inner product, 1 -
 * similarity for cosine, the sum of absolute differences for L1.
 *
 * Nothing here allocates or needs PostgreSQL's headers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_CODE_H
#define VX_CODE_H

#include <stddef.h>

#include "kernels/kernels.h"

typedef enum VxCodeKind
{
	VX_CODE_RAW = 1,
	VX_CODE_ROTATED,
	VX_CODE_SCALAR
} VxCodeKind;

typedef struct VxCodec
{
	VxElement	element;
	VxMetric	metric;
	int			dims;
	VxCodeKind	kind;
	int			bits;			/* 2, 4, 8; 32 for raw */
	int			nbytes;			/* bytes of a code */
	int			vector_bytes;	/* bytes of a vector */
	int			stride;			/* of a query's planes, see kernels.h */
	int			pow2;			/* largest power of two <= dims */
} VxCodec;

/*
 * What a slot keeps beside its code.  Meaning by kind:
 *			norm				scale					error
 *	raw		-					-						-
 *	rotated	squared norm		of the grid, so that	standard deviation of
 *								scale * (grid point)	the estimate of <x, q>
 *								estimates the vector	for |q| = 1
 *	scalar	lowest value		step of the grid		standard deviation
 */
typedef struct VxFactors
{
	float		norm;
	float		scale;
	float		error;
} VxFactors;

/* A query made ready for estimates; see VxQueryInit for its memory */
typedef struct VxQuery
{
	const VxCodec *codec;
	const void *vector;			/* the original; NULL if made from a code */
	const uint8_t *code;		/* if made from a code */
	VxFactors	factors;		/* if made from a code */
	float		norm;			/* squared norm, of what was rotated */
	float		length;			/* its root */
	float		scale;			/* of the int8 planes */
	float		error;			/* standard deviation of <x, q> that this
								 * query's own rounding adds, for |x| = 1 */
	double		offset;			/* half - 0.5, times the sum of the planes */
	int8_t	   *planes;			/* rotated: int8 planes */
	float	   *work;			/* dims floats: rotated or plane-ordered query */
} VxQuery;

/* Bytes of vector of a type */
extern int	VxElementBytes(VxElement element, int dims);

/*
 * Choose kind and bits: bits is 2, 4, 8, or 0 for the default.  The code takes
 * fewer bits than asked for where it would not fit in max_bytes.  Returns
 * false if not even two bits fit.
 */
extern bool VxCodecInit(VxCodec *codec, VxElement element, VxMetric metric,
						int dims, int bits, int max_bytes);

/* Restore a codec from what a metapage says; false if that is impossible */
extern bool VxCodecRestore(VxCodec *codec, VxElement element, VxMetric metric,
						   int dims, VxCodeKind kind, int bits);

/* Does the vector have zero length (which cosine cannot rank)? */
extern bool VxIsZero(const VxCodec *codec, const void *vector);

/* Exact distance between two vectors, in the units above; +inf for NaN */
extern double VxExactDistance(const VxCodec *codec, const void *a, const void *b);

/*
 * Prepare a vector for codes and queries: rotate it into x[0 .. dims-1], if
 * the codec rotates, and return its squared norm.  What is prepared serves all
 * codecs that differ in their bits only.
 */
extern float VxPrepare(const VxCodec *codec, const void *vector, float *x);

/* Encode a vector, or one that was prepared.  work: codec->dims floats */
extern void VxEncodePrepared(const VxCodec *codec, const void *vector,
							 const float *x, float norm,
							 VxFactors *factors, uint8_t *code);
extern void VxEncode(const VxCodec *codec, const void *vector,
					 VxFactors *factors, uint8_t *code, float *work);

/*
 * Are these factors and this code what VxEncode makes of a vector, here or on
 * another processor, whose kernels round otherwise?  Nothing is assumed of
 * them, they may be any bytes.  work: codec->dims floats; scratch:
 * codec->nbytes.
 */
extern bool VxCodeIsRight(const VxCodec *codec, const void *vector,
						  const VxFactors *factors, const uint8_t *code,
						  float *work, uint8_t *scratch);

/* Bytes of memory that VxQueryInit wants (from an allocator, so aligned to 8) */
extern size_t VxQueryMemory(const VxCodec *codec);
extern void VxQueryInit(VxQuery *query, const VxCodec *codec, void *memory);

/*
 * Make the query one for a vector, which must live as long as the query is
 * used, or for the vector that a code stands for, likewise.  A vector may have
 * been prepared into query->work.
 */
extern void VxQueryFromPrepared(VxQuery *query, const void *vector, float norm);
extern void VxQueryFromVector(VxQuery *query, const void *vector);
extern void VxQueryFromCode(VxQuery *query, const VxFactors *factors,
							const uint8_t *code);

/*
 * Estimate the distances from the query to n <= VX_ESTIMATE_MAX codes:
 * dist[i], and, unless error is NULL, the standard deviation of its error.
 */
#define VX_ESTIMATE_MAX 64
extern void VxEstimate(const VxQuery *query, int n,
					   const uint8_t *const *codes,
					   const VxFactors *const *factors, float *dist, float *error);

/* Rotate x[0 .. dims-1] in place; the transform is orthogonal and fixed */
extern void VxRotate(int dims, int pow2, float *x);

#endif							/* VX_CODE_H */
