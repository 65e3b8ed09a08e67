/*-------------------------------------------------------------------------
 *
 * page.c
 *	  Pages of an hnsw index: metapage, layout, and placing rows in slots.
 *
 * Lock order, for all of the access method: the metapage, then node pages in
 * ascending block order, then vector pages in ascending order.  A vector page
 * is written only under the exclusive lock of its stripe's node page.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/reloptions.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/hnsw.h"

#define VX_SLOT_HEADER_SIZE ((int) sizeof(VxNodeSlotData))

StaticAssertDecl(sizeof(VxNodeSlotData) == 32, "slot header is 32 bytes");
StaticAssertDecl(offsetof(VxUpperSlotData, links) == 8,
				 "upper slot header is 8 bytes");

/* -------------------------------------------------------------- page basics */

/* Make a page, of any content, an empty one of the given kind */
void
VxInitPage(Page page, VxPageKind kind, uint32 stripe)
{
	VxPageSpecial special;

	PageInit(page, BLCKSZ, sizeof(VxPageSpecialData));
	special = (VxPageSpecial) PageGetSpecialPointer(page);
	special->kind = kind;
	special->page_id = VX_PAGE_ID;
	special->stripe = stripe;
}

/* Bytes of the page before offset end are in use from now on */
void
VxRaisePageLower(Page page, Size end)
{
	PageHeader	header = (PageHeader) page;

	if (header->pd_lower < end)
		header->pd_lower = (LocationIndex) end;
}

/* Is this a page of the kind?  All-zero pages are none. */
static bool
page_is(Page page, VxPageKind kind)
{
	VxPageSpecial special;

	if (PageIsNew(page) ||
		PageGetSpecialSize(page) != MAXALIGN(sizeof(VxPageSpecialData)))
		return false;
	special = (VxPageSpecial) PageGetSpecialPointer(page);
	return special->page_id == VX_PAGE_ID && special->kind == kind;
}

/* Report damage; the only way that it is reported as an error */
void
VxDamaged(Relation index, BlockNumber block, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" is damaged: %s in block %u",
					RelationGetRelationName(index), what, block),
			 errhint("Please REINDEX it.")));
	pg_unreachable();
}

/* ----------------------------------------------------------------- metapage */

/* The space that the operator class of the first column indexes */
const VxSpace *
VxGetSpace(Relation index)
{
	FmgrInfo   *proc = index_getprocinfo(index, 1, VX_SPACE_PROC);

	return (const VxSpace *)
		DatumGetPointer(FunctionCall1(proc, PointerGetDatum(index)));
}

/* Dimensions of the indexed column, from its type modifier */
static int
indexed_dims(Relation index, const VxSpace *space)
{
	int			dims = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;

	if (dims < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column does not have dimensions"),
				 errhint("Give the column a type such as vector(768), or index an expression with a cast to one.")));
	if (dims > space->max_dims)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("column cannot have more than %d dimensions for an hnsw index",
						space->max_dims)));
	return dims;
}

/*
 * Compute the metapage of a new index, and so its layout, from its options
 * and its column.
 */
