/*-------------------------------------------------------------------------
 *
 * neon.c
 *	  The distance kernels for 64-bit ARM: one set for every such processor,
 *	  and one that takes code products by the dot product instruction of
 *	  ARMv8.2.
 *
 * That instruction multiplies signed bytes; so does all of this file, and codes
 * of 8 bits are taken as v - 128, which 128 times the sum of the query makes
 * good.  clang before 16 declares its intrinsic only under flags for the whole
 * file, see kernels_impl.h; the two sets are then the same.
 *
 * No load reaches past an array's end, since vectors and codes lie in buffer
 * pages: tails of float4 arrays are done one by one; for bytes, the last 16
 * are loaded again and those already counted are cleared.
 *
 *-------------------------------------------------------------------------
 */
#if defined(__aarch64__) || defined(VX_SIMDE)

#include <arm_neon.h>
#include <string.h>

#include "kernels/kernels_impl.h"

#if !defined(__clang__) || __clang_major__ >= 16 || \
	defined(__ARM_FEATURE_DOTPROD) || defined(VX_SIMDE)
#define HAVE_DOT
#endif

#if defined(HAVE_DOT) && !defined(__ARM_FEATURE_DOTPROD)
#define DOT_TARGET	VX_TARGET("arch=armv8.2-a+dotprod")
#else
#define DOT_TARGET
#endif

/* 16 bytes from clearThenSet + r: set in the last r bytes only */
static const uint8_t clearThenSet[32] = {
	[16] = 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255
};

VX_INLINE float
sumFloats(float32x4_t s0, float32x4_t s1, float32x4_t s2, float32x4_t s3)
{
	return vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)));
}

/* ---- exact distances ---- */

/* s plus the terms of four elements, for the metrics with a single sum */
VX_INLINE float32x4_t
addTerms(VxMetric metric, float32x4_t s, const float *pa, const float *pb)
{
	float32x4_t a = vld1q_f32(pa);
	float32x4_t b = vld1q_f32(pb);
	float32x4_t d;

	if (metric == VX_METRIC_IP)
		return vfmaq_f32(s, a, b);
	if (metric == VX_METRIC_L1)
		return vaddq_f32(s, vabdq_f32(a, b));
	d = vsubq_f32(a, b);
	return vfmaq_f32(s, d, d);
}

VX_INLINE float
oneTerm(VxMetric metric, float a, float b)
{
	if (metric == VX_METRIC_IP)
		return a * b;
	return metric == VX_METRIC_L1 ? fabsf(a - b) : (a - b) * (a - b);
}

VX_INLINE double
singleSum(VxMetric metric, int n, const float *a, const float *b)
{
	float32x4_t s0 = vdupq_n_f32(0);
	float32x4_t s1 = s0;
	float32x4_t s2 = s0;
	float32x4_t s3 = s0;
	float		tail = 0;
	int			i = 0;

	for (; i + 16 <= n; i += 16)
	{
		s0 = addTerms(metric, s0, a + i, b + i);
		s1 = addTerms(metric, s1, a + i + 4, b + i + 4);
		s2 = addTerms(metric, s2, a + i + 8, b + i + 8);
		s3 = addTerms(metric, s3, a + i + 12, b + i + 12);
	}
	for (; i + 4 <= n; i += 4)
		s0 = addTerms(metric, s0, a + i, b + i);
	for (; i < n; i++)
		tail += oneTerm(metric, a[i], b[i]);
	return sumFloats(s0, s1, s2, s3) + tail;
}

static double
l2Float4(int n, const void *a, const void *b)
{
	return singleSum(VX_METRIC_L2, n, a, b);
}

static double
ipFloat4(int n, const void *a, const void *b)
{
	return singleSum(VX_METRIC_IP, n, a, b);
}

static double
l1Float4(int n, const void *a, const void *b)
{
	return singleSum(VX_METRIC_L1, n, a, b);
}

typedef struct CosineSums
{
	float32x4_t ab;
	float32x4_t aa;
	float32x4_t bb;
} CosineSums;

