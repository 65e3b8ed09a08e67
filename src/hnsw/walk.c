/*-------------------------------------------------------------------------
 *
 * walk.c
 *	  The best-first walk over the graph on disk, for scans and insertions.
 *
 * The walk peeks at slots (reader.c).  What it knows of a node may be outdated
 * a moment later: links are hints, and whoever uses a node looks at its slot
 * again, under lock.
 *
 * A hop expands the nearest nodes that are known and not yet expanded, a few of
 * them: their unvisited links are gathered, the slots of all of those found and
 * fetched together, and their codes estimated in one call.  What was seen is
 * judged in one place (judge): does it count in the beam, and will it be
 * expanded?  Nodes beyond the beam are set aside, unsorted, so that the walk can
 * resume with a larger one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/attr.h"
#include "hnsw/reader.h"

#define INITIAL_ROOM 512

/*
 * Standard deviations of the estimate by which a node may lie beyond the beam
 * and still be expanded.  Measured at ef 40, recall@10 / nodes visited: none:
 * Fashion-MNIST .9971 / 517, GloVe .844 / 1092; 0.25: .9974 / 539, .858 / 1176;
 * 0.5: .9974 / 554, .867 / 1240.
 */
#define BEAM_SLACK 0.25f

/*
 * So many nodes are expanded together, since the slots that their links lead to
 * are fetched at the same time, from memory or from disk.  Measured, one: GloVe,
 * ef 56, recall@10 .8936, 102 us a query; Fashion-MNIST, ef 20, .9889, 48 us; two:
 * .8949, 96 us; .9896, 45 us; three: .8966, 96 us; .9910, 46 us.
 */
#define EXPAND_TOGETHER 3

/*
 * A beam up to this size is a sorted array, in which nodes that were expanded
 * are flagged: moving its tail is cheaper than keeping two heaps, of nodes to
 * expand and of distances that count, as nobody can predict which way those go.
 * A larger beam is such heaps.
 */
#define MAX_SORTED 1024

/* A sorted beam has room for one in so many more, which the slack lets in */
#define SLACK_ROOM 8

/* ----------------------------------------------------------- reading slots */

/* Copy packed links; they may lead anywhere */
static int
copy_links(const VxNodeId *from, int capacity, VxNodeId *to)
{
	int			n = VxCountLinks(from, capacity);

	memcpy(to, from, sizeof(VxNodeId) * (Size) n);
	return n;
}

/*
 * Share-lock the page of a slot, which is returned; NULL if the page is all-zero.
 * The id must have a page.
 */
static VxNodeSlot
lock_slot(Relation index, const VxIndex *ix, VxNodeId id, Buffer *buffer)
{
	Page		page;

	*buffer = VxLockNodePage(index, VxNodeBlock(ix, id), BUFFER_LOCK_SHARE, NULL);
	page = BufferGetPage(*buffer);
	return PageIsNew(page) ? NULL : VxPageSlot(ix, page, VxSlotNumber(ix, id));
}

/*
 * Copy a slot's header, and its code and level-0 links where those are not
 * NULL (links are ended by VX_INVALID_NODE unless all 2m are there).  Returns
 * false if the page is all-zero.  The id must have a page.
 */
bool
VxReadSlot(Relation index, const VxIndex *ix, VxNodeId id, VxNodeSlot header,
		   uint8 *code, VxNodeId *links)
{
	Buffer		buffer;
	VxNodeSlot	slot = lock_slot(index, ix, id, &buffer);

	if (slot)
	{
		*header = *slot;
		if (code)
			memcpy(code, VxSlotCode(ix, slot), (Size) ix->codec.nbytes);
		if (links)
			memcpy(links, VxSlotLinks(ix, slot), 2 * (Size) ix->m * sizeof(VxNodeId));
	}
	UnlockReleaseBuffer(buffer);
	return slot != NULL;
}