void
VxFillMeta(Relation index, VxMetaPage meta)
{
	const VxSpace *space = VxGetSpace(index);
	VxOptions  *options = (VxOptions *) index->rd_options;
	int			m = options ? options->m : VX_DEFAULT_M;
	int			ef = options ? options->ef_construction : VX_DEFAULT_EF_CONSTRUCTION;
	const char *code_bits = options ? GET_STRING_RELOPTION(options, code_bits) : NULL;
	int			bits = code_bits ? code_bits[0] - '0' : 0;
	int			link_bytes = 2 * m * (int) sizeof(VxNodeId);
	int			dims = indexed_dims(index, space);
	VxCodec		codec;

	if (ef < 2 * m)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ef_construction must be greater than or equal to 2 * m")));
	if (!VxCodecInit(&codec, space->element, space->metric, dims, bits,
					 (int) VX_PAGE_BYTES - VX_SLOT_HEADER_SIZE - link_bytes))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("code of %d dimensions does not fit on a page with m = %d",
						dims, m)));

	memset(meta, 0, sizeof(*meta));
	meta->magic = VX_MAGIC;
	meta->version = VX_FORMAT_VERSION;
	meta->dims = (uint32) dims;
	meta->element = space->element;
	meta->metric = space->metric;
	meta->code_kind = codec.kind;
	meta->code_bits = (uint16) codec.bits;
	meta->m = (uint16) m;
	meta->ef_construction = (uint16) ef;
	meta->attr_size = 0;
	meta->code_offset = (uint16) VX_SLOT_HEADER_SIZE;
	meta->link_offset = (uint16) (meta->code_offset + INTALIGN(codec.nbytes));
	meta->slot_size = (uint16) (meta->link_offset + link_bytes);
	meta->slots_per_page = (uint16) (VX_PAGE_BYTES / meta->slot_size);
	if (codec.kind == VX_CODE_RAW)
		meta->vector_pages = 0;
	else
		meta->vector_pages = (uint16)
			(((Size) meta->slots_per_page * (Size) codec.vector_bytes +
			  VX_PAGE_BYTES - 1) / VX_PAGE_BYTES);
	meta->max_level = (uint16)
		Min((meta->slot_size - offsetof(VxUpperSlotData, links)) /
			((Size) m * sizeof(VxNodeId)), VX_MAX_LEVEL);
	meta->entry = VX_INVALID_NODE;
}

/* Do the numbers on a metapage make a layout that can be used blindly? */
static bool
meta_is_sane(const VxMetaPageData *meta, const VxCodec *codec)
{
	return meta->m >= VX_MIN_M && meta->m <= VX_MAX_M &&
		meta->ef_construction >= VX_MIN_EF_CONSTRUCTION &&
		meta->ef_construction <= VX_MAX_EF_CONSTRUCTION &&
		meta->slots_per_page >= 1 &&
		meta->code_offset >= VX_SLOT_HEADER_SIZE + meta->attr_size &&
		meta->code_offset % 4 == 0 && meta->link_offset % 4 == 0 &&
		meta->link_offset >= meta->code_offset + codec->nbytes &&
		meta->slot_size >= meta->link_offset + 2 * meta->m * (int) sizeof(VxNodeId) &&
		(Size) meta->slot_size * meta->slots_per_page <= VX_PAGE_BYTES &&
		(codec->kind == VX_CODE_RAW ||
		 (Size) meta->vector_pages * VX_PAGE_BYTES >=
		 (Size) meta->slots_per_page * (Size) codec->vector_bytes) &&
		meta->max_level <= VX_MAX_LEVEL &&
		offsetof(VxUpperSlotData, links) +
		(Size) meta->max_level * meta->m * sizeof(VxNodeId) <= meta->slot_size;
}

/* Translate a metapage into a layout; complains about what cannot be used */
void
VxLayoutFromMeta(Relation index, const VxMetaPageData *meta, VxIndex *ix)
{
	if (meta->magic != VX_MAGIC)
		VxDamaged(index, VX_META_BLOCK, "no magic number");
	if (meta->version != VX_FORMAT_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("index \"%s\" has format version %u, but this version of vectorx supports %d",
						RelationGetRelationName(index), meta->version,
						VX_FORMAT_VERSION),
				 errhint("Install the version of vectorx that made it, or REINDEX it.")));
	if (!VxCodecRestore(&ix->codec, meta->element, meta->metric,
						meta->dims <= 1000000 ? (int) meta->dims : 0,
						meta->code_kind, meta->code_bits) ||
		!meta_is_sane(meta, &ix->codec))
		VxDamaged(index, VX_META_BLOCK, "impossible layout");

	ix->m = meta->m;
	ix->ef_construction = meta->ef_construction;
	ix->attr_size = meta->attr_size;
	ix->code_offset = meta->code_offset;
	ix->link_offset = meta->link_offset;
	ix->slot_size = meta->slot_size;
	ix->slots_per_page = meta->slots_per_page;
	ix->vector_pages = meta->vector_pages;
	ix->max_level = meta->max_level;
}

