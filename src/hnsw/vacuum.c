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
 *			neighbors, and notes which nodes have a link to them
 *	free	frees slots of dead nodes, and connects nodes no link leads to
 *
 * The bitmaps describe the index as the survey saw it; every slot is looked at
 * again, under an exclusive lock of its page, before it is changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/indexfsm.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "hnsw/hnsw.h"

/* Candidates considered for the new links of a node */
#define MAX_REPAIR_CANDIDATES 512
/* Times that a page is tried again because its lists changed meanwhile */
#define MAX_REPAIR_ATTEMPTS 3

typedef struct VxVacuum
{
	/* unchanging */
	Relation	index;
	const VxIndex *ix;
	BufferAccessStrategy strategy;
	VxNodeId	nnodes;			/* ids that the survey saw are below this */
	uint32		nstripes;
	MemoryContext page_context; /* reset after every page */

	/* mutable */
	VxPins		pins;			/* pages of nodes that are gone */
	VxInserter *inserter;		/* connects nodes no link leads to */
	VxLinker	linker;
	VxGathered	candidates;		/* for the list being mended */
	uint64	   *gone;			/* bitmaps by node id */
	uint64	   *stale;			/* upper slots to free */
	uint64	   *linked;			/* nodes some link leads to */
	VxEntry		best;			/* a live node of the highest level seen */
	VxEntry		best_dead;		/* likewise a dead one that heads a chain */
	int64		ndead;			/* dead nodes that are gone */
	int64		nfreed;			/* slots freed */
	BlockNumber nfree_pages;
} VxVacuum;

static inline bool
bit_has(const VxVacuum *vac, const uint64 *bits, VxNodeId id)
{
	return id < vac->nnodes && (bits[id / 64] >> (id % 64) & 1) != 0;
}

static inline void
bit_set(const VxVacuum *vac, uint64 *bits, VxNodeId id)
{
	if (id < vac->nnodes)
		bits[id / 64] |= UINT64CONST(1) << (id % 64);
}

/* ------------------------------------------------------------- bulk deletion */

/* Which rows of a locked page are to be removed? */
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
		if (callback(&slot->tid, arg))
			slots[n++] = s;
		else
			(*kept)++;
	}
	return n;
}

/* Mark rows of a page, which is locked exclusively, as removed */
static void
mark_removed(Relation index, const VxIndex *ix, Buffer buffer, const int *slots, int n)
{
	GenericXLogState *state = GenericXLogStart(index);
	Page		page = GenericXLogRegisterBuffer(state, buffer, 0);

	for (int i = 0; i < n; i++)
	{
		VxNodeSlot	slot = VxPageSlot(ix, page, slots[i]);

		ItemPointerSetInvalid(&slot->tid);
		if (slot->state == VX_SLOT_LIVE)
			slot->state = VX_SLOT_DEAD;
		else if (slot->state == VX_SLOT_DUPLICATE)
			slot->state = VX_SLOT_DUPLICATE_DEAD;
		else
		{
			/* nothing refers to a lone row */
			slot->state = VX_SLOT_FREE;
			slot->generation++;
		}
	}
	GenericXLogFinish(state);
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
				VxNoteDead(index, ix, true);
			noted = true;
			LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
			n = find_removable(ix, BufferGetPage(buffer), callback, callback_state,
							   slots, &ignored);
			mark_removed(index, ix, buffer, slots, n);
			LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
			stats->tuples_removed += n;
		}
		ReleaseBuffer(buffer);
	}
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
		GenericXLogState *state = GenericXLogStart(vac->index);

		page_a = GenericXLogRegisterBuffer(state, a, 0);
		page_b = BufferIsValid(b) ? GenericXLogRegisterBuffer(state, b, 0) : page_a;
		slot_a = VxPageSlot(ix, page_a, VxSlotNumber(ix, before));
		slot_b = VxPageSlot(ix, page_b, VxSlotNumber(ix, dead));
		slot_a->chain = slot_b->chain;
		slot_b->state = VX_SLOT_FREE;
		slot_b->chain = VX_INVALID_NODE;
		slot_b->generation++;
		GenericXLogFinish(state);
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
	for (int failures = 0; failures < MAX_REPAIR_ATTEMPTS;)
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
	}
}

