/*-------------------------------------------------------------------------
 *
 * vectorx.c
 *	  The library: what happens when it is loaded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "compat.h"
#include "hnsw/bitmapscan.h"
#include "inject.h"
#include "kernels/kernels.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

static char *kernels_setting;

static bool
check_kernels(char **newval, void **extra, GucSource source)
{
	for (int i = 0; i < VxKernelSetCount(); i++)
		if (VxKernelSetUsable(i) && strcmp(VxKernelSetGet(i)->name, *newval) == 0)
			return true;
	if (strcmp(*newval, "auto") == 0)
		return true;
	GUC_check_errdetail("This processor has no such instruction set, or vectorx no kernels for it.");
	return false;
}

static void
assign_kernels(const char *newval, void *extra)
{
	VxKernelsChoose(newval);
}

/* Shows the set in use, also where the setting is "auto" */
static const char *
show_kernels(void)
{
	return VxKernels->name;
}

void
_PG_init(void)
{
	DefineCustomStringVariable("vectorx.kernels",
							   "Sets the instruction set of the distance kernels, and shows the one in use.",
							   "\"auto\" takes the best that the processor has; \"plain\" always works.",
							   &kernels_setting, "auto", PGC_USERSET, 0,
							   check_kernels, assign_kernels, show_kernels);
	VX_INJECTION_INIT();
	VxHnswInit();
	VxPlannerInit();
	VxPathsInit();
	VxBitmapScanInit();
	MarkGUCPrefixReserved("vectorx");
}