/* Read and share-lock the metapage; its content is at *meta */
static Buffer
lock_meta(Relation index, int mode, VxMetaPage *meta)
{
	Buffer		buffer = VxReadBuffer(index, VX_META_BLOCK);
	Page		page;

	LockBuffer(buffer, mode);
	page = BufferGetPage(buffer);
	if (!page_is(page, VX_PAGE_META))
		VxDamaged(index, VX_META_BLOCK, "no metapage");
	*meta = (VxMetaPage) PageGetContents(page);
	return buffer;
}

/*
 * The layout of an index, palloc'd.  It is kept in the relcache entry, from
 * where an invalidation may drop it at any time; hence the copy.
 */
const VxIndex *
VxGetIndex(Relation index)
{
	VxIndex    *ix = palloc(sizeof(VxIndex));

	if (index->rd_amcache == NULL)
	{
		VxMetaPage	meta;
		Buffer		buffer = lock_meta(index, BUFFER_LOCK_SHARE, &meta);

		VxLayoutFromMeta(index, meta, ix);
		UnlockReleaseBuffer(buffer);
		index->rd_amcache = MemoryContextAlloc(index->rd_indexcxt, sizeof(VxIndex));
		memcpy(index->rd_amcache, ix, sizeof(VxIndex));
	}
	else
		memcpy(ix, index->rd_amcache, sizeof(VxIndex));
	return ix;
}

/* The entry point as of now; its node is invalid if the graph is empty */
VxEntry
VxReadEntry(Relation index)
{
	VxMetaPage	meta;
	Buffer		buffer = lock_meta(index, BUFFER_LOCK_SHARE, &meta);
	VxEntry		entry;

	entry.node = meta->entry;
	entry.level = Min(meta->entry_level, VX_MAX_LEVEL);
	UnlockReleaseBuffer(buffer);
	return entry;
}

/*
 * Replace the entry point, if it still is "old" (a node, or invalid for an
 * empty graph).  Returns false, and changes nothing, if it is not.
 */
bool
VxChangeEntry(Relation index, VxNodeId old, VxEntry new)
{
	VxMetaPage	meta;
	Buffer		buffer = lock_meta(index, BUFFER_LOCK_EXCLUSIVE, &meta);
	bool		change = meta->entry == old;

	if (change)
	{
		GenericXLogState *state = GenericXLogStart(index);
		Page		page = GenericXLogRegisterBuffer(state, buffer, 0);

		meta = (VxMetaPage) PageGetContents(page);
		meta->entry = new.node;
		meta->entry_level = (uint16) new.level;
		GenericXLogFinish(state);
	}
	UnlockReleaseBuffer(buffer);
	return change;
}

/* Note in the metapage whether slots wait for repair; returns what it said */
bool
VxNoteDead(Relation index, bool dead)
{
	VxMetaPage	meta;
	Buffer		buffer = lock_meta(index, BUFFER_LOCK_EXCLUSIVE, &meta);
	bool		was = meta->dead != 0;

	if (was != dead)
	{
		GenericXLogState *state = GenericXLogStart(index);
		Page		page = GenericXLogRegisterBuffer(state, buffer, 0);

		((VxMetaPage) PageGetContents(page))->dead = dead;
		GenericXLogFinish(state);
	}
	UnlockReleaseBuffer(buffer);
	return was;
}

bool
VxReadDead(Relation index)
{
	VxMetaPage	meta;
	Buffer		buffer = lock_meta(index, BUFFER_LOCK_SHARE, &meta);
	bool		dead = meta->dead != 0;

	UnlockReleaseBuffer(buffer);
	return dead;
}

