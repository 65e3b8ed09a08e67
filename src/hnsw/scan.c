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

#include <math.h>

#include "access/relscan.h"
#include "catalog/pg_am.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "hnsw/search.h"
#include "inject.h"

/* A walk that visits more than this share of the nodes is dearer than a flat pass */
#define FLAT_SHARE 4

/* Visits after which a filtered walk looks for the first time at what it found */
#define FIRST_CHECK 256

/*
 * Of this many hits the vectors are fetched ahead when the walk stops; and if
 * pages are not in shared buffers, of that many at a time.
 */
#define PREFETCH_VECTORS 16
#define PREFETCH_MISSING 24

/* Those are the least of so many hits on top of the heap */
#define ASK_AMONG 256

/*
 * A resumed walk returns this share of its beam before it resumes again: the far
 * half of a beam is less well known, and what is found late comes last.  Recall of
 * ten rows of a class far from the query, filtered by the executor: .92 to .95 if
 * all of the beam is returned, .98 to 1 if half of it is, in the same time.
 */
#define RESUME_SHARE 2

VxWalkStats VxLastScan;

/* ---------------------------------------------------------------- the queue */

static void
push_late(VxSearch *search, const VxHit *hit)
{
	search->late = VxGrowHits(search, search->late, search->nlate, &search->max_late);
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

/* ---------------------------------------------------------------- the walk */

/* Append the results that the walk set aside */
static void
queue_later(VxSearch *search)
{
	VxWalk	   *walk = &search->walk;

	for (int i = 0; i < walk->ndeferred; i++)
	{
		VxVisit    *v = &walk->deferred[i];

		if (v->result)
			VxAppendHit(search, VxLowerBound(v->dist, v->error), v->id,
						v->generation)->passes = v->passes;
		v->result = false;
	}
	walk->nlater = 0;
}

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
		double		key = VxLowerBound(v->dist, v->error);

		if (key > bound)
			walk->found[left++] = *v;
		else
			VxAppendHit(search, key, v->id, v->generation)->passes = v->passes;
	}
	walk->nfound = left;
	if (bound == INFINITY && walk->nlater > 0)
		queue_later(search);
	VxHeapifyHits(search->hits, search->nhits);
	search->queued = bound;
}

/* Ask for the page of the table that a hit's row is on, if it is one still */
static void
ask_for_row(VxSearch *search, const VxHit *hit)
{
	VxNodeSlotData slot;
	BlockNumber block;

	if (!hit->passes ||
		!VxReadSlot(search->index, search->ix, hit->id, &slot, NULL, NULL) ||
		slot.generation != hit->generation || !VxStateIsRow(slot.state))
		return;
	block = ItemPointerGetBlockNumberNoCheck(&slot.tid);
	if (block < search->heap_blocks)
		PrefetchBuffer(search->heap, MAIN_FORKNUM, block);
}

/*
 * Pages are not in shared buffers: ask for those that the next hits need, so
 * that they are read at the same time.  exact says which hits, and pages of the
 * table or of vectors.
 */
static void
ask_ahead(VxSearch *search, bool exact)
{
	int			next[PREFETCH_MISSING]; /* hits by key */
	int			n = 0;

	for (int i = 0; i < Min(search->nhits, ASK_AMONG); i++)
	{
		VxHit	   *hit = &search->hits[i];
		int			j;

		if (hit->exact != exact || hit->asked ||
			(n == PREFETCH_MISSING && search->hits[next[n - 1]].key <= hit->key))
			continue;
		if (n < PREFETCH_MISSING)
			n++;
		for (j = n - 1; j > 0 && search->hits[next[j - 1]].key > hit->key; j--)
			next[j] = next[j - 1];
		next[j] = i;
	}
	for (int i = 0; i < n; i++)
	{
		search->hits[next[i]].asked = true;
		if (exact)
			ask_for_row(search, &search->hits[next[i]]);
		else
			VxPrefetchVector(search->walk.reader, search->hits[next[i]].id);
	}
}

/*
 * A row is about to be returned.  If its page of the table is not in shared
 * buffers, those of the hits that will probably be next are not either, and are
 * asked for.  So that a search that finds all in memory pays little, that is
 * looked at for the first row only.
 */
static void
ask_for_rows(VxSearch *search, const VxHit *hit, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(tid);

	if (search->heap == NULL)
		return;
	if (search->nreturned == 0)
	{
		/* a TID may be damaged, and a file that is not there cannot be read */
		if (block >= RELSEG_SIZE && block >= RelationGetNumberOfBlocks(search->heap))
			return;
		search->rows_missing = PrefetchBuffer(search->heap, MAIN_FORKNUM, block).initiated_io;
		if (search->rows_missing)
			search->heap_blocks = RelationGetNumberOfBlocks(search->heap);
	}
	if (search->rows_missing && !hit->asked)
		ask_ahead(search, true);
}

