/*-------------------------------------------------------------------------
 *
 * parallel.c
 *	  CREATE INDEX with parallel workers.
 *
 * The leader makes a parallel context whose segment holds what participants
 * share, and a DSA area that grows as the graph does.  Workers run through the
 * steps of the build as the leader announces them; it takes part itself, unless
 * parallel_leader_participation is off.
 *
 * maintenance_work_mem is the limit of all participants together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "access/parallel.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "pgstat.h"
#include "storage/dsm_impl.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "hnsw/build.h"

/* Keys of the table of contents */
#define KEY_BUILD		UINT64CONST(0xA900000000000001)
#define KEY_GRAPH		UINT64CONST(0xA900000000000002)
#define KEY_SCAN		UINT64CONST(0xA900000000000003)
#define KEY_FILESET		UINT64CONST(0xA900000000000004)
#define KEY_AREA		UINT64CONST(0xA900000000000005)
#define KEY_QUERY		UINT64CONST(0xA900000000000006)
#define KEY_WAL			UINT64CONST(0xA900000000000007)
#define KEY_BUFFERS		UINT64CONST(0xA900000000000008)
#define N_KEYS			8

/* Memory that the planner wants for each participant, in kilobytes */
#define SORT_MEMORY 32768

/* First piece of the DSA area, within the context's segment */
#define AREA_SIZE (64 * 1024)

/* The leader looks for progress to report so often, in milliseconds */
#define REPORT_INTERVAL 200

struct VxParallelBuild
{
	ParallelContext *pcxt;
	Snapshot	snapshot;
	dsa_area   *area;
	ParallelTableScanDesc scan;
	WalUsage   *wal;			/* by worker */
	BufferUsage *buffers;		/* likewise */
	int			nparticipants;	/* the leader and the workers that run */
};

PGDLLEXPORT void VxParallelBuildMain(dsm_segment *segment, shm_toc *toc);

