/*-------------------------------------------------------------------------
 *
 * paths.c
 *	  Paths that the planner does not make by itself.
 *
 * 1. Ordered index scans with all conditions that the index can decide.  Some
 * versions leave out of an ordered scan those on a column other than the first
 * that are = ANY (15 and 16), and know boolean columns of built-in operator
 * families only (15).
 *
 * 2. Bitmap filters: what other indexes of the table can tell of the rows that
 * are wanted, as a bitmap of TIDs, for a search in ours (bitmapscan.c).  Which of
 * them to use, and how, is the planner's own choice: we let it make the paths of
 * a bitmap heap scan once more, from the other indexes only, and take the best.
 * Likewise it makes the ordered scan of our index, which it may have dropped in
 * favor of a path that has no such bitmap to gain from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "hnsw/bitmapscan.h"

static set_rel_pathlist_hook_type prev_pathlist_hook;

static bool
is_ours(const IndexOptInfo *index)
{
	return index->amcostestimate == vxcostestimate;
}

/* ------------------------------------------------- paths by the planner's hand */

/*
 * The paths that the planner makes for a relation from some of its indexes
 * alone, without those that need another relation's values.
 */
static List *
paths_from(PlannerInfo *root, RelOptInfo *rel, List *indexes)
{
	RelOptInfo	saved = *rel;
	List	   *paths;

	rel->indexlist = indexes;
	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->joininfo = NIL;
	rel->has_eclass_joins = false;
	create_index_paths(root, rel);
	paths = rel->pathlist;
	rel->indexlist = saved.indexlist;
	rel->pathlist = saved.pathlist;
	rel->partial_pathlist = saved.partial_pathlist;
	rel->joininfo = saved.joininfo;
	rel->has_eclass_joins = saved.has_eclass_joins;
	return paths;
}

/* The scan of an index of ours that returns rows in the order wanted, or NULL */
static IndexPath *
ordered_path(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index)
{
	ListCell   *lc;

	foreach(lc, paths_from(root, rel, list_make1(index)))
	{
		IndexPath  *path = lfirst(lc);

		if (IsA(path, IndexPath) && list_length(path->indexorderbys) == 1 &&
			path->path.param_info == NULL)
			return path;
	}
	return NULL;
}

/*
 * The best bitmap heap scan by the other indexes, or NULL.  It need not be better
 * than a plain scan of one of them.
 */
static BitmapHeapPath *
bitmap_path(PlannerInfo *root, RelOptInfo *rel)
{
	List	   *others = NIL;
	List	   *plain = NIL;	/* those that can be scanned plainly, too */
	BitmapHeapPath *found = NULL;
	ListCell   *lc;

	foreach(lc, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(lc);

		if (!index->amhasgetbitmap)
			continue;
		others = lappend(others, index);
		if (index->amhasgettuple)
			plain = lappend(plain, index);
		index->amhasgettuple = false;
	}
	if (others != NIL)
		foreach(lc, paths_from(root, rel, others))
			if (IsA(lfirst(lc), BitmapHeapPath) && ((Path *) lfirst(lc))->param_info == NULL)
				found = lfirst(lc);
	foreach(lc, plain)
		((IndexOptInfo *) lfirst(lc))->amhasgettuple = true;
	return found;
}

/* ---------------------------------------------------------- missing conditions */

static IndexClause *
make_index_clause(RestrictInfo *rinfo, RestrictInfo *qual, int column)
{
	IndexClause *clause = makeNode(IndexClause);

	clause->rinfo = rinfo;
	clause->indexquals = list_make1(qual);
	clause->lossy = false;
	clause->indexcol = (AttrNumber) column;
	clause->indexcols = NIL;
	return clause;
}

/* Is this "column = ANY (something that does not depend on the row)"? */
static bool
is_any_of_column(PlannerInfo *root, IndexOptInfo *index, int column, Node *clause)
{
	ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) clause;
	Oid			collation = index->indexcollations[column];

	return IsA(clause, ScalarArrayOpExpr) && any->useOr &&
		match_index_to_operand(linitial(any->args), column, index) &&
		op_in_opfamily(any->opno, index->opfamily[column]) &&
		(!OidIsValid(collation) || collation == any->inputcollid) &&
		!bms_is_member((int) index->rel->relid, pull_varnos(root, lsecond(any->args))) &&
		!contain_volatile_functions(lsecond(any->args));
}

/*
 * What a clause, being true, says of a boolean column of the index: returns the
 * column as it is in the clause, and its value; NULL if nothing.
 */
static Node *
boolean_in_clause(IndexOptInfo *index, int column, Node *clause, bool *value)
{
	Node	   *arg = clause;

	*value = true;
	if (is_notclause(clause))
	{
		arg = (Node *) get_notclausearg((Expr *) clause);
		*value = false;
	}
	else if (IsA(clause, BooleanTest))
	{
		BooleanTest *test = (BooleanTest *) clause;

		if (test->booltesttype != IS_TRUE && test->booltesttype != IS_FALSE)
			return NULL;
		arg = (Node *) test->arg;
		*value = test->booltesttype == IS_TRUE;
	}
	return index->opcintype[column] == BOOLOID &&
		match_index_to_operand(arg, column, index) ? arg : NULL;
}

