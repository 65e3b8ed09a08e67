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

#include "access/reloptions.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/attr.h"
#include "inject.h"

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
bool
VxPageIs(Page page, VxPageKind kind)
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

/*
 * The space that the operator class of the first column indexes.  Complains
 * about an operator class that is not made for this access method.
 */
const VxSpace *
VxGetSpace(Relation index)
{
	Oid			type = TupleDescAttr(RelationGetDescr(index), 0)->atttypid;
	const VxSpace *space = NULL;

	if (OidIsValid(index_getprocid(index, 1, VX_SPACE_PROC)))
		space = VxFindSpace(index_getprocinfo(index, 1, VX_SPACE_PROC), type);
	if (space == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator class of index \"%s\" is invalid",
						RelationGetRelationName(index)),
				 errdetail("Its support function %d is none of access method hnsw, or not for type %s.",
						   VX_SPACE_PROC, format_type_be(type)),
				 errhint("amvalidate() checks operator classes.")));
	return space;
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

/* Pages that the vectors of a node page's slots take */
static Size
stripe_vector_pages(const VxCodec *codec, Size slots)
{
	if (codec->kind == VX_CODE_RAW)
		return 0;
	return (slots * (Size) codec->vector_bytes + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES;
}

/*
 * Compute the metapage of a new index, and so its layout, from its options
 * and its column.
 */
void
VxFillMeta(Relation index, VxMetaPage meta)
{
	const VxSpace *space;
	VxOptions  *options = (VxOptions *) index->rd_options;
	int			m = options ? options->m : VX_DEFAULT_M;
	int			ef = options ? options->ef_construction : VX_DEFAULT_EF_CONSTRUCTION;
	const char *code_bits = options ? GET_STRING_RELOPTION(options, code_bits) : NULL;
	int			bits = code_bits ? code_bits[0] - '0' : 0;
	int			link_bytes = 2 * m * (int) sizeof(VxNodeId);
	int			dims;
	VxCodec		codec;

	memset(meta, 0, sizeof(*meta));
	VxAttrsFromIndex(index, meta);
	space = VxGetSpace(index);
	dims = indexed_dims(index, space);
	if (ef < 2 * m)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ef_construction must be greater than or equal to 2 * m")));
	if (!VxCodecInit(&codec, space->element, space->metric, dims, bits,
					 (int) VX_PAGE_BYTES - VX_SLOT_HEADER_SIZE - meta->attr_size -
					 link_bytes))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("code of %d dimensions does not fit on a page with m = %d and %d bytes of filter columns",
						dims, m, meta->attr_size)));

	meta->magic = VX_MAGIC;
	meta->version = VX_FORMAT_VERSION;
	meta->dims = (uint32) dims;
	meta->element = space->element;
	meta->metric = space->metric;
	meta->code_kind = codec.kind;
	meta->code_bits = (uint16) codec.bits;
	meta->m = (uint16) m;
	meta->ef_construction = (uint16) ef;
	meta->code_offset = (uint16) (VX_SLOT_HEADER_SIZE + meta->attr_size);
	meta->link_offset = (uint16) (meta->code_offset + INTALIGN(codec.nbytes));
	meta->slot_size = (uint16) (meta->link_offset + link_bytes);
	meta->slots_per_page = (uint16) (VX_PAGE_BYTES / meta->slot_size);
	meta->vector_pages = (uint16) stripe_vector_pages(&codec, meta->slots_per_page);
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
		meta->vector_pages == stripe_vector_pages(codec, meta->slots_per_page) &&
		meta->max_level <= VX_MAX_LEVEL &&
		offsetof(VxUpperSlotData, links) +
		(Size) meta->max_level * meta->m * sizeof(VxNodeId) <= meta->slot_size;
}

/*
 * Translate a metapage, which may be any bytes, into a layout.  Returns false,
 * and in *wrong the reason, if it cannot be used.
 */
bool
VxMetaLayout(const VxMetaPageData *meta, VxIndex *ix, const char **wrong)
{
	if (meta->magic != VX_MAGIC)
		*wrong = "no magic number";
	else if (meta->version != VX_FORMAT_VERSION)
		*wrong = psprintf("format version %u is not supported, only %d: REINDEX",
						  meta->version, VX_FORMAT_VERSION);
	else if (!VxCodecRestore(&ix->codec, meta->element, meta->metric,
							 meta->dims <= 1000000 ? (int) meta->dims : 0,
							 meta->code_kind, meta->code_bits) ||
			 !meta_is_sane(meta, &ix->codec))
		*wrong = "impossible layout";
	else
	{
		ix->m = meta->m;
		ix->ef_construction = meta->ef_construction;
		ix->attr_size = meta->attr_size;
		ix->code_offset = meta->code_offset;
		ix->link_offset = meta->link_offset;
		ix->slot_size = meta->slot_size;
		ix->slots_per_page = meta->slots_per_page;
		ix->vector_pages = meta->vector_pages;
		ix->max_level = meta->max_level;
		ix->skip_wal = false;
		if (VxAttrsLayout(meta, ix))
			return true;
		*wrong = "impossible filter columns";
	}
	return false;
}

