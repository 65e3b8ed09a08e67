/*-------------------------------------------------------------------------
 *
 * validate.c
 *	  Operator class validation (amvalidate).
 *
 * An operator class of vectors must have support function 1, which tells what it
 * indexes (internal to internal; one of hnsw.c, and for its type), and one
 * ordering operator, strategy 1, on its type, that returns double precision.  One
 * of a filter column has no support function, and search operators that return
 * boolean.
 *
 * Nothing keeps superusers from making other operator classes, so an index and
 * a scan make sure of what they rely on themselves: VxGetSpace, check_keys, and
 * add_key, which leaves to the executor what it does not know.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "hnsw/attr.h"

/*
 * An operator class that orders has a distance, strategy 1; one of a filter
 * column has comparisons, which return boolean.
 */
static bool
valid_operator(const char *opfamily, Form_pg_amop op)
{
	if (op->amopstrategy == 1 && op->amoppurpose == AMOP_ORDER &&
		op->amoplefttype == op->amoprighttype &&
		get_op_rettype(op->amopopr) == FLOAT8OID &&
		opfamily_can_sort_type(op->amopsortfamily, FLOAT8OID))
		return true;
	if (op->amoppurpose == AMOP_SEARCH && op->amopstrategy >= 1 &&
		op->amopstrategy <= VX_STRATEGY_CONTAINS && !OidIsValid(op->amopsortfamily) &&
		check_amop_signature(op->amopopr, BOOLOID, op->amoplefttype, op->amoprighttype))
		return true;
	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator family \"%s\" of access method hnsw contains invalid operator %s",
					opfamily, format_operator(op->amopopr))));
	return false;
}

static bool
valid_support(const char *opfamily, Form_pg_amproc proc)
{
	FmgrInfo	function;

	fmgr_info(proc->amproc, &function);
	if (proc->amprocnum == VX_SPACE_PROC &&
		proc->amproclefttype == proc->amprocrighttype &&
		check_amproc_signature(proc->amproc, INTERNALOID, true, 1, 1, INTERNALOID) &&
		VxFindSpace(&function, proc->amproclefttype) != NULL)
		return true;
	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator family \"%s\" of access method hnsw contains invalid support function %s",
					opfamily, format_procedure(proc->amproc))));
	return false;
}

/*
 * Does the family have an operator for the type, and a support function if and
 * only if that is a distance?
 */
static bool
is_complete(const char *opclass, CatCList *operators, CatCList *supports, Oid type)
{
	bool		orders = false;
	bool		filters = false;
	bool		has_support = false;

	for (int i = 0; i < operators->n_members; i++)
	{
		Form_pg_amop op = (Form_pg_amop) GETSTRUCT(&operators->members[i]->tuple);

		if (op->amoplefttype != type)
			continue;
		orders |= op->amoppurpose == AMOP_ORDER;
		filters |= op->amoppurpose == AMOP_SEARCH;
	}
	for (int i = 0; i < supports->n_members; i++)
		has_support |= ((Form_pg_amproc)
						GETSTRUCT(&supports->members[i]->tuple))->amproclefttype == type;
	if (orders != filters && orders == has_support)
		return true;
	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator class \"%s\" of access method hnsw is missing its operator or support function",
					opclass)));
	return false;
}

bool
vxvalidate(Oid opclass)
{
	HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	HeapTuple	family;
	Form_pg_opclass form;
	CatCList   *operators;
	CatCList   *supports;
	char	   *opfamily;
	bool		valid = true;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	family = SearchSysCache1(OPFAMILYOID, ObjectIdGetDatum(form->opcfamily));
	if (!HeapTupleIsValid(family))
		elog(ERROR, "cache lookup failed for operator family %u", form->opcfamily);
	opfamily = pstrdup(NameStr(((Form_pg_opfamily) GETSTRUCT(family))->opfname));
	ReleaseSysCache(family);
	operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(form->opcfamily));
	supports = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(form->opcfamily));

	for (int i = 0; i < operators->n_members; i++)
		valid &= valid_operator(opfamily, (Form_pg_amop)
								GETSTRUCT(&operators->members[i]->tuple));
	for (int i = 0; i < supports->n_members; i++)
		valid &= valid_support(opfamily, (Form_pg_amproc)
							   GETSTRUCT(&supports->members[i]->tuple));
	valid &= is_complete(NameStr(form->opcname), operators, supports, form->opcintype);

	ReleaseCatCacheList(operators);
	ReleaseCatCacheList(supports);
	ReleaseSysCache(tuple);
	return valid;
}