/* Ids below this have a node page now */
VxNodeId
VxCurrentNodes(Relation index, const VxIndex *ix)
{
	uint64		n = (uint64) VxStripeCount(ix, RelationGetNumberOfBlocks(index)) *
		(uint64) ix->slots_per_page;

	return n < VX_INVALID_NODE ? (VxNodeId) n : VX_INVALID_NODE;
}

/* --------------------------------------------------------------- node pages */

static Buffer
read_page(Relation index, BlockNumber block, BufferAccessStrategy strategy)
{
	return strategy ?
		ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_NORMAL, strategy) :
		VxReadBuffer(index, block);
}

/*
 * Lock a node page that was read.  Complains if it is neither a node page nor
 * all-zero.
 */
Page
VxLockReadNodePage(Relation index, Buffer buffer, int mode)
{
	Page		page;

	LockBuffer(buffer, mode);
	page = BufferGetPage(buffer);
	if (!PageIsNew(page) && !page_is(page, VX_PAGE_NODES))
		VxDamaged(index, BufferGetBlockNumber(buffer), "no node page");
	return page;
}

/* Read and lock a node page, likewise */
Buffer
VxLockNodePage(Relation index, BlockNumber block, int mode,
			   BufferAccessStrategy strategy)
{
	Buffer		buffer = read_page(index, block, strategy);

	VxLockReadNodePage(index, buffer, mode);
	return buffer;
}

/* Note in the free space map, up to its root, that a node page has free slots */
void
VxRecordFreeSlots(Relation index, BlockNumber block)
{
	RecordPageWithFreeSpace(index, block, BLCKSZ - 1);
	FreeSpaceMapVacuumRange(index, block, block + 1);
}

/* First free slot of a node page, -1 if none */
static int
find_free_slot(const VxIndex *ix, Page page, int *nfree)
{
	int			found = -1;

	*nfree = 0;
	for (int s = 0; s < ix->slots_per_page; s++)
	{
		VxNodeSlot	slot = VxPageSlot(ix, page, s);

		if (PageIsNew(page) || slot->state == VX_SLOT_FREE)
		{
			if (found < 0)
				found = s;
			(*nfree)++;
		}
	}
	return found;
}

/*
 * Extend the relation to nblocks at least; the extension lock must be held.
 * The new pages are all-zero, and nothing is logged: who writes them first
 * does that.
 */
static void
extend_to(Relation index, BlockNumber nblocks)
{
	while (RelationGetNumberOfBlocks(index) < nblocks)
		ReleaseBuffer(ReadBufferExtended(index, MAIN_FORKNUM, P_NEW,
										 RBM_NORMAL, NULL));
}

/*
 * Make sure that a stripe has all its vector pages.  The last one may lack
 * some, after a crash during extension, and on a standby that was promoted:
 * there it ends with the last page that was logged.
 */
static void
complete_stripe(Relation index, const VxIndex *ix, BlockNumber block)
{
	BlockNumber end = block + 1 + (BlockNumber) ix->vector_pages;

	if (RelationGetNumberOfBlocks(index) >= end)
		return;
	LockRelationForExtension(index, ExclusiveLock);
	extend_to(index, end);
	UnlockRelationForExtension(index, ExclusiveLock);
}

/* Add a stripe, and let others know of the room in it */
static BlockNumber
extend_by_stripe(Relation index, const VxIndex *ix)
{
	BlockNumber nblocks;
	BlockNumber block;
	uint32		stripe;

	LockRelationForExtension(index, ExclusiveLock);
	nblocks = RelationGetNumberOfBlocks(index);
	stripe = (nblocks - 1) / (BlockNumber) (1 + ix->vector_pages);
	block = VxStripeBlock(ix, stripe);
	if (((uint64) stripe + 1) * (uint64) ix->slots_per_page >= VX_INVALID_NODE ||
		(uint64) block + (uint64) ix->vector_pages >= MaxBlockNumber)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" cannot hold more rows",
						RelationGetRelationName(index))));
	extend_to(index, block + 1 + (BlockNumber) ix->vector_pages);
	UnlockRelationForExtension(index, ExclusiveLock);

	if (ix->slots_per_page > 1)
		VxRecordFreeSlots(index, block);
	return block;
}

