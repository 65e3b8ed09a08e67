/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the supported major versions of PostgreSQL (15 and
 *	  later).  Version tests belong here and nowhere else.
 *
 * Include it after postgres.h and fmgr.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_COMPAT_H
#define VX_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "vectorx needs PostgreSQL 15 or later"
#endif

#include "nodes/tidbitmap.h"

/* 16 took the access macros of varlena out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * We compile with -fvisibility=hidden.  From 16 on PGDLLEXPORT makes a symbol
 * visible; before, it is empty except on Windows.  This must come before
 * PG_MODULE_MAGIC and PG_FUNCTION_INFO_V1, which use it.
 */
#if PG_VERSION_NUM < 160000 && defined(__GNUC__) && !defined(WIN32)
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* 18 has pg_noreturn in front of a declaration, instead of an attribute after it */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* Declare an SQL-callable function; the C definition follows */
#define VX_FUNCTION(name) \
	PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/*
 * Report an input error softly where the server can (16 on): return
 * dummy_value if context is an ErrorSaveContext, else raise the error.
 */
#if PG_VERSION_NUM >= 160000
#define VxEreturn(context, dummy_value, ...) \
	ereturn(context, dummy_value, __VA_ARGS__)
#else
#define VxEreturn(context, dummy_value, ...) \
	do { \
		(void) (context); \
		ereport(ERROR, __VA_ARGS__); \
		return dummy_value; \
	} while (0)
#endif

/* Count a search for EXPLAIN ANALYZE (18 on) */
#if PG_VERSION_NUM >= 180000
#define VxCountSearch(scan) \
	do { \
		if ((scan)->instrument) \
			(scan)->instrument->nsearches++; \
	} while (0)
#else
#define VxCountSearch(scan) ((void) (scan))
#endif

/* Sleep as cost-based vacuum delay asks for; needs commands/vacuum.h */
#if PG_VERSION_NUM >= 180000
#define VxVacuumDelay() vacuum_delay_point(false)
#else
#define VxVacuumDelay() vacuum_delay_point()
#endif

/* How the buffer manager names a relation's file */
#if PG_VERSION_NUM >= 160000
#define VxRelationLocator(rel) ((rel)->rd_locator)
#define VxRelationFileNumber(rel) ((rel)->rd_locator.relNumber)
#else
#define VxRelationLocator(rel) ((rel)->rd_node)
#define VxRelationFileNumber(rel) ((rel)->rd_node.relNode)
#endif

/* The tag of a relation's main fork, block 0; needs storage/buf_internals.h */
#if PG_VERSION_NUM >= 160000
#define VxInitBufferTag(tag, rel) \
	InitBufferTag(tag, &(rel)->rd_locator, MAIN_FORKNUM, 0)
#else
#define VxInitBufferTag(tag, rel) \
	INIT_BUFFERTAG(*(tag), (rel)->rd_node, MAIN_FORKNUM, 0)
#endif

/* May the current user read all of a relation's data as its owner may? */
#if PG_VERSION_NUM >= 160000
#define VxOwnsRelation(relid) object_ownercheck(RelationRelationId, relid, GetUserId())
#else
#define VxOwnsRelation(relid) pg_class_ownercheck(relid, GetUserId())
#endif

/*
 * Have nothing in the search_path that anybody could have put there, until the
 * end of this GUC nest level; needs utils/guc.h
 */
#if PG_VERSION_NUM >= 170000
#define VxRestrictSearchPath() RestrictSearchPath()
#else
#define VxRestrictSearchPath() \
	((void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, \
							  PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false))
#endif

/* The next datum of a sort by value; needs utils/tuplesort.h */
#if PG_VERSION_NUM >= 160000
#define VxSortGetDatum(sort, value, isnull) \
	tuplesort_getdatum(sort, true, false, value, isnull, NULL)
#else
#define VxSortGetDatum(sort, value, isnull) \
	tuplesort_getdatum(sort, true, value, isnull, NULL)
#endif

/* Tell the planner that a path is out of the question (by cost before 18) */
#if PG_VERSION_NUM >= 180000
#define VxDisablePath(index_path) ((index_path)->path.disabled_nodes = 2)
#else
#define VxDisablePath(index_path) ((void) (index_path))
#endif