/*
 * Queue what a walk found.  Most of it lies beyond the beam and is not looked
 * at again unless many rows are wanted, so that is left for later.
 */
static void
queue_beam(VxSearch *search)
{
	const VxWalk *walk = &search->walk;

	queue_found(search, walk->bound);
	if (walk->reader->missing)
		ask_ahead(search, false);
	else
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
 * Is it cheaper to read all nodes than to walk on?  So it is if few pass the
 * filter, or few of those near the query do, by the share of those visited so
 * far, of whose pages nread had to be read.  The walk goes on until the beam is
 * full of nodes that pass, so it expands as many as an unfiltered one does with a
 * beam that is larger in proportion; visits grow a little less than that.
 */
static bool
flat_is_cheaper(const VxSearch *search, double nread)
{
	const VxWalkStats *stats = &search->stats;
	const VxIndex *ix = search->ix;
	double		nodes = search->walk.nnodes;
	double		visited = (double) Max(stats->visited, 1);
	double		share = Min(((double) stats->passed + 0.5) / visited, 1);
	double		hops = Max(search->walk.beam_size / share / (double) Max(stats->hops, 1), 1);
	double		visits = Min(visited * pow(hops, VX_VISITS_POWER), nodes) - visited;
	double		missing = Min(nread / visited, 1);	/* of the pages looked at */

	return may_go_flat(search) &&
		visits * (VxVisitTime(ix) + missing * VX_RANDOM_READ_TIME) >
		VxFlatTime(ix, nodes, share) +
		nodes / ix->slots_per_page * missing * VX_FLAT_READ_TIME;
}

/*
 * The time, in nanoseconds and in memory, that it takes to find the first rows
 * by walk or by flat pass, if so large a share of the nodes passes a filter and
 * those are anywhere.
 */
double
VxSearchTime(const VxIndex *ix, double nodes, double share)
{
	double		beam = vx_ef_search / Max(share, 1 / Max(nodes, 1));
	double		visits = Min(VxWalkVisits(ix->m, beam), nodes);

	return Min(visits * VxVisitTime(ix),
			   FIRST_CHECK * VxVisitTime(ix) + VxFlatTime(ix, nodes, share));
}

/*
 * Walk level 0, up to max_visits.  A filtered walk looks from time to time
 * whether it gets anywhere.
 */
static void
advance_walk(VxSearch *search, int64 max_visits)
{
	int64		nread = pgBufferUsage.shared_blks_read;

	for (int64 check = FIRST_CHECK;; check *= 2)
	{
		int64		limit = search->filter ? Min(max_visits, check) : max_visits;

		if (search->stats.visited < limit)
			VxWalkAdvance(&search->walk, 0, limit);
		if (search->stats.visited < limit || limit == max_visits)
			return;
		if (flat_is_cheaper(search, (double) (pgBufferUsage.shared_blks_read - nread)))
		{
			search->dear = true;
			return;
		}
	}
}

static void
run_walk(VxSearch *search, int64 max_visits)
{
	advance_walk(search, max_visits);
	VxWalkSettle(&search->walk);
}

/* Visits of a first stage that no filter keeps from filling its beam, about */
static int64
unfiltered_visits(const VxSearch *search)
{
	return (int64) VxWalkVisits(search->ix->m, search->ef);
}

/*
 * First stage of the walk: down to level 0, then a beam of ef.  A filter that
 * hardly any row passes may keep the beam from ever being full, so then
 * hnsw.max_scan_tuples holds here, too, as far as that leaves the visits which a
 * search without a filter would make.  If the entry point is no node any more,
 * vacuum has just replaced it; if it lies beyond the end of the index, an insertion
 * has added both since we looked: look again.
 */
static void
start_walk(VxSearch *search)
{
	VxWalk	   *walk = &search->walk;
	int64		max_visits;
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
	max_visits = flat_threshold(search);
	if (search->filter)
		max_visits = Min(max_visits, Max(search->max_tuples, unfiltered_visits(search)));
	if (entered)
		run_walk(search, max_visits);
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
		VxWalkCount(walk, (float) search->hits[i].key);
	run_walk(search, Min(max_visits, Max(search->max_tuples, 1)));
	queue_beam(search);
}

/*
 * Did the walk break off in the middle of a stage, as a flat pass is cheaper?
 * What it found then may lie anywhere.
 */
static bool
was_cut_short(const VxSearch *search)
{
	return search->dear || search->stats.visited >= flat_threshold(search);
}

static bool
walk_is_spent(const VxSearch *search)
{
	const VxWalk *walk = &search->walk;

	return (walk->nopen == 0 && walk->ndeferred == 0) || was_cut_short(search) ||
		VxWalkMemory(walk) + sizeof(VxHit) * (Size) (search->max_hits + search->max_late) >
		search->max_memory;
}

/* Leave the graph: what waits is found again by the flat pass */
static void
go_flat(VxSearch *search)
{
	search->flat = true;
	search->nlate = 0;
	VxWalkReset(&search->walk);
	VxFlatPass(search);
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
			VxFlatPass(search);
		return search->nhits > 0;
	}
	if (search->stats.visited >= search->max_tuples ||
		(walk_is_spent(search) && !may_go_flat(search)))
	{
		search->quota = PG_INT64_MAX;
		return search->nhits > 0;
	}
	if (!walk_is_spent(search))
	{
		resume_walk(search);
		search->quota += search->step / RESUME_SHARE;
		search->step = Min(search->step * 2, VX_MAX_EF_SEARCH);
		if (!was_cut_short(search))
			return true;
	}
	go_flat(search);
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
	if (was_cut_short(search))
		go_flat(search);
}

