/*-------------------------------------------------------------------------
 *
 * vacuum.c
 *	  Removing rows, mending the graph, freeing slots.
 *
 * Bulk deletion only marks slots: a node of the graph goes on routing searches
 * as a dead one.  It may happen several times in a vacuum; the cleanup at its
 * end does the rest, in passes over the node pages:
 *
 *	survey	takes dead duplicates out of their chains, and notes in a bitmap
 *			which nodes are gone: free, or dead without a chain
 *	mend	replaces links to nodes that are gone by links to those nodes' own
 *			neighbors, and notes which nodes have a link to them; see mend.c
 *	free	frees slots of dead nodes, and connects nodes no link leads to
 *
 * The bitmaps describe the index as the survey saw it; every slot is looked at
 * again, under an exclusive lock of its page, before it is changed.
 *
 * The survey also keeps what mending reads most: the lists of dead nodes, as
 * far as half of maintenance_work_mem holds them, and the codes of all nodes, if
 * the other half does.  Else they are read from their pages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/indexfsm.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "hnsw/vacuum.h"
#include "inject.h"

/* ------------------------------------------------------------- bulk deletion */

/* Which rows of a locked page are to be removed?  Not those without a TID. */
static int
find_removable(const VxIndex *ix, Page page, IndexBulkDeleteCallback callback,
			   void *arg, int *slots, double *kept)
{
	int			n = 0;

	if (PageIsNew(page))
		return 0;
	for (int s = 0; s < ix->slots_per_page; s++)
	{
		VxNodeSlot	slot = VxPageSlot(ix, page, s);

		if (!VxStateIsRow(slot->state))
			continue;
		if (VxTidIsValid(&slot->tid) && callback(&slot->tid, arg))
			slots[n++] = s;
		else
			(*kept)++;
	}
	return n;
}

/* Make a slot free, as part of a change */
static void
free_slot(Page page, VxNodeSlot slot)
{
	slot->state = VX_SLOT_FREE;
	slot->generation++;
	VxWalChanged(page, slot, offsetof(VxNodeSlotData, tid));
}

/* Mark a row as removed, as part of a change */
static void
mark_slot(Page page, VxNodeSlot slot)
{
	ItemPointerSetInvalid(&slot->tid);
	if (slot->state == VX_SLOT_LIVE)
		slot->state = VX_SLOT_DEAD;
	else if (slot->state == VX_SLOT_DUPLICATE)
		slot->state = VX_SLOT_DUPLICATE_DEAD;
	else
		free_slot(page, slot);	/* nothing refers to a lone row */
	VxWalChanged(page, slot, offsetof(VxNodeSlotData, unused));
}

/* Mark rows of a page, which is locked exclusively, as removed */
static void
mark_removed(Relation index, const VxIndex *ix, Buffer buffer, const int *slots, int n)
{
	Page		page;

	VxWalBegin(index, ix);
	page = VxWalPage(buffer, false);
	for (int i = 0; i < n; i++)
		mark_slot(page, VxPageSlot(ix, page, slots[i]));
	VxWalFinish();
}

IndexBulkDeleteResult *
vxbulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
			 IndexBulkDeleteCallback callback, void *callback_state)
{
	Relation	index = info->index;
	const VxIndex *ix = VxGetIndex(index);
	uint32		nstripes = VxStripeCount(ix, RelationGetNumberOfBlocks(index));
	int		   *slots = palloc(sizeof(int) * (Size) ix->slots_per_page);
	double		kept = 0;
	bool		noted = false;

	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));
	for (uint32 stripe = 0; stripe < nstripes; stripe++)
	{
		BlockNumber block = VxStripeBlock(ix, stripe);
		Buffer		buffer;
		int			n;
		double		ignored = 0;

		VxVacuumDelay();
		buffer = VxLockNodePage(index, block, BUFFER_LOCK_SHARE, info->strategy);
		n = find_removable(ix, BufferGetPage(buffer), callback, callback_state, slots, &kept);
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		if (n > 0)
		{
			if (!noted)
			{
				VxNoteDead(index, ix, true);
				VX_INJECTION_POINT("vacuum-noted");
			}
			noted = true;
			LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
			n = find_removable(ix, BufferGetPage(buffer), callback, callback_state,
							   slots, &ignored);
			if (n > 0)
				mark_removed(index, ix, buffer, slots, n);
			LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
			stats->tuples_removed += n;
			VX_INJECTION_POINT("vacuum-marking");
		}
		ReleaseBuffer(buffer);
	}
	VX_INJECTION_POINT("vacuum-marked");
	stats->num_index_tuples = kept;
	stats->estimated_count = false;
	stats->num_pages = RelationGetNumberOfBlocks(index);
	return stats;
}

