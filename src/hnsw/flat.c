/*-------------------------------------------------------------------------
 *
 * flat.c
 *	  The flat pass: all node pages, in block order.
 *
 * The filter is tested on the attributes of a page together, before any code is
 * read; the codes of what passes are estimated together; the best go into the
 * search's queue.
 *
 * Pages are peeked at, as in a walk (reader.c): what is read means nothing before
 * the buffer is known to have held the page.  The slots of the pages to come are
 * fetched into the processor's cache meanwhile, as there is a cache line or two
 * to read of each and little to do.  Where pages are not in shared buffers, the
 * ones to come are asked for, since the vector pages between node pages keep the
 * operating system from reading ahead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/instrument.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "hnsw/search.h"
#include "inject.h"

/* Stripes ahead of which slots are fetched into cache, and pages asked for */
#define CACHE_AHEAD 2
#define READ_AHEAD 32

/* Slots on a page, at most */
#define MAX_SLOTS (VX_PAGE_BYTES / sizeof(VxNodeSlotData))

/* A pass, and the best hits of it: a max-heap on negated keys */
typedef struct VxPass
{
	/* unchanging */
	VxSearch   *search;
	uint32		nstripes;
	BufferAccessStrategy strategy;	/* NULL if the node pages may stay */
	int			limit;			/* hits to keep */

	/* mutable */
	bool		overflow;		/* some were left out */
	uint32		asked_for;		/* stripes before this one */
} VxPass;

/* Rows of a page that are to be ranked */
typedef struct VxPageRows
{
	int			n;
	VxNodeId	ids[MAX_SLOTS];
	double		keys[MAX_SLOTS];
	uint16		generations[MAX_SLOTS];
	bool		exact[MAX_SLOTS];
} VxPageRows;

static void
keep_best(VxPass *pass, double key, VxNodeId id, uint16 generation, bool exact)
{
	VxSearch   *search = pass->search;

	if (search->nhits >= pass->limit)
	{
		pass->overflow = true;
		if (-key <= search->hits[0].key)
			return;
		VxPopHit(search);
	}
	VxAppendHit(search, -key, id, generation)->exact = exact;
	VxSiftUp(search->hits, search->nhits - 1);
}

/* Estimate slots [from, to) of what a page has to offer */
static void
estimate_rows(const VxSearch *search, VxNodeSlot *slots, VxPageRows *rows, int from, int to)
{
	const VxIndex *ix = search->ix;
	const uint8_t *codes[VX_ESTIMATE_MAX];
	const VxFactors *factors[VX_ESTIMATE_MAX];
	float		dist[VX_ESTIMATE_MAX];
	float		error[VX_ESTIMATE_MAX];

	for (int i = from; i < to; i++)
	{
		codes[i - from] = VxSlotCode(ix, slots[i]);
		factors[i - from] = &slots[i]->factors;
	}
	VxEstimate(&search->query, to - from, codes, factors, dist, error);
	for (int i = from; i < to; i++)
		if (!rows->exact[i])
			rows->keys[i] = VxLowerBound(dist[i - from], error[i - from]);
}

/* Take up the rows of a node page that are wanted */
static void
look_at_page(const VxSearch *search, Page page, uint32 stripe, VxPageRows *rows)
{
	const VxIndex *ix = search->ix;
	VxNodeSlot	slots[MAX_SLOTS];
	bool		wanted[MAX_SLOTS];

	rows->n = 0;
	for (int s = 0; s < ix->slots_per_page; s++)
		wanted[s] = VxStateIsRow(((VxNodeSlot) VxPageSlot(ix, page, s))->state);
	if (search->filter)
		VxFilterPage(search->filter, ix, page, wanted);
	for (int s = 0; s < ix->slots_per_page; s++)
	{
		VxNodeSlot	slot = VxPageSlot(ix, page, s);
		VxNodeId	id = VxMakeNodeId(ix, stripe, s);

		if (!wanted[s] || VxIdSetHas(&search->returned, id))
			continue;
		slots[rows->n] = slot;
		rows->ids[rows->n] = id;
		rows->generations[rows->n] = slot->generation;
		rows->exact[rows->n] = !search->ranked || slot->state == VX_SLOT_LONE;
		rows->keys[rows->n++] = search->ranked ? INFINITY : 0;
	}
	for (int i = 0; search->ranked && i < rows->n; i += VX_ESTIMATE_MAX)
		estimate_rows(search, slots, rows, i, Min(rows->n, i + VX_ESTIMATE_MAX));
}

