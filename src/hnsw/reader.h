/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Looking at slots of node pages, quickly; see reader.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_READER_H
#define VX_READER_H

#include "storage/buf_internals.h"

#include "hnsw/hnsw.h"

/* Where a page was found when last read */
typedef struct VxRemembered
{
	BlockNumber block;
	Buffer		buffer;			/* InvalidBuffer if nowhere */
} VxRemembered;

struct VxReader
{
	/* unchanging */
	Relation	index;
	const VxIndex *ix;
	BufferTag	tag;			/* of its main fork, but for the block */
	bool		may_peek;
	uint32		salt;			/* where its pages begin in the table */

	/* mutable */
	VxNodeId	nnodes;			/* ids below this have pages */
	char	   *scratch;		/* copies of slots that were read under lock */
	const VxFilter *filter;		/* of the search, or NULL */
	float		near;			/* nodes nearer than this may be expanded soon */
	bool		missing;		/* pages had to be asked for from disk */
};

/* A look at a page without pin or lock, to be confirmed afterwards */
typedef struct VxPeek
{
	Buffer		buffer;			/* InvalidBuffer if the slot was read under
								 * lock */
	BlockNumber block;
} VxPeek;

typedef struct VxBufferTable
{
	VxRemembered *entries;
	uint32		mask;			/* their number, a power of two, less one */
} VxBufferTable;

extern VxBufferTable VxNodeTable;

static inline VxRemembered *
VxReaderEntry(const VxReader *reader, uint32 stripe)
{
	return &VxNodeTable.entries[(stripe + reader->salt) & VxNodeTable.mask];
}

/*
 * Does a buffer hold this block of the index, with valid content, and is its
 * usage count at its maximum?
 */
static inline bool
VxBufferHolds(const VxReader *reader, Buffer buffer, BlockNumber block)
{
	BufferDesc *desc = GetBufferDescriptor((uint32) buffer - 1);
	uint32		state = pg_atomic_read_u32(&desc->state);
	BufferTag	tag = reader->tag;

	if ((state & (BM_VALID | BM_LOCKED)) != BM_VALID ||
		BUF_STATE_GET_USAGECOUNT(state) < BM_MAX_USAGE_COUNT)
		return false;
	pg_read_barrier();
	tag.blockNum = block;
	return memcmp(&desc->tag, &tag, sizeof(BufferTag)) == 0;
}

/*
 * Peek at a page, of which this is the entry, if it was in a buffer last time;
 * else returns NULL.  What is read from the page means nothing before
 * VxPeekConfirm says that the page is still there.
 */
static inline Page
VxPeekEntry(const VxReader *reader, const VxRemembered *entry, BlockNumber block,
			VxPeek *peek)
{
	peek->buffer = InvalidBuffer;
	peek->block = block;
	if (!reader->may_peek || entry->block != block || entry->buffer <= 0)
		return NULL;
	peek->buffer = entry->buffer;
	__builtin_prefetch(GetBufferDescriptor((uint32) entry->buffer - 1));
	return BufferGetPage(entry->buffer);
}

/* Likewise at the node page of a stripe */
static inline Page
VxPeekPage(const VxReader *reader, uint32 stripe, VxPeek *peek)
{
	return VxPeekEntry(reader, VxReaderEntry(reader, stripe),
					   VxStripeBlock(reader->ix, stripe), peek);
}

/*
 * Was what was read since a peek the content of the page that was meant?  Slots
 * read under lock are.
 */
static inline bool
VxPeekConfirm(const VxReader *reader, const VxPeek *peek)
{
	if (peek->buffer == InvalidBuffer)
		return true;
	pg_read_barrier();
	return VxBufferHolds(reader, peek->buffer, peek->block);
}

extern Buffer VxReaderLock(VxReader *reader, uint32 stripe,
						   BufferAccessStrategy strategy);
extern const void *VxCopySlot(VxReader *reader, Buffer buffer, VxNodeId id, int place);
extern const void *VxReaderSlot(VxReader *reader, VxNodeId id, bool may_peek,
								VxPeek *peek);
extern void VxReaderPrefetch(VxReader *reader, uint32 stripe);

#endif							/* VX_READER_H */
