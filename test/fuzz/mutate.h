/*-------------------------------------------------------------------------
 *
 * mutate.h
 *	  What the fuzzers share: random numbers from a seed, texts and bytes that
 *	  are nearly vectors, and a second opinion on whether a text is one.
 *
 * Free of PostgreSQL's headers.  Nothing here allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_FUZZ_MUTATE_H
#define VX_FUZZ_MUTATE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct FuzzRandom
{
	uint64_t	state;
} FuzzRandom;

/* The next of splitmix64 */
static inline uint64_t
fuzz_next(FuzzRandom *rng)
{
	uint64_t	z = (rng->state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* One of 0 .. n-1, n > 0 */
static inline uint32_t
fuzz_below(FuzzRandom *rng, uint32_t n)
{
	return (uint32_t) (fuzz_next(rng) % n);
}

/* A float4 of any kind, by its bits, or by one of the interesting ones */
static inline uint32_t
fuzz_float_bits(FuzzRandom *rng)
{
	static const uint32_t special[] = {
		0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000,
		0x7F7FFFFF, 0xFF7FFFFF, 0x3F800000, 0xBF800000, 0x3F800001, 0x7E800000
	};
	static const uint32_t refused[] = {
		0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF
	};
	uint32_t	choice = fuzz_below(rng, 64);

	if (choice == 0)
		return refused[fuzz_below(rng, 6)];
	if (choice < 16)
		return special[fuzz_below(rng, 12)];
	if (choice < 24)
		return (uint32_t) fuzz_next(rng) & 0xFF7FFFFF;	/* seldom refused */
	return 0x3F800000 + (fuzz_below(rng, 64) << 17);
}

/* -------------------------------------------------------------------- texts */

/* Append to a text of at most max bytes, as far as it fits */
static inline size_t
fuzz_append(char *text, size_t len, size_t max, const char *what, size_t n)
{
	if (n > max - len)
		n = max - len;
	memcpy(text + len, what, n);
	return len + n;
}

/* Room that a number takes, with the zero after it */
#define FUZZ_NUMBER_BYTES 256

/*
 * A number in the middle of two neighboring floats, or off by a digit somewhere:
 * what is hardest to round.
 */
static inline size_t
fuzz_midpoint(FuzzRandom *rng, char *to)
{
	uint32_t	bits = (uint32_t) fuzz_next(rng) & 0x7EFFFFFF;
	float		low;
	float		high;
	int			digits = 6 + (int) fuzz_below(rng, 150);
	size_t		len;
	size_t		at;

	memcpy(&low, &bits, sizeof(low));
	bits++;
	memcpy(&high, &bits, sizeof(high));
	len = (size_t) snprintf(to, FUZZ_NUMBER_BYTES, "%.*e", digits, ((double) low + (double) high) / 2);
	at = fuzz_below(rng, (uint32_t) digits);
	if (fuzz_below(rng, 2) && to[at] >= '0' && to[at] < '9')
		to[at]++;
	return len;
}

/*
 * A number, or what looks like one, of less than FUZZ_NUMBER_BYTES; returns its
 * length.
 */
static inline size_t
fuzz_number(FuzzRandom *rng, char *to)
{
	static const char *const odd[] = {
		"NaN", "-nan", "inf", "-Infinity", "1e39", "3.4028235e38", "3.4028236e38",
		"3.40282356779733661637539395458142568447e38", "1e-45", "7e-46", "1.4e-45",
		"0x1p3", "1e", "1e+", ".", "-", "+", "1.e1", ".5", "5.", "-.5e-3", "1e99999999999",
		"1e-99999999999", "0e99999999999", "16777217", "1.00000005960464477539",
		"9007199254740993", "00000000000000000000000001", "18446744073709551616",
		"1.1754943e-38", "1.1754942e-38", "340282346638528859811704183484516925440",
		"--1", "1_0", "1f", "null", "nano", "infinit", "\xC3\xA4", "\xE2\x82\xAC" "1"
	};
	float		value;
	uint32_t	bits;

	switch (fuzz_below(rng, 8))
	{
		case 0:
			return (size_t) snprintf(to, FUZZ_NUMBER_BYTES, "%s", odd[fuzz_below(rng, sizeof(odd) / sizeof(odd[0]))]);
		case 1:
			bits = fuzz_float_bits(rng);
			memcpy(&value, &bits, sizeof(value));
			return (size_t) snprintf(to, FUZZ_NUMBER_BYTES, "%.9g", value);
		case 2:
			return (size_t) snprintf(to, FUZZ_NUMBER_BYTES, "%llu.%llue%d",
									 (unsigned long long) fuzz_next(rng) >> fuzz_below(rng, 64),
									 (unsigned long long) fuzz_next(rng) >> fuzz_below(rng, 64),
									 (int) fuzz_below(rng, 110) - 60);
		case 3:
			return fuzz_midpoint(rng, to);
		default:
			return (size_t) snprintf(to, FUZZ_NUMBER_BYTES, "%d", (int) fuzz_below(rng, 200) - 100);
	}
}

/* A text that is a vector or nearly one, of at most max bytes; its length */
static inline size_t
fuzz_text(FuzzRandom *rng, char *text, size_t max)
{
	static const char *const spaces[] = {"", "", "", "", " ", "\t", "\n", "  ", "\v\f\r", "\xC2\xA0"};
	uint32_t	n = fuzz_below(rng, 8);
	size_t		len = 0;
	char		number[FUZZ_NUMBER_BYTES];

	if (fuzz_below(rng, 16) == 0)
		n = fuzz_below(rng, 100);
	for (uint32_t i = 0; i <= n; i++)
	{
		const char *space = spaces[fuzz_below(rng, 10)];

		len = fuzz_append(text, len, max, i == 0 ? "[" : ",", 1);
		len = fuzz_append(text, len, max, space, strlen(space));
		if (n > 0)
			len = fuzz_append(text, len, max, number, fuzz_number(rng, number));
	}
	return fuzz_append(text, len, max, "]", 1);
}

/* ------------------------------------------------------------------- bytes */

/*
 * Change bytes in one of several ways; they may become fewer, or more up to
 * max.  Returns how many there are.
 */
static inline size_t
fuzz_mutate_once(FuzzRandom *rng, char *bytes, size_t len, size_t max)
{
	static const char interesting[] = "[],.-+eE0 19\t\n{}\"xX_nNiI\\'";
	size_t		at;
	size_t		n;

	if (len == 0)
	{
		if (max > 0)
			bytes[len++] = (char) fuzz_next(rng);
		return len;
	}
	at = fuzz_below(rng, (uint32_t) len);
	n = 1 + fuzz_below(rng, len - at < 8 ? (uint32_t) (len - at) : 8);
	switch (fuzz_below(rng, 8))
	{
		case 0:					/* flip a bit */
			bytes[at] ^= (char) (1 << fuzz_below(rng, 8));
			return len;
		case 1:					/* another byte */
			bytes[at] = (char) fuzz_next(rng);
			return len;
		case 2:					/* another character */
			bytes[at] = interesting[fuzz_below(rng, sizeof(interesting) - 1)];
			return len;
		case 3:					/* remove some */
			memmove(bytes + at, bytes + at + n, len - at - n);
			return len - n;
		case 4:					/* repeat some */
			if (n > max - len)
				return len;
			memmove(bytes + at + n, bytes + at, len - at);
			return len + n;
		case 5:					/* insert a character */
			if (len == max)
				return len;
			memmove(bytes + at + 1, bytes + at, len - at);
			bytes[at] = interesting[fuzz_below(rng, sizeof(interesting) - 1)];
			return len + 1;
		case 6:					/* end early */
			return at;
		default:				/* copy some elsewhere */
			memmove(bytes + fuzz_below(rng, (uint32_t) (len - n + 1)), bytes + at, n);
			return len;
	}
}

static inline size_t
fuzz_mutate(FuzzRandom *rng, char *bytes, size_t len, size_t max)
{
	for (uint32_t n = 1 + fuzz_below(rng, 4); n > 0; n--)
		len = fuzz_mutate_once(rng, bytes, len, max);
	return len;
}

/* ----------------------------------------------------------- second opinion */

static inline const char *
reference_space(const char *p)
{
	while (*p != '\0' && strchr(" \t\n\v\f\r", *p) != NULL)
		p++;
	return p;
}

/*
 * The end of a decimal number at p, or p if there is none.  A number that is
 * followed by an "e" without digits is none.
 */
static inline const char *
reference_number(const char *p)
{
	const char *start = p;
	size_t		before;
	size_t		after = 0;

	p += strspn(p, "+-") > 0;
	before = strspn(p, "0123456789");
	p += before;
	if (*p == '.')
	{
		after = strspn(++p, "0123456789");
		p += after;
	}
	if (before + after == 0)
		return start;
	if (*p == 'e' || *p == 'E')
	{
		p++;
		p += strspn(p, "+-") > 0;
		if (strspn(p, "0123456789") == 0)
			return start;
		p += strspn(p, "0123456789");
	}
	return p;
}

/*
 * Is a terminated text a vector of at most max_dim elements?  If so, they are in
 * x, and the return value is their number, else it is -1.  Written the simplest
 * way, on strtof.
 */
static inline int
reference_parse(const char *text, int max_dim, float *x)
{
	const char *p = reference_space(text);
	int			dim = 0;

	if (*p++ != '[')
		return -1;
	for (;;)
	{
		const char *start = reference_space(p);
		bool		zero = true;
		float		value;

		p = reference_number(start);
		if (p == start || dim == max_dim)
			return -1;
		for (const char *digit = start; digit < p && *digit != 'e' && *digit != 'E'; digit++)
			zero &= !(*digit >= '1' && *digit <= '9');
		value = strtof(start, NULL);
		if (isinf(value) || (value == 0 && !zero))
			return -1;
		x[dim++] = value;
		p = reference_space(p);
		if (*p == ']')
			break;
		if (*p++ != ',')
			return -1;
	}
	return *reference_space(p + 1) == '\0' ? dim : -1;
}

#endif							/* VX_FUZZ_MUTATE_H */
