/*-------------------------------------------------------------------------
 *
 * vecparse.c
 *	  Text form of a vector: "[1,2,3]" to an array of float4.
 *
 * A number is scanned once into w * 10^e, where w holds its first 19
 * significant digits.  The fast conversion computes d = w * 10^e in double
 * precision and rounds d to float4.  That is right unless d is so near to the
 * midpoint of two neighboring floats that the exact value x may lie on its
 * other side; those cases, and what is not a normal float4, go to strtof.
 *
 * Why it is right: with u = 2^-53, three roundings (w to double, the power of
 * ten, which is exact up to 10^22, and the operation) and the dropped digits
 * (below 10^-18, as w >= 10^18 then) give
 *		|d - x| < (3u + 3u^2 + u^3 + 10^-18 (1 + 4u)) |x| < 3.1u |x|,
 * which is less than 4 units in the last place of d.  Every midpoint of two
 * normal floats is a double whose low 29 bits are 2^28.  If d differs from
 * that pattern by more than 4 in its last place then no midpoint lies between
 * d and x, and both round to the same float4.  (If x is in the binade below
 * d, d's low bits are near zero and the nearest midpoint is 2^27 units away.)
 *
 * strtof gets a rewritten literal without a decimal point, so that the locale
 * does not matter: up to 120 digits, a further 1 if a non-zero digit was
 * dropped, and an exponent.  No midpoint of floats has more than 113
 * significant digits, so the digits dropped cannot matter otherwise.
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

/* Digits of w; 10^19 - 1 fits in 64 bits */
#define MAX_MANTISSA_DIGITS 19

/* Digits handed to strtof */
#define MAX_EXACT_DIGITS 120

/* Largest power of ten in the table */
#define MAX_POWER 55

/* Explicit exponents are clamped here, far above any length of a text */
#define MAX_EXPONENT INT64_C(1000000000000)

/* Distance from a midpoint, in units in the last place, that is trusted */
#define MIDPOINT_MARGIN 4

/* A decimal number as found in the text */
typedef struct Decimal
{
	const char *digits;			/* digits, perhaps with a point among them */
	const char *digits_end;		/* end of these */
	uint64_t	mantissa;		/* first 19 significant digits */
	int64_t		exponent;		/* of ten, that belongs to mantissa */
	bool		negative;
} Decimal;

static const double powers_of_ten[MAX_POWER + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
	1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29,
	1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39,
	1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47, 1e48, 1e49,
	1e50, 1e51, 1e52, 1e53, 1e54, 1e55
};

static inline bool
is_digit(char c)
{
	return (unsigned char) (c - '0') <= 9;
}

static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline const char *
skip_space(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p;
}

/*
 * Scan digits and append them to *mantissa, which wraps around if there are too
 * many.  Returns the end of the digits.
 */
static inline const char *
scan_digits_bytewise(const char *p, const char *end, uint64_t *mantissa)
{
	for (; p < end && is_digit(*p); p++)
		*mantissa = *mantissa * 10 + (uint64_t) (*p - '0');
	return p;
}

#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

/* A word with the same value in each byte */
#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/*
 * The same, by eight bytes at a time and without a branch for each: lengths of
 * numbers are hard to predict.
 */
static inline const char *
scan_digits(const char *p, const char *end, uint64_t *mantissa)
{
	static const uint32_t scale[9] = {
		1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000
	};

	while (end - p >= 8)
	{
		uint64_t	word;
		uint64_t	others;
		int			n;

		/* make digits 0 .. 9, and find the first byte that is none */
		memcpy(&word, p, sizeof(word));
		word ^= EACH_BYTE('0');
		others = (word | ((word & EACH_BYTE(0x0F)) + EACH_BYTE(6))) &
			EACH_BYTE(0xF0);
		n = others ? __builtin_ctzll(others) / 8 : 8;
		if (n == 0)
			return p;

		/* put zeros before n digits, add up pairs, and pairs of pairs */
		word <<= 64 - 8 * n;
		word = word * 10 + (word >> 8);
		word = ((word & UINT64_C(0x000000FF000000FF)) *
				UINT64_C(0x000F424000000064) +
				((word >> 16) & UINT64_C(0x000000FF000000FF)) *
				UINT64_C(0x0000271000000001)) >> 32;
		*mantissa = *mantissa * scale[n] + (uint32_t) word;
		p += n;
		if (n < 8)
			return p;
	}
	return scan_digits_bytewise(p, end, mantissa);
}

#else

