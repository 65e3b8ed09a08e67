/*-------------------------------------------------------------------------
 *
 * code_test.c
 *	  Unit test of codes: rotation, encoding, estimates.
 *
 *	  cc -O2 -Isrc test/unit/code_test.c src/code/code.c src/kernels/[a-z]*.c -lm
 *
 * What is tested is what searches rely on: that the rotation changes no inner
 * product, that estimates are right on average and as exact as they say, from
 * a vector and from another code, for all kinds, bits and metrics; and that
 * vectors at the edges of float4 do no harm.  Runs with every kernel set that
 * this machine can run.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code/code.h"

#define MAX_DIMS 16000

static long passed;
static long failed;
static uint64_t seed = 42;

static void
check(bool ok, const char *what, int dims, int bits, int metric, double value)
{
	if (ok)
	{
		passed++;
		return;
	}
	failed++;
	printf("FAILED: %s (%s, dims %d, bits %d, metric %d): %g\n", what,
		   VxKernels->name, dims, bits, metric, value);
}

static double
uniform(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (double) (seed >> 11) / 9007199254740992.0;
}

static float
gaussian(void)
{
	return (float) (sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform()));
}

static float *
new_floats(int n)
{
	float	   *x = calloc((size_t) n, sizeof(float));

	if (x == NULL)
		exit(2);
	return x;
}

static double
dot(int n, const float *a, const float *b)
{
	double		sum = 0;

	for (int i = 0; i < n; i++)
		sum += (double) a[i] * b[i];
	return sum;
}

static void
test_rotation(int dims)
{
	float	   *a = new_floats(dims);
	float	   *b = new_floats(dims);
	VxCodec		codec;
	double		aa,
				ab,
				length;

	VxCodecRestore(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, dims, VX_CODE_ROTATED, 4);
	for (int i = 0; i < dims; i++)
	{
		a[i] = gaussian();
		b[i] = (float) uniform();
	}
	aa = dot(dims, a, a);
	ab = dot(dims, a, b);
	length = sqrt(aa * dot(dims, b, b));
	VxRotate(dims, codec.pow2, a);
	VxRotate(dims, codec.pow2, b);
	check(fabs(dot(dims, a, a) / aa - 1) < 1e-5, "rotation keeps length", dims, 0, 0,
		  dot(dims, a, a) / aa);
	check(fabs(dot(dims, a, b) - ab) < 1e-5 * length, "rotation keeps angles", dims, 0, 0,
		  dot(dims, a, b) - ab);

	/* one coordinate is spread over all, which is what the codes need */
	memset(a, 0, sizeof(float) * (size_t) dims);
	a[dims / 3] = 1;
	VxRotate(dims, codec.pow2, a);
	aa = 0;
	for (int i = 0; i < dims; i++)
		aa = fmax(aa, fabs(a[i]));
	check(dims < 64 || aa < 12 / sqrt(dims), "rotation spreads", dims, 0, 0,
		  aa * sqrt(dims));
	free(a);
	free(b);
}

/* A code with what belongs to it */
typedef struct Coded
{
	float	   *x;
	VxFactors	factors;
	uint8_t    *code;
} Coded;

static Coded
encode(const VxCodec *codec, float scale, float shift)
{
	Coded		c;
	float	   *work = new_floats(codec->dims);

	c.x = new_floats(codec->dims);
	c.code = malloc((size_t) codec->nbytes);
	for (int i = 0; i < codec->dims; i++)
		c.x[i] = gaussian() * scale + shift;
	VxEncode(codec, c.x, &c.factors, c.code, work);
	free(work);
	return c;
}

static void
release(Coded *c)
{
	free(c->x);
	free(c->code);
}

/*
 * Estimates of many pairs, from the vector or from its code: errors must be
 * small on average, and have about the deviation they are said to have.
 */
static void
test_estimates(VxMetric metric, int dims, int bits, float shift, bool from_code)
{
	enum {n = 64};
	VxCodec		codec;
	Coded		rows[n];
	const uint8_t *codes[n];
	const VxFactors *factors[n];
	float		dist[n];
	float		error[n];
	VxQuery		query;
	void	   *memory;
	double		bias = 0,
				spread = 0,
				largest = 0;
	int			count = 0;
	int			rounds = dims > 2001 ? 2 : 8;

	if (!VxCodecInit(&codec, VX_ELEM_FLOAT4, metric, dims, bits, 1 << 20))
	{
		check(false, "codec", dims, bits, metric, 0);
		return;
	}
	memory = malloc(VxQueryMemory(&codec));
	VxQueryInit(&query, &codec, memory);
	for (int round = 0; round < rounds; round++)
	{
		Coded		q = encode(&codec, 1, shift);

		if (from_code)
			VxQueryFromCode(&query, &q.factors, q.code);
		else
			VxQueryFromVector(&query, q.x);
		for (int i = 0; i < n; i++)
		{
			rows[i] = encode(&codec, 1, shift);
			codes[i] = rows[i].code;
			factors[i] = &rows[i].factors;
		}
		VxEstimate(&query, n, codes, factors, dist, error);
		for (int i = 0; i < n; i++)
		{
			double		exact = VxExactDistance(&codec, rows[i].x, q.x);
			double		z = (dist[i] - exact) / fmax(error[i], 1e-5 * (1 + fabs(exact)));

			bias += z;
			spread += z * z;
			largest = fmax(largest, fabs(z));
			count++;
			release(&rows[i]);
		}
		release(&q);
	}
	free(memory);
	bias /= count;
	spread = sqrt(spread / count);

	/* a code as query has an error of its own, as large again */
	check(spread < (from_code ? 2.2 : 1.6), "errors are as large as said", dims, bits,
		  metric, spread);
	check(largest < (from_code ? 9 : 6.5), "largest error", dims, bits, metric, largest);
	if (codec.kind == VX_CODE_ROTATED)
		/* all rows share the error of the query they are estimated for */
		check(fabs(bias) < (rounds < 8 ? 1.5 : 0.5), "estimates are right on average", dims, bits, metric, bias);
}

