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
	float		near;			/* nodes nearer than this may be expanded soon */
};

/* A look at a page without pin or lock, to be confirmed afterwards */
typedef struct VxPeek
{
	BufferDesc *desc;			/* NULL if the slot was read under lock */
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

/* Does the buffer hold this block of the index, with valid content, now? */
static inline bool
VxPeekHolds(const VxReader *reader, const BufferDesc *desc, BlockNumber block)
{
	uint32		state = pg_atomic_read_u32((pg_atomic_uint32 *) &desc->state);
	BufferTag	tag = reader->tag;

	if ((state & (BM_VALID | BM_LOCKED)) != BM_VALID)
		return false;
	pg_read_barrier();
	tag.blockNum = block;
	return memcmp(&desc->tag, &tag, sizeof(BufferTag)) == 0;
}

/*
 * Was what was read since a peek the content of the page that was meant?  Slots
 * read under lock are.
 */
static inline bool
VxPeekConfirm(const VxReader *reader, const VxPeek *peek)
{
	if (peek->desc == NULL)
		return true;
	pg_read_barrier();
	return VxPeekHolds(reader, peek->desc, peek->block);
}

/*
 * Peek at a page, of which this is the entry.  Returns NULL if it must be read
 * the usual way: because it is not where it was last time, or because its usage
 * count is not at its maximum, which only pinning it raises.
 */
static inline Page
VxPeekEntry(const VxReader *reader, const VxRemembered *entry, BlockNumber block,
			VxPeek *peek)
{
	uint32		state;

	peek->desc = NULL;
	peek->block = block;
	if (!reader->may_peek || entry->block != block || entry->buffer <= 0)
		return NULL;
	peek->desc = GetBufferDescriptor((uint32) entry->buffer - 1);
	state = pg_atomic_read_u32(&peek->desc->state);
	if (BUF_STATE_GET_USAGECOUNT(state) < BM_MAX_USAGE_COUNT ||
		!VxPeekHolds(reader, peek->desc, block))
	{
		peek->desc = NULL;
		return NULL;
	}
	pg_read_barrier();
	return BufferGetPage(entry->buffer);
}

/* Likewise at the node page of a stripe */
static inline Page
VxPeekPage(const VxReader *reader, uint32 stripe, VxPeek *peek)
{
	return VxPeekEntry(reader, VxReaderEntry(reader, stripe),
					   VxStripeBlock(reader->ix, stripe), peek);
}

/* Tell the processor that a peek at a page of this stripe will come soon */
static inline void
VxPeekPrefetch(const VxReader *reader, uint32 stripe)
{
	const VxRemembered *entry = VxReaderEntry(reader, stripe);

	if (entry->buffer > 0)
		__builtin_prefetch(GetBufferDescriptor((uint32) entry->buffer - 1));
}

extern const void *VxReadSlotLocked(VxReader *reader, VxNodeId id, int place);
extern const void *VxReaderSlot(VxReader *reader, VxNodeId id, bool may_peek,
								VxPeek *peek);
extern void VxReaderPrefetch(VxReader *reader, uint32 stripe);

#endif							/* VX_READER_H */
