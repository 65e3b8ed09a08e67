/*-------------------------------------------------------------------------
 *
 * graph.c
 *	  The graph in memory, as CREATE INDEX builds it: the insertion of the HNSW
 *	  paper, on codes, by many participants at once; neither Buffer nor
 *	  Relation.
 *
 * Nodes hold no vectors.  All distances are estimates from codes: those of the
 * search from the row's vector, those between nodes from both codes.
 *
 * Readers of a list of links take no lock: links are hints, and a list that
 * changes under a reader's eyes shows some old and some new ones.  Whoever
 * changes a list holds the lock of its node, one of an array that is indexed by
 * id, and no other such lock.  A node is complete, with its own lists on all
 * layers, before a link leads to it.
 *
 * A node of a higher level than the entry point's is inserted under a lock, so
 * that there is one new entry point at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "hnsw/graph.h"

/* Chunks have this size, unless that would make more than so many of them */
#define CHUNK_BYTES (256 * 1024)
#define MAX_CHUNKS 32768

/* Locks of nodes' lists, in a parallel build */
#define N_LOCKS 4096

/* Ids are below this, as the beam keeps a flag beside them */
#define MAX_NODES UINT32_C(0x80000000)
#define EXPANDED UINT32_C(0x80000000)

/* A visited byte, and half as much again while the array grows */
#define VISITED_CHARGE 3
/* A place in the order of nodes on disk, and one in m for upper layers */
#define ORDER_CHARGE (sizeof(VxNodeId) + sizeof(VxNodeId) / 2)

#define CACHE_LINE 64

/* With more new links than this, a list that overflows is chosen from scratch */
#define MAX_NEW 8

/* ------------------------------------------------------------------- memory */

static void
codec_for_building(const VxIndex *ix, int bits, VxCodec *codec)
{
	*codec = ix->codec;
	if (codec->kind != VX_CODE_RAW && codec->bits < bits)
		VxCodecInit(codec, ix->codec.element, ix->codec.metric,
					ix->codec.dims, bits, PG_INT32_MAX);
}

/*
 * Bytes of a code with its factors: whole cache lines, unless that wastes more
 * than a quarter.
 */
static Size
code_size(const VxCodec *codec)
{
	Size		size = offsetof(VxMemCode, code) + (Size) codec->nbytes;
	Size		lines = TYPEALIGN(CACHE_LINE, size);

	return lines - size <= size / 4 ? lines : MAXALIGN(size);
}

static Size
node_size(const VxIndex *ix)
{
	return MAXALIGN(offsetof(VxMemNode, links) + 2 * (Size) ix->m * sizeof(VxNodeId));
}

static Size
upper_size(const VxIndex *ix)
{
	return sizeof(VxNodeId) * (1 + (Size) ix->m);
}

/* Set the dimensions of a store */
static void
store_init(VxStore *store, Size unit, uint32 charge, Size max_memory)
{
	Size		bytes = CHUNK_BYTES;

	while (max_memory / bytes > MAX_CHUNKS)
		bytes *= 2;
	bytes = Min(bytes, Max(max_memory / 16, 1));
	store->unit = unit;
	store->charge = charge;
	store->shift = 0;
	while ((unit << (store->shift + 1)) <= bytes)
		store->shift++;
	store->max_chunks = (uint32) Min(max_memory / (unit << store->shift) + 1,
									 MAX_NODES >> store->shift);
}

static void
stores_init(VxStore *stores, const VxIndex *ix, const VxGraphParams *params)
{
	VxCodec		codec;

	codec_for_building(ix, params->bits, &codec);
	store_init(&stores[VX_STORE_CODES], code_size(&codec), 0, params->max_memory);
	store_init(&stores[VX_STORE_NODES], node_size(ix),
			   (uint32) ORDER_CHARGE + VISITED_CHARGE * (uint32) params->nparticipants,
			   params->max_memory);
	store_init(&stores[VX_STORE_UPPERS], upper_size(ix), 0, params->max_memory);
	/* a slot per node, and one per node with upper layers */
	store_init(&stores[VX_STORE_ORDER], sizeof(VxNodeId), 0, params->max_memory);
}

