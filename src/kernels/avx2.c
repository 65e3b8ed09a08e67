/*-------------------------------------------------------------------------
 *
 * avx2.c
 *	  The distance kernels for x86-64 with AVX2 and FMA.
 *
 * No load reaches past an array's end, since vectors and codes lie in buffer
 * pages.  Tails of float4 arrays use masked loads; for bytes, which have none,
 * the last 32 bytes are loaded again and those already counted are cleared,
 * or a shorter array is copied.  All loads are unaligned ones, so a result
 * does not depend on an address.
 *
 *-------------------------------------------------------------------------
 */
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "kernels/kernels_impl.h"

#define TARGET	VX_TARGET("avx2,fma")

/* 32 bytes from clearThenSet + r: set in the last r bytes only */
static const uint8_t clearThenSet[64] = {
	[32] = 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255
};

/* 16 indexes for a byte shuffle from moveDown + k: moves k down, clears the rest */
static const uint8_t moveDown[32] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	128, 128, 128, 128, 128, 128, 128, 128,
	128, 128, 128, 128, 128, 128, 128, 128
};

/* 8 ints from setThenClear + 8 - r: set in the first r */
static const int32_t setThenClear[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

VX_INLINE TARGET __m256i
floatTailMask(int r)
{
	return _mm256_loadu_si256((const __m256i *) (setThenClear + 8 - r));
}

VX_INLINE TARGET float
sumFloats(__m256 v)
{
	__m128		s = _mm_add_ps(_mm256_castps256_ps128(v),
							   _mm256_extractf128_ps(v, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	s = _mm_add_ss(s, _mm_movehdup_ps(s));
	return _mm_cvtss_f32(s);
}

VX_INLINE TARGET __m256
absFloats(__m256 v)
{
	return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

/* ---- exact distances ---- */

/* s plus the terms of eight elements, for the metrics with a single sum */
VX_INLINE TARGET __m256
addTerms(VxMetric metric, __m256 s, __m256 a, __m256 b)
{
	__m256		d;

	if (metric == VX_METRIC_IP)
		return _mm256_fmadd_ps(a, b, s);
	d = _mm256_sub_ps(a, b);
	if (metric == VX_METRIC_L2)
		return _mm256_fmadd_ps(d, d, s);
	return _mm256_add_ps(s, absFloats(d));
}

VX_INLINE TARGET __m256
addTermsAt(VxMetric metric, __m256 s, const float *a, const float *b)
{
	return addTerms(metric, s, _mm256_loadu_ps(a), _mm256_loadu_ps(b));
}

VX_INLINE TARGET double
singleSum(VxMetric metric, int n, const float *a, const float *b)
{
	__m256		s0 = _mm256_setzero_ps();
	__m256		s1 = _mm256_setzero_ps();
	__m256		s2 = _mm256_setzero_ps();
	__m256		s3 = _mm256_setzero_ps();
	int			i = 0;

	for (; i + 32 <= n; i += 32)
	{
		s0 = addTermsAt(metric, s0, a + i, b + i);
		s1 = addTermsAt(metric, s1, a + i + 8, b + i + 8);
		s2 = addTermsAt(metric, s2, a + i + 16, b + i + 16);
		s3 = addTermsAt(metric, s3, a + i + 24, b + i + 24);
	}
	for (; i + 8 <= n; i += 8)
		s0 = addTermsAt(metric, s0, a + i, b + i);
	if (i < n)
	{
		__m256i		m = floatTailMask(n - i);

		s1 = addTerms(metric, s1, _mm256_maskload_ps(a + i, m),
					  _mm256_maskload_ps(b + i, m));
	}
	return sumFloats(_mm256_add_ps(_mm256_add_ps(s0, s1),
								   _mm256_add_ps(s2, s3)));
}

static TARGET double
l2Float4(int n, const void *a, const void *b)
{
	return singleSum(VX_METRIC_L2, n, a, b);
}

static TARGET double
ipFloat4(int n, const void *a, const void *b)
{
	return singleSum(VX_METRIC_IP, n, a, b);
}

static TARGET double
l1Float4(int n, const void *a, const void *b)
{
	return singleSum(VX_METRIC_L1, n, a, b);
}

typedef struct CosineSums
{
	__m256		ab;
	__m256		aa;
	__m256		bb;
} CosineSums;

VX_INLINE TARGET CosineSums
addCosineTerms(CosineSums s, __m256 a, __m256 b)
{
	s.ab = _mm256_fmadd_ps(a, b, s.ab);
	s.aa = _mm256_fmadd_ps(a, a, s.aa);
	s.bb = _mm256_fmadd_ps(b, b, s.bb);
	return s;
}

VX_INLINE TARGET CosineSums
addCosineTermsAt(CosineSums s, const float *a, const float *b)
{
	return addCosineTerms(s, _mm256_loadu_ps(a), _mm256_loadu_ps(b));
}

VX_INLINE TARGET CosineSums
addCosineSums(CosineSums s, CosineSums t)
{
	s.ab = _mm256_add_ps(s.ab, t.ab);
	s.aa = _mm256_add_ps(s.aa, t.aa);
	s.bb = _mm256_add_ps(s.bb, t.bb);
	return s;
}

static TARGET double
cosineFloat4(int n, const void *va, const void *vb)
{
	const float *a = va;
	const float *b = vb;
	__m256		zero = _mm256_setzero_ps();
	CosineSums	s0 = {zero, zero, zero};
	CosineSums	s1 = s0;
	CosineSums	s2 = s0;
	CosineSums	s3 = s0;
	int			i = 0;

	for (; i + 32 <= n; i += 32)
	{
		s0 = addCosineTermsAt(s0, a + i, b + i);
		s1 = addCosineTermsAt(s1, a + i + 8, b + i + 8);
		s2 = addCosineTermsAt(s2, a + i + 16, b + i + 16);
		s3 = addCosineTermsAt(s3, a + i + 24, b + i + 24);
	}
	for (; i + 8 <= n; i += 8)
		s0 = addCosineTermsAt(s0, a + i, b + i);
	if (i < n)
	{
		__m256i		m = floatTailMask(n - i);

		s1 = addCosineTerms(s1, _mm256_maskload_ps(a + i, m),
							_mm256_maskload_ps(b + i, m));
	}
	s0 = addCosineSums(addCosineSums(s0, s1), addCosineSums(s2, s3));
	return VxCosineOfSums(sumFloats(s0.ab), sumFloats(s0.aa),
						  sumFloats(s0.bb));
}

/* ---- inner products of codes ---- */

/*
 * 32 bytes of every query plane.  At 8 bits the even and the odd bytes of the
 * only plane, widened to int16.
 */
typedef struct QueryBlock
{
	__m256i		p[4];
} QueryBlock;

VX_INLINE TARGET QueryBlock
loadQuery(int bits, const int8_t *query, int stride)
{
	QueryBlock	q;

	q.p[0] = _mm256_loadu_si256((const __m256i *) query);
	if (bits == 8)
	{
		q.p[1] = _mm256_srai_epi16(q.p[0], 8);
		q.p[0] = _mm256_srai_epi16(_mm256_slli_epi16(q.p[0], 8), 8);
		return q;
	}
	q.p[1] = _mm256_loadu_si256((const __m256i *) (query + stride));
	if (bits == 2)
	{
		q.p[2] = _mm256_loadu_si256((const __m256i *) (query + 2 * stride));
		q.p[3] = _mm256_loadu_si256((const __m256i *) (query + 3 * stride));
	}
	return q;
}

/*
 * Code bytes times query, added to s: int16 lanes for 2 and 4 bits, int32
 * lanes for 8 bits, where a pair of products (2 * 255 * 128) needs 17 bits.
 */
VX_INLINE TARGET __m256i
addProducts(int bits, __m256i s, __m256i c, QueryBlock q)
{
	__m256i		m = _mm256_set1_epi8(bits == 2 ? 3 : 15);
	__m256i		low,
				high;

	if (bits == 8)
	{
		low = _mm256_and_si256(c, _mm256_set1_epi16(255));
		high = _mm256_srli_epi16(c, 8);
		s = _mm256_add_epi32(s, _mm256_madd_epi16(low, q.p[0]));
		return _mm256_add_epi32(s, _mm256_madd_epi16(high, q.p[1]));
	}
	low = _mm256_and_si256(c, m);
	high = _mm256_and_si256(_mm256_srli_epi16(c, bits), m);
	s = _mm256_add_epi16(s, _mm256_maddubs_epi16(low, q.p[0]));
	s = _mm256_add_epi16(s, _mm256_maddubs_epi16(high, q.p[1]));
	if (bits == 2)
	{
		low = _mm256_and_si256(_mm256_srli_epi16(c, 4), m);
		high = _mm256_and_si256(_mm256_srli_epi16(c, 6), m);
		s = _mm256_add_epi16(s, _mm256_maddubs_epi16(low, q.p[2]));
		s = _mm256_add_epi16(s, _mm256_maddubs_epi16(high, q.p[3]));
	}
	return s;
}

/*
 * How many bytes of a code addProducts may take before its sums are widened.
 * Query bytes are -128 .. 127, so one maddubs adds at most, in magnitude,
 *		4 bits: 2 * 15 * 128 = 3840; two planes by 4 blocks make 30720,
 *		2 bits: 2 *  3 * 128 =  768; four planes by 10 blocks make 30720,
 * and both stay within int16 (one more block would not, at 38400 and 33792).
 * At 8 bits the int32 lanes are final: the sum over all dimensions fits up to
 * 65,793 of them.
 */
VX_INLINE int
bytesBeforeWidening(int bits)
{
	return bits == 2 ? 10 * 32 : bits == 4 ? 4 * 32 : 1 << 20;
}

VX_INLINE TARGET __m256i
addWidened(int bits, __m256i sum, __m256i s)
{
	if (bits != 8)
		s = _mm256_madd_epi16(s, _mm256_set1_epi16(1));
	return _mm256_add_epi32(sum, s);
}

VX_INLINE TARGET __m256i
loadCode(const uint8_t *code)
{
	return _mm256_loadu_si256((const __m256i *) code);
}

/*
 * r (< 32) bytes, followed by zeros.  From 16 on, the last 16 bytes are moved
 * down onto those that follow the first 16.
 */
VX_INLINE TARGET __m256i
loadShort(const uint8_t *p, int r)
{
	uint8_t		buf[16] = {0};
	__m128i		low,
				high;

	if (r < 16)
	{
		memcpy(buf, p, r);
		return _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *) buf));
	}
	low = _mm_loadu_si128((const __m128i *) p);
	high = _mm_loadu_si128((const __m128i *) (p + r - 16));
	high = _mm_shuffle_epi8(high, _mm_loadu_si128((const __m128i *) (moveDown + 32 - r)));
	return _mm256_set_m128i(high, low);
}

/*
 * The bytes of a code after the last whole block, to be multiplied with the
 * query at tailStart: what was counted already or is no code is zero.
 */
VX_INLINE TARGET __m256i
loadCodeTail(const uint8_t *code, int nbytes)
{
	if (nbytes < 32)
		return loadShort(code, nbytes);
	return _mm256_and_si256(loadCode(code + nbytes - 32),
							loadCode(clearThenSet + nbytes % 32));
}

VX_INLINE int
tailStart(int nbytes)
{
	return nbytes >= 32 ? nbytes - 32 : 0;
}

/* The inner product of one code */
VX_INLINE TARGET int32_t
codeIpOne(int bits, int nbytes, const uint8_t *code, const int8_t *query,
		  int stride)
{
	const int	whole = nbytes / 32 * 32;
	__m256i		sum = _mm256_setzero_si256();
	__m128i		r;
	int			j = 0;

	while (j < whole)
	{
		int			end = j + bytesBeforeWidening(bits);
		__m256i		s = _mm256_setzero_si256();

		for (end = end < whole ? end : whole; j < end; j += 32)
			s = addProducts(bits, s, loadCode(code + j),
							loadQuery(bits, query + j, stride));
		sum = addWidened(bits, sum, s);
	}
	if (whole < nbytes)
		sum = addWidened(bits, sum,
						 addProducts(bits, _mm256_setzero_si256(),
									 loadCodeTail(code, nbytes),
									 loadQuery(bits, query + tailStart(nbytes),
											   stride)));
	r = _mm_add_epi32(_mm256_castsi256_si128(sum),
					  _mm256_extracti128_si256(sum, 1));
	r = _mm_add_epi32(r, _mm_shuffle_epi32(r, 0x4e));
	r = _mm_add_epi32(r, _mm_shuffle_epi32(r, 0xb1));
	return _mm_cvtsi128_si32(r);
}

/* The inner products of four codes, which share the loads of the query */
VX_INLINE TARGET __m128i
codeIpFour(int bits, int nbytes, const uint8_t *c0, const uint8_t *c1,
		   const uint8_t *c2, const uint8_t *c3, const int8_t *query,
		   int stride)
{
	const int	whole = nbytes / 32 * 32;
	const __m256i zero = _mm256_setzero_si256();
	__m256i		sum0 = zero;
	__m256i		sum1 = zero;
	__m256i		sum2 = zero;
	__m256i		sum3 = zero;
	QueryBlock	q;
	int			j = 0;

	while (j < whole)
	{
		int			end = j + bytesBeforeWidening(bits);
		__m256i		s0 = zero;
		__m256i		s1 = zero;
		__m256i		s2 = zero;
		__m256i		s3 = zero;

		for (end = end < whole ? end : whole; j < end; j += 32)
		{
			q = loadQuery(bits, query + j, stride);
			s0 = addProducts(bits, s0, loadCode(c0 + j), q);
			s1 = addProducts(bits, s1, loadCode(c1 + j), q);
			s2 = addProducts(bits, s2, loadCode(c2 + j), q);
			s3 = addProducts(bits, s3, loadCode(c3 + j), q);
		}
		sum0 = addWidened(bits, sum0, s0);
		sum1 = addWidened(bits, sum1, s1);
		sum2 = addWidened(bits, sum2, s2);
		sum3 = addWidened(bits, sum3, s3);
	}
	if (whole < nbytes)
	{
		q = loadQuery(bits, query + tailStart(nbytes), stride);
		sum0 = addWidened(bits, sum0, addProducts(bits, zero, loadCodeTail(c0, nbytes), q));
		sum1 = addWidened(bits, sum1, addProducts(bits, zero, loadCodeTail(c1, nbytes), q));
		sum2 = addWidened(bits, sum2, addProducts(bits, zero, loadCodeTail(c2, nbytes), q));
		sum3 = addWidened(bits, sum3, addProducts(bits, zero, loadCodeTail(c3, nbytes), q));
	}
	sum0 = _mm256_hadd_epi32(_mm256_hadd_epi32(sum0, sum1),
							 _mm256_hadd_epi32(sum2, sum3));
	return _mm_add_epi32(_mm256_castsi256_si128(sum0),
						 _mm256_extracti128_si256(sum0, 1));
}

VX_INLINE TARGET void
codeIp(int bits, int nbytes, const uint8_t *const *codes, int ncodes,
	   const int8_t *query, int stride, int32_t *out)
{
	int			k = 0;

	for (; k + 4 <= ncodes; k += 4)
		_mm_storeu_si128((__m128i *) (out + k),
						 codeIpFour(bits, nbytes, codes[k], codes[k + 1],
									codes[k + 2], codes[k + 3], query, stride));
	for (; k < ncodes; k++)
		out[k] = codeIpOne(bits, nbytes, codes[k], query, stride);
}

static TARGET void
codeIp2(int nbytes, const uint8_t *const *codes, int ncodes,
		const int8_t *query, int stride, int32_t *out)
{
	codeIp(2, nbytes, codes, ncodes, query, stride, out);
}

static TARGET void
codeIp4(int nbytes, const uint8_t *const *codes, int ncodes,
		const int8_t *query, int stride, int32_t *out)
{
	codeIp(4, nbytes, codes, ncodes, query, stride, out);
}

static TARGET void
codeIp8(int nbytes, const uint8_t *const *codes, int ncodes,
		const int8_t *query, int stride, int32_t *out)
{
	codeIp(8, nbytes, codes, ncodes, query, stride, out);
}

/* ---- L1 distances of scalar codes ---- */

/* The parameters of a plane of one or of two scalar codes */
typedef struct CodePlane
{
	bool		bytes;			/* values are whole bytes; else shift and mask */
	__m128i		shift;
	__m128i		mask;
	__m256		lo_a;
	__m256		step_a;
	__m256		lo_b;
	__m256		step_b;
} CodePlane;

VX_INLINE TARGET CodePlane
makeCodePlane(bool bytes, int shift, int mask, float lo_a, float step_a,
			  float lo_b, float step_b)
{
	CodePlane	c;

	c.bytes = bytes;
	c.shift = _mm_cvtsi32_si128(shift);
	c.mask = _mm_set1_epi8((char) mask);
	c.lo_a = _mm256_set1_ps(lo_a);
	c.step_a = _mm256_set1_ps(step_a);
	c.lo_b = _mm256_set1_ps(lo_b);
	c.step_b = _mm256_set1_ps(step_b);
	return c;
}

/*
 * The values in r (<= 8) bytes of a code as floats.  Shifting int16 lanes
 * moves bits across bytes, but only to where mask is clear.
 */
VX_INLINE TARGET __m256
codeValues(const CodePlane *c, const uint8_t *code, int r)
{
	__m128i		v;
	uint64_t	bytes = 0;

	if (r == 8)
		v = _mm_loadl_epi64((const __m128i *) code);
	else
	{
		memcpy(&bytes, code, r);
		v = _mm_cvtsi64_si128((long long) bytes);
	}
	if (!c->bytes)
		v = _mm_and_si128(_mm_srl_epi16(v, c->shift), c->mask);
	return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(v));
}

