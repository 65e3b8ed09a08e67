/*-------------------------------------------------------------------------
 *
 * bitmapscan.c
 *	  A custom scan: the nearest among the rows that other indexes tell.
 *
 * It has two children.  The first is a bitmap index scan, or a combination of
 * them, and says which rows may match.  The second is an ordered scan of an index
 * of ours, which is told to search among those only (filter.c).  That scan finds
 * the heap rows, follows the rules for snapshots and predicate locks, and has the
 * conditions on filter columns; so what is done here is to hand over the bitmap,
 * to apply the query's conditions to every row that comes, whether the bitmap
 * decides them or not, and to project.
 *
 * When it turns out that the bitmap has so few rows that it is cheaper to compute
 * their distances than to search, the second child is not run: the rows are
 * fetched from the table, in its order, those that match are sorted by the value
 * of the ORDER BY expression, and fetched again as they are asked for.  Rows whose
 * distance is NULL are left out, as the index does not have them.
 *
 * The bitmap is kept over rescans that do not change its conditions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/restrictinfo.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/spccache.h"

#include "compat.h"
#include VX_EXPLAIN_STATE_H
#include VX_EXPLAIN_FORMAT_H
#include "hnsw/bitmapscan.h"
#include "hnsw/search.h"
#include "hnsw/tidset.h"

/*
 * Time to fetch a row from the table and compute its distance, in nanoseconds, in
 * memory: for any row, and for each byte of its vector.  Measured, for 46, 175
 * and 585 rows of Fashion-MNIST, of 3,136 bytes out of line: 1.7, 2.0 and 3.1 us a
 * row; for 340 and 3,395 rows of GloVe, 400 bytes: .6 and 1.6 us.
 */
#define ROW_TIME 1000.0
#define ROW_BYTE_TIME 0.5

/* Rows to be sorted, at most */
#define MAX_RANKED (1 << 20)

/* A row with its distance */
typedef struct VxRankedRow
{
	double		distance;
	ItemPointerData tid;		/* of the version that is visible */
} VxRankedRow;

typedef struct VxBitmapScanState
{
	CustomScanState css;		/* must be first */

	/* unchanging */
	PlanState  *bitmap;
	IndexScanState *index;
	ExprState  *query;			/* what the distance is from */
	MemoryContext context;		/* of the set of TIDs */
	MemoryContext rows_context; /* of the ranked rows */

	/* mutable */
	VxTidSet   *tids;			/* NULL: not made, or out of date */
	bool		started;
	bool		ranking;		/* by exact distances, without a search */
	VxRankedRow *rows;
	int			nrows;
	int			next;

	/* for EXPLAIN, over all rescans */
	int64		nbitmaps;
	int64		ntids;
	int64		nlossy;
	int64		nranked;		/* scans without a search */
	int64		nsearches;
	int64		nflat;			/* searches that went flat */
	VxWalkStats stats;
} VxBitmapScanState;

static Node *create_state(CustomScan *plan);
static Plan *make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
					   List *tlist, List *clauses, List *children);
static void begin_scan(CustomScanState *css, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *css);
static void end_scan(CustomScanState *css);
static void rescan(CustomScanState *css);
static void explain(CustomScanState *css, List *ancestors, ExplainState *es);

static const CustomPathMethods path_methods = {
	.CustomName = "HnswBitmapFilter",
	.PlanCustomPath = make_plan,
};

static const CustomScanMethods plan_methods = {
	.CustomName = "HnswBitmapFilter",
	.CreateCustomScanState = create_state,
};

static const CustomExecMethods exec_methods = {
	.CustomName = "HnswBitmapFilter",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain,
};

/* ------------------------------------------------------------------- planning */

/* The path that searches among the rows of a bitmap */
Path *
VxBitmapScanPath(PlannerInfo *root, RelOptInfo *rel, BitmapHeapPath *bitmap,
				 IndexPath *ordered)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.parallel_safe = bitmap->path.parallel_safe && ordered->path.parallel_safe;
	path->path.rows = rel->rows;
	path->path.pathkeys = ordered->path.pathkeys;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make2(bitmap, ordered);
	path->methods = &path_methods;
	VxCostBitmapScan(root, bitmap, ordered, &path->path.startup_cost,
					 &path->path.total_cost);
	return (Path *) path;
}

