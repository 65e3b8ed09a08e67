/*-------------------------------------------------------------------------
 *
 * avx512.c
 *	  The distance kernels for x86-64 with AVX-512 F, BW, VL, DQ and VNNI.
 *
 * Tails use masked loads, which do not touch memory where the mask is clear,
 * so that nothing is read past an array's end.  Code products use dpbusd,
 * which sums four products of unsigned code bytes and signed query bytes into
 * int32 without saturating, whence there is no widening to think about.
 *
 *-------------------------------------------------------------------------
 */
#if defined(__x86_64__) || defined(VX_SIMDE)

#include <immintrin.h>

#include "kernels/kernels_impl.h"

#define TARGET	VX_TARGET("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

/* The first r (0 .. 16) lanes of floats, and the first r (1 .. 64) of bytes */
VX_INLINE __mmask16
firstFloats(int r)
{
	return (__mmask16) ((1u << r) - 1);
}

VX_INLINE __mmask64
firstBytes(int r)
{
	return (__mmask64) (~UINT64_C(0) >> (64 - r));
}

VX_INLINE TARGET float
sumFloats(__m512 v)
{
	__m256		h = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
	__m128		s;

	h = _mm256_add_ps(_mm512_castps512_ps256(v), h);
	s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	s = _mm_add_ss(s, _mm_movehdup_ps(s));
	return _mm_cvtss_f32(s);
}

VX_INLINE TARGET __m256i
sumHalves(__m512i v)
{
	return _mm256_add_epi32(_mm512_castsi512_si256(v),
							_mm512_extracti64x4_epi64(v, 1));
}

/* ---- exact distances ---- */

/* s plus the terms of 16 elements, for the metrics with a single sum */
VX_INLINE TARGET __m512
addTerms(VxMetric metric, __m512 s, __m512 a, __m512 b)
{
	__m512		d;

	if (metric == VX_METRIC_IP)
		return _mm512_fmadd_ps(a, b, s);
	d = _mm512_sub_ps(a, b);
	if (metric == VX_METRIC_L2)
		return _mm512_fmadd_ps(d, d, s);
	return _mm512_add_ps(s, _mm512_abs_ps(d));
}

VX_INLINE TARGET __m512
addTermsAt(VxMetric metric, __m512 s, const float *a, const float *b)
{
	return addTerms(metric, s, _mm512_loadu_ps(a), _mm512_loadu_ps(b));
}

VX_INLINE TARGET double
singleSum(VxMetric metric, int n, const float *a, const float *b)
{
	__m512		s0 = _mm512_setzero_ps();
	__m512		s1 = _mm512_setzero_ps();
	__m512		s2 = _mm512_setzero_ps();
	__m512		s3 = _mm512_setzero_ps();
	int			i = 0;

	for (; i + 64 <= n; i += 64)
	{
		s0 = addTermsAt(metric, s0, a + i, b + i);
		s1 = addTermsAt(metric, s1, a + i + 16, b + i + 16);
		s2 = addTermsAt(metric, s2, a + i + 32, b + i + 32);
		s3 = addTermsAt(metric, s3, a + i + 48, b + i + 48);
	}
	for (; i + 16 <= n; i += 16)
		s0 = addTermsAt(metric, s0, a + i, b + i);
	if (i < n)
	{
		__mmask16	m = firstFloats(n - i);

		s1 = addTerms(metric, s1, _mm512_maskz_loadu_ps(m, a + i),
					  _mm512_maskz_loadu_ps(m, b + i));
	}
	return sumFloats(_mm512_add_ps(_mm512_add_ps(s0, s1),
								   _mm512_add_ps(s2, s3)));
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
	__m512		ab;
	__m512		aa;
	__m512		bb;
} CosineSums;

VX_INLINE TARGET CosineSums
addCosineTerms(CosineSums s, __m512 a, __m512 b)
{
	s.ab = _mm512_fmadd_ps(a, b, s.ab);
	s.aa = _mm512_fmadd_ps(a, a, s.aa);
	s.bb = _mm512_fmadd_ps(b, b, s.bb);
	return s;
}

VX_INLINE TARGET CosineSums
addCosineTermsAt(CosineSums s, const float *a, const float *b)
{
	return addCosineTerms(s, _mm512_loadu_ps(a), _mm512_loadu_ps(b));
}

