/*-------------------------------------------------------------------------
 *
 * checkgraph.c
 *	  The part of vectorx_index_check that looks at more than one slot: chains of
 *	  duplicates, and what can be reached from the entry point.
 *
 * Chains.  For every slot with a successor, the successor must be a duplicate
 * of the same head; for every duplicate, its head must be a node with a chain,
 * and have the same vector.  Each chain is followed from its head, and what is
 * met goes into a map.  Duplicates that are not in it are looked for again
 * later, by following the chains of their heads once more: members join a chain
 * right after its head and leave by being passed over, so who follows a chain
 * to its end has met every member that was one all the while.
 *
 * Reach.  Nodes are expanded in sweeps over the node pages, in block order, of
 * which only pages with nodes yet to be expanded are read; a page is left when
 * it has none.  So the memory is two bits a slot, and reading is sequential on
 * the whole.  A list that changes while it is looked for elsewhere may hide a
 * node, so nodes that were not reached get more than one chance.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "hnsw/check.h"

/* Times that a chain is followed again because vacuum took a member out */
#define MAX_RESTARTS 10

/* Duplicates looked for again, at most */
#define MAX_LOST 100000

/* Times that nodes not reached get another chance */
#define MAX_ROUNDS 3

/* So many slots that are no nodes may have links to them, or a hundredth */
#define STALE_ALLOWED 64
#define STALE_SHARE 100

/* ------------------------------------------------------------------- chains */

static VxNodeId
head_of(VxNodeId id, const VxNodeSlotData *slot)
{
	return VxStateIsDuplicate(slot->state) ? slot->upper : id;
}

/* Does a slot, looked at again, still have the same place in the same chain? */
static bool
is_same_link(VxCheck *check, VxNodeId id, const VxNodeSlotData *slot)
{
	VxNodeSlotData now;

	return VxCheckReadSlot(check, id, &now) && now.generation == slot->generation &&
		now.chain == slot->chain &&
		(VxStateIsDuplicate(slot->state) ?
		 VxStateIsDuplicate(now.state) && now.upper == slot->upper :
		 VxStateIsNode(now.state));
}

/* The successor of a node or duplicate in its chain */
void
VxCheckChainLink(VxCheck *check, VxNodeId id, VxNodeSlot slot)
{
	VxNodeSlotData next;
	bool		exists;

	if (slot->chain == VX_INVALID_NODE)
		return;
	exists = slot->chain < VxCurrentNodes(check->index, check->ix);
	if (exists && !VxCheckReadSlot(check, slot->chain, &next))
		return;					/* its page is reported elsewhere */
	if (exists && slot->chain != id && VxStateIsDuplicate(next.state) &&
		next.upper == head_of(id, slot))
		return;
	if (is_same_link(check, id, slot))
		VxSlotFinding(check, VX_ERROR, "chain", id, NULL,
					  !exists ? "next of the chain, %u, does not exist" :
					  slot->chain == id ? "chain leads from slot %u to itself" :
					  VxStateIsDuplicate(next.state) ?
					  "next of the chain, %u, is of another chain" :
					  "next of the chain, %u, is no duplicate", slot->chain);
}

/* Is this the vector of a chain's head?  If that cannot be told, yes. */
static bool
has_vector_of_head(VxCheck *check, VxNodeId head, const VxNodeSlotData *slot,
				   const char *vector)
{
	const VxCodec *codec = &check->ix->codec;
	VxNodeSlotData now;

	if (check->compared_head != head || check->compared_generation != slot->generation)
	{
		if (!VxCheckReadVector(check, head, check->head_vector) ||
			!VxCheckReadSlot(check, head, &now) || now.generation != slot->generation ||
			!VxStateIsNode(now.state))
		{
			check->compared_head = VX_INVALID_NODE;
			return true;
		}
		check->compared_head = head;
		check->compared_generation = slot->generation;
	}
	return memcmp(check->head_vector, vector, (Size) codec->vector_bytes) == 0;
}

