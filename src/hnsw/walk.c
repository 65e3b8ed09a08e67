/*-------------------------------------------------------------------------
 *
 * walk.c
 *	  The best-first walk over the graph on disk, for scans and insertions.
 *
 * The walk takes no lock but a share lock on one node page at a time, while
 * it reads slots of that page; pages it has read stay pinned until it stops.  What it knows of a node may be outdated the
 * moment the lock is gone: links are hints, and whoever uses a node looks at
 * its slot again.
 *
 * A hop expands the nearest node that is known and not yet expanded: its
 * unvisited links are gathered, sorted by page, and each page is read once and
 * all its candidates estimated in one call.  Nodes beyond the beam are set
 * aside, so that the walk can resume with a larger one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/hnsw.h"

#define INITIAL_ROOM 512

/*
 * Standard deviations of the estimate by which a node may lie beyond the beam
 * and still be expanded.  Measured at ef 40, recall@10 / nodes visited: none:
 * Fashion-MNIST .9975 / 530, GloVe .844 / 1102; 0.25: .9975 / 570, .861 / 1197;
 * 0.5: .9985 / 603, .869 / 1269; 1: .9985 / 673, .884 / 1440.
 */
#define BEAM_SLACK 0.25f

/* ----------------------------------------------------------- reading slots */

/* Copy packed links; they may lead anywhere, see filter_unvisited */
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
read_upper_links(Relation index, const VxIndex *ix, VxPins *pins, VxNodeId upper,
				 VxNodeId owner, int level, VxNodeId *links)
{
	VxUpperSlot slot;
	VxPin	   *pin;
	int			n = 0;

	if (upper >= VxCurrentNodes(index, ix) || level > ix->max_level)
		return 0;
	VxPinsLimit(pins, 1);
	pin = VxPinPage(pins, VxNodeBlock(ix, upper));
	slot = VxPageSlot(ix, VxLockPin(pin), VxSlotNumber(ix, upper));
	if (slot->state == VX_SLOT_UPPER && slot->owner == owner && slot->level >= level)
		n = copy_links(VxUpperLinks(ix, slot, level), ix->m, links);
	VxUnlockPin(pin);
	return n;
}

/*
 * Copy the links of a node on a layer; returns their number, 0 if the slot is
 * no node any more.
 */
int
VxReadLinks(Relation index, const VxIndex *ix, VxPins *pins, VxNodeId id,
			int level, VxNodeId *links, VxWalkStats *stats)
{
	VxNodeId	upper = VX_INVALID_NODE;
	int			n = 0;
	VxPin	   *pin;
	VxNodeSlot	slot;

	VxPinsLimit(pins, 1);
	pin = VxPinPage(pins, VxNodeBlock(ix, id));
	slot = VxPageSlot(ix, VxLockPin(pin), VxSlotNumber(ix, id));
	stats->pages++;
	if (VxStateIsNode(slot->state) && level == 0)
		n = copy_links(VxSlotLinks(ix, slot), 2 * ix->m, links);
	else if (VxStateIsNode(slot->state))
		upper = slot->upper;
	VxUnlockPin(pin);

	if (upper != VX_INVALID_NODE)
	{
		stats->pages++;
		n = read_upper_links(index, ix, pins, upper, id, level, links);
	}
	return n;
}

static int
compare_ids(const void *a, const void *b)
{
	VxNodeId	x = *(const VxNodeId *) a;
	VxNodeId	y = *(const VxNodeId *) b;

	return x < y ? -1 : x > y;
}

static void
sort_ids(VxNodeId *ids, int n)
{
	if (n > 64)
	{
		qsort(ids, (size_t) n, sizeof(VxNodeId), compare_ids);
		return;
	}
	for (int i = 1; i < n; i++)
	{
		VxNodeId	id = ids[i];
		int			j = i;

		for (; j > 0 && ids[j - 1] > id; j--)
			ids[j] = ids[j - 1];
		ids[j] = id;
	}
}