/* Bytes that a row takes in memory, of all kinds */
Size
VxGraphNodeBytes(const VxIndex *ix, int bits, int nparticipants)
{
	VxCodec		codec;

	codec_for_building(ix, bits, &codec);
	return code_size(&codec) + node_size(ix) + upper_size(ix) / (Size) Max(ix->m - 1, 1) +
		ORDER_CHARGE + VISITED_CHARGE * (Size) nparticipants;
}

static uint32
lock_count(const VxGraphParams *params)
{
	return params->nparticipants > 1 ? N_LOCKS : 1;
}

static Size
directories_offset(const VxGraphParams *params)
{
	return MAXALIGN(add_size(offsetof(VxGraphShared, locks),
							 mul_size(sizeof(LWLock), lock_count(params))));
}

/* Bytes of what participants share, chunks not counted */
Size
VxGraphSharedSize(const VxIndex *ix, const VxGraphParams *params)
{
	VxStore		stores[VX_N_STORES];
	Size		size = directories_offset(params);

	stores_init(stores, ix, params);
	for (int i = 0; i < VX_N_STORES; i++)
		size = add_size(size, mul_size(sizeof(dsa_pointer), stores[i].max_chunks));
	return size;
}

static uint64
pack_entry(VxNodeId node, int level)
{
	return (uint64) level << 32 | node;
}

void
VxGraphSharedInit(VxGraphShared *shared, const VxIndex *ix,
				  const VxGraphParams *params)
{
	Size		size = VxGraphSharedSize(ix, params);

	memset(shared, 0, size);
	shared->params = *params;
	shared->nlocks = lock_count(params);
	pg_atomic_init_u64(&shared->memory, size);
	pg_atomic_init_u32(&shared->nnodes, 0);
	pg_atomic_init_u32(&shared->nuppers, 0);
	pg_atomic_init_u32(&shared->full, 0);
	pg_atomic_init_u64(&shared->entry, pack_entry(VX_INVALID_NODE, 0));
	LWLockInitialize(&shared->chunk_lock, params->tranche);
	LWLockInitialize(&shared->entry_lock, params->tranche);
	for (uint32 i = 0; i < shared->nlocks; i++)
		LWLockInitialize(&shared->locks[i], params->tranche);
}

/*
 * A view of the graph, in the current memory context, which must live as long.
 * area is NULL in a serial build; chunks are then allocated in that context.
 */