/* A scan, without the Result that tests conditions which no row decides */
static Plan *
under_gate(Plan *plan)
{
	while (IsA(plan, Result) && outerPlan(plan) != NULL)
		plan = outerPlan(plan);
	return plan;
}

/*
 * The planner has made a bitmap heap scan and an index scan of the two paths.
 * Of the first we take what makes the bitmap; of the second neither conditions
 * nor columns, as both are ours.
 */
static Plan *
make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *children)
{
	CustomScan *scan = makeNode(CustomScan);
	Plan	   *heap = under_gate(linitial(children));
	Plan	   *index = under_gate(lsecond(children));

	Assert(IsA(heap, BitmapHeapScan) && IsA(index, IndexScan));
	index->targetlist = NIL;
	index->qual = NIL;
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->scan.scanrelid = rel->relid;
	scan->flags = path->flags;
	scan->custom_plans = list_make2(outerPlan(heap), index);
	scan->methods = &plan_methods;
	return (Plan *) scan;
}

/* The index scan in a plan of ours; NULL if it is another */
IndexScan *
VxBitmapScanIndex(Plan *plan)
{
	CustomScan *scan = (CustomScan *) plan;

	return IsA(plan, CustomScan) && scan->methods == &plan_methods ?
		lsecond_node(IndexScan, scan->custom_plans) : NULL;
}

/* ------------------------------------------------------------------ beginning */

static Node *
create_state(CustomScan *plan)
{
	VxBitmapScanState *state = palloc0(sizeof(VxBitmapScanState));

	NodeSetTag(&state->css, T_CustomScanState);
	state->css.methods = &exec_methods;
	VxSetSlotOps(&state->css, &TTSOpsBufferHeapTuple);
	return (Node *) state;
}

/*
 * The rows are those of the table, with system columns, as the table's access
 * method stores them.  If the executor took them for something else, expressions
 * are set up once more.
 */
static void
use_table_slots(CustomScanState *css, EState *estate)
{
	Relation	heap = css->ss.ss_currentRelation;
	const TupleTableSlotOps *ops = table_slot_callbacks(heap);
	Scan	   *plan = (Scan *) css->ss.ps.plan;

	if (css->ss.ss_ScanTupleSlot->tts_ops == ops)
		return;
	ExecInitScanTupleSlot(estate, &css->ss, RelationGetDescr(heap), ops);
	ExecAssignScanProjectionInfoWithVarno(&css->ss, (int) plan->scanrelid);
	css->ss.ps.qual = ExecInitQual(plan->plan.qual, &css->ss.ps);
}

static void
begin_scan(CustomScanState *css, EState *estate, int eflags)
{
	VxBitmapScanState *state = (VxBitmapScanState *) css;
	CustomScan *plan = (CustomScan *) css->ss.ps.plan;
	IndexScan  *index = lsecond_node(IndexScan, plan->custom_plans);
	OpExpr	   *distance = linitial_node(OpExpr, index->indexorderbyorig);

	use_table_slots(css, estate);
	state->bitmap = ExecInitNode(linitial(plan->custom_plans), estate, eflags);
	state->index = (IndexScanState *) ExecInitNode((Plan *) index, estate, eflags);
	css->custom_ps = list_make2(state->bitmap, state->index);
	state->query = ExecInitExpr(lsecond(distance->args), &css->ss.ps);
	state->context = AllocSetContextCreate(CurrentMemoryContext, "hnsw bitmap filter",
										   ALLOCSET_SMALL_SIZES);
	state->rows_context = AllocSetContextCreate(CurrentMemoryContext, "hnsw ranked rows",
												ALLOCSET_SMALL_SIZES);
}

