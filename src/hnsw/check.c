/*-------------------------------------------------------------------------
 *
 * check.c
 *	  vectorx_index_check: does an index say what it should?
 *
 * The check reads all pages in block order and tests what holds of each slot,
 * then of the graph as a whole (checkgraph.c), then compares the index with its
 * table (checkrows.c).  What it finds becomes rows; errors are for what is no
 * hnsw index, and for what a table's own damage or an index expression raises.
 *
 * It takes no lock but share locks of one page at a time, so that everything may
 * change while it looks.  Yet what it reports is so.  What is claimed of one
 * slot is seen in one copy of its page.  What is claimed of two slots, say that
 * one names the other but not the other way round, is seen in three looks: at
 * the first, at the second, and again at the first.  If the first has not
 * changed, it said the same at the moment of the look at the second; and what
 * two slots say of each other is changed in one WAL record, under the locks of
 * both pages.  The same way, a vector belongs to a slot whose generation is the
 * same before and after the vector was read.
 *
 * Nothing that is read is trusted: ids are compared with the length of the
 * relation, offsets come from the metapage after its layout was found sane, and
 * whatever follows links or chains ends by itself.  A page that cannot be read
 * is a finding like others: each is read in a subtransaction, which is what it
 * takes in PostgreSQL to go on after an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "compat.h"
#include "hnsw/check.h"

#define N_COLUMNS 6

/* So many live nodes without an entry point may be insertions that a crash cut short */
#define MAX_UNFINISHED 8

/* An empty map of so many ids */
uint64 *
VxMapCreate(uint64 size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext,
									  ((Size) size / 64 + 1) * sizeof(uint64),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* ----------------------------------------------------------------- findings */

static void put_finding(VxCheck *check, const char *severity, const char *kind,
						BlockNumber block, int slot, const ItemPointerData *tid,
						const char *format, va_list args) pg_attribute_printf(7, 0);

static void
put_finding(VxCheck *check, const char *severity, const char *kind, BlockNumber block,
			int slot, const ItemPointerData *tid, const char *format, va_list args)
{
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {0};
	char		detail[512];
	ItemPointerData copy;

	vsnprintf(detail, sizeof(detail), format, args);
	values[0] = CStringGetTextDatum(severity);
	values[1] = CStringGetTextDatum(kind);
	values[2] = Int64GetDatum((int64) block);
	nulls[2] = block == InvalidBlockNumber;
	values[3] = Int32GetDatum(slot);
	nulls[3] = slot < 0;
	nulls[4] = tid == NULL;
	if (tid != NULL)
	{
		copy = *tid;
		values[4] = PointerGetDatum(&copy);
	}
	values[5] = CStringGetTextDatum(detail);
	tuplestore_putvalues(check->result->setResult, check->result->setDesc, values, nulls);
	for (int i = 0; i < N_COLUMNS; i++)
		if (i == 0 || i == 1 || i == 5)
			pfree(DatumGetPointer(values[i]));
}

/*
 * Add a finding.  block is InvalidBlockNumber, slot -1, tid NULL where they do
 * not apply.
 */
void
VxFinding(VxCheck *check, const char *severity, const char *kind, BlockNumber block,
		  int slot, const ItemPointerData *tid, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	put_finding(check, severity, kind, block, slot, tid, format, args);
	va_end(args);
}

/* Add a finding about a slot */
void
VxSlotFinding(VxCheck *check, const char *severity, const char *kind, VxNodeId id,
			  const ItemPointerData *tid, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	put_finding(check, severity, kind, VxNodeBlock(check->ix, id),
				VxSlotNumber(check->ix, id), tid, format, args);
	va_end(args);
}

/* -------------------------------------------------------------- reading pages */

/* Is an error one of what was to be read, and not of who reads? */
static bool
is_damage(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_DATA_CORRUPTED || sqlerrcode == ERRCODE_INDEX_CORRUPTED ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_SYSTEM_ERROR;
}

/*
 * Read a page of the index, under a share lock, into memory of ours.  Returns
 * false, and the reason in *error unless that is NULL, if it cannot be read.
 */
bool
VxCheckReadPage(VxCheck *check, BlockNumber block, char *page, char **error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool ok = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		Buffer		buffer = ReadBufferExtended(check->index, MAIN_FORKNUM, block,
												RBM_NORMAL, check->strategy);

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		memcpy(page, BufferGetPage(buffer), BLCKSZ);
		UnlockReleaseBuffer(buffer);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *data;

		MemoryContextSwitchTo(context);
		data = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!is_damage(data->sqlerrcode))
			ReThrowError(data);
		if (error)
			*error = pstrdup(data->message);
		FreeErrorData(data);
		ok = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return ok;
}

