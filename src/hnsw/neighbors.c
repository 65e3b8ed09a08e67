/*-------------------------------------------------------------------------
 *
 * neighbors.c
 *	  Parts of the HNSW algorithm that know neither pages nor memory layout:
 *	  the choice of neighbors, levels, heaps.
 *
 * Paper: Malkov and Yashunin, "Efficient and robust approximate nearest
 * neighbor search using Hierarchical Navigable Small World graphs", 2016.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"

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