/* Visit the nodes ids[0 .. n-1] of one page, which is locked */
static int
visit_page(const VxIndex *ix, Page page, const VxQuery *query,
		   const VxNodeId *ids, int n, VxVisit *out, uint8 *codes,
		   VxFactors *factors)
{
	const uint8_t *code[VX_ESTIMATE_MAX];
	VxFactors	factor[VX_ESTIMATE_MAX];
	float		dist[VX_ESTIMATE_MAX];
	float		error[VX_ESTIMATE_MAX];
	int			nout = 0;

	for (int i = 0; i < n; i++)
	{
		VxNodeSlot	slot = VxPageSlot(ix, page, VxSlotNumber(ix, ids[i]));

		if (!VxStateIsNode(slot->state))
			continue;
		out[nout].id = ids[i];
		out[nout].generation = slot->generation;
		out[nout].state = slot->state;
		out[nout].level = slot->level;
		out[nout].chain = slot->chain;
		out[nout].tid = slot->tid;
		code[nout] = VxSlotCode(ix, slot);
		factor[nout] = slot->factors;
		nout++;
	}
	if (query && nout > 0)
	{
		VxEstimate(query, nout, code, factor, dist, error);
		for (int i = 0; i < nout; i++)
		{
			out[i].dist = dist[i];
			out[i].error = error[i];
		}
	}
	if (codes)
	{
		for (int i = 0; i < nout; i++)
		{
			memcpy(codes + (Size) i * (Size) ix->codec.nbytes, code[i],
				   (Size) ix->codec.nbytes);
			factors[i] = factor[i];
		}
	}
	return nout;
}

/* Nodes to look at that lie on the same page */
typedef struct VxGroup
{
	VxPin	   *pin;
	int			begin;			/* in the sorted list of ids */
	int			end;
} VxGroup;

/* Bytes of a slot that looking at it reads, fetched ahead up to this much */
#define MAX_PREFETCH_BYTES 512

static void
prefetch_slot(const VxIndex *ix, Page page, VxNodeId id)
{
	const char *slot = VxPageSlot(ix, page, VxSlotNumber(ix, id));
	int			size = Min(ix->code_offset + ix->codec.nbytes, MAX_PREFETCH_BYTES);

	for (int i = 0; i < size; i += 64)
		__builtin_prefetch(slot + i);
}

/*
 * Group ids from a sorted list by page, and pin those pages, as many as may be
 * pinned.  Returns the number of groups; *begin is moved to what is left.
 */
static int
pin_groups(const VxIndex *ix, VxPins *pins, const VxNodeId *ids, int n, int *begin,
		   VxGroup *groups)
{
	int			max = pins->max - pins->n;
	int			ngroups = 0;
	int			i = *begin;

	for (; i < n && ngroups < max; ngroups++)
	{
		BlockNumber block = VxNodeBlock(ix, ids[i]);

		groups[ngroups].begin = i;
		while (i < n && VxNodeBlock(ix, ids[i]) == block &&
			   i - groups[ngroups].begin < VX_ESTIMATE_MAX)
			i++;
		groups[ngroups].end = i;
		VxPinPrefetch(pins, block);
	}
	*begin = i;

	for (int g = 0; g < ngroups; g++)
	{
		groups[g].pin = VxPinPage(pins, VxNodeBlock(ix, ids[groups[g].begin]));
		for (i = groups[g].begin; i < groups[g].end; i++)
			prefetch_slot(ix, BufferGetPage(groups[g].pin->buffer), ids[i]);
	}
	return ngroups;
}

/*
 * Look at n nodes, whose ids must have pages: puts those that are nodes of the
 * graph, with their estimated distance if there is a query, into out (room for
 * n), copies their codes and factors unless codes is NULL, and returns their
 * number.  Sorts ids.  Leaves pages pinned.
 */
int
VxVisitNodes(Relation index, const VxIndex *ix, VxPins *pins,
			 const VxQuery *query, VxNodeId *ids, int n, VxVisit *out,
			 VxWalkStats *stats, uint8 *codes, VxFactors *factors)
{
	VxGroup		groups[VX_MAX_PINS];
	int			nout = 0;

	sort_ids(ids, n);
	VxPinsLimit(pins, n);
	for (int begin = 0; begin < n; VxPinsLimit(pins, n - begin))
	{
		int			ngroups = pin_groups(ix, pins, ids, n, &begin, groups);

		for (int g = 0; g < ngroups; g++)
		{
			int			got =
				visit_page(ix, VxLockPin(groups[g].pin), query, ids + groups[g].begin,
						   groups[g].end - groups[g].begin, out + nout,
						   codes ? codes + (Size) nout * (Size) ix->codec.nbytes : NULL,
						   factors ? factors + nout : NULL);

			VxUnlockPin(groups[g].pin);
			stats->pages++;
			stats->visited += got;
			nout += got;
		}
	}
	return nout;
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
	VxIdSetInit(&walk->visited, walk->context, walk->nnodes);
	VxPinsInit(&walk->pins, index);
}

