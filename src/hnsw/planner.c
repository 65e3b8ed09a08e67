/*-------------------------------------------------------------------------
 *
 * planner.c
 *	  What is changed in a finished plan.
 *
 * An index scan that returns rows in the order of an expression computes that
 * expression for every row, although nobody looks at it: the planner adds it to
 * the scan's target list, as "resjunk", for a sort that is not there.  For a
 * distance that means fetching and detoasting the vector of each row, which
 * costs more than finding the row did.  So where the node above cannot use the
 * value, we put a NULL in its place.
 *
 * That is the case if the scan is the plan's top node, or the child of a Limit
 * (without WITH TIES, which compares the values), since resjunk columns of
 * either are for nobody else's eyes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "hnsw/bitmapscan.h"

static planner_hook_type prev_planner_hook;

/* Is the index one of ours? */
static bool
is_hnsw_index(Oid indexid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(indexid));
	IndexAmRoutine *am;
	Oid			amoid;
	bool		ours;

	if (!HeapTupleIsValid(tuple))
		return false;
	amoid = ((Form_pg_class) GETSTRUCT(tuple))->relam;
	ReleaseSysCache(tuple);
	am = GetIndexAmRoutineByAmId(amoid, true);
	ours = am != NULL && am->amgettuple == vxgettuple;
	if (am)
		pfree(am);
	return ours;
}

static Expr *
null_like(const Expr *expr)
{
	return (Expr *) makeNullConst(exprType((const Node *) expr),
								  exprTypmod((const Node *) expr),
								  exprCollation((const Node *) expr));
}

/*
 * Replace the unused ordering expressions of a plan whose rows come from an index
 * scan
 */
static void
drop_junk_distances(Plan *plan, IndexScan *scan)
{
	ListCell   *lc;

	if (scan->indexorderbyorig == NIL || !is_hnsw_index(scan->indexid))
		return;
	foreach(lc, plan->targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (entry->resjunk && list_member(scan->indexorderbyorig, entry->expr))
			entry->expr = null_like(entry->expr);
	}
}

static void
simplify_plan(Plan *plan, bool top)
{
	ListCell   *lc;

	if (plan == NULL)
		return;
	if (top && IsA(plan, IndexScan))
		drop_junk_distances(plan, (IndexScan *) plan);
	if (top && VxBitmapScanIndex(plan) != NULL)
		drop_junk_distances(plan, VxBitmapScanIndex(plan));
	if (IsA(plan, Append))
		foreach(lc, ((Append *) plan)->appendplans)
			simplify_plan(lfirst(lc), false);
	if (IsA(plan, MergeAppend))
		foreach(lc, ((MergeAppend *) plan)->mergeplans)
			simplify_plan(lfirst(lc), false);
	if (IsA(plan, SubqueryScan))
		simplify_plan(((SubqueryScan *) plan)->subplan, false);
	if (IsA(plan, CustomScan))
		foreach(lc, ((CustomScan *) plan)->custom_plans)
			simplify_plan(lfirst(lc), false);
	simplify_plan(plan->lefttree,
				  IsA(plan, Limit) &&
				  ((Limit *) plan)->limitOption != LIMIT_OPTION_WITH_TIES);
	simplify_plan(plan->righttree, false);
}

static PlannedStmt *
plan_query(Query *parse, const char *query_string, int cursor_options,
		   ParamListInfo params)
{
	PlannedStmt *stmt = prev_planner_hook ?
		prev_planner_hook(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);
	ListCell   *lc;

	simplify_plan(stmt->planTree, stmt->commandType == CMD_SELECT);
	foreach(lc, stmt->subplans)
		simplify_plan(lfirst(lc), false);
	return stmt;
}

/* Take our place among those who see plans; once, when the library is loaded */
void
VxPlannerInit(void)
{
	prev_planner_hook = planner_hook;
	planner_hook = plan_query;
}