/* |code a - x| of eight values */
VX_INLINE TARGET __m256
codeTerms(const CodePlane *c, const uint8_t *a, const float *query)
{
	__m256		va = _mm256_fmadd_ps(c->step_a, codeValues(c, a, 8), c->lo_a);

	return absFloats(_mm256_sub_ps(va, _mm256_loadu_ps(query)));
}

/* The same of the last r values, 0 past those */
VX_INLINE TARGET __m256
codeTailTerms(const CodePlane *c, const uint8_t *a, const float *query, int r)
{
	__m256i		m = floatTailMask(r);
	__m256		va = _mm256_fmadd_ps(c->step_a, codeValues(c, a, r), c->lo_a);

	va = _mm256_sub_ps(va, _mm256_maskload_ps(query, m));
	return _mm256_and_ps(absFloats(va), _mm256_castsi256_ps(m));
}

/* |code a - code b| of r (<= 8) values; past those, of the codes' zeros */
VX_INLINE TARGET __m256
codePairTerms(const CodePlane *c, const uint8_t *a, const uint8_t *b, int r)
{
	__m256		va = _mm256_fmadd_ps(c->step_a, codeValues(c, a, r), c->lo_a);
	__m256		vb = _mm256_fmadd_ps(c->step_b, codeValues(c, b, r), c->lo_b);

	return absFloats(_mm256_sub_ps(va, vb));
}

