/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  Insertion of a row into an hnsw index on disk.
 *
 * Steps, each a WAL record or several that leave a usable index (see README):
 *	1. search for neighbors, without any lock held between pages;
 *	2. write slot and vector, with links to the neighbors chosen;
 *	3. write the slot of the upper layers, if the node has any;
 *	4. add links back from the neighbors, a few pages a record;
 *	5. make the node the entry point if it reaches a higher layer.
 *
 * Neighbors are chosen among the best ef_construction nodes that the walk
 * found, by their codes: distances from the new vector are estimates of the
 * walk, distances between candidates those between two codes.  No vector is
 * read but that of a node whose code says it may be the very same.
 *
 * A row whose vector is already there, bit for bit, joins the chain of that
 * node instead, in one record.
 *
 * What an insertion needs, some 100 kB, is kept for the next one: by the rows
 * of a statement (IndexInfo.ii_AmCache), of a build, of a vacuum.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/attr.h"
#include "inject.h"
#include "type/vector.h"

/* Times that a node is connected again because what it was linked to is gone */
#define CONNECT_ATTEMPTS 10

/* Neighbors chosen for a node on one layer, nearest first */
typedef struct VxNeighbors
{
	int			n;
	VxNodeId	ids[2 * VX_MAX_M];
	uint16		generations[2 * VX_MAX_M];
} VxNeighbors;

struct VxInserter
{
	/* unchanging */
	Relation	index;
	const VxIndex *ix;
	MemoryContext row_context;	/* of what a row needs; reset by its owner */

	/* the row at hand */
	const void *vector;
	VxNodeId	self;			/* the node itself, if it is there already */
	VxFactors	factors;
	uint8	   *code;
	uint8	   *attrs;			/* room for its attributes */

	/* mutable, kept for the next row */
	VxQuery		query;
	VxWalk		walk;
	VxWalkStats stats;
	VxLinker	linker;
	VxGathered	found;			/* candidates on the layer at hand */
	void	   *other;			/* room for a vector */
	VxNeighbors *neighbors;		/* by layer */
};

/* -------------------------------------------------------- rows and their type */

/*
 * The elements of a column's value, which must have the dimensions of the
 * index.  *detoasted is set to what the caller may free, or NULL.
 */
const void *
VxCheckedVector(Relation index, const VxIndex *ix, Datum value,
				Pointer *detoasted)
{
	Vector	   *vector = DatumGetVector(value);

	*detoasted = (Pointer) vector != DatumGetPointer(value) ? (Pointer) vector : NULL;
	if (vector->dim != ix->codec.dims)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different vector dimensions %d and %d",
						ix->codec.dims, vector->dim)));
	return vector->x;
}

/*
 * What inserting rows into an index takes.  Its memory is the current
 * context's; the index must stay open.  It holds no pins, no locks and no
 * knowledge of the graph between two rows.
 */
VxInserter *
VxInserterCreate(Relation index, const VxIndex *ix)
{
	VxInserter *ins = palloc0(sizeof(VxInserter));

	ins->index = index;
	ins->ix = ix;
	ins->row_context = AllocSetContextCreate(CurrentMemoryContext, "hnsw insert row",
											 ALLOCSET_DEFAULT_SIZES);
	ins->code = palloc((Size) ix->codec.nbytes);
	ins->attrs = palloc((Size) ix->attr_size);
	ins->other = palloc((Size) ix->codec.vector_bytes);
	ins->neighbors = palloc(sizeof(VxNeighbors) * (Size) (ix->max_level + 1));
	VxQueryInit(&ins->query, &ix->codec, palloc(VxQueryMemory(&ix->codec)));
	VxWalkInit(&ins->walk, index, ix, &ins->query, &ins->stats);
	VxLinkerInit(&ins->linker, index, ix);
	VxGatheredInit(&ins->found, ix, ix->ef_construction);
	return ins;
}

/* ------------------------------------------------------ search for neighbors */

/* Gather the best ef_construction of what the walk found */
static void
gather_candidates(VxInserter *ins)
{
	VxWalk	   *walk = &ins->walk;
	VxGathered *g = &ins->found;
	int			n = 0;

	for (int i = 0; i < Min(walk->nbeam, walk->beam_size) && n < g->max; i++)
	{
		VxNodeId	id = VxBeamVisit(walk, i)->id;

		if (id != ins->self)
			g->ids[n++] = id;
	}
	VxGather(&ins->linker, g, &ins->query, n);
}

