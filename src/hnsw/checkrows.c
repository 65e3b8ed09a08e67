/*-------------------------------------------------------------------------
 *
 * checkrows.c
 *	  The part of vectorx_index_check that compares rows: those of the index with
 *	  each other and with those of the table.
 *
 * A row is a number: its heap TID, 48 bits, and 16 bits of a hash of its vector and
 * its attributes.
 * Those of all slots go into one sort, those that a scan of the table finds for
 * this index into another, and both are read side by side.  So memory is
 * bounded by maintenance_work_mem, what is beyond goes to temporary files, and
 * but for a vector in 65536 that differs with the same hash nothing is missed.
 *
 * The table is read with a snapshot that is older than the first look at the
 * index, as amcheck does it: a row that it sees was put into the index before,
 * and stays as it is for as long as the snapshot is registered.  So a row of the
 * table without one in the index, or with another vector, is a finding at once.
 *
 * The other way round it is not so simple.  A row of the index that the snapshot
 * does not see may be new, or removed but not yet vacuumed; it is a suspect only
 * if its line pointer does not exist or is unused.  And two slots that were read
 * with the same TID may have been read at different times.  Suspects are
 * looked up once more: a pass over the node pages finds the slots with their
 * TIDs, then the table is looked at again, and then the slots.  A slot that has
 * not changed between the last two looks at it had the TID all the while, and
 * that while includes the look at the table, and the look at any other slot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/check.h"

/* Suspects looked up, at most; and slots with their TIDs */
#define MAX_SUSPECTS 100000
#define MAX_SIGHTINGS (4 * MAX_SUSPECTS)

/* ----------------------------------------------------------- rows as numbers */

#define HASH_BITS 16

static int64
row_key(const ItemPointerData *tid, uint32 hash)
{
	uint64		key = ItemPointerGetBlockNumberNoCheck(tid);

	key = key << 16 | ItemPointerGetOffsetNumberNoCheck(tid);
	key <<= HASH_BITS;
	return (int64) (key | (hash & ((1 << HASH_BITS) - 1)));
}

/* The hash of what a slot has of a row; vector is NULL if it cannot be read */
static uint32
row_hash(const VxIndex *ix, const void *vector, const uint8 *attrs)
{
	uint32		hash;

	if (vector == NULL)
		return 0;
	hash = hash_bytes(vector, ix->codec.vector_bytes);
	if (ix->attr_size > 0)
		hash = hash_combine(hash, hash_bytes(attrs, ix->attr_size));
	return hash;
}

static inline int64
tid_part(int64 key)
{
	return key >> HASH_BITS;
}

static void
tid_of_key(int64 key, ItemPointer tid)
{
	uint64		bits = (uint64) key >> HASH_BITS;

	ItemPointerSet(tid, (BlockNumber) (bits >> 16), (OffsetNumber) (bits & 0xFFFF));
}

/* A sort of rows with half of maintenance_work_mem */
static Tuplesortstate *
begin_sort(void)
{
	return tuplesort_begin_datum(INT8OID, Int8LessOperator, InvalidOid, false,
								 Max(maintenance_work_mem / 2, 64), NULL, TUPLESORT_NONE);
}

void
VxCheckRowsBegin(VxCheck *check)
{
	check->rows = begin_sort();
}

/* Take up a row of the index; vector is NULL if it cannot be read */
void
VxCheckRow(VxCheck *check, ItemPointer tid, const char *vector, const uint8 *attrs)
{
	tuplesort_putdatum(check->rows,
					   Int64GetDatum(row_key(tid, row_hash(check->ix, vector, attrs))),
					   false);
}

/* Reads a sort, one ahead */
typedef struct VxRowStream
{
	Tuplesortstate *sort;		/* NULL: no rows */
	bool		more;			/* is there a row? */
	int64		key;			/* this */
} VxRowStream;

static void
next_row(VxRowStream *stream)
{
	Datum		value;
	bool		isnull;

	CHECK_FOR_INTERRUPTS();
	stream->more = stream->sort != NULL && VxSortGetDatum(stream->sort, &value, &isnull);
	if (stream->more)
		stream->key = DatumGetInt64(value);
}

/* --------------------------------------------------------------- the table */