/* The condition on a filter column that a clause is, or NULL */
static IndexClause *
match_clause(PlannerInfo *root, IndexOptInfo *index, RestrictInfo *rinfo)
{
	Node	   *clause = (Node *) rinfo->clause;

	for (int column = 1; column < index->nkeycolumns; column++)
	{
		Node	   *arg;
		bool		value;

		if (is_any_of_column(root, index, column, clause))
			return make_index_clause(rinfo, rinfo, column);
		arg = boolean_in_clause(index, column, clause, &value);
		if (arg != NULL)
		{
			Expr	   *equal = make_opclause(BooleanEqualOperator, BOOLOID, false,
											  (Expr *) arg,
											  (Expr *) makeBoolConst(value, false),
											  InvalidOid, InvalidOid);

			return make_index_clause(rinfo, make_simple_restrictinfo(root, equal), column);
		}
	}
	return NULL;
}

/* Is a restriction among the conditions already? */
static bool
has_clause(List *clauses, RestrictInfo *rinfo)
{
	ListCell   *lc;

	foreach(lc, clauses)
		if (lfirst_node(IndexClause, lc)->rinfo == rinfo)
			return true;
	return false;
}

/* Insert a condition; they are in order of columns */
static List *
insert_clause(List *clauses, IndexClause *clause)
{
	int			at = 0;

	while (at < list_length(clauses) &&
		   list_nth_node(IndexClause, clauses, at)->indexcol <= clause->indexcol)
		at++;
	return list_insert_nth(clauses, at, clause);
}

/*
 * An ordered scan with the conditions that are missing from one; that one, if
 * none are.
 */
static IndexPath *
complete_path(PlannerInfo *root, IndexPath *path)
{
	IndexOptInfo *index = path->indexinfo;
	List	   *clauses = list_copy(path->indexclauses);
	ListCell   *lc;

	foreach(lc, index->indrestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		IndexClause *clause;

		if (rinfo->pseudoconstant || has_clause(clauses, rinfo) ||
			!restriction_is_securely_promotable(rinfo, index->rel))
			continue;
		clause = match_clause(root, index, rinfo);
		if (clause)
			clauses = insert_clause(clauses, clause);
	}
	if (list_length(clauses) == list_length(path->indexclauses))
		return path;
	return create_index_path(root, index, clauses, path->indexorderbys,
							 path->indexorderbycols, path->path.pathkeys,
							 path->indexscandir, false, NULL, 1, false);
}

/*
 * Put an ordered scan in the place of those that the planner made of the same
 * index, which have fewer conditions.  They might be estimated to cost less, but
 * then would not find as good rows: an index's conditions are applied before
 * ef_search rows are counted.
 */
static void
replace_path(RelOptInfo *rel, IndexPath *path)
{
	ListCell   *lc;

	foreach(lc, rel->pathlist)
	{
		IndexPath  *old = lfirst(lc);

		if (IsA(old, IndexPath) && old->indexinfo == path->indexinfo &&
			old->path.param_info == NULL)
			rel->pathlist = foreach_delete_current(rel->pathlist, lc);
	}
	add_path(rel, (Path *) path);
}

/* ------------------------------------------------------------------- the hook */

/* So it does, unless somebody made an operator family of his own */
static bool
orders_by_float8(IndexPath *path)
{
	return exprType(linitial(path->indexorderbys)) == FLOAT8OID;
}

/* Have the planner consider our paths for a table */
static void
add_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	List	   *ordered = NIL;
	BitmapHeapPath *bitmap;
	ListCell   *lc;

	if (prev_pathlist_hook)
		prev_pathlist_hook(root, rel, rti, rte);
	if (rte->rtekind != RTE_RELATION || rte->inh || rte->tablesample != NULL ||
		IS_DUMMY_REL(rel) || rel->lateral_relids != NULL || root->query_pathkeys == NIL)
		return;

	foreach(lc, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(lc);
		IndexPath  *path = is_ours(index) ? ordered_path(root, rel, index) : NULL;
		IndexPath  *complete = path ? complete_path(root, path) : NULL;

		if (complete == NULL)
			continue;
		ordered = lappend(ordered, complete);
		if (complete != path)
			replace_path(rel, complete);
	}
	if (ordered == NIL || !vx_enable_bitmap_filter || !enable_bitmapscan || !enable_indexscan)
		return;
	bitmap = bitmap_path(root, rel);
	if (bitmap)
		foreach(lc, ordered)
			if (orders_by_float8(lfirst(lc)))
				add_path(rel, VxBitmapScanPath(root, rel, bitmap, lfirst(lc)));
}

/* Take our place among those who add paths; once, when the library is loaded */
void
VxPathsInit(void)
{
	prev_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_paths;
}