/* Likewise; complains about what cannot be used */
void
VxLayoutFromMeta(Relation index, const VxMetaPageData *meta, VxIndex *ix)
{
	const char *wrong;

	if (meta->magic == VX_MAGIC && meta->version != VX_FORMAT_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("index \"%s\" has format version %u, but this version of vectorx supports %d",
						RelationGetRelationName(index), meta->version,
						VX_FORMAT_VERSION),
				 errhint("Install the version of vectorx that made it, or REINDEX it.")));
	if (!VxMetaLayout(meta, ix, &wrong))
		VxDamaged(index, VX_META_BLOCK, wrong);
}

/* Read and share-lock the metapage; its content is at *meta */
static Buffer
lock_meta(Relation index, int mode, VxMetaPage *meta)
{
	Buffer		buffer = VxReadBuffer(index, VX_META_BLOCK);
	Page		page;

	LockBuffer(buffer, mode);
	page = BufferGetPage(buffer);
	if (!VxPageIs(page, VX_PAGE_META))
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
		if (!VxAttrsMatch(index, ix))
			VxDamaged(index, VX_META_BLOCK, "other columns");
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
VxChangeEntry(Relation index, const VxIndex *ix, VxNodeId old, VxEntry new)
{
	VxMetaPage	meta;
	Buffer		buffer = lock_meta(index, BUFFER_LOCK_EXCLUSIVE, &meta);
	bool		change = meta->entry == old;

	if (change)
	{
		Page		page;

		VxWalBegin(index, ix);
		page = VxWalPage(buffer, false);
		meta->entry_level = (uint16) new.level;
		VxWalChanged(page, &meta->entry_level, sizeof(meta->entry_level));
		VxWalPut(page, &meta->entry, &new.node, sizeof(VxNodeId));
		VxWalFinish();
	}
	UnlockReleaseBuffer(buffer);
	return change;
}

/* Note in the metapage whether slots wait for repair; returns what it said */
bool
VxNoteDead(Relation index, const VxIndex *ix, bool dead)
{
	VxMetaPage	meta;
	Buffer		buffer = lock_meta(index, BUFFER_LOCK_EXCLUSIVE, &meta);
	bool		was = meta->dead != 0;

	if (was != dead)
	{
		uint32		flag = dead;

		VxWalBegin(index, ix);
		VxWalPut(VxWalPage(buffer, false), &meta->dead, &flag, sizeof(flag));
		VxWalFinish();
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

/* Complain if a page is neither a node page nor all-zero */
static void
check_node_page(Relation index, BlockNumber block, Page page)
{
	if (!PageIsNew(page) && !VxPageIs(page, VX_PAGE_NODES))
		VxDamaged(index, block, "no node page");
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
	check_node_page(index, BufferGetBlockNumber(buffer), page);
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

/* Is a block from the free space map a node page that exists? */
static bool
is_node_block(Relation index, const VxIndex *ix, BlockNumber block)
{
	return block >= 1 && block < RelationGetNumberOfBlocks(index) &&
		(block - 1) % (BlockNumber) (1 + ix->vector_pages) == 0;
}

/* A node page with room, by the free space map, or InvalidBlockNumber */
static BlockNumber
block_from_map(Relation index, const VxIndex *ix)
{
	BlockNumber block;

	while ((block = GetPageWithFreeSpace(index, BLCKSZ / 2)) != InvalidBlockNumber &&
		   !is_node_block(index, ix, block))
		RecordPageWithFreeSpace(index, block, 0);
	return block;
}

/* Stripes that one writer adds for others that wait to do so */
#define MAX_EXTRA_STRIPES 16

/*
 * Lock the relation for extension, unless somebody else has it locked and, when
 * he is done, there is room.  Returns that room's block, or InvalidBlockNumber
 * with the lock held and the number of stripes to add.
 */
static BlockNumber
lock_extension(Relation index, const VxIndex *ix, int *nstripes)
{
	BlockNumber block;

	*nstripes = 1;
	if (ConditionalLockRelationForExtension(index, ExclusiveLock))
		return InvalidBlockNumber;
	LockRelationForExtension(index, ExclusiveLock);
	block = block_from_map(index, ix);
	if (block != InvalidBlockNumber)
		UnlockRelationForExtension(index, ExclusiveLock);
	else
		*nstripes += Min(RelationExtensionLockWaiterCount(index), MAX_EXTRA_STRIPES);
	return block;
}

/* Complain if there cannot be so many stripes */
static void
check_stripes(Relation index, const VxIndex *ix, uint64 nstripes)
{
	if (nstripes * (uint64) ix->slots_per_page >= VX_INVALID_NODE ||
		1 + nstripes * (uint64) (1 + ix->vector_pages) > MaxBlockNumber)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" cannot hold more rows",
						RelationGetRelationName(index))));
}

/*
 * Add a stripe, or some where others wait for room, too, and let them know.
 * Returns the block of a node page with room.
 */
static BlockNumber
extend_by_stripe(Relation index, const VxIndex *ix)
{
	BlockNumber block;
	uint32		stripe;
	int			nstripes;

	block = lock_extension(index, ix, &nstripes);
	if (block != InvalidBlockNumber)
		return block;
	/* an incomplete stripe is completed first */
	stripe = (RelationGetNumberOfBlocks(index) - 1) / (BlockNumber) (1 + ix->vector_pages);
	check_stripes(index, ix, (uint64) stripe + (uint64) nstripes);
	extend_to(index, VxStripeBlock(ix, stripe + (uint32) nstripes));
	for (int i = 0; i < nstripes; i++)
		VxRecordFreeSlots(index, VxStripeBlock(ix, stripe + (uint32) i));
	VX_INJECTION_POINT("extend-locked");
	UnlockRelationForExtension(index, ExclusiveLock);
	VX_INJECTION_POINT("extend-done");
	return VxStripeBlock(ix, stripe);
}

/* Pages from the free space map that may be found locked before a stripe is added */
#define MAX_BUSY_PAGES 2

/*
 * A node page where a free slot may be: first near a node, then where this
 * backend found one before, then by the free space map, else a new one.  The
 * map is asked no more when that many of its pages were locked by others.
 */
static BlockNumber
choose_block(Relation index, const VxIndex *ix, VxNodeId near, int attempt, int busy)
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
	if (busy <= MAX_BUSY_PAGES)
	{
		block = block_from_map(index, ix);
		if (block != InvalidBlockNumber)
			return block;
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

/* Lock the page of a block, unless somebody else has it locked */
static bool
try_lock(Relation index, BlockNumber block, VxTakenSlot *taken)
{
	taken->block = block;
	taken->other = InvalidBuffer;
	taken->buffer = VxReadBuffer(index, block);
	if (!ConditionalLockBuffer(taken->buffer))
	{
		ReleaseBuffer(taken->buffer);
		return false;
	}
	check_node_page(index, block, BufferGetPage(taken->buffer));
	return true;
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
 *
 * Without another node, a page that somebody else has locked is passed by, so
 * that writers do not queue for the pages with free slots but spread; when
 * several are, a new stripe makes room for one writer more.
 */
static void
take_slot(Relation index, const VxIndex *ix, VxNodeId near, VxNodeId other,
		  VxTakenSlot *taken)
{
	int			busy = 0;

	VX_INJECTION_POINT("slot-choose");
	for (int attempt = 0;; attempt++)
	{
		BlockNumber block = choose_block(index, ix, near, attempt, busy);

		CHECK_FOR_INTERRUPTS();
		complete_stripe(index, ix, block);
		if (other != VX_INVALID_NODE || busy > MAX_BUSY_PAGES)
			lock_pair(index, ix, block, other, taken);
		else if (!try_lock(index, block, taken))
		{
			busy++;
			continue;
		}
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

/* The page of a taken slot, made a node page if new, for change */
static Page
change_taken(const VxIndex *ix, const VxTakenSlot *taken)
{
	bool		is_new = PageIsNew(BufferGetPage(taken->buffer));
	Page		page = VxWalPage(taken->buffer, is_new);

	if (is_new)
		VxInitPage(page, VX_PAGE_NODES,
				   (taken->block - 1) / (BlockNumber) (1 + ix->vector_pages));
	VxWalRaiseLower(page, MAXALIGN(SizeOfPageHeaderData) +
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

/* What of a slot's vector is in vector page page_no, and where on the page */
static void
vector_part(const VxIndex *ix, int page_no, int slot, Size *begin, Size *size, Size *offset)
{
	Size		first = (Size) slot * (Size) ix->codec.vector_bytes;
	Size		end = Min(first + (Size) ix->codec.vector_bytes,
						  (Size) (page_no + 1) * VX_PAGE_BYTES);
	Size		start = Max(first, (Size) page_no * VX_PAGE_BYTES);

	Assert(start < end);
	*begin = start - first;
	*size = end - start;
	*offset = MAXALIGN(SizeOfPageHeaderData) + start - (Size) page_no * VX_PAGE_BYTES;
}

/*
 * Copy into vector page page_no of a stripe what it holds of a slot's vector.
 */
void
VxFillVectorPage(const VxIndex *ix, Page page, int page_no, int slot,
				 const char *vector)
{
	Size		begin;
	Size		size;
	Size		offset;

	vector_part(ix, page_no, slot, &begin, &size, &offset);
	memcpy((char *) page + offset, vector + begin, size);
	VxRaisePageLower(page, offset + size);
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

/* Lock vector pages [from, to) of a taken slot's stripe exclusively */
static void
lock_vector_pages(Relation index, const VxTakenSlot *taken, int from, int to,
				  Buffer *buffers)
{
	for (int i = from; i < to; i++)
	{
		BlockNumber block = taken->block + 1 + (BlockNumber) i;
		Buffer		buffer = VxReadBuffer(index, block);

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		if (!PageIsNew(BufferGetPage(buffer)) &&
			!VxPageIs(BufferGetPage(buffer), VX_PAGE_VECTORS))
			VxDamaged(index, block, "no vector page");
		buffers[i - from] = buffer;
	}
}

/* Write into vector page page_no, as part of a change, its part of a vector */
static void
write_vector_page(const VxIndex *ix, const VxTakenSlot *taken, int page_no,
				  Buffer buffer, const char *vector)
{
	bool		is_new = PageIsNew(BufferGetPage(buffer));
	Page		page = VxWalPage(buffer, is_new);
	Size		begin;
	Size		size;
	Size		offset;

	if (is_new)
		VxInitPage(page, VX_PAGE_VECTORS,
				   (taken->block - 1) / (BlockNumber) (1 + ix->vector_pages));
	vector_part(ix, page_no, taken->slot, &begin, &size, &offset);
	VxWalRaiseLower(page, offset + size);
	VxWalPut(page, (char *) page + offset, vector + begin, size);
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
		Buffer		buffers[VX_WAL_PAGES];
		int			n = Min(VX_WAL_PAGES, to - from);

		lock_vector_pages(index, taken, from, from + n, buffers);
		VxWalBegin(index, ix);
		for (int i = 0; i < n; i++)
			write_vector_page(ix, taken, from + i, buffers[i], vector);
		VxWalFinish();
		from += n;
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
		else if (!VxPageIs(page, VX_PAGE_VECTORS))
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

/*
 * Leave a node itself out of a list of its links: it may be there, if what was
 * found by that id has been removed since, and its slot is the one taken now.
 */
static void
leave_out(VxNodeId *links, int capacity, VxNodeId id)
{
	int			n = VxCountLinks(links, capacity);

	for (int i = 0; i < n; i++)
		if (links[i] == id)
		{
			memmove(links + i, links + i + 1, sizeof(VxNodeId) * (Size) (n - i - 1));
			links[n - 1] = VX_INVALID_NODE;
			return;
		}
}

/*
 * Fill a slot with a row; returns its generation.  The state comes last: a walk
 * that peeks at the slot meanwhile finds it free.
 */
static uint16
fill_slot(const VxIndex *ix, VxNodeId id, VxNodeSlot slot, const VxNewRow *row)
{
	uint16		generation = slot->generation;

	memset(slot, 0, (Size) ix->slot_size);
	slot->level = (uint8) row->level;
	slot->generation = generation;
	slot->tid = row->tid;
	slot->chain = VX_INVALID_NODE;
	slot->upper = row->head;	/* invalid, unless it is a duplicate's */
	slot->factors = row->factors;
	if (ix->attr_size > 0)
		memcpy(VxSlotAttrs(slot), row->attrs, (Size) ix->attr_size);
	memcpy(VxSlotCode(ix, slot), row->code, (Size) ix->codec.nbytes);
	memset(VxSlotLinks(ix, slot), 0xFF, 2 * (Size) ix->m * sizeof(VxNodeId));
	if (row->nlinks > 0)
		memcpy(VxSlotLinks(ix, slot), row->links,
			   (Size) row->nlinks * sizeof(VxNodeId));
	leave_out(VxSlotLinks(ix, slot), 2 * ix->m, id);
	pg_write_barrier();
	slot->state = (uint8) (row->head == VX_INVALID_NODE ? row->state : VX_SLOT_DUPLICATE);
	return generation;
}

/* May a row join the chain of this head? */
static bool
head_accepts(VxNodeSlot head, uint16 generation)
{
	return head->generation == generation && VxSlotRoutes(head);
}

/* Let others know what became of the free slots of a page that one was taken of */
static void
note_taken(Relation index, const VxTakenSlot *taken)
{
	if (taken->nfree == 1)
		RecordPageWithFreeSpace(index, taken->block, 0);
}

/*
 * Lock the vector pages that the last record of a row writes, and write those
 * before them.  Returns the number of the first, and in *n how many.
 */
static int
prepare_vector(Relation index, const VxIndex *ix, const VxTakenSlot *taken,
			   const void *vector, Buffer *buffers, int *n)
{
	int			first = first_vector_page(ix, taken->slot);
	int			end = last_vector_page(ix, taken->slot) + 1;
	int			room = VX_WAL_PAGES - (BufferIsValid(taken->other) ? 2 : 1);

	if (end - first > room)
	{
		write_vector_early(index, ix, taken, first, end - room, vector);
		VX_INJECTION_POINT("vector-early");
		first = end - room;
	}
	lock_vector_pages(index, taken, first, end, buffers);
	*n = end - first;
	return first;
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
	Page		page;
	VxNodeSlot	slot;
	VxNodeId	id;
	Buffer		buffers[VX_WAL_PAGES];
	int			nbuffers = 0;
	int			first = 0;

	take_slot(index, ix, near, row->head, &taken);
	VX_INJECTION_POINT("slot-taken");
	if (row->head != VX_INVALID_NODE &&
		!head_accepts(other_slot(ix, &taken, row->head), row->head_generation))
	{
		release_taken(&taken);
		return VX_INVALID_NODE;
	}
	id = VxMakeNodeId(ix, (taken.block - 1) / (BlockNumber) (1 + ix->vector_pages),
					  taken.slot);
	if (ix->codec.kind != VX_CODE_RAW)
		first = prepare_vector(index, ix, &taken, row->vector, buffers, &nbuffers);

	VxWalBegin(index, ix);
	for (int i = 0; i < nbuffers; i++)
		write_vector_page(ix, &taken, first + i, buffers[i], row->vector);
	page = change_taken(ix, &taken);
	slot = VxPageSlot(ix, page, taken.slot);
	*generation = fill_slot(ix, id, slot, row);
	if (row->head != VX_INVALID_NODE)
	{
		VxNodeSlot	head = other_slot(ix, &taken, row->head);
		Page		head_page = BufferIsValid(taken.other) ?
			VxWalPage(taken.other, false) : page;

		slot->chain = head->chain;
		VxWalPut(head_page, &head->chain, &id, sizeof(id));
	}
	VxWalChanged(page, slot, (Size) ix->slot_size);
	VxWalFinish();

	while (nbuffers > 0)
		UnlockReleaseBuffer(buffers[--nbuffers]);
	release_taken(&taken);
	note_taken(index, &taken);
	return id;
}

/* Fill an upper slot with level * m links, packed by layer */
static void
fill_upper(const VxIndex *ix, VxUpperSlot upper, VxNodeId owner, int level,
		   const VxNodeId *links)
{
	uint16		generation = upper->generation;

	memset(upper, 0, (Size) ix->slot_size);
	upper->state = VX_SLOT_UPPER;
	upper->level = (uint8) level;
	upper->generation = generation;
	upper->owner = owner;
	memcpy(upper->links, links, (Size) level * (Size) ix->m * sizeof(VxNodeId));
	for (int l = 1; l <= level; l++)
		leave_out(VxUpperLinks(ix, upper, l), ix->m, owner);
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
	Page		page;
	VxUpperSlot upper;
	VxNodeSlot	owner;
	VxNodeId	id;

	take_slot(index, ix, node, node, &taken);
	owner = other_slot(ix, &taken, node);
	if (owner->state != VX_SLOT_LIVE || owner->generation != generation ||
		owner->upper != VX_INVALID_NODE)
	{
		release_taken(&taken);
		return false;
	}
	id = VxMakeNodeId(ix, (taken.block - 1) / (BlockNumber) (1 + ix->vector_pages),
					  taken.slot);

	VxWalBegin(index, ix);
	page = change_taken(ix, &taken);
	upper = VxPageSlot(ix, page, taken.slot);
	fill_upper(ix, upper, node, level, links);
	VxWalChanged(page, upper, (Size) ix->slot_size);
	if (BufferIsValid(taken.other))
		page = VxWalPage(taken.other, false);
	VxWalPut(page, &owner->upper, &id, sizeof(id));
	VxWalFinish();

	release_taken(&taken);
	note_taken(index, &taken);
	return true;
}
