/*-------------------------------------------------------------------------
 *
 * build.c
 *	  CREATE INDEX and REINDEX.
 *
 * Rows go into a graph in memory for as long as maintenance_work_mem lasts.
 * The graph is then written to disk, its nodes in breadth-first order so that
 * neighbors share pages; what rows are left are inserted the usual way.
 *
 * Pages are written through shared buffers and logged, as a whole, only when
 * the graph is on them: until the index is committed, nobody can see it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "hnsw/graph.h"

/* Subphases, for pg_stat_progress_create_index; 1 is PostgreSQL's "initializing" */
#define VX_PHASE_LOAD 2
#define VX_PHASE_WRITE 3
#define VX_PHASE_INSERT 4

typedef struct VxBuildState
{
	/* unchanging */
	Relation	index;
	const VxIndex *ix;
	Size		max_memory;

	/* mutable */
	VxGraph    *graph;			/* NULL once it is on disk */
	VxInserter *inserter;		/* of the rows after that */
	MemoryContext graph_context;
	MemoryContext row_context;	/* reset after every row */
	double		nrows;			/* rows indexed */
} VxBuildState;

char *
vxbuildphasename(int64 phasenum)
{
	switch (phasenum)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case VX_PHASE_LOAD:
			return "building graph in memory";
		case VX_PHASE_WRITE:
			return "writing graph";
		case VX_PHASE_INSERT:
			return "inserting rows beyond maintenance_work_mem";
		default:
			return NULL;
	}
}

/* ------------------------------------------------------------------ metapage */

static void
init_meta_page(Page page, const VxMetaPageData *meta)
{
	VxInitPage(page, VX_PAGE_META, 0);
	memcpy(PageGetContents(page), meta, sizeof(VxMetaPageData));
	VxRaisePageLower(page, MAXALIGN(SizeOfPageHeaderData) + sizeof(VxMetaPageData));
}

/* A new block at the end of the fork, locked and zero */
static Buffer
new_block(Relation index, ForkNumber fork)
{
	Buffer		buffer = ReadBufferExtended(index, fork, P_NEW, RBM_ZERO_AND_LOCK, NULL);

	return buffer;
}

static void
write_meta(Relation index, ForkNumber fork, const VxMetaPageData *meta)
{
	Buffer		buffer = new_block(index, fork);

	Assert(BufferGetBlockNumber(buffer) == VX_META_BLOCK);
	START_CRIT_SECTION();
	init_meta_page(BufferGetPage(buffer), meta);
	MarkBufferDirty(buffer);
	if (fork == INIT_FORKNUM)
		log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

/* The empty index that an unlogged one becomes after a crash */
void
vxbuildempty(Relation index)
{
	VxMetaPageData meta;

	VxFillMeta(index, &meta);
	write_meta(index, INIT_FORKNUM, &meta);
}

/* ---------------------------------------------------------- writing the graph */

/*
 * Order of the nodes on disk.  order[i] is the node that takes slot number i,
 * or VX_INVALID_NODE if the slot is for the upper layers of the node before.
 */
typedef struct VxOrder
{
	VxNodeId   *order;
	VxNodeId	nslots;
	VxNodeId   *place;			/* by node: its slot number, i.e. id on disk */
} VxOrder;

static void
place_node(const VxGraph *graph, VxOrder *o, VxNodeId id)
{
	o->place[id] = o->nslots;
	o->order[o->nslots++] = id;
	if (VxGraphNode(graph, id)->level > 0)
		o->order[o->nslots++] = VX_INVALID_NODE;
}

/*
 * Breadth first over level 0 from the entry point, each node's duplicates
 * right after it; then what that does not reach.
 */
static void
order_nodes(const VxGraph *graph, VxOrder *o)
{
	VxNodeId	n = graph->nnodes;
	VxNodeId	next = 0;
	VxNodeId	seed = graph->entry.node;

	o->order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(VxNodeId) * 2 * ((Size) n + 1));
	o->place = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(VxNodeId) * ((Size) n + 1));
	memset(o->place, 0xFF, sizeof(VxNodeId) * (Size) n);
	o->nslots = 0;

	for (VxNodeId start = 0; start <= n; start++)
	{
		if (seed != VX_INVALID_NODE && o->place[seed] == VX_INVALID_NODE)
			place_node(graph, o, seed);
		for (; next < o->nslots; next++)
		{
			VxNodeId	id = o->order[next];
			const VxMemNode *node;

			CHECK_FOR_INTERRUPTS();
			if (id == VX_INVALID_NODE)
				continue;
			node = VxGraphNode(graph, id);
			if (node->chain != VX_INVALID_NODE && o->place[node->chain] == VX_INVALID_NODE)
				place_node(graph, o, node->chain);
			for (int i = 0; i < node->nlinks; i++)
				if (o->place[node->links[i]] == VX_INVALID_NODE)
					place_node(graph, o, node->links[i]);
		}
		seed = start < n ? start : VX_INVALID_NODE;
	}
}