VX_INLINE CosineSums
addCosineTerms(CosineSums s, const float *pa, const float *pb)
{
	float32x4_t a = vld1q_f32(pa);
	float32x4_t b = vld1q_f32(pb);

	s.ab = vfmaq_f32(s.ab, a, b);
	s.aa = vfmaq_f32(s.aa, a, a);
	s.bb = vfmaq_f32(s.bb, b, b);
	return s;
}

static double
cosineFloat4(int n, const void *va, const void *vb)
{
	const float *a = va;
	const float *b = vb;
	float32x4_t zero = vdupq_n_f32(0);
	CosineSums	s0 = {zero, zero, zero};
	CosineSums	s1 = s0;
	CosineSums	s2 = s0;
	CosineSums	s3 = s0;
	float		ab = 0,
				aa = 0,
				bb = 0;
	int			i = 0;

	for (; i + 16 <= n; i += 16)
	{
		s0 = addCosineTerms(s0, a + i, b + i);
		s1 = addCosineTerms(s1, a + i + 4, b + i + 4);
		s2 = addCosineTerms(s2, a + i + 8, b + i + 8);
		s3 = addCosineTerms(s3, a + i + 12, b + i + 12);
	}
	for (; i + 4 <= n; i += 4)
		s0 = addCosineTerms(s0, a + i, b + i);
	for (; i < n; i++)
	{
		ab += a[i] * b[i];
		aa += a[i] * a[i];
		bb += b[i] * b[i];
	}
	return VxCosineOfSums(sumFloats(s0.ab, s1.ab, s2.ab, s3.ab) + ab,
						  sumFloats(s0.aa, s1.aa, s2.aa, s3.aa) + aa,
						  sumFloats(s0.bb, s1.bb, s2.bb, s3.bb) + bb);
}

/* ---- inner products of codes ---- */

/*
 * s plus the products of 16 pairs of signed bytes, four to a lane; int16 holds
 * one product, which is up to 128 * 128.
 */
