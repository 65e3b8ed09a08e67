/*-------------------------------------------------------------------------
 *
 * code.c
 *	  Codes: the compact forms of vectors that the graph walk reads.
 *
 * The rotated code follows RaBitQ (Gao and Long, 2024) without centring: x,
 * rotated, is replaced by the grid point u (coordinates k + 1/2 for integers
 * k) whose direction is nearest to x's, and <x, q> is estimated by scale * <u,
 * q> with scale = |x|^2 / <u, x>.  With c the cosine between u and x, the
 * error of that estimate has standard deviation
 *		|x| |q| sqrt((1 - c^2) / c^2) / sqrt(dims - 1)
 * over random rotations.
 *
 * The rotation is a product of random signs and Walsh-Hadamard transforms on
 * the leading and on the trailing pow2 elements, which overlap unless dims is
 * a power of two, so any number of dimensions is served without padding.
 *
 *-------------------------------------------------------------------------
 */
#include "code/code.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Rounds of the rotation; a round is one transform at either end */
#define ROTATION_ROUNDS 2

/* Up to this many bytes a vector is its own code, unless bits were asked for */
#define RAW_MAX_BYTES 64
/* Up to this many dimensions the default code has 8 bits */
#define EIGHT_BIT_MAX_DIMS 64

/* Squared norms below this are summed in double, as float4 squares underflow */
#define SMALL_NORM 1e-30

static int
code_bytes(int dims, int bits)
{
	return (int) (((int64_t) dims * bits + 7) / 8);
}

static VxCodeBits
code_index(int bits)
{
	return bits == 2 ? VX_CODE2 : bits == 4 ? VX_CODE4 : VX_CODE8;
}

int
VxElementBytes(VxElement element, int dims)
{
	return (int) sizeof(float) * dims;
}

/* Set what follows from kind, bits and dims */
static void
codec_derive(VxCodec *codec)
{
	codec->vector_bytes = VxElementBytes(codec->element, codec->dims);
	codec->nbytes = codec->kind == VX_CODE_RAW ? codec->vector_bytes :
		code_bytes(codec->dims, codec->bits);
	codec->stride = (codec->nbytes + 63) / 64 * 64;
	codec->pow2 = 1;
	while (codec->pow2 * 2 <= codec->dims)
		codec->pow2 *= 2;
}

bool
VxCodecInit(VxCodec *codec, VxElement element, VxMetric metric,
			int dims, int bits, int max_bytes)
{
	codec->element = element;
	codec->metric = metric;
	codec->dims = dims;
	codec->kind = metric == VX_METRIC_L1 ? VX_CODE_SCALAR : VX_CODE_ROTATED;

	if (bits == 0 && VxElementBytes(element, dims) <= RAW_MAX_BYTES)
	{
		codec->kind = VX_CODE_RAW;
		codec->bits = 32;
	}
	else if (bits == 0)
		codec->bits = codec->kind == VX_CODE_SCALAR ||
			dims <= EIGHT_BIT_MAX_DIMS ? 8 : 4;
	else
		codec->bits = bits;

	while (codec->kind != VX_CODE_RAW && codec->bits > 2 &&
		   code_bytes(dims, codec->bits) > max_bytes)
		codec->bits /= 2;
	codec_derive(codec);
	return codec->nbytes <= max_bytes;
}

bool
VxCodecRestore(VxCodec *codec, VxElement element, VxMetric metric,
			   int dims, VxCodeKind kind, int bits)
{
	if (element < 0 || element >= VX_N_ELEMENTS ||
		metric < 0 || metric >= VX_N_METRICS || dims < 1)
		return false;
	if (kind == VX_CODE_RAW ? bits != 32 :
		kind != (metric == VX_METRIC_L1 ? VX_CODE_SCALAR : VX_CODE_ROTATED) ||
		(bits != 2 && bits != 4 && bits != 8))
		return false;

	codec->element = element;
	codec->metric = metric;
	codec->dims = dims;
	codec->kind = kind;
	codec->bits = bits;
	codec_derive(codec);
	return true;
}