/* Is a block from the free space map a node page that exists? */
static bool
is_node_block(Relation index, const VxIndex *ix, BlockNumber block)
{
	return block >= 1 && block < RelationGetNumberOfBlocks(index) &&
		(block - 1) % (BlockNumber) (1 + ix->vector_pages) == 0;
}

/*
 * A node page where a free slot may be: first near a node, then where this
 * backend found one before, then by the free space map, else a new one.
 */
static BlockNumber
choose_block(Relation index, const VxIndex *ix, VxNodeId near, int attempt)
{
	BlockNumber block;

	if (attempt == 0 && near != VX_INVALID_NODE)
		return VxNodeBlock(ix, near);
	if (attempt <= 1)
	{
		block = RelationGetTargetBlock(index);
		if (block != InvalidBlockNumber && is_node_block(index, ix, block))
			return block;
	}
	while ((block = GetPageWithFreeSpace(index, BLCKSZ / 2)) != InvalidBlockNumber)
	{
		if (is_node_block(index, ix, block))
			return block;
		RecordPageWithFreeSpace(index, block, 0);
	}
	return extend_by_stripe(index, ix);
}

/* A free slot, with its page locked, and perhaps a second node page */
typedef struct VxTakenSlot
{
	Buffer		buffer;
	int			slot;
	int			nfree;			/* free slots on the page, with this one */
	BlockNumber block;
	Buffer		other;			/* page of the other node, InvalidBuffer if
								 * there is none or it is on the same page */
} VxTakenSlot;

/* Lock the page of a block and of another node, in order */
static void
lock_pair(Relation index, const VxIndex *ix, BlockNumber block, VxNodeId other,
		  VxTakenSlot *taken)
{
	BlockNumber other_block = other == VX_INVALID_NODE ? block : VxNodeBlock(ix, other);

	taken->block = block;
	taken->other = InvalidBuffer;
	if (other_block < block)
		taken->other = VxLockNodePage(index, other_block, BUFFER_LOCK_EXCLUSIVE, NULL);
	taken->buffer = VxLockNodePage(index, block, BUFFER_LOCK_EXCLUSIVE, NULL);
	if (other_block > block)
		taken->other = VxLockNodePage(index, other_block, BUFFER_LOCK_EXCLUSIVE, NULL);
}

static void
release_taken(VxTakenSlot *taken)
{
	if (BufferIsValid(taken->other))
		UnlockReleaseBuffer(taken->other);
	UnlockReleaseBuffer(taken->buffer);
}

/*
 * Find a free slot and lock its page exclusively, and that of the node
 * "other" if that is not VX_INVALID_NODE.
 */
static void
take_slot(Relation index, const VxIndex *ix, VxNodeId near, VxNodeId other,
		  VxTakenSlot *taken)
{
	for (int attempt = 0;; attempt++)
	{
		BlockNumber block = choose_block(index, ix, near, attempt);

		CHECK_FOR_INTERRUPTS();
		complete_stripe(index, ix, block);
		lock_pair(index, ix, block, other, taken);
		taken->slot = find_free_slot(ix, BufferGetPage(taken->buffer), &taken->nfree);
		if (taken->slot >= 0)
		{
			if (attempt > 0)
				RelationSetTargetBlock(index, block);
			return;
		}
		release_taken(taken);
		if (attempt > 0)
		{
			RecordPageWithFreeSpace(index, block, 0);
			if (RelationGetTargetBlock(index) == block)
				RelationSetTargetBlock(index, InvalidBlockNumber);
		}
	}
}

