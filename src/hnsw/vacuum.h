/*-------------------------------------------------------------------------
 *
 * vacuum.h
 *	  What vacuum knows of an index, shared by its passes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_VACUUM_H
#define VX_VACUUM_H

#include "hnsw/hnsw.h"

/* Times that a page is tried again because its lists changed meanwhile */
#define VX_REPAIR_ATTEMPTS 3

typedef struct VxMend VxMend;

/* What the survey keeps of a node that stays */
typedef struct VxKeptNode
{
	VxFactors	factors;
	VxNodeId	first;			/* the first of its links on level 0 */
	uint8		code[FLEXIBLE_ARRAY_MEMBER];
} VxKeptNode;

typedef struct VxVacuum
{
	/* unchanging */
	Relation	index;
	const VxIndex *ix;
	BufferAccessStrategy strategy;	/* for passes in block order only */
	VxNodeId	nnodes;			/* ids that the survey saw are below this */
	uint32		nstripes;

	/* bitmaps by node id */
	uint64	   *gone;			/* whatever no list should have a link to */
	uint64	   *dead;			/* of those, dead nodes without a chain */
	uint64	   *staying;		/* nodes that route for good */
	uint64	   *stale;			/* upper slots to free */
	uint64	   *linked;			/* nodes some link leads to */

	/*
	 * Level-0 lists of dead nodes, 2m links each, in order of their ids, as
	 * many as memory holds; rank[i] is the number of dead nodes below id 64 *
	 * i.
	 */
	VxNodeId   *dead_links;
	uint32	   *rank;
	uint32		ndead_links;	/* lists there */
	uint32		max_dead_links; /* that there is memory for now */
	uint32		memory_dead_links;	/* that there may ever be */

	/*
	 * A VxKeptNode for every node that stays, code_stride bytes by id; NULL if
	 * memory does not hold them
	 */
	char	   *codes;
	Size		code_stride;

	/* what was met */
	VxEntry		best;			/* a live node of the highest level seen */
	VxEntry		best_dead;		/* likewise a dead one that heads a chain */
	uint32		ndead;			/* dead nodes that are gone */
	int64		nfreed;			/* slots freed */
	BlockNumber nfree_pages;
} VxVacuum;

static inline bool
VxBitHas(const VxVacuum *vac, const uint64 *bits, VxNodeId id)
{
	return id < vac->nnodes && (bits[id / 64] >> (id % 64) & 1) != 0;
}

static inline void
VxBitSet(const VxVacuum *vac, uint64 *bits, VxNodeId id)
{
	if (id < vac->nnodes)
		bits[id / 64] |= UINT64CONST(1) << (id % 64);
}

static inline void
VxBitClear(uint64 *bits, VxNodeId id)
{
	bits[id / 64] &= ~(UINT64CONST(1) << (id % 64));
}

static inline VxKeptNode *
VxKept(const VxVacuum *vac, VxNodeId id)
{
	return (VxKeptNode *) (vac->codes + (Size) id * vac->code_stride);
}

extern bool VxVacuumCopyPage(const VxVacuum *vac, uint32 stripe,
							 BufferAccessStrategy strategy, char *copy);

/* mend.c */
extern void VxMendLinks(VxVacuum *vac);

#endif							/* VX_VACUUM_H */