/* A duplicate, dead or alive, and its head */
void
VxCheckDuplicate(VxCheck *check, VxNodeId id, VxNodeSlot slot, const char *vector)
{
	VxNodeSlotData head;
	bool		exists = slot->upper < VxCurrentNodes(check->index, check->ix);
	bool		readable = exists && VxCheckReadSlot(check, slot->upper, &head);
	const char *wrong = NULL;

	if (!exists)
		wrong = "head of the chain, %u, does not exist";
	else if (readable && (!VxStateIsNode(head.state) || head.chain == VX_INVALID_NODE))
		wrong = "head of the chain, %u, is no head of one";
	else if (readable && vector != NULL &&
			 !has_vector_of_head(check, slot->upper, &head, vector))
		wrong = "head of the chain, %u, has another vector";
	if (!exists || !readable || wrong)
		VxMapAdd(check->chained, id);	/* enough is said of it */
	if (wrong)
	{
		VxNodeSlotData now;

		if (VxCheckReadSlot(check, id, &now) && VxStateIsDuplicate(now.state) &&
			now.generation == slot->generation && now.upper == slot->upper)
			VxSlotFinding(check, VX_ERROR, "chain", id, NULL, wrong, slot->upper);
	}
}

typedef enum VxChainEnd
{
	VX_CHAIN_COMPLETE,			/* followed to its end */
	VX_CHAIN_BROKEN,			/* a successor was none, or is damaged */
	VX_CHAIN_ENDLESS
} VxChainEnd;

/*
 * Follow a chain once.  Cycles are found by Brent's method: a member that is
 * kept in mind, another one after twice as many steps each time, comes again.
 */
static VxChainEnd
follow_once(VxCheck *check, VxNodeId head)
{
	VxNodeSlotData slot;
	VxNodeId	next;
	VxNodeId	kept = VX_INVALID_NODE;
	uint64		steps = 0;
	uint64		limit = 2;

	if (!VxCheckReadSlot(check, head, &slot) || !VxStateIsNode(slot.state))
		return VX_CHAIN_COMPLETE;
	for (next = slot.chain; next != VX_INVALID_NODE; next = slot.chain)
	{
		if (!VxCheckReadSlot(check, next, &slot) || !VxStateIsDuplicate(slot.state) ||
			slot.upper != head)
			return VX_CHAIN_BROKEN;
		if (next == kept)
			return VX_CHAIN_ENDLESS;
		if (next < check->nnodes)
			VxMapAdd(check->chained, next);
		if (++steps == limit)
		{
			kept = next;
			limit *= 2;
		}
	}
	return VX_CHAIN_COMPLETE;
}

/* Follow a chain until that succeeds, or it is clear that it does not */
static VxChainEnd
follow_chain(VxCheck *check, VxNodeId head)
{
	VxChainEnd	end = VX_CHAIN_BROKEN;

	for (int attempt = 0; attempt < MAX_RESTARTS && end != VX_CHAIN_COMPLETE; attempt++)
		end = follow_once(check, head);
	return end;
}

/* Follow a chain from its head, so that its members are known to be in it */
void
VxCheckFollowChain(VxCheck *check, VxNodeId head)
{
	if (follow_chain(check, head) == VX_CHAIN_ENDLESS)
		VxSlotFinding(check, VX_ERROR, "chain", head, NULL, "chain does not end");
}

/* A duplicate that no chain led to */
typedef struct VxLost
{
	VxNodeId	head;
	VxNodeId	id;
	uint16		generation;
} VxLost;