VX_INLINE int32x4_t
signedProducts(int32x4_t s, int8x16_t a, int8x16_t b)
{
	s = vpadalq_s16(s, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
	return vpadalq_s16(s, vmull_high_s8(a, b));
}

/*
 * The same by the dot product instruction.  Not "always inline": that would
 * be an error in the functions between here and the entries with DOT_TARGET,
 * which are compiled for all processors, though they never stay on their own.
 */
static inline DOT_TARGET int32x4_t
signedDot(int32x4_t s, int8x16_t a, int8x16_t b)
{
#ifdef HAVE_DOT
	return vdotq_s32(s, a, b);
#else
	return signedProducts(s, a, b);
#endif
}

VX_INLINE int32x4_t
addSigned(bool dot, int32x4_t s, int8x16_t a, int8x16_t b)
{
	return dot ? signedDot(s, a, b) : signedProducts(s, a, b);
}

/* 16 bytes of every query plane */
typedef struct QueryBlock
{
	int8x16_t	p[4];
} QueryBlock;

VX_INLINE QueryBlock
loadQuery(int bits, const int8_t *query, int stride)
{
	QueryBlock	q;

	q.p[0] = vld1q_s8(query);
	if (bits <= 4)
		q.p[1] = vld1q_s8(query + stride);
	if (bits == 2)
	{
		q.p[2] = vld1q_s8(query + 2 * stride);
		q.p[3] = vld1q_s8(query + 3 * stride);
	}
	return q;
}

VX_INLINE int8x16_t
signedBytes(uint8x16_t v)
{
	return vreinterpretq_s8_u8(v);
}

/*
 * Code bytes times query, added to s.  Without dot: query bytes are -128 ..
 * 127, so that the products of a lane are at most 15 * 128 = 1920 each at 4
 * bits and 384 at 2 bits, and the sums of four (4 bits: 2 planes by 2 halves)
 * or eight of them (2 bits: 4 planes by 2 halves) are far inside of int16.
 */
VX_INLINE int32x4_t
addProducts(bool dot, int bits, int32x4_t s, uint8x16_t c, QueryBlock q)
{
	uint8x16_t	m = vdupq_n_u8(bits == 2 ? 3 : 15);
	int8x16_t	v[4];
	int16x8_t	t;

	if (bits == 8)
		return addSigned(dot, s, signedBytes(veorq_u8(c, vdupq_n_u8(128))), q.p[0]);
	v[0] = signedBytes(vandq_u8(c, m));
	v[1] = signedBytes(bits == 4 ? vshrq_n_u8(c, 4) : vandq_u8(vshrq_n_u8(c, 2), m));
	v[2] = signedBytes(vandq_u8(vshrq_n_u8(c, 4), m));
	v[3] = signedBytes(vshrq_n_u8(c, 6));
	if (dot)
	{
		for (int p = 0; p < 8 / bits; p++)
			s = signedDot(s, v[p], q.p[p]);
		return s;
	}
	t = vmull_s8(vget_low_s8(v[0]), vget_low_s8(q.p[0]));
	t = vmlal_high_s8(t, v[0], q.p[0]);
	for (int p = 1; p < 8 / bits; p++)
	{
		t = vmlal_s8(t, vget_low_s8(v[p]), vget_low_s8(q.p[p]));
		t = vmlal_high_s8(t, v[p], q.p[p]);
	}
	return vpadalq_s16(s, t);
}

/*
 * The bytes of a code after the last whole block, to be multiplied with the
 * query at tailStart: what was counted already or is no code has the value of
 * none, which is v = 0, and at 8 bits v - 128 = 0.
 */
VX_INLINE uint8x16_t
loadCodeTail(int bits, const uint8_t *code, int nbytes)
{
	uint8_t		buf[16];
	uint8x16_t	c,
				m;

	if (nbytes < 16)
	{
		memset(buf, bits == 8 ? 128 : 0, sizeof(buf));
		memcpy(buf, code, nbytes);
		return vld1q_u8(buf);
	}
	c = vld1q_u8(code + nbytes - 16);
	m = vld1q_u8(clearThenSet + nbytes % 16);
	return vbslq_u8(m, c, vdupq_n_u8(bits == 8 ? 128 : 0));
}

VX_INLINE int
tailStart(int nbytes)
{
	return nbytes >= 16 ? nbytes - 16 : 0;
}

/* The inner product of one code, at 8 bits of v - 128 */
VX_INLINE int32_t
codeIpOne(bool dot, int bits, int nbytes, const uint8_t *code,
		  const int8_t *query, int stride)
{
	int32x4_t	s0 = vdupq_n_s32(0);
	int32x4_t	s1 = s0;
	int			j = 0;

	for (; j + 32 <= nbytes; j += 32)
	{
		s0 = addProducts(dot, bits, s0, vld1q_u8(code + j),
						 loadQuery(bits, query + j, stride));
		s1 = addProducts(dot, bits, s1, vld1q_u8(code + j + 16),
						 loadQuery(bits, query + j + 16, stride));
	}
	for (; j + 16 <= nbytes; j += 16)
		s0 = addProducts(dot, bits, s0, vld1q_u8(code + j),
						 loadQuery(bits, query + j, stride));
	if (j < nbytes)
		s1 = addProducts(dot, bits, s1, loadCodeTail(bits, code, nbytes),
						 loadQuery(bits, query + tailStart(nbytes), stride));
	return vaddvq_s32(vaddq_s32(s0, s1));
}

/* The inner products of four codes, which share the loads of the query */
VX_INLINE int32x4_t
codeIpFour(bool dot, int bits, int nbytes, const uint8_t *const *codes,
		   const int8_t *query, int stride)
{
	const uint8_t *c0 = codes[0];
	const uint8_t *c1 = codes[1];
	const uint8_t *c2 = codes[2];
	const uint8_t *c3 = codes[3];
	int32x4_t	s0 = vdupq_n_s32(0);
	int32x4_t	s1 = s0;
	int32x4_t	s2 = s0;
	int32x4_t	s3 = s0;
	QueryBlock	q;
	int			j = 0;

	for (; j + 16 <= nbytes; j += 16)
	{
		q = loadQuery(bits, query + j, stride);
		s0 = addProducts(dot, bits, s0, vld1q_u8(c0 + j), q);
		s1 = addProducts(dot, bits, s1, vld1q_u8(c1 + j), q);
		s2 = addProducts(dot, bits, s2, vld1q_u8(c2 + j), q);
		s3 = addProducts(dot, bits, s3, vld1q_u8(c3 + j), q);
	}
	if (j < nbytes)
	{
		q = loadQuery(bits, query + tailStart(nbytes), stride);
		s0 = addProducts(dot, bits, s0, loadCodeTail(bits, c0, nbytes), q);
		s1 = addProducts(dot, bits, s1, loadCodeTail(bits, c1, nbytes), q);
		s2 = addProducts(dot, bits, s2, loadCodeTail(bits, c2, nbytes), q);
		s3 = addProducts(dot, bits, s3, loadCodeTail(bits, c3, nbytes), q);
	}
	return vpaddq_s32(vpaddq_s32(s0, s1), vpaddq_s32(s2, s3));
}

/* 128 times the sum of a query plane; a query may be read up to its stride */
VX_INLINE int32_t
queryTimes128(bool dot, int nbytes, const int8_t *query)
{
	int32x4_t	s = vdupq_n_s32(0);

	for (int j = 0; j < nbytes; j += 16)
		s = addSigned(dot, s, vld1q_s8(query + j), vdupq_n_s8(1));
	return 128 * vaddvq_s32(s);
}

VX_INLINE void
codeIp(bool dot, int bits, int nbytes, const uint8_t *const *codes, int ncodes,
	   const int8_t *query, int stride, int32_t *out)
{
	int32_t		offset = bits == 8 ? queryTimes128(dot, nbytes, query) : 0;
	int			k = 0;

	for (; k + 4 <= ncodes; k += 4)
		vst1q_s32(out + k, vaddq_s32(codeIpFour(dot, bits, nbytes, codes + k,
												query, stride),
									 vdupq_n_s32(offset)));
	for (; k < ncodes; k++)
		out[k] = codeIpOne(dot, bits, nbytes, codes[k], query, stride) + offset;
}

static void
codeIp2(int nbytes, const uint8_t *const *codes, int ncodes,
		const int8_t *query, int stride, int32_t *out)
{
	codeIp(false, 2, nbytes, codes, ncodes, query, stride, out);
}

static void
codeIp4(int nbytes, const uint8_t *const *codes, int ncodes,
		const int8_t *query, int stride, int32_t *out)
{
	codeIp(false, 4, nbytes, codes, ncodes, query, stride, out);
}

static void
codeIp8(int nbytes, const uint8_t *const *codes, int ncodes,
		const int8_t *query, int stride, int32_t *out)
{
	codeIp(false, 8, nbytes, codes, ncodes, query, stride, out);
}

static DOT_TARGET void
codeIp2Dot(int nbytes, const uint8_t *const *codes, int ncodes,
		   const int8_t *query, int stride, int32_t *out)
{
	codeIp(true, 2, nbytes, codes, ncodes, query, stride, out);
}

static DOT_TARGET void
codeIp4Dot(int nbytes, const uint8_t *const *codes, int ncodes,
		   const int8_t *query, int stride, int32_t *out)
{
	codeIp(true, 4, nbytes, codes, ncodes, query, stride, out);
}

static DOT_TARGET void
codeIp8Dot(int nbytes, const uint8_t *const *codes, int ncodes,
		   const int8_t *query, int stride, int32_t *out)
{
	codeIp(true, 8, nbytes, codes, ncodes, query, stride, out);
}

/* ---- L1 distances of scalar codes ---- */

/* A plane of a scalar code: what value 0 and a step of the value stand for */
typedef struct CodePlane
{
	int			shift;
	int			mask;
	float		lo;
	float		step;
} CodePlane;

VX_INLINE float32x4_t
pointsOfHalf(const CodePlane *c, uint16x4_t v)
{
	return vfmaq_f32(vdupq_n_f32(c->lo), vcvtq_f32_u32(vmovl_u16(v)),
					 vdupq_n_f32(c->step));
}

/* The values in eight bytes of a code */
VX_INLINE uint16x8_t
codeValues(const CodePlane *c, const uint8_t *code)
{
	uint8x8_t	v = vshl_u8(vld1_u8(code), vdup_n_s8((int8_t) -c->shift));

	return vmovl_u8(vand_u8(v, vdup_n_u8((uint8_t) c->mask)));
}

VX_INLINE float
codePoint(const CodePlane *c, uint8_t code)
{
	return fmaf((float) ((code >> c->shift) & c->mask), c->step, c->lo);
}

static float
codeL1(int n, const uint8_t *code, int shift, int mask, float lo, float step,
	   const float *query)
{
	const CodePlane c = {shift, mask, lo, step};
	float32x4_t s0 = vdupq_n_f32(0);
	float32x4_t s1 = s0;
	float		tail = 0;
	int			i = 0;

	for (; i + 8 <= n; i += 8)
	{
		uint16x8_t	v = codeValues(&c, code + i);

		s0 = vaddq_f32(s0, vabdq_f32(pointsOfHalf(&c, vget_low_u16(v)),
									 vld1q_f32(query + i)));
		s1 = vaddq_f32(s1, vabdq_f32(pointsOfHalf(&c, vget_high_u16(v)),
									 vld1q_f32(query + i + 4)));
	}
	for (; i < n; i++)
		tail += fabsf(codePoint(&c, code[i]) - query[i]);
	return vaddvq_f32(vaddq_f32(s0, s1)) + tail;
}

static float
codeL1Codes(int n, const uint8_t *a, const uint8_t *b, int shift, int mask,
			float lo_a, float step_a, float lo_b, float step_b)
{
	const CodePlane ca = {shift, mask, lo_a, step_a};
	const CodePlane cb = {shift, mask, lo_b, step_b};
	float32x4_t s0 = vdupq_n_f32(0);
	float32x4_t s1 = s0;
	float		tail = 0;
	int			i = 0;

	for (; i + 8 <= n; i += 8)
	{
		uint16x8_t	va = codeValues(&ca, a + i);
		uint16x8_t	vb = codeValues(&cb, b + i);

		s0 = vaddq_f32(s0, vabdq_f32(pointsOfHalf(&ca, vget_low_u16(va)),
									 pointsOfHalf(&cb, vget_low_u16(vb))));
		s1 = vaddq_f32(s1, vabdq_f32(pointsOfHalf(&ca, vget_high_u16(va)),
									 pointsOfHalf(&cb, vget_high_u16(vb))));
	}
	for (; i < n; i++)
		tail += fabsf(codePoint(&ca, a[i]) - codePoint(&cb, b[i]));
	return vaddvq_f32(vaddq_f32(s0, s1)) + tail;
}

/* ---- transforms ---- */

/* other + x in the lower half of each pair, other - x where sign is set */
VX_INLINE float32x4_t
addOrSubtract(float32x4_t other, float32x4_t x, uint32x4_t sign)
{
	return vaddq_f32(other, vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), sign)));
}