/* Forget all nodes, for a walk with another query or on another layer */
void
VxWalkReset(VxWalk *walk)
{
	walk->nnodes = VxCurrentNodes(walk->index, walk->ix);
	walk->visited.universe = walk->nnodes;
	VxIdSetReset(&walk->visited);
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
static void
take_visit(VxWalk *walk, const VxVisit *visit)
{
	VxCandidate c;

	if (isfinite(visit->error))
	{
		walk->error_sum += visit->error;
		walk->slack = BEAM_SLACK * walk->error_sum / (float) ++walk->nerrors;
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

/* Leave those ids that are not visited yet and have a page; mark them visited */
static int
filter_unvisited(VxWalk *walk, VxNodeId *ids, int n)
{
	int			left = 0;

	for (int i = 0; i < n; i++)
		if (ids[i] < walk->nnodes && VxIdSetAdd(&walk->visited, ids[i]))
			ids[left++] = ids[i];
	return left;
}

/*
 * Descend greedily on one layer: replace entry->node by the node nearest to
 * the query that steps to ever nearer neighbors lead to.  Returns false if the
 * entry is no node of the graph.
 */
static bool
walk_greedy(VxWalk *walk, VxEntry *entry, int level)
{
	VxNodeId	links[2 * VX_MAX_M];
	VxVisit		visits[2 * VX_MAX_M];
	float		best;

	VxIdSetReset(&walk->visited);
	links[0] = entry->node;
	if (filter_unvisited(walk, links, 1) == 0 ||
		VxVisitNodes(walk->index, walk->ix, &walk->pins, walk->query, links, 1, visits,
					 walk->stats, NULL, NULL) == 0)
		return false;
	best = visits[0].dist;

	for (bool moved = true; moved;)
	{
		int			n;

		CHECK_FOR_INTERRUPTS();
		moved = false;
		walk->stats->hops++;
		n = VxReadLinks(walk->index, walk->ix, &walk->pins, entry->node, level, links,
						walk->stats);
		n = filter_unvisited(walk, links, n);
		n = VxVisitNodes(walk->index, walk->ix, &walk->pins, walk->query, links, n, visits,
						 walk->stats, NULL, NULL);
		for (int i = 0; i < n; i++)
		{
			if (visits[i].dist < best)
			{
				best = visits[i].dist;
				entry->node = visits[i].id;
				moved = true;
			}
		}
	}
	return true;
}

/* Descend greedily from the entry point's layer to the one above level */
bool
VxWalkDescend(VxWalk *walk, VxEntry *entry, int level)
{
	for (int l = entry->level; l > level; l--)
		if (!walk_greedy(walk, entry, l))
			return false;
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

	if (filter_unvisited(walk, &entry.node, 1) == 0 ||
		VxVisitNodes(walk->index, walk->ix, &walk->pins, walk->query, &entry.node, 1, &visit,
					 walk->stats, NULL, NULL) == 0)
		return false;
	take_visit(walk, &visit);
	return true;
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

	while (walk->nopen > 0 && !beyond_beam(walk, walk->open[0].dist) &&
		   walk->stats->visited < max_visits)
	{
		VxCandidate c = VxHeapPop(walk->open, &walk->nopen);
		int			n;

		CHECK_FOR_INTERRUPTS();
		walk->stats->hops++;
		n = VxReadLinks(walk->index, walk->ix, &walk->pins, c.id, level, links, walk->stats);
		n = filter_unvisited(walk, links, n);
		n = VxVisitNodes(walk->index, walk->ix, &walk->pins, walk->query, links, n, visits,
						 walk->stats, NULL, NULL);
		for (int i = 0; i < n; i++)
			take_visit(walk, &visits[i]);
	}
}
