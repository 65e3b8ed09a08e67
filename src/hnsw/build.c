/*-------------------------------------------------------------------------
 *
 * build.c
 *	  CREATE INDEX and REINDEX.
 *
 * One or more participants read the table and put its rows into a graph in
 * memory, for as long as maintenance_work_mem lasts; the graph has codes, the
 * vectors go to temporary files.  When all is read, the graph is written to
 * disk, and what rows are left are inserted the usual way, but for WAL: the
 * index is logged as a whole, at the end.
 *
 * See build.h for the steps of this.  This file has what is the same for one
 * participant and for many; parallel.c has the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "hnsw/attr.h"
#include "hnsw/build.h"
#include "inject.h"

/* Rows beyond memory that a participant takes at a time */
#define REST_BATCH 16

/* Vectors that are longer may not lie in the table itself */
#define MAX_INLINE_BYTES 2000

/* Subphases, for pg_stat_progress_create_index; 1 is PostgreSQL's "initializing" */
#define VX_PHASE_LOAD 2
#define VX_PHASE_WRITE 3
#define VX_PHASE_REST 4
#define VX_PHASE_LOG 5

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
		case VX_PHASE_LOG:
			return "logging index";
		case VX_PHASE_REST:
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

static void
write_meta(Relation index, ForkNumber fork, const VxMetaPageData *meta)
{
	Buffer		buffer = ReadBufferExtended(index, fork, P_NEW, RBM_ZERO_AND_LOCK, NULL);

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

/* -------------------------------------------------------------- shared state */

Size
VxBuildSharedSize(int nparticipants)
{
	return add_size(offsetof(VxBuildShared, counts),
					mul_size(sizeof(VxRowCounts), (Size) nparticipants));
}

void
VxBuildSharedInit(VxBuildShared *shared, Relation heap, Relation index,
				  bool concurrent, int nparticipants, bool with_codes)
{
	memset(shared, 0, VxBuildSharedSize(nparticipants));
	shared->heap = RelationGetRelid(heap);
	shared->index = RelationGetRelid(index);
	shared->concurrent = concurrent;
	shared->nparticipants = nparticipants;
	shared->with_codes = with_codes;
	SpinLockInit(&shared->mutex);
	ConditionVariableInit(&shared->changed);
	shared->step = VX_STEP_NONE;
	pg_atomic_init_u32(&shared->next_stripe, 0);
	pg_atomic_init_u64(&shared->next_block, 0);
	pg_atomic_init_u64(&shared->next_rest, 0);
	pg_atomic_init_u64(&shared->rows_done, 0);
}

/*
 * Complete the state of a participant, which has its relations, info and ix
 * already, in the current memory context.
 */
void
VxBuildInit(VxBuild *build, VxBuildShared *shared, int participant,
			VxGraph *graph, SharedFileSet *fileset)
{
	VxIndex    *ix = palloc(sizeof(VxIndex));

	*ix = *build->ix;
	ix->skip_wal = true;
	build->ix = ix;
	build->shared = shared;
	build->leader = participant == 0;
	build->graph = graph;
	build->rows = VxRowsCreate(build->ix, fileset, participant,
							   shared->nparticipants, shared->counts,
							   shared->with_codes);
	build->code = palloc((Size) build->ix->codec.nbytes);
	build->attrs = palloc((Size) build->ix->attr_size);
	build->row_context = AllocSetContextCreate(CurrentMemoryContext, "hnsw build row",
											   ALLOCSET_DEFAULT_SIZES);
}

/*
 * The leader reports progress, and tells the user when memory has become full.
 */
void
VxBuildReport(VxBuild *build)
{
	uint64		done = pg_atomic_read_u64(&build->shared->rows_done);

	if (!build->leader)
		return;
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) done);
	if (build->told_full || build->graph == NULL ||
		pg_atomic_read_u32(&build->graph->shared->full) == 0)
		return;
	build->told_full = true;
	ereport(NOTICE,
			(errmsg("hnsw graph no longer fits into maintenance_work_mem after %llu rows",
					(unsigned long long) done),
			 errdetail("Building will take significantly more time."),
			 errhint("Increase maintenance_work_mem to speed up builds.")));
}

/* -------------------------------------------------------------------- steps */

/* Take up a row, whose attributes are in build->attrs */
static void
add_row(VxBuild *build, const void *vector, ItemPointer tid)
{
	VxRows	   *rows = build->rows;
	VxGraph    *graph = build->graph;
	VxMemNode  *node = NULL;
	VxFactors	factors;
	VxNodeId	id;

	if (!VxRowsFull(rows))
		node = VxGraphAddNode(graph, vector, tid, &id);
	if (node == NULL)
	{
		VxRowsAppendRest(rows, tid, build->attrs, vector);
		return;
	}
	if (rows->with_codes)
		VxEncodePrepared(&build->ix->codec, vector, graph->query.work, graph->norm,
						 &factors, build->code);
	node->participant = (uint16) rows->self;
	node->row = VxRowsAppendNode(rows, &factors, build->code, build->attrs, vector);
	VxGraphLinkNode(graph, id);
	pg_atomic_fetch_add_u64(&build->shared->rows_done, 1);
}