/* Strides 1 and 2 within four elements */
VX_INLINE float32x4_t
fhtWithin(float32x4_t x)
{
	static const uint32_t signs[8] = {
		0, 0x80000000, 0, 0x80000000, 0, 0, 0x80000000, 0x80000000
	};

	x = addOrSubtract(vrev64q_f32(x), x, vld1q_u32(signs));
	return addOrSubtract(vextq_f32(x, x, 2), x, vld1q_u32(signs + 4));
}

#define TARGET
#define FHT_WIDTH 4
#define FHT_LOAD(p) vld1q_f32(p)
#define FHT_STORE(p, v) vst1q_f32(p, v)
#define FHT_ADD(a, b) vaddq_f32(a, b)
#define FHT_SUB(a, b) vsubq_f32(a, b)
typedef float32x4_t FhtVector;
#include "kernels/fht_impl.h"

/* Grid points of four elements: clamped, then rounded; see plain.c */
VX_INLINE float32x4_t
gridValues(float32x4_t x, float inv_step, int half)
{
	float32x4_t t = vmulq_f32(x, vdupq_n_f32(inv_step));

	t = vmaxnmq_f32(t, vdupq_n_f32((float) -half));
	t = vminnmq_f32(t, vdupq_n_f32((float) (half - 1)));
	return vaddq_f32(vrndmq_f32(t), vdupq_n_f32(0.5f));
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
	float32x4_t d0 = vdupq_n_f32(0);
	float32x4_t d1 = d0;
	float32x4_t s0 = d0;
	float32x4_t s1 = d0;
	float32x4_t u,
				v;
	float		tail_dot = 0;
	float		tail_sq = 0;
	int			i = 0;

	for (; i + 8 <= n; i += 8)
	{
		u = vld1q_f32(x + i);
		v = gridValues(u, inv_step, half);
		d0 = vfmaq_f32(d0, v, u);
		s0 = vfmaq_f32(s0, v, v);
		u = vld1q_f32(x + i + 4);
		v = gridValues(u, inv_step, half);
		d1 = vfmaq_f32(d1, v, u);
		s1 = vfmaq_f32(s1, v, v);
	}
	for (; i < n; i++)
	{
		float		w = vgetq_lane_f32(gridValues(vdupq_n_f32(x[i]), inv_step, half), 0);

		tail_dot += w * x[i];
		tail_sq += w * w;
	}
	*dot = vaddvq_f32(vaddq_f32(d0, d1)) + tail_dot;
	*sq = vaddvq_f32(vaddq_f32(s0, s1)) + tail_sq;
}

