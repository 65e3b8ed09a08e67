/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  Insertion of a row into an hnsw index on disk.
 *
 * Steps, each a WAL record that leaves a usable index (see README):
 *	1. search for neighbors, without any lock held between pages;
 *	2. write slot and vector, with links to the neighbors chosen;
 *	3. write the slot of the upper layers, if the node has any;
 *	4. add links back from the neighbors, a record each;
 *	5. make the node the entry point if it reaches a higher layer.
 *
 * A row whose vector is already there, bit for bit, joins the chain of that
 * node instead, in one record.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/hnsw.h"
#include "type/vector.h"

/* Exact distances of candidates take at most this many bytes of vectors */
#define MAX_CANDIDATE_BYTES (16 * 1024 * 1024)

/* Neighbors chosen for a node on one layer */
typedef struct VxNeighbors
{
	int			n;
	VxNodeId	ids[2 * VX_MAX_M];
} VxNeighbors;

/* Everything an insertion knows; lives in a memory context of its own */
typedef struct VxInserter
{
	Relation	index;
	const VxIndex *ix;
	const void *vector;
	VxNodeId	self;			/* the node itself, if it is there already */
	VxQuery		query;
	VxWalk		walk;
	VxWalkStats stats;

	/* candidates of the layer at hand, sorted by exact distance */
	VxCandidate *candidates;
	char	  **vectors;		/* theirs, parallel to candidates */
	VxVisit    *visits;			/* theirs, likewise */
	int			ncandidates;
} VxInserter;

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

/* ------------------------------------------------------ search for neighbors */

static int
compare_visits(const void *a, const void *b)
{
	float		x = ((const VxVisit *) a)->dist;
	float		y = ((const VxVisit *) b)->dist;

	return x < y ? -1 : x > y;
}

/* Sort the candidates, with what is parallel to them, by exact distance */
static void
sort_candidates(VxInserter *ins)
{
	for (int i = 1; i < ins->ncandidates; i++)
	{
		VxCandidate c = ins->candidates[i];
		char	   *vector = ins->vectors[i];
		VxVisit		visit = ins->visits[i];
		int			j = i;

		for (; j > 0 && ins->candidates[j - 1].dist > c.dist; j--)
		{
			ins->candidates[j] = ins->candidates[j - 1];
			ins->vectors[j] = ins->vectors[j - 1];
			ins->visits[j] = ins->visits[j - 1];
		}
		ins->candidates[j] = c;
		ins->vectors[j] = vector;
		ins->visits[j] = visit;
	}
}

/* Read the vectors of the best of what the walk found */
static void
load_candidates(VxInserter *ins, int ef)
{
	VxWalk	   *walk = &ins->walk;
	Size		size = (Size) ins->ix->codec.vector_bytes;
	int			max = (int) Min((Size) ef, Max(MAX_CANDIDATE_BYTES / size, 64));

	qsort(walk->found, (size_t) walk->nfound, sizeof(VxVisit), compare_visits);
	ins->ncandidates = 0;
	for (int i = 0; i < walk->nfound && ins->ncandidates < max; i++)
	{
		int			n = ins->ncandidates;
		double		dist;

		if (walk->found[i].id == ins->self)
			continue;
		if (ins->vectors[n] == NULL)
			ins->vectors[n] = palloc(size);
		VxReadVector(ins->index, ins->ix, walk->found[i].id, ins->vectors[n], NULL);
		dist = VxExactDistance(&ins->ix->codec, ins->vectors[n], ins->vector);
		ins->candidates[n].dist = (float) dist;
		ins->candidates[n].id = walk->found[i].id;
		ins->visits[n] = walk->found[i];
		ins->ncandidates++;
	}
	sort_candidates(ins);
}

/*
 * Search one layer from entry with a beam of ef_construction; leaves the
 * candidates in ins, and the nearest of them in *entry.
 */
static void
search_layer(VxInserter *ins, VxEntry *entry, int level)
{
	VxWalkReset(&ins->walk);
	VxWalkBeam(&ins->walk, ins->ix->ef_construction);
	ins->ncandidates = 0;
	if (!VxWalkEnter(&ins->walk, *entry, level))
		return;
	VxWalkRun(&ins->walk, level, PG_INT64_MAX);
	load_candidates(ins, ins->ix->ef_construction);
	if (ins->ncandidates > 0)
		entry->node = ins->candidates[0].id;
}

static void
candidate_distances(void *arg, int from, const int *others, int n, float *out)
{
	VxInserter *ins = arg;

	for (int i = 0; i < n; i++)
		out[i] = (float) VxExactDistance(&ins->ix->codec, ins->vectors[from],
										 ins->vectors[others[i]]);
}