static void
build_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull,
			   bool alive, void *arg)
{
	VxBuild    *build = arg;
	MemoryContext old;
	Pointer		detoasted;

	if (isnull[0])
		return;
	old = MemoryContextSwitchTo(build->row_context);
	VxEncodeAttrs(index, build->ix, values, isnull, build->attrs);
	add_row(build, VxCheckedVector(index, build->ix, values[0], &detoasted), tid);
	MemoryContextSwitchTo(old);
	MemoryContextReset(build->row_context);
	VxBuildReport(build);
}

/* Read this participant's share of the table; scan is NULL in a serial build */
static void
load_rows(VxBuild *build, TableScanDesc scan)
{
	VxBuildShared *shared = build->shared;
	double		tuples;

	tuples = table_index_build_scan(build->heap, build->index, build->info, true,
									build->leader, build_callback, build, scan);
	VxRowsShare(build->rows);
	VxGraphFreeScratch(build->graph);
	SpinLockAcquire(&shared->mutex);
	shared->heap_tuples += tuples;
	shared->broken_hot_chain |= build->info->ii_BrokenHotChain;
	SpinLockRelease(&shared->mutex);
}

static void
insert_row(VxBuild *build, const void *vector, const uint8 *attrs, ItemPointer tid)
{
	MemoryContext old;

	CHECK_FOR_INTERRUPTS();
	if (build->inserter == NULL)
		build->inserter = VxInserterCreate(build->index, build->ix);
	old = MemoryContextSwitchTo(build->row_context);
	VxInsertVector(build->inserter, vector, attrs, tid);
	MemoryContextSwitchTo(old);
	MemoryContextReset(build->row_context);
	pg_atomic_fetch_add_u64(&build->shared->rows_done, 1);
	VxBuildReport(build);
}

/* Insert a row of the rest, by its number among those of all participants */
static void
insert_rest_row(VxBuild *build, uint64 number, char *buffer)
{
	const VxRowCounts *counts = build->shared->counts;
	ItemPointerData tid;
	const char *vector;
	const uint8 *attrs;
	int			participant = 0;

	while (number >= counts[participant].rest)
		number -= counts[participant++].rest;
	vector = VxRowsReadRest(build->rows, participant, (uint32) number, buffer, &tid,
							&attrs);
	insert_row(build, vector, attrs, &tid);
}

/* Insert rows of the rest until there are none left */
static void
insert_rest(VxBuild *build)
{
	VxBuildShared *shared = build->shared;
	char	   *buffer = palloc(build->rows->rest_bytes);

	for (;;)
	{
		uint64		number = pg_atomic_fetch_add_u64(&shared->next_rest, REST_BATCH);
		uint64		end = Min(number + REST_BATCH, shared->nrest);

		if (number >= shared->nrest)
			break;
		for (; number < end; number++)
			insert_rest_row(build, number, buffer);
	}
	pfree(buffer);
}

/* Take a participant's part in a step; scan is for VX_STEP_LOAD */
void
VxBuildRunStep(VxBuild *build, VxBuildStep step, TableScanDesc scan)
{
	switch (step)
	{
		case VX_STEP_LOAD:
			load_rows(build, scan);
			break;
		case VX_STEP_WRITE:
			VxWriteStripes(build);
			break;
		case VX_STEP_LOG:
			VxLogIndex(build);
			break;
		case VX_STEP_REST:
			insert_rest(build);
			break;
		case VX_STEP_NONE:
		case VX_N_STEPS:
			break;
	}
}

/* ------------------------------------------------------------- leader's part */

/* The number of rows that the graph may have to hold, as far as is known */
static double
estimated_rows(Relation heap, const VxIndex *ix)
{
	double		row_bytes = ix->codec.vector_bytes + SizeofHeapTupleHeader;
	BlockNumber pages;
	double		tuples;
	double		visible;

	estimate_rel_size(heap, NULL, &pages, &tuples, &visible);
	if (heap->rd_rel->reltuples < 0 && row_bytes <= MAX_INLINE_BYTES)
		tuples = Min(tuples, (double) pages * BLCKSZ / row_bytes);
	return tuples;
}

/*
 * Bits of the codes for building: eight, if the rows to be expected then fit
 * into memory, else fewer, but no fewer than the index has.
 */
static int
choose_bits(const VxIndex *ix, double rows, Size max_memory, int nparticipants)
{
	for (int bits = 8; bits > ix->codec.bits; bits /= 2)
		if (rows * (double) VxGraphNodeBytes(ix, bits, nparticipants) < (double) max_memory)
			return bits;
	return ix->codec.bits;
}

