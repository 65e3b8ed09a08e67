/*-------------------------------------------------------------------------
 *
 * tidset.h
 *	  Sets of heap TIDs; see tidset.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_TIDSET_H
#define VX_TIDSET_H

#include "nodes/tidbitmap.h"
#include "port/pg_bitutils.h"
#include "storage/itemptr.h"

/* 64 blocks of the table, from a multiple of 64 */
typedef struct VxTidGroup
{
	uint64		present;		/* blocks with rows of the set */
	uint64		lossy;			/* of these, blocks with all of their rows */
	uint32		rank;			/* exact blocks in the groups before */
} VxTidGroup;

typedef struct VxTidSet
{
	uint32		ngroups;
	VxTidGroup *groups;
	int			words;			/* of each exact block's bitmap */
	uint64	   *offsets;		/* bitmaps of exact blocks, in order of blocks */
	int64		ntids;			/* on exact blocks */
	int64		nexact;			/* blocks */
	int64		nlossy;
} VxTidSet;

extern VxTidSet *VxTidSetFromBitmap(TIDBitmap *bitmap);
extern BlockNumber VxTidSetNextBlock(const VxTidSet *set, BlockNumber from);
extern int	VxTidSetOffsets(const VxTidSet *set, BlockNumber block,
							OffsetNumber *offsets);

/* The bitmap of a block's offsets; the block must be present and exact */
static inline const uint64 *
VxTidSetWords(const VxTidSet *set, const VxTidGroup *group, uint64 bit)
{
	int			before = pg_popcount64(group->present & ~group->lossy & (bit - 1));

	return set->offsets + ((Size) group->rank + (Size) before) * (Size) set->words;
}

/* Is a TID, which may be anything, in the set? */
static inline bool
VxTidSetHas(const VxTidSet *set, const ItemPointerData *tid)
{
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(tid);
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(tid);
	uint64		bit = UINT64CONST(1) << block % 64;
	const VxTidGroup *group;

	if (block / 64 >= set->ngroups)
		return false;
	group = &set->groups[block / 64];
	if (!(group->present & bit))
		return false;
	if (group->lossy & bit)
		return true;
	return offset / 64 < set->words &&
		(VxTidSetWords(set, group, bit)[offset / 64] >> offset % 64 & 1) != 0;
}

#endif							/* VX_TIDSET_H */
