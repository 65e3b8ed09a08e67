/*-------------------------------------------------------------------------
 *
 * build.h
 *	  What the files of CREATE INDEX share: build.c, parallel.c, write.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_BUILD_H
#define VX_BUILD_H

#include "access/relscan.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"

#include "hnsw/graph.h"
#include "hnsw/rows.h"

/*
 * The steps of a build.  All participants take each of them together, and none
 * begins one before all have ended the one before.
 */
typedef enum VxBuildStep
{
	VX_STEP_NONE,
	VX_STEP_LOAD,				/* read the table, build the graph in memory */
	VX_STEP_WRITE,				/* write stripes */
	VX_STEP_REST,				/* insert what did not fit into memory */
	VX_STEP_LOG,				/* WAL-log the index */
	VX_N_STEPS
} VxBuildStep;

/* What participants of a build share, beside the graph */
typedef struct VxBuildShared
{
	/* unchanging */
	Oid			heap;
	Oid			index;
	bool		concurrent;
	int			nparticipants;	/* at most */
	bool		with_codes;		/* see VxRows */

	/* protected by mutex */
	slock_t		mutex;
	ConditionVariable changed;	/* of step and ndone */
	VxBuildStep step;			/* may be taken */
	int			ndone;			/* participants that ended it */
	double		heap_tuples;
	bool		broken_hot_chain;

	/* set by the leader before a step */
	uint32		nslots;			/* written, upper slots included */
	uint32		nstripes;
	BlockNumber nblocks;		/* to be logged */
	uint64		nrest;

	/* next piece of work */
	pg_atomic_uint32 next_stripe;
	pg_atomic_uint64 next_block;
	pg_atomic_uint64 next_rest;

	pg_atomic_uint64 rows_done; /* in the graph, or inserted */
	VxRowCounts counts[FLEXIBLE_ARRAY_MEMBER];	/* by participant */
} VxBuildShared;

/* A row whose vector is not that of the node it was taken to equal */
typedef struct VxAside
{
	ItemPointerData tid;
	int			participant;
	uint32		row;
} VxAside;

/* A participant's state */
typedef struct VxBuild
{
	/* unchanging */
	Relation	heap;
	Relation	index;
	IndexInfo  *info;
	const VxIndex *ix;
	VxBuildShared *shared;
	bool		leader;
	MemoryContext row_context;	/* reset after every row */

	/* mutable */
	VxGraph    *graph;
	VxRows	   *rows;
	VxInserter *inserter;		/* of the rest; NULL before there is any */
	uint8	   *code;			/* scratch: a code of the index */
	uint8	   *attrs;			/* scratch: attributes of a row */
	bool		told_full;		/* leader: the user knows that memory is full */
	VxAside    *aside;			/* leader */
	int			naside;
	int			max_aside;
} VxBuild;

typedef struct VxParallelBuild VxParallelBuild;

/* build.c */
extern Size VxBuildSharedSize(int nparticipants);
extern void VxBuildSharedInit(VxBuildShared *shared, Relation heap, Relation index,
							  bool concurrent, int nparticipants, bool with_codes);
extern void VxBuildInit(VxBuild *build, VxBuildShared *shared, int participant,
						VxGraph *graph, SharedFileSet *fileset);
extern void VxBuildRunStep(VxBuild *build, VxBuildStep step, TableScanDesc scan);
extern void VxBuildReport(VxBuild *build);

/* write.c */
extern void VxOrderGraph(VxBuild *build);
extern void VxWriteStripes(VxBuild *build);
extern void VxLogIndex(VxBuild *build);

/* parallel.c */
extern int	VxParallelWorkers(Relation heap, Relation index);
extern int	VxLockTranche(void);
extern VxParallelBuild *VxParallelBegin(VxBuild *build, const VxGraphParams *params,
										double rows, int nworkers);
extern void VxParallelStep(VxParallelBuild *parallel, VxBuild *build, VxBuildStep step);
extern void VxParallelEnd(VxParallelBuild *parallel);

#endif							/* VX_BUILD_H */