/* Fetch what the filter reads of a page's slots, if it is where it was */
static void
fetch_slots(const VxSearch *search, uint32 stripe)
{
	const VxIndex *ix = search->ix;
	VxPeek		peek;
	Page		page = VxPeekPage(search->walk.reader, stripe, &peek);

	if (page == NULL)
		return;
	for (int s = 0; s < ix->slots_per_page; s++)
	{
		const char *slot = VxPageSlot(ix, page, s);

		__builtin_prefetch(slot);
		__builtin_prefetch(slot + ix->code_offset - 1);
	}
}

/*
 * A page had to be read: ask for those to come, as far as that has not been
 * done.
 */
static void
ask_ahead(VxPass *pass, uint32 stripe)
{
	const VxIndex *ix = pass->search->ix;
	uint32		end = Min(pass->nstripes, stripe + 1 + READ_AHEAD);

	for (uint32 s = Max(pass->asked_for, stripe + 1); s < end; s++)
		(void) PrefetchBuffer(pass->search->index, MAIN_FORKNUM, VxStripeBlock(ix, s));
	pass->asked_for = Max(pass->asked_for, end);
}

/* Look at a page under lock */
static void
look_locked(VxPass *pass, uint32 stripe, VxPageRows *rows)
{
	VxSearch   *search = pass->search;
	int64		nread = pgBufferUsage.shared_blks_read;
	Buffer		buffer = VxReaderLock(search->walk.reader, stripe, pass->strategy);
	Page		page = BufferGetPage(buffer);

	rows->n = 0;
	if (!PageIsNew(page))
		look_at_page(search, page, stripe, rows);
	UnlockReleaseBuffer(buffer);
	if (pgBufferUsage.shared_blks_read != nread || pass->asked_for > stripe + 1)
		ask_ahead(pass, stripe);
}

static void
look_at_stripe(VxPass *pass, uint32 stripe, VxPageRows *rows)
{
	VxSearch   *search = pass->search;
	VxReader   *reader = search->walk.reader;
	VxPeek		peek;
	Page		page = VxPeekPage(reader, stripe, &peek);

	if (page != NULL)
		look_at_page(search, page, stripe, rows);
	if (page == NULL || !VxPeekConfirm(reader, &peek))
		look_locked(pass, stripe, rows);
	search->stats.pages++;
	search->stats.visited += rows->n;
	search->stats.passed += rows->n;
	for (int i = 0; i < rows->n; i++)
		keep_best(pass, rows->keys[i], rows->ids[i], rows->generations[i], rows->exact[i]);
}

/*
 * Read all node pages and queue the best of the rows not yet returned, as many
 * as memory allows.  Pages that were added since the search began hold no row
 * that its snapshot could see.
 */
void
VxFlatPass(VxSearch *search)
{
	const VxIndex *ix = search->ix;
	VxPageRows *rows = palloc(sizeof(VxPageRows));
	VxPass		pass = {.search = search};

	pass.nstripes = (uint32) (search->returned.universe / (uint64) ix->slots_per_page);
	if (pass.nstripes > (uint32) NBuffers / 4)
		pass.strategy = GetAccessStrategy(BAS_BULKREAD);
	pass.limit = (int) Min(Max(search->max_memory / sizeof(VxHit), 1024),
						   MaxAllocHugeSize / sizeof(VxHit) / 4);
	pass.limit = Min(pass.limit, 1 << 28);
	VX_INJECTION_POINT("scan-flat");
	search->stats.flat_passes++;
	search->nhits = 0;
	for (uint32 stripe = 0; stripe < pass.nstripes; stripe++)
	{
		CHECK_FOR_INTERRUPTS();
		if (stripe + CACHE_AHEAD < pass.nstripes)
			fetch_slots(search, stripe + CACHE_AHEAD);
		look_at_stripe(&pass, stripe, rows);
	}
	if (pass.strategy)
		FreeAccessStrategy(pass.strategy);
	pfree(rows);

	for (int i = 0; i < search->nhits; i++)
		search->hits[i].key = -search->hits[i].key;
	VxHeapifyHits(search->hits, search->nhits);
	search->flat_more = pass.overflow;
	search->quota = PG_INT64_MAX;
}
