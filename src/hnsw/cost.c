/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  Planner estimates.
 *
 * A search costs what it does: it visits nodes, of which the number grows less
 * than linearly with the rows that the executor will pull, and it reads a
 * vector for about each of those rows.  A flat pass over all node pages is the
 * ceiling of the walk.
 *
 * The rows to be pulled follow from the query's LIMIT and from the selectivity
 * of those of its filters that the index does not decide; those on its filter
 * columns make the walk longer.  All of that is charged as
 * startup cost, since the planner would otherwise spread it evenly over all
 * rows of the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "access/genam.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/float.h"
#include "utils/selfuncs.h"

#include "compat.h"
#include "hnsw/bitmapscan.h"
#include "hnsw/search.h"

/*
 * What things take of CPU, in units of cpu_tuple_cost and cpu_operator_cost: the
 * times in search.h, with a microsecond as one unit of cost.  That is what the
 * planner's estimates of its own plans for such queries come to, with default
 * settings: a bitmap scan and sort of 60 rows of Fashion-MNIST costs 183 and took
 * 104 us, of 600 658 and 2,600 us; of 340 rows of GloVe 1,268 and 198 us, of 3,395
 * 9,466 and 5,600 us.
 */
#define VISIT_TUPLES (VX_VISIT_TIME / 10)
#define VISIT_BYTE_OPERATORS (VX_VISIT_BYTE_TIME / 2.5)
#define PASS_BY_TUPLES (VX_PASS_BY_TIME / 10)

/* Cost of an exact distance, of vectors in the index, in units of cpu_operator_cost */
#define DISTANCE_OPERATORS 100

/* Cost of each row when a bitmap becomes a set, in units of cpu_operator_cost */
#define SET_COST 1

/* Cost of having two plans at hand, in units of cpu_tuple_cost */
#define SETUP_TUPLES 20

typedef struct VxCostInput
{
	double		rows;			/* in the index */
	double		node_pages;
	double		pages;
	double		share;			/* of the rows, that pass the index's filter */
	double		wanted;			/* rows that the executor will pull */
	double		visit_cost;		/* CPU, to visit a node */
	double		vector_cost;	/* CPU, to rank a row exactly */
	double		vector_pages;	/* pages of a vector */
	double		m;
} VxCostInput;

/*
 * Cost of reading a random page of a tier that has so many, if it is not
 * expected to be in memory
 */
static double
page_cost(double tier_pages)
{
	if (tier_pages <= effective_cache_size)
		return 0;
	return random_page_cost * (1 - (double) effective_cache_size / tier_pages);
}

static double
flat_cost(const VxCostInput *in)
{
	double		io = in->node_pages <= effective_cache_size ? 0 :
		in->node_pages * seq_page_cost;

	return io + in->rows * (PASS_BY_TUPLES * cpu_tuple_cost +
							in->share * in->visit_cost * VX_ESTIMATE_SHARE);
}

/*
 * Cost of a walk with a beam of ef, which counts rows that pass only, or of what
 * replaces it
 */
static double
walk_cost(const VxCostInput *in, double ef)
{
	double		visits = Min(VxWalkVisits(in->m, ef / in->share), in->rows);
	double		cost = visits * (in->visit_cost + page_cost(in->node_pages));

	return Min(cost, flat_cost(in));
}

static double
rank_cost(const VxCostInput *in, double rows)
{
	return rows * (in->vector_cost +
				   in->vector_pages * page_cost(in->pages - in->node_pages));
}

/* The share of the indexed rows that pass what the index decides */
static double
filter_share(PlannerInfo *root, IndexPath *path)
{
	List	   *quals = get_quals_from_indexclauses(path->indexclauses);
	double		share = clauselist_selectivity(root, quals, path->indexinfo->rel->relid,
											   JOIN_INNER, NULL);

	return Min(Max(share, 1 / Max(path->indexinfo->tuples, 1)), 1);
}

/*
 * Rows that the executor will pull from the index, as far as can be known: of
 * those that pass the index's filter, it may drop some.
 */
static double
rows_wanted(PlannerInfo *root, IndexPath *path, const VxCostInput *in)
{
	IndexOptInfo *info = path->indexinfo;
	double		table = info->indpred != NIL ? info->tuples : info->rel->tuples;
	double		passing = in->rows * in->share;
	double		selectivity = table > 0 ? info->rel->rows / table / in->share : 1;

	if (root->limit_tuples < 0 || bms_membership(root->all_baserels) != BMS_SINGLETON)
		return Min(passing, vx_ef_search);
	if (selectivity <= 0)
		return passing;
	return Min(passing, root->limit_tuples / Min(selectivity, 1));
}