/*
 * Copy a slot's header, likewise, and tell whether it passes a filter, which may
 * be NULL.
 */
bool
VxReadRow(Relation index, const VxIndex *ix, VxNodeId id, const VxFilter *filter,
		  VxNodeSlot header, bool *passes)
{
	Buffer		buffer;
	VxNodeSlot	slot = lock_slot(index, ix, id, &buffer);

	if (slot)
	{
		*header = *slot;
		*passes = filter == NULL || VxFilterSlot(filter, slot);
	}
	UnlockReleaseBuffer(buffer);
	return slot != NULL;
}

/*
 * Copy the links of a node on a layer above 0 from its upper slot.  Only a
 * slot that names the node as its owner counts.
 */
static int
read_upper_links(VxReader *reader, VxNodeId upper, VxNodeId owner, int level,
				 VxNodeId *links)
{
	const VxIndex *ix = reader->ix;
	VxPeek		peek;
	int			n;

	if (level > ix->max_level)
		return 0;
	for (bool may_peek = true;; may_peek = false)
	{
		const VxUpperSlotData *slot = VxReaderSlot(reader, upper, may_peek, &peek);

		n = 0;
		if (slot->state == VX_SLOT_UPPER && slot->owner == owner && slot->level >= level)
			n = copy_links(slot->links + (Size) (level - 1) * (Size) ix->m, ix->m, links);
		if (VxPeekConfirm(reader, &peek))
			return n;
	}
}

/*
 * Copy the links of a node on a layer; returns their number, 0 if the slot is
 * no node any more.  The id, like all that are read, must have a page.
 */
int
VxReadLinks(VxReader *reader, VxNodeId id, int level, VxNodeId *links,
			VxWalkStats *stats)
{
	const VxIndex *ix = reader->ix;
	VxNodeId	upper;
	VxPeek		peek;
	int			n;

	stats->pages++;
	for (bool may_peek = true;; may_peek = false)
	{
		const VxNodeSlotData *slot = VxReaderSlot(reader, id, may_peek, &peek);

		upper = VX_INVALID_NODE;
		n = 0;
		if (VxStateIsNode(slot->state) && level == 0)
			n = copy_links(VxSlotLinks(ix, slot), 2 * ix->m, links);
		else if (VxStateIsNode(slot->state))
			upper = slot->upper;
		if (VxPeekConfirm(reader, &peek))
			break;
	}
	if (upper < reader->nnodes)
	{
		stats->pages++;
		n = read_upper_links(reader, upper, id, level, links);
	}
	return n;
}

/* Slots to look at together */
typedef struct VxBatch
{
	int			n;
	VxNodeId	ids[VX_ESTIMATE_MAX];
	const VxNodeSlotData *slots[VX_ESTIMATE_MAX];
	VxPeek		peeks[VX_ESTIMATE_MAX];
} VxBatch;

/* Bytes of a slot that looking at it reads, fetched ahead up to this much */
#define MAX_PREFETCH_BYTES 512

static inline void
prefetch_bytes(const char *from, int size)
{
	for (int i = 0; i < size; i += 64)
		__builtin_prefetch(from + i);
	__builtin_prefetch(from + size - 1);
}

/*
 * Find the slots of a batch: on their pages where those can be peeked at, else
 * copied, a page at a time, after all pages that are not in shared buffers have
 * been asked for.  Where pages are missing, whether a page is there is looked at
 * before it is peeked at, too, as it often is not.
 */