/*
 * Append n <= VX_EXTEND_BATCH zeroed pages to the main fork of a relation that
 * nobody else extends, past the buffers; zeros is such a page.  Before 16 each
 * page is written, as a hole might find no room on the disk when it is filled.
 * Needs storage/smgr.h and utils/rel.h.
 */
#if PG_VERSION_NUM >= 160000
#define VX_EXTEND_BATCH 65536
#define VxZeroExtend(rel, block, n, zeros) \
	smgrzeroextend(RelationGetSmgr(rel), MAIN_FORKNUM, block, n, false)
#else
#define VX_EXTEND_BATCH 1
#define VxZeroExtend(rel, block, n, zeros) \
	smgrextend(RelationGetSmgr(rel), MAIN_FORKNUM, block, zeros, false)
#endif

/* Tell that an access method builds in parallel (17 on) */
#if PG_VERSION_NUM >= 170000
#define VxSetCanBuildParallel(am) ((am)->amcanbuildparallel = true)
#else
#define VxSetCanBuildParallel(am) ((void) (am))
#endif

/*
 * Read a TID bitmap, page after page in order, also several times; while it is
 * read nothing may be added.  It has no rows on a page that is lossy.
 */
typedef struct VxBitmapReader
{
	BlockNumber block;
	bool		lossy;
	int			noffsets;
	const OffsetNumber *offsets;
#if PG_VERSION_NUM >= 180000
	TBMPrivateIterator *iterator;
	OffsetNumber room[TBM_MAX_TUPLES_PER_PAGE];
#else
	TBMIterator *iterator;
#endif
} VxBitmapReader;

static inline void
VxBitmapReaderInit(VxBitmapReader *reader, TIDBitmap *bitmap)
{
#if PG_VERSION_NUM >= 180000
	reader->iterator = tbm_begin_private_iterate(bitmap);
	reader->offsets = reader->room;
#else
	reader->iterator = tbm_begin_iterate(bitmap);
#endif
}

static inline bool
VxBitmapReaderNext(VxBitmapReader *reader)
{
#if PG_VERSION_NUM >= 180000
	TBMIterateResult page;

	if (!tbm_private_iterate(reader->iterator, &page))
		return false;
	reader->block = page.blockno;
	reader->lossy = page.lossy;
	reader->noffsets = page.lossy ? 0 :
		tbm_extract_page_tuple(&page, reader->room, TBM_MAX_TUPLES_PER_PAGE);
#else
	TBMIterateResult *page = tbm_iterate(reader->iterator);

	if (page == NULL)
		return false;
	reader->block = page->blockno;
	reader->lossy = page->ntuples < 0;
	reader->noffsets = Max(page->ntuples, 0);
	reader->offsets = page->offsets;
#endif
	return true;
}

static inline void
VxBitmapReaderEnd(VxBitmapReader *reader)
{
#if PG_VERSION_NUM >= 180000
	tbm_end_private_iterate(reader->iterator);
#else
	tbm_end_iterate(reader->iterator);
#endif
}

/* Begin the scan of an index scan's node; needs access/genam.h */
#if PG_VERSION_NUM >= 180000
#define VxBeginIndexScan(node, heap, snapshot) \
	index_beginscan(heap, (node)->iss_RelationDesc, snapshot, &(node)->iss_Instrument, \
					(node)->iss_NumScanKeys, (node)->iss_NumOrderByKeys)
#else
#define VxBeginIndexScan(node, heap, snapshot) \
	index_beginscan(heap, (node)->iss_RelationDesc, snapshot, \
					(node)->iss_NumScanKeys, (node)->iss_NumOrderByKeys)
#endif

/* Choose the kind of slot that a custom scan returns, before it is set up (16 on) */
#if PG_VERSION_NUM >= 160000
#define VxSetSlotOps(css, ops) ((css)->slotOps = (ops))
#else
#define VxSetSlotOps(css, ops) ((void) (css))
#endif

/* Where EXPLAIN's state and its functions are declared */
#if PG_VERSION_NUM >= 180000
#define VX_EXPLAIN_STATE_H "commands/explain_state.h"
#define VX_EXPLAIN_FORMAT_H "commands/explain_format.h"
#else
#define VX_EXPLAIN_STATE_H "commands/explain.h"
#define VX_EXPLAIN_FORMAT_H "commands/explain.h"
#endif

#endif							/* VX_COMPAT_H */
