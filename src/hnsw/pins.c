/*-------------------------------------------------------------------------
 *
 * pins.c
 *	  Getting at pages that are in shared buffers, quickly.
 *
 * A search looks at hundreds of pages, most of them more than once.  Two
 * things keep it from asking the buffer manager's hash table each time:
 *
 * A table of this backend remembers in which buffer it last found a page.
 * ReadRecentBuffer makes sure that the page is there still, so that the table
 * may be wrong, may forget, and need not be told of anything.
 *
 * A walk keeps node pages pinned until it stops, up to a limit; a page that is
 * pinned needs no more than its content lock to be read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/hnsw.h"

/* Entries of the table of remembered buffers, a power of two */
#define MEMORY_SIZE 32768

typedef struct VxMemory
{
	Oid			relation;		/* file number; the tag is compared anyway */
	BlockNumber block;
	Buffer		buffer;
} VxMemory;

static VxMemory *memory;

static inline uint32
hash_block(BlockNumber block)
{
	return block * (uint32) 2654435769U;
}

static inline VxMemory *
memory_of(Oid relation, BlockNumber block)
{
	if (memory == NULL)
		memory = MemoryContextAllocZero(TopMemoryContext, sizeof(VxMemory) * MEMORY_SIZE);
	return &memory[(hash_block(block) ^ relation) & (MEMORY_SIZE - 1)];
}

/*
 * Read a page of the main fork, as ReadBuffer does, but look first where it
 * was last time.
 */
Buffer
VxReadBuffer(Relation index, BlockNumber block)
{
	Oid			relation = VxRelationFileNumber(index);
	VxMemory   *m = memory_of(relation, block);

	if (m->relation == relation && m->block == block && BufferIsValid(m->buffer) &&
		ReadRecentBuffer(VxRelationLocator(index), MAIN_FORKNUM, block, m->buffer))
		return m->buffer;
	m->relation = relation;
	m->block = block;
	m->buffer = ReadBuffer(index, block);
	return m->buffer;
}

/* Tell the processor that VxReadBuffer of this page will come soon */
static void
prefetch_descriptor(Relation index, BlockNumber block)
{
	Oid			relation = VxRelationFileNumber(index);
	VxMemory   *m = memory_of(relation, block);

	if (m->relation == relation && m->block == block && m->buffer > 0)
		__builtin_prefetch(GetBufferDescriptor((uint32) m->buffer - 1));
}

/* Pins of a walk; none are taken yet */
void
VxPinsInit(VxPins *pins, Relation index)
{
	int			share = NBuffers / (2 * Max(MaxBackends, 1));

	pins->index = index;
	pins->max = Min(VX_MAX_PINS, Max(share, 8));
	pins->n = 0;
	memset(pins->table, 0, sizeof(pins->table));
}

/* Let go of all pages */
void
VxPinsRelease(VxPins *pins)
{
	for (int i = 0; i < pins->n; i++)
	{
		VxPin	   *pin = &pins->table[pins->used[i]];

		ReleaseBuffer(pin->buffer);
		pin->buffer = InvalidBuffer;
	}
	pins->n = 0;
}

/*
 * Make room for n more pins, or for one if that is too many, by letting go of
 * all pages if need be.
 */
void
VxPinsLimit(VxPins *pins, int n)
{
	if (pins->n + Max(Min(n, pins->max / 2), 1) > pins->max)
		VxPinsRelease(pins);
}

/* The entry of a page that is pinned, else the one that it would take */
static inline VxPin *
find_pin(VxPins *pins, BlockNumber block)
{
	uint32		place = hash_block(block) >> (32 - VX_PIN_TABLE_BITS);

	while (BufferIsValid(pins->table[place].buffer) && pins->table[place].block != block)
		place = (place + 1) & (VX_PIN_TABLE_SIZE - 1);
	return &pins->table[place];
}

/* Prepare to pin a page */
void
VxPinPrefetch(VxPins *pins, BlockNumber block)
{
	if (!BufferIsValid(find_pin(pins, block)->buffer))
		prefetch_descriptor(pins->index, block);
}

/*
 * Pin a page, or find it pinned.  The pin is good until VxPinsRelease.  There
 * must be room, see VxPinsLimit.
 */
VxPin *
VxPinPage(VxPins *pins, BlockNumber block)
{
	VxPin	   *pin = find_pin(pins, block);

	if (!BufferIsValid(pin->buffer))
	{
		pin->buffer = VxReadBuffer(pins->index, block);
		pin->block = block;
		pins->used[pins->n++] = (int) (pin - pins->table);
	}
	return pin;
}

/*
 * Lock a pinned page in share mode.
 *
 * The walk reads it as a node page without a look at its header or special
 * space, each of which would cost as much as a slot.  That is safe whatever is
 * on the page: slots are where arithmetic says, an all-zero page is all free
 * slots, and nothing in a slot is used as a size or an address without a check
 * of its own.  It is correct since the slot of a row is read once more, by way
 * of VxLockNodePage, which does check, before the row is returned.
 */
Page
VxLockPin(VxPin *pin)
{
	LockBuffer(pin->buffer, BUFFER_LOCK_SHARE);
	return BufferGetPage(pin->buffer);
}

void
VxUnlockPin(VxPin *pin)
{
	LockBuffer(pin->buffer, BUFFER_LOCK_UNLOCK);
}