/* The error said of codes shrinks with the bits */
static void
test_precision(int dims)
{
	float		last = FLT_MAX;

	for (int bits = 2; bits <= 8; bits *= 2)
	{
		VxCodec		codec;
		Coded		c;
		float		relative;

		VxCodecInit(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, dims, bits, 1 << 20);
		c = encode(&codec, 1, 0);
		relative = c.factors.error / sqrtf(c.factors.norm);
		check(relative < last / 2, "more bits, less error", dims, bits, 0, relative);
		check(relative * sqrt(dims) < (bits == 2 ? 0.5 : bits == 4 ? 0.15 : 0.015),
			  "error for the bits", dims, bits, 0, relative * sqrt(dims));
		last = relative;
		release(&c);
	}
}

/* Is a code right, by the kernels in use? */
static bool
is_right(const VxCodec *codec, const Coded *c)
{
	float	   *work = new_floats(codec->dims);
	uint8_t    *scratch = malloc((size_t) codec->nbytes);
	bool		result = VxCodeIsRight(codec, c->x, &c->factors, c->code, work, scratch);

	free(work);
	free(scratch);
	return result;
}

/*
 * Codes made by the plain kernels are right by those in use; a bit that is
 * flipped, or a factor that is off, is seen.
 */
static void
test_right_codes(VxMetric metric, int dims, int bits, float scale)
{
	const char *name = VxKernels->name;
	VxCodec		codec;

	VxCodecInit(&codec, VX_ELEM_FLOAT4, metric, dims, bits, 1 << 20);
	for (int round = 0; round < (dims > 128 ? 5 : 50); round++)
	{
		Coded		c;
		VxFactors	good;
		int			at;

		VxKernelsChoose("plain");
		c = encode(&codec, scale, round % 2 ? 0 : scale);
		VxKernelsChoose(name);
		check(is_right(&codec, &c), "right code", dims, bits, metric, round);

		at = (int) (uniform() * (codec.kind == VX_CODE_RAW ? codec.nbytes : dims));
		at %= codec.nbytes;
		c.code[at] ^= 0x80;
		check(!is_right(&codec, &c), "wrong code", dims, bits, metric, at);
		c.code[at] ^= 0x80;

		good = c.factors;
		c.factors.norm += 0.1f * (fabsf(good.norm) + scale);
		check(!is_right(&codec, &c), "wrong norm", dims, bits,
			  metric, good.norm);
		c.factors = good;
		c.factors.scale = NAN;
		check(!is_right(&codec, &c), "wrong scale", dims, bits,
			  metric, good.scale);
		c.factors.norm = INFINITY;
		check(!is_right(&codec, &c), "infinite factors", dims, bits, metric, good.norm);
		c.factors = good;
		c.factors.error += 0.1f * (sqrtf(fabsf(good.norm)) + scale);
		check(!is_right(&codec, &c), "wrong error", dims, bits,
			  metric, good.error);
		release(&c);
	}
}