VX_INLINE TARGET CosineSums
addCosineSums(CosineSums s, CosineSums t)
{
	s.ab = _mm512_add_ps(s.ab, t.ab);
	s.aa = _mm512_add_ps(s.aa, t.aa);
	s.bb = _mm512_add_ps(s.bb, t.bb);
	return s;
}

static TARGET double
cosineFloat4(int n, const void *va, const void *vb)
{
	const float *a = va;
	const float *b = vb;
	__m512		zero = _mm512_setzero_ps();
	CosineSums	s0 = {zero, zero, zero};
	CosineSums	s1 = s0;
	CosineSums	s2 = s0;
	CosineSums	s3 = s0;
	int			i = 0;

	for (; i + 64 <= n; i += 64)
	{
		s0 = addCosineTermsAt(s0, a + i, b + i);
		s1 = addCosineTermsAt(s1, a + i + 16, b + i + 16);
		s2 = addCosineTermsAt(s2, a + i + 32, b + i + 32);
		s3 = addCosineTermsAt(s3, a + i + 48, b + i + 48);
	}
	for (; i + 16 <= n; i += 16)
		s0 = addCosineTermsAt(s0, a + i, b + i);
	if (i < n)
	{
		__mmask16	m = firstFloats(n - i);

		s1 = addCosineTerms(s1, _mm512_maskz_loadu_ps(m, a + i),
							_mm512_maskz_loadu_ps(m, b + i));
	}
	s0 = addCosineSums(addCosineSums(s0, s1), addCosineSums(s2, s3));
	return VxCosineOfSums(sumFloats(s0.ab), sumFloats(s0.aa),
						  sumFloats(s0.bb));
}

/* ---- inner products of codes ---- */

/* 64 bytes of every query plane */
typedef struct QueryBlock
{
	__m512i		p[4];
} QueryBlock;

/* The sums of one code; two, as dpbusd takes longer than a step of the loop */
typedef struct CodeSums
{
	__m512i		even;			/* of planes 0 and 2 */
	__m512i		odd;			/* of planes 1 and 3 */
} CodeSums;

VX_INLINE TARGET QueryBlock
loadQuery(int bits, const int8_t *query, int stride)
{
	QueryBlock	q;

	q.p[0] = _mm512_loadu_si512(query);
	if (bits <= 4)
		q.p[1] = _mm512_loadu_si512(query + stride);
	if (bits == 2)
	{
		q.p[2] = _mm512_loadu_si512(query + 2 * stride);
		q.p[3] = _mm512_loadu_si512(query + 3 * stride);
	}
	return q;
}

VX_INLINE TARGET CodeSums
addProducts(int bits, CodeSums s, __m512i c, QueryBlock q)
{
	__m512i		m = _mm512_set1_epi8(bits == 2 ? 3 : 15);

	if (bits == 8)
	{
		s.even = _mm512_dpbusd_epi32(s.even, c, q.p[0]);
		return s;
	}
	s.even = _mm512_dpbusd_epi32(s.even, _mm512_and_si512(c, m), q.p[0]);
	s.odd = _mm512_dpbusd_epi32(s.odd, _mm512_and_si512(_mm512_srli_epi16(c, bits), m),
								q.p[1]);
	if (bits == 2)
	{
		s.even = _mm512_dpbusd_epi32(s.even, _mm512_and_si512(_mm512_srli_epi16(c, 4), m),
									 q.p[2]);
		s.odd = _mm512_dpbusd_epi32(s.odd, _mm512_and_si512(_mm512_srli_epi16(c, 6), m),
									q.p[3]);
	}
	return s;
}

VX_INLINE TARGET __m256i
sumOfCode(CodeSums s)
{
	return sumHalves(_mm512_add_epi32(s.even, s.odd));
}

/*
 * The inner products of four codes, which share the loads of the query.  A
 * query may be read up to its stride, a multiple of 64.
 */
