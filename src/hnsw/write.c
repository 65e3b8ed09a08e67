/*-------------------------------------------------------------------------
 *
 * write.c
 *	  Writing the graph of a build to disk.
 *
 * The leader lays down the order of the nodes: breadth first over level 0, so
 * that neighbors share pages.  Then all participants write stripes, and log
 * the pages, a few at a time each.
 *
 * Pages are written through shared buffers and logged as full images: until
 * the index is committed, nobody else can see it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/smgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "hnsw/attr.h"
#include "hnsw/build.h"

/* Stripes, and blocks, that a participant takes at a time */
#define STRIPE_BATCH 8
#define BLOCK_BATCH 512

/* A link to a node may be taken away if so many lead to it */
#define SAFE_INCOMING 4

/* Times that nodes out of reach are given links: to take some away may put others there */
#define MAX_ROUNDS 5

/* -------------------------------------------------------------------- order */

/* The order of nodes while it is laid down */
typedef struct VxOrder
{
	VxGraph    *graph;
	uint64	   *placed;			/* bitmap of nodes */
	VxNodeId	nslots;
} VxOrder;

static VxNodeId *
order_entry(VxGraph *graph, VxNodeId slot)
{
	return VxGraphUnit(graph, VX_STORE_ORDER, slot);
}

static void
append_slot(VxOrder *o, VxNodeId id)
{
	if (!VxGraphReserve(o->graph, VX_STORE_ORDER, o->nslots))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed to order the nodes of an hnsw graph.")));
	*order_entry(o->graph, o->nslots++) = id;
}

/*
 * Give a node the next slot, if it has none, and the one after that to its
 * upper layers, if it has any.
 */
static void
place_node(VxOrder *o, VxNodeId id)
{
	VxMemNode  *node;

	if (o->placed[id / 64] >> (id % 64) & 1)
		return;
	o->placed[id / 64] |= UINT64CONST(1) << (id % 64);
	node = VxGraphNode(o->graph, id);
	node->hash = o->nslots;
	append_slot(o, id);
	if (node->level > 0)
		append_slot(o, VX_INVALID_NODE);
}

/* Place what can be reached from the slots before nslots and after *next */
static void
place_reachable(VxOrder *o, VxNodeId *next)
{
	for (; *next < o->nslots; (*next)++)
	{
		VxNodeId	id = *order_entry(o->graph, *next);
		VxMemNode  *node;
		VxNodeId   *links;
		int			n;

		CHECK_FOR_INTERRUPTS();
		if (id == VX_INVALID_NODE)
			continue;
		node = VxGraphNode(o->graph, id);
		if (node->chain != VX_INVALID_NODE)
			place_node(o, node->chain);
		links = VxGraphLinks(o->graph, node, 0, &n);
		for (int i = 0; i < n; i++)
			place_node(o, links[i]);
	}
}

static inline bool
is_placed(const VxOrder *o, VxNodeId id)
{
	return (o->placed[id / 64] >> (id % 64) & 1) != 0;
}

/* Links that lead to each node on level 0, up to 255 */
static uint8 *
count_incoming(VxGraph *graph, VxNodeId nnodes)
{
	uint8	   *incoming = MemoryContextAllocExtended(CurrentMemoryContext, (Size) nnodes + 1,
													  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (VxNodeId id = 0; id < nnodes; id++)
	{
		int			n;
		VxNodeId   *links = VxGraphLinks(graph, VxGraphNode(graph, id), 0, &n);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			incoming[links[i]] += incoming[links[i]] < 255;
	}
	return incoming;
}

/*
 * Have one of a node's neighbors that have been reached link to it: one with
 * room in its list, or else one with a link to a node that many others lead to.
 * Returns false if there is none.
 */
static bool
adopt_node(VxOrder *o, VxNodeId id, uint8 *incoming)
{
	VxGraph    *graph = o->graph;
	int			capacity = VxLinkCapacity(graph->ix, 0);
	int			nown;
	VxNodeId   *own = VxGraphLinks(graph, VxGraphNode(graph, id), 0, &nown);

	for (int i = 0; i < nown; i++)
	{
		VxMemNode  *parent = VxGraphNode(graph, own[i]);

		if (is_placed(o, own[i]) && parent->nlinks < capacity)
		{
			parent->links[parent->nlinks++] = id;
			return true;
		}
	}
	for (int i = 0; i < nown; i++)
	{
		VxMemNode  *parent = VxGraphNode(graph, own[i]);

		for (int j = parent->nlinks - 1; is_placed(o, own[i]) && j >= 0; j--)
		{
			if (incoming[parent->links[j]] < SAFE_INCOMING)
				continue;
			incoming[parent->links[j]]--;
			parent->links[j] = id;
			return true;
		}
	}
	return false;
}

/*
 * Nodes that have lost every link to them are few, but no walk would ever find
 * them: give each a link.  Returns whether any got one.
 */
static bool
adopt_unreached(VxOrder *o, VxNodeId nnodes, VxNodeId *next)
{
	uint8	   *incoming = NULL;
	bool		any = false;

	for (VxNodeId id = 0; id < nnodes; id++)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_placed(o, id) || VxGraphNode(o->graph, id)->state != VX_SLOT_LIVE)
			continue;
		if (incoming == NULL)
			incoming = count_incoming(o->graph, nnodes);
		if (!adopt_node(o, id, incoming))
			continue;
		any = true;
		place_node(o, id);
		place_reachable(o, next);
	}
	if (incoming)
		pfree(incoming);
	return any;
}

