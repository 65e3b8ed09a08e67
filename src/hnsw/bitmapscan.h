/*-------------------------------------------------------------------------
 *
 * bitmapscan.h
 *	  Searches among the rows of a bitmap; see bitmapscan.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_BITMAPSCAN_H
#define VX_BITMAPSCAN_H

#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

#include "hnsw/hnsw.h"

extern Path *VxBitmapScanPath(PlannerInfo *root, RelOptInfo *rel,
							  BitmapHeapPath *bitmap, IndexPath *ordered);
extern IndexScan *VxBitmapScanIndex(Plan *plan);
extern void VxBitmapScanInit(void);

/* cost.c */
extern void VxCostBitmapScan(PlannerInfo *root, BitmapHeapPath *bitmap,
							 IndexPath *ordered, Cost *startup, Cost *total);

#endif							/* VX_BITMAPSCAN_H */