VX_INLINE TARGET __m128i
codeIpFour(int bits, int nbytes, const uint8_t *c0, const uint8_t *c1,
		   const uint8_t *c2, const uint8_t *c3, const int8_t *query,
		   int stride)
{
	const __m512i zero = _mm512_setzero_si512();
	CodeSums	s0 = {zero, zero};
	CodeSums	s1 = s0;
	CodeSums	s2 = s0;
	CodeSums	s3 = s0;
	QueryBlock	q;
	__m256i		sum;
	int			j = 0;

	for (; j + 64 <= nbytes; j += 64)
	{
		q = loadQuery(bits, query + j, stride);
		s0 = addProducts(bits, s0, _mm512_loadu_si512(c0 + j), q);
		s1 = addProducts(bits, s1, _mm512_loadu_si512(c1 + j), q);
		s2 = addProducts(bits, s2, _mm512_loadu_si512(c2 + j), q);
		s3 = addProducts(bits, s3, _mm512_loadu_si512(c3 + j), q);
	}
	if (j < nbytes)
	{
		__mmask64	m = firstBytes(nbytes - j);

		q = loadQuery(bits, query + j, stride);
		s0 = addProducts(bits, s0, _mm512_maskz_loadu_epi8(m, c0 + j), q);
		s1 = addProducts(bits, s1, _mm512_maskz_loadu_epi8(m, c1 + j), q);
		s2 = addProducts(bits, s2, _mm512_maskz_loadu_epi8(m, c2 + j), q);
		s3 = addProducts(bits, s3, _mm512_maskz_loadu_epi8(m, c3 + j), q);
	}
	sum = _mm256_hadd_epi32(_mm256_hadd_epi32(sumOfCode(s0), sumOfCode(s1)),
							_mm256_hadd_epi32(sumOfCode(s2), sumOfCode(s3)));
	return _mm_add_epi32(_mm256_castsi256_si128(sum),
						 _mm256_extracti128_si256(sum, 1));
}

/* The inner product of one code */
VX_INLINE TARGET int32_t
codeIpOne(int bits, int nbytes, const uint8_t *code, const int8_t *query,
		  int stride)
{
	const __m512i zero = _mm512_setzero_si512();
	CodeSums	s = {zero, zero};
	__m256i		sum;
	__m128i		r;
	int			j = 0;

	for (; j + 64 <= nbytes; j += 64)
		s = addProducts(bits, s, _mm512_loadu_si512(code + j),
						loadQuery(bits, query + j, stride));
	if (j < nbytes)
		s = addProducts(bits, s,
						_mm512_maskz_loadu_epi8(firstBytes(nbytes - j), code + j),
						loadQuery(bits, query + j, stride));
	sum = sumOfCode(s);
	r = _mm_add_epi32(_mm256_castsi256_si128(sum),
					  _mm256_extracti128_si256(sum, 1));
	r = _mm_add_epi32(r, _mm_shuffle_epi32(r, 0x4e));
	r = _mm_add_epi32(r, _mm_shuffle_epi32(r, 0xb1));
	return _mm_cvtsi128_si32(r);
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

/*
 * The values in the bytes of a code that m selects, as floats.  Shifting
 * int16 lanes moves bits across bytes, but only to where mask is clear.
 */
VX_INLINE TARGET __m512
codeValues(const uint8_t *code, __mmask16 m, __m128i shift, __m128i mask)
{
	__m128i		c = _mm_maskz_loadu_epi8(m, code);

	c = _mm_and_si128(_mm_srl_epi16(c, shift), mask);
	return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(c));
}

/* The parameters of a plane of one or of two scalar codes */
typedef struct CodePlane
{
	__m128i		shift;
	__m128i		mask;
	__m512		lo_a;
	__m512		step_a;
	__m512		lo_b;
	__m512		step_b;
} CodePlane;

VX_INLINE TARGET CodePlane
makeCodePlane(int shift, int mask, float lo_a, float step_a, float lo_b,
			  float step_b)
{
	CodePlane	c;

	c.shift = _mm_cvtsi32_si128(shift);
	c.mask = _mm_set1_epi8((char) mask);
	c.lo_a = _mm512_set1_ps(lo_a);
	c.step_a = _mm512_set1_ps(step_a);
	c.lo_b = _mm512_set1_ps(lo_b);
	c.step_b = _mm512_set1_ps(step_b);
	return c;
}

/* |code a - query| where m selects, else 0 */
VX_INLINE TARGET __m512
codeTerms(const CodePlane *c, const uint8_t *a, const float *query, __mmask16 m)
{
	__m512		va = codeValues(a, m, c->shift, c->mask);

	va = _mm512_sub_ps(_mm512_fmadd_ps(c->step_a, va, c->lo_a),
					   _mm512_maskz_loadu_ps(m, query));
	return _mm512_maskz_mov_ps(m, _mm512_abs_ps(va));
}

