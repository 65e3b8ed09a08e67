/*-------------------------------------------------------------------------
 *
 * neighbors.c
 *	  Parts of the HNSW algorithm that know neither pages nor memory layout:
 *	  the choice of neighbors, levels, heaps, sets of node ids.
 *
 * Paper: Malkov and Yashunin, "Efficient and robust approximate nearest
 * neighbor search using Hierarchical Navigable Small World graphs", 2016.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "hnsw/hnsw.h"

/*
 * Choose up to max neighbors among n candidates, which are sorted by their
 * distance from the node (algorithm 4 of the paper, without extension, but
 * with some slack): a candidate is taken if it is nearer to the node than to
 * every neighbor taken so far.  If that leaves fewer than fill, the nearest of
 * the others are taken too.  Puts the indexes of those taken into selected,
 * ascending, and returns their number.
 *
 * Each neighbor taken strikes out at once all candidates that are nearer to it
 * than to the node.  That computes the same distances as asking for each
 * candidate in turn which neighbor strikes it out, but many in a call.
 */
int
VxSelectNeighbors(const VxCandidate *candidates, int n, int max, int fill,
				  VxDistancesFn distances, void *arg, int *selected)
{
	int			left[VX_MAX_CANDIDATES];	/* not struck out, ascending */
	float		limit[VX_MAX_CANDIDATES];	/* theirs: what is nearer strikes them
											 * out */
	float		dist[VX_MAX_CANDIDATES];
	bool		taken[VX_MAX_CANDIDATES];
	int			nleft = n;
	int			ntaken = 0;

	Assert(n <= VX_MAX_CANDIDATES);
	for (int i = 0; i < n; i++)
	{
		left[i] = i;
		limit[i] = VxStrikeLimit(candidates[i].dist);
		taken[i] = n <= Min(max, fill);
	}
	if (n <= Min(max, fill))
		nleft = 0;

	while (nleft > 0 && ntaken < max)
	{
		int			first = left[0];
		int			kept = 0;

		taken[first] = true;
		ntaken++;
		distances(arg, first, left + 1, nleft - 1, dist);
		/* without a branch, which nobody could predict */
		for (int i = 1; i < nleft; i++)
		{
			bool		keep = limit[i] < dist[i - 1];

			left[kept] = left[i];
			limit[kept] = limit[i];
			kept += keep;
		}
		nleft = kept;
	}

	for (int i = 0; i < n && ntaken < fill; i++)
	{
		ntaken += !taken[i];
		taken[i] = true;
	}
	ntaken = 0;
	for (int i = 0; i < n; i++)
		if (taken[i])
			selected[ntaken++] = i;
	return ntaken;
}

/* Top layer of a new node: one in m nodes reaches the next layer */
int
VxDrawLevel(const VxIndex *ix)
{
	double		u = 1.0 - pg_prng_double(&pg_global_prng_state);
	double		level = floor(-log(u) / log((double) ix->m));

	return level < ix->max_level ? (int) level : ix->max_level;
}

/* -------------------------------------------------------------------- heaps */

void
VxHeapPush(VxCandidate *heap, int *n, VxCandidate c)
{
	int			i = (*n)++;

	while (i > 0)
	{
		int			parent = (i - 1) / 2;

		if (heap[parent].dist <= c.dist)
			break;
		heap[i] = heap[parent];
		i = parent;
	}
	heap[i] = c;
}

VxCandidate
VxHeapPop(VxCandidate *heap, int *n)
{
	VxCandidate top = heap[0];
	VxCandidate last = heap[--(*n)];
	int			i = 0;

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= *n)
			break;
		if (child + 1 < *n && heap[child + 1].dist < heap[child].dist)
			child++;
		if (last.dist <= heap[child].dist)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return top;
}

/* ------------------------------------------------------------------ id sets */

#define ID_SET_MIN_SIZE 1024

static inline uint32
hash_id(VxNodeId id)
{
	return id * (uint32) 2654435769U;
}

static inline uint32
first_place(const VxIdSet *set, VxNodeId id)
{
	return hash_id(id) >> (32 - pg_leftmost_one_pos32(set->size));
}

static void
set_new_table(VxIdSet *set, uint32 size)
{
	set->table = MemoryContextAllocExtended(set->context,
											sizeof(VxNodeId) * (Size) size,
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	set->size = size;
}

/* universe: ids that may come are below this */
void
VxIdSetInit(VxIdSet *set, MemoryContext context, uint64 universe)
{
	set->context = context;
	set->count = 0;
	set->bitmap = NULL;
	set->universe = universe;
	set_new_table(set, ID_SET_MIN_SIZE);
}

/* Empty the set; keeps a table that is not large */
void
VxIdSetReset(VxIdSet *set)
{
	if (set->bitmap)
		pfree(set->bitmap);
	set->bitmap = NULL;
	if (set->table && set->size <= 16 * ID_SET_MIN_SIZE)
		memset(set->table, 0, sizeof(VxNodeId) * (Size) set->size);
	else
	{
		if (set->table)
			pfree(set->table);
		set_new_table(set, ID_SET_MIN_SIZE);
	}
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

/* Make room: double the table, or turn it into a bitmap */
static void
set_grow(VxIdSet *set)
{
	VxNodeId   *old = set->table;
	uint32		old_size = set->size;

	if ((uint64) old_size * 2 * sizeof(VxNodeId) >= set->universe / 8)
	{
		set->bitmap = MemoryContextAllocExtended(set->context,
												 (set->universe / 64 + 1) * sizeof(uint64),
												 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		set->table = NULL;
	}
	else
		set_new_table(set, old_size * 2);
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

	if (set->bitmap)
		return id < set->universe &&
			(set->bitmap[id / 64] >> (id % 64) & 1) != 0;
	place = first_place(set, id);
	while (set->table[place] != 0)
	{
		if (set->table[place] == id + 1)
			return true;
		place = (place + 1) & (set->size - 1);
	}
	return false;
}

/*
 * Add an id.  Returns false if it was there already, or is none that the set
 * can hold.
 */
bool
VxIdSetAdd(VxIdSet *set, VxNodeId id)
{
	uint32		place;

	if (id >= set->universe)
		return false;
	if (set->bitmap == NULL && set->count >= set->size / 2)
		set_grow(set);
	if (set->bitmap)
	{
		if (VxIdSetHas(set, id))
			return false;
		bitmap_add(set, id);
		set->count++;
		return true;
	}
	place = first_place(set, id);
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

Size
VxIdSetMemory(const VxIdSet *set)
{
	return set->bitmap ? set->universe / 8 : sizeof(VxNodeId) * (Size) set->size;
}