static void
find_slots(VxReader *reader, VxBatch *batch, bool may_peek)
{
	const VxIndex *ix = reader->ix;
	int			size = Min(ix->code_offset + ix->codec.nbytes, MAX_PREFETCH_BYTES);
	int			nmissed = 0;
	int			missed[VX_ESTIMATE_MAX];
	uint32		stripes[VX_ESTIMATE_MAX];
	Buffer		buffer = InvalidBuffer;

	for (int i = 0; i < batch->n; i++)
	{
		Page		page = VxPeekPage(reader, VxStripeOf(ix, batch->ids[i]), &batch->peeks[i]);

		if (page != NULL && may_peek &&
			(!reader->missing || VxPeekConfirm(reader, &batch->peeks[i])))
		{
			batch->slots[i] = VxPageSlot(ix, page, VxSlotNumber(ix, batch->ids[i]));
			prefetch_bytes((const char *) batch->slots[i], size);
		}
		else
		{
			uint32		stripe = VxStripeOf(ix, batch->ids[i]);
			int			j = nmissed++;

			for (; j > 0 && stripes[j - 1] > stripe; j--)
			{
				stripes[j] = stripes[j - 1];
				missed[j] = missed[j - 1];
			}
			stripes[j] = stripe;
			missed[j] = i;
		}
	}
	if (nmissed > 1)
		for (int i = 0; i < nmissed; i++)
			if (i == 0 || stripes[i] != stripes[i - 1])
				VxReaderPrefetch(reader, stripes[i]);
	for (int i = 0; i < nmissed; i++)
	{
		int			at = missed[i];

		if (i == 0 || stripes[i] != stripes[i - 1])
		{
			if (i > 0)
				UnlockReleaseBuffer(buffer);
			buffer = VxReaderLock(reader, stripes[i], NULL);
		}
		batch->peeks[at].buffer = InvalidBuffer;
		batch->slots[at] = VxCopySlot(reader, buffer, batch->ids[at], at);
	}
	if (nmissed > 0)
		UnlockReleaseBuffer(buffer);
}

/* Where a batch's nodes, with estimates, go; see VxVisitNodes */
typedef struct VxVisitOut
{
	VxVisit    *visits;
	VxGathered *copy;			/* where codes and so on go, or NULL */
	int			n;
} VxVisitOut;

/* A node of a batch that was estimated: keep it, with what is wanted of it */
static inline void
keep_visit(const VxReader *reader, VxVisitOut *out, VxNodeId id,
		   const VxNodeSlotData *slot, float dist, float error)
{
	const VxIndex *ix = reader->ix;
	VxVisit    *visit = &out->visits[out->n];

	visit->id = id;
	visit->dist = dist;
	visit->error = error;
	visit->generation = slot->generation;
	visit->passes = reader->filter == NULL || VxFilterSlot(reader->filter, slot);
	visit->result = (slot->state == VX_SLOT_LIVE && visit->passes) ||
		slot->chain != VX_INVALID_NODE;
	if (out->copy)
	{
		memcpy(out->copy->codes + (Size) out->n * (Size) ix->codec.nbytes,
			   VxSlotCode(ix, slot), (Size) ix->codec.nbytes);
		out->copy->factors[out->n] = slot->factors;
		out->copy->first[out->n] = VxSlotLinks(ix, slot)[0];
	}
	if (dist < reader->near)
		prefetch_bytes((const char *) VxSlotLinks(ix, slot),
					   2 * ix->m * (int) sizeof(VxNodeId));
	out->n++;
}

/*
 * Estimate the nodes of a batch and keep those whose look holds.  What does
 * not is left in the batch.
 */
