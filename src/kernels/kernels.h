/*-------------------------------------------------------------------------
 *
 * kernels.h
 *	  Distance kernels, one set per instruction set, chosen at load time.
 *
 * Nothing here needs PostgreSQL's headers, so that the kernels can be tested,
 * fuzzed and run under sanitizers on their own.
 *
 * A kernel set is a table: exact distances by element type and metric, inner
 * products of codes by bits per dimension, and the transforms that make codes.
 * The plain C set has every entry; the other sets override what they do
 * better.  kernels.c is the one place that chooses.
 *
 * Numerical contract: exact kernels accumulate in float4 with several
 * accumulators, so results of different sets differ by rounding; VxDistance
 * repeats in double what overflowed or underflowed.  Code kernels are integer
 * and agree bit for bit.  fht agrees bit for bit too: every set performs the
 * same additions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_KERNELS_H
#define VX_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

/* Element types of a vector; halfvec, bit, sparsevec, int8 have room here */
typedef enum VxElement
{
	VX_ELEM_FLOAT4 = 0,
	VX_N_ELEMENTS
} VxElement;

/* What a distance kernel computes from two vectors a and b of n elements */
typedef enum VxMetric
{
	VX_METRIC_L2 = 0,			/* sum (a-b)^2: squared Euclidean distance */
	VX_METRIC_IP,				/* sum a*b: inner product, not negated */
	VX_METRIC_COSINE,			/* sum a*b / (|a| |b|): similarity in [-1, 1],
								 * NaN when a norm is zero; kernels, but not
								 * VxDistance, may say NaN for very small or
								 * large norms too */
	VX_METRIC_L1,				/* sum |a-b| */
	VX_N_METRICS
} VxMetric;

/* Bits per dimension that a packed code may have */
typedef enum VxCodeBits
{
	VX_CODE2 = 0,
	VX_CODE4,
	VX_CODE8,
	VX_N_CODE_BITS
} VxCodeBits;

typedef double (*VxDistanceFn) (int n, const void *a, const void *b);

/*
 * Packed codes are laid out in planes: a code of d dimensions at B bits takes
 * nbytes = ceil(d * B / 8) bytes and has P = 8 / B planes; the value of
 * dimension i = p * nbytes + j (0 <= j < nbytes) is
 *		(code[j] >> (B * p)) & ((1 << B) - 1).
 * Positions with i >= d are zero.
 *
 * A query is P planes of int8, plane p at query + p * stride, where stride is
 * a multiple of 64 and >= nbytes; what lies beyond d is zero.
 */
typedef void (*VxCodeIpFn) (int nbytes, const uint8_t *const *codes, int ncodes,
							const int8_t *query, int stride, int32_t *out);

typedef struct VxKernelSet
{
	const char *name;

	/* exact distance of two vectors, by element type and metric */
	VxDistanceFn distance[VX_N_ELEMENTS][VX_N_METRICS];

	/*
	 * out[k] = sum over dimensions of value(codes[k]) * query value, for k <
	 * ncodes.  Reads exactly nbytes of each code, never past its end.
	 */
	VxCodeIpFn	code_ip[VX_N_CODE_BITS];

	/*
	 * sum over j < n of |lo + step * ((code[j] >> shift) & mask) - query[j]|:
	 * one plane of an unrotated scalar code against float4 values (L1).
	 */
	float		(*code_l1) (int n, const uint8_t *code, int shift, int mask,
							float lo, float step, const float *query);

	/*
	 * The same for two codes: sum over j < n of |(lo_a + step_a * va) - (lo_b
	 * + step_b * vb)| with va, vb the plane's values in a and b.
	 */
	float		(*code_l1_codes) (int n, const uint8_t *a, const uint8_t *b,
								  int shift, int mask, float lo_a, float step_a,
								  float lo_b, float step_b);

	/*
	 * Unnormalised fast Walsh-Hadamard transform of x[0 .. n-1] in place, n a
	 * power of two >= 1; for each stride h = 1, 2, 4 .. n/2 in this order:
	 * (x[i], x[i+h]) becomes (x[i] + x[i+h], x[i] - x[i+h]).
	 */
	void		(*fht) (float *x, int n);

	/*
	 * x[i] becomes factor * x[i], or -factor * x[i] where bit i of signs is
	 * set; n <= 64.
	 */
	void		(*flip) (int n, float *x, uint64_t signs, float factor);

	/*
	 * out[i] = x[i] * factor rounded to an integer, halves either way; |x[i] *
	 * factor| must be at most 127 but for rounding
	 */
	void		(*to_int8) (int n, const float *x, float factor, int8_t *out);

	/* the largest of |x[i]|, 0 if there is none */
	float		(*largest) (int n, const float *x);

	/*
	 * Try a quantization grid: with v_i = clamp(floor(x_i * inv_step), -half,
	 * half - 1) + 0.5, return sum v_i * x_i in *dot and sum v_i^2 in *sq.
	 * half = 2^(bits-1).
	 */
	void		(*grid_fit) (int n, const float *x, float inv_step, int half,
							 float *dot, float *sq);

	/*
	 * Unpack a packed code to centred int8 query planes (stride as above): 4
	 * and 2 bits: 2 * v - (2^bits - 1); 8 bits: v - 128.  Zero beyond dims
	 * and up to stride.
	 */
	void		(*code_unpack) (int dims, int bits, const uint8_t *code,
								int8_t *query, int stride);
} VxKernelSet;

/* The sets that were compiled in; an entry is NULL where its ISA is not x86/ARM */
extern const VxKernelSet VxKernelsPlain;
#if defined(__x86_64__)
extern const VxKernelSet VxKernelsAvx2;
extern const VxKernelSet VxKernelsAvx512;
#endif
#if defined(__aarch64__)
extern const VxKernelSet VxKernelsNeon;
#endif

/*
 * The active set.  Starts as the plain one; VxKernelsChoose(NULL) takes the
 * best for this processor.
 */
extern const VxKernelSet *VxKernels;

/* Number of sets this build knows, best first, and whether set i can run here */
extern int	VxKernelSetCount(void);
extern const VxKernelSet *VxKernelSetGet(int i);
extern bool VxKernelSetUsable(int i);

/* Choose the best set that runs here (NULL, "auto") or one by name; false: unknown or unusable */
extern bool VxKernelsChoose(const char *name);

/*
 * Distance with the active set, repeated in double precision when the float4
 * result is not finite, for L2 when it is so small that it may have
 * underflowed, or, for cosine, when a norm under- or overflowed.
 * Cosine similarity is clamped to [-1, 1].
 */
extern double VxDistance(VxElement element, VxMetric metric, int n,
						 const void *a, const void *b);

#endif							/* VX_KERNELS_H */
