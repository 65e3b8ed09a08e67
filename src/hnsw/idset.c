/*-------------------------------------------------------------------------
 *
 * idset.c
 *	  Sets of node ids.
 *
 * A set has no memory until something is added.  It is then a bitmap or an
 * open-addressing table, which turns into a bitmap when that would be smaller.
 * A set that is said to become dense is a bitmap from the start if that is
 * cheap to clear.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "hnsw/hnsw.h"

#define MIN_TABLE_SIZE 256
/* A larger table is not kept when the set is emptied, but freed */
#define MAX_KEPT_TABLE_SIZE 16384
/* Likewise a bitmap; and no larger one is made at once for a dense set */
#define MAX_KEPT_BITMAP_BYTES (64 * 1024)

static inline uint32
first_place(const VxIdSet *set, VxNodeId id)
{
	return (id * (uint32) 2654435769U) >> (32 - pg_leftmost_one_pos32(set->size));
}

static Size
bitmap_bytes(const VxIdSet *set)
{
	return (Size) (set->universe / 64 + 1) * sizeof(uint64);
}

static void *
alloc_zero(const VxIdSet *set, Size size)
{
	return MemoryContextAllocExtended(set->context, size,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* universe: ids that may come are below this */
void
VxIdSetInit(VxIdSet *set, MemoryContext context, uint64 universe, bool dense)
{
	memset(set, 0, sizeof(*set));
	set->context = context;
	set->universe = universe;
	set->dense = dense;
}

/* Empty the set, for another universe; keeps memory that is not large */
void
VxIdSetReset(VxIdSet *set, uint64 universe)
{
	if (set->bitmap && (bitmap_bytes(set) > MAX_KEPT_BITMAP_BYTES ||
						universe > set->universe || !set->dense))
	{
		pfree(set->bitmap);
		set->bitmap = NULL;
	}
	if (set->table && set->size > MAX_KEPT_TABLE_SIZE)
	{
		pfree(set->table);
		set->table = NULL;
	}
	if (set->count > 0 && set->bitmap)
		memset(set->bitmap, 0, bitmap_bytes(set));
	if (set->count > 0 && set->table)
		memset(set->table, 0, sizeof(VxNodeId) * (Size) set->size);
	if (set->bitmap == NULL)
		set->universe = universe;
	set->count = 0;
}

static inline void
bitmap_add(VxIdSet *set, VxNodeId id)
{
	set->bitmap[id / 64] |= UINT64CONST(1) << (id % 64);
}

/* Add to a table with room an id that is not in it */
static void
table_add(VxIdSet *set, VxNodeId id)
{
	uint32		place = first_place(set, id);

	while (set->table[place] != 0)
		place = (place + 1) & (set->size - 1);
	set->table[place] = id + 1;
}

/* First memory of a set */
static void
set_begin(VxIdSet *set)
{
	if (set->dense && bitmap_bytes(set) <= MAX_KEPT_BITMAP_BYTES)
		set->bitmap = alloc_zero(set, bitmap_bytes(set));
	else
	{
		set->size = MIN_TABLE_SIZE;
		set->table = alloc_zero(set, sizeof(VxNodeId) * (Size) set->size);
	}
}

/* Make room: double the table, or turn it into a bitmap */
static void
set_grow(VxIdSet *set)
{
	VxNodeId   *old = set->table;
	uint32		old_size = set->size;

	if ((uint64) old_size * 2 * sizeof(VxNodeId) >= set->universe / 8)
	{
		set->bitmap = alloc_zero(set, bitmap_bytes(set));
		set->table = NULL;
	}
	else
	{
		set->size = old_size * 2;
		set->table = alloc_zero(set, sizeof(VxNodeId) * (Size) set->size);
	}
	for (uint32 i = 0; i < old_size; i++)
	{
		if (old[i] == 0)
			continue;
		if (set->bitmap)
			bitmap_add(set, old[i] - 1);
		else
			table_add(set, old[i] - 1);
	}
	pfree(old);
}

bool
VxIdSetHas(const VxIdSet *set, VxNodeId id)
{
	uint32		place;

	if (id >= set->universe || set->count == 0)
		return false;
	if (set->bitmap)
		return (set->bitmap[id / 64] >> (id % 64) & 1) != 0;
	place = first_place(set, id);
	while (set->table[place] != 0)
	{
		if (set->table[place] == id + 1)
			return true;
		place = (place + 1) & (set->size - 1);
	}
	return false;
}

static bool
table_add_new(VxIdSet *set, VxNodeId id)
{
	uint32		place = first_place(set, id);

	while (set->table[place] != 0)
	{
		if (set->table[place] == id + 1)
			return false;
		place = (place + 1) & (set->size - 1);
	}
	set->table[place] = id + 1;
	set->count++;
	return true;
}

static inline bool
bitmap_add_new(VxIdSet *set, VxNodeId id)
{
	uint64	   *word = &set->bitmap[id / 64];
	uint64		before = *word;
	bool		is_new = (before >> (id % 64) & 1) == 0;

	*word = before | UINT64CONST(1) << (id % 64);
	set->count += is_new;
	return is_new;
}

/*
 * Add an id.  Returns false if it was there already, or is none that the set
 * can hold.
 */
bool
VxIdSetAdd(VxIdSet *set, VxNodeId id)
{
	if (id >= set->universe)
		return false;
	if (set->bitmap)
		return bitmap_add_new(set, id);
	if (set->table == NULL)
		set_begin(set);
	else if (set->count >= set->size / 2)
		set_grow(set);
	return set->bitmap ? bitmap_add_new(set, id) : table_add_new(set, id);
}

/*
 * Add n ids, and leave in the list those that were not in the set; returns
 * their number.
 */
int
VxIdSetAddNew(VxIdSet *set, VxNodeId *ids, int n)
{
	int			left = 0;

	if (set->bitmap == NULL)
	{
		for (int i = 0; i < n; i++)
			if (VxIdSetAdd(set, ids[i]))
				ids[left++] = ids[i];
		return left;
	}
	for (int i = 0; i < n; i++)
	{
		VxNodeId	id = ids[i];

		ids[left] = id;
		left += id < set->universe && bitmap_add_new(set, id);
	}
	return left;
}

Size
VxIdSetMemory(const VxIdSet *set)
{
	return set->bitmap ? bitmap_bytes(set) :
		set->table ? sizeof(VxNodeId) * (Size) set->size : 0;
}