/* Copy a node page under a share lock; false if it is all-zero */
static bool
copy_page(VxVacuum *vac, uint32 stripe, char *copy)
{
	Buffer		buffer = VxLockNodePage(vac->index, VxStripeBlock(vac->ix, stripe),
										BUFFER_LOCK_SHARE, vac->strategy);
	bool		is_new = PageIsNew(BufferGetPage(buffer));

	memcpy(copy, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	return !is_new;
}

static void
survey_slot(VxVacuum *vac, VxNodeId id, VxNodeSlot slot)
{
	if (VxStateIsNode(slot->state) && slot->level <= vac->ix->max_level &&
		(slot->state == VX_SLOT_LIVE || slot->chain != VX_INVALID_NODE))
	{
		VxEntry    *best = slot->state == VX_SLOT_LIVE ? &vac->best : &vac->best_dead;

		if (best->node == VX_INVALID_NODE || slot->level > best->level)
		{
			best->node = id;
			best->level = slot->level;
		}
	}
	else if (slot->state == VX_SLOT_DEAD && slot->chain == VX_INVALID_NODE)
	{
		vac->ndead++;
		bit_set(vac, vac->gone, id);
	}
	else if (slot->state == VX_SLOT_FREE)
		bit_set(vac, vac->gone, id);
}

static void
survey(VxVacuum *vac)
{
	PGAlignedBlock copy;

	for (uint32 stripe = 0; stripe < vac->nstripes; stripe++)
	{
		bool		chains = false;

		VxVacuumDelay();
		if (!copy_page(vac, stripe, copy.data))
		{
			for (int s = 0; s < vac->ix->slots_per_page; s++)
				bit_set(vac, vac->gone, VxMakeNodeId(vac->ix, stripe, s));
			continue;
		}
		for (int s = 0; s < vac->ix->slots_per_page; s++)
		{
			VxNodeSlot	slot = VxPageSlot(vac->ix, copy.data, s);

			if ((VxStateIsNode(slot->state) || slot->state == VX_SLOT_DUPLICATE) &&
				slot->chain != VX_INVALID_NODE)
			{
				trim_chain(vac, VxMakeNodeId(vac->ix, stripe, s));
				chains = true;
			}
		}
		if (chains)
			copy_page(vac, stripe, copy.data);
		for (int s = 0; s < vac->ix->slots_per_page; s++)
			survey_slot(vac, VxMakeNodeId(vac->ix, stripe, s),
						VxPageSlot(vac->ix, copy.data, s));
	}
}

/* --------------------------------------------------------------------- mend */

/* The node whose links are to be mended */
typedef struct VxPatient
{
	VxNodeId	id;
	const VxFactors *factors;
	const uint8 *code;
	int			level;			/* layer of the links */
} VxPatient;

/* Add a node to a list of candidates unless it is useless or there */
static void
add_candidate(VxVacuum *vac, const VxPatient *patient, VxNodeId *ids, int *n, VxNodeId id)
{
	if (*n >= MAX_REPAIR_CANDIDATES || id == patient->id || id >= vac->nnodes ||
		bit_has(vac, vac->gone, id))
		return;
	for (int i = 0; i < *n; i++)
		if (ids[i] == id)
			return;
	ids[(*n)++] = id;
}

/* Add the neighbors of a node that is gone; of those gone too, theirs */
static void
add_neighbors_of(VxVacuum *vac, const VxPatient *patient, VxNodeId gone, int depth,
				 VxNodeId *ids, int *n)
{
	VxNodeId	links[2 * VX_MAX_M];
	VxWalkStats stats = {0};
	int			nlinks;

	VxVacuumDelay();
	if (gone >= vac->nnodes || *n >= MAX_REPAIR_CANDIDATES)
		return;
	nlinks = VxReadLinks(vac->index, vac->ix, &vac->pins, gone, patient->level, links,
						 &stats);
	for (int i = 0; i < nlinks; i++)
	{
		if (!bit_has(vac, vac->gone, links[i]))
			add_candidate(vac, patient, ids, n, links[i]);
		else if (depth > 0)
			add_neighbors_of(vac, patient, links[i], depth - 1, ids, n);
	}
}

/*
 * Replace in a full-length list the links to nodes that are gone.  Returns
 * false if there are none.
 */
static bool
mend_links(VxVacuum *vac, const VxPatient *patient, VxNodeId *links)
{
	VxNodeId	ids[MAX_REPAIR_CANDIDATES];
	int			capacity = VxLinkCapacity(vac->ix, patient->level);
	int			old = VxCountLinks(links, capacity);
	int			n = 0;
	int			ngone = 0;

	for (int i = 0; i < old; i++)
	{
		if (bit_has(vac, vac->gone, links[i]))
			ngone++;
		else if (links[i] < vac->nnodes)
			add_candidate(vac, patient, ids, &n, links[i]);
		else if (n < MAX_REPAIR_CANDIDATES)
			ids[n++] = links[i];	/* newer than the survey */
	}
	if (ngone == 0)
		return false;
	for (int i = 0; i < old; i++)
		if (bit_has(vac, vac->gone, links[i]))
			add_neighbors_of(vac, patient, links[i], 1, ids, &n);

	memcpy(vac->candidates.ids, ids, sizeof(VxNodeId) * (Size) n);
	VxQueryFromCode(&vac->linker.center, patient->factors, patient->code);
	VxGather(&vac->linker, &vac->candidates, &vac->linker.center, n);
	n = VxChooseGathered(&vac->candidates, capacity, old);
	for (int i = 0; i < n; i++)
		links[i] = vac->candidates.candidates[vac->candidates.selected[i]].id;
	for (int i = n; i < capacity; i++)
		links[i] = VX_INVALID_NODE;
	return true;
}

/* Mend the links of an upper slot, or note that it is to be freed */
static bool
mend_upper(VxVacuum *vac, VxNodeId id, VxUpperSlot slot)
{
	VxNodeSlotData owner;
	uint8	   *code = palloc((Size) vac->ix->codec.nbytes);
	bool		changed = false;
	VxPatient	patient;

	if (slot->owner >= VxCurrentNodes(vac->index, vac->ix) ||
		!VxReadSlot(vac->index, vac->ix, slot->owner, &owner, code, NULL) ||
		!VxStateIsNode(owner.state) || owner.upper != id ||
		(owner.state == VX_SLOT_DEAD && bit_has(vac, vac->gone, slot->owner)))
	{
		bit_set(vac, vac->stale, id);
		return false;
	}
	patient.id = slot->owner;
	patient.factors = &owner.factors;
	patient.code = code;
	for (patient.level = 1;
		 patient.level <= Min(slot->level, vac->ix->max_level); patient.level++)
		changed |= mend_links(vac, &patient, VxUpperLinks(vac->ix, slot, patient.level));
	return changed;
}

/* Mend the level-0 links of a node, and note where they lead */
static bool
mend_node(VxVacuum *vac, VxNodeId id, VxNodeSlot slot)
{
	VxNodeId   *links = VxSlotLinks(vac->ix, slot);
	VxPatient	patient = {id, &slot->factors, VxSlotCode(vac->ix, slot), 0};
	bool		changed;
	int			n;

	if (slot->state == VX_SLOT_DEAD && bit_has(vac, vac->gone, id))
		return false;
	changed = mend_links(vac, &patient, links);
	n = VxCountLinks(links, 2 * vac->ix->m);
	for (int i = 0; i < n; i++)
		bit_set(vac, vac->linked, links[i]);
	return changed;
}

/*
 * Write the slots that changed between two copies of a page, where they still
 * are as in the old one.  Returns false if some were not.
 */
static bool
write_mended(VxVacuum *vac, uint32 stripe, Page old, Page new)
{
	const VxIndex *ix = vac->ix;
	Buffer		buffer = VxLockNodePage(vac->index, VxStripeBlock(ix, stripe),
										BUFFER_LOCK_EXCLUSIVE, NULL);
	GenericXLogState *state = GenericXLogStart(vac->index);
	Page		page = GenericXLogRegisterBuffer(state, buffer, 0);
	bool		complete = true;
	bool		any = false;

	for (int s = 0; s < ix->slots_per_page; s++)
	{
		void	   *from = VxPageSlot(ix, new, s);
		void	   *before = VxPageSlot(ix, old, s);
		void	   *to = VxPageSlot(ix, page, s);

		if (memcmp(from, before, (Size) ix->slot_size) == 0)
			continue;
		if (memcmp(to, before, (Size) ix->slot_size) == 0)
		{
			memcpy(to, from, (Size) ix->slot_size);
			any = true;
		}
		else
			complete = false;
	}
	if (any)
		GenericXLogFinish(state);
	else
		GenericXLogAbort(state);
	UnlockReleaseBuffer(buffer);
	return complete;
}

static void
mend_page(VxVacuum *vac, uint32 stripe)
{
	PGAlignedBlock old;
	PGAlignedBlock new;

	for (int attempt = 0; attempt < MAX_REPAIR_ATTEMPTS; attempt++)
	{
		bool		changed = false;

		if (!copy_page(vac, stripe, old.data))
			return;
		memcpy(new.data, old.data, BLCKSZ);
		for (int s = 0; s < vac->ix->slots_per_page; s++)
		{
			VxNodeId	id = VxMakeNodeId(vac->ix, stripe, s);
			void	   *slot = VxPageSlot(vac->ix, new.data, s);
			uint8		slot_state = *(uint8 *) slot;

			if (slot_state == VX_SLOT_UPPER)
				changed |= mend_upper(vac, id, slot);
			else if (VxStateIsNode(slot_state))
				changed |= mend_node(vac, id, slot);
		}
		if (!changed || write_mended(vac, stripe, old.data, new.data))
			return;
	}
}

static void
mend(VxVacuum *vac)
{
	MemoryContext old = MemoryContextSwitchTo(vac->page_context);

	for (uint32 stripe = 0; stripe < vac->nstripes; stripe++)
	{
		VxVacuumDelay();
		mend_page(vac, stripe);
		VxPinsRelease(&vac->pins);
		MemoryContextReset(vac->page_context);
	}
	MemoryContextSwitchTo(old);
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
			 (slot.state == VX_SLOT_DEAD && !bit_has(vac, vac->gone, entry.node))))
			return;
	} while (!VxChangeEntry(vac->index, vac->ix, entry.node,
							vac->best.node != VX_INVALID_NODE ? vac->best : vac->best_dead));
}

