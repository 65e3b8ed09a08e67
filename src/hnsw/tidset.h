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
#include "storage/itemptr.h"

/* Blocks that share a chunk */
#define VX_TIDSET_CHUNK 64

/* Bitmaps of offsets that blocks may have in common */
#define VX_TIDSET_NONE 0		/* of blocks that are not in the set */
#define VX_TIDSET_ALL 1			/* of lossy blocks */

typedef struct VxTidSet
{
	uint32		nchunks;		/* that blocks up to the last are in */
	uint32	   *chunk_of;		/* where the bitmaps of a chunk's blocks are
								 * noted; 0 for chunks without */
	uint32	   *bitmap_of;		/* of each block of a noted chunk */
	int			words;			/* of a bitmap */
	uint64	   *bitmaps;
	int64		ntids;			/* on exact blocks */
	int64		nlossy;			/* blocks with all of their rows */
	int64		nblocks;		/* of either kind */
	BlockNumber *blocks;		/* ascending */
} VxTidSet;

extern VxTidSet *VxTidSetFromBitmap(TIDBitmap *bitmap);
extern int	VxTidSetOffsets(const VxTidSet *set, BlockNumber block,
							OffsetNumber *offsets);

/* Which bitmap a block, which may be any, has */
static inline uint32
VxTidSetBitmapOf(const VxTidSet *set, BlockNumber block)
{
	uint32		chunk = block / VX_TIDSET_CHUNK;

	if (chunk >= set->nchunks)
		return VX_TIDSET_NONE;
	return set->bitmap_of[(Size) set->chunk_of[chunk] * VX_TIDSET_CHUNK +
						  block % VX_TIDSET_CHUNK];
}

/* Is a TID, which may be anything, in the set? */
static inline bool
VxTidSetHas(const VxTidSet *set, const ItemPointerData *tid)
{
	uint32		bitmap = VxTidSetBitmapOf(set, ItemPointerGetBlockNumberNoCheck(tid));
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(tid);

	if (offset / 64 >= set->words)
		return bitmap == VX_TIDSET_ALL;
	return (set->bitmaps[(Size) bitmap * (Size) set->words + offset / 64] >> offset % 64 & 1) != 0;
}

#endif							/* VX_TIDSET_H */