/* Compute the exact distance of the hit on top of the queue */
static void
rank_top(VxSearch *search)
{
	VxHit	   *top = &search->hits[0];

	if (search->walk.reader->missing && !top->asked)
		ask_ahead(search, false);
	top->key = VxVectorDistance(search->walk.reader, top->id, search->vector,
								search->scratch);
	search->stats.vectors++;
	top->exact = true;
	top->asked = false;
	VxSiftDown(search->hits, search->nhits, 0);
}

/* Take the heap TID of a row */
static void
take_tid(VxSearch *search, VxNodeId id, const VxNodeSlotData *slot, ItemPointer tid)
{
	if (!VxTidIsValid(&slot->tid))
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
	if (!VxStateIsRow(slot.state) || !hit->passes)
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
		bool		passes;

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
			!VxReadRow(search->index, search->ix, *id, search->filter, &slot, &passes) ||
			(slot.state != VX_SLOT_DUPLICATE && slot.state != VX_SLOT_DUPLICATE_DEAD) ||
			slot.upper != search->chain_head)
		{
			restart_chain(search);
			continue;
		}
		search->chain_next = slot.chain;
		if (slot.state == VX_SLOT_DUPLICATE && passes && VxIdSetAdd(&search->returned, *id))
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
		if ((search->walk.nfound > 0 || search->walk.nlater > 0) &&
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
		*hit = VxPopHit(search);
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

	if (search->filter && search->filter->never)
		return false;
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
		{
			VxIdSetAdd(&search->returned, hit.id);
			ask_for_rows(search, &hit, tid);
		}
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
 * near as any other, for rows that pass a filter, which must outlive it.
 */
void
VxSearchStart(VxSearch *search, const void *vector, const VxFilter *filter)
{
	const VxCodec *codec = &search->ix->codec;

	search->ef = vx_ef_search;
	search->iterative = vx_iterative_scan;
	search->max_tuples = vx_max_scan_tuples == INT_MAX ? PG_INT64_MAX : vx_max_scan_tuples;
	search->max_memory = (Size) ((double) work_mem * 1024.0 * vx_scan_mem_multiplier);

	VxWalkReset(&search->walk);
	VxIdSetReset(&search->returned, search->walk.nnodes);
	memset(&search->stats, 0, sizeof(search->stats));
	search->filter = filter;
	search->walk.reader->filter = filter;
	search->started = false;
	search->dear = false;
	search->flat = false;
	search->flat_more = false;
	search->late_sorted = false;
	search->rows_missing = false;
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
	MemoryContext filter_context;	/* of the filter; reset by every scan */
	VxFilter   *filter;
	const VxTidSet *tids;		/* rows to search among, or NULL for all */
	bool		started;
	BlockNumber table_blocks;	/* TIDs below need no look at the table */
} VxScanState;

IndexScanDesc
vxbeginscan(Relation index, int nkeys, int norderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
	VxScanState *state = palloc0(sizeof(VxScanState));

	state->ix = VxGetIndex(index);
	state->context = AllocSetContextCreate(CurrentMemoryContext, "hnsw scan",
										   ALLOCSET_DEFAULT_SIZES);
	state->filter_context = AllocSetContextCreate(CurrentMemoryContext, "hnsw filter",
												  ALLOCSET_SMALL_SIZES);
	state->table_blocks = RELSEG_SIZE;
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

/*
 * Complain about keys that only an operator family which amvalidate finds fault
 * with can have led to: the order-by argument must be a vector, and there is no
 * searching by column 1, but for NULL.
 */
static void
check_keys(IndexScanDesc scan)
{
	Relation	index = scan->indexRelation;
	ScanKey		orderby = scan->orderByData;
	bool		valid = orderby->sk_strategy == 1 &&
		(orderby->sk_subtype == InvalidOid || orderby->sk_subtype == index->rd_opcintype[0]);

	for (int i = 0; i < scan->numberOfKeys; i++)
		valid &= scan->keyData[i].sk_attno != 1 ||
			(scan->keyData[i].sk_flags & (SK_SEARCHNULL | SK_SEARCHNOTNULL)) != 0;
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator family of index \"%s\" has operators that it cannot search by",
						RelationGetRelationName(index)),
				 errhint("amvalidate() checks operator classes.")));
}