static void
estimate_batch(VxReader *reader, const VxQuery *query, VxBatch *batch, VxVisitOut *out)
{
	const VxIndex *ix = reader->ix;
	const uint8_t *codes[VX_ESTIMATE_MAX];
	const VxFactors *factors[VX_ESTIMATE_MAX];
	float		dist[VX_ESTIMATE_MAX];
	float		error[VX_ESTIMATE_MAX];
	int			from[VX_ESTIMATE_MAX];
	VxNodeId	left[VX_ESTIMATE_MAX];
	int			n = 0;
	int			nleft = 0;

	for (int i = 0; i < batch->n; i++)
	{
		const VxNodeSlotData *slot = batch->slots[i];

		if (VxStateIsNode(slot->state))
		{
			codes[n] = VxSlotCode(ix, slot);
			factors[n] = &slot->factors;
			from[n++] = i;
		}
		else if (!VxPeekConfirm(reader, &batch->peeks[i]))
			left[nleft++] = batch->ids[i];
	}
	VxEstimate(query, n, codes, factors, dist, error);
	for (int j = 0; j < n; j++)
	{
		int			i = from[j];

		keep_visit(reader, out, batch->ids[i], batch->slots[i], dist[j], error[j]);
		if (!VxPeekConfirm(reader, &batch->peeks[i]))
		{
			out->n--;
			left[nleft++] = batch->ids[i];
		}
	}
	memcpy(batch->ids, left, sizeof(VxNodeId) * (Size) nleft);
	batch->n = nleft;
}

/*
 * Look at n nodes, whose ids must have pages: puts those that are nodes of the
 * graph, with their estimated distance, into visits (room for n), copies their
 * codes, factors and first links unless copy is NULL, and returns their number.
 */
int
VxVisitNodes(VxReader *reader, const VxQuery *query, const VxNodeId *ids, int n,
			 VxVisit *visits, VxWalkStats *stats, VxGathered *copy)
{
	VxVisitOut	out = {visits, copy, 0};
	VxBatch		batch;

	for (int done = 0; done < n; done += VX_ESTIMATE_MAX)
	{
		bool		may_peek = true;

		batch.n = Min(n - done, VX_ESTIMATE_MAX);
		memcpy(batch.ids, ids + done, sizeof(VxNodeId) * (Size) batch.n);
		for (; batch.n > 0; may_peek = false)
		{
			find_slots(reader, &batch, may_peek);
			estimate_batch(reader, query, &batch, &out);
		}
	}
	stats->pages += n;
	stats->visited += out.n;
	return out.n;
}

/* ------------------------------------------------------------------ the walk */

/* Grow an array so that it has room for one more */
static void *
make_room(VxWalk *walk, void *array, int n, int *max, Size size)
{
	if (n < *max)
		return array;
	if (*max == 0)
	{
		*max = INITIAL_ROOM;
		return MemoryContextAlloc(walk->context, size * INITIAL_ROOM);
	}
	if (*max > INT_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("hnsw scan has too many candidates")));
	*max *= 2;
	return repalloc_huge(array, size * (Size) *max);
}

/* Start a walk; its memory is that of the current context */
void
VxWalkInit(VxWalk *walk, Relation index, const VxIndex *ix, VxQuery *query,
		   VxWalkStats *stats)
{
	memset(walk, 0, sizeof(*walk));
	walk->index = index;
	walk->ix = ix;
	walk->query = query;
	walk->stats = stats;
	walk->context = CurrentMemoryContext;
	walk->nnodes = VxCurrentNodes(index, ix);
	VxIdSetInit(&walk->visited, walk->context, walk->nnodes, true);
	VxWalkBeam(walk, 1);
	walk->reader = VxReaderCreate(index, ix, walk->nnodes);
}

/* Empty the beam */
static void
empty_beam(VxWalk *walk)
{
	walk->nbeam = 0;
	walk->next = 0;
	walk->bound = INFINITY;
	walk->limit = INFINITY;
}

/* Forget all nodes, for a walk with another query or on another layer */
void
VxWalkReset(VxWalk *walk)
{
	walk->nnodes = VxCurrentNodes(walk->index, walk->ix);
	walk->reader->nnodes = walk->nnodes;
	VxIdSetReset(&walk->visited, walk->nnodes);
	walk->nopen = 0;
	walk->nfound = 0;
	walk->ndeferred = 0;
	walk->nlater = 0;
	walk->error_sum = 0;
	walk->nerrors = 0;
	walk->slack = 0;
	walk->reader->missing = false;
	empty_beam(walk);
}

