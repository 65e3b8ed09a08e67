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
 * afterwards at the buffer's header to see that it is that page which the buffer
 * holds.  What it read may be a slot that somebody was just changing, half old
 * and half new.  That is good enough for hints: a walk takes from a slot an
 * estimate, links, and a generation; ids are checked before they are used,
 * nothing in a slot is used as a size or an address, and before a row is
 * returned its slot is read once more, under lock, by way of VxReadSlot.  A slot
 * that nobody is changing always reads right, also while other slots of its page
 * are being changed: changes are made in place, and the replay of page images
 * writes unchanged bytes over with themselves.
 *
 * Peeking does not raise a buffer's usage count, so that a page of which only
 * peeks are taken would seem unused, and be evicted.  Therefore pages are
 * peeked at only while their count is at its maximum.  Below, they are pinned,
 * locked and copied like any other page, which raises it.  That is also why one
 * look at the header is enough: a page that has just been read in is far from
 * that count.
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

/* Bytes of a vector to have fetched ahead; the processor sees the rest coming */
#define PREFETCH_BYTES 256

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
 * Have a page that VxReadBuffer will be asked for read from disk soon, or if it
 * is in shared buffers, its first bytes from memory, from an offset on.
 */
static void
prefetch_page(VxReader *reader, BlockNumber block, Size offset)
{
	VxRemembered *entry = entry_of(reader->index, block);

	if (entry->block != block || entry->buffer <= 0 || !used_often(entry->buffer))
	{
		PrefetchBufferResult result = PrefetchBuffer(reader->index, MAIN_FORKNUM, block);

		reader->missing |= result.initiated_io;
		entry->buffer = result.recent_buffer;
		entry->block = block;
	}
	if (entry->buffer > 0)
	{
		const char *at = (char *) BufferGetPage(entry->buffer) +
			MAXALIGN(SizeOfPageHeaderData) + offset;

		for (int i = 0; i < PREFETCH_BYTES; i += 64)
			__builtin_prefetch(at + i);
	}
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
 * Read and share-lock the node page of a stripe; with a strategy, in its ring,
 * and then it is not remembered.
 */
Buffer
VxReaderLock(VxReader *reader, uint32 stripe, BufferAccessStrategy strategy)
{
	BlockNumber block = VxStripeBlock(reader->ix, stripe);
	Buffer		buffer = strategy == NULL ?
		read_remembered(reader->index, block, VxReaderEntry(reader, stripe)) :
		ReadBufferExtended(reader->index, MAIN_FORKNUM, block, RBM_NORMAL, strategy);

	VxLockReadNodePage(reader->index, buffer, BUFFER_LOCK_SHARE);
	return buffer;
}

/*
 * Copy a slot of a page that is locked into place number "place" of the reader's
 * scratch memory, of which there are VX_ESTIMATE_MAX, and return it.
 */
const void *
VxCopySlot(VxReader *reader, Buffer buffer, VxNodeId id, int place)
{
	const VxIndex *ix = reader->ix;
	Size		size = (Size) ix->slot_size;
	char	   *copy;

	if (reader->scratch == NULL)
		reader->scratch = MemoryContextAlloc(GetMemoryChunkContext(reader),
											 size * VX_ESTIMATE_MAX);
	copy = reader->scratch + size * (Size) place;
	memcpy(copy, VxPageSlot(ix, BufferGetPage(buffer), VxSlotNumber(ix, id)), size);
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
		Buffer		buffer = VxReaderLock(reader, VxStripeOf(reader->ix, id), NULL);
		const void *copy = VxCopySlot(reader, buffer, id, 0);

		UnlockReleaseBuffer(buffer);
		peek->buffer = InvalidBuffer;
		return copy;
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
		VxBufferHolds(reader, entry->buffer, block))
		return;
	result = PrefetchBuffer(reader->index, MAIN_FORKNUM, block);
	reader->missing |= result.initiated_io;
	entry->block = block;
	entry->buffer = result.recent_buffer;
}

/* ------------------------------------------------------------------ vectors */

/*
 * Copy n bytes at an offset of a vector page, for a peek at it.  Returns false
 * if that cannot be had.
 */
static bool
peek_bytes(VxReader *reader, BlockNumber block, Size offset, Size n, char *to)
{
	VxPeek		peek;
	Page		page = VxPeekEntry(reader, entry_of(reader->index, block), block, &peek);

	if (page == NULL || !VxPeekConfirm(reader, &peek))
		return false;
	memcpy(to, (char *) page + MAXALIGN(SizeOfPageHeaderData) + offset, n);
	return VxPeekConfirm(reader, &peek);
}

/*
 * The exact distance of a node's vector from another, by peeking; scratch has
 * room for a vector.  Returns false if the pages cannot be peeked at.
 */
static bool
peek_distance(VxReader *reader, VxNodeId id, const void *from, void *scratch,
			  double *distance)
{
	const VxCodec *codec = &reader->ix->codec;
	Size		size = (Size) codec->vector_bytes;
	Size		begin = (Size) VxSlotNumber(reader->ix, id) * size;
	Size		offset = begin % VX_PAGE_BYTES;
	BlockNumber block = VxNodeBlock(reader->ix, id) + 1 + (BlockNumber) (begin / VX_PAGE_BYTES);

	if (offset + size <= VX_PAGE_BYTES)
	{
		VxPeek		peek;
		Page		page = VxPeekEntry(reader, entry_of(reader->index, block), block, &peek);

		if (page == NULL || !VxPeekConfirm(reader, &peek))
			return false;
		*distance = VxExactDistance(codec, (char *) page +
									MAXALIGN(SizeOfPageHeaderData) + offset, from);
		return VxPeekConfirm(reader, &peek);
	}
	for (Size done = 0; done < size; block++, offset = 0)
	{
		Size		n = Min(size - done, VX_PAGE_BYTES - offset);

		if (!peek_bytes(reader, block, offset, n, (char *) scratch + done))
			return false;
		done += n;
	}
	*distance = VxExactDistance(codec, scratch, from);
	return true;
}

/*
 * The exact distance of a node's vector from another; scratch has room for a
 * vector.  The caller must make sure afterwards, under lock, that the slot is
 * that of the row it meant, in the generation it saw before.
 *
 * That also makes a peek at the vector safe: between the two looks at the slot
 * the row was there, and the vector of a row never changes.
 */
double
VxVectorDistance(VxReader *reader, VxNodeId id, const void *from, void *scratch)
{
	double		distance;

	if (reader->ix->codec.kind != VX_CODE_RAW &&
		peek_distance(reader, id, from, scratch, &distance))
		return distance;
	VxReadVector(reader->index, reader->ix, id, scratch, NULL);
	return VxExactDistance(&reader->ix->codec, scratch, from);
}

/* Have the pages of a node's vector at hand soon */
void
VxPrefetchVector(VxReader *reader, VxNodeId id)
{
	const VxIndex *ix = reader->ix;
	Size		begin = (Size) VxSlotNumber(ix, id) * (Size) ix->codec.vector_bytes;
	Size		last = begin + (Size) ix->codec.vector_bytes - 1;

	if (ix->codec.kind == VX_CODE_RAW)
		return;
	for (Size page_no = begin / VX_PAGE_BYTES; page_no <= last / VX_PAGE_BYTES; page_no++)
		prefetch_page(reader, VxNodeBlock(ix, id) + 1 + (BlockNumber) page_no,
					  page_no == begin / VX_PAGE_BYTES ? begin % VX_PAGE_BYTES : 0);
}
