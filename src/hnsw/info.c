/*-------------------------------------------------------------------------
 *
 * info.c
 *	  What can be asked of an index: vectorx_index_info, vectorx_last_scan,
 *	  vectorx_recall.
 *
 * The functions that look into an index read all of it, and what they tell
 * depends on rows that row-level security might hide, so they are for its
 * owner and for those who may read all data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "hnsw/hnsw.h"

#define MAX_RECALL_K 10000
#define MAX_RECALL_QUERIES 100000
#define MAX_RECALL_DISTANCES 10000000

/* Complain if there is no such relation, or the user may not look into it */
void
VxRequireRights(Oid relid)
{
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!VxOwnsRelation(relid) && !has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_DATA))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, get_rel_name(relid));
}

/* Open an hnsw index that the user may look into, under AccessShareLock */
Relation
VxOpenIndex(Oid relid)
{
	Relation	index;

	VxRequireRights(relid);
	index = try_relation_open(relid, AccessShareLock);
	if (index == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (index->rd_rel->relkind != RELKIND_INDEX ||
		index->rd_indam == NULL || index->rd_indam->ambuild != vxbuild)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an hnsw index", RelationGetRelationName(index))));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot access temporary indexes of other sessions")));
	if (!index->rd_index->indisvalid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not valid", RelationGetRelationName(index))));
	return index;
}

/* Likewise, one whose pages there are: a standby has none of unlogged indexes */
static Relation
open_readable_index(Oid relid)
{
	Relation	index = VxOpenIndex(relid);

	if (index->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED && RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot read unlogged index \"%s\" during recovery",
						RelationGetRelationName(index))));
	return index;
}

/* ---------------------------------------------------------------- index_info */

typedef struct VxCensus
{
	int64		states[VX_N_SLOT_STATES];
	int64		links;			/* of live nodes, on level 0 */
	int			top_level;
} VxCensus;

static void
count_page(const VxIndex *ix, Page page, VxCensus *census)
{
	for (int s = 0; s < ix->slots_per_page; s++)
	{
		VxNodeSlot	slot = VxPageSlot(ix, page, s);

		if (PageIsNew(page) || slot->state >= VX_N_SLOT_STATES)
		{
			census->states[VX_SLOT_FREE]++;
			continue;
		}
		census->states[slot->state]++;
		if (slot->state == VX_SLOT_LIVE)
		{
			census->links += VxCountLinks(VxSlotLinks(ix, slot), 2 * ix->m);
			census->top_level = Max(census->top_level, slot->level);
		}
	}
}

static uint32
take_census(Relation index, const VxIndex *ix, VxCensus *census)
{
	uint32		nstripes = VxStripeCount(ix, RelationGetNumberOfBlocks(index));
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);

	memset(census, 0, sizeof(*census));
	for (uint32 stripe = 0; stripe < nstripes; stripe++)
	{
		Buffer		buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = VxLockNodePage(index, VxStripeBlock(ix, stripe), BUFFER_LOCK_SHARE,
								strategy);
		count_page(ix, BufferGetPage(buffer), census);
		UnlockReleaseBuffer(buffer);
	}
	FreeAccessStrategy(strategy);
	return nstripes;
}

static const char *
metric_name(VxMetric metric)
{
	static const char *const names[VX_N_METRICS] = {"l2", "ip", "cosine", "l1"};

	return names[metric];
}

static const char *
code_name(VxCodeKind kind)
{
	return kind == VX_CODE_RAW ? "raw" : kind == VX_CODE_ROTATED ? "rotated" : "scalar";
}