/* Run the bitmap's child, and make a set of what it gives */
static void
make_tids(VxBitmapScanState *state)
{
	MemoryContext old;
	TIDBitmap  *bitmap;

	MemoryContextReset(state->context);
	old = MemoryContextSwitchTo(state->context);
	bitmap = (TIDBitmap *) MultiExecProcNode(state->bitmap);
	if (bitmap == NULL || !IsA(bitmap, TIDBitmap))
		elog(ERROR, "unrecognized result from subplan");
	state->tids = VxTidSetFromBitmap(bitmap);
	tbm_free(bitmap);
	MemoryContextSwitchTo(old);

	state->nbitmaps++;
	state->ntids += state->tids->ntids;
	state->nlossy += state->tids->nlossy;
}

/*
 * Is it cheaper to rank all rows of the bitmap than to search among them?  Not if
 * the query vector is NULL, when a distance does not tell which rows the index
 * has.
 */
static bool
ranking_is_cheaper(VxBitmapScanState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	Relation	heap = state->css.ss.ss_currentRelation;
	Relation	index = state->index->iss_RelationDesc;
	const VxIndex *ix = VxGetIndex(index);
	double		nodes = VxCurrentNodes(index, ix);
	double		rows = (double) state->tids->ntids;
	bool		isnull;

	if (state->tids->nlossy > 0)
		rows += (double) state->tids->nlossy *
			Max(nodes / Max(RelationGetNumberOfBlocks(heap), 1), 1);
	ResetExprContext(econtext);
	(void) ExecEvalExprSwitchContext(state->query, econtext, &isnull);
	return !isnull && rows <= MAX_RANKED &&
		rows * (ROW_TIME + ROW_BYTE_TIME * ix->codec.vector_bytes) <=
		VxSearchTime(ix, nodes, Min(rows / Max(nodes, 1), 1));
}

/* -------------------------------------------------------------------- ranking */

static int
compare_rows(const void *a, const void *b)
{
	const VxRankedRow *x = a;
	const VxRankedRow *y = b;
	int			c = float8_cmp_internal(x->distance, y->distance);

	return c != 0 ? c : ItemPointerCompare(unconstify(ItemPointerData *, &x->tid),
										   unconstify(ItemPointerData *, &y->tid));
}

static void
add_row(VxBitmapScanState *state, int *max, double distance, ItemPointer tid)
{
	if (state->nrows == *max)
	{
		*max *= 2;
		state->rows = repalloc_huge(state->rows, sizeof(VxRankedRow) * (Size) *max);
	}
	state->rows[state->nrows].distance = distance;
	state->rows[state->nrows++].tid = *tid;
}

/* The row in the scan slot: keep it, if it matches and has a distance */
static void
rank_row(VxBitmapScanState *state, int *max)
{
	ScanState  *ss = &state->css.ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;
	Datum		distance;
	bool		isnull;

	ResetExprContext(econtext);
	econtext->ecxt_scantuple = ss->ss_ScanTupleSlot;
	if (!ExecQual(ss->ps.qual, econtext))
	{
		InstrCountFiltered1(&state->css, 1);
		return;
	}
	distance = ExecEvalExprSwitchContext(linitial(state->index->indexorderbyorig), econtext,
										 &isnull);
	if (!isnull)
		add_row(state, max, DatumGetFloat8(distance), &ss->ss_ScanTupleSlot->tts_tid);
}

/* Ask for blocks up to "end" of which none before *asked need be asked for */
static void
ask_ahead(VxBitmapScanState *state, int64 *asked, int64 end)
{
	for (; *asked < Min(end, state->tids->nblocks); (*asked)++)
		(void) PrefetchBuffer(state->css.ss.ss_currentRelation, MAIN_FORKNUM,
							  state->tids->blocks[*asked]);
}

/*
 * Fetch all rows of the set, in the table's order, and sort those that match by
 * distance.
 */
