/*
 * no-hnswlib.c
 *		Stands in for hnswlib.cc where that library is not installed.
 */
#include "tool.h"

void *
hnswlib_load(const char *path, int dims, Metric metric)
{
	(void) dims;
	(void) metric;
	die("\"%s\" cannot be read: this tool was built without hnswlib", path);
}

void
hnswlib_set_ef(void *index, int ef)
{
	(void) index;
	(void) ef;
}

int
hnswlib_search(void *index, const float *query, int dims, Metric metric, int k, int32_t *ids)
{
	(void) index;
	(void) query;
	(void) dims;
	(void) metric;
	(void) k;
	(void) ids;
	return 0;
}