/* Register the page of a taken slot for change, made a node page if new */
static Page
register_taken(GenericXLogState *state, const VxIndex *ix, VxTakenSlot *taken)
{
	bool		is_new = PageIsNew(BufferGetPage(taken->buffer));
	Page		page = GenericXLogRegisterBuffer(state, taken->buffer,
												 is_new ? GENERIC_XLOG_FULL_IMAGE : 0);

	if (is_new)
		VxInitPage(page, VX_PAGE_NODES,
				   (taken->block - 1) / (BlockNumber) (1 + ix->vector_pages));
	VxRaisePageLower(page, MAXALIGN(SizeOfPageHeaderData) +
					 (Size) (taken->slot + 1) * (Size) ix->slot_size);
	return page;
}

/* The slot of a node on the pages that a taken slot has locked */
static VxNodeSlot
other_slot(const VxIndex *ix, VxTakenSlot *taken, VxNodeId other)
{
	Buffer		buffer = BufferIsValid(taken->other) ? taken->other : taken->buffer;

	return VxPageSlot(ix, BufferGetPage(buffer), VxSlotNumber(ix, other));
}

/* ------------------------------------------------------------------ vectors */

/*
 * Copy into vector page page_no of a stripe what it holds of a slot's vector.
 */
void
VxFillVectorPage(const VxIndex *ix, Page page, int page_no, int slot,
				 const char *vector)
{
	Size		size = (Size) ix->codec.vector_bytes;
	Size		begin = Max((Size) slot * size, (Size) page_no * VX_PAGE_BYTES);
	Size		end = Min((Size) (slot + 1) * size, (Size) (page_no + 1) * VX_PAGE_BYTES);
	Size		offset = MAXALIGN(SizeOfPageHeaderData) + begin - (Size) page_no * VX_PAGE_BYTES;

	Assert(begin < end);
	memcpy((char *) page + offset, vector + (begin - (Size) slot * size), end - begin);
	VxRaisePageLower(page, offset + (end - begin));
}

/* First and last vector page, within its stripe, of a slot's vector */
static int
first_vector_page(const VxIndex *ix, int slot)
{
	return (int) ((Size) slot * (Size) ix->codec.vector_bytes / VX_PAGE_BYTES);
}

static int
last_vector_page(const VxIndex *ix, int slot)
{
	return (int) (((Size) (slot + 1) * (Size) ix->codec.vector_bytes - 1) / VX_PAGE_BYTES);
}

/* Register vector page page_no of a taken slot's stripe and write its part */
static Buffer
write_vector_page(Relation index, const VxIndex *ix, GenericXLogState *state,
				  const VxTakenSlot *taken, int page_no, const void *vector)
{
	BlockNumber block = taken->block + 1 + (BlockNumber) page_no;
	Buffer		buffer = ReadBuffer(index, block);
	Page		page;
	bool		is_new;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	is_new = PageIsNew(BufferGetPage(buffer));
	if (!is_new && !page_is(BufferGetPage(buffer), VX_PAGE_VECTORS))
		VxDamaged(index, block, "no vector page");
	page = GenericXLogRegisterBuffer(state, buffer,
									 is_new ? GENERIC_XLOG_FULL_IMAGE : 0);
	if (is_new)
		VxInitPage(page, VX_PAGE_VECTORS,
				   (taken->block - 1) / (BlockNumber) (1 + ix->vector_pages));
	VxFillVectorPage(ix, page, page_no, taken->slot, vector);
	return buffer;
}

/*
 * Write vector pages [from, to) of a taken slot in records of their own.  The
 * slot is still free, so it does not matter whether a crash keeps them.
 */