/*
 * The node page of a stripe, in check->page; NULL if it has no slots that could
 * be looked at, which it is not this function's business to report.
 */
Page
VxCheckNodePage(VxCheck *check, uint32 stripe)
{
	Page		page = (Page) check->page;

	return VxCheckReadPage(check, VxStripeBlock(check->ix, stripe), check->page, NULL) &&
		VxPageIs(page, VX_PAGE_NODES) ? page : NULL;
}

/* Does a node id have a page, now? */
static bool
id_exists(VxCheck *check, VxNodeId id)
{
	return id < check->nnodes || id < VxCurrentNodes(check->index, check->ix);
}

/*
 * Look at a slot: copy its header, which may be that of an upper slot.  Returns
 * false if there is none to be had: no page, or a page that is damaged.
 */
bool
VxCheckReadSlot(VxCheck *check, VxNodeId id, VxNodeSlot header)
{
	Page		page = (Page) check->other;

	CHECK_FOR_INTERRUPTS();
	if (!id_exists(check, id) ||
		!VxCheckReadPage(check, VxNodeBlock(check->ix, id), check->other, NULL))
		return false;
	memset(header, 0, sizeof(*header));
	if (PageIsNew(page))
		return true;
	if (!VxPageIs(page, VX_PAGE_NODES))
		return false;
	memcpy(header, VxPageSlot(check->ix, page, VxSlotNumber(check->ix, id)), sizeof(*header));
	return true;
}

/*
 * Copy the vector of a slot, which has one.  Returns false if it cannot be had.
 * Whose it is depends on the slot's generation, before and after.
 */
bool
VxCheckReadVector(VxCheck *check, VxNodeId id, char *vector)
{
	const VxIndex *ix = check->ix;
	BlockNumber block = VxNodeBlock(ix, id);
	Page		page = (Page) check->other;
	Size		size = (Size) ix->codec.vector_bytes;
	Size		begin = (Size) VxSlotNumber(ix, id) * size;

	if (ix->codec.kind == VX_CODE_RAW)
	{
		if (!VxCheckReadPage(check, block, check->other, NULL) ||
			!VxPageIs(page, VX_PAGE_NODES))
			return false;
		memcpy(vector, VxSlotCode(ix, VxPageSlot(ix, page, VxSlotNumber(ix, id))), size);
		return true;
	}
	for (Size done = 0; done < size;)
	{
		Size		offset = (begin + done) % VX_PAGE_BYTES;
		Size		n = Min(size - done, VX_PAGE_BYTES - offset);
		BlockNumber at = block + 1 + (BlockNumber) ((begin + done) / VX_PAGE_BYTES);

		if (at >= RelationGetNumberOfBlocks(check->index) ||
			!VxCheckReadPage(check, at, check->other, NULL) ||
			!VxPageIs(page, VX_PAGE_VECTORS))
			return false;
		memcpy(vector + done, PageGetContents(page) + offset, n);
		done += n;
	}
	return true;
}

/* Does a slot still have the row, dead or alive, that it had? */
static bool
is_same_row(VxCheck *check, VxNodeId id, VxNodeSlot slot)
{
	VxNodeSlotData now;

	return VxCheckReadSlot(check, id, &now) && now.generation == slot->generation &&
		now.state != VX_SLOT_FREE && now.state != VX_SLOT_UPPER;
}

/* --------------------------------------------------------------- page headers */