/* ------------------------------------------------------------------- survey */

/* Lock the pages of two nodes exclusively, in order; *b is invalid if same */
static void
lock_two(VxVacuum *vac, VxNodeId first, VxNodeId second, Buffer *a, Buffer *b)
{
	BlockNumber x = VxNodeBlock(vac->ix, first);
	BlockNumber y = VxNodeBlock(vac->ix, second);

	*b = InvalidBuffer;
	if (y < x)
		*b = VxLockNodePage(vac->index, y, BUFFER_LOCK_EXCLUSIVE, NULL);
	*a = VxLockNodePage(vac->index, x, BUFFER_LOCK_EXCLUSIVE, NULL);
	if (y > x)
		*b = VxLockNodePage(vac->index, y, BUFFER_LOCK_EXCLUSIVE, NULL);
}

/*
 * Take a dead duplicate, which follows "before" in its chain, out of the
 * chain, and free its slot; both in one record.
 */
static bool
unlink_duplicate(VxVacuum *vac, VxNodeId before, VxNodeId dead)
{
	const VxIndex *ix = vac->ix;
	Buffer		a,
				b;
	Page		page_a,
				page_b;
	VxNodeSlot	slot_a,
				slot_b;
	bool		ok;

	lock_two(vac, before, dead, &a, &b);
	page_a = BufferGetPage(a);
	page_b = BufferIsValid(b) ? BufferGetPage(b) : page_a;
	slot_a = VxPageSlot(ix, page_a, VxSlotNumber(ix, before));
	slot_b = VxPageSlot(ix, page_b, VxSlotNumber(ix, dead));
	ok = !PageIsNew(page_a) && !PageIsNew(page_b) && slot_a->chain == dead &&
		(VxStateIsNode(slot_a->state) || slot_a->state == VX_SLOT_DUPLICATE) &&
		slot_b->state == VX_SLOT_DUPLICATE_DEAD;
	if (ok)
	{
		VxWalBegin(vac->index, ix);
		VxWalPage(a, false);
		if (BufferIsValid(b))
			VxWalPage(b, false);
		VxWalPut(page_a, &slot_a->chain, &slot_b->chain, sizeof(VxNodeId));
		free_slot(page_b, slot_b);
		slot_b->chain = VX_INVALID_NODE;
		VxWalChanged(page_b, &slot_b->chain, sizeof(VxNodeId));
		VxWalFinish();
		vac->nfreed++;
	}
	if (BufferIsValid(b))
		UnlockReleaseBuffer(b);
	UnlockReleaseBuffer(a);
	return ok;
}

/* Take out the dead duplicates that directly follow a slot in its chain */
static void
trim_chain(VxVacuum *vac, VxNodeId id)
{
	for (int failures = 0; failures < VX_REPAIR_ATTEMPTS;)
	{
		VxNodeSlotData slot;
		VxNodeSlotData next;

		VxVacuumDelay();
		if (!VxReadSlot(vac->index, vac->ix, id, &slot, NULL, NULL) ||
			!(VxStateIsNode(slot.state) || slot.state == VX_SLOT_DUPLICATE) ||
			slot.chain >= VxCurrentNodes(vac->index, vac->ix) ||
			!VxReadSlot(vac->index, vac->ix, slot.chain, &next, NULL, NULL) ||
			next.state != VX_SLOT_DUPLICATE_DEAD)
			return;
		if (!unlink_duplicate(vac, id, slot.chain))
			failures++;
		VX_INJECTION_POINT("vacuum-trimmed");
	}
}