/*
 * Breadth first over level 0 from the entry point, each node's duplicates
 * right after it; then what that does not reach, linked if possible.  Returns
 * the number of slots.
 */
static VxNodeId
order_nodes(VxGraph *graph)
{
	VxNodeId	n = VxGraphCount(graph);
	VxNodeId	entry = VxGraphEntry(graph).node;
	VxNodeId	next;
	Size		size = ((Size) n / 64 + 1) * sizeof(uint64);
	VxOrder		o = {.graph = graph};
	bool		again = true;

	o.placed = MemoryContextAllocHuge(CurrentMemoryContext, size);
	for (int round = 0; again && round < MAX_ROUNDS; round++)
	{
		memset(o.placed, 0, size);
		o.nslots = 0;
		next = 0;
		if (entry != VX_INVALID_NODE)
			place_node(&o, entry);
		place_reachable(&o, &next);
		again = adopt_unreached(&o, n, &next);
	}
	for (VxNodeId id = 0; id < n; id++)
	{
		if (VxGraphNode(graph, id)->state == VX_SLOT_FREE)
			continue;
		place_node(&o, id);
		place_reachable(&o, &next);
	}
	pfree(o.placed);
	return o.nslots;
}

/* --------------------------------------------------------------- duplicates */

static void
put_aside(VxBuild *build, VxMemNode *node)
{
	VxAside    *aside;

	if (build->naside == build->max_aside)
	{
		build->max_aside = Max(build->max_aside * 2, 16);
		build->aside = build->aside == NULL ?
			palloc(sizeof(VxAside) * (Size) build->max_aside) :
			repalloc_huge(build->aside, sizeof(VxAside) * (Size) build->max_aside);
	}
	aside = &build->aside[build->naside++];
	aside->tid = node->tid;
	aside->participant = node->participant;
	aside->row = node->row;
	node->state = VX_SLOT_FREE;
}

static const char *
read_vector(VxBuild *build, const VxMemNode *node, char *buffer)
{
	VxRow		row;

	VxRowsReadNode(build->rows, node->participant, node->row, buffer, &row);
	return row.vector;
}

/*
 * Take those out of a chain whose vectors are not those of its head, after all:
 * hashes, and codes, may be equal by chance.
 */
static void
check_chain(VxBuild *build, VxMemNode *head, char *buffer, char *other)
{
	VxMemNode  *last = head;
	const char *vector = read_vector(build, head, buffer);

	while (last->chain != VX_INVALID_NODE)
	{
		VxMemNode  *node = VxGraphNode(build->graph, last->chain);

		CHECK_FOR_INTERRUPTS();
		if (memcmp(read_vector(build, node, other), vector,
				   (Size) build->ix->codec.vector_bytes) == 0)
			last = node;
		else
		{
			last->chain = node->chain;
			put_aside(build, node);
		}
	}
}

static void
check_chains(VxBuild *build)
{
	VxGraph    *graph = build->graph;
	VxNodeId	n = VxGraphCount(graph);
	char	   *buffer = palloc(build->rows->node_bytes);
	char	   *other = palloc(build->rows->node_bytes);

	for (VxNodeId id = 0; id < n; id++)
	{
		VxMemNode  *node = VxGraphNode(graph, id);

		if (node->state == VX_SLOT_LIVE && node->chain != VX_INVALID_NODE)
			check_chain(build, node, buffer, other);
	}
	pfree(buffer);
	pfree(other);
}

/* ------------------------------------------------------------------ stripes */

/* What writing needs, beside the build */
typedef struct VxWriter
{
	VxBuild    *build;
	char	   *row;			/* a row of a file */
	char	   *vectors;		/* of a stripe, end to end */
} VxWriter;