/* What an index and a query are to the estimates, but for the share that passes */
static void
fill_input(IndexPath *path, VxCostInput *in)
{
	IndexOptInfo *info = path->indexinfo;

	in->rows = Max(info->tuples, 1);
	in->pages = Max(info->pages, 1);
	in->vector_cost = DISTANCE_OPERATORS * cpu_operator_cost;
	if (info->hypothetical)
	{
		in->m = VX_DEFAULT_M;
		in->node_pages = in->pages / 6;
		in->vector_pages = 1;
		in->visit_cost = 2 * VISIT_TUPLES * cpu_tuple_cost;
	}
	else
	{
		Relation	index = index_open(info->indexoid, NoLock);
		const VxIndex *ix = VxGetIndex(index);

		in->m = ix->m;
		in->node_pages = VxStripeCount(ix, info->pages);
		in->vector_pages = (double) ix->vector_pages / ix->slots_per_page;
		in->visit_cost = VISIT_TUPLES * cpu_tuple_cost +
			VISIT_BYTE_OPERATORS * cpu_operator_cost * ix->codec.nbytes;
		index_close(index, NoLock);
	}
}

/* Cost of a search, by the share of rows that passes and the rows wanted of them */
static void
search_cost(const VxCostInput *in, Cost *startup, Cost *total)
{
	double		ef = Max(in->wanted, vx_ef_search);

	*startup = walk_cost(in, ef) +
		rank_cost(in, Min(in->rows * in->share, in->wanted + vx_ef_search / 2.0));
	*total = *startup + flat_cost(in) + rank_cost(in, in->rows * in->share - in->wanted);
}

void
vxcostestimate(PlannerInfo *root, IndexPath *path, double loop_count,
			   Cost *startup, Cost *total, Selectivity *selectivity,
			   double *correlation, double *pages)
{
	IndexOptInfo *info = path->indexinfo;
	VxCostInput in;

	*selectivity = 1;
	*correlation = 0;
	*pages = info->pages;
	if (list_length(path->indexorderbys) != 1)
	{
		*startup = *total = get_float8_infinity();
		VxDisablePath(path);
		return;
	}

	fill_input(path, &in);
	in.share = filter_share(root, path);
	in.wanted = rows_wanted(root, path, &in);
	*selectivity = in.share;
	search_cost(&in, startup, total);
}

/*
 * Cost of a search among the rows of a bitmap, or of ranking them all, whichever
 * is less: that is decided when their number is known.  A condition may be both
 * in the bitmap and in the index; that no more pass than the query returns, and
 * no less, is then all that is known.
 */
void
VxCostBitmapScan(PlannerInfo *root, BitmapHeapPath *bitmap, IndexPath *ordered,
				 Cost *startup, Cost *total)
{
	RelOptInfo *rel = ordered->path.parent;
	VxCostInput in;
	Cost		bitmap_cost;
	Selectivity bitmap_share;
	QualCost	qual;
	double		rows;
	double		pages;
	double		pulled;			/* share of what the search would return */
	Cost		exact;
	Cost		set;

	cost_bitmap_tree_node(bitmap->bitmapqual, &bitmap_cost, &bitmap_share);
	rows = clamp_row_est(bitmap_share * rel->tuples);
	fill_input(ordered, &in);
	in.share = filter_share(root, ordered) * bitmap_share;
	in.share = Min(Max(Max(in.share, rel->rows / Max(rel->tuples, 1)), 1 / in.rows), 1);
	in.wanted = rows_wanted(root, ordered, &in);

	/*
	 * A bitmap heap scan, and a distance of each row, to sort by.  A plan that does
	 * the same but cannot do otherwise is not preferred, unless it is for a row or
	 * two.
	 */
	cost_qual_eval(&qual, ordered->indexorderbys, root);
	exact = bitmap->path.total_cost + SETUP_TUPLES * cpu_tuple_cost +
		bitmap->path.rows * qual.per_tuple;

	/* a set of the bitmap's rows, a search, and the table's rows that it returns */
	cost_qual_eval(&qual, rel->baserestrictinfo, root);
	pages = index_pages_fetched(in.rows * in.share, rel->pages, ordered->indexinfo->pages, root);
	search_cost(&in, startup, total);
	set = bitmap_cost + rows * SET_COST * cpu_operator_cost;
	*startup += set + qual.startup;
	*total += set + qual.startup + pages * random_page_cost +
		in.rows * in.share * (cpu_tuple_cost + qual.per_tuple);
	pulled = in.wanted / Max(in.rows * in.share, 1);
	if (exact < *startup + (*total - *startup) * Min(pulled, 1))
		*startup = *total = exact;
}
