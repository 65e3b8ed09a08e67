/*-------------------------------------------------------------------------
 *
 * vecparse_test.c
 *	  Test of the vector text parser against strtof.
 *
 *	  cc -O2 -g -fsanitize=address,undefined -Isrc -o /tmp/vecparse_test test/unit/vecparse_test.c src/type/vecparse.c -lm && /tmp/vecparse_test
 *
 * Arguments: number of random literals of each kind (default 500000) and seed
 * (default $VX_SEED, or 1).  Each text is parsed from a heap block of exactly
 * its size, so that a sanitizer sees any read beyond it.
 *
 * Prints "N passed, N failed" at the end; exits with 1 if a test failed.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "type/vecparse.h"

#define MAX_DIM 16000
#define MAX_LITERAL 512

static long passed = 0;
static long failed = 0;
static uint64_t rng_state;

static uint64_t
rng(void)
{
	/* splitmix64 */
	uint64_t	z = (rng_state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static void
check(bool ok, const char *text, const char *what)
{
	if (ok)
		passed++;
	else if (failed++ < 20)
		printf("FAILED: \"%.200s\": %s\n", text, what);
}

/* Parse from blocks of exactly the sizes that the contract allows */
static bool
parse(const char *text, size_t len, int max_dim, float **out,
	  VxParseResult *result)
{
	size_t		bound = VxParseBound(len);
	size_t		room = bound < (size_t) max_dim ? bound : (size_t) max_dim;
	char	   *copy = malloc(len ? len : 1);
	bool		ok;

	memcpy(copy, text, len);
	*out = malloc(room ? room * sizeof(float) : 1);
	ok = VxParseVector(copy, len, max_dim, *out, result);
	free(copy);
	return ok;
}

/* A finite decimal literal must have strtof's value, bit for bit */
static void
check_literal(const char *literal)
{
	char		text[MAX_LITERAL + 3];
	float		expected = strtof(literal, NULL);
	bool		zero = true;
	bool		range_error;
	float	   *out;
	VxParseResult result;
	bool		ok;

	for (const char *p = literal; *p && *p != 'e' && *p != 'E'; p++)
		zero &= !(*p >= '1' && *p <= '9');
	range_error = isinf(expected) || (expected == 0 && !zero);

	snprintf(text, sizeof(text), "[%s]", literal);
	ok = parse(text, strlen(text), MAX_DIM, &out, &result);
	if (range_error)
		check(!ok && result.error == VX_PARSE_RANGE && result.position == 1 &&
			  result.length == strlen(literal), literal, "no range error");
	else
		check(ok && result.dim == 1 &&
			  memcmp(&out[0], &expected, sizeof(float)) == 0,
			  literal, "differs from strtof");
	free(out);
}

/* A text must be refused with a given error at a given place */
static void
check_error(const char *text, VxParseError error, size_t position)
{
	float	   *out;
	VxParseResult result;
	bool		ok = parse(text, strlen(text), MAX_DIM, &out, &result);
	char		what[100];

	snprintf(what, sizeof(what), "error %d at %zu instead of %d at %zu",
			 (int) result.error, result.position, (int) error, position);
	check(!ok && result.error == error && result.position == position,
		  text, what);
	free(out);
}

/* A text must be a vector of given elements */
static void
check_vector(const char *text, int dim, const float *x)
{
	float	   *out;
	VxParseResult result;
	bool		ok = parse(text, strlen(text), MAX_DIM, &out, &result);

	check(ok && result.error == VX_PARSE_OK && result.dim == dim &&
		  memcmp(out, x, sizeof(float) * dim) == 0, text, "wrong vector");
	free(out);
}

static void
test_syntax(void)
{
	const float three[] = {1, -2, 3.5f};
	const float dots[] = {1, 0.5f, -0.25f, 100, 0.01f};
	const float zeros[] = {0, -0.0f, 0, -0.0f, 0};

	check_vector("[1,-2,3.5]", 3, three);
	check_vector(" \t\n\r\v\f[ 1 ,\t-2\n,\r3.5\v]\f ", 3, three);
	check_vector("[+1,-2e0,35e-1]", 3, three);
	check_vector("[1.,.5,-.25,1e2,1E-2]", 5, dots);
	check_vector("[0,-0,0e99999999999999999999,-0.000e-5,+.0]", 5, zeros);

	check_error("", VX_PARSE_NO_OPEN, 0);
	check_error("  ", VX_PARSE_NO_OPEN, 2);
	check_error("1,2", VX_PARSE_NO_OPEN, 0);
	check_error("{1,2}", VX_PARSE_NO_OPEN, 0);
	check_error("[]", VX_PARSE_EMPTY, 1);
	check_error("[  ]", VX_PARSE_EMPTY, 3);
	check_error("[", VX_PARSE_NO_CLOSE, 1);
	check_error("[ ", VX_PARSE_NO_CLOSE, 2);
	check_error("[1", VX_PARSE_NO_CLOSE, 2);
	check_error("[1,", VX_PARSE_NO_CLOSE, 3);
	check_error("[1,2", VX_PARSE_NO_CLOSE, 4);
	check_error("[1, ", VX_PARSE_NO_CLOSE, 4);
	check_error("[,", VX_PARSE_NO_NUMBER, 1);
	check_error("[1,]", VX_PARSE_NO_NUMBER, 3);
	check_error("[1,,2]", VX_PARSE_NO_NUMBER, 3);
	check_error("[1,2]]", VX_PARSE_JUNK, 5);
	check_error("[1,2] x", VX_PARSE_JUNK, 6);
	check_error("[1 2]", VX_PARSE_NO_SEPARATOR, 3);
	check_error("[1;2]", VX_PARSE_NO_SEPARATOR, 2);
	check_error("[1,2}", VX_PARSE_NO_SEPARATOR, 4);
	check_error("[a]", VX_PARSE_NO_NUMBER, 1);
	check_error("[-]", VX_PARSE_NO_NUMBER, 1);
	check_error("[+]", VX_PARSE_NO_NUMBER, 1);
	check_error("[.]", VX_PARSE_NO_NUMBER, 1);
	check_error("[-.]", VX_PARSE_NO_NUMBER, 1);
	check_error("[.e1]", VX_PARSE_NO_NUMBER, 1);
	check_error("[1e]", VX_PARSE_NO_NUMBER, 1);
	check_error("[1e+]", VX_PARSE_NO_NUMBER, 1);
	check_error("[1e", VX_PARSE_NO_NUMBER, 1);
	check_error("[--1]", VX_PARSE_NO_NUMBER, 1);
	check_error("[- 1]", VX_PARSE_NO_NUMBER, 1);
	check_error("[1.2.3]", VX_PARSE_NO_SEPARATOR, 4);
	check_error("[1e1.5]", VX_PARSE_NO_SEPARATOR, 4);
	check_error("[0x1]", VX_PARSE_NO_SEPARATOR, 2);
	check_error("[1f]", VX_PARSE_NO_SEPARATOR, 2);
	check_error("[1,nan]", VX_PARSE_NAN, 3);
	check_error("[NaN", VX_PARSE_NAN, 1);
	check_error("[ -NAN ]", VX_PARSE_NAN, 2);
	check_error("[nano]", VX_PARSE_NO_NUMBER, 1);
	check_error("[inf]", VX_PARSE_INFINITE, 1);
	check_error("[1, -Infinity,2]", VX_PARSE_INFINITE, 4);
	check_error("[+INF]", VX_PARSE_INFINITE, 1);
	check_error("[infinit]", VX_PARSE_NO_NUMBER, 1);
	check_error("[1,4e38]", VX_PARSE_RANGE, 3);
	check_error("[-1e-46]", VX_PARSE_RANGE, 1);
	check_error("[1e999999999999999999999999]", VX_PARSE_RANGE, 1);
	check_error("[1e-999999999999999999999999]", VX_PARSE_RANGE, 1);
	check_error("[\xc3\xa4]", VX_PARSE_NO_NUMBER, 1);
}

/* A NUL is a character like any other, and the limit of dimensions holds */
static void
test_limits(void)
{
	static char text[2 * (MAX_DIM + 1) + 2];
	float	   *out;
	VxParseResult result;
	bool		ok;

	ok = parse("[1\0]", 4, MAX_DIM, &out, &result);
	check(!ok && result.error == VX_PARSE_NO_SEPARATOR &&
		  result.position == 2, "[1\\0]", "NUL");
	free(out);

	text[0] = '[';
	for (int i = 0; i < MAX_DIM; i++)
		memcpy(text + 1 + 2 * i, "7,", 2);
	text[2 * MAX_DIM] = ']';
	ok = parse(text, 2 * MAX_DIM + 1, MAX_DIM, &out, &result);
	check(ok && result.dim == MAX_DIM && out[MAX_DIM - 1] == 7,
		  "[7,7...]", "most dimensions");
	free(out);

	memcpy(text + 2 * MAX_DIM, ",7]", 3);
	ok = parse(text, 2 * MAX_DIM + 3, MAX_DIM, &out, &result);
	check(!ok && result.error == VX_PARSE_TOO_MANY && result.dim == MAX_DIM,
		  "[7,7...]", "too many dimensions");
	free(out);

	/* every truncation ends cleanly */
	for (size_t len = 0; len < 40; len++)
	{
		ok = parse("[ 1.5e+3 , -2.25 ,nan, infinity, 1e-400]", len, 3, &out,
				   &result);
		check(!ok && result.position <= len, "truncated", "bad position");
		free(out);
	}
}

static void
test_edge_literals(void)
{
	static const char *const literals[] = {
		"0", "1", "16777216", "16777217", "16777218", "16777219", "33554433",
		"33554434", "33554435", "9007199254740993", "18446744073709551615",
		"18446744073709551616", "99999999999999999999", "0.1", "0.3",
		"3.4028234e38", "3.4028235e38", "3.4028236e38",
		"3.4028235677973366e38", "340282356779733661637539395458142568447",
		"340282356779733661637539395458142568448",
		"340282356779733661637539395458142568447.9999999999",
		"1.17549435e-38", "1.17549428e-38", "1.1754943e-38", "1.4e-45",
		"1e-45", "7e-46", "7.1e-46", "7.0064923216240853e-46",
		"7.0064923216240854e-46", "7.006492321624085354618e-46",
		"7.00649232162408535461864791644958065640130970938257885878534141944895541342930300743319094181060791015625e-46",
		"7.006492321624085354618647916449580656401309709382578858785341419448955413429303007433190941810607910156250001e-46",
		"1.00000005960464477539062500", "1.00000005960464477539062501",
		"1.0000000596046447753906250000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
		"1.00000017881393432617187500", "1.00000017881393432617187499",
		"1.000000059604644775390624999999999999999999999999999999",
		"1e22", "1e23", "1e38", "1e39", "1e-22", "1e-23", "1e-37", "1e-38",
		"8.5899345e9", "0.000000000000000000000000000000000000000000001",
		"1000000000000000000000000000000000000000000000e-40",
		"2.3509885615147286e-38", "4.7019774032891500318749461488889827e-38"
	};
	char	   *text;

	for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++)
		check_literal(literals[i]);

	/* leading and trailing zeros in number, balanced by the exponent */
	text = malloc(200000);
	memset(text, '0', 200000);
	memcpy(text, "[0.", 3);
	strcpy(text + 100003, "15e100001]");
	check_vector(text, 1, (const float[]) {1.5f});
	memset(text, '0', 200000);
	memcpy(text, "[25", 3);
	strcpy(text + 100003, "e-100001]");
	check_vector(text, 1, (const float[]) {2.5f});
	free(text);
}