static void
write_vector_early(Relation index, const VxIndex *ix, const VxTakenSlot *taken,
				   int from, int to, const void *vector)
{
	while (from < to)
	{
		GenericXLogState *state = GenericXLogStart(index);
		Buffer		buffers[MAX_GENERIC_XLOG_PAGES];
		int			n = 0;

		while (n < MAX_GENERIC_XLOG_PAGES && from < to)
			buffers[n++] = write_vector_page(index, ix, state, taken, from++, vector);
		GenericXLogFinish(state);
		while (n > 0)
			UnlockReleaseBuffer(buffers[--n]);
	}
}

/*
 * Read the vector of a node.  The caller must make sure afterwards, by the
 * slot's generation, that it is the vector of the row it meant.
 */
void
VxReadVector(Relation index, const VxIndex *ix, VxNodeId id, void *out,
			 BufferAccessStrategy strategy)
{
	int			slot = VxSlotNumber(ix, id);
	Size		begin = (Size) slot * (Size) ix->codec.vector_bytes;
	Size		left = (Size) ix->codec.vector_bytes;
	BlockNumber block = VxNodeBlock(ix, id);
	char	   *to = out;

	if (ix->codec.kind == VX_CODE_RAW)
	{
		VxNodeSlotData header;

		if (!VxReadSlot(index, ix, id, &header, out, NULL))
			memset(out, 0, left);
		return;
	}
	while (left > 0)
	{
		int			page_no = (int) (begin / VX_PAGE_BYTES);
		Size		offset = begin - (Size) page_no * VX_PAGE_BYTES;
		Size		n = Min(left, VX_PAGE_BYTES - offset);
		Buffer		buffer = read_page(index, block + 1 + (BlockNumber) page_no,
									   strategy);
		Page		page;

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		page = BufferGetPage(buffer);
		if (PageIsNew(page))
			memset(to, 0, n);
		else if (!page_is(page, VX_PAGE_VECTORS))
			VxDamaged(index, block + 1 + (BlockNumber) page_no, "no vector page");
		else
			memcpy(to, (char *) page + MAXALIGN(SizeOfPageHeaderData) + offset, n);
		UnlockReleaseBuffer(buffer);
		to += n;
		begin += n;
		left -= n;
	}
}

/* ------------------------------------------------------------- placing rows */

/* Fill a slot with a row; the page is a registered image */
static void
fill_slot(const VxIndex *ix, VxNodeSlot slot, const VxNewRow *row)
{
	uint16		generation = slot->generation;

	memset(slot, 0, (Size) ix->slot_size);
	slot->state = (uint8) row->state;
	slot->level = (uint8) row->level;
	slot->generation = generation;
	slot->tid = row->tid;
	slot->chain = VX_INVALID_NODE;
	slot->upper = VX_INVALID_NODE;
	slot->factors = row->factors;
	memcpy(VxSlotCode(ix, slot), row->code, (Size) ix->codec.nbytes);
	memset(VxSlotLinks(ix, slot), 0xFF, 2 * (Size) ix->m * sizeof(VxNodeId));
	if (row->nlinks > 0)
		memcpy(VxSlotLinks(ix, slot), row->links,
			   (Size) row->nlinks * sizeof(VxNodeId));
}

/* May a row join the chain of this head? */
static bool
head_accepts(VxNodeSlot head, uint16 generation)
{
	return head->generation == generation &&
		(head->state == VX_SLOT_LIVE ||
		 (head->state == VX_SLOT_DEAD && head->chain != VX_INVALID_NODE));
}

/*
 * Put a row into a free slot, near the node "near" if there is room.
 *
 * A row with a head joins that node's chain in the same record.  Returns
 * VX_INVALID_NODE, and does nothing, if the head is no longer what it was.
 */
