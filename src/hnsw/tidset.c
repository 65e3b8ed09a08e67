/*-------------------------------------------------------------------------
 *
 * tidset.c
 *	  Sets of heap TIDs, made from the bitmaps of bitmap index scans.
 *
 * A search asks of thousands of rows, in no order, whether they are in the set.
 * So the answer takes two looks at memory: at a group of 64 blocks, which says
 * whether the block is there and how many are before it, and, if it is, at that
 * block's bitmap of offsets.  All of these have the width that the largest
 * offset asks for.  A lossy block has no bitmap, and all of its rows.
 *
 * Memory: 24 bytes for 64 blocks of the table up to the last in the set, that is
 * a 22,000th of the table, and for each exact block 8 bytes, up to 40 where rows
 * are short.  The bitmap that it is made from takes more than 50 for each, and
 * keeps within work_mem by becoming lossy, and so does the set.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "hnsw/tidset.h"

static void *
alloc_zero(Size size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* First reading of a bitmap: how large the set's parts must be */
static void
measure_bitmap(VxTidSet *set, TIDBitmap *bitmap)
{
	VxBitmapReader reader;
	OffsetNumber greatest = 0;
	BlockNumber last = 0;

	VxBitmapReaderInit(&reader, bitmap);
	while (VxBitmapReaderNext(&reader))
	{
		CHECK_FOR_INTERRUPTS();
		last = reader.block;
		if (reader.lossy)
		{
			set->nlossy++;
			continue;
		}
		set->nexact++;
		set->ntids += reader.noffsets;
		for (int i = 0; i < reader.noffsets; i++)
			greatest = Max(greatest, reader.offsets[i]);
	}
	VxBitmapReaderEnd(&reader);
	set->ngroups = set->nexact + set->nlossy > 0 ? last / 64 + 1 : 0;
	set->words = greatest / 64 + 1;
}

/* Second reading: fill them */
static void
fill_set(VxTidSet *set, TIDBitmap *bitmap)
{
	VxBitmapReader reader;
	uint32		rank = 0;
	uint32		filled = 0;		/* groups that know their rank */

	VxBitmapReaderInit(&reader, bitmap);
	while (VxBitmapReaderNext(&reader))
	{
		VxTidGroup *group = &set->groups[reader.block / 64];
		uint64		bit = UINT64CONST(1) << reader.block % 64;
		uint64	   *words;

		CHECK_FOR_INTERRUPTS();
		for (; filled <= reader.block / 64; filled++)
			set->groups[filled].rank = rank;
		group->present |= bit;
		if (reader.lossy)
		{
			group->lossy |= bit;
			continue;
		}
		words = set->offsets + (Size) rank++ * (Size) set->words;
		for (int i = 0; i < reader.noffsets; i++)
			words[reader.offsets[i] / 64] |= UINT64CONST(1) << reader.offsets[i] % 64;
	}
	VxBitmapReaderEnd(&reader);
}

/*
 * Make a set from a bitmap, which is not needed afterwards.  Its memory is the
 * current context's.
 */
VxTidSet *
VxTidSetFromBitmap(TIDBitmap *bitmap)
{
	VxTidSet   *set = palloc0(sizeof(VxTidSet));

	measure_bitmap(set, bitmap);
	set->groups = alloc_zero(sizeof(VxTidGroup) * (Size) Max(set->ngroups, 1));
	set->offsets = alloc_zero(sizeof(uint64) * (Size) set->words *
							  (Size) Max(set->nexact, 1));
	fill_set(set, bitmap);
	return set;
}

/* The first block of the set that is not before "from", or InvalidBlockNumber */
BlockNumber
VxTidSetNextBlock(const VxTidSet *set, BlockNumber from)
{
	for (uint32 g = from / 64; g < set->ngroups; g++)
	{
		uint64		present = set->groups[g].present;

		if (g == from / 64)
			present &= PG_UINT64_MAX << from % 64;
		if (present != 0)
			return g * 64 + (BlockNumber) pg_rightmost_one_pos64(present);
	}
	return InvalidBlockNumber;
}

/*
 * The offsets of a block of the set, into an array of MaxHeapTuplesPerPage;
 * returns their number.  Of a lossy block, all that may be.
 */
int
VxTidSetOffsets(const VxTidSet *set, BlockNumber block, OffsetNumber *offsets)
{
	const VxTidGroup *group = &set->groups[block / 64];
	uint64		bit = UINT64CONST(1) << block % 64;
	const uint64 *words;
	int			n = 0;

	if (group->lossy & bit)
	{
		for (; n < MaxHeapTuplesPerPage; n++)
			offsets[n] = (OffsetNumber) (n + 1);
		return n;
	}
	words = VxTidSetWords(set, group, bit);
	for (int w = 0; w < set->words; w++)
		for (uint64 word = words[w]; word != 0; word &= word - 1)
			offsets[n++] = (OffsetNumber) (w * 64 + pg_rightmost_one_pos64(word));
	return n;
}
