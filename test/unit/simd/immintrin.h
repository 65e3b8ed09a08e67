/*
 * Stand-in for the compiler's immintrin.h when avx512.c is compiled for the
 * unit tests: SIMDe, plus what its release 0.7.4 does not have yet.  Masked
 * loads touch only what the mask selects, as the instructions do, so that a
 * guard page still finds reads past an end.
 */
#ifndef VX_TEST_IMMINTRIN_H
#define VX_TEST_IMMINTRIN_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <stdint.h>
#include <simde/x86/fma.h>
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>

typedef simde__mmask16 __mmask16;
#define __mmask64 simde__mmask64	/* newer versions have a type of that name */

static inline simde__m512
shim_maskz_loadu_ps(simde__mmask16 m, const float *p)
{
	float		buf[16] = {0};

	for (int i = 0; i < 16; i++)
		if (m >> i & 1)
			buf[i] = p[i];
	return simde_mm512_loadu_ps(buf);
}

static inline simde__m512i
shim_maskz_loadu_epi8(simde__mmask64 m, const void *p)
{
	uint8_t		buf[64] = {0};

	for (int i = 0; i < 64; i++)
		if (m >> i & 1)
			buf[i] = ((const uint8_t *) p)[i];
	return simde_mm512_loadu_si512(buf);
}

static inline simde__m128i
shim_maskz_loadu_epi8_128(simde__mmask16 m, const void *p)
{
	uint8_t		buf[16] = {0};

	for (int i = 0; i < 16; i++)
		if (m >> i & 1)
			buf[i] = ((const uint8_t *) p)[i];
	return simde_mm_loadu_si128((simde__m128i *) buf);
}

static inline simde__m512i
shim_cvtepu8_epi32(simde__m128i v)
{
	uint8_t		in[16];
	int32_t		out[16];

	simde_mm_storeu_si128((simde__m128i *) in, v);
	for (int i = 0; i < 16; i++)
		out[i] = in[i];
	return simde_mm512_loadu_si512(out);
}

static inline simde__m512
shim_cvtepi32_ps(simde__m512i v)
{
	int32_t		in[16];
	float		out[16];

	simde_mm512_storeu_si512(in, v);
	for (int i = 0; i < 16; i++)
		out[i] = (float) in[i];
	return simde_mm512_loadu_ps(out);
}

static inline simde__m512i
shim_cvtps_epi32(simde__m512 v)
{
	float		in[16];
	int32_t		out[16];

	simde_mm512_storeu_ps(in, v);
	for (int i = 0; i < 16; i++)
		out[i] = (int32_t) __builtin_rintf(in[i]);
	return simde_mm512_loadu_si512(out);
}

#define _mm512_maskz_loadu_ps(m, p) shim_maskz_loadu_ps(m, p)
#define _mm512_maskz_loadu_epi8(m, p) shim_maskz_loadu_epi8(m, p)
#define _mm_maskz_loadu_epi8(m, p) shim_maskz_loadu_epi8_128(m, p)
#define _mm512_cvtepu8_epi32(v) shim_cvtepu8_epi32(v)
#define _mm512_cvtepi32_ps(v) shim_cvtepi32_ps(v)
#define _mm512_cvtps_epi32(v) shim_cvtps_epi32(v)

#endif							/* VX_TEST_IMMINTRIN_H */