/* Translate a list of links to ids on disk; the list is full of invalid ones */
static void
write_links(const VxOrder *o, VxNodeId *to, const VxNodeId *from, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = o->place[from[i]];
}

static void
write_node(const VxIndex *ix, const VxGraph *graph, const VxOrder *o,
		   VxNodeId id, VxNodeSlot slot, float *work)
{
	const VxMemNode *node = VxGraphNode(graph, id);

	slot->state = node->state;
	slot->level = node->level;
	slot->tid = node->tid;
	slot->chain = node->chain == VX_INVALID_NODE ? VX_INVALID_NODE : o->place[node->chain];
	if (node->state == VX_SLOT_DUPLICATE)
		slot->upper = o->place[node->head];
	else
		slot->upper = node->level > 0 ? o->place[id] + 1 : VX_INVALID_NODE;
	VxEncode(&ix->codec, VxGraphVector(graph, id), &slot->factors,
			 VxSlotCode(ix, slot), work);
	memset(VxSlotLinks(ix, slot), 0xFF, 2 * (Size) ix->m * sizeof(VxNodeId));
	write_links(o, VxSlotLinks(ix, slot), node->links, node->nlinks);
}

static void
write_upper(const VxIndex *ix, const VxGraph *graph, const VxOrder *o,
			VxNodeId id, VxUpperSlot slot)
{
	VxMemNode  *node = VxGraphNode(graph, id);

	slot->state = VX_SLOT_UPPER;
	slot->level = node->level;
	slot->owner = o->place[id];
	memset(slot->links, 0xFF, (Size) node->level * (Size) ix->m * sizeof(VxNodeId));
	for (int level = 1; level <= node->level; level++)
	{
		int			n;
		VxNodeId   *links = VxGraphLinks(graph, node, level, &n);

		write_links(o, VxUpperLinks(ix, slot, level), links, n);
	}
}

/* Write a stripe: its node page, then its vector pages */
static void
write_stripe(VxBuildState *build, const VxOrder *o, uint32 stripe, float *work)
{
	const VxIndex *ix = build->ix;
	const VxGraph *graph = build->graph;
	VxNodeId	first = stripe * (uint32) ix->slots_per_page;
	int			nslots = (int) Min((VxNodeId) ix->slots_per_page, o->nslots - first);
	Buffer		buffer = new_block(build->index, MAIN_FORKNUM);
	Page		page = BufferGetPage(buffer);

	VxInitPage(page, VX_PAGE_NODES, stripe);
	VxRaisePageLower(page, MAXALIGN(SizeOfPageHeaderData) +
					 (Size) nslots * (Size) ix->slot_size);
	for (int s = 0; s < nslots; s++)
	{
		VxNodeId	id = o->order[first + (VxNodeId) s];

		if (id != VX_INVALID_NODE)
			write_node(ix, graph, o, id, VxPageSlot(ix, page, s), work);
		else
			write_upper(ix, graph, o, o->order[first + (VxNodeId) s - 1],
						VxPageSlot(ix, page, s));
	}
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);

	for (int p = 0; p < ix->vector_pages; p++)
	{
		Size		size = (Size) ix->codec.vector_bytes;

		buffer = new_block(build->index, MAIN_FORKNUM);
		page = BufferGetPage(buffer);
		VxInitPage(page, VX_PAGE_VECTORS, stripe);
		for (int s = 0; s < nslots; s++)
		{
			VxNodeId	id = o->order[first + (VxNodeId) s];

			if (id != VX_INVALID_NODE &&
				(Size) (s + 1) * size > (Size) p * VX_PAGE_BYTES &&
				(Size) s * size < (Size) (p + 1) * VX_PAGE_BYTES)
				VxFillVectorPage(ix, page, p, s, VxGraphVector(graph, id));
		}
		MarkBufferDirty(buffer);
		UnlockReleaseBuffer(buffer);
	}
}