/* |code a - code b| where m selects, else 0 */
VX_INLINE TARGET __m512
codePairTerms(const CodePlane *c, const uint8_t *a, const uint8_t *b,
			  __mmask16 m)
{
	__m512		va = codeValues(a, m, c->shift, c->mask);
	__m512		vb = codeValues(b, m, c->shift, c->mask);

	va = _mm512_sub_ps(_mm512_fmadd_ps(c->step_a, va, c->lo_a),
					   _mm512_fmadd_ps(c->step_b, vb, c->lo_b));
	return _mm512_maskz_mov_ps(m, _mm512_abs_ps(va));
}

static TARGET float
codeL1(int n, const uint8_t *code, int shift, int mask, float lo, float step,
	   const float *query)
{
	const CodePlane c = makeCodePlane(shift, mask, lo, step, 0, 0);
	const __mmask16 all = firstFloats(16);
	__m512		s0 = _mm512_setzero_ps();
	__m512		s1 = s0;
	int			i = 0;

	for (; i + 32 <= n; i += 32)
	{
		s0 = _mm512_add_ps(s0, codeTerms(&c, code + i, query + i, all));
		s1 = _mm512_add_ps(s1, codeTerms(&c, code + i + 16, query + i + 16, all));
	}
	for (; i < n; i += 16)
		s0 = _mm512_add_ps(s0, codeTerms(&c, code + i, query + i,
										 firstFloats(n - i < 16 ? n - i : 16)));
	return sumFloats(_mm512_add_ps(s0, s1));
}

static TARGET float
codeL1Codes(int n, const uint8_t *a, const uint8_t *b, int shift, int mask,
			float lo_a, float step_a, float lo_b, float step_b)
{
	const CodePlane c = makeCodePlane(shift, mask, lo_a, step_a, lo_b, step_b);
	const __mmask16 all = firstFloats(16);
	__m512		s0 = _mm512_setzero_ps();
	__m512		s1 = s0;
	int			i = 0;

	for (; i + 32 <= n; i += 32)
	{
		s0 = _mm512_add_ps(s0, codePairTerms(&c, a + i, b + i, all));
		s1 = _mm512_add_ps(s1, codePairTerms(&c, a + i + 16, b + i + 16, all));
	}
	for (; i < n; i += 16)
		s0 = _mm512_add_ps(s0, codePairTerms(&c, a + i, b + i,
											 firstFloats(n - i < 16 ? n - i : 16)));
	return sumFloats(_mm512_add_ps(s0, s1));
}

/* ---- transforms ---- */

/* other + x in the lower half of each pair, other - x where upper is set */
VX_INLINE TARGET __m512
addOrSubtract(__m512 other, __m512 x, __mmask16 upper)
{
	return _mm512_mask_sub_ps(_mm512_add_ps(other, x), upper, other, x);
}

/* Strides 1, 2, 4 and 8 within 16 elements */
VX_INLINE TARGET __m512
fhtWithin(__m512 x)
{
	const __m512i flip4 = _mm512_setr_epi32(4, 5, 6, 7, 0, 1, 2, 3,
											12, 13, 14, 15, 8, 9, 10, 11);
	const __m512i flip8 = _mm512_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15,
											0, 1, 2, 3, 4, 5, 6, 7);

	x = addOrSubtract(_mm512_shuffle_ps(x, x, 0xb1), x, 0xaaaa);
	x = addOrSubtract(_mm512_shuffle_ps(x, x, 0x4e), x, 0xcccc);
	x = addOrSubtract(_mm512_permutexvar_ps(flip4, x), x, 0xf0f0);
	return addOrSubtract(_mm512_permutexvar_ps(flip8, x), x, 0xff00);
}

#define FHT_WIDTH 16
#define FHT_LOAD(p) _mm512_loadu_ps(p)
#define FHT_STORE(p, v) _mm512_storeu_ps(p, v)
#define FHT_ADD(a, b) _mm512_add_ps(a, b)
#define FHT_SUB(a, b) _mm512_sub_ps(a, b)
typedef __m512 FhtVector;
#include "kernels/fht_impl.h"

static TARGET void
flip(int n, float *x, uint64_t signs, float factor)
{
	const __m512 f = _mm512_set1_ps(factor);
	const __m512 zero = _mm512_setzero_ps();
	int			i = 0;

	for (; i + 16 <= n; i += 16)
	{
		__m512		v = _mm512_mul_ps(_mm512_loadu_ps(x + i), f);

		_mm512_storeu_ps(x + i, _mm512_mask_sub_ps(v, (__mmask16) (signs >> i), zero, v));
	}
	VxFlipScalar(i, n, x, signs, factor);
}

