/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Index scans: rows in the order of their distance from a query.
 *
 * A search goes through up to three phases.  It *walks* the graph with a beam
 * of ef, and every row it saw waits in a queue under a lower bound of its
 * distance; the exact distance is computed, from the vector, only when that
 * bound is the least in the queue, and a row is returned when its exact
 * distance is.  When ef rows have been returned and more are wanted, the walk
 * *resumes* with a larger beam.  When the walk has nowhere left to go, or has
 * become dearer than that, the search goes *flat*: it reads all node pages in
 * block order, as often as it takes to return every row in batches of bounded
 * memory.
 *
 * A row found nearer than one already returned is kept back to the very end
 * under strict_order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "access/relscan.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "hnsw/hnsw.h"
#include "inject.h"

/* A walk that visits more than this share of the nodes is dearer than a flat pass */
#define FLAT_SHARE 4

/*
 * Lower bounds lie this many standard deviations below the estimate.  Measured
 * at ef 40, recall@10 / vectors read: 2: Fashion-MNIST .9944 / 15, GloVe .852 /
 * 21; 3: .9974 / 18, .858 / 29; 3.5: .9976 / 19, .858 / 34.
 */
#define BOUND_DEVIATIONS 3.0f

/* Of this many hits the vectors are asked for at once */
#define PREFETCH_VECTORS 16

/* A row that waits to be returned */
typedef struct VxHit
{
	double		key;			/* exact distance, or a lower bound of it */
	VxNodeId	id;
	uint16		generation;
	bool		exact;			/* which of the two key is */
} VxHit;

struct VxSearch
{
	/* unchanging */
	Relation	index;
	const VxIndex *ix;
	MemoryContext context;
	VxQuery		query;
	void	   *vector;			/* the query vector */
	void	   *scratch;		/* a vector read for ranking */

	/* settings, as of the start of this search */
	int			ef;
	VxIterativeScan iterative;
	int64		max_tuples;
	Size		max_memory;

	/* mutable */
	VxWalk		walk;
	VxWalkStats stats;
	bool		ranked;			/* false: every distance is NULL or NaN */
	bool		started;
	bool		flat;			/* the graph is of no more use */
	bool		flat_more;		/* the last flat pass left rows out */
	int64		quota;			/* rows to return before the walk resumes */
	int			step;			/* beam of the next stage */
	int64		nreturned;
	double		last;			/* distance of the last row returned */
	VxIdSet		returned;		/* rows that later passes must not find */

	VxHit	   *hits;			/* min-heap by key */
	int			nhits;
	int			max_hits;
	double		queued;			/* what the walk found within is in the heap */
	VxHit	   *late;			/* rows kept back */
	int			nlate;
	int			max_late;
	bool		late_sorted;	/* farthest first */

	/* the chain of duplicates that is being returned */
	VxNodeId	chain_head;
	uint16		chain_generation;
	VxNodeId	chain_next;
	double		chain_distance;
	int			chain_restarts;
	uint64		chain_steps;	/* since the last restart */
};

VxWalkStats VxLastScan;

/* ---------------------------------------------------------------- the queue */

static VxHit *
grow_hits(VxSearch *search, VxHit *array, int n, int *max)
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

static void
sift_up(VxHit *hits, int i)
{
	VxHit		hit = hits[i];

	for (; i > 0 && hits[(i - 1) / 2].key > hit.key; i = (i - 1) / 2)
		hits[i] = hits[(i - 1) / 2];
	hits[i] = hit;
}

static void
sift_down(VxHit *hits, int n, int i)
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

/* Append a hit; the heap is one again after heapify or sift_up */
static void
append_hit(VxSearch *search, double key, VxNodeId id, uint16 generation, bool exact)
{
	VxHit	   *hit;

	search->hits = grow_hits(search, search->hits, search->nhits, &search->max_hits);
	hit = &search->hits[search->nhits++];
	hit->key = key;
	hit->id = id;
	hit->generation = generation;
	hit->exact = exact;
}

static void
heapify(VxHit *hits, int n)
{
	for (int i = n / 2 - 1; i >= 0; i--)
		sift_down(hits, n, i);
}

static VxHit
pop_hit(VxSearch *search)
{
	VxHit		top = search->hits[0];

	search->hits[0] = search->hits[--search->nhits];
	if (search->nhits > 0)
		sift_down(search->hits, search->nhits, 0);
	return top;
}