/* Random digits with a random point and exponent */
static void
random_literal(char *literal)
{
	int			n = 1 + rng() % (rng() % 8 == 0 ? 150 : 20);
	int			point = rng() % (n + 1);
	char	   *p = literal;

	if (rng() % 2)
		*p++ = '-';
	for (int i = 0; i < n; i++)
	{
		if (i == point)
			*p++ = '.';
		*p++ = '0' + rng() % 10;
	}
	*p = '\0';
	if (rng() % 2)
		sprintf(p, "e%d", (int) (rng() % 100) - 50);
}

/* A literal at, or just beside, the midpoint of two floats */
static void
midpoint_literal(char *literal)
{
	uint32_t	bits = (uint32_t) rng() % 0x7f7fffff;
	float		low;
	double		mid;
	char	   *e;
	char		digits[200];
	int			n;

	memcpy(&low, &bits, sizeof(low));
	mid = ((double) low + nextafterf(low, INFINITY)) / 2;
	switch (rng() % 4)
	{
		case 0:					/* rounded to some digits */
			snprintf(literal, MAX_LITERAL, "%.*e", (int) (6 + rng() % 16), mid);
			return;
		case 1:					/* a double next to it */
			mid = nextafter(mid, rng() % 2 ? 0 : INFINITY);
			snprintf(literal, MAX_LITERAL, "%.17e", mid);
			return;
	}
	/* exactly, with at most one change far behind */
	snprintf(digits, sizeof(digits), "%.120e", mid);
	e = strchr(digits, 'e');
	n = e - digits;
	if (rng() % 2)
		digits[n - 1 - rng() % 4] = '1';
	snprintf(literal, MAX_LITERAL, "%.*s%s%s", n, digits,
			 rng() % 2 ? "0000000000000000000000000000007" : "", e);
}