VX_INLINE TARGET float
sumCodeTerms(const CodePlane *c, int n, const uint8_t *a, const float *query)
{
	__m256		s0 = _mm256_setzero_ps();
	__m256		s1 = s0;
	__m256		s2 = s0;
	__m256		s3 = s0;
	int			i = 0;

	for (; i + 32 <= n; i += 32)
	{
		s0 = _mm256_add_ps(s0, codeTerms(c, a + i, query + i));
		s1 = _mm256_add_ps(s1, codeTerms(c, a + i + 8, query + i + 8));
		s2 = _mm256_add_ps(s2, codeTerms(c, a + i + 16, query + i + 16));
		s3 = _mm256_add_ps(s3, codeTerms(c, a + i + 24, query + i + 24));
	}
	for (; i + 8 <= n; i += 8)
		s0 = _mm256_add_ps(s0, codeTerms(c, a + i, query + i));
	if (i < n)
		s1 = _mm256_add_ps(s1, codeTailTerms(c, a + i, query + i, n - i));
	return sumFloats(_mm256_add_ps(_mm256_add_ps(s0, s1),
								   _mm256_add_ps(s2, s3)));
}

VX_INLINE TARGET float
sumCodePairTerms(const CodePlane *c, int n, const uint8_t *a, const uint8_t *b)
{
	__m256		s0 = _mm256_setzero_ps();
	__m256		s1 = s0;
	__m256		s2 = s0;
	__m256		s3 = s0;
	__m256		t;
	int			i = 0;

	for (; i + 32 <= n; i += 32)
	{
		s0 = _mm256_add_ps(s0, codePairTerms(c, a + i, b + i, 8));
		s1 = _mm256_add_ps(s1, codePairTerms(c, a + i + 8, b + i + 8, 8));
		s2 = _mm256_add_ps(s2, codePairTerms(c, a + i + 16, b + i + 16, 8));
		s3 = _mm256_add_ps(s3, codePairTerms(c, a + i + 24, b + i + 24, 8));
	}
	for (; i + 8 <= n; i += 8)
		s0 = _mm256_add_ps(s0, codePairTerms(c, a + i, b + i, 8));
	if (i < n)
	{
		t = codePairTerms(c, a + i, b + i, n - i);
		s1 = _mm256_add_ps(s1, _mm256_and_ps(t, _mm256_castsi256_ps(floatTailMask(n - i))));
	}
	return sumFloats(_mm256_add_ps(_mm256_add_ps(s0, s1),
								   _mm256_add_ps(s2, s3)));
}