/* Free what is to be freed on a page, and collect nodes no link leads to */
static int
free_page(VxVacuum *vac, uint32 stripe, VxNodeId *orphans)
{
	const VxIndex *ix = vac->ix;
	BlockNumber block = VxStripeBlock(ix, stripe);
	Buffer		buffer = VxLockNodePage(vac->index, block, BUFFER_LOCK_EXCLUSIVE,
										vac->strategy);
	GenericXLogState *state = NULL;
	Page		page = BufferGetPage(buffer);
	int			norphans = 0;
	int			nfree = 0;

	for (int s = 0; s < ix->slots_per_page; s++)
	{
		VxNodeId	id = VxMakeNodeId(ix, stripe, s);
		VxNodeSlot	slot = VxPageSlot(ix, page, s);
		uint8		slot_state = PageIsNew(page) ? VX_SLOT_FREE : slot->state;

		if ((slot_state == VX_SLOT_DEAD && slot->chain == VX_INVALID_NODE &&
			 bit_has(vac, vac->gone, id)) ||
			(slot_state == VX_SLOT_UPPER && bit_has(vac, vac->stale, id)))
		{
			if (state == NULL)
			{
				state = GenericXLogStart(vac->index);
				page = GenericXLogRegisterBuffer(state, buffer, 0);
				slot = VxPageSlot(ix, page, s);
			}
			slot->state = VX_SLOT_FREE;
			slot->generation++;
			vac->nfreed++;
			nfree++;
		}
		else if (slot_state == VX_SLOT_FREE)
			nfree++;
		else if (slot_state == VX_SLOT_LIVE && !bit_has(vac, vac->linked, id) &&
				 !bit_has(vac, vac->gone, id))
			orphans[norphans++] = id;
	}
	if (state)
		GenericXLogFinish(state);
	UnlockReleaseBuffer(buffer);
	if (nfree > 0)
	{
		RecordPageWithFreeSpace(vac->index, block, BLCKSZ - 1);
		vac->nfree_pages += nfree == ix->slots_per_page;
	}
	return norphans;
}