static void
push_late(VxSearch *search, const VxHit *hit)
{
	search->late = grow_hits(search, search->late, search->nlate, &search->max_late);
	search->late[search->nlate++] = *hit;
	search->late_sorted = false;
}

static int
compare_hits(const void *a, const void *b)
{
	double		x = ((const VxHit *) a)->key;
	double		y = ((const VxHit *) b)->key;

	return x < y ? -1 : x > y;
}

static double
lower_bound(float dist, float error)
{
	double		bound = (double) dist - BOUND_DEVIATIONS * (double) error;

	return isnan(bound) ? -INFINITY : bound;
}

/* ---------------------------------------------------------------- the walk */

/*
 * Move what the walk found, as far as it lies within a bound, into the queue,
 * which then holds all hits within it.
 */
static void
queue_found(VxSearch *search, double bound)
{
	VxWalk	   *walk = &search->walk;
	int			left = 0;

	for (int i = 0; i < walk->nfound; i++)
	{
		const VxVisit *v = &walk->found[i];
		double		key = lower_bound(v->dist, v->error);

		if (key > bound)
			walk->found[left++] = *v;
		else
			append_hit(search, key, v->id, v->generation, false);
	}
	walk->nfound = left;
	heapify(search->hits, search->nhits);
	search->queued = bound;
}

/*
 * Queue what a walk found.  Most of it lies beyond the beam and is not looked
 * at again unless many rows are wanted, so that is left for later.
 */
static void
queue_beam(VxSearch *search)
{
	const VxWalk *walk = &search->walk;

	queue_found(search, walk->nbeam < walk->beam_size ? INFINITY : walk->beam[0]);
	for (int i = 0; i < Min(search->nhits, PREFETCH_VECTORS); i++)
		VxPrefetchVector(walk->reader, search->hits[i].id);
}

/* May the search read all nodes, by its settings? */
static bool
may_go_flat(const VxSearch *search)
{
	return search->iterative != VX_ITERATIVE_OFF &&
		search->stats.visited + (int64) search->walk.nnodes <= search->max_tuples;
}

/* Visits at which a walk has become dearer than a flat pass */
static int64
flat_threshold(const VxSearch *search)
{
	return may_go_flat(search) ? (int64) (search->walk.nnodes / FLAT_SHARE) : PG_INT64_MAX;
}

/*
 * First stage of the walk: down to level 0, then a beam of ef.  If the entry
 * point is no node any more, vacuum has just replaced it; if it lies beyond the
 * end of the index, an insertion has added both since we looked: look again.
 */
static void
start_walk(VxSearch *search)
{
	VxWalk	   *walk = &search->walk;
	bool		entered = false;

	VxWalkBeam(walk, search->ef);
	for (int attempt = 0; attempt < 10 && !entered; attempt++)
	{
		VxEntry		entry = VxReadEntry(search->index);

		if (entry.node == VX_INVALID_NODE)
			break;
		entered = VxWalkDescend(walk, &entry, 0);
		if (!entered)
			VxWalkReset(walk);
	}
	if (entered)
		VxWalkRun(walk, 0, flat_threshold(search));
	queue_beam(search);
}

/*
 * Resume the walk with a new beam, into which go the rows that wait already,
 * so that it stops when it has as many new ones as it is large.
 */
static void
resume_walk(VxSearch *search)
{
	VxWalk	   *walk = &search->walk;
	int64		max_visits = flat_threshold(search);

	search->stats.resumes++;
	queue_found(search, INFINITY);
	VxWalkBeam(walk, search->step);
	for (int i = 0; i < search->nhits; i++)
		VxWalkBeamAdd(walk, (float) search->hits[i].key);
	VxWalkRun(walk, 0, Min(max_visits, Max(search->max_tuples, 1)));
	queue_beam(search);
}

static bool
walk_is_spent(const VxSearch *search)
{
	const VxWalk *walk = &search->walk;

	return (walk->nopen == 0 && walk->ndeferred == 0) ||
		search->stats.visited >= flat_threshold(search) ||
		VxWalkMemory(walk) + sizeof(VxHit) * (Size) (search->max_hits + search->max_late) >
		search->max_memory;
}

/* ---------------------------------------------------------------- flat pass */