static void
begin_serial(VxBuild *build, const VxGraphParams *params, bool with_codes)
{
	Size		size = VxGraphSharedSize(build->ix, params);
	VxGraphShared *graph = palloc_extended(size, MCXT_ALLOC_HUGE);
	VxBuildShared *shared = palloc(VxBuildSharedSize(1));

	VxGraphSharedInit(graph, build->ix, params);
	VxBuildSharedInit(shared, build->heap, build->index, false, 1, with_codes);
	VxBuildInit(build, shared, 0, VxGraphAttach(graph, build->ix, NULL), NULL);
}

/* Insert what turned out to be no duplicate */
static void
insert_aside(VxBuild *build)
{
	char	   *buffer = palloc(build->rows->node_bytes);

	for (int i = 0; i < build->naside; i++)
	{
		VxAside    *aside = &build->aside[i];
		VxRow		row;

		VxRowsReadNode(build->rows, aside->participant, aside->row, buffer, &row);
		insert_row(build, row.vector, row.attrs, &aside->tid);
	}
	pfree(buffer);
}

/* What the leader has to do before a step */
static void
prepare_step(VxBuild *build, VxBuildStep step)
{
	static const int phase[] = {
		[VX_STEP_LOAD] = VX_PHASE_LOAD,
		[VX_STEP_WRITE] = VX_PHASE_WRITE,
		[VX_STEP_LOG] = VX_PHASE_LOG,
		[VX_STEP_REST] = VX_PHASE_REST
	};
	VxBuildShared *shared = build->shared;

	if (step == VX_STEP_LOG)
	{
		insert_aside(build);
		shared->nblocks = RelationGetNumberOfBlocks(build->index);
	}
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase[step]);
	if (step == VX_STEP_WRITE)
		VxOrderGraph(build);
	else if (step == VX_STEP_REST)
	{
		/* the last stripe may have room */
		if (shared->nslots % (VxNodeId) build->ix->slots_per_page != 0)
			VxRecordFreeSlots(build->index, VxStripeBlock(build->ix, shared->nstripes - 1));
		for (int i = 0; i < shared->nparticipants; i++)
			shared->nrest += shared->counts[i].rest;
	}
}

static double
indexed_rows(const VxBuildShared *shared)
{
	double		rows = 0;

	for (int i = 0; i < shared->nparticipants; i++)
		rows += (double) shared->counts[i].nodes + (double) shared->counts[i].rest;
	return rows;
}

/*
 * Build the index whose metapage is written, with workers if there are any and
 * if they can be had.
 */
static void
build_index(VxBuild *build, int nworkers, IndexBuildResult *result)
{
	VxParallelBuild *parallel = NULL;
	VxGraphParams params = {0};
	double		rows = estimated_rows(build->heap, build->ix);
	bool		with_codes;

	params.max_memory = (Size) maintenance_work_mem * 1024;
	params.nparticipants = nworkers + 1;
	params.bits = choose_bits(build->ix, rows, params.max_memory, nworkers + 1);
	params.seed = pg_prng_uint64(&pg_global_prng_state);
	params.tranche = LWTRANCHE_FIRST_USER_DEFINED;	/* nobody else waits */
	with_codes = params.bits != build->ix->codec.bits;

	if (nworkers > 0)
		parallel = VxParallelBegin(build, &params, rows, nworkers);
	if (parallel == NULL)
	{
		params.nparticipants = 1;
		begin_serial(build, &params, with_codes);
	}
	for (VxBuildStep step = VX_STEP_LOAD; step < VX_N_STEPS; step++)
	{
		prepare_step(build, step);
		if (parallel)
			VxParallelStep(parallel, build, step);
		else
			VxBuildRunStep(build, step, NULL);
		VX_INJECTION_POINT(step == VX_STEP_LOAD ? "build-load" :
						   step == VX_STEP_WRITE ? "build-write" :
						   step == VX_STEP_REST ? "build-rest" : "build-log");
	}

	result->heap_tuples = build->shared->heap_tuples;
	result->index_tuples = indexed_rows(build->shared);
	if (build->shared->broken_hot_chain)
		build->info->ii_BrokenHotChain = true;
	VxRowsClose(build->rows);
	if (parallel)
		VxParallelEnd(parallel);
}

IndexBuildResult *
vxbuild(Relation heap, Relation index, IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	VxBuild		build = {0};
	VxMetaPageData meta;
	VxIndex		ix;
	MemoryContext context;
	MemoryContext old;

	if (RelationGetNumberOfBlocks(index) != 0)
		elog(ERROR, "index \"%s\" already contains data",
			 RelationGetRelationName(index));
	VxFillMeta(index, &meta);
	VxLayoutFromMeta(index, &meta, &ix);
	write_meta(index, MAIN_FORKNUM, &meta);

	context = AllocSetContextCreate(CurrentMemoryContext, "hnsw build",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	build.heap = heap;
	build.index = index;
	build.info = info;
	build.ix = &ix;
	build_index(&build, VxParallelWorkers(heap, index), result);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return result;
}