typedef struct VxTableRows
{
	VxCheck    *check;
	Tuplesortstate *sort;
	MemoryContext row_context;	/* reset after every row */
	uint8	   *attrs;			/* of the row */
} VxTableRows;

static void
take_table_row(Relation index, ItemPointer tid, Datum *values, bool *isnull,
			   bool alive, void *arg)
{
	VxTableRows *rows = arg;
	const VxIndex *ix = rows->check->ix;
	MemoryContext old;
	Pointer		detoasted;
	int64		key;

	if (isnull[0])
		return;
	old = MemoryContextSwitchTo(rows->row_context);
	VxEncodeAttrs(index, ix, values, isnull, rows->attrs);
	key = row_key(tid, row_hash(ix, VxCheckedVector(index, ix, values[0], &detoasted),
								rows->attrs));
	MemoryContextSwitchTo(old);
	MemoryContextReset(rows->row_context);
	tuplesort_putdatum(rows->sort, Int64GetDatum(key), false);
}

/* Scan the table for the rows that the index should have */
static Tuplesortstate *
sort_table_rows(VxCheck *check)
{
	IndexInfo  *info = BuildIndexInfo(check->index);
	VxTableRows rows;
	TableScanDesc scan;

	rows.check = check;
	rows.sort = begin_sort();
	rows.attrs = palloc((Size) check->ix->attr_size);
	rows.row_context = AllocSetContextCreate(CurrentMemoryContext, "hnsw check row",
											 ALLOCSET_DEFAULT_SIZES);
	/*
	 * As the first scan of CREATE INDEX CONCURRENTLY does it, which ends the
	 * scan.  Where a scan that was begun starts is settled; heapam asserts that
	 * allow_sync is true then.
	 */
	info->ii_Concurrent = true;
	scan = table_beginscan_strat(check->heap, check->snapshot, 0, NULL, true, false);
	table_index_build_scan(check->heap, check->index, info, true, false, take_table_row,
						   &rows, scan);
	MemoryContextDelete(rows.row_context);
	tuplesort_performsort(rows.sort);
	return rows.sort;
}

/* Looks at line pointers, one page at a time */
typedef struct VxHeapPage
{
	VxCheck    *check;
	BlockNumber nblocks;
	BlockNumber block;			/* of the copy */
	PGAlignedBlock copy;
} VxHeapPage;

static void
begin_heap(VxHeapPage *heap, VxCheck *check)
{
	heap->check = check;
	heap->block = InvalidBlockNumber;
}

/*
 * Is there a line pointer, in use, for a TID?  The page may have been read for
 * the TID before.
 */
static bool
line_pointer_exists(VxHeapPage *heap, const ItemPointerData *tid)
{
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(tid);
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(tid);
	Relation	rel = heap->check->heap;
	Page		page = (Page) heap->copy.data;

	if (block != heap->block)
	{
		Buffer		buffer;

		CHECK_FOR_INTERRUPTS();
		if (block >= RelationGetNumberOfBlocks(rel))
			return false;
		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL,
									heap->check->strategy);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		memcpy(page, BufferGetPage(buffer), BLCKSZ);
		UnlockReleaseBuffer(buffer);
		heap->block = block;
	}
	return !PageIsNew(page) && offset >= FirstOffsetNumber &&
		offset <= PageGetMaxOffsetNumber(page) &&
		ItemIdIsUsed(PageGetItemId(page, offset));
}

/* ---------------------------------------------------------------- suspects */

typedef enum VxSuspicion
{
	VX_TWICE,					/* two slots have the TID */
	VX_NOWHERE,					/* the table has no such row */
	VX_OTHER_VECTOR				/* the row in the table has another vector */
} VxSuspicion;

typedef struct VxSuspect
{
	int64		tid;			/* as tid_part gives it */
	VxSuspicion suspicion;
} VxSuspect;

/* A slot that has the TID of a suspect */
typedef struct VxSighting
{
	int			suspect;
	VxNodeId	id;
	uint16		generation;
	bool		confirmed;		/* it had the TID for a while */
} VxSighting;