/* The best hits of a pass, at most limit of them: a max-heap on negated keys */
typedef struct VxBest
{
	VxSearch   *search;
	int			limit;
	bool		overflow;		/* some were left out */
} VxBest;

static void
best_add(VxBest *best, double key, VxNodeId id, uint16 generation, bool exact)
{
	VxSearch   *search = best->search;

	if (search->nhits >= best->limit)
	{
		best->overflow = true;
		if (-key <= search->hits[0].key)
			return;
		pop_hit(search);
	}
	append_hit(search, -key, id, generation, exact);
	sift_up(search->hits, search->nhits - 1);
}

/* Take up the rows of one node page, which is locked */
static void
flat_page(VxBest *best, Page page, uint32 stripe)
{
	VxSearch   *search = best->search;
	const VxIndex *ix = search->ix;
	int			s = 0;

	if (PageIsNew(page))
		return;
	while (s < ix->slots_per_page)
	{
		const uint8_t *codes[VX_ESTIMATE_MAX];
		const VxFactors *factors[VX_ESTIMATE_MAX];
		float		dist[VX_ESTIMATE_MAX];
		float		error[VX_ESTIMATE_MAX];
		VxNodeId	ids[VX_ESTIMATE_MAX];
		uint16		generations[VX_ESTIMATE_MAX];
		bool		lone[VX_ESTIMATE_MAX];
		int			n = 0;

		for (; s < ix->slots_per_page && n < VX_ESTIMATE_MAX; s++)
		{
			VxNodeSlot	slot = VxPageSlot(ix, page, s);
			VxNodeId	id = VxMakeNodeId(ix, stripe, s);

			if (!VxStateIsRow(slot->state) || VxIdSetHas(&search->returned, id))
				continue;
			ids[n] = id;
			generations[n] = slot->generation;
			lone[n] = slot->state == VX_SLOT_LONE;
			codes[n] = VxSlotCode(ix, slot);
			factors[n++] = &slot->factors;
		}
		if (n > 0 && search->ranked)
			VxEstimate(&search->query, n, codes, factors, dist, error);
		for (int i = 0; i < n; i++)
		{
			if (!search->ranked)
				best_add(best, 0, ids[i], generations[i], true);
			else if (lone[i])
				best_add(best, INFINITY, ids[i], generations[i], true);
			else
				best_add(best, lower_bound(dist[i], error[i]), ids[i],
						 generations[i], false);
		}
		search->stats.visited += n;
	}
}

/*
 * Read all node pages and queue the best of the rows not yet returned, as many
 * as memory allows.  Pages that were added since the search began hold no row
 * that its snapshot could see.
 */
static void
flat_pass(VxSearch *search)
{
	const VxIndex *ix = search->ix;
	uint32		nstripes = (uint32) (search->returned.universe / (uint64) ix->slots_per_page);
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	VxBest		best;

	best.search = search;
	best.limit = (int) Min(Max(search->max_memory / sizeof(VxHit), 1024),
						   MaxAllocHugeSize / sizeof(VxHit) / 4);
	best.limit = Min(best.limit, 1 << 28);
	best.overflow = false;
	VX_INJECTION_POINT("scan-flat");
	search->stats.flat_passes++;
	search->nhits = 0;
	for (uint32 stripe = 0; stripe < nstripes; stripe++)
	{
		Buffer		buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = VxLockNodePage(search->index, VxStripeBlock(ix, stripe),
								BUFFER_LOCK_SHARE,
								nstripes > (uint32) NBuffers / 4 ? strategy : NULL);
		flat_page(&best, BufferGetPage(buffer), stripe);
		UnlockReleaseBuffer(buffer);
		search->stats.pages++;
	}
	FreeAccessStrategy(strategy);

	for (int i = 0; i < search->nhits; i++)
		search->hits[i].key = -search->hits[i].key;
	heapify(search->hits, search->nhits);
	search->flat_more = best.overflow;
	search->quota = PG_INT64_MAX;
}

/* Leave the graph: what waits is found again by the flat pass */
static void
go_flat(VxSearch *search)
{
	search->flat = true;
	search->nlate = 0;
	VxWalkReset(&search->walk);
	flat_pass(search);
}

/* ------------------------------------------------------------------- search */

/*
 * The queue is empty or the quota used up: get more rows into it.  Returns
 * false if there are none to be had.
 */
