/*-------------------------------------------------------------------------
 *
 * vecparse.h
 *	  Text form of a vector: "[1,2,3]" to an array of float4.
 *
 * Free of PostgreSQL's headers, so that it can be tested, fuzzed and run
 * under sanitizers alone.  Does not allocate and does not depend on the
 * locale.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_VECPARSE_H
#define VX_VECPARSE_H

#include <stddef.h>

typedef enum VxParseError
{
	VX_PARSE_OK = 0,
	VX_PARSE_NO_OPEN,			/* does not start with "[" */
	VX_PARSE_NO_NUMBER,			/* something else where a number belongs */
	VX_PARSE_NO_SEPARATOR,		/* neither "," nor "]" after a number */
	VX_PARSE_NO_CLOSE,			/* ends before "]" */
	VX_PARSE_JUNK,				/* goes on after "]" */
	VX_PARSE_EMPTY,				/* "[]" */
	VX_PARSE_TOO_MANY,			/* more than max_dim numbers */
	VX_PARSE_RANGE,				/* number overflows, or underflows to zero */
	VX_PARSE_NAN,				/* a spelling of NaN */
	VX_PARSE_INFINITE			/* a spelling of an infinity */
} VxParseError;

typedef struct VxParseResult
{
	VxParseError error;
	int			dim;			/* numbers read before the end or the error */
	size_t		position;		/* byte offset of the error; token start for
								 * RANGE, NAN and INFINITE */
	size_t		length;			/* bytes of the offending token, or 0 */
} VxParseResult;

/*
 * Numbers that a text of len bytes can hold at most, so that the caller can
 * size its buffer: each takes a digit and a separator.
 */
static inline size_t
VxParseBound(size_t len)
{
	return len / 2;
}

/*
 * Parse str[0 .. len-1] and write at most max_dim numbers to out, which must
 * have room for the lesser of max_dim and VxParseBound(len) of them.  Reads
 * nothing outside str[0 .. len-1]; no terminator is needed.
 *
 * Numbers are those that PostgreSQL's real accepts, except hexadecimal ones;
 * NaN and the infinities are recognized in order to be refused.  The value is
 * the float4 nearest to the decimal number, ties to even.  Space, \t, \n, \r,
 * \v, \f may surround each token, as in arrays.
 *
 * Returns true for success.  *result is always filled.
 */
extern _Bool VxParseVector(const char *str, size_t len, int max_dim,
						   float *out, VxParseResult *result);

#endif							/* VX_VECPARSE_H */