static void
test_random_literals(long count)
{
	char		literal[MAX_LITERAL];
	float		f;
	double		d;

	for (long i = 0; i < count; i++)
	{
		uint32_t	bits = (uint32_t) rng();
		uint64_t	bits64 = rng();

		random_literal(literal);
		check_literal(literal);

		midpoint_literal(literal);
		check_literal(literal);

		/* any float4, as printf and as the shortest that round-trips */
		memcpy(&f, &bits, sizeof(f));
		if (isfinite(f))
		{
			snprintf(literal, sizeof(literal), "%.*g",
					 (int) (5 + rng() % 6), f);
			check_literal(literal);
		}

		/* doubles of ordinary size, as Python prints them */
		d = ldexp((double) (bits64 >> 11), -53) * 2 - 1;
		snprintf(literal, sizeof(literal), "%.*g", (int) (15 + rng() % 3), d);
		check_literal(literal);

		/* short decimals */
		snprintf(literal, sizeof(literal), "%.*f", (int) (rng() % 8),
				 (double) (int64_t) (rng() % 2000000) / 1000 - 1000);
		check_literal(literal);
	}
}

/* Random bytes out of the alphabet of vectors: no crash, sane result */
static void
test_random_texts(long count)
{
	static const char alphabet[] = "[],0123456789.eE+- \tnaif";
	char		text[64];

	for (long i = 0; i < count; i++)
	{
		size_t		len = rng() % sizeof(text);
		float	   *out;
		VxParseResult result;
		bool		ok;

		for (size_t j = 0; j < len; j++)
			text[j] = alphabet[rng() % (sizeof(alphabet) - 1)];
		if (len > 0)
			text[0] = '[';
		ok = parse(text, len, 8, &out, &result);
		check(ok == (result.error == VX_PARSE_OK) && result.dim <= 8 &&
			  result.position + result.length <= len, "random", "bad result");
		for (int j = 0; j < result.dim; j++)
			check(isfinite(out[j]), "random", "not finite");
		free(out);
	}
}

int
main(int argc, char **argv)
{
	long		count = argc > 1 ? atol(argv[1]) : 500000;
	const char *seed = argc > 2 ? argv[2] : getenv("VX_SEED");

	rng_state = seed ? strtoull(seed, NULL, 10) : 1;
	printf("seed %llu\n", (unsigned long long) rng_state);

	test_syntax();
	test_limits();
	test_edge_literals();
	test_random_literals(count);
	test_random_texts(count);

	printf("%ld passed, %ld failed\n", passed, failed);
	return failed > 0;
}
