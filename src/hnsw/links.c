/*-------------------------------------------------------------------------
 *
 * links.c
 *	  Lists of links on disk: judging them by codes, and changing them.
 *
 * Judging a list takes the codes of all nodes in it.  They are gathered into
 * memory; everything after that happens without any lock, and a
 * list is changed only if it still is what was judged.
 *
 * A list that is full when a link is offered is cut down to what the heuristic
 * chooses, at least half of its capacity, as CREATE INDEX does it.  So lists
 * are judged once in several links, the other links being appended.
 *
 * A list of level 0 keeps links that their targets need, before others: those to nodes
 * whose own first link, which is to the nearest of their neighbors, leads back.  Else
 * nodes that are nobody's near neighbor are soon out of reach; see README.
 *
 * Where vectors have many dimensions to differ in, the heuristic keeps all of a
 * full list.  To judge it anew for every link offered would repeat what is
 * known: none of its links strikes out another.  Such a list is in order of
 * distance, which one that was appended to hardly ever is, and only the new link
 * is compared with the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/reader.h"
#include "inject.h"

/* Times that a list is judged again because it changed meanwhile */
#define MAX_ATTEMPTS 5

/* ------------------------------------------------------------------ gathering */

/* Room for max nodes, in the current memory context */
void
VxGatheredInit(VxGathered *g, const VxIndex *ix, int max)
{
	Size		n = (Size) max;

	Assert(max <= VX_MAX_CANDIDATES);
	g->ix = ix;
	g->max = max;
	g->n = 0;
	g->ids = palloc(sizeof(VxNodeId) * n);
	g->visits = palloc(sizeof(VxVisit) * n);
	g->codes = palloc(n * (Size) ix->codec.nbytes);
	g->factors = palloc(sizeof(VxFactors) * n);
	g->first = palloc(sizeof(VxNodeId) * n);
	g->candidates = palloc(sizeof(VxCandidate) * n);
	g->order = palloc(sizeof(int) * n);
	g->selected = palloc(sizeof(int) * n);
	VxQueryInit(&g->pair, &ix->codec, palloc(VxQueryMemory(&ix->codec)));
}

