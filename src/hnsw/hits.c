/*-------------------------------------------------------------------------
 *
 * hits.c
 *	  Queues of rows that wait to be returned: min-heaps by key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "hnsw/search.h"

VxHit *
VxGrowHits(VxSearch *search, VxHit *array, int n, int *max)
{
	if (n < *max)
		return array;
	if (array == NULL)
	{
		*max = 256;
		return MemoryContextAlloc(search->context, sizeof(VxHit) * 256);
	}
	*max *= 2;
	return repalloc_huge(array, sizeof(VxHit) * (Size) *max);
}

void
VxSiftUp(VxHit *hits, int i)
{
	VxHit		hit = hits[i];

	for (; i > 0 && hits[(i - 1) / 2].key > hit.key; i = (i - 1) / 2)
		hits[i] = hits[(i - 1) / 2];
	hits[i] = hit;
}

void
VxSiftDown(VxHit *hits, int n, int i)
{
	VxHit		hit = hits[i];

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= n)
			break;
		if (child + 1 < n && hits[child + 1].key < hits[child].key)
			child++;
		if (hits[child].key >= hit.key)
			break;
		hits[i] = hits[child];
		i = child;
	}
	hits[i] = hit;
}

/* Append a hit; the heap is one again after VxHeapifyHits or VxSiftUp */
VxHit *
VxAppendHit(VxSearch *search, double key, VxNodeId id, uint16 generation)
{
	VxHit	   *hit;

	search->hits = VxGrowHits(search, search->hits, search->nhits, &search->max_hits);
	hit = &search->hits[search->nhits++];
	hit->key = key;
	hit->id = id;
	hit->generation = generation;
	hit->exact = false;
	hit->passes = true;
	hit->asked = false;
	return hit;
}

void
VxHeapifyHits(VxHit *hits, int n)
{
	for (int i = n / 2 - 1; i >= 0; i--)
		VxSiftDown(hits, n, i);
}

VxHit
VxPopHit(VxSearch *search)
{
	VxHit		top = search->hits[0];

	search->hits[0] = search->hits[--search->nhits];
	if (search->nhits > 0)
		VxSiftDown(search->hits, search->nhits, 0);
	return top;
}