/* Choose the neighbors on a layer among the candidates */
static void
choose_neighbors(VxInserter *ins, int level, VxNeighbors *neighbors)
{
	int			capacity = VxLinkCapacity(ins->ix, level);
	int		   *selected = palloc(sizeof(int) * (Size) (ins->ncandidates + 1));

	neighbors->n = VxSelectNeighbors(ins->candidates, ins->ncandidates, capacity, 0,
									 candidate_distances, ins, selected);
	for (int i = 0; i < neighbors->n; i++)
		neighbors->ids[i] = ins->candidates[selected[i]].id;
	pfree(selected);
}

/* The candidate with the very same vector, or NULL */
static const VxVisit *
find_duplicate(const VxInserter *ins)
{
	for (int i = 0; i < ins->ncandidates; i++)
		if (memcmp(ins->vectors[i], ins->vector,
				   (Size) ins->ix->codec.vector_bytes) == 0)
			return &ins->visits[i];
	return NULL;
}

static void
inserter_init(VxInserter *ins, Relation index, const VxIndex *ix,
			  const void *vector, VxNodeId self)
{
	Size		ef = (Size) ix->ef_construction;

	ins->index = index;
	ins->ix = ix;
	ins->vector = vector;
	ins->self = self;
	memset(&ins->stats, 0, sizeof(ins->stats));
	VxQueryInit(&ins->query, &ix->codec, palloc(VxQueryMemory(&ix->codec)));
	VxQueryFromVector(&ins->query, vector);
	VxWalkInit(&ins->walk, index, ix, &ins->query, &ins->stats);
	ins->candidates = palloc(sizeof(VxCandidate) * ef);
	ins->vectors = palloc0(sizeof(char *) * ef);
	ins->visits = palloc(sizeof(VxVisit) * ef);
	ins->ncandidates = 0;
}

/*
 * Find neighbors on all layers up to level.  Layers above the entry point's
 * stay empty.
 */
static void
find_neighbors(VxInserter *ins, VxEntry entry, int level, VxNeighbors *neighbors)
{
	for (int l = 0; l <= level; l++)
		neighbors[l].n = 0;
	if (VxWalkDescend(&ins->walk, &entry, level))
	{
		for (int l = Min(level, entry.level); l >= 0; l--)
		{
			search_layer(ins, &entry, l);
			choose_neighbors(ins, l, &neighbors[l]);
		}
	}
}

/* ------------------------------------------------------------------ back-links */

/* What is needed to judge a full list of links by codes */
typedef struct VxLinkSet
{
	const VxIndex *ix;
	VxCandidate *candidates;	/* sorted by distance from the node */
	const uint8_t **codes;		/* parallel to candidates */
	VxFactors  *factors;		/* likewise */
	int			n;
	VxQuery		query;			/* made from one of the codes */
} VxLinkSet;

static void
link_distances(void *arg, int from, const int *others, int n, float *out)
{
	VxLinkSet  *set = arg;
	const uint8_t *codes[VX_ESTIMATE_MAX];
	VxFactors	factors[VX_ESTIMATE_MAX];

	VxQueryFromCode(&set->query, &set->factors[from], set->codes[from]);
	for (int done = 0; done < n; done += VX_ESTIMATE_MAX)
	{
		int			count = Min(n - done, VX_ESTIMATE_MAX);

		for (int i = 0; i < count; i++)
		{
			codes[i] = set->codes[others[done + i]];
			factors[i] = set->factors[others[done + i]];
		}
		VxEstimate(&set->query, count, codes, factors, out + done, NULL);
	}
}

/* Leave those ids that are below nnodes, i.e. have a page */
static int
keep_existing(VxNodeId *ids, int n, VxNodeId nnodes)
{
	int			kept = 0;

	for (int i = 0; i < n; i++)
		if (ids[i] < nnodes)
			ids[kept++] = ids[i];
	return kept;
}

/*
 * Gather the nodes ids[0 .. n-1] as seen from a node with the given code;
 * those that are no live nodes are left out.  Sorts ids.
 */