/* Set the entry point of the metapage, which nobody else can see yet */
static void
write_entry(Relation index, VxEntry entry)
{
	Buffer		buffer = ReadBuffer(index, VX_META_BLOCK);
	VxMetaPage	meta;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	meta = (VxMetaPage) PageGetContents(BufferGetPage(buffer));
	meta->entry = entry.node;
	meta->entry_level = (uint16) entry.level;
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

/* Write the graph to disk, and let go of it */
static void
flush_graph(VxBuildState *build)
{
	VxGraph    *graph = build->graph;
	Relation	index = build->index;
	MemoryContext old = MemoryContextSwitchTo(build->graph_context);
	VxOrder		order;
	float	   *work;
	uint32		nstripes;

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VX_PHASE_WRITE);
	order_nodes(graph, &order);
	work = palloc(sizeof(float) * (Size) build->ix->codec.dims);
	nstripes = (order.nslots + (VxNodeId) build->ix->slots_per_page - 1) /
		(VxNodeId) build->ix->slots_per_page;
	for (uint32 stripe = 0; stripe < nstripes; stripe++)
	{
		CHECK_FOR_INTERRUPTS();
		write_stripe(build, &order, stripe, work);
	}
	if (graph->entry.node != VX_INVALID_NODE)
	{
		graph->entry.node = order.place[graph->entry.node];
		write_entry(index, graph->entry);
	}
	/* the last stripe may have room */
	if (order.nslots % (VxNodeId) build->ix->slots_per_page != 0)
		VxRecordFreeSlots(index, VxStripeBlock(build->ix, nstripes - 1));

	build->graph = NULL;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(build->graph_context);
	build->graph_context = NULL;
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VX_PHASE_INSERT);
}

/* ----------------------------------------------------------------- heap scan */

static void
build_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull,
			   bool alive, void *arg)
{
	VxBuildState *build = arg;
	MemoryContext old;
	const void *vector;
	Pointer		detoasted;

	if (isnull[0])
		return;
	if (build->graph && build->graph->memory + VxGraphNodeBytes(build->graph) > build->max_memory &&
		build->graph->nnodes > 0)
	{
		ereport(NOTICE,
				(errmsg("hnsw graph no longer fits into maintenance_work_mem after %.0f rows",
						build->nrows),
				 errdetail("Building will take significantly more time."),
				 errhint("Increase maintenance_work_mem to speed up builds.")));
		flush_graph(build);
		build->inserter = VxInserterCreate(index, build->ix);
	}

	old = MemoryContextSwitchTo(build->row_context);
	vector = VxCheckedVector(index, build->ix, values[0], &detoasted);
	if (build->graph)
		VxGraphInsert(build->graph, vector, tid);
	else
		VxInsertVector(build->inserter, vector, tid);
	MemoryContextSwitchTo(old);
	MemoryContextReset(build->row_context);
	build->nrows++;
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) build->nrows);
}

IndexBuildResult *
vxbuild(Relation heap, Relation index, IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	VxBuildState build = {0};
	VxMetaPageData meta;
	VxIndex		ix;
	MemoryContext old;

	if (RelationGetNumberOfBlocks(index) != 0)
		elog(ERROR, "index \"%s\" already contains data",
			 RelationGetRelationName(index));
	VxFillMeta(index, &meta);
	VxLayoutFromMeta(index, &meta, &ix);
	write_meta(index, MAIN_FORKNUM, &meta);

	build.index = index;
	build.ix = &ix;
	ix.skip_wal = true;
	build.max_memory = (Size) maintenance_work_mem * 1024;
	build.graph_context = AllocSetContextCreate(CurrentMemoryContext, "hnsw graph",
												ALLOCSET_DEFAULT_SIZES);
	build.row_context = AllocSetContextCreate(CurrentMemoryContext, "hnsw build row",
											  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(build.graph_context);
	build.graph = VxGraphCreate(&ix);
	MemoryContextSwitchTo(old);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VX_PHASE_LOAD);
	result->heap_tuples = table_index_build_scan(heap, index, info, true, true,
												 build_callback, &build, NULL);
	if (build.graph)
		flush_graph(&build);
	if (RelationNeedsWAL(index))
		log_newpage_range(index, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index), true);
	MemoryContextDelete(build.row_context);
	result->index_tuples = build.nrows;
	return result;
}