static bool
all_zero(const char *bytes, Size n)
{
	for (Size i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/*
 * Report what is wrong with the header of a page.  Returns whether the page is
 * of its kind, not new, and may be looked into.
 */
static bool
check_header(VxCheck *check, BlockNumber block, Page page, VxPageKind kind, uint32 stripe)
{
	PageHeader	header = (PageHeader) page;
	Size		special = BLCKSZ - MAXALIGN(sizeof(VxPageSpecialData));

	if (PageIsNew(page))
	{
		if (!all_zero(page, BLCKSZ))
			VxFinding(check, VX_ERROR, "page", block, -1, NULL,
					  "page without a header is not all zeroes");
		return false;
	}
	if (PageGetPageSize(page) != BLCKSZ || !VxPageIs(page, kind))
	{
		VxFinding(check, VX_ERROR, "page", block, -1, NULL, "is no %s page",
				  kind == VX_PAGE_NODES ? "node" : kind == VX_PAGE_META ? "meta" : "vector");
		return false;
	}
	if (((VxPageSpecial) PageGetSpecialPointer(page))->stripe != stripe)
		VxFinding(check, VX_ERROR, "page", block, -1, NULL,
				  "page says it is of stripe %u, but is of stripe %u",
				  ((VxPageSpecial) PageGetSpecialPointer(page))->stripe, stripe);
	if (header->pd_lower < SizeOfPageHeaderData || header->pd_lower > special ||
		header->pd_upper != special)
		VxFinding(check, VX_ERROR, "page", block, -1, NULL,
				  "bounds of the page are %u and %u",
				  (unsigned) header->pd_lower, (unsigned) header->pd_upper);
	else if (!all_zero(page + header->pd_lower, special - header->pd_lower))
		VxFinding(check, VX_ERROR, "page", block, -1, NULL,
				  "bytes beyond those in use are not zero, and will not survive a crash");
	return true;
}

/* ----------------------------------------------------------------- metapage */

/* Read the metapage; what is wrong with it is in *error */
static bool
read_meta(VxCheck *check, VxMetaPage meta, char **error)
{
	if (!VxCheckReadPage(check, VX_META_BLOCK, check->other, error))
		return false;
	if (!VxPageIs((Page) check->other, VX_PAGE_META))
	{
		*error = "is no metapage";
		return false;
	}
	memcpy(meta, PageGetContents((Page) check->other), sizeof(*meta));
	return true;
}

/*
 * Make the layout of the index out of its metapage.  Returns false if there is
 * none, which is reported, so that nothing else can be looked at.
 */
static bool
check_meta(VxCheck *check)
{
	const VxSpace *space = VxGetSpace(check->index);
	int			dims = TupleDescAttr(RelationGetDescr(check->index), 0)->atttypmod;
	VxIndex    *ix = palloc(sizeof(VxIndex));
	VxMetaPageData meta;
	char	   *error = "is missing";
	const char *wrong = NULL;

	if (check->nblocks == 0 || !read_meta(check, &meta, &error))
	{
		VxFinding(check, VX_ERROR, "metapage", VX_META_BLOCK, -1, NULL, "%s", error);
		return false;
	}
	check_header(check, VX_META_BLOCK, (Page) check->other, VX_PAGE_META, 0);
	if (!VxMetaLayout(&meta, ix, &wrong))
	{
		VxFinding(check, VX_ERROR, "metapage", VX_META_BLOCK, -1, NULL, "%s", wrong);
		return false;
	}
	if (ix->codec.dims != dims || ix->codec.metric != space->metric ||
		ix->codec.element != space->element)
	{
		VxFinding(check, VX_ERROR, "metapage", VX_META_BLOCK, -1, NULL,
				  "index is for other vectors or another distance than its column's");
		return false;
	}
	if (!VxAttrsMatch(check->index, ix))
	{
		VxFinding(check, VX_ERROR, "metapage", VX_META_BLOCK, -1, NULL,
				  "filter columns are not those of the index");
		return false;
	}
	check->ix = ix;
	return true;
}

/* May a slot of this state be where searches begin? */
static bool
may_be_entry(const VxMetaPageData *meta, const VxNodeSlotData *slot)
{
	return VxSlotRoutes(slot) || (slot->state == VX_SLOT_DEAD && meta->dead != 0);
}

static void
check_entry(VxCheck *check)
{
	VxMetaPageData meta;
	VxMetaPageData again;
	VxNodeSlotData slot;
	char	   *error;
	bool		seen;

	if (!read_meta(check, &meta, &error))
		return;
	if (meta.entry == VX_INVALID_NODE)
	{
		/* vacuum may have removed them all since */
		int64		n = VxCheckRecount(check);

		if (n > 0 && read_meta(check, &again, &error) && again.entry == VX_INVALID_NODE)
			VxFinding(check, n > MAX_UNFINISHED ? VX_ERROR : VX_WARNING, "entry",
					  VX_META_BLOCK, -1, NULL,
					  "there is no entry point, but there are " INT64_FORMAT " nodes", n);
		return;
	}
	if (!id_exists(check, meta.entry))
	{
		VxFinding(check, VX_ERROR, "entry", VX_META_BLOCK, -1, NULL,
				  "entry point %u does not exist", meta.entry);
		return;
	}
	seen = VxCheckReadSlot(check, meta.entry, &slot);
	if (!read_meta(check, &again, &error) || again.entry != meta.entry ||
		again.entry_level != meta.entry_level)
		return;					/* it has been replaced */
	if (!seen || !(may_be_entry(&meta, &slot) || may_be_entry(&again, &slot)))
		VxSlotFinding(check, VX_ERROR, "entry", meta.entry, NULL,
					  "entry point is no node");
	else if (slot.level != meta.entry_level)
		VxSlotFinding(check, VX_ERROR, "entry", meta.entry, NULL,
					  "entry point is said to be of level %u, but is of level %u",
					  (unsigned) meta.entry_level, (unsigned) slot.level);
}

/* -------------------------------------------------------------------- links */

/*
 * Check a list of links of node "owner" on a layer; id is the slot that has the
 * list.  Whether a link leads to a node is not looked at: slots that it may once
 * have led to are freed and used again (see README).
 */
static void
check_list(VxCheck *check, VxNodeId id, VxNodeId owner, int level, const VxNodeId *links)
{
	int			capacity = VxLinkCapacity(check->ix, level);
	int			n = VxCountLinks(links, capacity);

	for (int i = n; i < capacity; i++)
		if (links[i] != VX_INVALID_NODE)
		{
			VxSlotFinding(check, VX_ERROR, "link", id, NULL,
						  "layer %d: link %d comes after the end of the list", level, i);
			break;
		}
	for (int i = 0; i < n; i++)
	{
		if (links[i] == owner)
			VxSlotFinding(check, VX_ERROR, "link", id, NULL,
						  "layer %d: link %d leads to the node itself", level, i);
		else if (!id_exists(check, links[i]))
			VxSlotFinding(check, VX_ERROR, "link", id, NULL,
						  "layer %d: link %d leads to %u, which does not exist", level, i,
						  links[i]);
		for (int j = 0; j < i; j++)
			if (links[j] == links[i])
			{
				VxSlotFinding(check, VX_ERROR, "link", id, NULL,
							  "layer %d: links %d and %d are the same", level, j, i);
				break;
			}
	}
}

/* ------------------------------------------------------------- upper layers */

/* The upper slot of a node, which it must have if it routes for good */
static void
check_upper_of(VxCheck *check, VxNodeId id, VxNodeSlot node)
{
	VxNodeSlotData slot;
	VxNodeSlotData again;
	const VxUpperSlotData *upper = (VxUpperSlotData *) &slot;

	if (node->level > check->ix->max_level)
		VxSlotFinding(check, VX_ERROR, "level", id, NULL, "node of level %d, above %d",
					  node->level, check->ix->max_level);
	if (node->upper == VX_INVALID_NODE || !VxSlotRoutes(node))
		return;					/* a crash may have left a node without */
	if (node->level == 0)
		VxSlotFinding(check, VX_ERROR, "level", id, NULL,
					  "node of level 0 has a slot of upper layers");
	if (!id_exists(check, node->upper))
		VxSlotFinding(check, VX_ERROR, "upper", id, NULL,
					  "slot of upper layers, %u, does not exist", node->upper);
	else if (VxCheckReadSlot(check, node->upper, &slot) &&
			 !(upper->state == VX_SLOT_UPPER && upper->owner == id &&
			   upper->level == node->level) &&
			 VxCheckReadSlot(check, id, &again) && VxSlotRoutes(&again) &&
			 again.generation == node->generation && again.upper == node->upper)
		VxSlotFinding(check, VX_ERROR, "upper", id, NULL,
					  upper->state == VX_SLOT_UPPER && upper->owner == id ?
					  "slot of upper layers, %u, is for another level" :
					  "slot of upper layers, %u, is not this node's", node->upper);
}

/*
 * A slot of upper layers.  While there is something to be vacuumed, its owner
 * may be gone already.
 */
static void
check_upper(VxCheck *check, VxNodeId id, VxUpperSlot upper)
{
	VxNodeSlotData owner;
	VxNodeSlotData slot;
	const VxUpperSlotData *again = (VxUpperSlotData *) &slot;
	VxMetaPageData meta;
	char	   *error;

	if (upper->level < 1 || upper->level > check->ix->max_level)
		VxSlotFinding(check, VX_ERROR, "level", id, NULL,
					  "slot of %d upper layers, not 1 to %d", upper->level,
					  check->ix->max_level);
	for (int level = 1; level <= Min(upper->level, check->ix->max_level); level++)
		check_list(check, id, upper->owner, level, VxUpperLinks(check->ix, upper, level));
	if (!id_exists(check, upper->owner))
		VxSlotFinding(check, VX_ERROR, "upper", id, NULL,
					  "node %u, whose upper layers these are, does not exist", upper->owner);
	else if (VxCheckReadSlot(check, upper->owner, &owner) &&
			 !(VxStateIsNode(owner.state) && owner.upper == id) &&
			 read_meta(check, &meta, &error) && meta.dead == 0 &&
			 VxCheckReadSlot(check, id, &slot) && again->state == VX_SLOT_UPPER &&
			 again->generation == upper->generation && again->owner == upper->owner)
		VxSlotFinding(check, VX_ERROR, "upper", id, NULL,
					  "node %u, whose upper layers these are, does not name this slot",
					  upper->owner);
}

/* ---------------------------------------------------------- vectors and codes */

/*
 * Read the vector pages of a stripe; the layout on them is that of vectors laid
 * end to end.  What cannot be read is not readable, and zero.
 */
static void
read_vectors(VxCheck *check, uint32 stripe)
{
	BlockNumber first = VxStripeBlock(check->ix, stripe) + 1;

	for (int p = 0; p < check->ix->vector_pages; p++)
	{
		char	   *to = check->vectors + (Size) p * VX_PAGE_BYTES;
		BlockNumber block = first + (BlockNumber) p;
		char	   *error;

		memset(to, 0, VX_PAGE_BYTES);
		check->readable[p] = false;
		if (block >= check->nblocks && block >= RelationGetNumberOfBlocks(check->index))
			continue;
		if (!VxCheckReadPage(check, block, check->other, &error))
			VxFinding(check, VX_ERROR, "page", block, -1, NULL, "%s", error);
		else if (check_header(check, block, (Page) check->other, VX_PAGE_VECTORS, stripe))
		{
			memcpy(to, PageGetContents((Page) check->other), VX_PAGE_BYTES);
			check->readable[p] = true;
		}
	}
}

/* The vector of a slot; NULL if its pages could not be read */
static const char *
vector_of_slot(VxCheck *check, int s, VxNodeSlot slot)
{
	Size		size = (Size) check->ix->codec.vector_bytes;
	Size		begin = (Size) s * size;

	if (check->ix->codec.kind == VX_CODE_RAW)
		return (const char *) VxSlotCode(check->ix, slot);
	for (Size p = begin / VX_PAGE_BYTES; p <= (begin + size - 1) / VX_PAGE_BYTES; p++)
		if (!check->readable[p])
			return NULL;
	return check->vectors + begin;
}

static bool
is_finite(const VxCodec *codec, const char *vector)
{
	const float *x = (const float *) vector;

	for (int i = 0; i < codec->dims; i++)
		if (!isfinite(x[i]))
			return false;
	return true;
}

/* The vector of a row or dead row, its code, and what follows from it */
static void
check_vector(VxCheck *check, VxNodeId id, VxNodeSlot slot, const char *vector,
			 const ItemPointerData *tid)
{
	const VxCodec *codec = &check->ix->codec;
	const char *kind = "vector";
	const char *wrong = NULL;
	bool		unranked = slot->state == VX_SLOT_LONE;

	if (vector == NULL)
		wrong = "vector is not on its pages";
	else if (!is_finite(codec, vector))
		wrong = "vector has elements that are no numbers";
	else if (unranked != (codec->metric == VX_METRIC_COSINE && VxIsZero(codec, vector)))
	{
		kind = "state";
		wrong = unranked ? "row outside the graph has a vector that can be ranked" :
			"row of the graph has a vector that cannot be ranked";
	}
	else if (!VxCodeIsRight(codec, vector, &slot->factors, VxSlotCode(check->ix, slot),
							check->work, check->code))
	{
		kind = "code";
		wrong = "code or its factors are not those of the vector";
	}
	if (wrong && is_same_row(check, id, slot))
		VxSlotFinding(check, VX_ERROR, kind, id, tid, "%s", wrong);
}

/* -------------------------------------------------------------------- slots */

/* Heap TID of a row; a row that was removed has none */
static const ItemPointerData *
check_tid(VxCheck *check, VxNodeId id, VxNodeSlot slot)
{
	bool		valid = VxTidIsValid(&slot->tid);

	if (VxStateIsRow(slot->state) && !valid)
		VxSlotFinding(check, VX_ERROR, "tid", id, NULL, "row has no heap TID");
	else if (!VxStateIsRow(slot->state) && valid)
		VxSlotFinding(check, VX_ERROR, "state", id, &slot->tid,
					  "row that was removed has a heap TID");
	return VxStateIsRow(slot->state) && valid ? &slot->tid : NULL;
}

/* A slot that has a row, or had one and has not been freed since */
static void
check_row_slot(VxCheck *check, VxNodeId id, VxNodeSlot slot)
{
	const char *vector = vector_of_slot(check, VxSlotNumber(check->ix, id), slot);
	const ItemPointerData *tid = check_tid(check, id, slot);

	check_vector(check, id, slot, vector, tid);
	if (VxStateIsNode(slot->state))
	{
		check_list(check, id, id, 0, VxSlotLinks(check->ix, slot));
		check_upper_of(check, id, slot);
		if (slot->chain != VX_INVALID_NODE)
			VxCheckFollowChain(check, id);
	}
	if (VxSlotRoutes(slot))
	{
		VxMapAdd(check->routing, id);
		check->nrouting++;
	}
	if (VxStateIsDuplicate(slot->state))
	{
		VxMapAdd(check->duplicates, id);
		check->nduplicates++;
		VxCheckDuplicate(check, id, slot, vector);
	}
	if (slot->state != VX_SLOT_LONE)
		VxCheckChainLink(check, id, slot);
	else if (slot->chain != VX_INVALID_NODE)
		VxSlotFinding(check, VX_ERROR, "chain", id, tid, "row outside the graph is in a chain");
	if (tid != NULL)
		VxCheckRow(check, &slot->tid, vector, VxSlotAttrs(slot));
}

static void
check_slot(VxCheck *check, VxNodeId id, VxNodeSlot slot)
{
	if (slot->state >= VX_N_SLOT_STATES)
		VxSlotFinding(check, VX_ERROR, "state", id, NULL, "slot of unknown state %d",
					  slot->state);
	else if (slot->state == VX_SLOT_UPPER)
		check_upper(check, id, (VxUpperSlot) slot);
	else if (slot->state != VX_SLOT_FREE)
		check_row_slot(check, id, slot);
}

static void
check_stripe(VxCheck *check, uint32 stripe)
{
	const VxIndex *ix = check->ix;
	BlockNumber block = VxStripeBlock(ix, stripe);
	Page		page = (Page) check->page;
	char	   *error;
	bool		usable = false;

	if (!VxCheckReadPage(check, block, check->page, &error))
		VxFinding(check, VX_ERROR, "page", block, -1, NULL, "%s", error);
	else
		usable = check_header(check, block, page, VX_PAGE_NODES, stripe);
	read_vectors(check, stripe);
	if (!usable)
		return;
	for (int s = 0; s < ix->slots_per_page; s++)
	{
		CHECK_FOR_INTERRUPTS();
		check_slot(check, VxMakeNodeId(ix, stripe, s), VxPageSlot(ix, page, s));
	}
}

/* ---------------------------------------------------------------- the function */

/* Memory that depends on the layout */
static void
allocate(VxCheck *check)
{
	const VxIndex *ix = check->ix;

	check->vectors = palloc0((Size) ix->vector_pages * VX_PAGE_BYTES + 1);
	check->readable = palloc0(sizeof(bool) * (Size) (ix->vector_pages + 1));
	check->head_vector = palloc((Size) ix->codec.vector_bytes);
	check->work = palloc(sizeof(float) * (Size) ix->codec.dims);
	check->code = palloc((Size) ix->codec.nbytes);
	check->routing = VxMapCreate(check->nnodes);
	check->duplicates = VxMapCreate(check->nnodes);
	check->chained = VxMapCreate(check->nnodes);
	check->compared_head = VX_INVALID_NODE;
}

/*
 * Everything, in the current memory context, as the table's owner.  The
 * snapshot is taken before the first look at the index: all rows that it sees
 * are there by then, and stay for as long as it is registered.
 */
static void
check_index(VxCheck *check)
{
	check->strategy = GetAccessStrategy(BAS_BULKREAD);
	check->page = palloc(BLCKSZ);
	check->other = palloc(BLCKSZ);
	if (check->with_heap)
		check->snapshot = RegisterSnapshot(GetLatestSnapshot());
	check->nblocks = RelationGetNumberOfBlocks(check->index);
	if (check_meta(check))
	{
		check->nstripes = VxStripeCount(check->ix, check->nblocks);
		check->nnodes = (VxNodeId) Min((uint64) check->nstripes *
									   (uint64) check->ix->slots_per_page,
									   (uint64) VX_INVALID_NODE);
		allocate(check);
		VxCheckRowsBegin(check);
		for (uint32 stripe = 0; stripe < check->nstripes; stripe++)
			check_stripe(check, stripe);
		check_entry(check);
		VxCheckLostDuplicates(check);
		VxCheckReach(check);
		VxCheckRowsEnd(check);
	}
	if (check->with_heap)
		UnregisterSnapshot(check->snapshot);
	FreeAccessStrategy(check->strategy);
}

/* Open the index and, before it, its table */
static void
open_relations(VxCheck *check, Oid relid)
{
	Oid			heap = IndexGetRelation(relid, true);

	VxRequireRights(relid);
	if (OidIsValid(heap))
		check->heap = table_open(heap, AccessShareLock);
	check->index = VxOpenIndex(relid);
	if (check->heap == NULL || heap != IndexGetRelation(relid, false))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("could not open parent table of index \"%s\"",
						RelationGetRelationName(check->index))));
}

