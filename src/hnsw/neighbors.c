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

/* Candidates that are looked at together; see VxSelectNeighbors */
#define WINDOW 32

/* Candidates of a window that have not been struck out, nearest first */
typedef struct VxWindow
{
	int			n;
	int			left[WINDOW];
	float		limit[WINDOW];	/* theirs: what is nearer strikes them out */
} VxWindow;

/* Drop what a neighbor strikes out of a window, but for the first "keep" */
static void
strike(VxWindow *w, int keep, int neighbor, VxDistancesFn distances, void *arg)
{
	float		dist[WINDOW];
	int			kept = keep;

	if (w->n == keep)
		return;
	distances(arg, neighbor, w->left + keep, w->n - keep, dist);
	/* without a branch, which nobody could predict */
	for (int i = keep; i < w->n; i++)
	{
		bool		stays = w->limit[i] < dist[i - keep];

		w->left[kept] = w->left[i];
		w->limit[kept] = w->limit[i];
		kept += stays;
	}
	w->n = kept;
}

/*
 * Choose up to max neighbors among n candidates, which are sorted by their
 * distance from the node (algorithm 4 of the paper, without extension, but
 * with some slack): a candidate is taken if it is nearer to the node than to
 * every neighbor taken so far.  If that leaves fewer than fill, the nearest of
 * the others are taken too.  Puts the indexes of those taken into selected,
 * ascending, and returns their number.
 *
 * Each neighbor taken strikes out at once all candidates that are nearer to it
 * than to the node, as many distances are had for less in one call.  That is
 * done for a window of candidates after the other, since often there are max
 * neighbors before all have been looked at.
 */
int
VxSelectNeighbors(const VxCandidate *candidates, int n, int max, int fill,
				  VxDistancesFn distances, void *arg, int *selected)
{
	bool		taken[VX_MAX_CANDIDATES];
	int			ntaken = 0;
	VxWindow	w;

	Assert(n <= VX_MAX_CANDIDATES);
	if (n <= Min(max, fill))
	{
		for (int i = 0; i < n; i++)
			selected[i] = i;
		return n;
	}
	memset(taken, 0, sizeof(bool) * (Size) n);
	for (int begin = 0; begin < n && ntaken < max; begin += WINDOW)
	{
		w.n = Min(n - begin, WINDOW);
		for (int i = 0; i < w.n; i++)
		{
			w.left[i] = begin + i;
			w.limit[i] = VxStrikeLimit(candidates[begin + i].dist);
		}
		for (int i = 0; i < ntaken; i++)
			strike(&w, 0, selected[i], distances, arg);
		for (int i = 0; i < w.n && ntaken < max; i++)
		{
			selected[ntaken++] = w.left[i];
			taken[w.left[i]] = true;
			strike(&w, i + 1, w.left[i], distances, arg);
		}
	}
	if (ntaken >= fill)
		return ntaken;

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

/*
 * Have a choice among n candidates, as VxSelectNeighbors makes it, include those that
 * are needed: in place of the farthest others, if it would be more than max.  The
 * nearest quarter of max stays as it is.
 */
int
VxKeepNeeded(VxNeededFn needed, void *arg, int n, int max, int *selected, int count)
{
	bool		taken[VX_MAX_CANDIDATES];
	int			last = n;

	memset(taken, 0, sizeof(bool) * (Size) n);
	for (int i = 0; i < count; i++)
		taken[selected[i]] = true;
	for (int i = 0; i < n; i++)
	{
		if (taken[i] || !needed(arg, i))
			continue;
		if (count == max)
		{
			do
				last--;
			while (last >= max / 4 && (!taken[last] || needed(arg, last)));
			if (last < max / 4)
				break;
			taken[last] = false;
			count--;
		}
		taken[i] = true;
		count++;
	}
	count = 0;
	for (int i = 0; i < n; i++)
		if (taken[i])
			selected[count++] = i;
	return count;
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
