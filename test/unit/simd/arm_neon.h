/*
 * Stand-in for the compiler's arm_neon.h when neon.c is compiled for the unit
 * tests on another processor: SIMDe under the native names.
 */
#ifndef VX_TEST_ARM_NEON_H
#define VX_TEST_ARM_NEON_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/arm/neon.h>

#endif							/* VX_TEST_ARM_NEON_H */