static bool
search_more(VxSearch *search)
{
	if (search->iterative == VX_ITERATIVE_OFF && search->ranked)
		return false;
	if (search->flat)
	{
		if (search->flat_more && may_go_flat(search))
			flat_pass(search);
		return search->nhits > 0;
	}
	if (search->stats.visited >= search->max_tuples ||
		(walk_is_spent(search) && !may_go_flat(search)))
	{
		search->quota = PG_INT64_MAX;
		return search->nhits > 0;
	}
	if (walk_is_spent(search))
		go_flat(search);
	else
	{
		resume_walk(search);
		search->quota += search->step;
		search->step = Min(search->step * 2, VX_MAX_EF_SEARCH);
	}
	return true;
}

/* Begin: the first stage of the walk, or straight to the flat pass */
static void
search_begin(VxSearch *search)
{
	search->started = true;
	VX_INJECTION_POINT("scan-begin");
	if (!search->ranked)
	{
		go_flat(search);
		return;
	}
	start_walk(search);
	if (search->stats.visited >= flat_threshold(search))
		go_flat(search);
}

/* Compute the exact distance of the hit on top of the queue */
static void
rank_top(VxSearch *search)
{
	VxHit	   *top = &search->hits[0];

	top->key = VxVectorDistance(search->walk.reader, top->id, search->vector,
								search->scratch);
	search->stats.vectors++;
	top->exact = true;
	sift_down(search->hits, search->nhits, 0);
}

/*
 * Take the heap TID of a row.  One of no block must not get to the executor: to
 * read such a block is to extend the table.
 */
static void
take_tid(VxSearch *search, VxNodeId id, const VxNodeSlotData *slot, ItemPointer tid)
{
	if (!ItemPointerIsValid(&slot->tid) ||
		ItemPointerGetBlockNumberNoCheck(&slot->tid) == InvalidBlockNumber)
		VxDamaged(search->index, VxNodeBlock(search->ix, id), "row without a heap TID");
	*tid = slot->tid;
}

/*
 * Look at a hit's slot again.  Returns whether it is a row to return, and sets
 * out on the chain of duplicates if it heads one.
 */
static bool
confirm_hit(VxSearch *search, const VxHit *hit, ItemPointer tid)
{
	VxNodeSlotData slot;

	search->stats.pages++;
	if (!VxReadSlot(search->index, search->ix, hit->id, &slot, NULL, NULL) ||
		slot.generation != hit->generation)
		return false;
	if (!search->flat && VxStateIsNode(slot.state))
	{
		search->chain_head = hit->id;
		search->chain_generation = slot.generation;
		search->chain_next = slot.chain;
		search->chain_distance = hit->key;
		search->chain_restarts = 0;
		search->chain_steps = 0;
	}
	if (!VxStateIsRow(slot.state))
		return false;
	take_tid(search, hit->id, &slot, tid);
	return true;
}

/*
 * A chain broke under us, as vacuum took a member out: begin again at its
 * head.  What was returned is remembered.
 */
static void
restart_chain(VxSearch *search)
{
	VxNodeSlotData head;

	search->chain_next = VX_INVALID_NODE;
	search->chain_steps = 0;
	if (++search->chain_restarts > 100)
		return;					/* the flat pass will find the rest */
	if (VxReadSlot(search->index, search->ix, search->chain_head, &head, NULL, NULL) &&
		VxStateIsNode(head.state) && head.generation == search->chain_generation)
		search->chain_next = head.chain;
}

/*
 * The next duplicate of the chain that is being returned; false at its end.
 * Members that are newer than the search lead on, but are not returned.
 */
static bool
next_in_chain(VxSearch *search, ItemPointer tid, VxNodeId *id)
{
	while (search->chain_next != VX_INVALID_NODE)
	{
		VxNodeSlotData slot;

		CHECK_FOR_INTERRUPTS();
		VX_INJECTION_POINT("scan-chain");
		*id = search->chain_next;
		search->stats.pages++;
		if (++search->chain_steps > search->returned.universe &&
			search->chain_steps > VxCurrentNodes(search->index, search->ix))
			VxDamaged(search->index, VxNodeBlock(search->ix, search->chain_head),
					  "chain of duplicates without an end");
		if ((*id >= search->returned.universe &&
			 *id >= VxCurrentNodes(search->index, search->ix)) ||
			!VxReadSlot(search->index, search->ix, *id, &slot, NULL, NULL) ||
			(slot.state != VX_SLOT_DUPLICATE && slot.state != VX_SLOT_DUPLICATE_DEAD) ||
			slot.upper != search->chain_head)
		{
			restart_chain(search);
			continue;
		}
		search->chain_next = slot.chain;
		if (slot.state == VX_SLOT_DUPLICATE && VxIdSetAdd(&search->returned, *id))
		{
			take_tid(search, *id, &slot, tid);
			return true;
		}
	}
	return false;
}