static VxLinkSet *
gather_links(Relation index, const VxIndex *ix, const VxFactors *factors,
			 const uint8 *code, VxNodeId *ids, int n)
{
	VxLinkSet  *set = palloc0(sizeof(VxLinkSet));
	VxVisit    *visits = palloc(sizeof(VxVisit) * (Size) n);
	uint8	   *codes = palloc(Max((Size) n * (Size) ix->codec.nbytes, 1));
	VxFactors  *found = palloc(sizeof(VxFactors) * (Size) n);
	VxWalkStats stats = {0};
	VxNodeId	nnodes = VxCurrentNodes(index, ix);
	VxReader   *reader = VxReaderCreate(index, ix, nnodes);

	n = keep_existing(ids, n, nnodes);
	set->ix = ix;
	VxQueryInit(&set->query, &ix->codec, palloc(VxQueryMemory(&ix->codec)));
	VxQueryFromCode(&set->query, factors, code);
	n = VxVisitNodes(reader, &set->query, ids, n, visits, &stats, codes, found);

	set->candidates = palloc(sizeof(VxCandidate) * (Size) (n + 1));
	set->codes = palloc(sizeof(uint8_t *) * (Size) (n + 1));
	set->factors = palloc(sizeof(VxFactors) * (Size) (n + 1));
	for (int i = 0; i < n; i++)
	{
		int			j = set->n;

		if (visits[i].state != VX_SLOT_LIVE && visits[i].chain == VX_INVALID_NODE)
			continue;
		for (; j > 0 && set->candidates[j - 1].dist > visits[i].dist; j--)
		{
			set->candidates[j] = set->candidates[j - 1];
			set->codes[j] = set->codes[j - 1];
			set->factors[j] = set->factors[j - 1];
		}
		set->candidates[j].dist = visits[i].dist;
		set->candidates[j].id = visits[i].id;
		set->codes[j] = codes + (Size) i * (Size) ix->codec.nbytes;
		set->factors[j] = found[i];
		set->n++;
	}
	return set;
}

/*
 * Choose up to max of the nodes ids[0 .. n-1], as neighbors of the node with
 * the given code, by estimated distances; at least fill if there are as many.
 * Puts them into chosen, nearest first, and returns their number.
 */
int
VxChooseByCodes(Relation index, const VxIndex *ix, const VxFactors *factors,
				const uint8 *code, VxNodeId *ids, int n, int max, int fill,
				VxNodeId *chosen)
{
	VxLinkSet  *set = gather_links(index, ix, factors, code, ids, n);
	int		   *selected = palloc(sizeof(int) * (Size) (set->n + 1));
	int			count = VxSelectNeighbors(set->candidates, set->n, max, fill,
										  link_distances, set, selected);

	for (int i = 0; i < count; i++)
		chosen[i] = set->candidates[selected[i]].id;
	return count;
}

/*
 * Which of the links of a full list should make room for the node "to"?
 * Returns its index, or -1 if "to" is the one that the list can do without.
 * With force, it never is.
 */
static int
choose_victim(Relation index, const VxIndex *ix, const VxFactors *factors,
			  const uint8 *code, const VxNodeId *links, int n, VxNodeId to,
			  bool force)
{
	VxNodeId	ids[2 * VX_MAX_M + 1];
	VxLinkSet  *set;
	int			selected[2 * VX_MAX_M + 1];
	int			nselected;
	VxNodeId	victim = VX_INVALID_NODE;

	memcpy(ids, links, sizeof(VxNodeId) * (Size) n);
	ids[n] = to;
	set = gather_links(index, ix, factors, code, ids, n + 1);

	/* a link to what is no live node goes first */
	for (int i = 0; i < n && set->n < n + 1; i++)
	{
		bool		live = false;

		for (int j = 0; j < set->n && !live; j++)
			live = set->candidates[j].id == links[i];
		if (!live)
			return i;
	}

	nselected = VxSelectNeighbors(set->candidates, set->n, n, 0, link_distances, set,
								  selected);
	for (int i = set->n - 1, j = nselected - 1; i >= 0; i--)
	{
		VxNodeId	id = set->candidates[i].id;

		if (j >= 0 && selected[j] == i)
		{
			/* chosen: gives way only if it must, and then the farthest does */
			j--;
			if (force && id != to && victim == VX_INVALID_NODE)
				victim = id;
		}
		else if (!force || id != to)
		{
			victim = id;
			break;
		}
	}
	for (int i = 0; i < n; i++)
		if (links[i] == victim)
			return i;
	return -1;
}

/* The links of a node on a layer, on its locked page; NULL if it has none */
static VxNodeId *
links_on_page(const VxIndex *ix, Page page, VxNodeId holder, VxNodeId node,
			  uint16 generation, int level)
{
	void	   *slot = VxPageSlot(ix, page, VxSlotNumber(ix, holder));

	if (PageIsNew(page))
		return NULL;
	if (level == 0)
	{
		VxNodeSlot	s = slot;

		return VxStateIsNode(s->state) && s->generation == generation ?
			VxSlotLinks(ix, s) : NULL;
	}
	else
	{
		VxUpperSlot s = slot;

		return s->state == VX_SLOT_UPPER && s->owner == node && s->level >= level &&
			level <= ix->max_level ? VxUpperLinks(ix, s, level) : NULL;
	}
}

