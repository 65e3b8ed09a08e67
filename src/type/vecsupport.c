/*-------------------------------------------------------------------------
 *
 * vecsupport.c
 *	  What the planner asks about distance functions.
 *
 * A distance of a vector that is stored out of line costs what fetching it does,
 * several times the arithmetic.  The planner does not count that by itself, and
 * then takes a plan that computes many distances to be cheaper than it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heaptoast.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"

#include "compat.h"
#include "type/vector.h"

/*
 * Cost of a distance, in units of cpu_operator_cost, which is also the COST of
 * the functions; and of fetching a vector that is stored out of line, in units of
 * cpu_tuple_cost, of which 100 are a microsecond: for the vector and for each of
 * its chunks.  784 dimensions, in two chunks: 1.7 us if few of them are fetched
 * again and again, 4 us if many.
 */
#define DISTANCE_OPERATORS 100
#define FETCH_TUPLES 100
#define FETCH_CHUNK_TUPLES 50

/* Cost of fetching an argument: nothing unless it is a column of long vectors */
static Cost
fetch_cost(Node *arg)
{
	int32		dims;
	double		bytes;

	while (IsA(arg, RelabelType))
		arg = (Node *) ((RelabelType *) arg)->arg;
	if (!IsA(arg, Var))
		return 0;
	dims = exprTypmod(arg);
	bytes = (double) dims * sizeof(float4);
	if (dims < 1 || bytes < TOAST_TUPLE_THRESHOLD)
		return 0;
	return cpu_tuple_cost * (FETCH_TUPLES +
							 FETCH_CHUNK_TUPLES * bytes / TOAST_MAX_CHUNK_SIZE);
}

/* Planner support function of the distances */
VX_FUNCTION(vx_distance_support);
Datum
vx_distance_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	List	   *args = NIL;
	ListCell   *lc;

	if (IsA(request, SupportRequestCost))
	{
		SupportRequestCost *cost = (SupportRequestCost *) request;

		if (cost->node && IsA(cost->node, OpExpr))
			args = ((OpExpr *) cost->node)->args;
		else if (cost->node && IsA(cost->node, FuncExpr))
			args = ((FuncExpr *) cost->node)->args;
		cost->startup = 0;
		cost->per_tuple = DISTANCE_OPERATORS * cpu_operator_cost;
		foreach(lc, args)
			cost->per_tuple += fetch_cost(lfirst(lc));
		PG_RETURN_POINTER(cost);
	}
	PG_RETURN_POINTER(NULL);
}