static void
free_slots(VxVacuum *vac)
{
	MemoryContext old = MemoryContextSwitchTo(vac->page_context);
	VxNodeId	entry = VxReadEntry(vac->index).node;

	for (uint32 stripe = 0; stripe < vac->nstripes; stripe++)
	{
		VxNodeId   *orphans = palloc(sizeof(VxNodeId) * (Size) vac->ix->slots_per_page);
		int			n;

		VxVacuumDelay();
		n = free_page(vac, stripe, orphans);
		for (int i = 0; i < n; i++)
		{
			VxVacuumDelay();
			if (orphans[i] != entry)
				VxConnect(vac->inserter, orphans[i]);
		}
		MemoryContextReset(vac->page_context);
	}
	MemoryContextSwitchTo(old);
	IndexFreeSpaceMapVacuum(vac->index);
}

/* ------------------------------------------------------------------ cleanup */

static uint64 *
new_bitmap(const VxVacuum *vac)
{
	return MemoryContextAllocExtended(CurrentMemoryContext,
									  ((Size) vac->nnodes / 64 + 1) * sizeof(uint64),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

IndexBulkDeleteResult *
vxvacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	Relation	index = info->index;
	VxVacuum	vac = {0};
	MemoryContext context;
	MemoryContext old;

	if (info->analyze_only || !VxReadDead(index))
		return stats;

	context = AllocSetContextCreate(CurrentMemoryContext, "hnsw vacuum",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	vac.index = index;
	vac.ix = VxGetIndex(index);
	vac.strategy = info->strategy;
	vac.nstripes = VxStripeCount(vac.ix, RelationGetNumberOfBlocks(index));
	vac.nnodes = VxCurrentNodes(index, vac.ix);
	vac.nnodes = Min(vac.nnodes, (VxNodeId) (vac.nstripes * (uint64) vac.ix->slots_per_page));
	vac.page_context = AllocSetContextCreate(context, "hnsw vacuum page",
											 ALLOCSET_DEFAULT_SIZES);
	vac.gone = new_bitmap(&vac);
	vac.stale = new_bitmap(&vac);
	vac.linked = new_bitmap(&vac);
	vac.best.node = VX_INVALID_NODE;
	vac.best_dead.node = VX_INVALID_NODE;
	VxPinsInit(&vac.pins, index);
	vac.inserter = VxInserterCreate(index, vac.ix);
	VxLinkerInit(&vac.linker, index, vac.ix);
	VxGatheredInit(&vac.candidates, vac.ix, MAX_REPAIR_CANDIDATES);

	survey(&vac);
	mend(&vac);
	mend_entry(&vac);
	free_slots(&vac);
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
