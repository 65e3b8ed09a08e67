/*-------------------------------------------------------------------------
 *
 * mend.c
 *	  Vacuum's second pass: links to nodes that are gone are replaced.
 *
 * The candidates for a list that has such links are its other links and the
 * neighbors of the nodes gone; where those are gone too, theirs, and so on,
 * until there are some for every hole.  All of them are judged together, as at
 * insertion: nearest first, each is taken that is nearer to the node than to
 * any taken before, up to the list's capacity; if the list would become shorter
 * than it was, the nearest of the others are taken, too.  Only two links that the
 * list had are not compared: most of them were chosen together before.
 *
 * To fill only the holes and keep the other links as they are takes half of the
 * time, and is as good where vectors do not come in clusters.  Where they do,
 * links from one cluster to others are lost; with rows in 50 clusters of which a
 * tenth was replaced 20 times, recall fell from .99 to .88.
 *
 * Codes are those that the survey kept.  If it kept none, lists are mended in
 * batches, those of a page together: nodes on a page share neighbors, and the
 * codes of all nodes in a batch are gathered at once.
 *
 * No page is locked but while it is copied, and while what changed is written,
 * in one record, where it still is as it was in the copy.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "hnsw/vacuum.h"
#include "inject.h"

/* Candidates of a list, at most */
#define MAX_CANDIDATES 160
/* Nodes that are gone whose neighbors are looked at, for a list */
#define MAX_GONE 128
/* Candidates wanted for a hole before neighbors of neighbors are looked at */
#define CANDIDATES_PER_HOLE 16
/* Lists of a batch */
#define MAX_PATIENTS 32
/* Nodes whose codes a batch needs, at most: a power of two, half of the table */
#define MAX_UNION 1024
#define UNION_TABLE (2 * MAX_UNION)
/* Nodes among which the links of a list are chosen, at most */
#define MAX_RANKED (2 * VX_MAX_M + MAX_CANDIDATES)

StaticAssertDecl(MAX_UNION <= VX_MAX_CANDIDATES, "a batch can be gathered");
StaticAssertDecl(MAX_RANKED <= MAX_UNION, "a list fits in a batch");

/* A list to be mended */
typedef struct VxPatient
{
	VxNodeId	id;				/* the node */
	int			level;
	int			slot;			/* on the page, of the list: node or upper */
	VxFactors	factors;
	const uint8 *code;
	int			nkept;
	int			nholes;
	int			ncandidates;
	VxNodeId	kept[2 * VX_MAX_M]; /* its other links; then, those chosen */
	VxNodeId	candidates[MAX_CANDIDATES];
} VxPatient;

struct VxMend
{
	VxVacuum   *vac;
	uint32		stripe;
	PGAlignedBlock old;			/* the page as it was read */
	MemoryContext page_context; /* reset after every page */
	VxLinker	linker;
	VxGathered	codes;			/* of all nodes in the batch */
	int			npatients;
	VxPatient	patients[MAX_PATIENTS];
	int			nunion;

	/*
	 * Nodes of the batch, an open-addressing table: the id, and once gathered
	 * its index, -1 if it is no node
	 */
	VxNodeId	ids[UNION_TABLE];
	int			where[UNION_TABLE];

	VxIdSet		seen;			/* a list's links and candidates, and itself */

	/* scratch: nodes among which a list's links are chosen */
	int			nat;
	int64		at[MAX_RANKED]; /* indexes of their codes */
	VxNodeId	at_ids[MAX_RANKED];
};

/* ------------------------------------------------------- the nodes of a batch */

static inline uint32
find_place(const VxMend *mend, VxNodeId id)
{
	uint32		place = (id * (uint32) 2654435769U) >> 16 & (UNION_TABLE - 1);

	while (mend->ids[place] != id && mend->ids[place] != VX_INVALID_NODE)
		place = (place + 1) & (UNION_TABLE - 1);
	return place;
}

static void
begin_batch(VxMend *mend)
{
	if (mend->nunion > 0)
		memset(mend->ids, 0xFF, sizeof(mend->ids));
	mend->nunion = 0;
	mend->npatients = 0;
}

