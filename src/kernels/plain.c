/*-------------------------------------------------------------------------
 *
 * plain.c
 *	  The distance kernels in plain C: complete, for every processor, and the
 *	  reference for the others.
 *
 * Compilers may not reorder floating-point sums, so each kernel keeps several
 * independent ones; that shortens the chain of dependent additions and the
 * rounding error alike.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels/kernels_impl.h"

#define NSUMS	8

static inline float
addSums(const float *s)
{
	return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

/* ---- exact distances ---- */

static double
l2Float4(int n, const void *va, const void *vb)
{
	const float *a = va;
	const float *b = vb;
	float		s[NSUMS] = {0};
	int			i = 0;

	for (; i + NSUMS <= n; i += NSUMS)
		for (int k = 0; k < NSUMS; k++)
			s[k] += (a[i + k] - b[i + k]) * (a[i + k] - b[i + k]);
	for (int k = 0; i < n; i++, k++)
		s[k] += (a[i] - b[i]) * (a[i] - b[i]);
	return addSums(s);
}

static double
ipFloat4(int n, const void *va, const void *vb)
{
	const float *a = va;
	const float *b = vb;
	float		s[NSUMS] = {0};
	int			i = 0;

	for (; i + NSUMS <= n; i += NSUMS)
		for (int k = 0; k < NSUMS; k++)
			s[k] += a[i + k] * b[i + k];
	for (int k = 0; i < n; i++, k++)
		s[k] += a[i] * b[i];
	return addSums(s);
}

static double
cosineFloat4(int n, const void *va, const void *vb)
{
	const float *a = va;
	const float *b = vb;
	float		ab[NSUMS] = {0};
	float		aa[NSUMS] = {0};
	float		bb[NSUMS] = {0};

	int			i = 0;

	for (; i + NSUMS <= n; i += NSUMS)
		for (int k = 0; k < NSUMS; k++)
		{
			ab[k] += a[i + k] * b[i + k];
			aa[k] += a[i + k] * a[i + k];
			bb[k] += b[i + k] * b[i + k];
		}
	for (int k = 0; i < n; i++, k++)
	{
		ab[k] += a[i] * b[i];
		aa[k] += a[i] * a[i];
		bb[k] += b[i] * b[i];
	}
	return VxCosineOfSums(addSums(ab), addSums(aa), addSums(bb));
}

static double
l1Float4(int n, const void *va, const void *vb)
{
	const float *a = va;
	const float *b = vb;
	float		s[NSUMS] = {0};
	int			i = 0;

	for (; i + NSUMS <= n; i += NSUMS)
		for (int k = 0; k < NSUMS; k++)
			s[k] += fabsf(a[i + k] - b[i + k]);
	for (int k = 0; i < n; i++, k++)
		s[k] += fabsf(a[i] - b[i]);
	return addSums(s);
}

/* ---- inner products of codes ---- */

static void
codeIp2(int nbytes, const uint8_t *const *codes, int ncodes,
		const int8_t *query, int stride, int32_t *out)
{
	for (int k = 0; k < ncodes; k++)
	{
		const uint8_t *code = codes[k];
		int32_t		s0 = 0;
		int32_t		s1 = 0;

		for (int j = 0; j < nbytes; j++)
		{
			const int8_t *q = query + j;

			s0 += (code[j] & 3) * q[0] + ((code[j] >> 2) & 3) * q[stride];
			s1 += ((code[j] >> 4) & 3) * q[2 * stride] +
				(code[j] >> 6) * q[3 * stride];
		}
		out[k] = s0 + s1;
	}
}

static void
codeIp4(int nbytes, const uint8_t *const *codes, int ncodes,
		const int8_t *query, int stride, int32_t *out)
{
	for (int k = 0; k < ncodes; k++)
	{
		const uint8_t *code = codes[k];
		int32_t		s0 = 0;
		int32_t		s1 = 0;

		for (int j = 0; j < nbytes; j++)
		{
			s0 += (code[j] & 15) * query[j];
			s1 += (code[j] >> 4) * query[stride + j];
		}
		out[k] = s0 + s1;
	}
}

static void
codeIp8(int nbytes, const uint8_t *const *codes, int ncodes,
		const int8_t *query, int stride, int32_t *out)
{
	(void) stride;
	for (int k = 0; k < ncodes; k++)
	{
		const uint8_t *code = codes[k];
		int32_t		s0 = 0;
		int32_t		s1 = 0;
		int			j = 0;

		for (; j + 2 <= nbytes; j += 2)
		{
			s0 += code[j] * query[j];
			s1 += code[j + 1] * query[j + 1];
		}
		if (j < nbytes)
			s0 += code[j] * query[j];
		out[k] = s0 + s1;
	}
}

