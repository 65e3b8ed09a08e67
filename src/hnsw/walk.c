/*-------------------------------------------------------------------------
 *
 * walk.c
 *	  The best-first walk over the graph on disk, for scans and insertions.
 *
 * The walk peeks at slots (reader.c).  What it knows of a node may be outdated
 * a moment later: links are hints, and whoever uses a node looks at its slot
 * again, under lock.
 *
 * A hop expands the nearest node that is known and not yet expanded: its
 * unvisited links are gathered, the slots of all of them found and fetched
 * together, and their codes estimated in one call.  Nodes beyond the beam are
 * set aside, so that the walk can resume with a larger one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/reader.h"

#define INITIAL_ROOM 512

/*
 * Standard deviations of the estimate by which a node may lie beyond the beam
 * and still be expanded.  Measured at ef 40, recall@10 / nodes visited: none:
 * Fashion-MNIST .9971 / 517, GloVe .844 / 1092; 0.25: .9974 / 539, .858 / 1176;
 * 0.5: .9974 / 554, .867 / 1240.
 */
#define BEAM_SLACK 0.25f

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
 * Copy a slot's header, and its code and level-0 links where those are not
 * NULL (links are ended by VX_INVALID_NODE unless all 2m are there).  Returns
 * false if the page is all-zero.  The id must have a page.
 */