/* Choose the neighbors on a layer among the candidates */
static void
choose_neighbors(VxInserter *ins, int level)
{
	VxGathered *g = &ins->found;
	VxNeighbors *neighbors = &ins->neighbors[level];

	neighbors->n = VxChooseGathered(g, VxLinkCapacity(ins->ix, level));
	for (int i = 0; i < neighbors->n; i++)
	{
		const VxVisit *visit = &g->visits[g->order[g->selected[i]]];

		neighbors->ids[i] = visit->id;
		neighbors->generations[i] = visit->generation;
	}
}

/* Forget the nodes of a layer */
static void
reset_walk(VxInserter *ins)
{
	VxWalkReset(&ins->walk);
	VxWalkBeam(&ins->walk, ins->ix->ef_construction);
	ins->found.n = 0;
}

/*
 * Find neighbors on all layers up to level, and leave the candidates of level
 * 0 in ins->found.  Layers above the entry point's stay empty.
 */
static void
find_neighbors(VxInserter *ins, VxEntry entry, int level)
{
	for (int l = 0; l <= level; l++)
		ins->neighbors[l].n = 0;
	reset_walk(ins);
	if (entry.node == VX_INVALID_NODE || !VxWalkDescend(&ins->walk, &entry, level))
		return;
	for (int l = Min(level, entry.level);; l--)
	{
		VxWalkRun(&ins->walk, l);
		gather_candidates(ins);
		choose_neighbors(ins, l);
		if (l == 0)
			return;
		if (ins->found.n > 0)
			entry.node = ins->found.candidates[0].id;
		reset_walk(ins);
		if (!VxWalkEnter(&ins->walk, entry.node))
			return;
	}
}

/* ----------------------------------------------------------------- duplicates */

static inline bool
nearly_equal(float a, float b)
{
	return fabsf(a - b) <= 1e-5f * (fabsf(a) + fabsf(b));
}

/*
 * May a node's vector be the row's?  Equal vectors have equal codes, if the
 * same kernels made them; other kernels may have rounded otherwise, so what is
 * compared is what rounding changes little.
 */
static bool
may_be_equal(const VxInserter *ins, const VxFactors *factors, const uint8 *code)
{
	return nearly_equal(factors->norm, ins->factors.norm) &&
		nearly_equal(factors->scale, ins->factors.scale) &&
		(ins->ix->codec.kind == VX_CODE_ROTATED ||
		 memcmp(code, ins->code, (Size) ins->ix->codec.nbytes) == 0);
}

/* The candidate with the very same vector, or NULL */
static const VxVisit *
find_duplicate(VxInserter *ins)
{
	const VxGathered *g = &ins->found;
	const VxCodec *codec = &ins->ix->codec;

	for (int i = 0; i < g->n; i++)
	{
		int			at = g->order[i];
		const uint8 *code = g->codes + (Size) at * (Size) codec->nbytes;

		if (!may_be_equal(ins, &g->factors[at], code))
			continue;
		VxReadVector(ins->index, ins->ix, g->visits[at].id, ins->other, NULL);
		if (memcmp(ins->other, ins->vector, (Size) codec->vector_bytes) == 0)
			return &g->visits[at];
	}
	return NULL;
}

/* ------------------------------------------------------------------ insertion */

/* Write a node's upper slot, with the neighbors chosen for each layer */
static void
place_upper(VxInserter *ins, VxNodeId id, uint16 generation, int level)
{
	int			m = ins->ix->m;
	VxNodeId   *links = palloc(sizeof(VxNodeId) * (Size) (m * level));

	memset(links, 0xFF, sizeof(VxNodeId) * (Size) (m * level));
	for (int l = 1; l <= level; l++)
		memcpy(links + (l - 1) * m, ins->neighbors[l].ids,
			   sizeof(VxNodeId) * (Size) ins->neighbors[l].n);
	VxPlaceUpper(ins->index, ins->ix, id, generation, level, links);
	pfree(links);
}

