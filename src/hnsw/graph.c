/*-------------------------------------------------------------------------
 *
 * graph.c
 *	  The graph in memory, as CREATE INDEX builds it: the insertion of the HNSW
 *	  paper with exact distances, and neither Buffer nor Relation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "hnsw/graph.h"

#define CHUNK_BYTES (1024 * 1024)

VxGraph *
VxGraphCreate(const VxIndex *ix)
{
	VxGraph    *graph = palloc0(sizeof(VxGraph));

	graph->ix = ix;
	graph->context = CurrentMemoryContext;
	graph->vector_offset = MAXALIGN(offsetof(VxMemNode, links) +
									2 * (Size) ix->m * sizeof(VxNodeId));
	graph->node_size = MAXALIGN(graph->vector_offset + (Size) ix->codec.vector_bytes);
	graph->chunk_nodes = 1;
	while ((Size) graph->chunk_nodes * 2 * graph->node_size <= CHUNK_BYTES)
	{
		graph->chunk_nodes *= 2;
		graph->chunk_shift++;
	}
	graph->entry.node = VX_INVALID_NODE;
	graph->beam = palloc(sizeof(VxCandidate) * (Size) (ix->ef_construction + 1));
	graph->sorted = palloc(sizeof(VxCandidate) * (Size) (ix->ef_construction + 1));
	graph->neighbors = palloc0(sizeof(VxMemNeighbors) * (VX_MAX_LEVEL + 1));
	return graph;
}

/* Bytes that one more node takes, roughly, with its upper layers and code */
Size
VxGraphNodeBytes(const VxGraph *graph)
{
	return graph->node_size + sizeof(uint32) + sizeof(VxNodeId) * 2;
}

static void *
grow(VxGraph *graph, void *array, Size old_size, Size new_size)
{
	graph->memory += new_size - old_size;
	if (array == NULL)
		return MemoryContextAllocHuge(graph->context, new_size);
	return repalloc_huge(array, new_size);
}

/* Append a node with everything zero but its id */
static VxMemNode *
append_node(VxGraph *graph, VxNodeId *id)
{
	*id = graph->nnodes;
	if (*id >> graph->chunk_shift >= graph->nchunks)
	{
		Size		size = (Size) graph->chunk_nodes * graph->node_size;

		if (graph->nchunks == graph->max_chunks)
		{
			uint32		max = Max(graph->max_chunks * 2, 64);

			graph->chunks = grow(graph, graph->chunks, sizeof(char *) * (Size) graph->max_chunks,
								 sizeof(char *) * (Size) max);
			graph->max_chunks = max;
		}
		graph->chunks[graph->nchunks++] = MemoryContextAllocHuge(graph->context, size);
		graph->memory += size;
	}
	if (*id >= graph->max_visited)
	{
		uint32		max = Max(graph->max_visited + graph->max_visited / 2, 4096);

		graph->visited = grow(graph, graph->visited, sizeof(uint32) * (Size) graph->max_visited,
							  sizeof(uint32) * (Size) max);
		memset(graph->visited + graph->max_visited, 0,
			   sizeof(uint32) * (Size) (max - graph->max_visited));
		graph->max_visited = max;
	}
	graph->nnodes++;
	memset(VxGraphNode(graph, *id), 0, graph->vector_offset);
	return VxGraphNode(graph, *id);
}

/* ---------------------------------------------------------------- distances */

static float
pair_distance(const VxGraph *graph, VxNodeId a, VxNodeId b)
{
	const VxCodec *codec = &graph->ix->codec;
	const VxMemNode *x = VxGraphNode(graph, a);
	const VxMemNode *y = VxGraphNode(graph, b);
	const char *u = (const char *) x + graph->vector_offset;
	const char *v = (const char *) y + graph->vector_offset;
	double		d;

	switch (codec->metric)
	{
		case VX_METRIC_COSINE:
			d = 1 - VxDistance(codec->element, VX_METRIC_IP, codec->dims, u, v) *
				(double) x->inv_norm * (double) y->inv_norm;
			break;
		case VX_METRIC_IP:
			d = -VxDistance(codec->element, VX_METRIC_IP, codec->dims, u, v);
			break;
		default:
			d = VxDistance(codec->element, codec->metric, codec->dims, u, v);
	}
	return d < FLT_MAX ? (float) d : FLT_MAX;
}

/* ------------------------------------------------------------------- search */

/* Start a new set of visited nodes */
static void
new_epoch(VxGraph *graph)
{
	if (++graph->epoch == 0)
	{
		memset(graph->visited, 0, sizeof(uint32) * (Size) graph->max_visited);
		graph->epoch = 1;
	}
}

static inline bool
visit(VxGraph *graph, VxNodeId id)
{
	if (graph->visited[id] == graph->epoch)
		return false;
	graph->visited[id] = graph->epoch;
	return true;
}