static TARGET float
codeL1(int n, const uint8_t *code, int shift, int mask, float lo, float step,
	   const float *query)
{
	CodePlane	c;

	if (mask == 255)
	{
		c = makeCodePlane(true, 0, 0, lo, step, 0, 0);
		return sumCodeTerms(&c, n, code, query);
	}
	c = makeCodePlane(false, shift, mask, lo, step, 0, 0);
	return sumCodeTerms(&c, n, code, query);
}

static TARGET float
codeL1Codes(int n, const uint8_t *a, const uint8_t *b, int shift, int mask,
			float lo_a, float step_a, float lo_b, float step_b)
{
	CodePlane	c;

	if (mask == 255)
	{
		c = makeCodePlane(true, 0, 0, lo_a, step_a, lo_b, step_b);
		return sumCodePairTerms(&c, n, a, b);
	}
	c = makeCodePlane(false, shift, mask, lo_a, step_a, lo_b, step_b);
	return sumCodePairTerms(&c, n, a, b);
}

/* ---- transforms ---- */

/* other + x in the lower half of each pair, other - x where sign is set */
VX_INLINE TARGET __m256
addOrSubtract(__m256 other, __m256 x, __m256 sign)
{
	return _mm256_add_ps(other, _mm256_xor_ps(x, sign));
}

