/*-------------------------------------------------------------------------
 *
 * check.h
 *	  What the parts of vectorx_index_check share; see check.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_CHECK_H
#define VX_CHECK_H

#include "funcapi.h"
#include "utils/snapshot.h"
#include "utils/tuplesort.h"

#include "hnsw/attr.h"

typedef struct VxCheck
{
	/* unchanging */
	Relation	heap;
	Relation	index;
	const VxIndex *ix;
	bool		with_heap;		/* compare with the table, too */
	Snapshot	snapshot;		/* if so, older than any look at the index */
	ReturnSetInfo *result;
	BufferAccessStrategy strategy;
	BlockNumber nblocks;		/* as of the beginning */
	uint32		nstripes;
	VxNodeId	nnodes;			/* ids in them */

	/* scratch */
	char	   *page;			/* a node page */
	char	   *other;			/* a page for looks at single slots */
	char	   *vectors;		/* the contents of a stripe's vector pages */
	bool	   *readable;		/* which of those could be read */
	char	   *head_vector;	/* the vector of a chain's head */
	float	   *work;			/* a vector being encoded */
	uint8	   *code;			/* likewise its code */

	/* what the pages say; bitmaps by node id */
	uint64	   *routing;		/* nodes that route for good */
	uint64	   *duplicates;		/* members of chains, alive or not */
	uint64	   *chained;		/* of those, the ones a chain leads to */
	int64		nrouting;
	int64		nduplicates;
	VxNodeId	compared_head;	/* whose vector is in head_vector... */
	uint16		compared_generation;	/* ...if it still is this */
	Tuplesortstate *rows;		/* heap TIDs of the index; see checkrows.c */
} VxCheck;

/* How a finding is rated */
#define VX_ERROR "error"		/* cannot be so in an undamaged index */
#define VX_WARNING "warning"	/* costs time or recall */

static inline bool
VxMapHas(const uint64 *map, VxNodeId id)
{
	return (map[id / 64] >> (id % 64) & 1) != 0;
}

static inline void
VxMapAdd(uint64 *map, VxNodeId id)
{
	map[id / 64] |= UINT64CONST(1) << (id % 64);
}

static inline void
VxMapRemove(uint64 *map, VxNodeId id)
{
	map[id / 64] &= ~(UINT64CONST(1) << (id % 64));
}

extern uint64 *VxMapCreate(uint64 size);

static inline bool
VxStateIsDuplicate(uint8 state)
{
	return state == VX_SLOT_DUPLICATE || state == VX_SLOT_DUPLICATE_DEAD;
}

/* check.c */
extern void VxFinding(VxCheck *check, const char *severity, const char *kind,
					  BlockNumber block, int slot, const ItemPointerData *tid,
					  const char *format,...) pg_attribute_printf(7, 8);
extern void VxSlotFinding(VxCheck *check, const char *severity, const char *kind,
						  VxNodeId id, const ItemPointerData *tid,
						  const char *format,...) pg_attribute_printf(6, 7);
extern bool VxCheckReadPage(VxCheck *check, BlockNumber block, char *page,
							char **error);
extern Page VxCheckNodePage(VxCheck *check, uint32 stripe);
extern bool VxCheckReadSlot(VxCheck *check, VxNodeId id, VxNodeSlot header);
extern bool VxCheckReadVector(VxCheck *check, VxNodeId id, char *vector);

/* checkgraph.c */
extern void VxCheckChainLink(VxCheck *check, VxNodeId id, VxNodeSlot slot);
extern void VxCheckDuplicate(VxCheck *check, VxNodeId id, VxNodeSlot slot,
							 const char *vector);
extern void VxCheckFollowChain(VxCheck *check, VxNodeId head);
extern void VxCheckLostDuplicates(VxCheck *check);
extern int64 VxCheckRecount(VxCheck *check);
extern void VxCheckReach(VxCheck *check);

/* checkrows.c */
extern void VxCheckRowsBegin(VxCheck *check);
extern void VxCheckRow(VxCheck *check, ItemPointer tid, const char *vector,
					   const uint8 *attrs);
extern void VxCheckRowsEnd(VxCheck *check);

#endif							/* VX_CHECK_H */