typedef struct VxSuspects
{
	VxCheck    *check;
	VxSuspect  *all;			/* by TID, ascending */
	int			n;
	int			max;
	int64		nleft_out;
	VxSighting *sightings;
	int			nsightings;
	int			max_sightings;
} VxSuspects;

/* Suspects come in the order of their TIDs; one suspicion of each is enough */
static void
suspect(VxSuspects *suspects, int64 key, VxSuspicion suspicion)
{
	int64		tid = tid_part(key);

	if (suspects->n > 0 && suspects->all[suspects->n - 1].tid == tid)
		return;
	if (suspects->n == MAX_SUSPECTS)
	{
		suspects->nleft_out++;
		return;
	}
	if (suspects->n == suspects->max)
	{
		suspects->max = Max(suspects->max * 2, 64);
		suspects->all = suspects->all == NULL ?
			palloc(sizeof(VxSuspect) * (Size) suspects->max) :
			repalloc(suspects->all, sizeof(VxSuspect) * (Size) suspects->max);
	}
	suspects->all[suspects->n].tid = tid;
	suspects->all[suspects->n++].suspicion = suspicion;
}

static int
compare_suspects(const void *a, const void *b)
{
	int64		x = ((const VxSuspect *) a)->tid;
	int64		y = ((const VxSuspect *) b)->tid;

	return x < y ? -1 : x > y;
}

/* Note a slot if it has the TID of a suspect */
static void
sight(VxSuspects *suspects, VxNodeId id, VxNodeSlot slot)
{
	VxSuspect	wanted = {tid_part(row_key(&slot->tid, 0)), VX_TWICE};
	VxSuspect  *found = bsearch(&wanted, suspects->all, (size_t) suspects->n,
								sizeof(VxSuspect), compare_suspects);
	VxSighting *sighting;

	if (found == NULL || suspects->nsightings == MAX_SIGHTINGS)
		return;
	if (suspects->nsightings == suspects->max_sightings)
	{
		suspects->max_sightings = Max(suspects->max_sightings * 2, 64);
		suspects->sightings = suspects->sightings == NULL ?
			palloc(sizeof(VxSighting) * (Size) suspects->max_sightings) :
			repalloc(suspects->sightings, sizeof(VxSighting) * (Size) suspects->max_sightings);
	}
	sighting = &suspects->sightings[suspects->nsightings++];
	sighting->suspect = (int) (found - suspects->all);
	sighting->id = id;
	sighting->generation = slot->generation;
	sighting->confirmed = false;
}