/* The beam is a max-heap: distances are stored negated */
static void
beam_push(VxGraph *graph, int ef, VxCandidate c)
{
	c.dist = -c.dist;
	VxHeapPush(graph->beam, &graph->nbeam, c);
	if (graph->nbeam > ef)
		VxHeapPop(graph->beam, &graph->nbeam);
}

/*
 * Search a layer for the ef nodes nearest to node self, from the candidates
 * that graph->sorted holds, n of them; leaves the result there, nearest first,
 * and returns its number.
 */
static int
search_layer(VxGraph *graph, VxNodeId self, int level, int ef, int n)
{
	int			nopen = 0;

	new_epoch(graph);
	graph->nbeam = 0;
	if (graph->max_open == 0)
	{
		graph->max_open = 1024;
		graph->open = grow(graph, NULL, 0, sizeof(VxCandidate) * 1024);
	}
	for (int i = 0; i < n; i++)
	{
		visit(graph, graph->sorted[i].id);
		VxHeapPush(graph->open, &nopen, graph->sorted[i]);
		beam_push(graph, ef, graph->sorted[i]);
	}

	while (nopen > 0)
	{
		VxCandidate c = VxHeapPop(graph->open, &nopen);
		VxNodeId   *links;
		int			nlinks;

		if (graph->nbeam == ef && c.dist > -graph->beam[0].dist)
			break;
		links = VxGraphLinks(graph, VxGraphNode(graph, c.id), level, &nlinks);
		for (int i = 0; i < nlinks; i++)
			__builtin_prefetch(&graph->visited[links[i]]);
		for (int i = 0; i < nlinks; i++)
		{
			VxCandidate next;

			if (i + 1 < nlinks && graph->visited[links[i + 1]] != graph->epoch)
			{
				const char *ahead = VxGraphVector(graph, links[i + 1]);

				__builtin_prefetch(ahead);
				__builtin_prefetch(ahead + 64);
				__builtin_prefetch(ahead + 128);
				__builtin_prefetch(ahead + 192);
			}
			next.id = links[i];
			if (!visit(graph, next.id))
				continue;
			next.dist = pair_distance(graph, self, next.id);
			if (graph->nbeam == ef && next.dist >= -graph->beam[0].dist)
				continue;
			if (nopen == graph->max_open)
			{
				graph->open = grow(graph, graph->open,
								   sizeof(VxCandidate) * (Size) graph->max_open,
								   sizeof(VxCandidate) * (Size) graph->max_open * 2);
				graph->max_open *= 2;
			}
			VxHeapPush(graph->open, &nopen, next);
			beam_push(graph, ef, next);
		}
	}

	n = graph->nbeam;
	for (int i = n - 1; i >= 0; i--)
	{
		graph->sorted[i] = VxHeapPop(graph->beam, &graph->nbeam);
		graph->sorted[i].dist = -graph->sorted[i].dist;
	}
	return n;
}

/* ------------------------------------------------------------------- linking */

typedef struct VxPairArg
{
	const VxGraph *graph;
	const VxCandidate *candidates;
} VxPairArg;

static void
candidate_distances(void *arg, int from, const int *others, int n, float *out)
{
	VxPairArg  *pair = arg;

	for (int i = 0; i < n; i++)
		out[i] = pair_distance(pair->graph, pair->candidates[from].id,
							   pair->candidates[others[i]].id);
}

static void
set_links(VxGraph *graph, VxMemNode *node, int level, const VxNodeId *ids, int n)
{
	int			old;
	VxNodeId   *links = VxGraphLinks(graph, node, level, &old);

	memcpy(links, ids, sizeof(VxNodeId) * (Size) n);
	if (level == 0)
		node->nlinks = (uint16) n;
	else
		links[-1] = (VxNodeId) n;
}

/* Add a link from a node to a new one at the given distance */
static void
link_back(VxGraph *graph, VxNodeId from, int level, VxNodeId to, float dist)
{
	VxCandidate candidates[2 * VX_MAX_M + 1];
	int			selected[2 * VX_MAX_M + 1];
	VxNodeId	ids[2 * VX_MAX_M + 1];
	VxMemNode  *node = VxGraphNode(graph, from);
	int			capacity = VxLinkCapacity(graph->ix, level);
	VxPairArg	arg = {graph, candidates};
	int			n;
	VxNodeId   *links = VxGraphLinks(graph, node, level, &n);

	memcpy(ids, links, sizeof(VxNodeId) * (Size) n);
	if (n < capacity)
	{
		ids[n] = to;
		set_links(graph, node, level, ids, n + 1);
		return;
	}

	for (int i = 0; i <= n; i++)
	{
		VxCandidate c;
		int			j = i;

		c.id = i < n ? ids[i] : to;
		c.dist = i < n ? pair_distance(graph, from, c.id) : dist;
		for (; j > 0 && candidates[j - 1].dist > c.dist; j--)
			candidates[j] = candidates[j - 1];
		candidates[j] = c;
	}
	n = VxSelectNeighbors(candidates, n + 1, capacity, VxFillLinks(capacity),
						  candidate_distances, &arg, selected);
	for (int i = 0; i < n; i++)
		ids[i] = candidates[selected[i]].id;
	set_links(graph, node, level, ids, n);
}

