/*-------------------------------------------------------------------------
 *
 * kernels_test.c
 *	  Every kernel of every set that runs here against references in double
 *	  or exact integers.
 *
 * cc -O2 -g -I../../src kernels_test.c ../../src/kernels/?*.c -lm -o kernels_test
 *
 * (the Makefile adds the emulated sets).  Inputs lie between two pages that
 * cannot be touched: once with the last byte against the upper one, once at
 * an offset from the lower one, so that a read past either end crashes.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels_sets.h"

#define MAX_DIMS	16000
#define SHORT_DIMS	300
#define ARENA_BYTES	(128 * 1024)
#define MAX_CODES	16			/* codes in one call; arenas 0 .. 15 */
#define NARENAS		(MAX_CODES + 2)

static int	passed;
static int	failed;
static const char *current;		/* label of the set under test */

/* ---- bookkeeping ---- */

/* Count a check; print the first failures */
static void
check(bool ok, const char *what, int n, int detail)
{
	if (ok)
		passed++;
	else if (failed++ < 30)
		printf("not ok: %s %s, n = %d, detail %d\n", current, what, n, detail);
}

static uint64_t randomState = 88172645463325252u;

static uint32_t
randomBits(void)
{
	randomState ^= randomState << 13;
	randomState ^= randomState >> 7;
	randomState ^= randomState << 17;
	return (uint32_t) (randomState >> 16);
}

/* uniform in [-1, 1) */
static float
randomFloat(void)
{
	return (float) (int32_t) randomBits() / 2147483648.0f;
}

/* ---- guarded memory ---- */

static uint8_t *arenas[NARENAS];