Size
VxWalkMemory(const VxWalk *walk)
{
	return VxIdSetMemory(&walk->visited) +
		sizeof(VxCandidate) * (Size) walk->max_open +
		sizeof(VxBeamEntry) * (Size) walk->max_beam +
		sizeof(VxVisit) * (Size) (walk->max_found + walk->max_deferred);
}

/* The beam has a new last member, or another slack */
static inline void
set_bound(VxWalk *walk)
{
	if (walk->nbeam >= walk->beam_size)
	{
		walk->bound = walk->beam[walk->sorted ? walk->beam_size - 1 : 0].dist;
		walk->limit = walk->bound + walk->slack;
	}
}

/* Set a node aside; if it is a result, the scan has yet to take it */
static void
defer(VxWalk *walk, const VxVisit *visit, bool result)
{
	walk->deferred = make_room(walk, walk->deferred, walk->ndeferred,
							   &walk->max_deferred, sizeof(VxVisit));
	walk->deferred[walk->ndeferred] = *visit;
	walk->deferred[walk->ndeferred++].result = result;
	walk->nlater += result;
}

/* Add a node to those to expand */
static inline void
push_open(VxWalk *walk, VxNodeId id, float dist)
{
	VxCandidate c;

	c.id = id;
	c.dist = dist;
	walk->open = make_room(walk, walk->open, walk->nopen, &walk->max_open,
						   sizeof(VxCandidate));
	VxHeapPush(walk->open, &walk->nopen, c);
}

/*
 * Put a result into a sorted beam.  What falls out of it is deferred, unless it
 * has been expanded.
 */
static inline void
sorted_insert(VxWalk *walk, float dist, uint32 found)
{
	VxBeamEntry *beam = walk->beam;
	uint32		low = 0;
	int			high = walk->nbeam;

	if (high == walk->beam_room)
	{
		bool		too_far = dist >= beam[high - 1].dist;
		uint32		out = too_far ? found : beam[high - 1].found;

		if (!(out & VX_EXPANDED))
			defer(walk, &walk->found[out], false);
		if (too_far)
			return;
		high--;
	}
	walk->nbeam = high + 1;
	/* without branches, which nobody could predict */
	for (uint32 n = (uint32) high; n > 0; n /= 2)
		low += -(uint32) (beam[low + (n - 1) / 2].dist <= dist) & ((n + 1) / 2);
	memmove(&beam[low + 1], &beam[low],
			sizeof(VxBeamEntry) * ((uint32) high - low));
	beam[low].dist = dist;
	beam[low].found = found;
	walk->next = Min(walk->next, (int) low);
}

/* Put a distance into a beam that is a max-heap of the least ones */
static void
heap_insert(VxWalk *walk, float dist)
{
	VxBeamEntry *beam = walk->beam;
	int			i = 0;

	if (walk->nbeam < walk->beam_size)
	{
		for (i = walk->nbeam++; i > 0 && beam[(i - 1) / 2].dist < dist; i = (i - 1) / 2)
			beam[i] = beam[(i - 1) / 2];
		beam[i].dist = dist;
		return;
	}
	if (dist >= beam[0].dist)
		return;
	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= walk->nbeam)
			break;
		if (child + 1 < walk->nbeam && beam[child + 1].dist > beam[child].dist)
			child++;
		if (beam[child].dist <= dist)
			break;
		beam[i] = beam[child];
		i = child;
	}
	beam[i].dist = dist;
}

/* Have a result count that was known before this stage */
void
VxWalkCount(VxWalk *walk, float dist)
{
	if (walk->sorted)
		sorted_insert(walk, dist, VX_EXPANDED);
	else
		heap_insert(walk, dist);
	set_bound(walk);
}

/* Take up a result that may lie within the bound */
static inline void
take_result(VxWalk *walk, const VxVisit *visit)
{
	walk->found = make_room(walk, walk->found, walk->nfound, &walk->max_found,
							sizeof(VxVisit));
	walk->found[walk->nfound++] = *visit;
}