static void
rank_rows(VxBitmapScanState *state)
{
	ScanState  *ss = &state->css.ss;
	Relation	heap = ss->ss_currentRelation;
	IndexFetchTableData *fetch = table_index_fetch_begin(heap);
	int			ahead = get_tablespace_io_concurrency(heap->rd_rel->reltablespace);
	int			max = 64;
	int64		asked = 0;
	OffsetNumber offsets[MaxHeapTuplesPerPage];

	MemoryContextReset(state->rows_context);
	state->rows = MemoryContextAlloc(state->rows_context, sizeof(VxRankedRow) * (Size) max);
	state->nrows = 0;
	state->next = 0;
	for (int64 b = 0; b < state->tids->nblocks; b++)
	{
		BlockNumber block = state->tids->blocks[b];
		int			n = VxTidSetOffsets(state->tids, block, offsets);

		ask_ahead(state, &asked, ahead > 0 ? b + 1 + ahead : 0);
		for (int i = 0; i < n; i++)
		{
			ItemPointerData tid;
			bool		again = false;
			bool		all_dead = false;

			CHECK_FOR_INTERRUPTS();
			ItemPointerSet(&tid, block, offsets[i]);
			if (table_index_fetch_tuple(fetch, &tid, ss->ps.state->es_snapshot,
										ss->ss_ScanTupleSlot, &again, &all_dead))
				rank_row(state, &max);
		}
	}
	ExecClearTuple(ss->ss_ScanTupleSlot);
	table_index_fetch_end(fetch);
	memset(&VxLastScan, 0, sizeof(VxLastScan));
	VxLastScan.vectors = state->nrows;
	qsort(state->rows, (size_t) state->nrows, sizeof(VxRankedRow), compare_rows);
}

/* The next of the ranked rows, or an empty slot */
static TupleTableSlot *
next_ranked(VxBitmapScanState *state)
{
	ScanState  *ss = &state->css.ss;

	while (state->next < state->nrows)
		if (table_tuple_fetch_row_version(ss->ss_currentRelation,
										  &state->rows[state->next++].tid,
										  ss->ps.state->es_snapshot,
										  ss->ss_ScanTupleSlot))
			return ss->ss_ScanTupleSlot;
	return ExecClearTuple(ss->ss_ScanTupleSlot);
}

/* ------------------------------------------------------------------ execution */

/* Have the index scan search among the rows of the set */
static void
begin_search(VxBitmapScanState *state)
{
	IndexScanState *node = state->index;

	if (node->iss_ScanDesc == NULL)
	{
		node->iss_ScanDesc = VxBeginIndexScan(node, state->css.ss.ss_currentRelation,
											  state->css.ss.ps.state->es_snapshot);
		if (node->iss_NumRuntimeKeys == 0 || node->iss_RuntimeKeysReady)
			index_rescan(node->iss_ScanDesc, node->iss_ScanKeys, node->iss_NumScanKeys,
						 node->iss_OrderByKeys, node->iss_NumOrderByKeys);
	}
	VxScanAmong(node->iss_ScanDesc, state->tids);
	state->nsearches++;
}

static void
start(VxBitmapScanState *state)
{
	if (state->tids == NULL)
		make_tids(state);
	state->ranking = ranking_is_cheaper(state);
	if (state->ranking)
	{
		rank_rows(state);
		state->nranked++;
	}
	else
		begin_search(state);
	state->started = true;
}

/* The next row of the table, for ExecScan */
static TupleTableSlot *
next_row(ScanState *ss)
{
	VxBitmapScanState *state = (VxBitmapScanState *) ss;
	TupleTableSlot *found;

	if (!state->started)
		start(state);
	if (state->ranking)
		return next_ranked(state);
	found = ExecProcNode(&state->index->ss.ps);	/* without columns */
	return TupIsNull(found) ? ExecClearTuple(ss->ss_ScanTupleSlot) :
		state->index->ss.ss_ScanTupleSlot;
}

/* All conditions of the query are tested by ExecScan */
static bool
recheck_row(ScanState *ss, TupleTableSlot *slot)
{
	return true;
}