static int
compare_sightings(const void *a, const void *b)
{
	const VxSighting *x = a;
	const VxSighting *y = b;

	if (x->suspect != y->suspect)
		return x->suspect < y->suspect ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Find the slots that have the suspects' TIDs now, in the order of those */
static void
find_slots(VxSuspects *suspects)
{
	VxCheck    *check = suspects->check;
	const VxIndex *ix = check->ix;

	for (uint32 stripe = 0; stripe < check->nstripes; stripe++)
	{
		Page		page = VxCheckNodePage(check, stripe);

		CHECK_FOR_INTERRUPTS();
		for (int s = 0; page != NULL && s < ix->slots_per_page; s++)
		{
			VxNodeSlot	slot = VxPageSlot(ix, page, s);

			if (VxStateIsRow(slot->state))
				sight(suspects, VxMakeNodeId(ix, stripe, s), slot);
		}
	}
	if (suspects->nsightings > 0)
		qsort(suspects->sightings, (size_t) suspects->nsightings, sizeof(VxSighting),
			  compare_sightings);
}

/* Does a slot that was sighted still have the TID? */
static bool
confirm(VxSuspects *suspects, const VxSighting *sighting)
{
	VxNodeSlotData slot;

	return VxCheckReadSlot(suspects->check, sighting->id, &slot) &&
		VxStateIsRow(slot.state) && slot.generation == sighting->generation &&
		tid_part(row_key(&slot.tid, 0)) == suspects->all[sighting->suspect].tid;
}

/* Report what is confirmed of the n slots that have a suspect's TID */
static void
judge(VxSuspects *suspects, VxHeapPage *heap, VxSighting *sightings, int n)
{
	VxCheck    *check = suspects->check;
	const VxSuspect *s = &suspects->all[sightings[0].suspect];
	ItemPointerData tid;
	bool		nowhere = false;
	int			first = -1;

	tid_of_key((int64) ((uint64) s->tid << HASH_BITS), &tid);
	if (s->suspicion == VX_NOWHERE)
	{
		heap->block = InvalidBlockNumber;
		nowhere = !line_pointer_exists(heap, &tid);
	}
	for (int i = 0; i < n; i++)
	{
		if (!confirm(suspects, &sightings[i]))
			continue;
		if (nowhere)
			VxSlotFinding(check, VX_ERROR, "tid", sightings[i].id, &tid,
						  "table has no such row");
		else if (s->suspicion == VX_OTHER_VECTOR)
			VxSlotFinding(check, VX_ERROR, "vector", sightings[i].id, &tid,
						  check->ix->nattrs == 0 ?
						  "vector is not that of the row in the table" :
						  "vector or filter columns are not those of the row in the table");
		if (first < 0)
			first = i;
		else
			VxSlotFinding(check, VX_ERROR, "tid", sightings[i].id, &tid,
						  "slot %d of block %u has the same row",
						  VxSlotNumber(check->ix, sightings[first].id),
						  VxNodeBlock(check->ix, sightings[first].id));
	}
}

static void
look_up_suspects(VxSuspects *suspects)
{
	VxHeapPage *heap = palloc(sizeof(VxHeapPage));

	if (suspects->n == 0)
		return;
	begin_heap(heap, suspects->check);
	find_slots(suspects);
	for (int i = 0, n; i < suspects->nsightings; i += n)
	{
		VxSighting *first = &suspects->sightings[i];

		for (n = 1; i + n < suspects->nsightings && first[n].suspect == first->suspect;)
			n++;
		judge(suspects, heap, first, n);
	}
	if (suspects->nleft_out > 0)
		VxFinding(suspects->check, VX_ERROR, "tid", InvalidBlockNumber, -1, NULL,
				  "there may be " INT64_FORMAT " rows more, which were not looked up",
				  suspects->nleft_out);
}

/* --------------------------------------------------------------- comparing */

/* A row of the index without one in the table that the snapshot sees */
static void
check_unseen(VxSuspects *suspects, VxHeapPage *heap, int64 key)
{
	ItemPointerData tid;

	tid_of_key(key, &tid);
	if (heap->check->heap->rd_rel->relam == HEAP_TABLE_AM_OID &&
		!line_pointer_exists(heap, &tid))
		suspect(suspects, key, VX_NOWHERE);
}

static void
compare_rows(VxCheck *check, VxRowStream *index, VxRowStream *table, VxSuspects *suspects)
{
	VxHeapPage *heap = palloc(sizeof(VxHeapPage));

	begin_heap(heap, check);
	next_row(index);
	next_row(table);
	while (index->more || table->more)
	{
		int64		key = index->key;

		if (!index->more || (table->more && tid_part(table->key) < tid_part(key)))
		{
			ItemPointerData tid;

			tid_of_key(table->key, &tid);
			VxFinding(check, VX_ERROR, "missing", InvalidBlockNumber, -1, &tid,
					  "row of the table is not in the index");
			next_row(table);
			continue;
		}
		if (table->more && tid_part(table->key) == tid_part(key))
		{
			if (table->key != key)
				suspect(suspects, key, VX_OTHER_VECTOR);
			next_row(table);
		}
		else if (check->with_heap)
			check_unseen(suspects, heap, key);
		for (next_row(index); index->more && tid_part(index->key) == tid_part(key);
			 next_row(index))
			suspect(suspects, key, VX_TWICE);
	}
	pfree(heap);
}

/* Compare the rows taken up with each other, and with the table if wanted */
void
VxCheckRowsEnd(VxCheck *check)
{
	VxRowStream index = {.sort = check->rows};
	VxRowStream table = {.sort = NULL};
	VxSuspects	suspects = {.check = check};

	tuplesort_performsort(check->rows);
	if (check->with_heap)
		table.sort = sort_table_rows(check);
	compare_rows(check, &index, &table, &suspects);
	tuplesort_end(index.sort);
	if (table.sort)
		tuplesort_end(table.sort);
	look_up_suspects(&suspects);
}