static inline const char *
scan_digits(const char *p, const char *end, uint64_t *mantissa)
{
	return scan_digits_bytewise(p, end, mantissa);
}

#endif

/*
 * Redo the mantissa of a number that has many digits: keep the first 19 that
 * are significant, and count in the exponent those that are dropped.
 */
static void
shorten_mantissa(Decimal *num)
{
	int			ndigits = 0;

	num->mantissa = 0;
	for (const char *p = num->digits; p < num->digits_end; p++)
	{
		if (*p == '.')
			continue;
		if (ndigits == MAX_MANTISSA_DIGITS)
		{
			num->exponent++;
			continue;
		}
		num->mantissa = num->mantissa * 10 + (uint64_t) (*p - '0');
		ndigits += (num->mantissa != 0);	/* leading zeros do not count */
	}
}

/*
 * Scan an exponent, p being after the "e".  Returns its end, or NULL if there
 * is no digit.
 */
static const char *
scan_exponent(const char *p, const char *end, int64_t *exponent)
{
	bool		negative = false;
	int64_t		value = 0;

	if (p < end && (*p == '-' || *p == '+'))
		negative = (*p++ == '-');
	if (p == end || !is_digit(*p))
		return NULL;
	for (; p < end && is_digit(*p); p++)
	{
		if (value < MAX_EXPONENT)
			value = value * 10 + (*p - '0');
	}
	*exponent += negative ? -value : value;
	return p;
}

/*
 * Scan [+-]digits[.digits][e[+-]digits], where either but not both groups of
 * digits before the exponent may be missing.  Returns the end of the number,
 * or NULL if there is none at p.
 */
static inline const char *
scan_number(const char *p, const char *end, Decimal *num)
{
	ptrdiff_t	ndigits;

	num->mantissa = 0;
	num->exponent = 0;
	num->negative = false;
	if (p < end)
	{
		/* no branch, as signs are hard to predict */
		num->negative = (*p == '-');
		p += num->negative | (*p == '+');
	}

	num->digits = p;
	p = scan_digits(p, end, &num->mantissa);
	ndigits = p - num->digits;
	if (p < end && *p == '.')
	{
		const char *fraction = ++p;

		p = scan_digits(p, end, &num->mantissa);
		num->exponent = fraction - p;
		ndigits += p - fraction;
	}
	if (ndigits == 0)
		return NULL;
	num->digits_end = p;
	if (ndigits > MAX_MANTISSA_DIGITS)
		shorten_mantissa(num);

	if (p < end && (*p == 'e' || *p == 'E'))
		p = scan_exponent(p + 1, end, &num->exponent);
	return p;
}

/*
 * Correctly rounded value by strtof, for the few numbers that fast_value does
 * not decide.  Returns false if the value overflows or underflows to zero.
 */
static bool
slow_value(const Decimal *num, float *value)
{
	char		literal[MAX_EXACT_DIGITS + 32];
	int			n = 0;
	int64_t		exponent = num->exponent;
	bool		sticky = false;

	for (const char *p = num->digits; p < num->digits_end; p++)
	{
		if (*p == '.' || (n == 0 && *p == '0'))
			continue;
		if (n < MAX_EXACT_DIGITS)
			literal[n++] = *p;
		else
			sticky |= (*p != '0');
	}

	/*
	 * num->exponent belongs to the first 19 digits; make it that of the
	 * digits that we took.
	 */
	if (n > MAX_MANTISSA_DIGITS)
		exponent -= n - MAX_MANTISSA_DIGITS;
	if (sticky)
	{
		literal[n++] = '1';
		exponent--;
	}

	/* far outside any float4, with however many digits we have */
	if (exponent > 9999)
		exponent = 9999;
	else if (exponent < -9999)
		exponent = -9999;
	snprintf(literal + n, sizeof(literal) - n, "e%d", (int) exponent);

	*value = strtof(literal, NULL);
	if (*value == 0 || !isfinite(*value))
		return false;
	if (num->negative)
		*value = -*value;
	return true;
}

/*
 * Value of a number by arithmetic in double precision.  Returns false if that
 * does not decide how to round; see the head of this file.
 */
