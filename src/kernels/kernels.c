/*-------------------------------------------------------------------------
 *
 * kernels.c
 *	  The kernel sets of this build, which of them this processor can run, and
 *	  the distance function that falls back to double precision.
 *
 * A processor that knows wide registers is not enough on x86: the operating
 * system must save them on a context switch, which XGETBV tells.
 *
 *-------------------------------------------------------------------------
 */
#include <stddef.h>
#include <string.h>

#include "kernels/kernels_impl.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP	(1 << 20)
#endif
#endif

typedef struct KernelChoice
{
	const VxKernelSet *set;
	bool		(*usable) (void);
} KernelChoice;

const VxKernelSet *VxKernels = &VxKernelsPlain;

static bool
plainUsable(void)
{
	return true;
}

#if defined(__x86_64__)

/* state components of XCR0: SSE and AVX; and opmask and the two ZMM parts */
#define XCR0_AVX	0x06
#define XCR0_AVX512	0xe6

/* CPUID leaf 1, ECX */
#define CPUID1_FMA		(1u << 12)
#define CPUID1_OSXSAVE	(1u << 27)
#define CPUID1_AVX		(1u << 28)

/* CPUID leaf 7, EBX and ECX */
#define CPUID7_AVX2		(1u << 5)
#define CPUID7_AVX512F	(1u << 16)
#define CPUID7_AVX512DQ (1u << 17)
#define CPUID7_AVX512BW (1u << 30)
#define CPUID7_AVX512VL (1u << 31)
#define CPUID7C_AVX512VNNI	(1u << 11)

/*
 * Does the processor have all these features, and does the operating system
 * save these register states?
 */
static bool
x86Has(uint32_t leaf1c, uint32_t leaf7b, uint32_t leaf7c, uint32_t xcr0)
{
	unsigned int a,
				b,
				c,
				d;
	uint32_t	saved,
				saved_high;

	leaf1c |= CPUID1_OSXSAVE;
	if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1c) != leaf1c)
		return false;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) ||
		(b & leaf7b) != leaf7b || (c & leaf7c) != leaf7c)
		return false;
	__asm__ volatile ("xgetbv":"=a" (saved), "=d"(saved_high):"c"(0));
	return (saved & xcr0) == xcr0;
}

static bool
avx2Usable(void)
{
	return x86Has(CPUID1_FMA | CPUID1_AVX, CPUID7_AVX2, 0, XCR0_AVX);
}

static bool
avx512Usable(void)
{
	return x86Has(CPUID1_FMA | CPUID1_AVX,
				  CPUID7_AVX2 | CPUID7_AVX512F | CPUID7_AVX512DQ |
				  CPUID7_AVX512BW | CPUID7_AVX512VL,
				  CPUID7C_AVX512VNNI, XCR0_AVX512);
}

#elif defined(__aarch64__)

static bool
dotUsable(void)
{
#if defined(__linux__)
	return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__)
	return true;				/* all of Apple's 64-bit desktop processors */
#else
	return false;
#endif
}

#endif

/* Best first */
static const KernelChoice choices[] = {
#if defined(__x86_64__)
	{&VxKernelsAvx512, avx512Usable},
	{&VxKernelsAvx2, avx2Usable},
#elif defined(__aarch64__)
	{&VxKernelsNeonDot, dotUsable},
	{&VxKernelsNeon, plainUsable},
#endif
	{&VxKernelsPlain, plainUsable},
};

#define NCHOICES	((int) (sizeof(choices) / sizeof(choices[0])))

int
VxKernelSetCount(void)
{
	return NCHOICES;
}

const VxKernelSet *
VxKernelSetGet(int i)
{
	return i >= 0 && i < NCHOICES ? choices[i].set : NULL;
}

bool
VxKernelSetUsable(int i)
{
	return i >= 0 && i < NCHOICES && choices[i].usable();
}

bool
VxKernelsChoose(const char *name)
{
	bool		any = name == NULL || strcmp(name, "auto") == 0;

	for (int i = 0; i < NCHOICES; i++)
	{
		if (!any && strcmp(name, choices[i].set->name) != 0)
			continue;
		if (choices[i].usable())
		{
			VxKernels = choices[i].set;
			return true;
		}
	}
	return false;
}

/*
 * The distance in double precision, in which no sum over float4 elements can
 * overflow or lose a square to underflow.  NaN only for the cosine with a
 * zero vector.
 */
static double
distanceInDouble(VxMetric metric, int n, const float *a, const float *b)
{
	double		sum = 0;
	double		aa = 0;
	double		bb = 0;

	for (int i = 0; i < n; i++)
	{
		double		x = a[i];
		double		y = b[i];

		if (metric == VX_METRIC_L2)
			sum += (x - y) * (x - y);
		else if (metric == VX_METRIC_L1)
			sum += fabs(x - y);
		else
			sum += x * y;
		aa += x * x;
		bb += y * y;
	}
	if (metric != VX_METRIC_COSINE)
		return sum;
	return aa > 0 && bb > 0 ? sum / (sqrt(aa) * sqrt(bb)) : NAN;
}

static inline double
clampCosine(double c)
{
	return c > 1 ? 1 : c < -1 ? -1 : c; /* NaN stays */
}

double
VxDistance(VxElement element, VxMetric metric, int n,
		   const void *a, const void *b)
{
	double		d = VxKernels->distance[element][metric] (n, a, b);

	if (metric == VX_METRIC_COSINE)
		return clampCosine(isfinite(d) ? d : distanceInDouble(metric, n, a, b));
	if (!isfinite(d))
		return distanceInDouble(metric, n, a, b);

	/* so near that squares underflowed, unless it is the same vector */
	if (metric == VX_METRIC_L2 && d < VX_MIN_SQUARE &&
		memcmp(a, b, n * sizeof(float)) != 0)
		return distanceInDouble(metric, n, a, b);
	return d;
}
