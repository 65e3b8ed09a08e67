/*-------------------------------------------------------------------------
 *
 * inject.h
 *	  Injection points: places where a test may stop, slow down or crash us.
 *
 * They are nothing unless the library is compiled with -DVECTORX_INJECTION
 * (make COPT=-DVECTORX_INJECTION), as test/inside does beside the usual build.
 *
 * Names of points, in the order in which they are passed:
 *
 *	build-load, build-write, build-rest, build-log	after each step, by the leader
 *	insert-searched		neighbors are chosen, and not looked at again
 *	insert-join			likewise, the head of the chain that the row will join
 *	slot-choose			before a slot is looked for
 *	extend-locked		stripes are added, the extension lock is held
 *	extend-done			likewise, the lock is released
 *	slot-taken			a free slot is found, its page locked
 *	vector-early		the first part of a long vector is logged, pages locked
 *	insert-publish		the slot is written and logged
 *	insert-upper		likewise, the upper slot
 *	insert-link			after each record of links back
 *	insert-begin		before the graph begins anew with the node
 *	insert-entry		before the node becomes the entry point
 *	vacuum-noted		the metapage says that there are dead rows
 *	vacuum-marking		after each page with rows marked
 *	vacuum-marked		at the end of bulk deletion
 *	vacuum-trimmed		after a duplicate was taken out of its chain
 *	vacuum-surveyed		after the survey
 *	vacuum-mending		before each page is mended
 *	vacuum-judged		before mended lists are written
 *	vacuum-mended		after mending, before the entry point is looked at
 *	vacuum-entry		the entry point is mended, nothing freed
 *	vacuum-freeing		after each page with slots freed
 *	vacuum-freed		before nodes that no link leads to are connected
 *	vacuum-done			before the metapage says that all is done
 *	scan-begin			the length of the index is known, the entry point is not
 *	scan-ranked			a row is chosen, its slot not looked at again
 *	scan-chain			before each member of a chain
 *	scan-flat			before each flat pass
 *	change				a page is changed, and nothing of it logged
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_INJECT_H
#define VX_INJECT_H

#ifdef VECTORX_INJECTION

/* Pass a point: do what the setting vectorx.inject has for it, if anything */
extern void VxInjectionPoint(const char *name);

/* The level of a new node: the setting vectorx.inject_level, if it is not -1 */
extern int	VxInjectedLevel(int drawn, int max_level);

/* Define the two settings */
extern void VxInjectionInit(void);

#define VX_INJECTION_POINT(name) VxInjectionPoint(name)
#define VX_INJECTED_LEVEL(drawn, max_level) VxInjectedLevel(drawn, max_level)
#define VX_INJECTION_INIT() VxInjectionInit()

#else

#define VX_INJECTION_POINT(name) ((void) 0)
#define VX_INJECTED_LEVEL(drawn, max_level) (drawn)
#define VX_INJECTION_INIT() ((void) 0)

#endif

#endif							/* VX_INJECT_H */