static int
compare_lost(const void *a, const void *b)
{
	const VxLost *x = a;
	const VxLost *y = b;

	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Collect the duplicates that are not in the map, as they are now */
static int
collect_lost(VxCheck *check, VxLost *lost)
{
	int			n = 0;

	for (VxNodeId word = 0; word <= check->nnodes / 64; word++)
	{
		uint64		bits = check->duplicates[word] & ~check->chained[word];

		for (; bits != 0 && n < MAX_LOST; bits &= bits - 1)
		{
			VxNodeSlotData slot;

			lost[n].id = word * 64 + (VxNodeId) pg_rightmost_one_pos64(bits);
			if (!VxCheckReadSlot(check, lost[n].id, &slot) || !VxStateIsDuplicate(slot.state))
				continue;
			lost[n].head = slot.upper;
			lost[n++].generation = slot.generation;
		}
	}
	return n;
}

/*
 * Look again for duplicates that were met in no chain.  The slots are read
 * before the chains are followed, and once more after that.
 */
void
VxCheckLostDuplicates(VxCheck *check)
{
	VxLost	   *lost = NULL;
	VxChainEnd	end = VX_CHAIN_COMPLETE;
	int			n;

	if (check->nduplicates == 0)
		return;
	lost = palloc(sizeof(VxLost) * Min(check->nduplicates, MAX_LOST));
	n = collect_lost(check, lost);
	qsort(lost, (size_t) n, sizeof(VxLost), compare_lost);
	for (int i = 0; i < n; i++)
	{
		VxNodeSlotData slot;

		if (i == 0 || lost[i].head != lost[i - 1].head)
			end = follow_chain(check, lost[i].head);
		if (end != VX_CHAIN_COMPLETE || VxMapHas(check->chained, lost[i].id))
			continue;			/* where it breaks has been reported */
		if (VxCheckReadSlot(check, lost[i].id, &slot) && VxStateIsDuplicate(slot.state) &&
			slot.generation == lost[i].generation && slot.upper == lost[i].head)
			VxSlotFinding(check, VX_ERROR, "chain", lost[i].id, NULL,
						  "is not in the chain of its head, %u", lost[i].head);
	}
	pfree(lost);
}

/* -------------------------------------------------------------------- reach */

typedef struct VxReach
{
	/* unchanging */
	VxCheck    *check;
	uint32		nstripes;		/* as of its beginning */
	uint64		universe;		/* ids below this have bits */
	bool		all_layers;		/* by links of upper layers, too */

	/* mutable */
	uint64	   *reached;
	uint64	   *pending;		/* of those, not yet expanded */
	uint64		npending;
	uint64		nstale;			/* slots with a link to them that are no nodes */
} VxReach;

static void
reach_node(VxReach *reach, VxNodeId id)
{
	if (id >= reach->universe || VxMapHas(reach->reached, id))
		return;
	VxMapAdd(reach->reached, id);
	VxMapAdd(reach->pending, id);
	reach->npending++;
}

static void
reach_links(VxReach *reach, const VxNodeId *links, int capacity)
{
	int			n = VxCountLinks(links, capacity);

	for (int i = 0; i < n; i++)
		reach_node(reach, links[i]);
}

/*
 * Expand a slot, on its page, or NULL if that cannot be had.  An upper slot is
 * pending only if its node was expanded, or a stale link led to it.
 */
static void
expand(VxReach *reach, VxNodeId id, Page page)
{
	const VxIndex *ix = reach->check->ix;
	VxNodeSlot	slot = page ? VxPageSlot(ix, page, VxSlotNumber(ix, id)) : NULL;

	VxMapRemove(reach->pending, id);
	reach->npending--;
	if (slot != NULL && VxStateIsNode(slot->state))
	{
		reach_links(reach, VxSlotLinks(ix, slot), 2 * ix->m);
		if (reach->all_layers && slot->level > 0)
			reach_node(reach, slot->upper);
	}
	else if (slot != NULL && slot->state == VX_SLOT_UPPER && reach->all_layers)
	{
		VxUpperSlot upper = (VxUpperSlot) slot;

		for (int level = 1; level <= Min(upper->level, ix->max_level); level++)
			reach_links(reach, VxUpperLinks(ix, upper, level), ix->m);
	}
	else
		reach->nstale++;
}

/* Expand what is pending on a page, until nothing is */
static void
expand_page(VxReach *reach, uint32 stripe)
{
	const VxIndex *ix = reach->check->ix;
	Page		page = NULL;
	bool		read = false;

	for (bool again = true; again;)
	{
		again = false;
		for (int s = 0; s < ix->slots_per_page; s++)
		{
			VxNodeId	id = VxMakeNodeId(ix, stripe, s);

			if (id >= reach->universe || !VxMapHas(reach->pending, id))
				continue;
			if (!read)
				page = VxCheckNodePage(reach->check, stripe);
			read = true;
			again = true;
			expand(reach, id, page);
		}
	}
}

/* Reach what can be reached from the entry point; the map of it is for the caller */
static void
run_reach(VxReach *reach, VxCheck *check, bool all_layers)
{
	VxEntry		entry = VxReadEntry(check->index);

	reach->check = check;
	reach->all_layers = all_layers;
	reach->nstripes = VxStripeCount(check->ix, RelationGetNumberOfBlocks(check->index));
	reach->universe = Min((uint64) reach->nstripes * (uint64) check->ix->slots_per_page,
						  (uint64) VX_INVALID_NODE);
	reach->universe = Max(reach->universe, check->nnodes);
	reach->reached = VxMapCreate(reach->universe);
	reach->pending = VxMapCreate(reach->universe);
	reach->npending = 0;
	reach->nstale = 0;
	reach_node(reach, entry.node);
	while (reach->npending > 0)
		for (uint32 stripe = 0; stripe < reach->nstripes && reach->npending > 0; stripe++)
		{
			CHECK_FOR_INTERRUPTS();
			expand_page(reach, stripe);
		}
	pfree(reach->pending);
}

/* Take what was reached out of the nodes that route; returns how many are left */
static int64
subtract(VxCheck *check, const VxReach *reach)
{
	int64		left = 0;

	for (VxNodeId word = 0; word <= check->nnodes / 64; word++)
	{
		check->routing[word] &= ~reach->reached[word];
		left += pg_popcount64(check->routing[word]);
	}
	return left;
}

/* How many of the nodes that route, or are left of them, do so still?  Takes the others out. */
int64
VxCheckRecount(VxCheck *check)
{
	int64		n = 0;

	for (VxNodeId word = 0; word <= check->nnodes / 64; word++)
		for (uint64 bits = check->routing[word]; bits != 0; bits &= bits - 1)
		{
			VxNodeId	id = word * 64 + (VxNodeId) pg_rightmost_one_pos64(bits);
			VxNodeSlotData slot;

			if (VxCheckReadSlot(check, id, &slot) && VxSlotRoutes(&slot))
				n++;
			else
				VxMapRemove(check->routing, id);
		}
	return n;
}

/*
 * Count nodes that no path leads to from the entry point, and slots that
 * links lead to in vain, as far as there are more of them than there should be.
 */
void
VxCheckReach(VxCheck *check)
{
	VxReach		reach;
	int64		left = check->nrouting;
	uint64		nstale = PG_UINT64_MAX;

	for (int round = 0; round < MAX_ROUNDS && left > 0; round++)
	{
		run_reach(&reach, check, false);
		left = subtract(check, &reach);
		nstale = Min(nstale, reach.nstale);
		pfree(reach.reached);
	}
	if (left > 0)
		left = VxCheckRecount(check);
	if (left > 0)
	{
		double		percent = 100.0 / (double) check->nrouting;
		int64		lost;

		run_reach(&reach, check, true);
		lost = subtract(check, &reach);
		VxFinding(check, VX_WARNING, "unreachable", InvalidBlockNumber, -1, NULL,
				  INT64_FORMAT " of " INT64_FORMAT " nodes (%.2f %%) cannot be reached from the entry point on level 0, "
				  INT64_FORMAT " (%.2f %%) on no layer",
				  left, check->nrouting, percent * (double) left, lost, percent * (double) lost);
	}
	if (check->nrouting > 0 && nstale > STALE_ALLOWED + (uint64) check->nrouting / STALE_SHARE)
		VxFinding(check, VX_WARNING, "stale", InvalidBlockNumber, -1, NULL,
				  UINT64_FORMAT " slots that are no nodes have links to them", nstale);
}