/* Note that the code of a node will be needed */
static void
want_code(VxMend *mend, VxNodeId id)
{
	uint32		place;

	if (mend->vac->codes)
		return;
	place = find_place(mend, id);
	if (mend->ids[place] == id)
		return;
	Assert(mend->nunion < MAX_UNION);
	mend->ids[place] = id;
	mend->where[place] = -1;
	mend->codes.ids[mend->nunion++] = id;
}

/* Gather the codes of all nodes that the batch wants */
static void
gather_batch(VxMend *mend)
{
	VxGathered *g = &mend->codes;

	if (mend->nunion == 0)
		return;
	/* distances do not matter here, but are estimated from something */
	VxQueryFromCode(&mend->linker.center, &mend->patients[0].factors, mend->patients[0].code);
	VxGather(&mend->linker, g, &mend->linker.center, mend->nunion);
	for (int i = 0; i < g->n; i++)
		mend->where[find_place(mend, g->candidates[i].id)] = g->order[i];
}

/* The index of a node's code, -1 if it is not there */
static inline int64
code_index(const VxMend *mend, VxNodeId id)
{
	uint32		place;

	if (mend->vac->codes)
		return VxBitHas(mend->vac, mend->vac->staying, id) ? (int64) id : -1;
	place = find_place(mend, id);
	return mend->ids[place] == id ? mend->where[place] : -1;
}

static inline const uint8_t *
code_at(const VxMend *mend, int64 at)
{
	return mend->vac->codes ? VxKept(mend->vac, (VxNodeId) at)->code :
		mend->codes.codes + (Size) at * (Size) mend->vac->ix->codec.nbytes;
}

static inline const VxFactors *
factors_at(const VxMend *mend, int64 at)
{
	return mend->vac->codes ? &VxKept(mend->vac, (VxNodeId) at)->factors :
		&mend->codes.factors[at];
}

/* The first link on level 0 of the node that has a code */
static inline VxNodeId
first_at(const VxMend *mend, int64 at)
{
	return mend->vac->codes ? VxKept(mend->vac, (VxNodeId) at)->first : mend->codes.first[at];
}

/* Estimate distances from a query to n nodes, by the indexes of their codes */
static void
estimate(const VxMend *mend, const VxQuery *query, const int64 *at, int n, float *dist)
{
	const uint8_t *codes[VX_ESTIMATE_MAX];
	const VxFactors *factors[VX_ESTIMATE_MAX];

	for (int done = 0; done < n; done += VX_ESTIMATE_MAX)
	{
		int			count = Min(n - done, VX_ESTIMATE_MAX);

		for (int i = 0; i < count; i++)
			__builtin_prefetch(factors_at(mend, at[done + i]));
		for (int i = 0; i < count; i++)
		{
			codes[i] = code_at(mend, at[done + i]);
			factors[i] = factors_at(mend, at[done + i]);
		}
		VxEstimate(query, count, codes, factors, dist + done, NULL);
	}
}

/* ---------------------------------------------------------- finding candidates */

/* Links of a dead node on level 0, from memory; NULL if they are not there */
static const VxNodeId *
remembered_links(const VxVacuum *vac, VxNodeId id)
{
	uint64		below = (UINT64CONST(1) << (id % 64)) - 1;
	uint32		rank = vac->rank[id / 64] +
		(uint32) pg_popcount64(vac->dead[id / 64] & below);

	return rank < vac->ndead_links ?
		vac->dead_links + (Size) rank * 2 * (Size) vac->ix->m : NULL;
}

/* Links that a node that is gone has or had; returns their number */
static int
links_of_gone(VxMend *mend, VxNodeId id, int level, VxNodeId *links)
{
	const VxVacuum *vac = mend->vac;
	const VxNodeId *remembered;
	VxWalkStats stats = {0};

	if (!VxBitHas(vac, vac->dead, id))
		return 0;
	remembered = level == 0 ? remembered_links(vac, id) : NULL;
	if (remembered)
	{
		int			n = VxCountLinks(remembered, 2 * vac->ix->m);

		memcpy(links, remembered, sizeof(VxNodeId) * (Size) n);
		return n;
	}
	VxVacuumDelay();
	return VxReadLinks(mend->linker.reader, id, level, links, &stats);
}