/* Set an integer setting until the nest level at hand ends */
static void
set_for_now(const char *name, double value)
{
	char		text[32];

	snprintf(text, sizeof(text), "%.0f", Min(value, (double) PG_INT32_MAX));
	(void) set_config_option(name, text, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

static double
pages_of(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	BlockNumber pages = RelationGetNumberOfBlocks(rel);

	table_close(rel, AccessShareLock);
	return pages;
}

/*
 * Workers that the build should have, by the table's size and the settings; 0
 * means a serial one.
 *
 * The planner says how many, but we ask it as if there were more memory, and a
 * larger table, than there is.  It would have 32 MB of maintenance_work_mem for
 * each participant, as a sort needs; ours share one graph, and have more to do
 * the less memory there is.  And it does not count the table's TOAST pages,
 * where long vectors lie.
 */
int
VxParallelWorkers(Relation heap, Relation index)
{
	double		heap_pages = RelationGetNumberOfBlocks(heap);
	double		toast_pages = OidIsValid(heap->rd_rel->reltoastrelid) ?
		pages_of(heap->rd_rel->reltoastrelid) : 0;
	int			level = NewGUCNestLevel();
	int			nworkers;

	set_for_now("maintenance_work_mem",
				Max((double) SORT_MEMORY * (max_parallel_maintenance_workers + 1),
					(double) maintenance_work_mem));
	set_for_now("min_parallel_table_scan_size",
				min_parallel_table_scan_size * ((heap_pages + 1) / (heap_pages + toast_pages + 1)));
	nworkers = plan_create_index_workers(RelationGetRelid(heap), RelationGetRelid(index));
	AtEOXact_GUC(false, level);
	return nworkers;
}

/*
 * The id of our locks in wait events, the same in all backends; it is set aside
 * when the first build wants it.
 */
int
VxLockTranche(void)
{
	bool		found;
	int		   *tranche;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	tranche = ShmemInitStruct("vectorx build locks", sizeof(int), &found);
	if (!found)
		*tranche = LWLockNewTrancheId();
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(*tranche, "VectorxBuild");
	return *tranche;
}

/* Bytes that shared memory segments may have yet, as far as can be told */
static uint64
free_shared_memory(void)
{
	const char *path = NULL;
	struct statvfs fs;

	if (dynamic_shared_memory_type == DSM_IMPL_POSIX)
		path = "/dev/shm";
	else if (dynamic_shared_memory_type == DSM_IMPL_MMAP)
		path = PG_DYNSHMEM_DIR;
	if (path == NULL || statvfs(path, &fs) != 0)
		return PG_UINT64_MAX;
	return (uint64) fs.f_bavail * (uint64) fs.f_frsize;
}

/*
 * What segments may come to: an area that grows at the rate of its size, but
 * not beyond the memory allowed.
 */
static double
wanted_shared_memory(const VxIndex *ix, const VxGraphParams *params, double rows)
{
	double		graph = rows * (double) VxGraphNodeBytes(ix, params->bits,
														 params->nparticipants);

	return (double) VxGraphSharedSize(ix, params) + 4 * 1024 * 1024 +
		Min(2 * graph, (double) params->max_memory);
}

static void
tell_serial(void)
{
	ereport(NOTICE,
			(errmsg("not enough dynamic shared memory for a parallel index build"),
			 errdetail("The index is built by a single process."),
			 errhint("Make more shared memory available to the server; in a container that is the size of /dev/shm.")));
}

static void
estimate_chunk(ParallelContext *pcxt, Size size)
{
	shm_toc_estimate_chunk(&pcxt->estimator, size);
	shm_toc_estimate_keys(&pcxt->estimator, 1);
}

static void *
allocate_shared(ParallelContext *pcxt, uint64 key, Size size)
{
	void	   *memory = shm_toc_allocate(pcxt->toc, size);

	memset(memory, 0, size);
	shm_toc_insert(pcxt->toc, key, memory);
	return memory;
}

static Size
query_size(void)
{
	return debug_query_string ? add_size(strlen(debug_query_string), 1) : 1;
}

/* Ask for the segment, and make it */
static void
make_segment(VxParallelBuild *parallel, VxBuild *build, const VxGraphParams *params)
{
	ParallelContext *pcxt = parallel->pcxt;
	Size		nworkers = (Size) pcxt->nworkers;

	estimate_chunk(pcxt, VxBuildSharedSize(params->nparticipants));
	estimate_chunk(pcxt, VxGraphSharedSize(build->ix, params));
	estimate_chunk(pcxt, table_parallelscan_estimate(build->heap, parallel->snapshot));
	estimate_chunk(pcxt, sizeof(SharedFileSet));
	estimate_chunk(pcxt, Max(AREA_SIZE, dsa_minimum_size()));
	estimate_chunk(pcxt, query_size());
	estimate_chunk(pcxt, mul_size(sizeof(WalUsage), nworkers));
	estimate_chunk(pcxt, mul_size(sizeof(BufferUsage), nworkers));
	InitializeParallelDSM(pcxt);
}

/* Fill the segment, and make the leader's state from it */
static void
fill_segment(VxParallelBuild *parallel, VxBuild *build, const VxGraphParams *params)
{
	ParallelContext *pcxt = parallel->pcxt;
	Size		nworkers = (Size) pcxt->nworkers;
	Size		area_size = Max(AREA_SIZE, dsa_minimum_size());
	VxBuildShared *shared;
	VxGraphShared *graph;
	SharedFileSet *fileset;
	char	   *query;

	shared = allocate_shared(pcxt, KEY_BUILD, VxBuildSharedSize(params->nparticipants));
	VxBuildSharedInit(shared, build->heap, build->index, build->info->ii_Concurrent,
					  params->nparticipants, params->bits != build->ix->codec.bits);
	graph = allocate_shared(pcxt, KEY_GRAPH, VxGraphSharedSize(build->ix, params));
	VxGraphSharedInit(graph, build->ix, params);
	parallel->scan = allocate_shared(pcxt, KEY_SCAN,
									 table_parallelscan_estimate(build->heap,
																 parallel->snapshot));
	table_parallelscan_initialize(build->heap, parallel->scan, parallel->snapshot);
	fileset = allocate_shared(pcxt, KEY_FILESET, sizeof(SharedFileSet));
	SharedFileSetInit(fileset, pcxt->seg);
	parallel->area = dsa_create_in_place(allocate_shared(pcxt, KEY_AREA, area_size),
										 area_size, params->tranche, pcxt->seg);
	dsa_set_size_limit(parallel->area, params->max_memory);
	query = allocate_shared(pcxt, KEY_QUERY, query_size());
	if (debug_query_string)
		memcpy(query, debug_query_string, query_size());
	parallel->wal = allocate_shared(pcxt, KEY_WAL, mul_size(sizeof(WalUsage), nworkers));
	parallel->buffers = allocate_shared(pcxt, KEY_BUFFERS,
										mul_size(sizeof(BufferUsage), nworkers));

	VxBuildInit(build, shared, 0, VxGraphAttach(graph, build->ix, parallel->area), fileset);
}

static void
leave_parallel_mode(VxParallelBuild *parallel)
{
	DestroyParallelContext(parallel->pcxt);
	if (IsMVCCSnapshot(parallel->snapshot))
		UnregisterSnapshot(parallel->snapshot);
	ExitParallelMode();
}

/*
 * Begin a parallel build of an index whose metapage is written; rows is the
 * number to expect.  Completes the leader's state.  Returns NULL, having told
 * the user why, if workers cannot be had.
 */
VxParallelBuild *
VxParallelBegin(VxBuild *build, const VxGraphParams *given, double rows, int nworkers)
{
	VxParallelBuild *parallel = palloc0(sizeof(VxParallelBuild));
	VxGraphParams params = *given;

	params.tranche = VxLockTranche();
	if (wanted_shared_memory(build->ix, &params, rows) > (double) free_shared_memory())
	{
		tell_serial();
		return NULL;
	}

	EnterParallelMode();
	parallel->pcxt = CreateParallelContext("vectorx", "VxParallelBuildMain", nworkers);
	parallel->snapshot = build->info->ii_Concurrent ?
		RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
	make_segment(parallel, build, &params);
	if (parallel->pcxt->seg == NULL)
	{
		leave_parallel_mode(parallel);
		tell_serial();
		return NULL;
	}
	fill_segment(parallel, build, &params);
	LaunchParallelWorkers(parallel->pcxt);
	parallel->nparticipants = 1 + parallel->pcxt->nworkers_launched;

	ereport(DEBUG1,
			(errmsg_internal("building index \"%s\" with %d parallel workers",
							 RelationGetRelationName(build->index),
							 parallel->pcxt->nworkers_launched)));

	/* so that a worker that cannot start is an error, and not waited for */
	WaitForParallelWorkersToAttach(parallel->pcxt);
	return parallel;
}

/* Tell that a participant has ended a step */
static void
end_step(VxBuildShared *shared)
{
	SpinLockAcquire(&shared->mutex);
	shared->ndone++;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->changed);
}

static void
announce_step(VxBuildShared *shared, VxBuildStep step)
{
	SpinLockAcquire(&shared->mutex);
	shared->step = step;
	shared->ndone = 0;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->changed);
}