/*
 * Write link number at of a node's list, provided that it still says old.
 * holder is the slot that holds the list: the node, or its upper slot.
 */
static bool
write_link(Relation index, const VxIndex *ix, VxNodeId holder, VxNodeId node,
		   uint16 generation, int level, int at, VxNodeId old, VxNodeId new)
{
	Buffer		buffer = VxLockNodePage(index, VxNodeBlock(ix, holder),
										BUFFER_LOCK_EXCLUSIVE, NULL);
	VxNodeId   *links = links_on_page(ix, BufferGetPage(buffer), holder, node,
									  generation, level);
	bool		ok = links != NULL && links[at] == old;

	/* nobody else may have added the same link, or left a gap before it */
	for (int i = 0; ok && i < VxLinkCapacity(ix, level); i++)
		ok = links[i] != new && (i >= at || links[i] != VX_INVALID_NODE);
	if (ok)
	{
		GenericXLogState *state = GenericXLogStart(index);
		Page		page = GenericXLogRegisterBuffer(state, buffer, 0);

		links_on_page(ix, page, holder, node, generation, level)[at] = new;
		GenericXLogFinish(state);
	}
	UnlockReleaseBuffer(buffer);
	return ok;
}

/*
 * Add a link between two nodes, if the list it goes into has room or can spare
 * another for it.  With force it always can.  Returns whether the link is there
 * now.
 */