/* Copy a node page under a share lock; false if it is all-zero */
bool
VxVacuumCopyPage(const VxVacuum *vac, uint32 stripe, BufferAccessStrategy strategy,
				 char *copy)
{
	Buffer		buffer = VxLockNodePage(vac->index, VxStripeBlock(vac->ix, stripe),
										BUFFER_LOCK_SHARE, strategy);
	bool		is_new = PageIsNew(BufferGetPage(buffer));

	memcpy(copy, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	return !is_new;
}

/* Keep the links of the next dead node, if there is memory */
static void
remember_links(VxVacuum *vac, const VxNodeId *links)
{
	Size		size = 2 * (Size) vac->ix->m * sizeof(VxNodeId);

	/* one left out, the ranks of all after it are beyond what is there */
	if (vac->ndead_links < vac->ndead || vac->ndead_links == vac->memory_dead_links)
		return;
	if (vac->ndead_links == vac->max_dead_links)
	{
		vac->max_dead_links = vac->max_dead_links <= vac->memory_dead_links / 2 ?
			vac->max_dead_links * 2 : vac->memory_dead_links;
		vac->dead_links = repalloc_huge(vac->dead_links, size * vac->max_dead_links);
	}
	memcpy((char *) vac->dead_links + size * vac->ndead_links, links, size);
	vac->ndead_links++;
}

/* Note the best node to begin searches at */
static void
note_entry(VxVacuum *vac, VxNodeId id, VxNodeSlot slot)
{
	VxEntry    *best = slot->state == VX_SLOT_LIVE ? &vac->best : &vac->best_dead;

	if (slot->level <= vac->ix->max_level &&
		(best->node == VX_INVALID_NODE || slot->level > best->level))
	{
		best->node = id;
		best->level = slot->level;
	}
}

/* Note a node that stays, and keep its code */
static void
note_staying(VxVacuum *vac, VxNodeId id, VxNodeSlot slot)
{
	note_entry(vac, id, slot);
	VxBitSet(vac, vac->staying, id);
	if (vac->codes)
	{
		VxKeptNode *kept = VxKept(vac, id);

		kept->factors = slot->factors;
		kept->first = VxSlotLinks(vac->ix, slot)[0];
		memcpy(kept->code, VxSlotCode(vac->ix, slot), (Size) vac->ix->codec.nbytes);
	}
}

static void
survey_slot(VxVacuum *vac, VxNodeId id, VxNodeSlot slot)
{
	if (VxSlotRoutes(slot))
	{
		note_staying(vac, id, slot);
		return;
	}
	VxBitSet(vac, vac->gone, id);
	if (slot->state == VX_SLOT_DEAD)
	{
		VxBitSet(vac, vac->dead, id);
		remember_links(vac, VxSlotLinks(vac->ix, slot));
		vac->ndead++;
	}
}

/* Let the free space map know of free slots that vacuum did not free */
static void
note_free(VxVacuum *vac, uint32 stripe, Page copy)
{
	int			nfree = 0;

	for (int s = 0; s < vac->ix->slots_per_page; s++)
		nfree += ((VxNodeSlot) VxPageSlot(vac->ix, copy, s))->state == VX_SLOT_FREE;
	if (nfree > 0)
		RecordPageWithFreeSpace(vac->index, VxStripeBlock(vac->ix, stripe), BLCKSZ - 1);
	vac->nfree_pages += nfree == vac->ix->slots_per_page;
}

/* Trim the chains that have members on a copied page; were there any? */
static bool
trim_chains(VxVacuum *vac, uint32 stripe, Page copy)
{
	bool		chains = false;

	for (int s = 0; s < vac->ix->slots_per_page; s++)
	{
		VxNodeSlot	slot = VxPageSlot(vac->ix, copy, s);

		if ((VxStateIsNode(slot->state) || slot->state == VX_SLOT_DUPLICATE) &&
			slot->chain != VX_INVALID_NODE)
		{
			trim_chain(vac, VxMakeNodeId(vac->ix, stripe, s));
			chains = true;
		}
	}
	return chains;
}

static void
survey(VxVacuum *vac)
{
	PGAlignedBlock copy;

	for (uint32 stripe = 0; stripe < vac->nstripes; stripe++)
	{
		VxVacuumDelay();
		/* the slots of an all-zero page are free, in its copy too */
		if (VxVacuumCopyPage(vac, stripe, vac->strategy, copy.data) &&
			trim_chains(vac, stripe, copy.data))
			VxVacuumCopyPage(vac, stripe, vac->strategy, copy.data);
		note_free(vac, stripe, copy.data);
		for (int s = 0; s < vac->ix->slots_per_page; s++)
		{
			VxNodeId	id = VxMakeNodeId(vac->ix, stripe, s);

			if (id % 64 == 0 && id < vac->nnodes)
				vac->rank[id / 64] = vac->ndead;
			survey_slot(vac, id, VxPageSlot(vac->ix, copy.data, s));
		}
	}
}

/* --------------------------------------------------------------------- free */

/*
 * If the entry point is gone, make another node that.  An insertion may do the
 * same at any time, so the entry point is read anew each time round; a live
 * node that the survey saw stays one until the next vacuum.
 */
static void
mend_entry(VxVacuum *vac)
{
	VxEntry		entry;
	VxNodeSlotData slot;

	do
	{
		entry = VxReadEntry(vac->index);
		if (entry.node == VX_INVALID_NODE)
			return;
		if (entry.node < VxCurrentNodes(vac->index, vac->ix) &&
			VxReadSlot(vac->index, vac->ix, entry.node, &slot, NULL, NULL) &&
			(slot.state == VX_SLOT_LIVE ||
			 (slot.state == VX_SLOT_DEAD && !VxBitHas(vac, vac->gone, entry.node))))
			return;
	} while (!VxChangeEntry(vac->index, vac->ix, entry.node,
							vac->best.node != VX_INVALID_NODE ? vac->best : vac->best_dead));
}

/* Is a slot of a locked page to be freed? */
static bool
is_done_with(const VxVacuum *vac, VxNodeId id, VxNodeSlot slot)
{
	return (slot->state == VX_SLOT_DEAD && slot->chain == VX_INVALID_NODE &&
			VxBitHas(vac, vac->dead, id)) ||
		(slot->state == VX_SLOT_UPPER && VxBitHas(vac, vac->stale, id));
}

/* Free what is to be freed on a page */
static void
free_page(VxVacuum *vac, uint32 stripe)
{
	const VxIndex *ix = vac->ix;
	BlockNumber block = VxStripeBlock(ix, stripe);
	Buffer		buffer = VxLockNodePage(vac->index, block, BUFFER_LOCK_EXCLUSIVE,
										vac->strategy);
	Page		page = BufferGetPage(buffer);
	bool		begun = false;
	int			nfree = 0;

	for (int s = 0; s < ix->slots_per_page; s++)
	{
		VxNodeSlot	slot = VxPageSlot(ix, page, s);

		if (PageIsNew(page) || slot->state == VX_SLOT_FREE)
			nfree++;
		else if (is_done_with(vac, VxMakeNodeId(ix, stripe, s), slot))
		{
			if (!begun)
			{
				VxWalBegin(vac->index, ix);
				VxWalPage(buffer, false);
				begun = true;
			}
			free_slot(page, slot);
			vac->nfreed++;
			nfree++;
		}
	}
	if (begun)
		VxWalFinish();
	UnlockReleaseBuffer(buffer);
	VX_INJECTION_POINT("vacuum-freeing");
	if (nfree > 0)
	{
		RecordPageWithFreeSpace(vac->index, block, BLCKSZ - 1);
		vac->nfree_pages += nfree == ix->slots_per_page;
	}
}

/* Free slots; pages where the survey saw nothing to free are passed by */
static void
free_slots(VxVacuum *vac)
{
	for (uint32 stripe = 0; stripe < vac->nstripes; stripe++)
	{
		bool		any = false;

		VxVacuumDelay();
		for (int s = 0; s < vac->ix->slots_per_page && !any; s++)
		{
			VxNodeId	id = VxMakeNodeId(vac->ix, stripe, s);

			any = VxBitHas(vac, vac->dead, id) || VxBitHas(vac, vac->stale, id);
		}
		if (any)
			free_page(vac, stripe);
	}
	IndexFreeSpaceMapVacuum(vac->index);
}

/* Connect nodes that no link leads to, but for the entry point */
static void
connect_orphans(VxVacuum *vac)
{
	VxInserter *inserter = VxInserterCreate(vac->index, vac->ix);
	VxNodeId	entry = VxReadEntry(vac->index).node;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hnsw orphans",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (VxNodeId word = 0; word <= (vac->nnodes - 1) / 64; word++)
	{
		uint64		orphans = vac->staying[word] & ~vac->linked[word];

		while (orphans != 0)
		{
			VxNodeId	id = word * 64 + (VxNodeId) pg_rightmost_one_pos64(orphans);

			VxVacuumDelay();
			if (id != entry)
				VxConnect(inserter, id);
			orphans &= orphans - 1;
		}
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* ------------------------------------------------------------------ cleanup */

static uint64 *
new_bitmap(const VxVacuum *vac)
{
	return MemoryContextAllocExtended(CurrentMemoryContext,
									  ((Size) vac->nnodes / 64 + 1) * sizeof(uint64),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static void
init_vacuum(VxVacuum *vac, IndexVacuumInfo *info)
{
	Relation	index = info->index;
	Size		list_size;

	memset(vac, 0, sizeof(*vac));
	vac->index = index;
	vac->ix = VxGetIndex(index);
	vac->strategy = info->strategy;
	vac->nstripes = VxStripeCount(vac->ix, RelationGetNumberOfBlocks(index));
	vac->nnodes = (VxNodeId) Min((uint64) vac->nstripes * (uint64) vac->ix->slots_per_page,
								 (uint64) VX_INVALID_NODE);
	vac->gone = new_bitmap(vac);
	vac->dead = new_bitmap(vac);
	vac->staying = new_bitmap(vac);
	vac->stale = new_bitmap(vac);
	vac->linked = new_bitmap(vac);
	vac->rank = MemoryContextAllocHuge(CurrentMemoryContext,
									   ((Size) vac->nnodes / 64 + 1) * sizeof(uint32));
	list_size = 2 * (Size) vac->ix->m * sizeof(VxNodeId);
	vac->memory_dead_links = (uint32) Min((Size) maintenance_work_mem * 1024 / 2 / list_size,
										  (Size) vac->nnodes);
	vac->max_dead_links = Min(vac->memory_dead_links, 1024);
	vac->dead_links = palloc(list_size * (vac->max_dead_links + 1));
	vac->code_stride = INTALIGN(offsetof(VxKeptNode, code) + (Size) vac->ix->codec.nbytes);
	if ((uint64) vac->nnodes * vac->code_stride <= (uint64) maintenance_work_mem * 1024 / 2)
		vac->codes = MemoryContextAllocHuge(CurrentMemoryContext,
											(Size) vac->nnodes * vac->code_stride + 1);
	vac->best.node = VX_INVALID_NODE;
	vac->best_dead.node = VX_INVALID_NODE;
}

IndexBulkDeleteResult *
vxvacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	Relation	index = info->index;
	VxVacuum	vac;
	MemoryContext context;
	MemoryContext old;

	if (info->analyze_only || !VxReadDead(index))
		return stats;

	context = AllocSetContextCreate(CurrentMemoryContext, "hnsw vacuum",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	init_vacuum(&vac, info);
	survey(&vac);
	VX_INJECTION_POINT("vacuum-surveyed");
	VxMendLinks(&vac);
	VX_INJECTION_POINT("vacuum-mended");
	mend_entry(&vac);
	VX_INJECTION_POINT("vacuum-entry");
	free_slots(&vac);
	VX_INJECTION_POINT("vacuum-freed");
	if (vac.nnodes > 0)
		connect_orphans(&vac);
	VX_INJECTION_POINT("vacuum-done");
	VxNoteDead(index, vac.ix, false);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);

	if (stats == NULL)
	{
		stats = palloc0(sizeof(IndexBulkDeleteResult));
		stats->estimated_count = true;	/* rows were not counted */
	}
	stats->num_pages = RelationGetNumberOfBlocks(index);
	stats->pages_free = vac.nfree_pages;
	return stats;
}
