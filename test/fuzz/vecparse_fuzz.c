/*-------------------------------------------------------------------------
 *
 * vecparse_fuzz.c
 *	  libFuzzer harness of the vector text parser.
 *
 *	  clang -O1 -g -fsanitize=fuzzer,address,undefined -Isrc -o /tmp/vecparse_fuzz test/fuzz/vecparse_fuzz.c src/type/vecparse.c -lm &&
 *	  /tmp/vecparse_fuzz -runs=1000000 -max_len=512 /tmp/new_corpus test/fuzz/vecparse_corpus
 *
 * (The first directory, which must exist, receives new inputs.)  Without
 * libFuzzer, main.c runs the same harness; test/unit builds and runs that.
 *
 * The first byte of an input chooses the limit of dimensions, the rest is the
 * text.  Checked besides memory errors: the result is sane, all elements are
 * finite, a text that is accepted is accepted again when printed with nine digits
 * and gives the same elements, and both verdict and elements are those of a
 * parser of a few lines on strtof (mutate.h).
 *
 *-------------------------------------------------------------------------
 */
#include "mutate.h"
#include "type/vecparse.h"

/* Bytes that "%.9g," takes at most */
#define PRINTED_BYTES 20

static void
require(int ok)
{
	if (!ok)
		abort();
}

/* Print and parse again */
static void
check_round_trip(const float *x, int dim)
{
	char	   *text = malloc(PRINTED_BYTES * dim + 3);
	float	   *again = malloc(sizeof(float) * dim);
	char	   *p = text;
	VxParseResult result;

	*p++ = '[';
	for (int i = 0; i < dim; i++)
		p += snprintf(p, PRINTED_BYTES, i > 0 ? ",%.9g" : "%.9g", x[i]);
	*p++ = ']';
	/* dim numbers are known to fit, whatever the bound is */
	require(VxParseVector(text, p - text, dim, again, &result));
	require(result.dim == dim && memcmp(x, again, sizeof(float) * dim) == 0);
	free(again);
	free(text);
}

/* Compare with the simple parser, which takes texts without zeros among them */
static void
check_second_opinion(const char *text, size_t len, int max_dim, const float *x, int dim)
{
	char	   *copy = malloc(len + 1);
	float	   *expected = malloc(sizeof(float) * (len / 2 + 1));
	int			expected_dim = -1;

	memcpy(copy, text, len);
	copy[len] = '\0';
	if (strlen(copy) == len)
		expected_dim = reference_parse(copy, max_dim, expected);
	require(expected_dim == dim);
	require(dim == -1 || memcmp(x, expected, sizeof(float) * (size_t) dim) == 0);
	free(expected);
	free(copy);
}

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text;
	size_t		len;
	size_t		room;
	int			max_dim;
	float	   *out;
	VxParseResult result;

	if (size == 0)
		return 0;
	max_dim = data[0] < 128 ? 16000 : data[0] - 127;
	len = size - 1;
	text = malloc(len ? len : 1);	/* exact, so that overruns are seen */
	memcpy(text, data + 1, len);
	room = VxParseBound(len) < (size_t) max_dim ? VxParseBound(len) : (size_t) max_dim;
	out = malloc(room ? room * sizeof(float) : 1);

	if (VxParseVector(text, len, max_dim, out, &result))
	{
		require(result.error == VX_PARSE_OK && result.dim >= 1);
		check_round_trip(out, result.dim);
		check_second_opinion(text, len, max_dim, out, result.dim);
	}
	else
	{
		require(result.error != VX_PARSE_OK);
		check_second_opinion(text, len, max_dim, NULL, -1);
	}
	require(result.dim >= 0 && (size_t) result.dim <= room);
	require(result.position + result.length <= len);
	for (int i = 0; i < result.dim; i++)
		require(isfinite(out[i]));

	free(out);
	free(text);
	return 0;
}