/* Choose neighbors on a layer among the n candidates in graph->sorted */
static void
choose_neighbors(VxGraph *graph, int level, int n)
{
	VxMemNeighbors *neighbors = &graph->neighbors[level];
	int			selected[2 * VX_MAX_M];
	VxPairArg	arg = {graph, graph->sorted};

	neighbors->n = VxSelectNeighbors(graph->sorted, n, VxLinkCapacity(graph->ix, level),
									 0, candidate_distances, &arg, selected);
	for (int i = 0; i < neighbors->n; i++)
		neighbors->nodes[i] = graph->sorted[selected[i]];
}

/* Link a node with the neighbors chosen on a layer, both ways */
static void
connect_layer(VxGraph *graph, VxNodeId self, int level)
{
	const VxMemNeighbors *neighbors = &graph->neighbors[level];
	VxNodeId	ids[2 * VX_MAX_M];

	for (int i = 0; i < neighbors->n; i++)
		ids[i] = neighbors->nodes[i].id;
	set_links(graph, VxGraphNode(graph, self), level, ids, neighbors->n);
	for (int i = 0; i < neighbors->n; i++)
		link_back(graph, ids[i], level, self, neighbors->nodes[i].dist);
}

/* Of the candidates in graph->sorted, one with the same vector, or invalid */
static VxNodeId
find_duplicate(const VxGraph *graph, const char *vector, int n)
{
	for (int i = 0; i < n; i++)
		if (memcmp(VxGraphVector(graph, graph->sorted[i].id), vector,
				   (Size) graph->ix->codec.vector_bytes) == 0)
			return graph->sorted[i].id;
	return VX_INVALID_NODE;
}

/* ----------------------------------------------------------------- insertion */

static float
inverse_norm(const VxCodec *codec, const void *vector)
{
	const float *x = vector;
	double		norm = 0;

	for (int i = 0; i < codec->dims; i++)
		norm += (double) x[i] * x[i];
	return norm > 0 ? (float) (1 / sqrt(norm)) : 0;
}

/* Search from the top for node self and link it on its layers */
static void
insert_node(VxGraph *graph, VxNodeId self, VxMemNode *node)
{
	int			n = 1;
	int			top = graph->entry.level;
	VxNodeId	head;

	graph->sorted[0].id = graph->entry.node;
	graph->sorted[0].dist = pair_distance(graph, self, graph->entry.node);
	for (int level = top; level > node->level; level--)
		n = search_layer(graph, self, level, 1, n);
	for (int level = Min(node->level, top); level >= 0; level--)
	{
		n = search_layer(graph, self, level, graph->ix->ef_construction, n);
		choose_neighbors(graph, level, n);
	}

	head = find_duplicate(graph, VxGraphVector(graph, self), n);
	if (head != VX_INVALID_NODE)
	{
		VxMemNode  *h = VxGraphNode(graph, head);

		node->state = VX_SLOT_DUPLICATE;
		node->level = 0;
		node->head = head;
		node->chain = h->chain;
		h->chain = self;
		return;
	}
	for (int level = Min(node->level, top); level >= 0; level--)
		connect_layer(graph, self, level);
	if (node->level > top)
	{
		graph->entry.node = self;
		graph->entry.level = node->level;
	}
}

/* Add a row to the graph */
void
VxGraphInsert(VxGraph *graph, const void *vector, ItemPointer tid)
{
	const VxCodec *codec = &graph->ix->codec;
	VxNodeId	self;
	VxMemNode  *node = append_node(graph, &self);

	memcpy(VxGraphVector(graph, self), vector, (Size) codec->vector_bytes);
	node->tid = *tid;
	node->chain = VX_INVALID_NODE;
	node->head = VX_INVALID_NODE;
	node->state = VX_SLOT_LIVE;
	if (codec->metric == VX_METRIC_COSINE)
	{
		if (VxIsZero(codec, vector))
		{
			node->state = VX_SLOT_LONE;
			return;
		}
		node->inv_norm = inverse_norm(codec, vector);
	}

	node->level = (uint8) VxDrawLevel(graph->ix);
	if (node->level > 0)
	{
		Size		size = sizeof(VxNodeId) * (Size) node->level * (Size) (1 + graph->ix->m);

		node->upper = MemoryContextAllocZero(graph->context, size);
		graph->memory += size;
	}
	if (graph->entry.node == VX_INVALID_NODE)
	{
		graph->entry.node = self;
		graph->entry.level = node->level;
	}
	else
		insert_node(graph, self, node);
}
