/*-------------------------------------------------------------------------
 *
 * memcheck.h
 *	  Valgrind's client requests, answered by AddressSanitizer.
 *
 * PostgreSQL allocates from blocks of its own, so AddressSanitizer alone knows
 * nothing of what lies between them.  A server compiled with -DUSE_VALGRIND
 * tells Valgrind of every chunk that is allocated or freed, and of every shared
 * buffer that is pinned or released.  With this file in place of Valgrind's
 * own, it tells AddressSanitizer, at a small part of Valgrind's price; see
 * test/asserts, whose servers are compiled so.
 *
 * What is allocated but was not yet written counts as defined: there is no
 * notion of that here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_ASAN_MEMCHECK_H
#define VX_ASAN_MEMCHECK_H

#include <sanitizer/asan_interface.h>

#define VALGRIND_MAKE_MEM_NOACCESS(addr, size) \
	__asan_poison_memory_region((addr), (size))
#define VALGRIND_MAKE_MEM_UNDEFINED(addr, size) \
	__asan_unpoison_memory_region((addr), (size))
#define VALGRIND_MAKE_MEM_DEFINED(addr, size) \
	__asan_unpoison_memory_region((addr), (size))
#define VALGRIND_CHECK_MEM_IS_DEFINED(addr, size) \
	((void) (addr), (void) (size))

/* Pools: chunks are poisoned when they are freed, by what wipes them */
#define VALGRIND_CREATE_MEMPOOL(context, redzones, zeroed) ((void) 0)
#define VALGRIND_DESTROY_MEMPOOL(context) ((void) 0)
#define VALGRIND_MEMPOOL_TRIM(context, addr, size) ((void) 0)
#define VALGRIND_MEMPOOL_ALLOC(context, addr, size) \
	__asan_unpoison_memory_region((addr), (size))
#define VALGRIND_MEMPOOL_FREE(context, addr) ((void) 0)
#define VALGRIND_MEMPOOL_CHANGE(context, old, addr, size) \
	__asan_unpoison_memory_region((addr), (size))

/* There is nothing to count or to print to: the first error is the last */
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_COUNT_ERRORS 0
#define VALGRIND_PRINTF(...) ((void) 0)

#endif							/* VX_ASAN_MEMCHECK_H */