/* A page of the index, made by VxOrderGraph, locked and zero */
static Buffer
zero_page(Relation index, BlockNumber block)
{
	return ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, NULL);
}

/* Put the ids on disk of n nodes into a list of 2m or m that is full of invalid ones */
static void
write_links(VxGraph *graph, VxNodeId *to, const VxNodeId *from, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (VxNodeId) VxGraphNode(graph, from[i])->hash;
}

static VxNodeId
disk_id(VxGraph *graph, VxNodeId id)
{
	return id == VX_INVALID_NODE ? id : (VxNodeId) VxGraphNode(graph, id)->hash;
}

/* Write the slot of a node, and its vector into *vector */
static void
write_node(VxWriter *w, VxNodeId id, VxNodeSlot slot, char *vector)
{
	const VxIndex *ix = w->build->ix;
	VxGraph    *graph = w->build->graph;
	VxMemNode  *node = VxGraphNode(graph, id);
	VxMemCode  *code = VxGraphCode(graph, id);
	bool		with_codes = w->build->rows->with_codes;
	VxNodeId   *links;
	int			n;
	VxRow		row;

	VxRowsReadNode(w->build->rows, node->participant, node->row, w->row, &row);
	if (ix->codec.kind != VX_CODE_RAW)
		memcpy(vector, row.vector, (Size) ix->codec.vector_bytes);

	slot->state = node->state;
	slot->level = node->level;
	slot->tid = node->tid;
	slot->chain = disk_id(graph, node->chain);
	if (node->state == VX_SLOT_DUPLICATE)
		slot->upper = disk_id(graph, node->other);
	else
		slot->upper = node->level > 0 ? (VxNodeId) node->hash + 1 : VX_INVALID_NODE;
	slot->factors = with_codes ? row.factors : code->factors;
	memcpy(VxSlotAttrs(slot), row.attrs, (Size) ix->attr_size);
	memcpy(VxSlotCode(ix, slot), with_codes ? row.code : code->code,
		   (Size) ix->codec.nbytes);
	memset(VxSlotLinks(ix, slot), 0xFF, 2 * (Size) ix->m * sizeof(VxNodeId));
	links = VxGraphLinks(graph, node, 0, &n);
	write_links(graph, VxSlotLinks(ix, slot), links, n);
}

static void
write_upper(VxWriter *w, VxNodeId id, VxUpperSlot slot)
{
	const VxIndex *ix = w->build->ix;
	VxGraph    *graph = w->build->graph;
	VxMemNode  *node = VxGraphNode(graph, id);

	slot->state = VX_SLOT_UPPER;
	slot->level = node->level;
	slot->owner = (VxNodeId) node->hash;
	memset(slot->links, 0xFF, (Size) node->level * (Size) ix->m * sizeof(VxNodeId));
	for (int level = 1; level <= node->level; level++)
	{
		int			n;
		VxNodeId   *links = VxGraphLinks(graph, node, level, &n);

		write_links(graph, VxUpperLinks(ix, slot, level), links, n);
	}
}

/*
 * Write the node page of a stripe, which has nslots slots from "first" on, and
 * collect its vectors.
 */