VxNodeId
VxPlaceRow(Relation index, const VxIndex *ix, const VxNewRow *row,
		   VxNodeId near, uint16 *generation)
{
	VxTakenSlot taken;
	GenericXLogState *state;
	Page		page;
	VxNodeSlot	slot;
	VxNodeId	id;
	Buffer		buffers[MAX_GENERIC_XLOG_PAGES];
	int			nbuffers = 0;

	take_slot(index, ix, near, row->head, &taken);
	if (row->head != VX_INVALID_NODE &&
		!head_accepts(other_slot(ix, &taken, row->head), row->head_generation))
	{
		release_taken(&taken);
		return VX_INVALID_NODE;
	}
	id = VxMakeNodeId(ix, (taken.block - 1) / (BlockNumber) (1 + ix->vector_pages),
					  taken.slot);

	if (ix->codec.kind != VX_CODE_RAW)
	{
		int			first = first_vector_page(ix, taken.slot);
		int			end = last_vector_page(ix, taken.slot) + 1;
		int			room = MAX_GENERIC_XLOG_PAGES - (BufferIsValid(taken.other) ? 2 : 1);

		if (end - first > room)
		{
			write_vector_early(index, ix, &taken, first, end - room, row->vector);
			first = end - room;
		}
		state = GenericXLogStart(index);
		for (int i = first; i < end; i++)
			buffers[nbuffers++] = write_vector_page(index, ix, state, &taken, i, row->vector);
	}
	else
		state = GenericXLogStart(index);

	page = register_taken(state, ix, &taken);
	slot = VxPageSlot(ix, page, taken.slot);
	*generation = slot->generation;
	fill_slot(ix, slot, row);
	if (row->head != VX_INVALID_NODE)
	{
		VxNodeSlot	head;

		if (BufferIsValid(taken.other))
			page = GenericXLogRegisterBuffer(state, taken.other, 0);
		head = VxPageSlot(ix, page, VxSlotNumber(ix, row->head));
		slot->state = VX_SLOT_DUPLICATE;
		slot->upper = row->head;
		slot->chain = head->chain;
		head->chain = id;
	}
	GenericXLogFinish(state);

	while (nbuffers > 0)
		UnlockReleaseBuffer(buffers[--nbuffers]);
	release_taken(&taken);
	if (taken.nfree == 1)
		RecordPageWithFreeSpace(index, taken.block, 0);
	return id;
}

/*
 * Give a node its slot of upper layers: level * m links, packed by layer.
 * Returns false, and does nothing, if the node is gone or has one.
 */
bool
VxPlaceUpper(Relation index, const VxIndex *ix, VxNodeId node,
			 uint16 generation, int level, const VxNodeId *links)
{
	VxTakenSlot taken;
	GenericXLogState *state;
	Page		page;
	VxUpperSlot upper;
	VxNodeSlot	owner;
	uint16		upper_generation;

	take_slot(index, ix, node, node, &taken);
	owner = other_slot(ix, &taken, node);
	if (owner->state != VX_SLOT_LIVE || owner->generation != generation ||
		owner->upper != VX_INVALID_NODE)
	{
		release_taken(&taken);
		return false;
	}

	state = GenericXLogStart(index);
	page = register_taken(state, ix, &taken);
	upper = VxPageSlot(ix, page, taken.slot);
	upper_generation = upper->generation;
	memset(upper, 0, (Size) ix->slot_size);
	upper->state = VX_SLOT_UPPER;
	upper->level = (uint8) level;
	upper->generation = upper_generation;
	upper->owner = node;
	memcpy(upper->links, links, (Size) level * (Size) ix->m * sizeof(VxNodeId));
	if (BufferIsValid(taken.other))
		page = GenericXLogRegisterBuffer(state, taken.other, 0);
	owner = VxPageSlot(ix, page, VxSlotNumber(ix, node));
	owner->upper = VxMakeNodeId(ix, (taken.block - 1) /
								(BlockNumber) (1 + ix->vector_pages), taken.slot);
	GenericXLogFinish(state);

	release_taken(&taken);
	if (taken.nfree == 1)
		RecordPageWithFreeSpace(index, taken.block, 0);
	return true;
}
