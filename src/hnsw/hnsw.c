/*-------------------------------------------------------------------------
 *
 * hnsw.c
 *	  The access method hnsw: handler, options, settings, spaces.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/amapi.h"
#include "access/reloptions.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "hnsw/hnsw.h"
#include "type/vector.h"

int			vx_ef_search = VX_DEFAULT_EF_SEARCH;
int			vx_iterative_scan = VX_ITERATIVE_STRICT;
int			vx_max_scan_tuples = INT_MAX;
double		vx_scan_mem_multiplier = 1;
bool		vx_enable_bitmap_filter = true;

static relopt_kind vx_relopt_kind;

static const struct config_enum_entry iterative_scan_options[] = {
	{"off", VX_ITERATIVE_OFF, false},
	{"relaxed_order", VX_ITERATIVE_RELAXED, false},
	{"strict_order", VX_ITERATIVE_STRICT, false},
	{NULL, 0, false}
};

/* ------------------------------------------------------------------- spaces */

static const VxSpace vector_l2_space = {VX_ELEM_FLOAT4, VX_METRIC_L2, VECTOR_MAX_DIM, vx_vector_in};
static const VxSpace vector_ip_space = {VX_ELEM_FLOAT4, VX_METRIC_IP, VECTOR_MAX_DIM, vx_vector_in};
static const VxSpace vector_cosine_space = {VX_ELEM_FLOAT4, VX_METRIC_COSINE, VECTOR_MAX_DIM, vx_vector_in};
static const VxSpace vector_l1_space = {VX_ELEM_FLOAT4, VX_METRIC_L1, VECTOR_MAX_DIM, vx_vector_in};

/* Support functions 1 of the operator classes: (internal) returns internal */
VX_FUNCTION(vx_vector_l2_space);
Datum
vx_vector_l2_space(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&vector_l2_space);
}

VX_FUNCTION(vx_vector_ip_space);
Datum
vx_vector_ip_space(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&vector_ip_space);
}

VX_FUNCTION(vx_vector_cosine_space);
Datum
vx_vector_cosine_space(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&vector_cosine_space);
}

VX_FUNCTION(vx_vector_l1_space);
Datum
vx_vector_l1_space(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&vector_l1_space);
}

/*
 * The space that a support function stands for, if it is one of the above and
 * made for values of the type, or of a domain over it; else NULL.  An operator
 * class may name any function that takes and returns internal, and any type, so
 * both are known by the C functions behind them, not by what they are declared
 * to be.
 */
const VxSpace *
VxFindSpace(const FmgrInfo *function, Oid type)
{
	static const struct
	{
		PGFunction	function;
		const VxSpace *space;
	}			spaces[] = {
		{vx_vector_l2_space, &vector_l2_space},
		{vx_vector_ip_space, &vector_ip_space},
		{vx_vector_cosine_space, &vector_cosine_space},
		{vx_vector_l1_space, &vector_l1_space},
	};
	Oid			input;
	Oid			param;
	FmgrInfo	input_function;

	for (int i = 0; i < (int) lengthof(spaces); i++)
	{
		if (function->fn_addr != spaces[i].function)
			continue;
		getTypeInputInfo(getBaseType(type), &input, &param);
		fmgr_info(input, &input_function);
		return input_function.fn_addr == spaces[i].space->input ? spaces[i].space : NULL;
	}
	return NULL;
}

/* ------------------------------------------------------------------ options */

/* code_bits takes three values only; without it, the dimensions decide */
static void
validate_code_bits(const char *value)
{
	if (value == NULL || strcmp(value, "2") == 0 || strcmp(value, "4") == 0 ||
		strcmp(value, "8") == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"code_bits\": \"%.64s\"", value),
			 errdetail("Valid values are \"2\", \"4\" and \"8\".")));
}