/* The centred values of one plane of 16 code bytes */
VX_INLINE int8x16_t
centredValues(int bits, uint8x16_t c, int plane)
{
	uint8x16_t	max = vdupq_n_u8((uint8_t) ((1 << bits) - 1));

	if (bits == 8)
		return signedBytes(veorq_u8(c, vdupq_n_u8(128)));
	c = vandq_u8(vshlq_u8(c, vdupq_n_s8((int8_t) (-bits * plane))), max);
	return signedBytes(vsubq_u8(vaddq_u8(c, c), max));
}

static void
codeUnpack(int dims, int bits, const uint8_t *code, int8_t *query, int stride)
{
	int			nbytes = VxCodeBytes(dims, bits);

	for (int j = 0; j < nbytes; j += 16)
	{
		uint8x16_t	c;
		uint8_t		buf[16] = {0};

		if (nbytes - j >= 16)
			c = vld1q_u8(code + j);
		else
		{
			memcpy(buf, code + j, nbytes - j);
			c = vld1q_u8(buf);
		}
		for (int p = 0; p < 8 / bits; p++)
			vst1q_s8(query + p * stride + j, centredValues(bits, c, p));
	}
	VxClearBeyondDims(dims, bits, query, stride);
}

const VxKernelSet VxKernelsNeon = {
	.name = "neon",
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

const VxKernelSet VxKernelsNeonDot = {
	.name = "neondot",
	.distance = {
		[VX_ELEM_FLOAT4] = {
			[VX_METRIC_L2] = l2Float4,
			[VX_METRIC_IP] = ipFloat4,
			[VX_METRIC_COSINE] = cosineFloat4,
			[VX_METRIC_L1] = l1Float4,
		},
	},
	.code_ip = {
		[VX_CODE2] = codeIp2Dot,
		[VX_CODE4] = codeIp4Dot,
		[VX_CODE8] = codeIp8Dot,
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
typedef int VxNeonNotHere;

#endif							/* __aarch64__ */