/*
 * Judge a node that was looked at: whether it will be expanded in this stage,
 * and whether it counts.  All nodes lead on, but only results that pass the
 * filter count, and so move the bound.
 */
static inline void
judge(VxWalk *walk, const VxVisit *visit)
{
	bool		counts = visit->result && visit->passes;

	walk->stats->passed += counts;
	if (visit->error < INFINITY)
	{
		walk->error_sum += visit->error;
		walk->nerrors++;
	}
	if (visit->dist >= walk->limit)
	{
		bool		later = visit->result &&
			VxLowerBound(visit->dist, visit->error) > (double) walk->bound;

		defer(walk, visit, later);
		if (visit->result && !later)
			take_result(walk, visit);
	}
	else
	{
		if (visit->result)
			take_result(walk, visit);
		if (!counts)
			push_open(walk, visit->id, visit->dist);
		else if (walk->sorted)
			sorted_insert(walk, visit->dist, (uint32) walk->nfound - 1);
		else
		{
			push_open(walk, visit->id, visit->dist);
			heap_insert(walk, visit->dist);
		}
		set_bound(walk);
	}
}

/*
 * Descend greedily on one layer: replace entry->node, at distance *best, by the
 * node nearest to the query that steps to ever nearer neighbors lead to.
 */
static void
walk_greedy(VxWalk *walk, VxEntry *entry, int level, float *best)
{
	VxNodeId	links[2 * VX_MAX_M];
	VxVisit		visits[2 * VX_MAX_M];

	for (bool moved = true; moved;)
	{
		int			n;

		CHECK_FOR_INTERRUPTS();
		moved = false;
		walk->stats->hops++;
		n = VxReadLinks(walk->reader, entry->node, level, links, walk->stats);
		n = VxIdSetAddNew(&walk->visited, links, n);
		n = VxVisitNodes(walk->reader, walk->query, links, n, visits, walk->stats, NULL);
		for (int i = 0; i < n; i++)
		{
			judge(walk, &visits[i]);
			if (visits[i].dist < *best)
			{
				*best = visits[i].dist;
				entry->node = visits[i].id;
				moved = true;
			}
		}
	}
}

/* Look at a node that a walk begins at; returns false if it is none */
static bool
enter(VxWalk *walk, VxNodeId id, float *dist)
{
	VxVisit		visit;

	if (VxIdSetAddNew(&walk->visited, &id, 1) == 0 ||
		VxVisitNodes(walk->reader, walk->query, &id, 1, &visit, walk->stats,
					 NULL) == 0)
		return false;
	*dist = visit.dist;
	judge(walk, &visit);
	return true;
}

/*
 * Begin at a node; returns false if it is no node of the graph.  The beam must
 * have been set.
 */
bool
VxWalkEnter(VxWalk *walk, VxNodeId node)
{
	float		dist;

	return enter(walk, node, &dist);
}

/*
 * Begin a walk at the entry point, and descend greedily from its layer to the
 * one above level.  What was looked at on the way is taken up as if on that
 * level, so that it need not be looked at again.  Returns false if the entry
 * is no node of the graph.
 */
bool
VxWalkDescend(VxWalk *walk, VxEntry *entry, int level)
{
	float		best;

	if (!enter(walk, entry->node, &best))
		return false;
	for (int l = entry->level; l > level; l--)
		walk_greedy(walk, entry, l, &best);
	return true;
}

/*
 * Set the size of the beam, and empty it.  What was set aside may be within the
 * new one; the scan must have taken the results among it.
 */