/* Strides 1, 2 and 4 within eight elements */
VX_INLINE TARGET __m256
fhtWithin(__m256 x)
{
	const __m256 sign1 = _mm256_setr_ps(0, -0.0f, 0, -0.0f, 0, -0.0f, 0, -0.0f);
	const __m256 sign2 = _mm256_setr_ps(0, 0, -0.0f, -0.0f, 0, 0, -0.0f, -0.0f);
	const __m256 sign4 = _mm256_setr_ps(0, 0, 0, 0, -0.0f, -0.0f, -0.0f, -0.0f);

	x = addOrSubtract(_mm256_permute_ps(x, 0xb1), x, sign1);
	x = addOrSubtract(_mm256_permute_ps(x, 0x4e), x, sign2);
	return addOrSubtract(_mm256_permute2f128_ps(x, x, 0x01), x, sign4);
}

#define FHT_WIDTH 8
#define FHT_LOAD(p) _mm256_loadu_ps(p)
#define FHT_STORE(p, v) _mm256_storeu_ps(p, v)
#define FHT_ADD(a, b) _mm256_add_ps(a, b)
#define FHT_SUB(a, b) _mm256_sub_ps(a, b)
typedef __m256 FhtVector;
#include "kernels/fht_impl.h"

static TARGET void
flip(int n, float *x, uint64_t signs, float factor)
{
	const __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
	const __m256 f = _mm256_set1_ps(factor);
	int			i = 0;

	for (; i + 8 <= n; i += 8)
	{
		__m256i		bits = _mm256_and_si256(_mm256_set1_epi32((int) (signs >> i & 255)), lanes);
		__m256i		sign = _mm256_slli_epi32(_mm256_cmpeq_epi32(bits, lanes), 31);

		_mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i),
											  _mm256_xor_ps(f, _mm256_castsi256_ps(sign))));
	}
	VxFlipScalar(i, n, x, signs, factor);
}