/* Make a node the entry point unless there is one as high */
static void
promote(VxInserter *ins, VxNodeId id, int level)
{
	for (;;)
	{
		VxEntry		entry = VxReadEntry(ins->index);
		VxEntry		new;

		VX_INJECTION_POINT("insert-entry");
		new.node = id;
		new.level = level;
		if ((entry.node != VX_INVALID_NODE && entry.level >= level) ||
			VxChangeEntry(ins->index, ins->ix, entry.node, new))
			return;
	}
}

static int
compare_targets(const void *a, const void *b)
{
	VxNodeId	x = ((const VxTarget *) a)->id;
	VxNodeId	y = ((const VxTarget *) b)->id;

	return x < y ? -1 : x > y;
}

/*
 * Link a node back from its neighbors.  If none of those on level 0 takes the
 * link, one of them must, as no node shall be out of reach.  Returns false if that
 * is so all the same: vacuum removed them all, or others need all their links.
 */
static bool
link_back(VxInserter *ins, VxNodeId id, int level)
{
	const VxNeighbors *near = &ins->neighbors[0];
	VxTarget	targets[2 * VX_MAX_M];
	bool		reached;

	for (int i = 0; i < near->n; i++)
	{
		targets[i].id = near->ids[i];
		targets[i].generation = near->generations[i];
	}
	qsort(targets, (size_t) near->n, sizeof(VxTarget), compare_targets);
	reached = VxLinkBack(&ins->linker, id, targets, near->n);

	for (int i = 0; i < near->n && !reached; i++)
		reached = VxAddLinks(&ins->linker, near->ids[i], 0, &id, 1, true);
	for (int l = level; l > 0; l--)
		for (int i = 0; i < ins->neighbors[l].n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			VxAddLinks(&ins->linker, ins->neighbors[l].ids[i], l, &id, 1, false);
			VX_INJECTION_POINT("insert-link");
		}
	return reached;
}

/*
 * Write the node with its neighbors, and link them back.  If there are none, or
 * none any more, it is connected like one that nothing leads to.
 */
static void
insert_node(VxInserter *ins, VxNewRow *row, VxEntry entry)
{
	const VxNeighbors *neighbors = &ins->neighbors[0];
	uint16		generation;
	VxNodeId	near = neighbors->n > 0 ? neighbors->ids[0] : VX_INVALID_NODE;
	VxNodeId	id;

	row->head = VX_INVALID_NODE;
	row->links = neighbors->ids;
	row->nlinks = neighbors->n;
	id = VxPlaceRow(ins->index, ins->ix, row, near, &generation);
	VX_INJECTION_POINT("insert-publish");
	if (row->level > 0)
	{
		place_upper(ins, id, generation, row->level);
		VX_INJECTION_POINT("insert-upper");
	}
	if (near == VX_INVALID_NODE || !link_back(ins, id, row->level))
		VxConnect(ins, id);
	if (row->level > entry.level)
		promote(ins, id, row->level);
}

/*
 * Insert a vector, which has the dimensions of the index, with the row's
 * attributes, for a heap TID.  May leave memory in the current context.
 */
void
VxInsertVector(VxInserter *ins, const void *vector, const uint8 *attrs,
			   ItemPointer tid)
{
	const VxIndex *ix = ins->ix;
	VxNewRow	row = {0};
	VxEntry		entry;
	const VxVisit *duplicate;
	uint16		generation;

	ins->vector = vector;
	ins->self = VX_INVALID_NODE;
	VxEncode(&ix->codec, vector, &ins->factors, ins->code, ins->query.work);
	row.factors = ins->factors;
	row.code = ins->code;
	row.tid = *tid;
	row.vector = vector;
	row.attrs = attrs;
	row.state = VX_SLOT_LIVE;
	row.head = VX_INVALID_NODE;

	if (ix->codec.metric == VX_METRIC_COSINE && VxIsZero(&ix->codec, vector))
	{
		row.state = VX_SLOT_LONE;
		VxPlaceRow(ins->index, ix, &row, VX_INVALID_NODE, &generation);
		return;
	}

	row.level = VX_INJECTED_LEVEL(VxDrawLevel(ix), ix->max_level);
	VxQueryFromVector(&ins->query, vector);
	entry = VxReadEntry(ins->index);
	find_neighbors(ins, entry, row.level);
	VX_INJECTION_POINT("insert-searched");

	duplicate = find_duplicate(ins);
	if (duplicate)
	{
		VX_INJECTION_POINT("insert-join");
		row.head = duplicate->id;
		row.head_generation = duplicate->generation;
		if (VxPlaceRow(ins->index, ix, &row, duplicate->id, &generation) != VX_INVALID_NODE)
			return;
	}
	insert_node(ins, &row, entry);
}