static TARGET void
toInt8(int n, const float *x, float factor, int8_t *out)
{
	const __m512 f = _mm512_set1_ps(factor);
	int			i = 0;

	for (; i + 16 <= n; i += 16)
	{
		__m512i		v = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), f));

		_mm_storeu_si128((__m128i *) (out + i), _mm512_cvtsepi32_epi8(v));
	}
	VxToInt8Scalar(i, n, x, factor, out);
}

static TARGET float
largest(int n, const float *x)
{
	__m512		m = _mm512_setzero_ps();
	float		lanes[16];
	int			i = 0;

	for (; i + 16 <= n; i += 16)
		m = _mm512_max_ps(m, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
	_mm512_storeu_ps(lanes, m);
	return VxLargestScalar(i, n, x, VxLargestScalar(0, 16, lanes, 0));
}

/* Grid points of 16 elements: clamped, then rounded; see plain.c */
VX_INLINE TARGET __m512
gridValues(__m512 x, __m512 inv_step, __m512 min, __m512 max)
{
	__m512		t = _mm512_mul_ps(x, inv_step);

	t = _mm512_min_ps(_mm512_max_ps(t, min), max);
	return _mm512_add_ps(_mm512_floor_ps(t), _mm512_set1_ps(0.5f));
}

static TARGET void
gridFit(int n, const float *x, float inv_step, int half, float *dot, float *sq)
{
	const __m512 inv = _mm512_set1_ps(inv_step);
	const __m512 min = _mm512_set1_ps((float) -half);
	const __m512 max = _mm512_set1_ps((float) (half - 1));
	__m512		d0 = _mm512_setzero_ps();
	__m512		d1 = d0;
	__m512		s0 = d0;
	__m512		s1 = d0;
	__m512		u,
				v;
	int			i = 0;

	for (; i + 32 <= n; i += 32)
	{
		u = _mm512_loadu_ps(x + i);
		v = gridValues(u, inv, min, max);
		d0 = _mm512_fmadd_ps(v, u, d0);
		s0 = _mm512_fmadd_ps(v, v, s0);
		u = _mm512_loadu_ps(x + i + 16);
		v = gridValues(u, inv, min, max);
		d1 = _mm512_fmadd_ps(v, u, d1);
		s1 = _mm512_fmadd_ps(v, v, s1);
	}
	for (; i < n; i += 16)
	{
		__mmask16	m = firstFloats(n - i < 16 ? n - i : 16);

		u = _mm512_maskz_loadu_ps(m, x + i);
		v = _mm512_maskz_mov_ps(m, gridValues(u, inv, min, max));
		d0 = _mm512_fmadd_ps(v, u, d0);
		s0 = _mm512_fmadd_ps(v, v, s0);
	}
	*dot = sumFloats(_mm512_add_ps(d0, d1));
	*sq = sumFloats(_mm512_add_ps(s0, s1));
}

/* The centred values of one plane of 64 code bytes */
VX_INLINE TARGET __m512i
centredValues(int bits, __m512i c, int plane)
{
	__m512i		max = _mm512_set1_epi8((char) ((1 << bits) - 1));

	if (bits == 8)
		return _mm512_xor_si512(c, _mm512_set1_epi8(-128));
	c = _mm512_srl_epi16(c, _mm_cvtsi32_si128(bits * plane));
	c = _mm512_and_si512(c, max);
	return _mm512_sub_epi8(_mm512_add_epi8(c, c), max);
}

static TARGET void
codeUnpack(int dims, int bits, const uint8_t *code, int8_t *query, int stride)
{
	int			nbytes = VxCodeBytes(dims, bits);

	for (int j = 0; j < nbytes; j += 64)
	{
		int			r = nbytes - j < 64 ? nbytes - j : 64;
		__m512i		c = _mm512_maskz_loadu_epi8(firstBytes(r), code + j);

		for (int p = 0; p < 8 / bits; p++)
			_mm512_storeu_si512(query + p * stride + j,
								centredValues(bits, c, p));
	}
	VxClearBeyondDims(dims, bits, query, stride);
}

const VxKernelSet VxKernelsAvx512 = {
	.name = "avx512",
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
typedef int VxAvx512NotHere;

#endif							/* __x86_64__ */