/* The next late row, in order among themselves */
static bool
next_late(VxSearch *search, VxHit *hit)
{
	if (!search->late_sorted)
	{
		search->late_sorted = true;
		qsort(search->late, (size_t) search->nlate, sizeof(VxHit), compare_hits);
		for (int i = 0; i < search->nlate / 2; i++)
		{
			VxHit		swap = search->late[i];

			search->late[i] = search->late[search->nlate - 1 - i];
			search->late[search->nlate - 1 - i] = swap;
		}
	}
	if (search->nlate == 0)
		return false;
	*hit = search->late[--search->nlate];
	return true;
}

/* Must this row wait until all others have been returned? */
static bool
keep_back(VxSearch *search, const VxHit *hit)
{
	if (search->iterative == VX_ITERATIVE_RELAXED || hit->key >= search->last)
		return false;
	if (search->flat)
		VxIdSetAdd(&search->returned, hit->id);
	push_late(search, hit);
	return true;
}

/* The next hit to return; false when there is none */
static bool
next_hit(VxSearch *search, VxHit *hit)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (search->walk.nfound > 0 &&
			(search->nhits == 0 || search->hits[0].key > search->queued))
			queue_found(search, INFINITY);
		if ((search->nhits == 0 || search->nreturned >= search->quota) &&
			!search_more(search))
			break;
		if (search->nhits == 0)
			continue;
		if (!search->hits[0].exact)
		{
			rank_top(search);
			continue;
		}
		/* rows without a distance come last, after all that have one */
		if (search->hits[0].key == INFINITY && next_late(search, hit))
			return true;
		*hit = pop_hit(search);
		if (!keep_back(search, hit))
			return true;
	}
	return next_late(search, hit);
}

/*
 * The next row: its heap TID, its distance (in the codec's units), and its
 * node.  Returns false when there is none.
 */
bool
VxSearchNext(VxSearch *search, ItemPointer tid, double *distance, VxNodeId *id)
{
	VxHit		hit;

	if (!search->started)
		search_begin(search);
	if (next_in_chain(search, tid, id))
	{
		search->nreturned++;
		*distance = search->chain_distance;
		return true;
	}
	while (next_hit(search, &hit))
	{
		bool		is_row;

		VX_INJECTION_POINT("scan-ranked");
		is_row = confirm_hit(search, &hit, tid);
		search->last = Max(search->last, hit.key);
		*distance = hit.key;
		*id = hit.id;
		if (is_row)
			VxIdSetAdd(&search->returned, hit.id);
		if (is_row || next_in_chain(search, tid, id))
		{
			search->nreturned++;
			return true;
		}
	}
	return false;
}

/* Make a search on an index; its memory is the current context's */
VxSearch *
VxSearchBegin(Relation index, const VxIndex *ix)
{
	VxSearch   *search = palloc0(sizeof(VxSearch));

	search->index = index;
	search->ix = ix;
	search->context = CurrentMemoryContext;
	VxQueryInit(&search->query, &ix->codec, palloc(VxQueryMemory(&ix->codec)));
	search->vector = palloc0((Size) ix->codec.vector_bytes);
	search->scratch = palloc((Size) ix->codec.vector_bytes);
	VxWalkInit(&search->walk, index, ix, &search->query, &search->stats);
	VxIdSetInit(&search->returned, search->context, search->walk.nnodes, false);
	return search;
}

/*
 * Start the search anew with a vector, or with NULL, to which every row is as
 * near as any other.
 */