bytea *
vxoptions(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{.optname = "m", .opttype = RELOPT_TYPE_INT,
		.offset = offsetof(VxOptions, m)},
		{.optname = "ef_construction", .opttype = RELOPT_TYPE_INT,
		.offset = offsetof(VxOptions, ef_construction)},
		{.optname = "code_bits", .opttype = RELOPT_TYPE_STRING,
		.offset = offsetof(VxOptions, code_bits)},
	};

	return (bytea *) build_reloptions(reloptions, validate, vx_relopt_kind,
									  sizeof(VxOptions), table, lengthof(table));
}

/* Register options and settings; called once, when the library is loaded */
void
VxHnswInit(void)
{
	vx_relopt_kind = add_reloption_kind();
	add_int_reloption(vx_relopt_kind, "m", "Links per node and layer",
					  VX_DEFAULT_M, VX_MIN_M, VX_MAX_M, AccessExclusiveLock);
	add_int_reloption(vx_relopt_kind, "ef_construction",
					  "Size of the candidate list when building",
					  VX_DEFAULT_EF_CONSTRUCTION, VX_MIN_EF_CONSTRUCTION,
					  VX_MAX_EF_CONSTRUCTION, AccessExclusiveLock);
	add_string_reloption(vx_relopt_kind, "code_bits",
						 "Bits per dimension of the codes that searches read",
						 NULL, validate_code_bits, AccessExclusiveLock);

	DefineCustomIntVariable("hnsw.ef_search",
							"Sets the size of the candidate list of searches.",
							"A larger one finds more of the true nearest neighbors and takes longer.",
							&vx_ef_search, VX_DEFAULT_EF_SEARCH,
							VX_MIN_EF_SEARCH, VX_MAX_EF_SEARCH,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("hnsw.iterative_scan",
							 "Sets how searches go on when more rows than ef_search are wanted.",
							 "\"strict_order\" keeps rows found late back to the end, \"relaxed_order\" returns them at once, \"off\" stops.",
							 &vx_iterative_scan, VX_ITERATIVE_STRICT,
							 iterative_scan_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("hnsw.max_scan_tuples",
							"Sets the number of rows after which searches no longer go on.",
							"The default means no limit.",
							&vx_max_scan_tuples, INT_MAX, 1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("hnsw.scan_mem_multiplier",
							 "Sets the multiple of work_mem that a search may use.",
							 NULL, &vx_scan_mem_multiplier, 1, 1, 1000,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("hnsw.enable_bitmap_filter",
							 "Enables the planner's use of other indexes' bitmaps to filter searches.",
							 NULL, &vx_enable_bitmap_filter, true,
							 PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	MarkGUCPrefixReserved("hnsw");
}

/* ------------------------------------------------------------------ handler */

VX_FUNCTION(vx_hnswhandler);
Datum
vx_hnswhandler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *am = makeNode(IndexAmRoutine);

	am->amstrategies = 0;
	am->amsupport = VX_N_PROCS;
	am->amoptsprocnum = 0;
	am->amcanorderbyop = true;
	am->amcanmulticol = true;
	am->amsearcharray = true;
	am->amsearchnulls = true;
	am->amoptionalkey = true;
	am->amusemaintenanceworkmem = false;
	am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL |
		VACUUM_OPTION_PARALLEL_COND_CLEANUP;
	am->amkeytype = InvalidOid;
	VxSetCanBuildParallel(am);

	am->ambuild = vxbuild;
	am->ambuildempty = vxbuildempty;
	am->aminsert = vxinsert;
	am->ambulkdelete = vxbulkdelete;
	am->amvacuumcleanup = vxvacuumcleanup;
	am->amcostestimate = vxcostestimate;
	am->amoptions = vxoptions;
	am->ambuildphasename = vxbuildphasename;
	am->amvalidate = vxvalidate;
	am->ambeginscan = vxbeginscan;
	am->amrescan = vxrescan;
	am->amgettuple = vxgettuple;
	am->amendscan = vxendscan;

	PG_RETURN_POINTER(am);
}