static TARGET void
toInt8(int n, const float *x, float factor, int8_t *out)
{
	const __m256 f = _mm256_set1_ps(factor);
	int			i = 0;

	for (; i + 16 <= n; i += 16)
	{
		__m256i		a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), f));
		__m256i		b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8), f));
		__m256i		ab = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);

		_mm_storeu_si128((__m128i *) (out + i),
						 _mm_packs_epi16(_mm256_castsi256_si128(ab),
										 _mm256_extracti128_si256(ab, 1)));
	}
	VxToInt8Scalar(i, n, x, factor, out);
}

static TARGET float
largest(int n, const float *x)
{
	const __m256 sign = _mm256_set1_ps(-0.0f);
	__m256		m = _mm256_setzero_ps();
	float		lanes[8];
	int			i = 0;

	for (; i + 8 <= n; i += 8)
		m = _mm256_max_ps(m, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)));
	_mm256_storeu_ps(lanes, m);
	return VxLargestScalar(i, n, x, VxLargestScalar(0, 8, lanes, 0));
}

/* Grid points of eight elements: clamped and rounded as gridFit says */
VX_INLINE TARGET __m256
gridValues(__m256 x, __m256 inv_step, __m256 min, __m256 max)
{
	__m256		t = _mm256_mul_ps(x, inv_step);

	t = _mm256_min_ps(_mm256_max_ps(t, min), max);
	return _mm256_add_ps(_mm256_floor_ps(t), _mm256_set1_ps(0.5f));
}

