/*-------------------------------------------------------------------------
 *
 * kernels_impl.h
 *	  What the kernel files share among themselves and nobody else needs.
 *
 * Each function states the instructions it may use with VX_TARGET rather than
 * by compiler flags per file: such flags do not reach the rule by which
 * PostgreSQL builds LLVM bitcode.  The unit tests define VX_SIMDE to compile
 * the files for other processors on top of the SIMDe emulation; VX_TARGET is
 * then empty.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_KERNELS_IMPL_H
#define VX_KERNELS_IMPL_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

#ifdef VX_SIMDE
#define VX_TARGET(isa)
#else
#define VX_TARGET(isa) __attribute__((target(isa)))
#endif

#define VX_INLINE static inline __attribute__((always_inline))

/*
 * NEON with the dot product instruction of ARMv8.2: better code_ip only.  And,
 * in an emulation, the sets that kernels.h declares for other processors.
 */
#if defined(__aarch64__) || defined(VX_SIMDE)
extern const VxKernelSet VxKernelsNeonDot;
#endif
#ifdef VX_SIMDE
extern const VxKernelSet VxKernelsAvx512;
extern const VxKernelSet VxKernelsNeon;
#endif

/*
 * A squared norm or distance below this may have lost digits: each of the n
 * products that underflow is off by up to 2^-150, so that n = 16,000 of them
 * amount to 2^-136, which is still nothing against 2^-100.
 */
#define VX_MIN_SQUARE	0x1p-100f

/*
 * Cosine similarity from the three sums, or NaN when a squared norm is not
 * trustworthy in float4 (it overflowed, is too small, or is zero).  Exactly 1
 * for equal vectors: the square root of an exact square is exact.
 */
static inline double
VxCosineOfSums(float ab, float aa, float bb)
{
	if (!(aa >= VX_MIN_SQUARE && aa <= FLT_MAX &&
		  bb >= VX_MIN_SQUARE && bb <= FLT_MAX))
		return NAN;
	return ab / sqrt((double) aa * (double) bb);
}

/* Number of bytes of a packed code */
static inline int
VxCodeBytes(int dims, int bits)
{
	return (dims * bits + 7) / 8;
}

/*
 * Clear what is no dimension in unpacked planes: positions dims and up, and
 * what lies between nbytes and stride in each plane.
 */
static inline void
VxClearBeyondDims(int dims, int bits, int8_t *query, int stride)
{
	int			nbytes = VxCodeBytes(dims, bits);
	int			nplanes = 8 / bits;

	for (int i = dims; i < nplanes * nbytes; i++)
		query[(i / nbytes) * stride + i % nbytes] = 0;
	for (int p = 0; p < nplanes; p++)
		memset(query + p * stride + nbytes, 0, stride - nbytes);
}

/* flip, to_int8 and largest for elements i .. n - 1, one by one */
static inline void
VxFlipScalar(int i, int n, float *x, uint64_t signs, float factor)
{
	for (; i < n; i++)
		x[i] *= (signs >> i & 1) != 0 ? -factor : factor;
}

static inline void
VxToInt8Scalar(int i, int n, const float *x, float factor, int8_t *out)
{
	for (; i < n; i++)
	{
		float		v = x[i] * factor;

		out[i] = (int8_t) (int) (v < 0 ? v - 0.5f : v + 0.5f);
	}
}

static inline float
VxLargestScalar(int i, int n, const float *x, float largest)
{
	for (; i < n; i++)
	{
		float		v = x[i] < 0 ? -x[i] : x[i];

		largest = v > largest ? v : largest;
	}
	return largest;
}

/* Walsh-Hadamard butterflies of strides h, 2h .. n/2, one by one */
static inline void
VxFhtScalar(float *x, int n, int h)
{
	for (; h < n; h *= 2)
		for (int i = 0; i < n; i += 2 * h)
			for (int j = i; j < i + h; j++)
			{
				float		a = x[j];
				float		b = x[j + h];

				x[j] = a + b;
				x[j + h] = a - b;
			}
}

#endif							/* VX_KERNELS_IMPL_H */