bool
VxAddLink(Relation index, const VxIndex *ix, VxNodeId from, int level,
		  VxNodeId to, bool force)
{
	VxNodeId	links[2 * VX_MAX_M];
	uint8	   *code = palloc((Size) ix->codec.nbytes);
	int			capacity = VxLinkCapacity(ix, level);
	VxWalkStats stats = {0};
	VxReader   *reader = VxReaderCreate(index, ix, VxCurrentNodes(index, ix));

	for (int attempt = 0; attempt < 5; attempt++)
	{
		VxNodeSlotData slot;
		VxNodeId	holder;
		int			n;
		int			at;
		bool		present = from == to;

		if (!VxReadSlot(index, ix, from, &slot, code, NULL) ||
			!VxStateIsNode(slot.state))
			return false;
		holder = level == 0 ? from : slot.upper;
		if (holder >= VxCurrentNodes(index, ix))
			return false;
		n = VxReadLinks(reader, from, level, links, &stats);
		for (int i = 0; i < n && !present; i++)
			present = links[i] == to;
		if (present)
			return from != to;
		at = n < capacity ? n :
			choose_victim(index, ix, &slot.factors, code, links, n, to, force);
		if (at < 0)
			return false;
		if (write_link(index, ix, holder, from, slot.generation, level, at,
					   n < capacity ? VX_INVALID_NODE : links[at], to))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ insertion */

/* Write a node's upper slot, with the neighbors chosen for each layer */
static void
place_upper(VxInserter *ins, VxNodeId id, uint16 generation, int level,
			const VxNeighbors *neighbors)
{
	int			m = ins->ix->m;
	VxNodeId   *links = palloc(sizeof(VxNodeId) * (Size) (m * level));

	memset(links, 0xFF, sizeof(VxNodeId) * (Size) (m * level));
	for (int l = 1; l <= level; l++)
		memcpy(links + (l - 1) * m, neighbors[l].ids,
			   sizeof(VxNodeId) * (Size) neighbors[l].n);
	VxPlaceUpper(ins->index, ins->ix, id, generation, level, links);
	pfree(links);
}

/* Make a node the entry point unless there is one as high */
static void
promote(Relation index, VxNodeId id, int level)
{
	for (;;)
	{
		VxEntry		entry = VxReadEntry(index);
		VxEntry		new;

		new.node = id;
		new.level = level;
		if ((entry.node != VX_INVALID_NODE && entry.level >= level) ||
			VxChangeEntry(index, entry.node, new))
			return;
	}
}

/*
 * Link a node back from its neighbors.  If none of those on level 0 can spare
 * a link, one of them must: no node shall be out of reach.
 */
static void
link_back(VxInserter *ins, VxNodeId id, int level, const VxNeighbors *neighbors)
{
	bool		reached = false;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hnsw back-links",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (int l = level; l >= 0; l--)
	{
		for (int i = 0; i < neighbors[l].n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (VxAddLink(ins->index, ins->ix, neighbors[l].ids[i], l, id, false) && l == 0)
				reached = true;
			MemoryContextReset(context);
		}
	}
	for (int i = 0; i < neighbors[0].n && !reached; i++)
		reached = VxAddLink(ins->index, ins->ix, neighbors[0].ids[i], 0, id, true);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * Write the node with its neighbors, and link them back.  If the search met
 * nothing alive, the graph begins anew with this node.
 */
static void
insert_node(VxInserter *ins, VxNewRow *row, VxEntry entry, const VxNeighbors *neighbors)
{
	uint16		generation;
	VxNodeId	near = neighbors[0].n > 0 ? neighbors[0].ids[0] : VX_INVALID_NODE;
	VxNodeId	id;

	row->head = VX_INVALID_NODE;
	row->links = neighbors[0].ids;
	row->nlinks = neighbors[0].n;
	id = VxPlaceRow(ins->index, ins->ix, row, near, &generation);
	if (row->level > 0)
		place_upper(ins, id, generation, row->level, neighbors);
	if (near == VX_INVALID_NODE)
	{
		VxEntry		new;

		new.node = id;
		new.level = row->level;
		if (!VxChangeEntry(ins->index, entry.node, new))
			VxConnect(ins->index, ins->ix, id);
		return;
	}
	link_back(ins, id, row->level, neighbors);
	if (row->level > entry.level)
		promote(ins->index, id, row->level);
}

/* Insert a vector, which has the dimensions of the index, for a heap TID */
void
VxInsertVector(Relation index, const VxIndex *ix, const void *vector,
			   ItemPointer tid)
{
	VxNeighbors neighbors[VX_MAX_LEVEL + 1];
	VxInserter	ins;
	VxNewRow	row = {0};
	uint8	   *code = palloc((Size) ix->codec.nbytes);
	VxEntry		entry;
	const VxVisit *duplicate;
	uint16		generation;

	inserter_init(&ins, index, ix, vector, VX_INVALID_NODE);
	VxEncode(&ix->codec, vector, &row.factors, code, ins.query.work);
	row.code = code;
	row.tid = *tid;
	row.vector = vector;
	row.state = VX_SLOT_LIVE;
	row.head = VX_INVALID_NODE;

	if (ix->codec.metric == VX_METRIC_COSINE && VxIsZero(&ix->codec, vector))
	{
		row.state = VX_SLOT_LONE;
		VxPlaceRow(index, ix, &row, VX_INVALID_NODE, &generation);
		return;
	}

	row.level = VxDrawLevel(ix);
	entry = VxReadEntry(index);
	if (entry.node == VX_INVALID_NODE)
	{
		for (int l = 0; l <= row.level; l++)
			neighbors[l].n = 0;
	}
	else
		find_neighbors(&ins, entry, row.level, neighbors);

	duplicate = find_duplicate(&ins);
	if (duplicate)
	{
		row.head = duplicate->id;
		row.head_generation = duplicate->generation;
		if (VxPlaceRow(index, ix, &row, duplicate->id, &generation) != VX_INVALID_NODE)
			return;
	}
	insert_node(&ins, &row, entry, neighbors);
}

/*
 * Link a live node that is on disk already, and that little or nothing leads
 * to, into the graph; vacuum's way to mend what was torn.
 */
void
VxConnect(Relation index, const VxIndex *ix, VxNodeId id)
{
	VxNeighbors neighbors[1];
	VxInserter	ins;
	VxNodeSlotData slot;
	VxEntry		entry;
	void	   *vector = palloc((Size) ix->codec.vector_bytes);

	if (!VxReadSlot(index, ix, id, &slot, NULL, NULL) || slot.state != VX_SLOT_LIVE)
		return;
	VxReadVector(index, ix, id, vector, NULL);
	inserter_init(&ins, index, ix, vector, id);
	entry = VxReadEntry(index);
	if (entry.node == VX_INVALID_NODE)
	{
		promote(index, id, slot.level);
		return;
	}
	find_neighbors(&ins, entry, 0, neighbors);
	for (int i = 0; i < neighbors[0].n; i++)
		VxAddLink(index, ix, id, 0, neighbors[0].ids[i], false);
	link_back(&ins, id, 0, neighbors);
}

bool
vxinsert(Relation index, Datum *values, bool *isnull, ItemPointer tid,
		 Relation heap, IndexUniqueCheck check_unique, bool index_unchanged,
		 IndexInfo *info)
{
	MemoryContext context;
	MemoryContext old;
	const VxIndex *ix;
	Pointer		detoasted;

	if (isnull[0])
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "hnsw insert",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	ix = VxGetIndex(index);
	VxInsertVector(index, ix, VxCheckedVector(index, ix, values[0], &detoasted), tid);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return false;
}