/* Equally far ones stay in order, so that a list which has not changed does not */
static int
compare_candidates(const void *a, const void *b)
{
	const VxCandidate *x = a;
	const VxCandidate *y = b;

	if (x->dist != y->dist)
		return x->dist < y->dist ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void
sort_candidates(VxCandidate *c, int n)
{
	if (n > 48)
	{
		qsort(c, (size_t) n, sizeof(VxCandidate), compare_candidates);
		return;
	}
	for (int i = 1; i < n; i++)
	{
		VxCandidate x = c[i];
		int			j = i;

		for (; j > 0 && c[j - 1].dist > x.dist; j--)
			c[j] = c[j - 1];
		c[j] = x;
	}
}

/*
 * Gather the n nodes g->ids, n <= g->max, as seen from a query; those that are
 * no live nodes, nor head a chain, are left out.  The ids must have pages.
 */
void
VxGather(VxLinker *linker, VxGathered *g, const VxQuery *query, int n)
{
	int			found;

	Assert(n <= g->max);
	found = VxVisitNodes(linker->reader, query, g->ids, n, g->visits, &linker->stats, g);
	g->n = 0;
	for (int i = 0; i < found; i++)
	{
		if (!g->visits[i].result)
			continue;
		g->candidates[g->n].dist = g->visits[i].dist;
		g->candidates[g->n].id = (VxNodeId) i;
		g->n++;
	}
	sort_candidates(g->candidates, g->n);
	for (int i = 0; i < g->n; i++)
	{
		/* so far, the id was the index */
		g->order[i] = (int) g->candidates[i].id;
		g->candidates[i].id = g->visits[g->order[i]].id;
	}
}

static inline const uint8_t *
gathered_code(const VxGathered *g, int candidate)
{
	return g->codes + (Size) g->order[candidate] * (Size) g->ix->codec.nbytes;
}

/* Estimated distances from one gathered node to others, for VxSelectNeighbors */
static void
gathered_distances(void *arg, int from, const int *others, int n, float *out)
{
	VxGathered *g = arg;
	const uint8_t *codes[VX_ESTIMATE_MAX];
	const VxFactors *factors[VX_ESTIMATE_MAX];

	if (n == 0)
		return;
	VxQueryFromCode(&g->pair, &g->factors[g->order[from]], gathered_code(g, from));
	for (int done = 0; done < n; done += VX_ESTIMATE_MAX)
	{
		int			count = Min(n - done, VX_ESTIMATE_MAX);

		for (int i = 0; i < count; i++)
		{
			codes[i] = gathered_code(g, others[done + i]);
			factors[i] = &g->factors[g->order[others[done + i]]];
		}
		VxEstimate(&g->pair, count, codes, factors, out + done, NULL);
	}
}

/*
 * Choose the links of a list among what was gathered, as VxSelectNeighbors does.
 * Leaves in g->selected the indexes of those chosen, nearest first; returns their
 * number.
 */
int
VxChooseGathered(VxGathered *g, int capacity)
{
	return VxSelectNeighbors(g->candidates, g->n, capacity, VxFillLinks(capacity),
							 gathered_distances, g, g->selected);
}

/* ------------------------------------------------------------------- the linker */

/* A linker of an index; its memory is the current context's */
void
VxLinkerInit(VxLinker *linker, Relation index, const VxIndex *ix)
{
	linker->index = index;
	linker->ix = ix;
	memset(&linker->stats, 0, sizeof(linker->stats));
	linker->reader = VxReaderCreate(index, ix, VxCurrentNodes(index, ix));
	VxQueryInit(&linker->center, &ix->codec, palloc(VxQueryMemory(&ix->codec)));
	linker->code = palloc((Size) ix->codec.nbytes);
	/* a full list, and as many links offered */
	VxGatheredInit(&linker->list, ix, 4 * ix->m);
}

/* Does an id, which may come from anywhere, have a page? */
bool
VxHasPage(VxLinker *linker, VxNodeId id)
{
	if (id < linker->reader->nnodes)
		return true;
	if (id != VX_INVALID_NODE)
		linker->reader->nnodes = VxCurrentNodes(linker->index, linker->ix);
	return id < linker->reader->nnodes;
}

static bool
contains(const VxNodeId *ids, int n, VxNodeId id)
{
	for (int i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* --------------------------------------------------------------- lists on pages */

/*
 * The links of a node on a layer, on its locked page; NULL if it has none, or
 * is about to be freed
 */
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

		return VxSlotRoutes(s) && s->generation == generation ?
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
 * Write, as part of a change, a list of n links over one of the given
 * capacity, which has the end of the old list, if that was longer, cleared.
 */
void
VxWriteLinks(Page page, VxNodeId *links, int capacity, const VxNodeId *new, int n)
{
	int			old = VxCountLinks(links, capacity);
	int			begin = 0;
	int			end = n;

	while (begin < n && begin < old && links[begin] == new[begin])
		begin++;
	while (end > begin && end <= old && links[end - 1] == new[end - 1])
		end--;
	if (end > begin)
		VxWalPut(page, links + begin, new + begin, sizeof(VxNodeId) * (Size) (end - begin));
	if (old > n)
	{
		memset(links + n, 0xFF, sizeof(VxNodeId) * (Size) (old - n));
		VxWalChanged(page, links + n, sizeof(VxNodeId) * (Size) (old - n));
	}
}

/*
 * Replace a node's list, provided that it still is the old one.  holder is the
 * slot that has the list: the node's, or its upper slot.
 */
static bool
replace_list(VxLinker *linker, VxNodeId holder, VxNodeId node, uint16 generation,
			 int level, const VxNodeId *old, int nold, const VxNodeId *new, int nnew)
{
	const VxIndex *ix = linker->ix;
	int			capacity = VxLinkCapacity(ix, level);
	Buffer		buffer = VxLockNodePage(linker->index, VxNodeBlock(ix, holder),
										BUFFER_LOCK_EXCLUSIVE, NULL);
	VxNodeId   *links = links_on_page(ix, BufferGetPage(buffer), holder, node,
									  generation, level);
	bool		ok = links != NULL && VxCountLinks(links, capacity) == nold &&
		memcmp(links, old, sizeof(VxNodeId) * (Size) nold) == 0;

	if (ok)
	{
		VxWalBegin(linker->index, ix);
		VxWriteLinks(VxWalPage(buffer, false), links, capacity, new, nnew);
		VxWalFinish();
	}
	UnlockReleaseBuffer(buffer);
	return ok;
}

/* ----------------------------------------------------------------- adding links */

/* Where a node is among the candidates, -1 if nowhere */
static int
find_candidate(const VxGathered *g, VxNodeId id)
{
	for (int i = 0; i < g->n; i++)
		if (g->candidates[i].id == id)
			return i;
	return -1;
}

/*
 * Choose among a gathered list of n links, all live and in order of distance, and
 * the node that is offered: the same as choosing among all of them, if no two of
 * the n are too near to each other, but for some that are needed.  As
 * VxChooseGathered.
 */
static int
choose_with_offered(VxGathered *g, int n, VxNodeId offered)
{
	float		dist[VX_MAX_CANDIDATES];
	int			at = find_candidate(g, offered);
	bool		struck = false;
	int			count = 0;

	for (int i = 0; i <= n; i++)
		g->selected[i] = i;
	gathered_distances(g, at, g->selected, n + 1, dist);
	for (int i = 0; i < at; i++)
		struck |= VxStrikesOut(g->candidates[at].dist, dist[i]);
	for (int i = 0; i <= n; i++)
		if (struck ? i != at : i <= at || !VxStrikesOut(g->candidates[i].dist, dist[i]))
			g->selected[count++] = i;
	return Min(count, n);
}

/* A list of level 0 that is judged */
typedef struct VxJudged
{
	const VxGathered *g;
	VxNodeId	from;			/* the node that has it */
	VxNodeId	forced;
} VxJudged;

/* For VxKeepNeeded: is it a link that its target needs (see above), or forced? */
static bool
is_needed(void *arg, int candidate)
{
	const VxJudged *judged = arg;
	const VxGathered *g = judged->g;

	return g->first[g->order[candidate]] == judged->from ||
		g->candidates[candidate].id == judged->forced;
}

/* Are n links all there among what was gathered, and in order of distance? */
static bool
is_in_order(const VxGathered *g, const VxNodeId *links, int n)
{
	for (int i = 0; i < n; i++)
		if (g->visits[i].id != links[i] || (i > 0 && g->visits[i].dist < g->visits[i - 1].dist))
			return false;
	return true;
}

/*
 * Judge a list that is too long, of old links and offered ones: leaves in links
 * what is to stay (see the head of this file), and returns how many that are.  Among them is the
 * node forced, unless that is no live node, or others need all that can be spared.
 * The node that the list belongs to, from, is linker->center.
 */
static int
judge(VxLinker *linker, VxNodeId from, int level, VxNodeId *links, int old,
	  int offered, VxNodeId forced)
{
	VxGathered *g = &linker->list;
	VxJudged	judged = {g, from, forced};
	int			capacity = VxLinkCapacity(linker->ix, level);
	int			count = 0;

	for (int i = 0; i < old + offered; i++)
		if (VxHasPage(linker, links[i]))
			g->ids[count++] = links[i];
	VxGather(linker, g, &linker->center, count);
	count = 0;
	if (offered == 1 && old == capacity && forced == VX_INVALID_NODE &&
		g->n == old + 1 && is_in_order(g, links, old))
		count = choose_with_offered(g, old, links[old]);
	if (count < VxFillLinks(capacity))
		count = VxChooseGathered(g, capacity);
	if (level == 0)
		count = VxKeepNeeded(is_needed, &judged, g->n, capacity, g->selected, count);
	for (int i = 0; i < count; i++)
		links[i] = g->candidates[g->selected[i]].id;
	return count;
}

/* Read a node's header, code and list; false if it has none that links may be added to */
static bool
read_list(VxLinker *linker, VxNodeId from, int level, VxNodeSlot header,
		  VxNodeId *holder, VxNodeId *links, int *n)
{
	const VxIndex *ix = linker->ix;

	if (!VxReadSlot(linker->index, ix, from, header, linker->code,
					level == 0 ? links : NULL) || !VxSlotRoutes(header))
		return false;
	*holder = from;
	if (level == 0)
	{
		*n = VxCountLinks(links, 2 * ix->m);
		return true;
	}
	*holder = header->upper;
	if (!VxHasPage(linker, *holder))
		return false;
	*n = VxReadLinks(linker->reader, from, level, links, &linker->stats);
	return true;
}

/*
 * Offer nto links, at most as many as a list has, to a node's list.  The list
 * takes them if it has room, else it is judged with them.  With force it takes
 * the first, unless others need all the links that it can spare.  Returns whether any
 * of them is in the list now.
 */
bool
VxAddLinks(VxLinker *linker, VxNodeId from, int level, const VxNodeId *to, int nto,
		   bool force)
{
	int			capacity = VxLinkCapacity(linker->ix, level);

	for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		VxNodeId	old[2 * VX_MAX_M];
		VxNodeId	new[4 * VX_MAX_M];
		VxNodeSlotData header;
		VxNodeId	holder;
		int			nold;
		int			n;

		if (!read_list(linker, from, level, &header, &holder, old, &nold))
			return false;
		memcpy(new, old, sizeof(VxNodeId) * (Size) nold);
		n = nold;
		for (int i = 0; i < nto; i++)
			if (to[i] != from && !contains(new, n, to[i]))
				new[n++] = to[i];
		if (n > capacity)
		{
			VxQueryFromCode(&linker->center, &header.factors, linker->code);
			n = judge(linker, from, level, new, nold, n - nold,
					  force ? to[0] : VX_INVALID_NODE);
		}
		if ((n == nold && memcmp(new, old, sizeof(VxNodeId) * (Size) n) == 0) ||
			replace_list(linker, holder, from, header.generation, level, old, nold, new, n))
		{
			for (int i = 0; i < nto; i++)
				if (contains(new, n, to[i]))
					return true;
			return false;
		}
	}
	return false;
}

/* Lists of level 0 on a few pages, locked, that a link is appended to */
typedef struct VxAppend
{
	int			npages;
	Buffer		buffers[VX_WAL_PAGES];
	int			end[VX_WAL_PAGES];	/* of each page's targets */
	int			nlinks;			/* that there is room for */
} VxAppend;

/*
 * Lock the pages of the next targets exclusively, as many as a record has.
 * Targets are sorted, so that blocks ascend.  Returns how many targets that are.
 */
static int
lock_targets(VxLinker *linker, const VxTarget *targets, int n, VxAppend *append)
{
	int			i = 0;

	append->npages = 0;
	append->nlinks = 0;
	while (i < n && append->npages < VX_WAL_PAGES)
	{
		BlockNumber block = VxNodeBlock(linker->ix, targets[i].id);

		append->buffers[append->npages] =
			VxLockNodePage(linker->index, block, BUFFER_LOCK_EXCLUSIVE, NULL);
		while (i < n && VxNodeBlock(linker->ix, targets[i].id) == block)
			i++;
		append->end[append->npages++] = i;
	}
	return i;
}

/*
 * Find where in its locked list each target takes the link; those that have no
 * room for it, or no need of it, are left with at = -1.
 */
static void
find_places(VxLinker *linker, VxNodeId to, VxTarget *targets, VxAppend *append)
{
	const VxIndex *ix = linker->ix;
	int			capacity = VxLinkCapacity(ix, 0);

	for (int p = 0, i = 0; p < append->npages; p++)
		for (; i < append->end[p]; i++)
		{
			VxTarget   *t = &targets[i];
			VxNodeId   *links = links_on_page(ix, BufferGetPage(append->buffers[p]), t->id,
											  t->id, t->generation, 0);
			int			n = links ? VxCountLinks(links, capacity) : 0;

			t->at = -1;
			t->full = links != NULL && n == capacity;
			if (links == NULL || n == capacity || t->id == to || contains(links, n, to))
				continue;
			t->at = n;
			append->nlinks++;
		}
}

/* Write the links of locked lists that were found to have room, in one record */
static void
append_links(VxLinker *linker, VxNodeId to, const VxTarget *targets,
			 const VxAppend *append)
{
	const VxIndex *ix = linker->ix;

	VxWalBegin(linker->index, ix);
	for (int p = 0, i = 0; p < append->npages; p++)
	{
		Page		page = NULL;

		for (; i < append->end[p]; i++)
		{
			VxNodeId   *links;

			if (targets[i].at < 0)
				continue;
			if (page == NULL)
				page = VxWalPage(append->buffers[p], false);
			links = VxSlotLinks(ix, VxPageSlot(ix, page, VxSlotNumber(ix, targets[i].id)));
			VxWalPut(page, links + targets[i].at, &to, sizeof(to));
		}
	}
	VxWalFinish();
}

/*
 * Add a link to node "to" to the level-0 lists of the targets, which are sorted
 * by id: first to those that have room, several pages a record; the others are
 * then judged one by one.  Returns whether any list has the link.
 */
bool
VxLinkBack(VxLinker *linker, VxNodeId to, VxTarget *targets, int n)
{
	bool		linked = false;

	for (int done = 0; done < n;)
	{
		VxAppend	append;
		int			count;

		CHECK_FOR_INTERRUPTS();
		count = lock_targets(linker, targets + done, n - done, &append);
		find_places(linker, to, targets + done, &append);
		if (append.nlinks > 0)
			append_links(linker, to, targets + done, &append);
		for (int p = append.npages - 1; p >= 0; p--)
			UnlockReleaseBuffer(append.buffers[p]);
		linked |= append.nlinks > 0;
		done += count;
		VX_INJECTION_POINT("insert-link");
	}
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!targets[i].full)
			continue;
		if (VxAddLinks(linker, targets[i].id, 0, &to, 1, false))
			linked = true;
		VX_INJECTION_POINT("insert-link");
	}
	return linked;
}