bool
VxReadSlot(Relation index, const VxIndex *ix, VxNodeId id, VxNodeSlot header,
		   uint8 *code, VxNodeId *links)
{
	Buffer		buffer = VxLockNodePage(index, VxNodeBlock(ix, id),
										BUFFER_LOCK_SHARE, NULL);
	Page		page = BufferGetPage(buffer);
	bool		found = !PageIsNew(page);

	if (found)
	{
		VxNodeSlot	slot = VxPageSlot(ix, page, VxSlotNumber(ix, id));

		*header = *slot;
		if (code)
			memcpy(code, VxSlotCode(ix, slot), (Size) ix->codec.nbytes);
		if (links)
			memcpy(links, VxSlotLinks(ix, slot), 2 * (Size) ix->m * sizeof(VxNodeId));
	}
	UnlockReleaseBuffer(buffer);
	return found;
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
 * copied, after all pages that are not in shared buffers have been asked for.
 */
static void
find_slots(VxReader *reader, VxBatch *batch, bool may_peek)
{
	const VxIndex *ix = reader->ix;
	int			size = Min(ix->code_offset + ix->codec.nbytes, MAX_PREFETCH_BYTES);
	int			nmissed = 0;
	int			missed[VX_ESTIMATE_MAX];

	for (int i = 0; i < batch->n; i++)
	{
		Page		page = VxPeekPage(reader, VxStripeOf(ix, batch->ids[i]), &batch->peeks[i]);

		if (page != NULL && may_peek)
		{
			batch->slots[i] = VxPageSlot(ix, page, VxSlotNumber(ix, batch->ids[i]));
			prefetch_bytes((const char *) batch->slots[i], size);
		}
		else
			missed[nmissed++] = i;
	}
	if (nmissed > 1)
		for (int i = 0; i < nmissed; i++)
			VxReaderPrefetch(reader, VxStripeOf(ix, batch->ids[missed[i]]));
	for (int i = 0; i < nmissed; i++)
	{
		int			at = missed[i];

		batch->peeks[at].buffer = InvalidBuffer;
		batch->slots[at] = VxReadSlotLocked(reader, batch->ids[at], at);
	}
}

/* Where a batch's nodes, with estimates, go; see VxVisitNodes */
typedef struct VxVisitOut
{
	VxVisit    *visits;
	uint8	   *codes;			/* or NULL */
	VxFactors  *factors;		/* if codes are wanted */
	int			n;
} VxVisitOut;

/* A node of a batch that was estimated: keep it, with its code if wanted */
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
	visit->state = slot->state;
	visit->chain = slot->chain;
	if (out->codes)
	{
		memcpy(out->codes + (Size) out->n * (Size) ix->codec.nbytes,
			   VxSlotCode(ix, slot), (Size) ix->codec.nbytes);
		out->factors[out->n] = slot->factors;
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
 * graph, with their estimated distance, into out (room for n), copies their
 * codes and factors unless codes is NULL, and returns their number.
 */
int
VxVisitNodes(VxReader *reader, const VxQuery *query, const VxNodeId *ids, int n,
			 VxVisit *visits, VxWalkStats *stats, uint8 *codes, VxFactors *factors)
{
	VxVisitOut	out = {visits, codes, factors, 0};
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

/* Forget all nodes, for a walk with another query or on another layer */
void
VxWalkReset(VxWalk *walk)
{
	walk->nnodes = VxCurrentNodes(walk->index, walk->ix);
	walk->reader->nnodes = walk->nnodes;
	VxIdSetReset(&walk->visited, walk->nnodes);
	walk->nopen = 0;
	walk->ndeferred = 0;
	walk->nbeam = 0;
	walk->nfound = 0;
	walk->error_sum = 0;
	walk->nerrors = 0;
	walk->slack = 0;
}

Size
VxWalkMemory(const VxWalk *walk)
{
	return VxIdSetMemory(&walk->visited) +
		sizeof(VxCandidate) * (Size) (walk->max_open + walk->max_deferred) +
		sizeof(float) * (Size) walk->max_beam +
		sizeof(VxVisit) * (Size) walk->max_found;
}

/* Put a distance into the beam, a max-heap of the beam_size least ones */
void
VxWalkBeamAdd(VxWalk *walk, float dist)
{
	float	   *beam = walk->beam;
	int			i;

	if (walk->nbeam < walk->beam_size)
	{
		for (i = walk->nbeam++; i > 0; i = (i - 1) / 2)
		{
			if (beam[(i - 1) / 2] >= dist)
				break;
			beam[i] = beam[(i - 1) / 2];
		}
		beam[i] = dist;
		return;
	}
	if (dist >= beam[0])
		return;
	for (i = 0;;)
	{
		int			child = 2 * i + 1;

		if (child >= walk->nbeam)
			break;
		if (child + 1 < walk->nbeam && beam[child + 1] > beam[child])
			child++;
		if (beam[child] <= dist)
			break;
		beam[i] = beam[child];
		i = child;
	}
	beam[i] = dist;
}

/*
 * Is a distance beyond the beam, which is full, by more than a fraction of the
 * mean error of estimates?  Where codes are coarse for the data, that makes
 * the walk a little longer.
 */
static inline bool
beyond_beam(const VxWalk *walk, float dist)
{
	return walk->nbeam == walk->beam_size && dist >= walk->beam[0] + walk->slack;
}

/*
 * Take up what a look at a node found.  A dead node leads on, but is no result
 * unless it heads a chain.
 */
static inline void
take_visit(VxWalk *walk, const VxVisit *visit)
{
	VxCandidate c;

	if (isfinite(visit->error))
	{
		walk->error_sum += visit->error;
		walk->nerrors++;
	}
	c.id = visit->id;
	c.dist = visit->dist;
	if (beyond_beam(walk, visit->dist))
	{
		walk->deferred = make_room(walk, walk->deferred, walk->ndeferred,
								   &walk->max_deferred, sizeof(VxCandidate));
		walk->deferred[walk->ndeferred++] = c;
	}
	else
	{
		walk->open = make_room(walk, walk->open, walk->nopen, &walk->max_open,
							   sizeof(VxCandidate));
		VxHeapPush(walk->open, &walk->nopen, c);
	}
	if (visit->state != VX_SLOT_LIVE && visit->chain == VX_INVALID_NODE)
		return;
	VxWalkBeamAdd(walk, visit->dist);
	walk->found = make_room(walk, walk->found, walk->nfound, &walk->max_found,
							sizeof(VxVisit));
	walk->found[walk->nfound++] = *visit;
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
		n = VxVisitNodes(walk->reader, walk->query, links, n, visits, walk->stats, NULL,
						 NULL);
		for (int i = 0; i < n; i++)
		{
			take_visit(walk, &visits[i]);
			if (visits[i].dist < *best)
			{
				*best = visits[i].dist;
				entry->node = visits[i].id;
				moved = true;
			}
		}
	}
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

	if (!VxWalkEnter(walk, *entry, level))
		return false;
	best = walk->open[0].dist;
	for (int l = entry->level; l > level; l--)
		walk_greedy(walk, entry, l, &best);
	return true;
}

/* Set the size of the beam, and empty it */
void
VxWalkBeam(VxWalk *walk, int ef)
{
	if (ef > walk->max_beam)
	{
		if (walk->beam)
			pfree(walk->beam);
		walk->beam = MemoryContextAllocHuge(walk->context, sizeof(float) * (Size) ef);
		walk->max_beam = ef;
	}
	walk->beam_size = ef;
	walk->nbeam = 0;

	/* what was beyond the old beam may be within the new one */
	for (int i = 0; i < walk->ndeferred; i++)
	{
		walk->open = make_room(walk, walk->open, walk->nopen, &walk->max_open,
							   sizeof(VxCandidate));
		VxHeapPush(walk->open, &walk->nopen, walk->deferred[i]);
	}
	walk->ndeferred = 0;
}

/*
 * Begin at a node; returns false if it is no node of the graph.  The beam must
 * have been set.
 */
bool
VxWalkEnter(VxWalk *walk, VxEntry entry, int level)
{
	VxVisit		visit;

	if (VxIdSetAddNew(&walk->visited, &entry.node, 1) == 0 ||
		VxVisitNodes(walk->reader, walk->query, &entry.node, 1, &visit,
					 walk->stats, NULL, NULL) == 0)
		return false;
	take_visit(walk, &visit);
	return true;
}

/*
 * Is there a node to expand?  The farthest of the beam is: it is in the beam.
 * With a beam of one, there would be no walk at all without it.
 */
static inline bool
has_near(const VxWalk *walk)
{
	return walk->nopen > 0 &&
		(walk->nbeam < walk->beam_size || walk->open[0].dist <= walk->beam[0] + walk->slack);
}

/*
 * Walk a layer until nothing that is open lies within the full beam, or until
 * the statistics count max_visits.  What was found is added to walk->found;
 * walk->nopen + walk->ndeferred == 0 says that the walk has seen all it can.
 */
void
VxWalkRun(VxWalk *walk, int level, int64 max_visits)
{
	VxNodeId	links[2 * VX_MAX_M];
	VxVisit		visits[2 * VX_MAX_M];

	while (has_near(walk) && walk->stats->visited < max_visits)
	{
		VxCandidate c = VxHeapPop(walk->open, &walk->nopen);
		int			n;

		CHECK_FOR_INTERRUPTS();
		walk->stats->hops++;
		walk->reader->near = walk->nbeam < walk->beam_size ? FLT_MAX : walk->beam[0];
		walk->slack = walk->nerrors > 0 ? BEAM_SLACK * walk->error_sum / (float) walk->nerrors : 0;
		n = VxReadLinks(walk->reader, c.id, level, links, walk->stats);
		n = VxIdSetAddNew(&walk->visited, links, n);
		n = VxVisitNodes(walk->reader, walk->query, links, n, visits,
						 walk->stats, NULL, NULL);
		for (int i = 0; i < n; i++)
			take_visit(walk, &visits[i]);
	}
}