/* Wait until n participants have ended the step, reporting progress */
static void
await_participants(VxBuild *build, int n)
{
	VxBuildShared *shared = build->shared;
	bool		done = false;

	ConditionVariablePrepareToSleep(&shared->changed);
	for (;;)
	{
		SpinLockAcquire(&shared->mutex);
		done = shared->ndone >= n;
		SpinLockRelease(&shared->mutex);
		if (done)
			break;
		ConditionVariableTimedSleep(&shared->changed, REPORT_INTERVAL,
									WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
		VxBuildReport(build);
	}
	ConditionVariableCancelSleep();
	VxBuildReport(build);
}

/* The leader takes a step with its workers, and waits for all to end it */
void
VxParallelStep(VxParallelBuild *parallel, VxBuild *build, VxBuildStep step)
{
	announce_step(build->shared, step);
	if (parallel_leader_participation || parallel->nparticipants == 1)
		VxBuildRunStep(build, step, step != VX_STEP_LOAD ? NULL :
					   table_beginscan_parallel(build->heap, parallel->scan));
	end_step(build->shared);
	await_participants(build, parallel->nparticipants);

	/* from now on, what was kept for the order of nodes may be used for it */
	dsa_set_size_limit(parallel->area, SIZE_MAX);
}

void
VxParallelEnd(VxParallelBuild *parallel)
{
	WaitForParallelWorkersToFinish(parallel->pcxt);
	for (int i = 0; i < parallel->pcxt->nworkers_launched; i++)
		InstrAccumParallelQuery(&parallel->buffers[i], &parallel->wal[i]);
	dsa_detach(parallel->area);
	leave_parallel_mode(parallel);
}

/* ------------------------------------------------------------------- workers */

static void
await_step(VxBuildShared *shared, VxBuildStep step)
{
	ConditionVariablePrepareToSleep(&shared->changed);
	for (;;)
	{
		bool		announced;

		SpinLockAcquire(&shared->mutex);
		announced = shared->step >= step;
		SpinLockRelease(&shared->mutex);
		if (announced)
			break;
		ConditionVariableSleep(&shared->changed, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
	}
	ConditionVariableCancelSleep();
}

/* Take part in all steps */
static void
run_steps(VxBuild *build, ParallelTableScanDesc scan)
{
	for (VxBuildStep step = VX_STEP_LOAD; step < VX_N_STEPS; step++)
	{
		await_step(build->shared, step);
		VxBuildRunStep(build, step, step != VX_STEP_LOAD ? NULL :
					   table_beginscan_parallel(build->heap, scan));
		end_step(build->shared);
	}
}

static void
open_relations(VxBuild *build, const VxBuildShared *shared)
{
	build->heap = table_open(shared->heap, shared->concurrent ?
							 ShareUpdateExclusiveLock : ShareLock);
	build->index = index_open(shared->index, shared->concurrent ?
							  RowExclusiveLock : AccessExclusiveLock);
	build->info = BuildIndexInfo(build->index);
	build->info->ii_Concurrent = shared->concurrent;
	build->ix = VxGetIndex(build->index);
}

static void
close_relations(VxBuild *build, const VxBuildShared *shared)
{
	index_close(build->index, shared->concurrent ?
				RowExclusiveLock : AccessExclusiveLock);
	table_close(build->heap, shared->concurrent ?
				ShareUpdateExclusiveLock : ShareLock);
}

/* Where a worker begins */
void
VxParallelBuildMain(dsm_segment *segment, shm_toc *toc)
{
	VxBuildShared *shared = shm_toc_lookup(toc, KEY_BUILD, false);
	VxGraphShared *graph = shm_toc_lookup(toc, KEY_GRAPH, false);
	SharedFileSet *fileset = shm_toc_lookup(toc, KEY_FILESET, false);
	WalUsage   *wal = shm_toc_lookup(toc, KEY_WAL, false);
	BufferUsage *buffers = shm_toc_lookup(toc, KEY_BUFFERS, false);
	VxBuild		build = {0};
	dsa_area   *area;

	debug_query_string = shm_toc_lookup(toc, KEY_QUERY, false);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	LWLockRegisterTranche(graph->params.tranche, "VectorxBuild");
	open_relations(&build, shared);
	SharedFileSetAttach(fileset, segment);
	area = dsa_attach_in_place(shm_toc_lookup(toc, KEY_AREA, false), segment);
	VxBuildInit(&build, shared, ParallelWorkerNumber + 1,
				VxGraphAttach(graph, build.ix, area), fileset);

	InstrStartParallelQuery();
	run_steps(&build, shm_toc_lookup(toc, KEY_SCAN, false));
	InstrEndParallelQuery(&buffers[ParallelWorkerNumber], &wal[ParallelWorkerNumber]);

	VxRowsClose(build.rows);
	dsa_detach(area);
	close_relations(&build, shared);
}