/* Vectors that float4 can barely hold, or whose codes cannot be made */
static void
test_edges(VxMetric metric, int dims, int bits)
{
	static const float values[] = {0, FLT_MIN, 1e-42f, 1e-20f, 1e19f, 1e25f, FLT_MAX, -FLT_MAX};
	enum {n = sizeof(values) / sizeof(values[0])};
	VxCodec		codec;
	VxQuery		query;
	void	   *memory;
	float	   *work = new_floats(dims);
	float	   *x = new_floats(dims);
	uint8_t    *code;
	uint8_t    *scratch;

	VxCodecInit(&codec, VX_ELEM_FLOAT4, metric, dims, bits, 1 << 20);
	memory = malloc(VxQueryMemory(&codec));
	code = malloc((size_t) codec.nbytes);
	scratch = malloc((size_t) codec.nbytes);
	VxQueryInit(&query, &codec, memory);
	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < n; j++)
		{
			VxFactors	factors;
			const VxFactors *pointers[1] = {&factors};
			const uint8_t *codes[1] = {code};
			float		dist,
						error;
			double		exact;

			for (int d = 0; d < dims; d++)
				x[d] = d % 3 == 1 ? -values[i] / 2 : values[i];
			VxEncode(&codec, x, &factors, code, work);
			check(!isnan(factors.error) && !isnan(factors.scale), "factors are numbers",
				  dims, bits, metric, i);
			check(VxCodeIsRight(&codec, x, &factors, code, work, scratch),
				  "code at an edge is right", dims, bits, metric, i);
			for (int d = 0; d < dims; d++)
				work[d] = d % 2 ? values[j] : values[j] / 3;
			exact = VxExactDistance(&codec, x, work);
			check(!isnan(exact), "exact distance is a number", dims, bits, metric, i * 10 + j);
			VxQueryFromVector(&query, work);
			VxEstimate(&query, 1, codes, pointers, &dist, &error);
			check(!isnan(dist) && isfinite(dist) && !isnan(error),
				  "estimate is a number", dims, bits, metric, i * 10 + j);
			VxQueryFromCode(&query, &factors, code);
			VxEstimate(&query, 1, codes, pointers, &dist, NULL);
			check(!isnan(dist) && isfinite(dist), "estimate from a code is a number",
				  dims, bits, metric, i * 10 + j);
		}
	}
	free(memory);
	free(code);
	free(scratch);
	free(work);
	free(x);
}

static void
test_codec(void)
{
	VxCodec		codec = {0};

	check(VxCodecInit(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, 3, 0, 8000) &&
		  codec.kind == VX_CODE_RAW && codec.nbytes == 12, "raw codes", 3, 0, 0, codec.nbytes);
	check(VxCodecInit(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, 3, 4, 8000) &&
		  codec.kind == VX_CODE_ROTATED && codec.nbytes == 2, "bits asked for", 3, 4, 0,
		  codec.nbytes);
	check(VxCodecInit(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, 64, 0, 8000) &&
		  codec.bits == 8, "few dimensions", 64, 0, 0, codec.bits);
	check(VxCodecInit(&codec, VX_ELEM_FLOAT4, VX_METRIC_COSINE, 768, 0, 8000) &&
		  codec.bits == 4 && codec.nbytes == 384, "default bits", 768, 0, 0, codec.bits);
	check(VxCodecInit(&codec, VX_ELEM_FLOAT4, VX_METRIC_L1, 768, 0, 8000) &&
		  codec.kind == VX_CODE_SCALAR && codec.bits == 8, "L1", 768, 0, 3, codec.bits);
	check(VxCodecInit(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, 16000, 8, 8000) &&
		  codec.bits == 4 && codec.nbytes == 8000, "what fits", 16000, 8, 0, codec.bits);
	check(VxCodecInit(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, 16000, 8, 7999) &&
		  codec.bits == 2, "what fits", 16000, 8, 0, codec.bits);
	check(!VxCodecInit(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, 16000, 0, 3999),
		  "what does not fit", 16000, 0, 0, codec.nbytes);
	check(!VxCodecRestore(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, 0, VX_CODE_ROTATED, 4),
		  "no dimensions", 0, 4, 0, 0);
	check(!VxCodecRestore(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, 10, VX_CODE_ROTATED, 3),
		  "impossible bits", 10, 3, 0, 0);
	check(!VxCodecRestore(&codec, VX_ELEM_FLOAT4, VX_METRIC_L2, 10, (VxCodeKind) 9, 4),
		  "impossible kind", 10, 4, 0, 0);
	check(!VxCodecRestore(&codec, VX_ELEM_FLOAT4, (VxMetric) 77, 10, VX_CODE_RAW, 32),
		  "impossible metric", 10, 32, 77, 0);
}

/* With all the dimensions, or only those that take little time */
static void
test_all(bool all)
{
	static const int dims[] = {1, 2, 3, 17, 31, 64, 65, 100, 127, 384, 768, 784, 2001, MAX_DIMS};

	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
	{
		int			d = dims[i];

		if (d > 1000 && !all)
			break;
		test_rotation(d);
		if (d >= 64)
			test_precision(d);
		for (int bits = 0; bits <= 8; bits = bits ? bits * 2 : 2)
			for (int metric = 0; metric < VX_N_METRICS; metric++)
			{
				test_edges((VxMetric) metric, d, bits);
				test_right_codes((VxMetric) metric, d, bits, 1);
				test_right_codes((VxMetric) metric, d, bits, 1e-12f);
				if (d < 64 && bits != 0)
					continue;	/* deviations hold for many dimensions */
				test_estimates((VxMetric) metric, d, bits, 0, false);
				test_estimates((VxMetric) metric, d, bits, 0.5f, false);
				test_estimates((VxMetric) metric, d, bits, 0, true);
			}
	}
}

int
main(void)
{
	test_codec();
	for (int i = 0; i < VxKernelSetCount(); i++)
	{
		if (!VxKernelSetUsable(i))
			continue;
		VxKernelsChoose(VxKernelSetGet(i)->name);
		test_all(i == 0);
	}
	printf("%ld passed, %ld failed\n", passed, failed);
	return failed > 0;
}