static void
makeArenas(void)
{
	size_t		page = (size_t) sysconf(_SC_PAGESIZE);

	for (int i = 0; i < NARENAS; i++)
	{
		uint8_t    *m = mmap(NULL, ARENA_BYTES + 2 * page, PROT_NONE,
							 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (m == MAP_FAILED ||
			mprotect(m + page, ARENA_BYTES, PROT_READ | PROT_WRITE) != 0)
		{
			perror("guarded memory");
			exit(2);
		}
		arenas[i] = m + page;
	}
}

/*
 * Room for bytes in arena i: ending at its end when offset is negative, else
 * starting offset bytes after its start.  The rest of what a kernel might see
 * by mistake is filled with noise.
 */
static void *
place(int i, size_t bytes, int offset)
{
	uint8_t    *a = arenas[i];
	uint8_t    *p = offset < 0 ? a + ARENA_BYTES - bytes : a + offset;
	uint8_t    *from = p - a > 128 ? p - 128 : a;
	uint8_t    *to = a + ARENA_BYTES - p > (ptrdiff_t) bytes + 128 ?
		p + bytes + 128 : a + ARENA_BYTES;

	for (; from < to; from++)
		*from = (uint8_t) randomBits();
	return p;
}

static float *
placeFloats(int i, int n, int offset)
{
	float	   *x = place(i, n * sizeof(float), offset);

	for (int k = 0; k < n; k++)
		x[k] = randomFloat();
	return x;
}

/* ---- exact distances ---- */

/* The distance in double, and in *scale the sum of its terms' magnitudes */
static double
referenceDistance(VxMetric metric, int n, const float *a, const float *b,
				  double *scale)
{
	double		sum = 0,
				size = 0,
				aa = 0,
				bb = 0;

	for (int i = 0; i < n; i++)
	{
		double		x = a[i],
					y = b[i];
		double		t = metric == VX_METRIC_L2 ? (x - y) * (x - y) :
			metric == VX_METRIC_L1 ? fabs(x - y) : x * y;

		sum += t;
		size += fabs(t);
		aa += x * x;
		bb += y * y;
	}
	*scale = size;
	if (metric != VX_METRIC_COSINE)
		return sum;
	*scale = 1;
	return sum / sqrt(aa) / sqrt(bb);
}

/* Bound of the rounding error of n float4 terms in at least four sums */
static bool
close4(double got, double want, double scale, int n)
{
	return fabs(got - want) <= scale * FLT_EPSILON * (6 + n / 4);
}

static void
testDistancesAt(const VxKernelSet *set, int n, int offset)
{
	const float *a = placeFloats(0, n, offset);
	const float *b = placeFloats(1, n, offset < 0 ? offset : (offset + 4) % 64);

	for (int m = 0; m < VX_N_METRICS; m++)
	{
		double		scale;
		double		want = referenceDistance(m, n, a, b, &scale);
		double		got = set->distance[VX_ELEM_FLOAT4][m] (n, a, b);
		double		back = set->distance[VX_ELEM_FLOAT4][m] (n, b, a);
		double		moved;
		float	   *c = place(2, n * sizeof(float), 20);

		check(close4(got, want, scale, n), "distance", n, m);
		check(got == back, "symmetric distance", n, m);
		memcpy(c, a, n * sizeof(float));
		moved = set->distance[VX_ELEM_FLOAT4][m] (n, c, b);
		check(got == moved, "distance at another address", n, m);
	}
}

static void
testDistances(const VxKernelSet *set)
{
	for (int n = 1; n <= SHORT_DIMS; n++)
	{
		testDistancesAt(set, n, -1);
		testDistancesAt(set, n, n % 16 * 4);
	}
	for (int offset = 0; offset < 64; offset += 4)
	{
		testDistancesAt(set, 100, offset);
		testDistancesAt(set, 37, offset);
	}
	testDistancesAt(set, 784, -1);
	testDistancesAt(set, MAX_DIMS, -1);
	testDistancesAt(set, MAX_DIMS, 0);
}

/* ---- VxDistance and its fallback; the set is the active one ---- */

static double
filledDistance(VxMetric m, int n, float x, float y)
{
	float	   *a = placeFloats(0, n, -1);
	float	   *b = placeFloats(1, n, -1);

	for (int i = 0; i < n; i++)
	{
		a[i] = x;
		b[i] = y;
	}
	return VxDistance(VX_ELEM_FLOAT4, m, n, a, b);
}

static bool
nearly(double got, double want)
{
	return fabs(got - want) <= fabs(want) * 1e-5;
}

static void
testEdgeDistances(int n)
{
	const float huge = FLT_MAX;
	const float tiny = 1e-30f;
	const float denormal = FLT_TRUE_MIN;
	double		h = huge;

	check(nearly(filledDistance(VX_METRIC_L2, n, huge, -huge), 4 * h * h * n),
		  "huge L2", n, 0);
	check(nearly(filledDistance(VX_METRIC_L1, n, huge, -huge), 2 * h * n),
		  "huge L1", n, 0);
	check(nearly(filledDistance(VX_METRIC_IP, n, huge, -huge), -h * h * n),
		  "huge inner product", n, 0);
	check(nearly(filledDistance(VX_METRIC_COSINE, n, huge, huge), 1),
		  "huge cosine", n, 0);
	check(nearly(filledDistance(VX_METRIC_COSINE, n, huge, -denormal), -1),
		  "huge and denormal cosine", n, 0);
	check(nearly(filledDistance(VX_METRIC_COSINE, n, denormal, denormal), 1),
		  "denormal cosine", n, 0);
	check(nearly(filledDistance(VX_METRIC_COSINE, n, 1e-20f, 3e-20f), 1),
		  "tiny cosine", n, 0);
	check(nearly(filledDistance(VX_METRIC_L2, n, tiny, -tiny),
				 4 * (double) tiny * tiny * n), "tiny L2", n, 0);
	check(filledDistance(VX_METRIC_L2, n, tiny, tiny) == 0, "zero L2", n, 0);
	check(filledDistance(VX_METRIC_L2, n, 0.0f, -0.0f) == 0, "signed zero L2", n, 0);
	check(nearly(filledDistance(VX_METRIC_L1, n, denormal, -denormal),
				 2 * (double) denormal * n), "denormal L1", n, 0);
	check(isnan(filledDistance(VX_METRIC_COSINE, n, 0, 1)), "zero norm a", n, 0);
	check(isnan(filledDistance(VX_METRIC_COSINE, n, 1, -0.0f)), "zero norm b", n, 0);
	check(isnan(filledDistance(VX_METRIC_COSINE, n, 0, 0)), "zero norms", n, 0);
}

/* One element that overflows among ordinary ones; inf - inf inside of a sum */
static void
testOverflowAmongOthers(int n, int at)
{
	float	   *a = placeFloats(0, n, -1);
	float	   *b = placeFloats(1, n, -1);

	a[at] = 3e38f;
	b[at] = -3e38f;
	for (int m = 0; m < VX_N_METRICS; m++)
	{
		double		scale;
		double		want = referenceDistance(m, n, a, b, &scale);

		check(nearly(VxDistance(VX_ELEM_FLOAT4, m, n, a, b), want),
			  "overflow among others", n, m);
	}
	if (n < 2)
		return;
	b[at] = 3e38f;				/* +inf and -inf make NaN */
	a[(at + 1) % n] = 3e38f;
	b[(at + 1) % n] = -3e38f;
	for (int m = 0; m < VX_N_METRICS; m++)
	{
		double		scale;
		double		want = referenceDistance(m, n, a, b, &scale);
		double		got = VxDistance(VX_ELEM_FLOAT4, m, n, a, b);

		check(isfinite(got) && fabs(got - want) <= scale * 1e-6,
			  "opposite overflows", n, m);
	}
}

static void
testClamp(void)
{
	for (int n = 1; n <= SHORT_DIMS; n++)
	{
		float	   *a = placeFloats(0, n, -1);
		float	   *b = placeFloats(1, n, -1);
		double		c;

		check(VxDistance(VX_ELEM_FLOAT4, VX_METRIC_COSINE, n, a, a) == 1,
			  "cosine with itself", n, 0);
		for (int i = 0; i < n; i++)
			b[i] = -3 * a[i];
		c = VxDistance(VX_ELEM_FLOAT4, VX_METRIC_COSINE, n, a, b);
		check(c >= -1 && c < -0.99999, "clamped cosine", n, 0);
	}
}

static void
testVxDistance(const VxKernelSet *set)
{
	const VxKernelSet *before = VxKernels;

	VxKernels = set;
	for (int n = 1; n <= 70; n++)
		testEdgeDistances(n);
	testEdgeDistances(MAX_DIMS);
	for (int n = 1; n <= 70; n++)
		for (int at = 0; at < n; at += 3)
			testOverflowAmongOthers(n, at);
	testClamp();
	VxKernels = before;
}

/* ---- codes ---- */

static const int bitsOf[VX_N_CODE_BITS] = {2, 4, 8};

static int
codeBytes(int dims, int bits)
{
	return (dims * bits + 7) / 8;
}

static int
codeValue(const uint8_t *code, int bits, int nbytes, int i)
{
	return (code[i % nbytes] >> (bits * (i / nbytes))) & ((1 << bits) - 1);
}

/* Random code in arena a, or one with all values the largest */
static uint8_t *
placeCode(int a, int dims, int bits, int offset, bool full)
{
	int			nbytes = codeBytes(dims, bits);
	uint8_t    *code = place(a, nbytes, offset);

	if (full)
		memset(code, 255, nbytes);
	for (int i = dims; i < 8 / bits * nbytes; i++)
		code[i % nbytes] &= (uint8_t) ~(((1 << bits) - 1) << (bits * (i / nbytes)));
	return code;
}

/* Query planes for dims: random when fill is 0, else all equal fill */
static int8_t *
placeQuery(int a, int dims, int bits, int stride, int fill)
{
	int			nbytes = codeBytes(dims, bits);
	int8_t	   *query = place(a, 8 / bits * stride, -1);

	memset(query, 0, 8 / bits * stride);
	for (int i = 0; i < dims; i++)
		query[i / nbytes * stride + i % nbytes] =
			(int8_t) (fill ? fill : (int) (randomBits() & 255) - 128);
	return query;
}

static void
testCodeIpAt(const VxKernelSet *set, int cb, int dims, int ncodes, int offset,
			 int fill, bool full)
{
	int			bits = bitsOf[cb];
	int			nbytes = codeBytes(dims, bits);
	int			stride = (nbytes + 63) / 64 * 64;
	const int8_t *query = placeQuery(MAX_CODES, dims, bits, stride, fill);
	const uint8_t *codes[MAX_CODES];
	int32_t		plain[MAX_CODES];
	int32_t    *out = place(MAX_CODES + 1, ncodes * sizeof(int32_t), -1);

	for (int k = 0; k < ncodes; k++)
		codes[k] = placeCode(k, dims, bits,
							 offset < 0 ? offset : (offset + k * 5) % 64, full);
	set->code_ip[cb] (nbytes, codes, ncodes, query, stride, out);
	VxKernelsPlain.code_ip[cb] (nbytes, codes, ncodes, query, stride, plain);
	for (int k = 0; k < ncodes; k++)
	{
		int64_t		want = 0;

		for (int i = 0; i < dims; i++)
			want += codeValue(codes[k], bits, nbytes, i) *
				query[i / nbytes * stride + i % nbytes];
		check(out[k] == want && plain[k] == want, "code_ip", dims,
			  bits * 100 + k);
	}
}

static void
testCodeIp(const VxKernelSet *set)
{
	for (int cb = 0; cb < VX_N_CODE_BITS; cb++)
	{
		for (int n = 1; n <= SHORT_DIMS; n++)
		{
			testCodeIpAt(set, cb, n, 1 + n % 5, -1, 0, false);
			testCodeIpAt(set, cb, n, 1 + n % 7, n % 64, 0, false);
			testCodeIpAt(set, cb, n, 5, -1, -128, true);
			testCodeIpAt(set, cb, n, 5, -1, 127, true);
		}
		for (int k = 0; k <= MAX_CODES; k++)
			testCodeIpAt(set, cb, 100, k, -1, 0, false);
		for (int offset = 0; offset < 64; offset++)
			testCodeIpAt(set, cb, 784, 5, offset, 0, false);
		for (int n = SHORT_DIMS; n < 2600; n += 61) /* across widenings */
		{
			testCodeIpAt(set, cb, n, 5, -1, -128, true);
			testCodeIpAt(set, cb, n, 5, -1, 127, true);
			testCodeIpAt(set, cb, n, 5, -1, 0, false);
		}
		testCodeIpAt(set, cb, MAX_DIMS, 5, -1, -128, true);
		testCodeIpAt(set, cb, MAX_DIMS, 5, -1, 127, true);
		testCodeIpAt(set, cb, MAX_DIMS, 5, -1, 0, false);
	}
}

static void
testUnpackAt(const VxKernelSet *set, int bits, int dims, int offset, int more)
{
	int			nbytes = codeBytes(dims, bits);
	int			stride = (nbytes + 63) / 64 * 64 + more;
	int			size = 8 / bits * stride;
	uint8_t    *code = placeCode(0, dims, bits, offset, false);
	int8_t	   *query = place(1, size, -1);
	int8_t	   *plain = place(2, size, 0);
	bool		ok = true;

	set->code_unpack(dims, bits, code, query, stride);
	VxKernelsPlain.code_unpack(dims, bits, code, plain, stride);
	check(memcmp(query, plain, size) == 0, "code_unpack", dims, bits);
	for (int p = 0; p < 8 / bits; p++)
		for (int j = 0; j < stride; j++)
		{
			int			i = p * nbytes + j;
			int			want = 0;

			if (j < nbytes && i < dims)
			{
				want = codeValue(code, bits, nbytes, i);
				want = bits == 8 ? want - 128 : 2 * want - ((1 << bits) - 1);
			}
			ok &= query[p * stride + j] == want;
		}
	check(ok, "code_unpack values", dims, bits);
}

static void
testUnpack(const VxKernelSet *set)
{
	for (int cb = 0; cb < VX_N_CODE_BITS; cb++)
	{
		for (int n = 1; n <= SHORT_DIMS; n++)
		{
			testUnpackAt(set, bitsOf[cb], n, -1, 0);
			testUnpackAt(set, bitsOf[cb], n, n % 64, 64);
		}
		testUnpackAt(set, bitsOf[cb], MAX_DIMS, -1, 0);
	}
}

static void
testCodeL1At(const VxKernelSet *set, int n, int bits, int plane, int offset)
{
	int			shift = bits * plane;
	int			mask = (1 << bits) - 1;
	const uint8_t *a = place(0, n, offset);
	const uint8_t *b = place(1, n, offset < 0 ? offset : (offset + 7) % 64);
	const float *q = placeFloats(2, n, -1);
	float		lo_a = randomFloat(),
				lo_b = randomFloat();
	float		step_a = fabsf(randomFloat()) / mask,
				step_b = fabsf(randomFloat()) / mask;
	double		one = 0,
				two = 0;

	for (int i = 0; i < n; i++)
	{
		double		x = lo_a + (double) step_a * ((a[i] >> shift) & mask);
		double		y = lo_b + (double) step_b * ((b[i] >> shift) & mask);

		one += fabs(x - q[i]);
		two += fabs(x - y);
	}
	/* each term is off by a few units of its operands, which are below 2 */
	check(close4(set->code_l1(n, a, shift, mask, lo_a, step_a, q), one,
				 one + 2 * n, n), "code_l1", n, bits * 10 + plane);
	check(close4(set->code_l1_codes(n, a, b, shift, mask, lo_a, step_a, lo_b,
									step_b), two, two + 2 * n, n),
		  "code_l1_codes", n, bits * 10 + plane);
	check(set->code_l1_codes(n, a, b, shift, mask, lo_a, step_a, lo_b, step_b) ==
		  set->code_l1_codes(n, b, a, shift, mask, lo_b, step_b, lo_a, step_a),
		  "symmetric code_l1_codes", n, bits * 10 + plane);
}

static void
testCodeL1(const VxKernelSet *set)
{
	for (int n = 1; n <= SHORT_DIMS; n++)
		for (int cb = 0; cb < VX_N_CODE_BITS; cb++)
		{
			int			bits = bitsOf[cb];

			testCodeL1At(set, n, bits, n % (8 / bits), -1);
			testCodeL1At(set, n, bits, (n + 1) % (8 / bits), n % 64);
		}
	testCodeL1At(set, MAX_DIMS, 8, 0, -1);
	testCodeL1At(set, MAX_DIMS, 2, 3, -1);
}

/* ---- transforms ---- */

/* The definition: y[i] = sum over j of (-1)^popcount(i & j) x[j] */
static void
testFht(const VxKernelSet *set)
{
	for (int n = 1; n <= 16384; n *= 2)
		for (int round = 0; round < 4; round++)
		{
			float	   *x = placeFloats(0, n, round == 0 ? -1 : round * 4);
			float	   *y = place(1, n * sizeof(float), -1);
			float	   *in = place(2, n * sizeof(float), -1);
			bool		ok = true;

			if (round == 3)		/* denormals, signed zeros, wide range */
				for (int i = 0; i < n; i++)
					x[i] = i % 3 == 0 ? -0.0f : i % 3 == 1 ? ldexpf(x[i], -140) :
						ldexpf(x[i], (int) (randomBits() % 60));
			memcpy(y, x, n * sizeof(float));
			memcpy(in, x, n * sizeof(float));
			set->fht(x, n);
			VxKernelsPlain.fht(y, n);
			check(memcmp(x, y, n * sizeof(float)) == 0, "fht", n, round);
			if (n > 256 || round == 3)
				continue;
			for (int i = 0; i < n; i++)
			{
				double		want = 0;

				for (int j = 0; j < n; j++)
					want += __builtin_parity(i & j) ? -in[j] : in[j];
				ok &= fabs(x[i] - want) < 1e-4;
			}
			check(ok, "fht by definition", n, round);
		}
}

static void
testGridFitAt(const VxKernelSet *set, int n, int bits, int offset, float scale)
{
	const float *x = placeFloats(0, n, offset);
	int			half = 1 << (bits - 1);
	float		inv = scale * half;
	double		want_dot = 0,
				want_sq = 0,
				size = 0;
	float		dot,
				sq;

	for (int i = 0; i < n; i++)
	{
		double		v = floor((double) (x[i] * inv));

		v = (v < -half ? -half : v > half - 1 ? half - 1 : v) + 0.5;
		want_dot += v * x[i];
		want_sq += v * v;
		size += fabs(v * x[i]);
	}
	set->grid_fit(n, x, inv, half, &dot, &sq);
	check(close4(dot, want_dot, size, n), "grid_fit dot", n, bits);
	check(close4(sq, want_sq, want_sq, n), "grid_fit sq", n, bits);
}

static void
testGridFit(const VxKernelSet *set)
{
	for (int n = 1; n <= SHORT_DIMS; n++)
		for (int cb = 0; cb < VX_N_CODE_BITS; cb++)
		{
			testGridFitAt(set, n, bitsOf[cb], -1, 1.0f);
			testGridFitAt(set, n, bitsOf[cb], n % 16 * 4, 3.7f);
		}
	testGridFitAt(set, MAX_DIMS, 4, -1, 1.5f);
	testGridFitAt(set, 784, 8, -1, 1e30f);	/* all clamped */
}

/* Whole grid steps, negative zero and infinite products */
static void
testGridEdges(const VxKernelSet *set)
{
	const float in[] = {0, -0.0f, 1, -1, 7, -8, 8, -9, 7.9999995f, -8.000001f,
	1e38f, -1e38f, 1e-45f, -1e-45f, 0.5f, -0.5f, 2, 3, -2, -3};

	for (unsigned k = 0; k < sizeof(in) / sizeof(in[0]); k++)
		for (int n = 1; n < 40; n += 19)
		{
			float	   *x = place(0, n * sizeof(float), -1);
			float		dot,
						sq,
						plain_dot,
						plain_sq;
			double		v = floor(in[k]);

			v = (v < -8 ? -8 : v > 7 ? 7 : v) + 0.5;
			for (int i = 0; i < n; i++)
				x[i] = in[k];
			set->grid_fit(n, x, 1.0f, 8, &dot, &sq);
			VxKernelsPlain.grid_fit(n, x, 1.0f, 8, &plain_dot, &plain_sq);
			check(sq == v * v * n && sq == plain_sq, "grid edge sq", n, (int) k);
			check(nearly(dot, plain_dot) || dot == plain_dot, "grid edge dot", n,
				  (int) k);
		}
}

/* ---- steps of the rotation, and of making a query ---- */

static void
testFlip(const VxKernelSet *set)
{
	for (int n = 1; n <= 64; n++)
	{
		uint64_t	signs = UINT64_C(0x9E3779B97F4A7C15) * (uint64_t) n;
		float	   *x = place(0, n * sizeof(float), n % 3 == 0 ? -1 : n % 16 * 4);
		bool		ok = true;

		for (int i = 0; i < n; i++)
			x[i] = (float) (i - 7) * 0.37f;
		set->flip(n, x, signs, 0.3f);
		for (int i = 0; i < n; i++)
			ok = ok && x[i] == ((signs >> i & 1) != 0 ? -1 : 1) * ((float) (i - 7) * 0.37f) * 0.3f;
		check(ok, "flip", n, 0);
	}
}

static void
testQuerySteps(const VxKernelSet *set)
{
	for (int n = 1; n <= SHORT_DIMS; n++)
	{
		float	   *x = place(0, n * sizeof(float), n % 3 == 0 ? -1 : n % 16 * 4);
		int8_t	   *out = place(1, n, n % 3 == 1 ? -1 : n % 7);
		float		want = 0;
		float		factor;
		bool		ok = true;

		for (int i = 0; i < n; i++)
		{
			x[i] = sinf((float) (i * n)) * (float) n;
			want = fmaxf(want, fabsf(x[i]));
		}
		check(set->largest(n, x) == want, "largest", n, 0);
		factor = want > 0 ? 127 / want : 1;
		set->to_int8(n, x, factor, out);
		for (int i = 0; i < n; i++)
			ok = ok && fabsf((float) out[i] - x[i] * factor) <= 0.5001f;
		check(ok, "to_int8", n, 0);
	}
}

/* ---- the choice ---- */

static void
testChooser(void)
{
	current = "chooser";
	check(VxKernels == &VxKernelsPlain, "starts plain", 0, 0);
	check(!VxKernelsChoose("sse9"), "unknown name", 0, 0);
	check(!VxKernelsChoose(""), "empty name", 0, 0);
	check(VxKernels == &VxKernelsPlain, "refusal changes nothing", 0, 0);
	for (int i = 0; i < VxKernelSetCount(); i++)
	{
		const VxKernelSet *set = VxKernelSetGet(i);

		check(VxKernelsChoose(set->name) == VxKernelSetUsable(i), set->name, 0, i);
		check(!VxKernelSetUsable(i) || VxKernels == set, set->name, 1, i);
	}
	check(VxKernelSetGet(-1) == NULL && !VxKernelSetUsable(-1), "index -1", 0, 0);
	check(VxKernelSetGet(VxKernelSetCount()) == NULL, "index past end", 0, 0);
	for (int i = 0; i < 2; i++)
	{
		int			best = 0;

		while (!VxKernelSetUsable(best))
			best++;
		check(VxKernelsChoose(i ? "auto" : NULL), "auto", 0, i);
		check(VxKernels == VxKernelSetGet(best), "best", 0, i);
	}
}

#if defined(__x86_64__)
/* libgcc asks the processor and the system as well */
static void
testDetection(void)
{
	current = "detection";
	__builtin_cpu_init();
	for (int i = 0; i < VxKernelSetCount(); i++)
	{
		const VxKernelSet *set = VxKernelSetGet(i);

		if (set == &VxKernelsAvx2)
			check(VxKernelSetUsable(i) == (__builtin_cpu_supports("avx2") &&
										   __builtin_cpu_supports("fma")), "avx2", 0, 0);
		if (set == &VxKernelsAvx512)
			check(VxKernelSetUsable(i) == (__builtin_cpu_supports("avx512f") &&
										   __builtin_cpu_supports("avx512bw") &&
										   __builtin_cpu_supports("avx512vl") &&
										   __builtin_cpu_supports("avx512dq") &&
										   __builtin_cpu_supports("avx512vnni")),
				  "avx512", 0, 0);
	}
}
#endif

static void
testSet(const TestSet *t)
{
	int			before = passed;
	int			bad = failed;

	current = t->label;
	testDistances(t->set);
	testVxDistance(t->set);
	testCodeIp(t->set);
	testUnpack(t->set);
	testCodeL1(t->set);
	testFht(t->set);
	testGridFit(t->set);
	testGridEdges(t->set);
	printf("%s: %d passed, %d failed\n", t->label, passed - before, failed - bad);
	fflush(stdout);
}

int
main(void)
{
	TestSet		sets[16];
	int			n = listTestSets(sets);

	makeArenas();
	testChooser();
#if defined(__x86_64__)
	testDetection();
#endif
	for (int i = 0; i < n; i++)
		testSet(&sets[i]);
	printf("%d passed, %d failed\n", passed, failed);
	return failed > 0;
}