/*
 * Have a scan that has not returned a row since it was last begun search among
 * some rows only, also when it is begun again.  The set must stay until another
 * is given.
 */
void
VxScanAmong(IndexScanDesc scan, const VxTidSet *tids)
{
	((VxScanState *) scan->opaque)->tids = tids;
}

/* What a scan's search has done; nothing before the first row was asked for */
const VxWalkStats *
VxScanStats(IndexScanDesc scan)
{
	static const VxWalkStats nothing;
	const VxScanState *state = scan->opaque;

	return state->started ? VxSearchStats(state->search) : &nothing;
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
	check_keys(scan);
	pgstat_count_index_scan(scan->indexRelation);
	VxCountSearch(scan);

	/* a search that has grown large gives its memory back */
	if (state->search && MemoryContextMemAllocated(state->context, false) > 1024 * 1024)
	{
		MemoryContextReset(state->context);
		state->search = NULL;
	}
	MemoryContextReset(state->filter_context);
	old = MemoryContextSwitchTo(state->filter_context);
	state->filter = VxFilterFromKeys(scan->indexRelation, state->ix, scan->keyData,
									 scan->numberOfKeys);
	if (state->tids)
	{
		if (state->filter == NULL)
			state->filter = palloc0(sizeof(VxFilter));
		state->filter->tids = state->tids;
	}
	MemoryContextSwitchTo(state->context);
	if (state->search == NULL)
		state->search = VxSearchBegin(scan->indexRelation, state->ix);
	if (scan->heapRelation && scan->heapRelation->rd_rel->relam == HEAP_TABLE_AM_OID)
		state->search->heap = scan->heapRelation;
	if (scan->orderByData->sk_flags & SK_ISNULL)
		VxSearchStart(state->search, NULL, state->filter);
	else
	{
		Datum		value = scan->orderByData->sk_argument;
		Pointer		detoasted;
		const void *vector = VxCheckedVector(scan->indexRelation, state->ix, value,
											 &detoasted);

		VxSearchStart(state->search, vector, state->filter);
		if (detoasted)
			pfree(detoasted);
	}
	MemoryContextSwitchTo(old);
	state->started = true;
}

/*
 * Make sure that the table has the block of the TID that a slot gave.  The
 * storage manager says of blocks beyond the end of a file that the data are
 * corrupt, but of whole files that do not exist only that it cannot open them,
 * and that of the table.
 */
static void
check_table_block(IndexScanDesc scan, VxNodeId id)
{
	VxScanState *state = scan->opaque;
	Relation	table = scan->heapRelation;

	if (table == NULL || table->rd_rel->relam != HEAP_TABLE_AM_OID)
		return;
	state->table_blocks = Max(RelationGetNumberOfBlocks(table), RELSEG_SIZE);
	if (ItemPointerGetBlockNumber(&scan->xs_heaptid) >= state->table_blocks)
		VxDamaged(scan->indexRelation, VxNodeBlock(state->ix, id),
				  "heap TID beyond the end of the table");
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
	if (found && unlikely(ItemPointerGetBlockNumber(&scan->xs_heaptid) >= state->table_blocks))
		check_table_block(scan, id);
	scan->xs_recheck = state->filter != NULL && state->filter->lossy;
	scan->xs_recheckorderby = false;
	return found;
}

void
vxendscan(IndexScanDesc scan)
{
	VxScanState *state = scan->opaque;

	MemoryContextDelete(state->filter_context);
	MemoryContextDelete(state->context);
	pfree(state);
	scan->opaque = NULL;
}