static inline bool
fast_value(const Decimal *num, float *value)
{
	static const float sign[2] = {1.0f, -1.0f};
	double		d = (double) num->mantissa;
	uint64_t	bits;

	if (num->exponent < 0)
	{
		if (num->exponent < -MAX_POWER)
			return false;
		d /= powers_of_ten[-num->exponent];
	}
	else
	{
		if (num->exponent > MAX_POWER)
			return false;
		d *= powers_of_ten[num->exponent];
	}
	if (d < FLT_MIN || d > FLT_MAX)
		return false;

	memcpy(&bits, &d, sizeof(bits));
	bits &= (UINT64_C(1) << 29) - 1;
	if (bits - ((UINT64_C(1) << 28) - MIDPOINT_MARGIN) <= 2 * MIDPOINT_MARGIN)
		return false;
	*value = (float) d * sign[num->negative];
	return true;
}

/*
 * Value of a number.  Returns false if it overflows, or underflows to zero
 * without being zero.
 */
static inline bool
decimal_value(const Decimal *num, float *value)
{
	if (num->mantissa == 0)
	{
		*value = num->negative ? -0.0f : 0.0f;
		return true;
	}
	return fast_value(num, value) || slow_value(num, value);
}

/*
 * Length of word at p regardless of case, or 0.  word is in lower case.
 */
static size_t
match_word(const char *p, const char *end, const char *word)
{
	size_t		n = strlen(word);

	if ((size_t) (end - p) < n)
		return 0;
	for (size_t i = 0; i < n; i++)
	{
		if ((p[i] | 0x20) != word[i])
			return 0;
	}
	return n;
}

/*
 * Say what is at p, where no number is: a spelling of NaN or infinity that
 * real would accept, or nonsense.
 */
static VxParseError
classify_nonnumber(const char *p, const char *end, size_t *length)
{
	const char *start = p;
	VxParseError error;
	size_t		n;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if ((n = match_word(p, end, "nan")) != 0)
		error = VX_PARSE_NAN;
	else if ((n = match_word(p, end, "infinity")) != 0 ||
			 (n = match_word(p, end, "inf")) != 0)
		error = VX_PARSE_INFINITE;
	else
		return VX_PARSE_NO_NUMBER;

	/* must be the whole token */
	p += n;
	*length = p - start;
	p = skip_space(p, end);
	if (p < end && *p != ',' && *p != ']')
	{
		*length = 0;
		return VX_PARSE_NO_NUMBER;
	}
	return error;
}

/* Fill in an error found at p.  Always returns false. */
static bool
parse_error(VxParseResult *result, VxParseError error, const char *str,
			const char *p, size_t length)
{
	result->error = error;
	result->position = p - str;
	result->length = length;
	return false;
}

/*
 * Parse the numbers and the closing bracket, p being after the opening one
 * and any space.  Returns the end of what was parsed, or NULL for an error.
 */
static const char *
parse_elements(const char *str, const char *p, const char *end, int max_dim,
			   float *out, VxParseResult *result)
{
	for (;;)
	{
		const char *start = p;
		Decimal		num;
		float		value;

		p = scan_number(p, end, &num);
		if (p == NULL)
		{
			size_t		length = 0;
			VxParseError error = classify_nonnumber(start, end, &length);

			if (start == end)
				error = VX_PARSE_NO_CLOSE;
			parse_error(result, error, str, start, length);
			return NULL;
		}
		if (result->dim >= max_dim)
		{
			parse_error(result, VX_PARSE_TOO_MANY, str, start, 0);
			return NULL;
		}
		if (!decimal_value(&num, &value))
		{
			parse_error(result, VX_PARSE_RANGE, str, start, p - start);
			return NULL;
		}
		out[result->dim++] = value;

		p = skip_space(p, end);
		if (p == end || (*p != ',' && *p != ']'))
		{
			parse_error(result, p == end ? VX_PARSE_NO_CLOSE :
						VX_PARSE_NO_SEPARATOR, str, p, 0);
			return NULL;
		}
		if (*p++ == ']')
			return p;
		p = skip_space(p, end);
	}
}

_Bool
VxParseVector(const char *str, size_t len, int max_dim, float *out,
			  VxParseResult *result)
{
	const char *end = str + len;
	const char *p = skip_space(str, end);

	result->error = VX_PARSE_OK;
	result->dim = 0;
	result->position = 0;
	result->length = 0;

	if (p == end || *p != '[')
		return parse_error(result, VX_PARSE_NO_OPEN, str, p, 0);
	p = skip_space(p + 1, end);
	if (p < end && *p == ']')
		return parse_error(result, VX_PARSE_EMPTY, str, p, 0);
	p = parse_elements(str, p, end, max_dim, out, result);
	if (p == NULL)
		return false;
	p = skip_space(p, end);
	if (p < end)
		return parse_error(result, VX_PARSE_JUNK, str, p, 0);
	return true;
}