/* ---- L1 distances of scalar codes ---- */

VX_INLINE float
codeL1Term(uint8_t code, int shift, int mask, float lo, float step, float x)
{
	return fabsf(lo + step * ((code >> shift) & mask) - x);
}

static float
codeL1(int n, const uint8_t *code, int shift, int mask, float lo, float step,
	   const float *query)
{
	float		s[NSUMS] = {0};
	int			i = 0;

	for (; i + NSUMS <= n; i += NSUMS)
		for (int k = 0; k < NSUMS; k++)
			s[k] += codeL1Term(code[i + k], shift, mask, lo, step, query[i + k]);
	for (int k = 0; i < n; i++, k++)
		s[k] += codeL1Term(code[i], shift, mask, lo, step, query[i]);
	return addSums(s);
}

static float
codeL1Codes(int n, const uint8_t *a, const uint8_t *b, int shift, int mask,
			float lo_a, float step_a, float lo_b, float step_b)
{
	float		s[NSUMS] = {0};

	for (int i = 0; i < n; i++)
	{
		float		y = lo_b + step_b * ((b[i] >> shift) & mask);

		s[i % NSUMS] += codeL1Term(a[i], shift, mask, lo_a, step_a, y);
	}
	return addSums(s);
}

/* ---- transforms ---- */

static void
fht(float *x, int n)
{
	VxFhtScalar(x, n, 1);
}

/*
 * The grid point of x.  Clamps before it rounds, which is the same with
 * integer limits and keeps the conversion to int defined; conversion and
 * correction replace floorf(), a library call on the oldest x86-64.
 */
VX_INLINE float
gridValue(float x, float inv_step, float min, float max)
{
	float		t = x * inv_step;
	float		v;

	t = t > min ? t : min;
	t = t < max ? t : max;
	v = (float) (int) t;
	return v > t ? v - 0.5f : v + 0.5f;
}

static void
flip(int n, float *x, uint64_t signs, float factor)
{
	VxFlipScalar(0, n, x, signs, factor);
}

static void
toInt8(int n, const float *x, float factor, int8_t *out)
{
	VxToInt8Scalar(0, n, x, factor, out);
}

static float
largest(int n, const float *x)
{
	return VxLargestScalar(0, n, x, 0);
}

static void
gridFit(int n, const float *x, float inv_step, int half, float *dot, float *sq)
{
	float		min = (float) -half;
	float		max = (float) (half - 1);
	float		d[NSUMS] = {0};
	float		s[NSUMS] = {0};

	for (int i = 0; i < n; i++)
	{
		float		v = gridValue(x[i], inv_step, min, max);

		d[i % NSUMS] += v * x[i];
		s[i % NSUMS] += v * v;
	}
	*dot = addSums(d);
	*sq = addSums(s);
}

VX_INLINE void
unpackPlanes(int dims, int bits, const uint8_t *code, int8_t *query, int stride)
{
	int			nbytes = VxCodeBytes(dims, bits);
	int			mask = (1 << bits) - 1;

	for (int p = 0; p < 8 / bits; p++)
		for (int j = 0; j < nbytes; j++)
		{
			int			v = (code[j] >> (bits * p)) & mask;

			query[p * stride + j] = (int8_t) (bits == 8 ? v - 128 : 2 * v - mask);
		}
	VxClearBeyondDims(dims, bits, query, stride);
}

static void
codeUnpack(int dims, int bits, const uint8_t *code, int8_t *query, int stride)
{
	if (bits == 2)
		unpackPlanes(dims, 2, code, query, stride);
	else if (bits == 4)
		unpackPlanes(dims, 4, code, query, stride);
	else
		unpackPlanes(dims, 8, code, query, stride);
}

const VxKernelSet VxKernelsPlain = {
	.name = "plain",
	.distance = {
		[VX_ELEM_FLOAT4] = {
			[VX_METRIC_L2] = l2Float4,
			[VX_METRIC_IP] = ipFloat4,
			[VX_METRIC_COSINE] = cosineFloat4,
			[VX_METRIC_L1] = l1Float4,
		},
	},
	.code_ip = {
		[VX_CODE2] = codeIp2,
		[VX_CODE4] = codeIp4,
		[VX_CODE8] = codeIp8,
	},
	.code_l1 = codeL1,
	.code_l1_codes = codeL1Codes,
	.fht = fht,
	.flip = flip,
	.to_int8 = toInt8,
	.largest = largest,
	.grid_fit = gridFit,
	.code_unpack = codeUnpack,
};