static bool
contains(const VxNodeId *ids, int n, VxNodeId id)
{
	for (int i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Collect the candidates of a list whose links to gone nodes are given */
static void
collect_candidates(VxMend *mend, VxPatient *p, VxNodeId *gone, int ngone)
{
	const VxVacuum *vac = mend->vac;
	int			wanted = CANDIDATES_PER_HOLE * p->nholes;
	int			nearest = ngone;	/* those that the list itself has */

	VxIdSetReset(&mend->seen, vac->nnodes);
	VxIdSetAdd(&mend->seen, p->id);
	for (int i = 0; i < p->nkept; i++)
		VxIdSetAdd(&mend->seen, p->kept[i]);
	for (int i = 0; i < ngone && (i < nearest || p->ncandidates < wanted); i++)
	{
		VxNodeId	links[2 * VX_MAX_M];
		int			n = links_of_gone(mend, gone[i], p->level, links);

		for (int j = 0; j < n; j++)
		{
			if (links[j] >= vac->nnodes)
				continue;
			if (VxBitHas(vac, vac->gone, links[j]))
			{
				if (ngone < MAX_GONE && !contains(gone, ngone, links[j]))
					gone[ngone++] = links[j];
			}
			else if (p->ncandidates < MAX_CANDIDATES &&
					 VxIdSetAdd(&mend->seen, links[j]))
				p->candidates[p->ncandidates++] = links[j];
		}
	}
}

/* --------------------------------------------------------- choosing new links */

/* The nodes among which the links of a list are chosen, nearest first */
typedef struct VxRanking
{
	VxMend	   *mend;
	VxNodeId	id;				/* the node that has the list */
	int			n;
	VxCandidate nodes[MAX_RANKED];
	int64		at[MAX_RANKED]; /* indexes of their codes */
	bool		known[MAX_RANKED];	/* no two of these strike each other out */
} VxRanking;

/*
 * Insert an integer into n sorted ones, without branches, which nobody could
 * predict; for as few as there are here that is twice as fast as quicksort.
 */
static inline void
insert_key(uint64 *keys, int n, uint64 key)
{
	uint32		low = 0;

	for (uint32 left = (uint32) n; left > 0; left /= 2)
		low += -(uint32) (keys[low + (left - 1) / 2] <= key) & ((left + 1) / 2);
	memmove(&keys[low + 1], &keys[low], sizeof(uint64) * ((uint32) n - low));
	keys[low] = key;
}

/* A distance as an integer of the same order */
static inline uint32
float_order(float dist)
{
	uint32		bits;

	memcpy(&bits, &dist, sizeof(bits));
	return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

/*
 * Add those of n nodes whose codes are there to the scratch arrays; leaves the
 * others in ids and returns their number.
 */
static int
add_nodes(VxMend *mend, VxNodeId *ids, int n)
{
	int			nleft = 0;

	for (int i = 0; i < n; i++)
	{
		int64		at = code_index(mend, ids[i]);

		if (at >= 0)
		{
			mend->at[mend->nat] = at;
			mend->at_ids[mend->nat++] = ids[i];
		}
		else
			ids[nleft++] = ids[i];
	}
	return nleft;
}

/*
 * Rank the nodes in the scratch arrays by their distance from the patient.  The
 * first nold of them are links that it has.
 */
static void
rank(VxMend *mend, const VxPatient *p, int nold, VxRanking *r)
{
	float		dist[MAX_RANKED];
	uint64		keys[MAX_RANKED];

	VxQueryFromCode(&mend->linker.center, &p->factors, p->code);
	estimate(mend, &mend->linker.center, mend->at, mend->nat, dist);
	for (int i = 0; i < mend->nat; i++)
		insert_key(keys, i, (uint64) float_order(dist[i]) << 32 | (uint32) i);
	r->mend = mend;
	r->id = p->id;
	r->n = mend->nat;
	for (int i = 0; i < r->n; i++)
	{
		int			j = (int) (uint32) keys[i];

		r->nodes[i].id = mend->at_ids[j];
		r->nodes[i].dist = dist[j];
		r->at[i] = mend->at[j];
		r->known[i] = j < nold;
	}
}

/*
 * Distances from one ranked node to others, for VxSelectNeighbors; infinite
 * between two that are known not to strike each other out.
 */
static void
ranked_distances(void *arg, int from, const int *others, int n, float *out)
{
	VxRanking  *r = arg;
	VxMend	   *mend = r->mend;
	VxQuery    *query = &mend->codes.pair;
	bool		known = r->known[from];
	int64		at[MAX_RANKED];
	int			where[MAX_RANKED];
	float		dist[MAX_RANKED];
	int			nat = 0;

	for (int i = 0; i < n; i++)
	{
		out[i] = INFINITY;
		at[nat] = r->at[others[i]];
		where[nat] = i;
		nat += !(known & r->known[others[i]]);
	}
	if (nat == 0)
		return;
	VxQueryFromCode(query, factors_at(mend, r->at[from]), code_at(mend, r->at[from]));
	estimate(mend, query, at, nat, dist);
	for (int i = 0; i < nat; i++)
		out[where[i]] = dist[i];
}

/* For VxKeepNeeded: is it a link that its target needs?  See links.c. */
static bool
ranked_is_needed(void *arg, int candidate)
{
	const VxRanking *r = arg;

	return first_at(r->mend, r->at[candidate]) == r->id;
}

/*
 * Choose the links of a list, and leave them in p->kept: what the heuristic
 * takes, nearest first, then the nearest of the others.  Links to nodes whose
 * codes are not there, as they are newer than the survey, are kept as they are.
 */
static void
choose_links(VxMend *mend, VxPatient *p)
{
	VxRanking	r;
	int			selected[MAX_RANKED];
	int			capacity = VxLinkCapacity(mend->vac->ix, p->level);
	int			length = p->nkept + p->nholes;
	int			nold;
	int			nselected;

	mend->nat = 0;
	p->nkept = add_nodes(mend, p->kept, p->nkept);
	nold = mend->nat;
	add_nodes(mend, p->candidates, p->ncandidates);
	rank(mend, p, nold, &r);
	nselected = VxSelectNeighbors(r.nodes, r.n, capacity - p->nkept, 0,
								  ranked_distances, &r, selected);
	if (p->level == 0)
		nselected = VxKeepNeeded(ranked_is_needed, &r, r.n, capacity - p->nkept, selected,
								 nselected);
	for (int i = 0; i < nselected; i++)
		p->kept[p->nkept++] = r.nodes[selected[i]].id;
	for (int i = 0, next = 0; i < r.n && p->nkept < length; i++)
	{
		if (next < nselected && selected[next] == i)
			next++;
		else
			p->kept[p->nkept++] = r.nodes[i].id;
	}
}

/* ---------------------------------------------------------------- writing lists */

/* The list of a patient on a page */
static VxNodeId *
patient_links(const VxIndex *ix, Page page, const VxPatient *p)
{
	void	   *slot = VxPageSlot(ix, page, p->slot);

	return p->level == 0 ? VxSlotLinks(ix, slot) : VxUpperLinks(ix, slot, p->level);
}

/* Is a patient's list on the locked page as it was read? */
static bool
is_unchanged(const VxMend *mend, Page page, const VxPatient *p)
{
	const VxIndex *ix = mend->vac->ix;
	Page		old = (Page) mend->old.data;

	/* state, level and generation, and who owns an upper slot */
	return !PageIsNew(page) &&
		memcmp(VxPageSlot(ix, page, p->slot), VxPageSlot(ix, old, p->slot),
			   p->level == 0 ? 4 : offsetof(VxUpperSlotData, links)) == 0 &&
		memcmp(patient_links(ix, page, p), patient_links(ix, old, p),
			   sizeof(VxNodeId) * (Size) VxLinkCapacity(ix, p->level)) == 0;
}

/*
 * Write the lists of a batch, where they still are as they were read.  Returns
 * false if some were not.
 */
static bool
write_batch(VxMend *mend)
{
	const VxVacuum *vac = mend->vac;
	const VxIndex *ix = vac->ix;
	Buffer		buffer = VxLockNodePage(vac->index, VxStripeBlock(ix, mend->stripe),
										BUFFER_LOCK_EXCLUSIVE, NULL);
	Page		page = BufferGetPage(buffer);
	bool		write[MAX_PATIENTS];
	int			nwrite = 0;

	for (int i = 0; i < mend->npatients; i++)
	{
		write[i] = is_unchanged(mend, page, &mend->patients[i]);
		nwrite += write[i];
	}
	if (nwrite > 0)
	{
		VxWalBegin(vac->index, ix);
		VxWalPage(buffer, false);
		for (int i = 0; i < mend->npatients; i++)
		{
			const VxPatient *p = &mend->patients[i];

			if (write[i])
				VxWriteLinks(page, patient_links(ix, page, p), VxLinkCapacity(ix, p->level),
							 p->kept, p->nkept);
		}
		VxWalFinish();
	}
	UnlockReleaseBuffer(buffer);
	return nwrite == mend->npatients;
}

/* Mend and write the lists of the batch at hand, and begin another */
static bool
finish_batch(VxMend *mend)
{
	VxVacuum   *vac = mend->vac;
	bool		complete = true;

	if (mend->npatients > 0)
	{
		gather_batch(mend);
		for (int i = 0; i < mend->npatients; i++)
		{
			VxPatient  *p = &mend->patients[i];

			choose_links(mend, p);
			if (p->level == 0)
				for (int j = 0; j < p->nkept; j++)
					VxBitSet(vac, vac->linked, p->kept[j]);
		}
		VX_INJECTION_POINT("vacuum-judged");
		complete = write_batch(mend);
	}
	begin_batch(mend);
	return complete;
}

/* ---------------------------------------------------------------- pass by page */

/* Add a list to the batch; it is on the page in mend->old */
static void
admit(VxMend *mend, const VxPatient *about, const VxNodeId *links, int n)
{
	const VxVacuum *vac = mend->vac;
	VxPatient  *p = &mend->patients[mend->npatients++];
	VxNodeId	gone[MAX_GONE + 2 * VX_MAX_M];
	int			ngone = 0;

	p->id = about->id;
	p->level = about->level;
	p->slot = about->slot;
	p->factors = about->factors;
	p->code = about->code;
	p->nkept = 0;
	p->ncandidates = 0;
	for (int i = 0; i < n; i++)
	{
		if (VxBitHas(vac, vac->gone, links[i]))
			gone[ngone++] = links[i];
		else
			p->kept[p->nkept++] = links[i];
	}
	p->nholes = ngone;
	collect_candidates(mend, p, gone, ngone);
	for (int i = 0; i < p->nkept; i++)
		if (p->kept[i] < vac->nnodes)	/* else newer than the survey */
			want_code(mend, p->kept[i]);
	for (int i = 0; i < p->ncandidates; i++)
		want_code(mend, p->candidates[i]);
}

/*
 * Is a node that a list has a link to gone?  One whose slot was free at the
 * survey may have been inserted since: then it no longer counts as gone.  A
 * link to it is made only after that, so one that was read already leads to a
 * slot that is taken by now.
 */
static bool
is_gone(VxMend *mend, VxNodeId id)
{
	VxVacuum   *vac = mend->vac;
	VxNodeSlotData slot;

	if (!VxBitHas(vac, vac->gone, id))
		return false;
	if (VxBitHas(vac, vac->dead, id))
		return true;
	if (!VxReadSlot(vac->index, vac->ix, id, &slot, NULL, NULL) ||
		!VxStateIsNode(slot.state))
		return true;
	VxBitClear(vac->gone, id);
	return false;
}

/*
 * Look at a list of the page in mend->old: if it has links to nodes that are
 * gone, it will be mended.  Returns false if a batch that was finished to make
 * room could not be written completely.
 */
static bool
examine(VxMend *mend, const VxPatient *about, const VxNodeId *links)
{
	VxVacuum   *vac = mend->vac;
	int			n = VxCountLinks(links, VxLinkCapacity(vac->ix, about->level));
	bool		hurt = false;
	bool		complete = true;

	for (int i = 0; i < n; i++)
		hurt |= is_gone(mend, links[i]);
	if (!hurt)
	{
		if (about->level == 0)
			for (int i = 0; i < n; i++)
				VxBitSet(vac, vac->linked, links[i]);
		return true;
	}
	if (mend->npatients == MAX_PATIENTS ||
		mend->nunion + MAX_RANKED > MAX_UNION)
		complete = finish_batch(mend);
	admit(mend, about, links, n);
	return complete;
}

/* Examine the lists of an upper slot, or note that it is to be freed */
static bool
examine_upper(VxMend *mend, VxNodeId id, VxUpperSlot slot, VxPatient *about)
{
	VxVacuum   *vac = mend->vac;
	VxNodeSlotData owner;
	uint8	   *code = palloc((Size) vac->ix->codec.nbytes);
	bool		complete = true;

	if (!VxHasPage(&mend->linker, slot->owner) ||
		!VxReadSlot(vac->index, vac->ix, slot->owner, &owner, code, NULL) ||
		!VxStateIsNode(owner.state) || owner.upper != id ||
		(owner.state == VX_SLOT_DEAD && VxBitHas(vac, vac->gone, slot->owner)))
	{
		VxBitSet(vac, vac->stale, id);
		return true;
	}
	about->id = slot->owner;
	about->factors = owner.factors;
	about->code = code;
	for (about->level = 1;
		 about->level <= Min(slot->level, vac->ix->max_level); about->level++)
		complete &= examine(mend, about, VxUpperLinks(vac->ix, slot, about->level));
	return complete;
}

/* Mend the lists of a page once; false if some changed meanwhile */
static bool
mend_page(VxMend *mend)
{
	VxVacuum   *vac = mend->vac;
	const VxIndex *ix = vac->ix;
	VxPatient	about;
	bool		complete = true;

	if (!VxVacuumCopyPage(vac, mend->stripe, NULL, mend->old.data))
		return true;
	begin_batch(mend);
	for (about.slot = 0; about.slot < ix->slots_per_page; about.slot++)
	{
		VxNodeId	id = VxMakeNodeId(ix, mend->stripe, about.slot);
		VxNodeSlot	slot = VxPageSlot(ix, (Page) mend->old.data, about.slot);

		if (slot->state == VX_SLOT_UPPER)
			complete &= examine_upper(mend, id, (VxUpperSlot) slot, &about);
		else if (slot->state == VX_SLOT_LIVE ||
				 (slot->state == VX_SLOT_DEAD && !VxBitHas(vac, vac->gone, id)))
		{
			about.id = id;
			about.level = 0;
			about.factors = slot->factors;
			about.code = VxSlotCode(ix, slot);
			complete &= examine(mend, &about, VxSlotLinks(ix, slot));
		}
	}
	complete &= finish_batch(mend);
	return complete;
}

/* Mend all lists, and note which nodes a list of level 0 leads to */
void
VxMendLinks(VxVacuum *vac)
{
	VxMend	   *mend = palloc(sizeof(VxMend));
	MemoryContext old;

	mend->vac = vac;
	memset(mend->ids, 0xFF, sizeof(mend->ids));
	mend->nunion = 0;
	VxLinkerInit(&mend->linker, vac->index, vac->ix);
	VxGatheredInit(&mend->codes, vac->ix, MAX_UNION);
	VxIdSetInit(&mend->seen, CurrentMemoryContext, vac->nnodes, false);
	mend->page_context = AllocSetContextCreate(CurrentMemoryContext, "hnsw vacuum page",
											   ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(mend->page_context);
	for (uint32 stripe = 0; stripe < vac->nstripes; stripe++)
	{
		mend->stripe = stripe;
		for (int attempt = 0; attempt < VX_REPAIR_ATTEMPTS; attempt++)
		{
			VxVacuumDelay();
			VX_INJECTION_POINT("vacuum-mending");
			if (mend_page(mend))
				break;
			MemoryContextReset(mend->page_context);
		}
		MemoryContextReset(mend->page_context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(mend->page_context);
}