static void
write_node_page(VxWriter *w, uint32 stripe, VxNodeId first, int nslots)
{
	const VxIndex *ix = w->build->ix;
	VxGraph    *graph = w->build->graph;
	Buffer		buffer = zero_page(w->build->index, VxStripeBlock(ix, stripe));
	Page		page = BufferGetPage(buffer);

	VxInitPage(page, VX_PAGE_NODES, stripe);
	VxRaisePageLower(page, MAXALIGN(SizeOfPageHeaderData) +
					 (Size) nslots * (Size) ix->slot_size);
	for (int s = 0; s < nslots; s++)
	{
		VxNodeId	slot = first + (VxNodeId) s;
		VxNodeId	id = *order_entry(graph, slot);

		if (id != VX_INVALID_NODE)
			write_node(w, id, VxPageSlot(ix, page, s),
					   w->vectors + (Size) s * (Size) ix->codec.vector_bytes);
		else
			write_upper(w, *order_entry(graph, slot - 1), VxPageSlot(ix, page, s));
	}
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

/* Write vector page p of a stripe */
static void
write_vector_page(VxWriter *w, uint32 stripe, int p, VxNodeId first, int nslots)
{
	const VxIndex *ix = w->build->ix;
	Size		size = (Size) ix->codec.vector_bytes;
	int			from = (int) ((Size) p * VX_PAGE_BYTES / size);
	Buffer		buffer = zero_page(w->build->index,
								   VxStripeBlock(ix, stripe) + 1 + (BlockNumber) p);
	Page		page = BufferGetPage(buffer);

	VxInitPage(page, VX_PAGE_VECTORS, stripe);
	for (int s = from; s < nslots && (Size) s * size < (Size) (p + 1) * VX_PAGE_BYTES; s++)
		if (*order_entry(w->build->graph, first + (VxNodeId) s) != VX_INVALID_NODE)
			VxFillVectorPage(ix, page, p, s, w->vectors + (Size) s * size);
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

static void
write_stripe(VxWriter *w, uint32 stripe)
{
	const VxIndex *ix = w->build->ix;
	VxNodeId	first = VxMakeNodeId(ix, stripe, 0);
	int			nslots = (int) Min((VxNodeId) ix->slots_per_page,
								   w->build->shared->nslots - first);

	write_node_page(w, stripe, first, nslots);
	for (int p = 0; p < ix->vector_pages; p++)
		write_vector_page(w, stripe, p, first, nslots);
}

/* Set the entry point of the metapage, which nobody else can see yet */
static void
write_entry(Relation index, VxEntry entry)
{
	Buffer		buffer = ReadBuffer(index, VX_META_BLOCK);
	VxMetaPage	meta;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	meta = (VxMetaPage) PageGetContents(BufferGetPage(buffer));
	meta->entry = entry.node;
	meta->entry_level = (uint16) entry.level;
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

/* Append zeroed pages, so that all participants can fill them */
static void
extend_index(Relation index, BlockNumber block, BlockNumber end)
{
	PGAlignedBlock zeros;

	memset(zeros.data, 0, BLCKSZ);
	while (block < end)
	{
		int			n = (int) Min(end - block, VX_EXTEND_BATCH);

		CHECK_FOR_INTERRUPTS();
		VxZeroExtend(index, block, n, zeros.data);
		block += (BlockNumber) n;
	}
}

/* ------------------------------------------------------------------- phases */

/*
 * The leader's part: order the nodes, make the relation as long as they need,
 * and set the entry point.
 */
void
VxOrderGraph(VxBuild *build)
{
	const VxIndex *ix = build->ix;
	VxBuildShared *shared = build->shared;
	VxEntry		entry = VxGraphEntry(build->graph);
	uint64		nblocks;

	if (ix->codec.kind != VX_CODE_RAW)
		check_chains(build);
	shared->nslots = order_nodes(build->graph);
	shared->nstripes = (uint32) (((uint64) shared->nslots + (uint64) ix->slots_per_page - 1) /
								 (uint64) ix->slots_per_page);
	nblocks = 1 + (uint64) shared->nstripes * (uint64) (1 + ix->vector_pages);
	if (nblocks > MaxBlockNumber)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot extend index \"%s\" beyond %u blocks",
						RelationGetRelationName(build->index), MaxBlockNumber)));
	extend_index(build->index, 1, (BlockNumber) nblocks);

	if (entry.node != VX_INVALID_NODE)
	{
		entry.node = disk_id(build->graph, entry.node);
		write_entry(build->index, entry);
	}
	shared->nblocks = (BlockNumber) nblocks;
}

/* Write stripes until there are none left */
void
VxWriteStripes(VxBuild *build)
{
	VxBuildShared *shared = build->shared;
	VxWriter	w = {.build = build};

	w.row = palloc(build->rows->node_bytes);
	w.vectors = palloc((Size) build->ix->slots_per_page *
					   (Size) build->ix->codec.vector_bytes);
	for (;;)
	{
		uint32		stripe = pg_atomic_fetch_add_u32(&shared->next_stripe, STRIPE_BATCH);
		uint32		end = stripe + STRIPE_BATCH;

		if (stripe >= shared->nstripes)
			break;
		for (; stripe < Min(end, shared->nstripes); stripe++)
		{
			CHECK_FOR_INTERRUPTS();
			write_stripe(&w, stripe);
		}
	}
	pfree(w.vectors);
	pfree(w.row);
}

/* Log blocks of the index, if it is logged, until there are none left */
void
VxLogIndex(VxBuild *build)
{
	VxBuildShared *shared = build->shared;

	if (!RelationNeedsWAL(build->index))
		return;
	for (;;)
	{
		uint64		block = pg_atomic_fetch_add_u64(&shared->next_block, BLOCK_BATCH);

		if (block >= shared->nblocks)
			break;
		log_newpage_range(build->index, MAIN_FORKNUM, (BlockNumber) block,
						  (BlockNumber) Min(block + BLOCK_BATCH, shared->nblocks), true);
	}
}
