/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Getting at pages that are in shared buffers, quickly.
 *
 * A search looks at hundreds of slots.  To find, pin, lock, unlock and unpin
 * the page of each costs several times what reading the slot does, so two
 * things keep a search from doing that each time.
 *
 * A table of this backend remembers in which buffer it last found a page.
 * Whoever uses it makes sure that the page is there still, so the table may be
 * wrong, may forget, and need not be told of anything.
 *
 * A walk *peeks* at node pages: it reads a slot without pin or lock, and looks
 * at the buffer's header before and after to see that the buffer held that
 * page, valid, at both times.  What it read may be a slot that somebody was
 * just changing, half old and half new.  That is good enough for hints: a walk
 * takes from a slot an estimate, links, and a generation; ids are checked
 * before they are used, nothing in a slot is used as a size or an address, and
 * before a row is returned its slot is read once more, under lock, by way of
 * VxReadSlot.  A slot that nobody is changing always reads right, also while
 * other slots of its page are being changed: generic WAL, in its doing and in
 * its replay, writes unchanged bytes over with themselves.
 *
 * Peeking does not raise a buffer's usage count, so that a page of which only
 * peeks are taken would seem unused, and be evicted.  Therefore pages are
 * peeked at only while their count is at its maximum.  Below, they are pinned,
 * locked and copied like any other page, which raises it.
 *
 * Valgrind's view of the buffer pool has unpinned pages out of bounds; a server
 * built for it gets no peeks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/reader.h"

/* Entries of a table of remembered buffers: powers of two, 8 bytes each */
#define TABLE_MIN_SIZE 8192
#define TABLE_MAX_SIZE (256 * 1024)

/* Pages by block number, and node pages, which are looked at most, by stripe */
static VxBufferTable page_table;
VxBufferTable VxNodeTable;

/*
 * Make a table large enough for an index of so many pages, within bounds.  What
 * it held is forgotten when it grows.
 */
static void
table_reserve(VxBufferTable *table, uint32 pages)
{
	uint32		size = TABLE_MIN_SIZE;
	VxRemembered *entries;

	while (size < TABLE_MAX_SIZE && size < pages)
		size *= 2;
	if (table->entries != NULL && size <= table->mask + 1)
		return;
	entries = MemoryContextAllocZero(TopMemoryContext, sizeof(VxRemembered) * size);
	if (table->entries != NULL)
		pfree(table->entries);
	table->entries = entries;
	table->mask = size - 1;
}

/* Where the entries of a relation begin */
static uint32
salt_of(Relation index)
{
	return (VxRelationFileNumber(index) * (uint32) 2654435769U) >> 8;
}

/* Is the usage count of a shared buffer at its maximum? */
static bool
used_often(Buffer buffer)
{
	return BUF_STATE_GET_USAGECOUNT(pg_atomic_read_u32(&GetBufferDescriptor((uint32) buffer - 1)->state)) ==
		BM_MAX_USAGE_COUNT;
}

/*
 * Read the page of an entry, which is filled in.  ReadRecentBuffer does not
 * raise the usage count, ReadBuffer does.
 */
static Buffer
read_remembered(Relation index, BlockNumber block, VxRemembered *entry)
{
	if (entry->block != block || entry->buffer <= 0 || !used_often(entry->buffer) ||
		!ReadRecentBuffer(VxRelationLocator(index), MAIN_FORKNUM, block, entry->buffer))
	{
		entry->buffer = ReadBuffer(index, block);
		entry->block = block;
	}
	return entry->buffer;
}

/* The entry of a page of any kind */
static VxRemembered *
entry_of(Relation index, BlockNumber block)
{
	if (page_table.entries == NULL)
		table_reserve(&page_table, 1);
	return &page_table.entries[(block + salt_of(index)) & page_table.mask];
}

/*
 * Read a page of the main fork, as ReadBuffer does, but look first where it
 * was last time.
 */
Buffer
VxReadBuffer(Relation index, BlockNumber block)
{
	return read_remembered(index, block, entry_of(index, block));
}

/*
 * Have a page that VxReadBuffer will be asked for read from disk soon, or its
 * first bytes from memory if it is in shared buffers.
 */
void
VxPrefetchBuffer(Relation index, BlockNumber block)
{
	VxRemembered *entry = entry_of(index, block);

	if (entry->block != block || entry->buffer <= 0 || !used_often(entry->buffer))
	{
		entry->buffer = PrefetchBuffer(index, MAIN_FORKNUM, block).recent_buffer;
		entry->block = block;
	}
	if (entry->buffer > 0)
		__builtin_prefetch(BufferGetPage(entry->buffer));
}

/* Make a reader of the node pages of an index, in the current memory context */
VxReader *
VxReaderCreate(Relation index, const VxIndex *ix, VxNodeId nnodes)
{
	VxReader   *reader = palloc0(sizeof(VxReader));

	reader->index = index;
	reader->ix = ix;
	reader->nnodes = nnodes;
	VxInitBufferTag(&reader->tag, index);
	reader->salt = salt_of(index);
#ifndef USE_VALGRIND
	reader->may_peek = !RelationUsesLocalBuffers(index);
#endif
	table_reserve(&VxNodeTable, VxStripeOf(ix, nnodes));
	table_reserve(&page_table, VxNodeBlock(ix, nnodes));
	return reader;
}

/*
 * Copy a slot, under lock, into place number "place" of the reader's scratch
 * memory, of which there are VX_ESTIMATE_MAX, and return it.
 */
const void *
VxReadSlotLocked(VxReader *reader, VxNodeId id, int place)
{
	const VxIndex *ix = reader->ix;
	Size		size = (Size) ix->slot_size;
	uint32		stripe = VxStripeOf(ix, id);
	char	   *copy;
	Buffer		buffer;
	Page		page;

	if (reader->scratch == NULL)
		reader->scratch = MemoryContextAlloc(GetMemoryChunkContext(reader),
											 size * VX_ESTIMATE_MAX);
	copy = reader->scratch + size * (Size) place;
	buffer = read_remembered(reader->index, VxStripeBlock(ix, stripe),
							 VxReaderEntry(reader, stripe));
	page = VxLockReadNodePage(reader->index, buffer, BUFFER_LOCK_SHARE);
	memcpy(copy, VxPageSlot(ix, page, VxSlotNumber(ix, id)), size);
	UnlockReleaseBuffer(buffer);
	return copy;
}

/*
 * A slot, for a peek that the caller confirms by VxPeekConfirm once it has
 * taken what it wants; if that fails, or may_peek is false, a copy.
 */
const void *
VxReaderSlot(VxReader *reader, VxNodeId id, bool may_peek, VxPeek *peek)
{
	Page		page = VxPeekPage(reader, VxStripeOf(reader->ix, id), peek);

	if (page == NULL || !may_peek)
	{
		peek->desc = NULL;
		return VxReadSlotLocked(reader, id, 0);
	}
	return VxPageSlot(reader->ix, page, VxSlotNumber(reader->ix, id));
}

/* Have a node page read from disk soon, unless it is in shared buffers */
void
VxReaderPrefetch(VxReader *reader, uint32 stripe)
{
	VxRemembered *entry = VxReaderEntry(reader, stripe);
	BlockNumber block = VxStripeBlock(reader->ix, stripe);
	PrefetchBufferResult result;

	if (entry->block == block && entry->buffer > 0 &&
		VxPeekHolds(reader, GetBufferDescriptor((uint32) entry->buffer - 1), block))
		return;
	result = PrefetchBuffer(reader->index, MAIN_FORKNUM, block);
	entry->block = block;
	entry->buffer = result.recent_buffer;
}
