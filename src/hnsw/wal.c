/*-------------------------------------------------------------------------
 *
 * wal.c
 *	  WAL records of an hnsw index.
 *
 * Records are generic ones (RM_GENERIC_ID), which PostgreSQL replays without
 * this library: for each page a full image, or a list of changed ranges, each
 * an offset, a length, both 16 bits, and the bytes.  GenericXLogFinish finds
 * the ranges by comparing a copy of the page with the page, byte by byte; here
 * whoever changes a page says what it changes, in place.  For a link added to
 * a node, 4 bytes, that is several times cheaper, and it copies nothing.
 *
 * A change goes like this:
 *
 *	lock all buffers exclusively, in the lock order, and check everything
 *	VxWalBegin		enters a critical section
 *	VxWalPage		for each buffer; gives the page
 *	VxWalPut		writes into a page, or VxWalChanged after writing into it
 *	VxWalFinish		inserts the record and leaves the critical section
 *	unlock the buffers
 *
 * Between begin and finish there must be no error, no allocation, no lock.
 *
 * What replay asks for, all of it so since 9.6: at most MAX_GENERIC_XLOG_PAGES
 * pages a record (generic_redo has an array of that many buffers), nothing but
 * zeroes between pd_lower and pd_upper, and an image for a page that was
 * all-zero.  wal_consistency_checking = 'generic' compares what replay makes
 * with the page as it was changed here.
 *
 * Nothing is logged for an index that has no WAL (unlogged, temporary, made in
 * this transaction under wal_level = minimal), and for one that is being built
 * and will be logged as a whole (VxIndex.skip_wal).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "hnsw/hnsw.h"
#include "inject.h"

/* Ranges noted for a page; more than that make it an image */
#define MAX_RANGES 256
/* Ranges this near each other are logged as one: a range costs 4 bytes */
#define MAX_GAP 4

typedef struct VxWalRange
{
	uint16		begin;
	uint16		end;
} VxWalRange;

typedef struct VxWalBuffer
{
	Buffer		buffer;
	Page		page;
	bool		image;			/* log the whole page */
	int			nranges;
	VxWalRange	ranges[MAX_RANGES];
} VxWalBuffer;

/* The record under construction; there is one at a time */
static struct
{
	bool		logged;
	int			nbuffers;
	VxWalBuffer buffers[VX_WAL_PAGES];
	char		deltas[VX_WAL_PAGES][BLCKSZ];
}			wal;

/* Begin a change; the critical section is entered */
void
VxWalBegin(Relation index, const VxIndex *ix)
{
	wal.logged = !ix->skip_wal && RelationNeedsWAL(index);
	wal.nbuffers = 0;
	START_CRIT_SECTION();
}

/*
 * The page of a buffer that takes part in the change, and is locked
 * exclusively.  With image, all of it will be logged; it must be for a page
 * that was all-zero.
 */
Page
VxWalPage(Buffer buffer, bool image)
{
	VxWalBuffer *b = &wal.buffers[wal.nbuffers];

	if (wal.nbuffers >= VX_WAL_PAGES)
		elog(PANIC, "too many pages for a generic WAL record");
	wal.nbuffers++;
	b->buffer = buffer;
	b->page = BufferGetPage(buffer);
	b->image = image;
	b->nranges = 0;
	return b->page;
}

/* Note that bytes of a page of this change are different from what they were */
void
VxWalChanged(Page page, const void *at, Size size)
{
	VxWalBuffer *b = wal.buffers;
	uint16		begin = (uint16) ((const char *) at - (const char *) page);
	uint16		end = (uint16) (begin + size);

	if (!wal.logged)
		return;
	while (b->page != page)
		b++;
	Assert(b < wal.buffers + wal.nbuffers && begin + size <= BLCKSZ);
	if (b->image)
		return;
	if (b->nranges > 0)
	{
		VxWalRange *last = &b->ranges[b->nranges - 1];

		if (begin >= last->begin && begin <= last->end + MAX_GAP)
		{
			last->end = Max(last->end, end);
			return;
		}
	}
	if (b->nranges == MAX_RANGES)
		b->image = true;
	else
	{
		b->ranges[b->nranges].begin = begin;
		b->ranges[b->nranges].end = end;
		b->nranges++;
	}
}

/* Write bytes into a page of this change */
void
VxWalPut(Page page, void *to, const void *from, Size size)
{
	memcpy(to, from, size);
	VxWalChanged(page, to, size);
}

/* Bytes of a page of this change before offset end are in use from now on */
void
VxWalRaiseLower(Page page, Size end)
{
	PageHeader	header = (PageHeader) page;

	if (header->pd_lower < end)
	{
		VxRaisePageLower(page, end);
		VxWalChanged(page, &header->pd_lower, sizeof(header->pd_lower));
	}
}

/* Lay the ranges of a page out for replay; -1 if an image would be smaller */
static int
make_delta(const VxWalBuffer *b, char *delta)
{
	int			size = 0;

	for (int i = 0; i < b->nranges; i++)
	{
		uint16		length = b->ranges[i].end - b->ranges[i].begin;

		if (size + 4 + length > BLCKSZ)
			return -1;
		memcpy(delta + size, &b->ranges[i].begin, sizeof(uint16));
		memcpy(delta + size + 2, &length, sizeof(uint16));
		memcpy(delta + size + 4, (char *) b->page + b->ranges[i].begin, length);
		size += 4 + length;
	}
	return size;
}

/* Log the change, and leave the critical section */
void
VxWalFinish(void)
{
	VX_INJECTION_POINT("change");
	for (int i = 0; i < wal.nbuffers; i++)
		MarkBufferDirty(wal.buffers[i].buffer);
	if (wal.logged)
	{
		XLogRecPtr	lsn;

		XLogBeginInsert();
		for (int i = 0; i < wal.nbuffers; i++)
		{
			VxWalBuffer *b = &wal.buffers[i];
			int			size = b->image ? -1 : make_delta(b, wal.deltas[i]);

			XLogRegisterBuffer((uint8) i, b->buffer,
							   size < 0 ? REGBUF_STANDARD | REGBUF_FORCE_IMAGE : REGBUF_STANDARD);
			if (size > 0)
				XLogRegisterBufData((uint8) i, wal.deltas[i], (uint32) size);
		}
		lsn = XLogInsert(RM_GENERIC_ID, 0);
		for (int i = 0; i < wal.nbuffers; i++)
			PageSetLSN(wal.buffers[i].page, lsn);
	}
	END_CRIT_SECTION();
}