/* --------------------------------------------------------- nodes that are there */

/*
 * Make the live ones of a node's links its neighbors on level 0; ins->query is
 * made from its code.
 */
static void
take_own_neighbors(VxInserter *ins, const VxNodeId *links, int n)
{
	VxGathered *g = &ins->linker.list;
	VxNeighbors *neighbors = &ins->neighbors[0];
	int			count = 0;

	for (int i = 0; i < n; i++)
		if (links[i] != ins->self && VxHasPage(&ins->linker, links[i]))
			g->ids[count++] = links[i];
	VxGather(&ins->linker, g, &ins->query, count);
	neighbors->n = g->n;
	for (int i = 0; i < g->n; i++)
	{
		neighbors->ids[i] = g->candidates[i].id;
		neighbors->generations[i] = g->visits[g->order[i]].generation;
	}
}

/*
 * Search for neighbors of a node that has none.  If there are none, the
 * graph begins anew with the node, unless somebody else begins it: then it
 * still has none.  Returns whether the node is the entry point now.
 */
static bool
find_new_neighbors(VxInserter *ins, VxNodeId id, int level)
{
	VxEntry		entry = VxReadEntry(ins->index);
	VxEntry		new;

	if (entry.node == id)
		return true;
	find_neighbors(ins, entry, 0);
	if (ins->neighbors[0].n > 0)
	{
		VxAddLinks(&ins->linker, id, 0, ins->neighbors[0].ids, ins->neighbors[0].n, false);
		return false;
	}
	VX_INJECTION_POINT("insert-begin");
	new.node = id;
	new.level = level;
	return VxChangeEntry(ins->index, ins->ix, entry.node, new);
}

/*
 * Link a node that is on disk already, and that little or nothing leads
 * to, into the graph; vacuum's way to mend what was torn.  If the node has
 * neighbors, they are asked to link it back; else there is a search for some.
 * All that is tried again if vacuum removes them meanwhile.
 */
void
VxConnect(VxInserter *ins, VxNodeId id)
{
	for (int attempt = 0; attempt < CONNECT_ATTEMPTS; attempt++)
	{
		VxNodeId	links[2 * VX_MAX_M];
		VxNodeSlotData slot;

		CHECK_FOR_INTERRUPTS();
		if (!VxReadSlot(ins->index, ins->ix, id, &slot, ins->code, links) ||
			!VxSlotRoutes(&slot))
			return;
		ins->self = id;
		VxQueryFromCode(&ins->query, &slot.factors, ins->code);
		take_own_neighbors(ins, links, VxCountLinks(links, 2 * ins->ix->m));
		if (ins->neighbors[0].n == 0 && find_new_neighbors(ins, id, slot.level))
			return;
		if (link_back(ins, id, 0))
			return;
	}
}

/* --------------------------------------------------------------------- aminsert */

/*
 * The inserter of a statement.  It is made anew if the relation is not where
 * it was: nothing promises that it stays open from row to row.
 */
static VxInserter *
statement_inserter(Relation index, IndexInfo *info)
{
	VxInserter *ins = info->ii_AmCache;

	if (ins == NULL || ins->index != index)
	{
		MemoryContext old = MemoryContextSwitchTo(info->ii_Context);

		ins = VxInserterCreate(index, VxGetIndex(index));
		info->ii_AmCache = ins;
		MemoryContextSwitchTo(old);
	}
	return ins;
}

bool
vxinsert(Relation index, Datum *values, bool *isnull, ItemPointer tid,
		 Relation heap, IndexUniqueCheck check_unique, bool index_unchanged,
		 IndexInfo *info)
{
	VxInserter *ins;
	MemoryContext old;
	Pointer		detoasted;

	if (isnull[0])
		return false;
	ins = statement_inserter(index, info);
	old = MemoryContextSwitchTo(ins->row_context);
	VxEncodeAttrs(index, ins->ix, values, isnull, ins->attrs);
	VxInsertVector(ins, VxCheckedVector(index, ins->ix, values[0], &detoasted),
				   ins->attrs, tid);
	MemoryContextSwitchTo(old);
	MemoryContextReset(ins->row_context);
	return false;
}