/* The next ranked row, which has been tested already */
static TupleTableSlot *
project_ranked(VxBitmapScanState *state)
{
	ScanState  *ss = &state->css.ss;
	TupleTableSlot *slot = next_ranked(state);

	ResetExprContext(ss->ps.ps_ExprContext);
	if (ss->ps.ps_ProjInfo == NULL)
		return slot;
	if (TupIsNull(slot))
		return ExecClearTuple(ss->ps.ps_ProjInfo->pi_state.resultslot);
	ss->ps.ps_ExprContext->ecxt_scantuple = slot;
	return ExecProject(ss->ps.ps_ProjInfo);
}

static TupleTableSlot *
exec_scan(CustomScanState *css)
{
	VxBitmapScanState *state = (VxBitmapScanState *) css;

	if (css->ss.ps.state->es_epq_active == NULL)
	{
		if (!state->started)
			start(state);
		if (state->ranking)
			return project_ranked(state);
	}
	return ExecScan(&css->ss, next_row, recheck_row);
}

/* Add what the search did to what others before it did */
static void
add_stats(VxWalkStats *to, const VxWalkStats *stats)
{
	to->hops += stats->hops;
	to->visited += stats->visited;
	to->passed += stats->passed;
	to->pages += stats->pages;
	to->vectors += stats->vectors;
	to->resumes += stats->resumes;
	to->flat_passes += stats->flat_passes;
}

/* What the search at hand, if there is one, has done so far */
static const VxWalkStats *
search_stats(VxBitmapScanState *state)
{
	return state->started && !state->ranking ? VxScanStats(state->index->iss_ScanDesc) : NULL;
}

static void
rescan(CustomScanState *css)
{
	VxBitmapScanState *state = (VxBitmapScanState *) css;
	PlanState  *index = &state->index->ss.ps;
	const VxWalkStats *stats = search_stats(state);

	if (stats)
	{
		add_stats(&state->stats, stats);
		state->nflat += stats->flat_passes > 0;
	}
	if (css->ss.ps.chgParam != NULL)
	{
		UpdateChangedParamSet(state->bitmap, css->ss.ps.chgParam);
		UpdateChangedParamSet(index, css->ss.ps.chgParam);
	}
	if (state->bitmap->chgParam != NULL)
		state->tids = NULL;
	else if (state->tids == NULL)
		ExecReScan(state->bitmap);
	if (index->chgParam == NULL)
		ExecReScan(index);
	state->started = false;
	ExecScanReScan(&css->ss);
}

static void
end_scan(CustomScanState *css)
{
	VxBitmapScanState *state = (VxBitmapScanState *) css;

	ExecEndNode(&state->index->ss.ps);
	ExecEndNode(state->bitmap);
	MemoryContextDelete(state->rows_context);
	MemoryContextDelete(state->context);
}

/* ---------------------------------------------------------------------- EXPLAIN */

static void
explain(CustomScanState *css, List *ancestors, ExplainState *es)
{
	VxBitmapScanState *state = (VxBitmapScanState *) css;
	const VxWalkStats *current = search_stats(state);
	VxWalkStats stats = state->stats;
	int64		nflat = state->nflat;

	if (!es->analyze || state->nbitmaps == 0)
		return;
	if (current)
	{
		add_stats(&stats, current);
		nflat += current->flat_passes > 0;
	}
	ExplainPropertyText("Strategy", state->nsearches == 0 ? "exact" :
						state->nranked > 0 || (nflat > 0 && nflat < state->nsearches) ? "mixed" :
						nflat > 0 ? "flat" : "walk", es);
	ExplainPropertyInteger("Bitmap Rows", NULL, state->ntids, es);
	if (state->nlossy > 0)
		ExplainPropertyInteger("Bitmap Lossy Blocks", NULL, state->nlossy, es);
	if (state->nsearches > 0)
	{
		ExplainPropertyInteger("Nodes Visited", NULL, stats.visited, es);
		ExplainPropertyInteger("Vectors Read", NULL, stats.vectors, es);
		ExplainPropertyInteger("Resumes", NULL, stats.resumes, es);
	}
}

/* Make the plan's kind known, also to parallel workers; once */
void
VxBitmapScanInit(void)
{
	RegisterCustomScanMethods(&plan_methods);
}