bool
VxIsZero(const VxCodec *codec, const void *vector)
{
	const float *x = vector;

	for (int i = 0; i < codec->dims; i++)
		if (x[i] != 0)
			return false;
	return true;
}

double
VxExactDistance(const VxCodec *codec, const void *a, const void *b)
{
	double		d = VxDistance(codec->element, codec->metric, codec->dims, a, b);

	if (codec->metric == VX_METRIC_IP)
		d = -d;
	else if (codec->metric == VX_METRIC_COSINE)
		d = 1 - d;
	return isnan(d) ? INFINITY : d;
}

/* ---------------------------------------------------------------- rotation */

static inline uint64_t
splitmix64(uint64_t x)
{
	x += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

/*
 * Multiply n floats by a factor and give them the fixed random signs of a step.
 * The signs belong to the on-disk format: bit i % 64 of splitmix64(step * 2^32
 * + i / 64).
 */
static void
flip_signs(float *x, int n, int step, float factor)
{
	for (int base = 0; base < n; base += 64)
		VxKernels->flip(n - base < 64 ? n - base : 64, x + base,
						splitmix64(((uint64_t) step << 32) + (uint64_t) (base / 64)), factor);
}

/* Each transform is preceded by its normalization */
void
VxRotate(int dims, int pow2, float *x)
{
	float	   *tail = x + (dims - pow2);
	float		factor = 1.0f / sqrtf((float) pow2);
	int			step = 0;

	for (int round = 0; round < ROTATION_ROUNDS; round++)
	{
		flip_signs(x, pow2, step++, factor);
		VxKernels->fht(x, pow2);
		if (tail != x)
		{
			flip_signs(tail, pow2, step++, factor);
			VxKernels->fht(tail, pow2);
		}
	}
}

/* ---------------------------------------------------------------- encoding */

static float
grid_cosine(const float *x, int dims, float length, int half, float inv_step,
			float *dot)
{
	float		sq;

	VxKernels->grid_fit(dims, x, inv_step, half, dot, &sq);
	return sq > 0 ? *dot / (sqrtf(sq) * length) : 0;
}

/*
 * The steps that are tried for a grid, as their inverses: a coarse search over
 * steps that cut off none to two thirds of the largest element, then a fine one
 * around its best.
 */
#define COARSE_STEPS 12
#define COARSE_RATIO 1.11f
#define FINE_STEPS 5
#define FINE_RATIO 1.035f

static float
first_coarse(float largest, int half)
{
	return (float) half / largest * 0.95f;
}

static float
first_fine(float coarse)
{
	return coarse / (FINE_RATIO * FINE_RATIO);
}

/* Find the grid whose nearest point lies most nearly in x's direction */
static float
choose_grid(const float *x, int dims, float length, int half, float *best_dot)
{
	float		largest = VxKernels->largest(dims, x);
	float		best_inv = (float) half / largest;
	float		best_cos = -1;

	for (int pass = 0; pass < 2; pass++)
	{
		float		inv = pass == 0 ? first_coarse(largest, half) : first_fine(best_inv);
		int			steps = pass == 0 ? COARSE_STEPS : FINE_STEPS;

		for (int i = 0; i < steps; i++, inv *= pass == 0 ? COARSE_RATIO : FINE_RATIO)
		{
			float		dot;
			float		c = grid_cosine(x, dims, length, half, inv, &dot);

			if (c > best_cos)
			{
				best_cos = c;
				best_inv = inv;
				*best_dot = dot;
			}
		}
	}
	return best_inv;
}

/* Put value v (bits wide) of dimension i into a zeroed code */
static inline void
put_value(uint8_t *code, int nbytes, int bits, int i, int v)
{
	int			plane = i / nbytes;

	code[i - plane * nbytes] |= (uint8_t) (v << (bits * plane));
}

/*
 * Copy a vector as floats, at a length that float4 arithmetic can square;
 * returns its squared norm, of the copy.  Under cosine the copy has unit
 * length.
 */
static float
load_vector(const VxCodec *codec, const void *vector, float *x)
{
	double		norm;

	memcpy(x, vector, sizeof(float) * (size_t) codec->dims);
	norm = VxDistance(codec->element, VX_METRIC_IP, codec->dims, vector, vector);
	if (!(norm >= SMALL_NORM))
	{
		norm = 0;
		for (int i = 0; i < codec->dims; i++)
			norm += (double) x[i] * x[i];
	}
	if (codec->metric == VX_METRIC_COSINE && norm > 0)
	{
		double		inv = 1 / sqrt(norm);

		for (int i = 0; i < codec->dims; i++)
			x[i] = (float) (x[i] * inv);
		norm = 1;
	}
	return norm > FLT_MAX ? FLT_MAX : (float) norm;
}

/*
 * Encode x, the vector, rotated, on a grid; norm is its squared norm, and dot
 * and c, which belong to the grid, come from grid_cosine.
 */
static void
encode_on_grid(const VxCodec *codec, const float *x, float norm, float inv_step,
			   float dot, float c, VxFactors *factors, uint8_t *code)
{
	int			half = 1 << (codec->bits - 1);

	factors->norm = norm;
	factors->scale = norm / dot;
	factors->error = c >= 1 ? 0 : sqrtf(norm) * sqrtf((1 - c * c) / (c * c)) /
		sqrtf((float) (codec->dims > 1 ? codec->dims - 1 : 1));

	for (int i = 0; i < codec->dims; i++)
	{
		int			k = (int) floorf(fminf(fmaxf(x[i] * inv_step, -(float) half),
										   (float) half - 1));

		put_value(code, codec->nbytes, codec->bits, i, k + half);
	}
}

/* Has a vector of this squared norm a direction that float4 can express? */
static bool
has_direction(float norm)
{
	return norm >= FLT_MIN && norm < FLT_MAX;
}

/* x is the vector, rotated, and norm its squared norm */
static void
encode_rotated(const VxCodec *codec, const float *x, float norm,
			   VxFactors *factors, uint8_t *code)
{
	int			half = 1 << (codec->bits - 1);
	float		length = sqrtf(norm);
	float		inv_step;
	float		dot;
	float		c;

	factors->norm = norm;
	factors->scale = 0;
	factors->error = 0;
	if (!has_direction(norm))
	{
		/* the bound is nothing */
		factors->error = norm >= FLT_MAX ? FLT_MAX : length;
		return;
	}
	inv_step = choose_grid(x, codec->dims, length, half, &dot);
	if (!(dot > 0) || !isfinite(inv_step))
	{
		factors->error = length;
		return;
	}
	c = grid_cosine(x, codec->dims, length, half, inv_step, &dot);
	encode_on_grid(codec, x, norm, inv_step, dot, c, factors, code);
}

static void
encode_scalar(const VxCodec *codec, const void *vector,
			  VxFactors *factors, uint8_t *code)
{
	const float *x = vector;
	int			levels = (1 << codec->bits) - 1;
	float		lo = x[0];
	float		hi = x[0];
	float		step;

	for (int i = 1; i < codec->dims; i++)
	{
		lo = fminf(lo, x[i]);
		hi = fmaxf(hi, x[i]);
	}
	step = hi / (float) levels - lo / (float) levels;
	factors->norm = lo;
	factors->scale = step;
	factors->error = step * sqrtf((float) codec->dims / 12);
	if (!(step > 0))
		return;
	for (int i = 0; i < codec->dims; i++)
	{
		float		v = (x[i] / step - lo / step) + 0.5f;

		put_value(code, codec->nbytes, codec->bits, i,
				  v >= (float) levels ? levels : v > 0 ? (int) v : 0);
	}
}

float
VxPrepare(const VxCodec *codec, const void *vector, float *x)
{
	float		norm;

	if (codec->kind != VX_CODE_ROTATED)
		return 0;
	norm = load_vector(codec, vector, x);
	VxRotate(codec->dims, codec->pow2, x);
	return norm;
}

void
VxEncodePrepared(const VxCodec *codec, const void *vector, const float *x,
				 float norm, VxFactors *factors, uint8_t *code)
{
	memset(code, 0, (size_t) codec->nbytes);
	memset(factors, 0, sizeof(*factors));
	switch (codec->kind)
	{
		case VX_CODE_RAW:
			memcpy(code, vector, (size_t) codec->nbytes);
			break;
		case VX_CODE_ROTATED:
			encode_rotated(codec, x, norm, factors, code);
			break;
		case VX_CODE_SCALAR:
			encode_scalar(codec, vector, factors, code);
			break;
	}
}

void
VxEncode(const VxCodec *codec, const void *vector,
		 VxFactors *factors, uint8_t *code, float *work)
{
	float		norm = VxPrepare(codec, vector, work);

	VxEncodePrepared(codec, vector, work, norm, factors, code);
}

/* ---------------------------------------------------------------- comparing */

/* Cosines of grids that differ less than this may be in any order elsewhere */
#define COSINE_SLACK 1e-5f

static int
get_value(const uint8_t *code, int nbytes, int bits, int i)
{
	int			plane = i / nbytes;

	return code[i - plane * nbytes] >> (bits * plane) & ((1 << bits) - 1);
}

/*
 * Do codes differ by no more than rounding explains: in few values, by one, as
 * happens at the border between two of them?  Bits beyond the last value are
 * zero.
 */
static bool
codes_are_near(const VxCodec *codec, const uint8_t *a, const uint8_t *b)
{
	int			allowed = 2 + codec->dims / 256;

	if (memcmp(a, b, (size_t) codec->nbytes) == 0)
		return true;
	if (codec->kind == VX_CODE_RAW)
		return false;
	for (int i = 0; i < codec->nbytes * 8 / codec->bits; i++)
	{
		int			d = get_value(a, codec->nbytes, codec->bits, i) -
			get_value(b, codec->nbytes, codec->bits, i);

		if (d != 0 && ((d != 1 && d != -1) || i >= codec->dims || allowed-- == 0))
			return false;
	}
	return true;
}

static bool
floats_are_near(float a, float b)
{
	return a == b ||
		(isfinite(a) && isfinite(b) && fabsf(a - b) <= 1e-4f * (fabsf(a) + fabsf(b)));
}

/* 1 - c^2 loses digits where c is near 1, so errors are compared by what c may be */
static bool
factors_are_near(const VxCodec *codec, const VxFactors *a, const VxFactors *b)
{
	double		x = (double) a->error * a->error;
	double		y = (double) b->error * b->error;
	double		unit = codec->kind == VX_CODE_ROTATED ?
		(double) b->norm / (codec->dims > 1 ? codec->dims - 1 : 1) : 0;

	return floats_are_near(a->norm, b->norm) && floats_are_near(a->scale, b->scale) &&
		(a->error == b->error ||
		 (isfinite(x + y) && fabs(x - y) <= 1e-3 * (x + y) + 1e-5 * unit));
}

/* What is_code_on_other_grid compares, and scratch memory for a code */
typedef struct VxComparison
{
	const VxCodec *codec;
	const float *x;
	float		norm;
	const VxFactors *factors;
	const uint8_t *code;
	uint8_t    *scratch;
} VxComparison;

static bool
is_code_on_grid(const VxComparison *cmp, float inv_step, float least_cos)
{
	const VxCodec *codec = cmp->codec;
	VxFactors	factors;
	float		dot;
	float		c = grid_cosine(cmp->x, codec->dims, sqrtf(cmp->norm),
								1 << (codec->bits - 1), inv_step, &dot);

	if (!(dot > 0) || !(c >= least_cos))
		return false;
	memset(cmp->scratch, 0, (size_t) codec->nbytes);
	encode_on_grid(codec, cmp->x, cmp->norm, inv_step, dot, c, &factors, cmp->scratch);
	return factors_are_near(codec, cmp->factors, &factors) &&
		codes_are_near(codec, cmp->code, cmp->scratch);
}

/* Is a code one on another grid that is as good as the best but for rounding? */
static bool
is_code_on_other_grid(const VxComparison *cmp)
{
	const VxCodec *codec = cmp->codec;
	int			half = 1 << (codec->bits - 1);
	float		length = sqrtf(cmp->norm);
	float		largest = VxKernels->largest(codec->dims, cmp->x);
	float		dot;
	float		best = choose_grid(cmp->x, codec->dims, length, half, &dot);
	float		least_cos = grid_cosine(cmp->x, codec->dims, length, half, best, &dot) -
		COSINE_SLACK;
	float		coarse = first_coarse(largest, half);

	for (int i = 0; i < COARSE_STEPS; i++, coarse *= COARSE_RATIO)
	{
		float		fine = first_fine(coarse);

		if (is_code_on_grid(cmp, coarse, least_cos))
			return true;
		for (int j = 0; j < FINE_STEPS; j++, fine *= FINE_RATIO)
			if (is_code_on_grid(cmp, fine, least_cos))
				return true;
	}
	return false;
}

bool
VxCodeIsRight(const VxCodec *codec, const void *vector, const VxFactors *factors,
			  const uint8_t *code, float *work, uint8_t *scratch)
{
	float		norm = VxPrepare(codec, vector, work);
	VxFactors	own;

	VxEncodePrepared(codec, vector, work, norm, &own, scratch);
	if (factors_are_near(codec, factors, &own) && codes_are_near(codec, code, scratch))
		return true;
	if (codec->kind == VX_CODE_ROTATED && has_direction(norm))
	{
		VxComparison cmp = {codec, work, norm, factors, code, scratch};

		return is_code_on_other_grid(&cmp);
	}
	return false;
}

/* ----------------------------------------------------------------- queries */

static int
planes_of(const VxCodec *codec)
{
	return codec->kind == VX_CODE_RAW ? 0 : 8 / codec->bits;
}

size_t
VxQueryMemory(const VxCodec *codec)
{
	return sizeof(float) * (size_t) codec->dims + 64 +
		(size_t) codec->stride * (size_t) planes_of(codec);
}

void
VxQueryInit(VxQuery *query, const VxCodec *codec, void *memory)
{
	memset(query, 0, sizeof(*query));
	query->codec = codec;
	query->work = memory;
	query->planes = (int8_t *) (query->work + codec->dims);
}

#define ONES_16 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#define ONES_256 ONES_16, ONES_16, ONES_16, ONES_16, ONES_16, ONES_16, \
	ONES_16, ONES_16, ONES_16, ONES_16, ONES_16, ONES_16, ONES_16, ONES_16, \
	ONES_16, ONES_16

static const int8_t ones[1024] = {ONES_256, ONES_256, ONES_256, ONES_256};

/*
 * Sum of the values of a code: its inner product with a query of ones, whose
 * planes may all be the same.
 */
static int64_t
code_sum(const VxCodec *codec, const uint8_t *code)
{
	int64_t		sum = 0;

	for (int i = 0; i < codec->nbytes; i += (int) sizeof(ones))
	{
		int			n = codec->nbytes - i < (int) sizeof(ones) ?
			codec->nbytes - i : (int) sizeof(ones);
		const uint8_t *part = code + i;
		int32_t		ip;

		VxKernels->code_ip[code_index(codec->bits)] (n, &part, 1, ones, 0, &ip);
		sum += ip;
	}
	return sum;
}

/* Set what the estimate subtracts, from the sum of the planes */
static void
set_offset(VxQuery *query, int64_t sum)
{
	query->offset = ((double) (1 << (query->codec->bits - 1)) - 0.5) * (double) sum;
}

/* Round the rotated query to int8 planes */
static void
quantize_query(VxQuery *query)
{
	const VxCodec *codec = query->codec;
	float	   *x = query->work;
	int			total = codec->stride * planes_of(codec);
	float		inv;
	int64_t		sum = 0;

	query->scale = VxKernels->largest(codec->dims, x) / 127;
	inv = query->scale > 0 ? 1 / query->scale : 0;
	if (!isfinite(inv))
		inv = 0;

	memset(query->planes, 0, (size_t) codec->stride * (size_t) planes_of(codec));
	for (int plane = 0, i = 0; i < codec->dims; plane++, i += codec->nbytes)
		VxKernels->to_int8(codec->dims - i < codec->nbytes ? codec->dims - i : codec->nbytes,
						   x + i, inv, query->planes + (ptrdiff_t) plane * codec->stride);
	for (int i = 0; i < total; i += (int) sizeof(ones))
	{
		const uint8_t *code = (const uint8_t *) ones;
		int			n = total - i < (int) sizeof(ones) ? total - i : (int) sizeof(ones);
		int32_t		part;

		VxKernels->code_ip[VX_CODE8] (n, &code, 1, query->planes + i, n, &part);
		sum += part;
	}
	set_offset(query, sum);
}

void
VxQueryFromPrepared(VxQuery *query, const void *vector, float norm)
{
	query->vector = vector;
	query->code = NULL;
	if (query->codec->kind == VX_CODE_ROTATED)
	{
		query->norm = norm;
		query->length = sqrtf(norm);
		quantize_query(query);
		query->error = query->scale / sqrtf(12);
	}
}

void
VxQueryFromVector(VxQuery *query, const void *vector)
{
	float		norm = VxPrepare(query->codec, vector, query->work);

	VxQueryFromPrepared(query, vector, norm);
}

void
VxQueryFromCode(VxQuery *query, const VxFactors *factors, const uint8_t *code)
{
	const VxCodec *codec = query->codec;

	query->vector = codec->kind == VX_CODE_RAW ? (const void *) code : NULL;
	query->code = code;
	query->factors = *factors;
	if (codec->kind == VX_CODE_ROTATED)
	{
		query->norm = factors->norm;
		query->length = sqrtf(factors->norm);
		VxKernels->code_unpack(codec->dims, codec->bits, code,
							   query->planes, codec->stride);
		query->scale = codec->bits == 8 ? factors->scale : factors->scale / 2;
		query->error = factors->error;
		if (codec->bits == 8)
		{
			/* int8 leaves out the half of the grid's points */
			query->error += factors->scale / 2;
			set_offset(query, code_sum(codec, code) - (int64_t) 128 * codec->dims);
		}
		else
			set_offset(query, 2 * code_sum(codec, code) -
					   ((int64_t) (1 << codec->bits) - 1) * codec->dims);
	}
}

/* ---------------------------------------------------------------- estimates */

/* Never NaN, nor infinity */
static inline float
finite_distance(float d)
{
	d = d < FLT_MAX ? d : FLT_MAX;
	return d > -FLT_MAX ? d : -FLT_MAX;
}

/*
 * Twice the difference of the integers below is below 2^31 for any vector that
 * a type allows (16,000 dimensions), so that there is no need of doubles.
 */
static void
estimate_rotated(const VxQuery *query, int n, const uint8_t *const *codes,
				 const VxFactors *const *factors, float *dist)
{
	const VxCodec *codec = query->codec;
	float		half_scale = query->scale / 2;
	float		norm = query->norm;
	int32_t		offset = (int32_t) (2 * query->offset);
	int32_t		ip[VX_ESTIMATE_MAX];

	VxKernels->code_ip[code_index(codec->bits)] (codec->nbytes, codes, n,
												 query->planes, codec->stride, ip);
	if (codec->metric == VX_METRIC_L2)
		for (int i = 0; i < n; i++)
			dist[i] = finite_distance(factors[i]->norm + norm - factors[i]->scale *
									  query->scale * (float) (2 * ip[i] - offset));
	else if (codec->metric == VX_METRIC_COSINE)
		for (int i = 0; i < n; i++)
			dist[i] = finite_distance(1 - factors[i]->scale * half_scale *
									  (float) (2 * ip[i] - offset));
	else
		for (int i = 0; i < n; i++)
			dist[i] = finite_distance(-factors[i]->scale * half_scale *
									  (float) (2 * ip[i] - offset));
}

/*
 * The errors of those estimates.  What the code says of x is x plus a residual
 * that is perpendicular to x, as scale is chosen so; therefore only that part
 * of the query makes an error which is perpendicular to x, and little of a near
 * neighbor is.  How much it is follows from the estimate itself; we take two
 * deviations less of what is parallel.
 */
static void
rotated_errors(const VxQuery *query, int n, const VxFactors *const *factors,
			   const float *dist, float *error)
{
	VxMetric	metric = query->codec->metric;
	float		factor = metric == VX_METRIC_L2 ? 2 : 1;
	float		of_query = factor * query->error;

	for (int i = 0; i < n; i++)
	{
		float		norm = factors[i]->norm;
		float		ip = metric == VX_METRIC_L2 ? (norm + query->norm - dist[i]) / 2 :
			metric == VX_METRIC_COSINE ? 1 - dist[i] : dist[i];
		float		parallel = fabsf(ip) - 2 * factors[i]->error * query->length;
		float		of_code = factor * factors[i]->error;
		float		square = query->norm;

		if (parallel > 0 && norm > 0)
			square -= fminf(parallel * (parallel / norm), square);
		square = square * of_code * of_code + norm * of_query * of_query;
		error[i] = fabsf(dist[i]) < FLT_MAX ? sqrtf(square) : INFINITY;
	}
}

/*
 * Rounding never makes a small difference smaller on average, so sums of small
 * ones are overestimated: by up to a quarter of a step per element where the
 * vectors are equal, and less the larger the differences are.  A third of that,
 * as the lower bound is three of what is called the error below the estimate.
 * spread is a step times the number of elements.
 */
static float
scalar_bias(float spread, float sum)
{
	return spread / 12 * (sum > spread ? spread / sum : 1);
}

static void
estimate_scalar(const VxQuery *query, int n, const uint8_t *const *codes,
				const VxFactors *const *factors, float *dist, float *error)
{
	const VxCodec *codec = query->codec;
	int			mask = (1 << codec->bits) - 1;

	for (int i = 0; i < n; i++)
	{
		float		sum = 0;

		for (int plane = 0, done = 0; done < codec->dims; plane++)
		{
			int			count = codec->dims - done < codec->nbytes ?
				codec->dims - done : codec->nbytes;
			int			shift = codec->bits * plane;

			if (query->code)
				sum += VxKernels->code_l1_codes(count, codes[i], query->code,
												shift, mask, factors[i]->norm,
												factors[i]->scale,
												query->factors.norm,
												query->factors.scale);
			else
				sum += VxKernels->code_l1(count, codes[i], shift, mask,
										  factors[i]->norm, factors[i]->scale,
										  (const float *) query->vector + done);
			done += count;
		}
		dist[i] = isfinite(sum) ? sum : FLT_MAX;
		if (error)
			error[i] = isfinite(sum) ? factors[i]->error +
				scalar_bias(codec->dims * factors[i]->scale, sum) : INFINITY;
	}
}

void
VxEstimate(const VxQuery *query, int n, const uint8_t *const *codes,
		   const VxFactors *const *factors, float *dist, float *error)
{
	switch (query->codec->kind)
	{
		case VX_CODE_ROTATED:
			estimate_rotated(query, n, codes, factors, dist);
			if (error)
				rotated_errors(query, n, factors, dist, error);
			break;
		case VX_CODE_SCALAR:
			estimate_scalar(query, n, codes, factors, dist, error);
			break;
		case VX_CODE_RAW:
			for (int i = 0; i < n; i++)
			{
				double		d = VxExactDistance(query->codec, query->vector, codes[i]);

				dist[i] = (float) fmin(fmax(d, -FLT_MAX), FLT_MAX);
				if (error)
					error[i] = fabs(d) < FLT_MAX ? 0 : INFINITY;
			}
			break;
	}
}
