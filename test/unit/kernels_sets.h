/*
 * The kernel sets that a test program can run on this machine: those that the
 * library says are usable and, if the Makefile found SIMDe, emulated ones.
 */
#ifndef VX_TEST_KERNELS_SETS_H
#define VX_TEST_KERNELS_SETS_H

#include <stdio.h>

#include "kernels/kernels.h"

#ifdef HAVE_EMULATED_AVX512
extern const VxKernelSet EmulatedAvx512;
#endif
#ifdef HAVE_EMULATED_NEON
extern const VxKernelSet EmulatedNeon;
extern const VxKernelSet EmulatedNeonDot;
#endif

typedef struct TestSet
{
	char		label[32];
	const VxKernelSet *set;
	bool		emulated;
} TestSet;

/* Fill sets (room for 16), return their number */
static inline int
listTestSets(TestSet *sets)
{
	int			n = 0;

	for (int i = 0; i < VxKernelSetCount(); i++)
		if (VxKernelSetUsable(i))
		{
			sets[n].set = VxKernelSetGet(i);
			sets[n++].emulated = false;
		}
#ifdef HAVE_EMULATED_AVX512
	sets[n].set = &EmulatedAvx512;
	sets[n++].emulated = true;
#endif
#ifdef HAVE_EMULATED_NEON
	sets[n].set = &EmulatedNeon;
	sets[n++].emulated = true;
	sets[n].set = &EmulatedNeonDot;
	sets[n++].emulated = true;
#endif
	for (int i = 0; i < n; i++)
		snprintf(sets[i].label, sizeof(sets[i].label), "%s%s",
				 sets[i].set->name, sets[i].emulated ? " (emulated)" : "");
	return n;
}

#endif							/* VX_TEST_KERNELS_SETS_H */