/*
 * Index expressions and predicates run as the table's owner, in a restricted
 * context and with a safe search_path, since who checks an index must not lend
 * its owner their rights, nor get the owner's.
 */
static void
check_as_owner(VxCheck *check)
{
	Oid			user;
	int			security;
	int			nest_level;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(check->heap->rd_rel->relowner,
						   security | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	VxRestrictSearchPath();
	check_index(check);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, security);
}

VX_FUNCTION(vx_index_check);
Datum
vx_index_check(PG_FUNCTION_ARGS)
{
	VxCheck		check = {0};
	MemoryContext context;
	MemoryContext old;

	InitMaterializedSRF(fcinfo, 0);
	check.result = (ReturnSetInfo *) fcinfo->resultinfo;
	if (check.result->setDesc->natts != N_COLUMNS)
		elog(ERROR, "unexpected result type of vectorx_index_check");
	open_relations(&check, PG_GETARG_OID(0));
	check.with_heap = PG_GETARG_BOOL(1);

	context = AllocSetContextCreate(CurrentMemoryContext, "hnsw check",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	if (check.index->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED && RecoveryInProgress())
		ereport(NOTICE,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot check unlogged index \"%s\" during recovery, skipping",
						RelationGetRelationName(check.index))));
	else
		check_as_owner(&check);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	relation_close(check.index, AccessShareLock);
	table_close(check.heap, AccessShareLock);
	return (Datum) 0;
}