void
VxWalkBeam(VxWalk *walk, int ef)
{
	walk->sorted = ef <= MAX_SORTED;
	walk->beam_size = ef;
	walk->beam_room = walk->sorted ? ef + ef / SLACK_ROOM + SLACK_ROOM : ef;
	if (walk->beam_room > walk->max_beam)
	{
		if (walk->beam)
			pfree(walk->beam);
		walk->beam = MemoryContextAlloc(walk->context,
										sizeof(VxBeamEntry) * (Size) walk->beam_room);
		walk->max_beam = walk->beam_room;
	}
	empty_beam(walk);

	Assert(walk->nlater == 0);
	for (int i = 0; i < walk->ndeferred; i++)
		push_open(walk, walk->deferred[i].id, walk->deferred[i].dist);
	walk->ndeferred = 0;
}

/* Take the nearest node that is to be expanded; false if none is near enough */
static inline bool
next_node(VxWalk *walk, VxNodeId *id)
{
	VxBeamEntry *entry;
	float		open = walk->nopen > 0 ? walk->open[0].dist : INFINITY;

	if (walk->sorted)
	{
		while (walk->next < walk->nbeam && (walk->beam[walk->next].found & VX_EXPANDED))
			walk->next++;
		entry = &walk->beam[walk->next];
		if (walk->next < walk->nbeam && entry->dist <= open)
		{
			/* the farthest of the beam is in it: else one of 1 would not walk */
			if (entry->dist > walk->limit)
				return false;
			*id = walk->found[entry->found].id;
			entry->found |= VX_EXPANDED;
			return true;
		}
	}
	if (open >= walk->limit)
		return false;
	*id = VxHeapPop(walk->open, &walk->nopen).id;
	return true;
}

/*
 * Take the nearest nodes that are to be expanded, and gather those of their
 * links that have not been visited; returns their number.
 */
static int
gather_links(VxWalk *walk, int level, VxNodeId *links)
{
	VxNodeId	id;
	int			n = 0;

	for (int i = 0; i < EXPAND_TOGETHER && next_node(walk, &id); i++)
	{
		int			nlinks = VxReadLinks(walk->reader, id, level, links + n, walk->stats);

		n += VxIdSetAddNew(&walk->visited, links + n, nlinks);
		walk->stats->hops++;
	}
	return n;
}

/*
 * Walk a layer until nothing that is open lies within the full beam, or until
 * the statistics count max_visits.  It may go on from there, or be settled.
 */
void
VxWalkAdvance(VxWalk *walk, int level, int64 max_visits)
{
	VxNodeId	links[EXPAND_TOGETHER * 2 * VX_MAX_M];
	VxVisit		visits[EXPAND_TOGETHER * 2 * VX_MAX_M];
	int64		hops;

	do
	{
		int			n;

		CHECK_FOR_INTERRUPTS();
		if (walk->stats->visited >= max_visits)
			break;
		hops = walk->stats->hops;
		walk->reader->near = walk->bound;
		if (walk->nerrors > 0)
			walk->slack = BEAM_SLACK * walk->error_sum / (float) walk->nerrors;
		set_bound(walk);
		n = gather_links(walk, level, links);
		n = VxVisitNodes(walk->reader, walk->query, links, n, visits, walk->stats,
						 NULL);
		for (int i = 0; i < n; i++)
			judge(walk, &visits[i]);
	} while (walk->stats->hops > hops);
}

/*
 * End a stage of the walk: what is left in a sorted beam waits with the other
 * nodes.  What was found is in walk->found and walk->deferred; walk->nopen +
 * walk->ndeferred == 0 says that the walk has seen all it can.
 */
void
VxWalkSettle(VxWalk *walk)
{
	for (int i = walk->next; walk->sorted && i < walk->nbeam; i++)
		if (!(walk->beam[i].found & VX_EXPANDED))
		{
			defer(walk, &walk->found[walk->beam[i].found], false);
			walk->beam[i].found |= VX_EXPANDED;
		}
}

/* Walk a layer as far as the beam goes, and end the stage */
void
VxWalkRun(VxWalk *walk, int level)
{
	VxWalkAdvance(walk, level, PG_INT64_MAX);
	VxWalkSettle(walk);
}
