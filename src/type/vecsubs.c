/*-------------------------------------------------------------------------
 *
 * vecsubs.c
 *	  The SQL type vector: subscripts.
 *
 * v[i] is the i-th element, counted from 1, as real.  Reading a place that
 * does not exist, or with a null subscript, gives null, as with arrays.
 * Writing replaces an element; a vector's dimensions are fixed, so the element
 * must exist.  There are no slices: subvector() does that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "executor/execExpr.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/subscripting.h"
#include "parser/parse_coerce.h"
#include "parser/parse_expr.h"

#include "compat.h"
#include "type/vector.h"

VX_FUNCTION(vx_vector_subscript_handler);

/* The subscript of the current evaluation, passed from check to fetch/assign */
typedef struct VectorSubscript
{
	int32		index;			/* counted from 1; any int32 */
} VectorSubscript;

/*
 * Finish parse analysis of a SubscriptingRef: exactly one subscript, coerced
 * to integer; the result is real.
 */
static void
vector_subscript_transform(SubscriptingRef *sbsref, List *indirection,
						   ParseState *pstate, bool isSlice,
						   bool isAssignment)
{
	A_Indices  *ai = linitial_node(A_Indices, indirection);
	Node	   *subexpr;
	Oid			subexpr_type;

	if (isSlice)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("type vector does not support slices"),
				 errhint("Use the function subvector()."),
				 parser_errposition(pstate,
									exprLocation((Node *) indirection))));
	if (list_length(indirection) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("type vector supports only one subscript"),
				 parser_errposition(pstate,
									exprLocation((Node *) indirection))));

	subexpr = transformExpr(pstate, ai->uidx, pstate->p_expr_kind);
	subexpr_type = exprType(subexpr);
	subexpr = coerce_to_target_type(pstate, subexpr, subexpr_type,
									INT4OID, -1,
									COERCION_ASSIGNMENT,
									COERCE_IMPLICIT_CAST,
									-1);
	if (subexpr == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("subscript of type vector must have type integer"),
				 parser_errposition(pstate, exprLocation(ai->uidx))));

	sbsref->refupperindexpr = list_make1(subexpr);
	sbsref->reflowerindexpr = NIL;
	sbsref->refrestype = FLOAT4OID;
	sbsref->reftypmod = -1;
}

/*
 * Keep the subscript for the steps that follow.  A null one ends a fetch with
 * null and is an error in an assignment.
 */
static bool
vector_subscript_check(ExprState *state, ExprEvalStep *op,
					   ExprContext *econtext)
{
	SubscriptingRefState *sbsrefstate = op->d.sbsref_subscript.state;
	VectorSubscript *subscript = (VectorSubscript *) sbsrefstate->workspace;

	if (sbsrefstate->upperindexnull[0])
	{
		if (sbsrefstate->isassignment)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("subscript in assignment must not be null")));
		*op->resnull = true;
		return false;
	}
	subscript->index = DatumGetInt32(sbsrefstate->upperindex[0]);
	return true;
}

/*
 * Fetch an element.  Of a value stored out of line only the bytes needed are
 * read.
 */
static void
vector_subscript_fetch(ExprState *state, ExprEvalStep *op,
					   ExprContext *econtext)
{
	SubscriptingRefState *sbsrefstate = op->d.sbsref.state;
	VectorSubscript *subscript = (VectorSubscript *) sbsrefstate->workspace;
	Datum		container = *op->resvalue;
	struct varlena *slice;
	int			dim;
	float		value;

	/* fetch_strict */
	Assert(!*op->resnull);

	dim = (toast_raw_datum_size(container) - VECTOR_SIZE(0)) / sizeof(float);
	if (subscript->index < 1 || subscript->index > dim)
	{
		*op->resnull = true;
		return;
	}
	slice = PG_DETOAST_DATUM_SLICE(container,
								   VECTOR_SIZE(subscript->index - 1) - VARHDRSZ,
								   sizeof(float));
	memcpy(&value, VARDATA_ANY(slice), sizeof(value));
	pfree(slice);
	*op->resvalue = Float4GetDatum(value);
	*op->resnull = false;
}

/* Replace an element in a copy of the vector */
static void
vector_subscript_assign(ExprState *state, ExprEvalStep *op,
						ExprContext *econtext)
{
	SubscriptingRefState *sbsrefstate = op->d.sbsref.state;
	VectorSubscript *subscript = (VectorSubscript *) sbsrefstate->workspace;
	Vector	   *result;
	float		value;

	if (*op->resnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cannot assign to an element of a null vector")));
	if (sbsrefstate->replacenull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cannot set an element of a vector to null")));
	value = DatumGetFloat4(sbsrefstate->replacevalue);
	VxCheckElements(&value, 1);

	result = (Vector *) PG_DETOAST_DATUM_COPY(*op->resvalue);
	if (subscript->index < 1 || subscript->index > result->dim)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("vector subscript out of range"),
				 errdetail("Subscript %d of a vector of %d dimensions.",
						   subscript->index, result->dim)));
	result->x[subscript->index - 1] = value;
	*op->resvalue = PointerGetDatum(result);
}

/*
 * Set up execution.  There is no sbs_fetch_old, as elements have no parts that
 * could be assigned to.
 */
static void
vector_subscript_exec_setup(const SubscriptingRef *sbsref,
							SubscriptingRefState *sbsrefstate,
							SubscriptExecSteps *methods)
{
	sbsrefstate->workspace = palloc0(sizeof(VectorSubscript));
	methods->sbs_check_subscripts = vector_subscript_check;
	methods->sbs_fetch = vector_subscript_fetch;
	methods->sbs_assign = vector_subscript_assign;
	methods->sbs_fetch_old = NULL;
}

/* vector_subscript_handler(internal) returns internal */
Datum
vx_vector_subscript_handler(PG_FUNCTION_ARGS)
{
	static const SubscriptRoutines routines = {
		.transform = vector_subscript_transform,
		.exec_setup = vector_subscript_exec_setup,
		.fetch_strict = true,	/* null inputs give null */
		.fetch_leakproof = true,	/* a bad subscript gives null */
		.store_leakproof = false	/* ... but an error here */
	};

	PG_RETURN_POINTER(&routines);
}