void
VxSearchStart(VxSearch *search, const void *vector)
{
	const VxCodec *codec = &search->ix->codec;

	search->ef = vx_ef_search;
	search->iterative = vx_iterative_scan;
	search->max_tuples = vx_max_scan_tuples == INT_MAX ? PG_INT64_MAX : vx_max_scan_tuples;
	search->max_memory = (Size) ((double) work_mem * 1024.0 * vx_scan_mem_multiplier);

	VxWalkReset(&search->walk);
	VxIdSetReset(&search->returned, search->walk.nnodes);
	memset(&search->stats, 0, sizeof(search->stats));
	search->started = false;
	search->flat = false;
	search->flat_more = false;
	search->late_sorted = false;
	search->quota = search->ef;
	search->step = Min(search->ef * 2, VX_MAX_EF_SEARCH);
	search->nreturned = 0;
	search->last = -INFINITY;
	search->nhits = 0;
	search->nlate = 0;
	search->chain_next = VX_INVALID_NODE;

	search->ranked = vector != NULL &&
		!(codec->metric == VX_METRIC_COSINE && VxIsZero(codec, vector));
	if (search->ranked)
	{
		memcpy(search->vector, vector, (Size) codec->vector_bytes);
		VxQueryFromVector(&search->query, search->vector);
	}
}

const VxWalkStats *
VxSearchStats(const VxSearch *search)
{
	return &search->stats;
}

/* ------------------------------------------------------------ access method */

typedef struct VxScanState
{
	const VxIndex *ix;
	MemoryContext context;		/* of all the search needs */
	VxSearch   *search;
	bool		started;
} VxScanState;

IndexScanDesc
vxbeginscan(Relation index, int nkeys, int norderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
	VxScanState *state = palloc0(sizeof(VxScanState));

	state->ix = VxGetIndex(index);
	state->context = AllocSetContextCreate(CurrentMemoryContext, "hnsw scan",
										   ALLOCSET_DEFAULT_SIZES);
	scan->opaque = state;
	return scan;
}

void
vxrescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
		 int norderbys)
{
	VxScanState *state = scan->opaque;

	if (state->search && state->started)
		VxLastScan = *VxSearchStats(state->search);
	state->started = false;
	if (keys && scan->numberOfKeys > 0)
		memmove(scan->keyData, keys, sizeof(ScanKeyData) * (Size) scan->numberOfKeys);
	if (orderbys && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys,
				sizeof(ScanKeyData) * (Size) scan->numberOfOrderBys);
}

/* Start the search with the scan's order-by argument */
static void
start_scan(IndexScanDesc scan)
{
	VxScanState *state = scan->opaque;
	MemoryContext old;

	if (scan->numberOfOrderBys != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot scan hnsw index \"%s\" without ORDER BY a distance",
						RelationGetRelationName(scan->indexRelation))));
	pgstat_count_index_scan(scan->indexRelation);
	VxCountSearch(scan);

	/* a search that has grown large gives its memory back */
	if (state->search && MemoryContextMemAllocated(state->context, false) > 1024 * 1024)
	{
		MemoryContextReset(state->context);
		state->search = NULL;
	}
	old = MemoryContextSwitchTo(state->context);
	if (state->search == NULL)
		state->search = VxSearchBegin(scan->indexRelation, state->ix);
	if (scan->orderByData->sk_flags & SK_ISNULL)
		VxSearchStart(state->search, NULL);
	else
	{
		Datum		value = scan->orderByData->sk_argument;
		Pointer		detoasted;
		const void *vector = VxCheckedVector(scan->indexRelation, state->ix, value,
											 &detoasted);

		VxSearchStart(state->search, vector);
		if (detoasted)
			pfree(detoasted);
	}
	MemoryContextSwitchTo(old);
	state->started = true;
}

bool
vxgettuple(IndexScanDesc scan, ScanDirection dir)
{
	VxScanState *state = scan->opaque;
	MemoryContext old;
	double		distance;
	VxNodeId	id;
	bool		found;

	Assert(ScanDirectionIsForward(dir));
	if (!state->started)
		start_scan(scan);
	old = MemoryContextSwitchTo(state->context);
	found = VxSearchNext(state->search, &scan->xs_heaptid, &distance, &id);
	MemoryContextSwitchTo(old);
	VxLastScan = *VxSearchStats(state->search);
	scan->xs_recheck = false;
	scan->xs_recheckorderby = false;
	return found;
}

void
vxendscan(IndexScanDesc scan)
{
	VxScanState *state = scan->opaque;

	MemoryContextDelete(state->context);
	pfree(state);
	scan->opaque = NULL;
}