VxGraph *
VxGraphAttach(VxGraphShared *shared, const VxIndex *ix, dsa_area *area)
{
	VxGraph    *graph = palloc0(sizeof(VxGraph));
	char	   *directory = (char *) shared + directories_offset(&shared->params);

	graph->ix = ix;
	graph->shared = shared;
	graph->area = area;
	graph->context = CurrentMemoryContext;
	codec_for_building(ix, shared->params.bits, &graph->codec);
	graph->code_bytes = offsetof(VxMemCode, code) + (Size) graph->codec.nbytes;
	stores_init(graph->stores, ix, &shared->params);
	for (int i = 0; i < VX_N_STORES; i++)
	{
		VxStore    *store = &graph->stores[i];

		store->directory = (dsa_pointer *) directory;
		directory += sizeof(dsa_pointer) * (Size) store->max_chunks;
		store->chunks = palloc_extended(sizeof(char *) * (Size) store->max_chunks,
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	}

	VxQueryInit(&graph->query, &graph->codec, palloc(VxQueryMemory(&graph->codec)));
	VxQueryInit(&graph->pair, &graph->codec, palloc(VxQueryMemory(&graph->codec)));
	graph->beam = palloc(sizeof(VxCandidate) * (Size) (ix->ef_construction + 1));
	graph->neighbors = palloc0(sizeof(VxMemNeighbors) * (VX_MAX_LEVEL + 1));
	return graph;
}

/* Let go of what only insertions need */
void
VxGraphFreeScratch(VxGraph *graph)
{
	if (graph->visited)
		pfree(graph->visited);
	graph->visited = NULL;
	graph->max_visited = 0;
}

/* Where a chunk is that another participant allocated */
char *
VxGraphChunk(VxGraph *graph, VxStoreKind kind, uint32 chunk)
{
	VxStore    *store = &graph->stores[kind];

	if (chunk >= store->max_chunks || graph->area == NULL ||
		!DsaPointerIsValid(store->directory[chunk]))
		elog(ERROR, "chunk %u of the hnsw graph does not exist", chunk);
	store->chunks[chunk] = dsa_get_address(graph->area, store->directory[chunk]);
	return store->chunks[chunk];
}

/* Allocate a chunk, zeroed; the caller holds chunk_lock.  False: no memory */
static bool
allocate_chunk(VxGraph *graph, VxStore *store, uint32 chunk)
{
	VxGraphShared *shared = graph->shared;
	Size		size = store->unit << store->shift;
	Size		charge = size + ((Size) store->charge << store->shift);
	dsa_pointer pointer;

	/* the order of nodes has been reserved with them */
	if (store == &graph->stores[VX_STORE_ORDER])
		charge = 0;
	else if (pg_atomic_read_u64(&shared->memory) + charge > shared->params.max_memory)
		return false;

	if (graph->area == NULL)
	{
		char	   *memory = MemoryContextAllocExtended(graph->context, size + CACHE_LINE,
														MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

		store->chunks[chunk] = (char *) TYPEALIGN(CACHE_LINE, memory);
		pointer = 1;			/* anything but invalid */
	}
	else
	{
		pointer = dsa_allocate_extended(graph->area, size,
										DSA_ALLOC_HUGE | DSA_ALLOC_NO_OOM |
										DSA_ALLOC_ZERO);
		if (!DsaPointerIsValid(pointer))
			return false;
	}
	pg_atomic_fetch_add_u64(&shared->memory, (int64) charge);
	pg_write_barrier();
	store->directory[chunk] = pointer;
	return true;
}

/* The first chunk that does not exist, at most "chunk" + 1 */
static uint32
first_missing(const VxStore *store, uint32 chunk)
{
	uint32		first = chunk + 1;

	while (first > 0 && !DsaPointerIsValid(store->directory[first - 1]))
		first--;
	return first;
}

/*
 * Make sure that unit i of a store has memory; takes chunk_lock if its chunk is
 * new.  False: there is none left.  Chunks are allocated in order, so that
 * there are none beyond one that was refused.
 */
bool
VxGraphReserve(VxGraph *graph, VxStoreKind kind, uint32 i)
{
	VxStore    *store = &graph->stores[kind];
	uint32		chunk = i >> store->shift;
	bool		done = true;

	if (chunk >= store->max_chunks)
		return false;
	if (store->chunks[chunk] != NULL)
		return true;
	if (*(volatile dsa_pointer *) &store->directory[chunk] == InvalidDsaPointer)
	{
		LWLockAcquire(&graph->shared->chunk_lock, LW_EXCLUSIVE);
		for (uint32 c = first_missing(store, chunk); c <= chunk && done; c++)
			done = allocate_chunk(graph, store, c);
		LWLockRelease(&graph->shared->chunk_lock);
	}
	pg_read_barrier();
	return done;
}

/*
 * All ids are below this, once nobody adds any more.  Some of the last ones may
 * have been given out and not used: their nodes are of state free.
 */
VxNodeId
VxGraphCount(const VxGraph *graph)
{
	const VxStore *store = &graph->stores[VX_STORE_NODES];
	VxNodeId	n = pg_atomic_read_u32(&graph->shared->nnodes);
	uint32		chunks = first_missing(store, store->max_chunks - 1);

	return (VxNodeId) Min((uint64) n, (uint64) chunks << store->shift);
}

VxEntry
VxGraphEntry(const VxGraph *graph)
{
	uint64		packed = pg_atomic_read_u64(&graph->shared->entry);
	VxEntry		entry;

	entry.node = (VxNodeId) packed;
	entry.level = (int) (packed >> 32);
	return entry;
}

/* ---------------------------------------------------------------- distances */

/* Distances of n codes, or, if "which" is given, of n among them */
static inline void
estimate(const VxQuery *query, int n, VxMemCode *const *from, const int *which,
		 float *dist)
{
	for (int done = 0; done < n; done += VX_ESTIMATE_MAX)
	{
		const uint8 *codes[VX_ESTIMATE_MAX];
		const VxFactors *factors[VX_ESTIMATE_MAX];
		int			batch = Min(n - done, VX_ESTIMATE_MAX);

		for (int i = 0; i < batch; i++)
		{
			const VxMemCode *code = from[which ? which[done + i] : done + i];

			codes[i] = code->code;
			factors[i] = &code->factors;
		}
		VxEstimate(query, batch, codes, factors, dist + done, NULL);
	}
}

/* ------------------------------------------------------------------- search */

/* Start a new set of visited nodes, with room for ids below limit */
static void
new_epoch(VxGraph *graph)
{
	if (graph->limit > graph->max_visited)
	{
		VxNodeId	max = Max(graph->limit, 4096);

		max += max / 4;
		if (graph->visited)
			pfree(graph->visited);
		graph->visited = MemoryContextAllocExtended(graph->context, max,
													MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		graph->max_visited = max;
		graph->epoch = 0;
	}
	if (graph->epoch == PG_UINT8_MAX)
	{
		memset(graph->visited, 0, graph->max_visited);
		graph->epoch = 0;
	}
	graph->epoch++;
}

static inline void
prefetch_code(const VxGraph *graph, const VxMemCode *code)
{
	const char *from = (const char *) code;
	const char *end = from + graph->code_bytes;

	for (; from < end; from += CACHE_LINE)
		__builtin_prefetch(from);
}

/* What the node that is expanded next will be looked at for */
static inline void
prefetch_links(VxGraph *graph, VxNodeId id)
{
	const char *node = (const char *) VxGraphNode(graph, id);

	for (int i = 0; i < 3; i++)
		__builtin_prefetch(node + i * CACHE_LINE);
}

/*
 * Put the links of a node that were not visited yet into ids, mark them
 * visited, and return their number.
 */
static int
visit_links(VxGraph *graph, VxNodeId id, int level, VxNodeId *ids)
{
	uint8	   *visited = graph->visited;
	uint8		epoch = graph->epoch;
	VxNodeId	limit = graph->limit;
	int			nlinks;
	int			n = 0;
	const VxNodeId *links = VxGraphLinks(graph, VxGraphNode(graph, id), level, &nlinks);

	pg_read_barrier();
	for (int i = 0; i < nlinks; i++)
	{
		VxNodeId	link = *(volatile const VxNodeId *) &links[i];

		if (unlikely(link >= limit))
			continue;
		/* without a branch, which nobody could predict */
		ids[n] = link;
		n += visited[link] != epoch;
		visited[link] = epoch;
	}
	return n;
}

/* Is a node the same vector as the row at hand?  Then note it */
static inline bool
note_duplicate(VxGraph *graph, VxNodeId id, const VxMemCode *code)
{
	/* most differ in what is at hand of the code already */
	if (likely(memcmp(code->code, graph->self->code, 4) != 0) ||
		memcmp(code, graph->self, graph->code_bytes) != 0 ||
		VxGraphNode(graph, id)->hash != graph->hash)
		return false;
	graph->duplicate = id;
	return true;
}

/*
 * Put a candidate into the beam, which has room for ef, and return its place,
 * or ef if it is too far.
 */
static inline int
beam_insert(VxGraph *graph, int ef, VxNodeId id, float dist)
{
	VxCandidate *beam = graph->beam;
	uint32		low = 0;
	int			high = graph->nbeam;

	if (high == ef)
	{
		if (dist >= beam[ef - 1].dist)
			return ef;
		high--;
	}
	graph->nbeam = high + 1;
	/* without branches, which nobody could predict */
	for (uint32 n = (uint32) high; n > 0; n /= 2)
		low += -(uint32) (beam[low + (n - 1) / 2].dist <= dist) & ((n + 1) / 2);
	memmove(&beam[low + 1], &beam[low],
			sizeof(VxCandidate) * ((uint32) high - low));
	beam[low].id = id;
	beam[low].dist = dist;
	return (int) low;
}

/*
 * Search a layer for the ef nodes nearest to the row at hand, from those that
 * the beam holds; leaves the result in the beam, nearest first.  Stops when a
 * duplicate is met.
 *
 * The beam is a sorted array in which nodes that were expanded are flagged: at
 * the sizes that ef_construction has, moving its tail is cheaper than keeping
 * two heaps, and there is no queue of candidates that are too far anyway.
 */
static void
search_layer(VxGraph *graph, int level, int ef)
{
	int			next = 0;		/* everything before is expanded */

	new_epoch(graph);
	graph->nbeam = Min(graph->nbeam, ef);
	for (int i = 0; i < graph->nbeam; i++)
		graph->visited[graph->beam[i].id] = graph->epoch;

	while (next < graph->nbeam)
	{
		VxNodeId	ids[2 * VX_MAX_M];
		VxMemCode  *codes[2 * VX_MAX_M];
		float		dist[2 * VX_MAX_M];
		VxNodeId	id = graph->beam[next].id;
		int			n;

		graph->beam[next].id |= EXPANDED;
		n = visit_links(graph, id, level, ids);
		for (int i = 0; i < n; i++)
		{
			codes[i] = VxGraphCode(graph, ids[i]);
			prefetch_code(graph, codes[i]);
		}
		while (next < graph->nbeam && (graph->beam[next].id & EXPANDED))
			next++;
		if (next < graph->nbeam)
			prefetch_links(graph, graph->beam[next].id);
		estimate(&graph->query, n, codes, NULL, dist);
		for (int i = 0; i < n; i++)
		{
			int			place;

			if (note_duplicate(graph, ids[i], codes[i]))
				return;
			place = beam_insert(graph, ef, ids[i], dist[i]);
			if (place <= next && place < ef)
			{
				next = place;
				prefetch_links(graph, ids[i]);
			}
		}
	}
	for (int i = 0; i < graph->nbeam; i++)
		graph->beam[i].id &= ~EXPANDED;
}

/* ------------------------------------------------------------------- linking */

/* Candidates among which a new node's neighbors are chosen */
typedef struct VxChoice
{
	VxGraph    *graph;
	VxMemCode  *codes[VX_MAX_CANDIDATES];
} VxChoice;

static void
candidate_distances(void *arg, int from, const int *others, int n, float *out)
{
	VxChoice   *choice = arg;
	const VxMemCode *code = choice->codes[from];

	VxQueryFromCode(&choice->graph->pair, &code->factors, code->code);
	estimate(&choice->graph->pair, n, choice->codes, others, out);
}

/*
 * Replace a list.  Readers may see any mixture of old and new links, and never
 * more of them than there are.
 */
static void
set_links(VxGraph *graph, VxMemNode *node, int level, const VxNodeId *ids, int n,
		  int nchosen)
{
	int			old;
	VxNodeId   *links = VxGraphLinks(graph, node, level, &old);

	memcpy(links, ids, sizeof(VxNodeId) * (Size) n);
	pg_write_barrier();
	if (level == 0)
	{
		node->nchosen = (uint16) nchosen;
		*(volatile uint16 *) &node->nlinks = (uint16) n;
	}
	else
		*(volatile VxNodeId *) &links[-1] = (VxNodeId) n | (VxNodeId) nchosen << 16;
}

/*
 * A full list and one more link, sorted by distance.  New ones are those that
 * were not chosen together with the others.
 */
typedef struct VxOverflow
{
	VxGraph    *graph;
	VxNodeId	from;			/* the node that has the list */
	int			n;
	int			nnew;
	VxCandidate candidates[2 * VX_MAX_M + 1];
	VxMemCode  *codes[2 * VX_MAX_M + 1];	/* parallel to candidates */
	int			new[2 * VX_MAX_M + 1];	/* indexes of new candidates */
	bool		is_new[2 * VX_MAX_M + 1];
	float		dist[MAX_NEW][2 * VX_MAX_M + 1];	/* from new ones to all */
} VxOverflow;

/* Put the n links of a list, and c, into o, sorted */
static void
overflow_init(VxOverflow *o, VxGraph *graph, VxNodeId from, VxCandidate c,
			  const VxNodeId *ids, int n, int nchosen)
{
	const VxMemCode *code = VxGraphCode(graph, from);
	VxMemCode  *codes[2 * VX_MAX_M + 1];
	float		dist[2 * VX_MAX_M + 1];

	for (int i = 0; i < n; i++)
	{
		codes[i] = VxGraphCode(graph, ids[i]);
		prefetch_code(graph, codes[i]);
	}
	VxQueryFromCode(&graph->pair, &code->factors, code->code);
	estimate(&graph->pair, n, codes, NULL, dist);
	codes[n] = VxGraphCode(graph, c.id);
	dist[n] = c.dist;

	o->graph = graph;
	o->from = from;
	o->n = n + 1;
	for (int i = 0; i <= n; i++)
	{
		int			j = i;

		for (; j > 0 && o->candidates[j - 1].dist > dist[i]; j--)
		{
			o->candidates[j] = o->candidates[j - 1];
			o->codes[j] = o->codes[j - 1];
			o->is_new[j] = o->is_new[j - 1];
		}
		o->candidates[j].id = i < n ? ids[i] : c.id;
		o->candidates[j].dist = dist[i];
		o->codes[j] = codes[i];
		o->is_new[j] = i >= nchosen;
	}
	o->nnew = 0;
	for (int i = 0; i <= n; i++)
		if (o->is_new[i])
			o->new[o->nnew++] = i;
}

static void
overflow_distances(void *arg, int from, const int *others, int n, float *out)
{
	VxOverflow *o = arg;
	const VxMemCode *code = o->codes[from];

	VxQueryFromCode(&o->graph->pair, &code->factors, code->code);
	estimate(&o->graph->pair, n, o->codes, others, out);
}

/* Is candidate i nearer to one of those taken, all before it, than to the node? */
static bool
is_struck(const VxOverflow *o, const bool *taken, int i)
{
	float		limit = VxStrikeLimit(o->candidates[i].dist);
	int			k = 0;

	for (int a = 0; a < o->nnew && o->new[a] < i; a++)
		if (taken[o->new[a]] && o->dist[a][i] <= limit)
			return true;
	if (!o->is_new[i])
		return false;
	while (o->new[k] != i)
		k++;
	for (int j = 0; j < i; j++)
		if (taken[j] && o->dist[k][j] <= limit)
			return true;
	return false;
}

/*
 * What VxSelectNeighbors would take, found with the distances of new candidates
 * only: that the chosen ones do not strike out each other is known.  Most lists
 * that overflow do so again with the next link, at least where vectors have
 * many directions; there it saves 7 in 8 distances between links.
 */
static void
overflow_select(VxOverflow *o, int max, bool *taken)
{
	int			ntaken = 0;

	for (int a = 0; a < o->nnew; a++)
	{
		const VxMemCode *code = o->codes[o->new[a]];

		VxQueryFromCode(&o->graph->pair, &code->factors, code->code);
		estimate(&o->graph->pair, o->n, o->codes, NULL, o->dist[a]);
	}
	for (int i = 0; i < o->n; i++)
	{
		taken[i] = ntaken < max && !is_struck(o, taken, i);
		ntaken += taken[i];
	}
}

/* For VxKeepNeeded: is it a link that its target needs?  See links.c. */
static bool
is_needed(void *arg, int candidate)
{
	const VxOverflow *o = arg;
	const VxMemNode *node = VxGraphNode(o->graph, o->candidates[candidate].id);

	return node->nlinks > 0 && node->links[0] == o->from;
}

/*
 * Choose among the n links of a node, and a new one to c.id at distance c.dist,
 * those that its full list will hold; returns their number, and that of those
 * which were chosen by the heuristic, and come first, in *nchosen.
 */
static int
choose_links(VxGraph *graph, VxNodeId from, int level, VxCandidate c, VxNodeId *ids,
			 int n, int *nchosen)
{
	VxOverflow	o;
	bool		chosen[2 * VX_MAX_M + 1] = {0};
	bool		kept[2 * VX_MAX_M + 1] = {0};
	int			selected[2 * VX_MAX_M + 1];
	int			nselected = 0;
	int			capacity = VxLinkCapacity(graph->ix, level);

	overflow_init(&o, graph, from, c, ids, n, *nchosen);
	if (o.nnew <= MAX_NEW)
	{
		overflow_select(&o, capacity, chosen);
		for (int i = 0; i < o.n; i++)
			if (chosen[i])
				selected[nselected++] = i;
	}
	else
	{
		nselected = VxSelectNeighbors(o.candidates, o.n, capacity, 0, overflow_distances,
									  &o, selected);
		for (int i = 0; i < nselected; i++)
			chosen[selected[i]] = true;
	}
	if (level == 0)
		nselected = VxKeepNeeded(is_needed, &o, o.n, capacity, selected, nselected);
	for (int i = 0; i < nselected; i++)
		kept[selected[i]] = true;

	n = 0;
	for (int i = 0; i < o.n; i++)
		if (kept[i] && chosen[i])
			ids[n++] = o.candidates[i].id;
	*nchosen = n;
	for (int i = 0; i < o.n; i++)
		if (kept[i] && !chosen[i])
			ids[n++] = o.candidates[i].id;
	for (int i = 0; i < o.n && n < VxFillLinks(capacity); i++)
		if (!kept[i])
			ids[n++] = o.candidates[i].id;
	return n;
}

static inline LWLock *
node_lock(VxGraph *graph, VxNodeId id)
{
	return &graph->shared->locks[id & (graph->shared->nlocks - 1)];
}

/*
 * Add a link from a node to the one at c->id, which is c->dist away; takes the
 * lock of the node that gets it.
 */
static void
link_back(VxGraph *graph, VxNodeId from, int level, VxCandidate c)
{
	VxNodeId	ids[2 * VX_MAX_M + 1];
	VxMemNode  *node = VxGraphNode(graph, from);
	int			capacity = VxLinkCapacity(graph->ix, level);
	int			n;
	int			nchosen;
	VxNodeId   *links;

	LWLockAcquire(node_lock(graph, from), LW_EXCLUSIVE);
	links = VxGraphLinks(graph, node, level, &n);
	nchosen = VxGraphChosen(node, level, links);
	memcpy(ids, links, sizeof(VxNodeId) * (Size) n);
	if (n < capacity)
		ids[n++] = c.id;
	else
		n = choose_links(graph, from, level, c, ids, n, &nchosen);
	set_links(graph, node, level, ids, n, nchosen);
	LWLockRelease(node_lock(graph, from));
}

/*
 * Choose neighbors on a layer among the beam: what the heuristic takes, then the
 * nearest of the others, up to half of a list.
 */
static void
choose_neighbors(VxGraph *graph, int level)
{
	VxMemNeighbors *neighbors = &graph->neighbors[level];
	int			capacity = VxLinkCapacity(graph->ix, level);
	int			selected[VX_MAX_CANDIDATES];
	VxChoice	choice;

	choice.graph = graph;
	for (int i = 0; i < graph->nbeam; i++)
		choice.codes[i] = VxGraphCode(graph, graph->beam[i].id);
	neighbors->nchosen = VxSelectNeighbors(graph->beam, graph->nbeam, capacity, 0,
										   candidate_distances, &choice, selected);
	neighbors->n = neighbors->nchosen;
	for (int i = 0; i < neighbors->n; i++)
		neighbors->nodes[i] = graph->beam[selected[i]];
	for (int i = 0, next = 0; i < graph->nbeam && neighbors->n < VxFillLinks(capacity); i++)
	{
		if (next < neighbors->nchosen && selected[next] == i)
			next++;
		else
			neighbors->nodes[neighbors->n++] = graph->beam[i];
	}
}

/* Give a node its links on layers 0 to top, then links back to it */
static void
connect_node(VxGraph *graph, VxNodeId self, VxMemNode *node, int top)
{
	for (int level = 0; level <= top; level++)
	{
		const VxMemNeighbors *neighbors = &graph->neighbors[level];
		VxNodeId	ids[2 * VX_MAX_M];

		for (int i = 0; i < neighbors->n; i++)
			ids[i] = neighbors->nodes[i].id;
		set_links(graph, node, level, ids, neighbors->n, neighbors->nchosen);
	}
	pg_write_barrier();
	for (int level = 0; level <= top; level++)
	{
		const VxMemNeighbors *neighbors = &graph->neighbors[level];

		for (int i = 0; i < neighbors->n; i++)
		{
			VxCandidate c = {neighbors->nodes[i].dist, self};

			link_back(graph, neighbors->nodes[i].id, level, c);
		}
	}
}

/* Put a node into the chain of one with the same vector */
static void
join_chain(VxGraph *graph, VxNodeId self, VxMemNode *node, VxNodeId head)
{
	VxMemNode  *h = VxGraphNode(graph, head);

	node->state = VX_SLOT_DUPLICATE;
	node->level = 0;
	node->other = head;
	LWLockAcquire(node_lock(graph, head), LW_EXCLUSIVE);
	node->chain = h->chain;
	h->chain = self;
	LWLockRelease(node_lock(graph, head));
}

/* ---------------------------------------------------------------- insertion */

/*
 * Take memory for a node and fill it in, all but its row; it is not linked
 * yet.  Returns NULL when memory is used up, once and for all.
 */
VxMemNode *
VxGraphAddNode(VxGraph *graph, const void *vector, ItemPointer tid, VxNodeId *id)
{
	const VxCodec *codec = &graph->codec;
	VxGraphShared *shared = graph->shared;
	VxMemNode  *node;
	VxMemCode  *code;

	if (pg_atomic_read_u32(&shared->full) != 0)
		return NULL;
	*id = pg_atomic_fetch_add_u32(&shared->nnodes, 1);
	if (*id >= MAX_NODES || !VxGraphReserve(graph, VX_STORE_CODES, *id) ||
		!VxGraphReserve(graph, VX_STORE_NODES, *id))
	{
		pg_atomic_write_u32(&shared->full, 1);
		return NULL;
	}

	node = VxGraphNode(graph, *id);
	code = VxGraphCode(graph, *id);
	node->tid = *tid;
	node->chain = VX_INVALID_NODE;
	node->state = VX_SLOT_LIVE;
	if (codec->metric == VX_METRIC_COSINE && VxIsZero(codec, vector))
		node->state = VX_SLOT_LONE;
	node->hash = hash_bytes_extended(vector, codec->vector_bytes, shared->params.seed);
	graph->norm = VxPrepare(codec, vector, graph->query.work);
	VxEncodePrepared(codec, vector, graph->query.work, graph->norm,
					 &code->factors, code->code);
	VxQueryFromPrepared(&graph->query, vector, graph->norm);
	return node;
}

/*
 * Take memory for the lists of a node's upper layers.  Where there is none
 * left, the node has to do without: memory is full then, and this one of the
 * last nodes.
 */
static void
add_uppers(VxGraph *graph, VxMemNode *node, int level)
{
	VxGraphShared *shared = graph->shared;

	if (level == 0)
		return;
	node->other = pg_atomic_fetch_add_u32(&shared->nuppers, (int32) level);
	for (uint32 i = 0; i < (uint32) level; i++)
	{
		if (!VxGraphReserve(graph, VX_STORE_UPPERS, node->other + i))
		{
			pg_atomic_write_u32(&shared->full, 1);
			return;
		}
		*(VxNodeId *) VxGraphUnit(graph, VX_STORE_UPPERS, node->other + i) = 0;
		node->level = (uint8) (i + 1);
	}
}

/* Search from the entry point for the row at hand and link it on its layers */
static void
insert_node(VxGraph *graph, VxNodeId self, VxMemNode *node, VxEntry entry)
{
	VxMemCode  *start = VxGraphCode(graph, entry.node);
	int			top = Min(node->level, entry.level);

	graph->duplicate = VX_INVALID_NODE;
	if (!note_duplicate(graph, entry.node, start))
	{
		graph->nbeam = 1;
		graph->beam[0].id = entry.node;
		estimate(&graph->query, 1, &start, NULL, &graph->beam[0].dist);
		for (int level = entry.level;
			 level >= 0 && graph->duplicate == VX_INVALID_NODE; level--)
		{
			search_layer(graph, level, level > top ? 1 : graph->ix->ef_construction);
			if (level <= top && graph->duplicate == VX_INVALID_NODE)
				choose_neighbors(graph, level);
		}
	}
	if (graph->duplicate != VX_INVALID_NODE)
		join_chain(graph, self, node, graph->duplicate);
	else
		connect_node(graph, self, node, top);
}

/*
 * Link a node, the one that VxGraphAddNode gave last, whose vector must still
 * be where it was.
 */
void
VxGraphLinkNode(VxGraph *graph, VxNodeId self)
{
	VxGraphShared *shared = graph->shared;
	VxMemNode  *node = VxGraphNode(graph, self);
	VxEntry		entry = VxGraphEntry(graph);
	bool		locked = false;

	if (node->state != VX_SLOT_LIVE)
		return;
	add_uppers(graph, node, VxDrawLevel(graph->ix));
	if (entry.node == VX_INVALID_NODE || node->level > entry.level)
	{
		LWLockAcquire(&shared->entry_lock, LW_EXCLUSIVE);
		locked = true;
		entry = VxGraphEntry(graph);
		if (entry.node != VX_INVALID_NODE && node->level <= entry.level)
		{
			LWLockRelease(&shared->entry_lock);
			locked = false;
		}
	}

	graph->self = VxGraphCode(graph, self);
	graph->hash = node->hash;
	graph->limit = Min(pg_atomic_read_u32(&shared->nnodes), MAX_NODES);
	if (entry.node != VX_INVALID_NODE)
		insert_node(graph, self, node, entry);
	if (locked)
	{
		pg_write_barrier();
		if (node->state == VX_SLOT_LIVE)
			pg_atomic_write_u64(&shared->entry, pack_entry(self, node->level));
		LWLockRelease(&shared->entry_lock);
	}
}