VX_FUNCTION(vx_index_info);
Datum
vx_index_info(PG_FUNCTION_ARGS)
{
	Relation	index = open_readable_index(PG_GETARG_OID(0));
	const VxIndex *ix = VxGetIndex(index);
	VxCensus	census;
	TupleDesc	desc;
	Datum		values[18];
	bool		nulls[18] = {0};
	int			n = 0;
	uint32		nstripes;
	BlockNumber nblocks;
	int64		rows;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != lengthof(values))
		elog(ERROR, "unexpected result type of vectorx_index_info");
	nstripes = take_census(index, ix, &census);
	nblocks = RelationGetNumberOfBlocks(index);
	rows = census.states[VX_SLOT_LIVE] + census.states[VX_SLOT_DUPLICATE] +
		census.states[VX_SLOT_LONE];

	values[n++] = Int32GetDatum(ix->codec.dims);
	values[n++] = CStringGetTextDatum(metric_name(ix->codec.metric));
	values[n++] = Int32GetDatum(ix->m);
	values[n++] = Int32GetDatum(ix->ef_construction);
	values[n++] = CStringGetTextDatum(code_name(ix->codec.kind));
	values[n++] = Int32GetDatum(ix->codec.bits);
	values[n++] = Int64GetDatum(rows);
	values[n++] = Int64GetDatum(census.states[VX_SLOT_DUPLICATE]);
	values[n++] = Int64GetDatum(census.states[VX_SLOT_LONE]);
	values[n++] = Int64GetDatum(census.states[VX_SLOT_DEAD] +
								census.states[VX_SLOT_DUPLICATE_DEAD]);
	values[n++] = Int64GetDatum(census.states[VX_SLOT_FREE]);
	values[n++] = Int32GetDatum(census.top_level + 1);
	values[n++] = Float8GetDatum(census.states[VX_SLOT_LIVE] == 0 ? 0 :
								 (double) census.links / (double) census.states[VX_SLOT_LIVE]);
	values[n++] = Int32GetDatum(ix->nattrs);
	values[n++] = Int32GetDatum(ix->slots_per_page);
	values[n++] = Int64GetDatum((int64) nstripes * BLCKSZ);
	values[n++] = Int64GetDatum(((int64) nblocks - 1 - (int64) nstripes) * BLCKSZ);
	values[n++] = Int64GetDatum((int64) nblocks * BLCKSZ);
	Assert(n == lengthof(values));

	relation_close(index, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* ----------------------------------------------------------------- last_scan */

static const char *
strategy_name(const VxWalkStats *stats)
{
	return stats->flat_passes > 0 ? "flat" : stats->resumes > 0 ? "resume" : "walk";
}

VX_FUNCTION(vx_last_scan);
Datum
vx_last_scan(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[7];
	bool		nulls[7] = {0};
	int			n = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != lengthof(values))
		elog(ERROR, "unexpected result type of vectorx_last_scan");
	values[n++] = Int64GetDatum(VxLastScan.hops);
	values[n++] = Int64GetDatum(VxLastScan.visited);
	values[n++] = Int64GetDatum(VxLastScan.passed);
	values[n++] = Int64GetDatum(VxLastScan.pages);
	values[n++] = Int64GetDatum(VxLastScan.vectors);
	values[n++] = Int64GetDatum(VxLastScan.resumes);
	values[n++] = CStringGetTextDatum(strategy_name(&VxLastScan));
	Assert(n == lengthof(values));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* ------------------------------------------------------------------- recall */

/* A sampled row, as a query, and the least distances of others from it */
typedef struct VxSample
{
	VxNodeId	id;
	char	   *vector;
	double	   *nearest;		/* max-heap of the k least distances */
	int			n;
} VxSample;

typedef struct VxRecall
{
	Relation	index;
	const VxIndex *ix;
	BufferAccessStrategy strategy;
	int			k;
	VxSample   *samples;
	int			nsamples;
	int			max_samples;
	int64		nseen;			/* rows met while sampling */
	char	   *scratch;		/* a vector */
} VxRecall;

/* Put a distance into a sample's heap of the k least */
static void
keep_least(VxSample *sample, int k, double d)
{
	double	   *heap = sample->nearest;
	int			i;

	if (sample->n < k)
	{
		for (i = sample->n++; i > 0 && heap[(i - 1) / 2] < d; i = (i - 1) / 2)
			heap[i] = heap[(i - 1) / 2];
		heap[i] = d;
		return;
	}
	if (d >= heap[0])
		return;
	for (i = 0;;)
	{
		int			child = 2 * i + 1;

		if (child >= k)
			break;
		if (child + 1 < k && heap[child + 1] > heap[child])
			child++;
		if (heap[child] <= d)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = d;
}

/* Call visit for every row of the graph or its chains, no page being locked */
static void
for_each_row(VxRecall *recall, void (*visit) (VxRecall *, VxNodeId))
{
	const VxIndex *ix = recall->ix;
	uint32		nstripes = VxStripeCount(ix, RelationGetNumberOfBlocks(recall->index));
	VxNodeId   *ids = palloc(sizeof(VxNodeId) * (Size) ix->slots_per_page);

	for (uint32 stripe = 0; stripe < nstripes; stripe++)
	{
		Buffer		buffer = VxLockNodePage(recall->index, VxStripeBlock(ix, stripe),
											BUFFER_LOCK_SHARE, recall->strategy);
		Page		page = BufferGetPage(buffer);
		int			n = 0;

		for (int s = 0; s < ix->slots_per_page && !PageIsNew(page); s++)
		{
			VxNodeSlot	slot = VxPageSlot(ix, page, s);

			if (slot->state == VX_SLOT_LIVE || slot->state == VX_SLOT_DUPLICATE)
				ids[n++] = VxMakeNodeId(ix, stripe, s);
		}
		UnlockReleaseBuffer(buffer);
		for (int i = 0; i < n; i++)
			visit(recall, ids[i]);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(ids);
}

/* Reservoir sampling */
static void
sample_row(VxRecall *recall, VxNodeId id)
{
	int64		at = recall->nseen++;

	if (recall->nsamples < recall->max_samples)
		at = recall->nsamples++;
	else
		at = (int64) pg_prng_uint64_range(&pg_global_prng_state, 0, (uint64) at);
	if (at < recall->max_samples)
		recall->samples[at].id = id;
}

/* Measure a row against all samples */
static void
measure_row(VxRecall *recall, VxNodeId id)
{
	const VxIndex *ix = recall->ix;

	VxReadVector(recall->index, ix, id, recall->scratch, recall->strategy);
	for (int i = 0; i < recall->nsamples; i++)
		if (recall->samples[i].id != id)
			keep_least(&recall->samples[i], recall->k,
					   VxExactDistance(&ix->codec, recall->scratch,
									   recall->samples[i].vector));
	CHECK_FOR_INTERRUPTS();
}

/* How many of a sample's k nearest does a search find? */
static int
search_sample(VxRecall *recall, VxSearch *search, const VxSample *sample)
{
	ItemPointerData tid;
	VxNodeId	id;
	double		distance;
	int			returned = 0;
	int			found = 0;

	VxSearchStart(search, sample->vector, NULL);
	while (returned < sample->n && VxSearchNext(search, &tid, &distance, &id))
	{
		CHECK_FOR_INTERRUPTS();
		if (id == sample->id)
			continue;
		returned++;
		if (distance <= sample->nearest[0])
			found++;
	}
	return found;
}

/* Recall over all samples; NaN if there is nothing to find */
static double
measure_recall(VxRecall *recall)
{
	VxSearch   *search;
	int64		wanted = 0;
	int64		found = 0;

	for_each_row(recall, sample_row);
	for (int i = 0; i < recall->nsamples; i++)
	{
		VxSample   *sample = &recall->samples[i];

		sample->vector = palloc((Size) recall->ix->codec.vector_bytes);
		VxReadVector(recall->index, recall->ix, sample->id, sample->vector, NULL);
		sample->nearest = palloc(sizeof(double) * (Size) recall->k);
		sample->n = 0;
	}
	for_each_row(recall, measure_row);

	search = VxSearchBegin(recall->index, recall->ix);
	for (int i = 0; i < recall->nsamples; i++)
	{
		wanted += recall->samples[i].n;
		found += search_sample(recall, search, &recall->samples[i]);
	}
	return wanted == 0 ? get_float8_nan() : (double) found / (double) wanted;
}

VX_FUNCTION(vx_recall);
Datum
vx_recall(PG_FUNCTION_ARGS)
{
	VxRecall	recall = {0};
	int			k = PG_GETARG_INT32(1);
	int			queries = PG_GETARG_INT32(2);
	double		result;

	if (k < 1 || k > MAX_RECALL_K)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k must be between 1 and %d", MAX_RECALL_K)));
	if (queries < 1 || queries > MAX_RECALL_QUERIES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queries must be between 1 and %d", MAX_RECALL_QUERIES)));
	if ((int64) k * queries > MAX_RECALL_DISTANCES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("k times queries must not exceed %d", MAX_RECALL_DISTANCES)));
	recall.index = open_readable_index(PG_GETARG_OID(0));
	recall.ix = VxGetIndex(recall.index);
	recall.strategy = GetAccessStrategy(BAS_BULKREAD);
	recall.k = k;
	recall.max_samples = queries;
	recall.scratch = palloc((Size) recall.ix->codec.vector_bytes);
	recall.samples = palloc0(sizeof(VxSample) * (Size) queries);
	result = measure_recall(&recall);
	relation_close(recall.index, AccessShareLock);
	if (isnan(result))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(result);
}