static TARGET void
gridFit(int n, const float *x, float inv_step, int half, float *dot, float *sq)
{
	const __m256 inv = _mm256_set1_ps(inv_step);
	const __m256 min = _mm256_set1_ps((float) -half);
	const __m256 max = _mm256_set1_ps((float) (half - 1));
	__m256		d0 = _mm256_setzero_ps();
	__m256		d1 = d0;
	__m256		s0 = d0;
	__m256		s1 = d0;
	__m256		u,
				v;
	int			i = 0;

	for (; i + 16 <= n; i += 16)
	{
		u = _mm256_loadu_ps(x + i);
		v = gridValues(u, inv, min, max);
		d0 = _mm256_fmadd_ps(v, u, d0);
		s0 = _mm256_fmadd_ps(v, v, s0);
		u = _mm256_loadu_ps(x + i + 8);
		v = gridValues(u, inv, min, max);
		d1 = _mm256_fmadd_ps(v, u, d1);
		s1 = _mm256_fmadd_ps(v, v, s1);
	}
	for (; i < n; i += 8)
	{
		__m256i		m = floatTailMask(n - i < 8 ? n - i : 8);

		u = _mm256_maskload_ps(x + i, m);
		v = _mm256_and_ps(gridValues(u, inv, min, max), _mm256_castsi256_ps(m));
		d0 = _mm256_fmadd_ps(v, u, d0);
		s0 = _mm256_fmadd_ps(v, v, s0);
	}
	*dot = sumFloats(_mm256_add_ps(d0, d1));
	*sq = sumFloats(_mm256_add_ps(s0, s1));
}

/* The centred values of one plane of 32 code bytes */
VX_INLINE TARGET __m256i
centredValues(int bits, __m256i c, int plane)
{
	__m256i		max = _mm256_set1_epi8((char) ((1 << bits) - 1));

	if (bits == 8)
		return _mm256_xor_si256(c, _mm256_set1_epi8(-128));
	c = _mm256_and_si256(_mm256_srli_epi16(c, bits * plane), max);
	return _mm256_sub_epi8(_mm256_add_epi8(c, c), max);
}

static TARGET void
codeUnpack(int dims, int bits, const uint8_t *code, int8_t *query, int stride)
{
	int			nbytes = VxCodeBytes(dims, bits);

	for (int j = 0; j < nbytes; j += 32)
	{
		__m256i		c = nbytes - j >= 32 ? loadCode(code + j) :
			loadShort(code + j, nbytes - j);

		for (int p = 0; p < 8 / bits; p++)
			_mm256_storeu_si256((__m256i *) (query + p * stride + j),
								centredValues(bits, c, p));
	}
	VxClearBeyondDims(dims, bits, query, stride);
}

const VxKernelSet VxKernelsAvx2 = {
	.name = "avx2",
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

#else

/* ISO C wants something in every file */
typedef int VxAvx2NotHere;

#endif							/* __x86_64__ */
