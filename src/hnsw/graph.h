/*-------------------------------------------------------------------------
 *
 * graph.h
 *	  The graph in memory, as CREATE INDEX builds it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_GRAPH_H
#define VX_GRAPH_H

#include "hnsw/hnsw.h"

/*
 * A node: this header, 2m links of level 0, the vector.  Links are packed, the
 * count is in the header.
 */
typedef struct VxMemNode
{
	ItemPointerData tid;
	uint8		level;
	uint8		state;			/* live, lone or duplicate */
	uint16		nlinks;			/* on level 0 */
	VxNodeId	chain;			/* next duplicate */
	VxNodeId	head;			/* of a duplicate */
	float		inv_norm;		/* cosine: 1 / |vector| */
	VxNodeId   *upper;			/* level * (1 + m): count and links by layer */
	VxNodeId	links[FLEXIBLE_ARRAY_MEMBER];
} VxMemNode;

/* Neighbors chosen for a new node on one layer */
typedef struct VxMemNeighbors
{
	int			n;
	VxCandidate nodes[2 * VX_MAX_M];
} VxMemNeighbors;

typedef struct VxGraph
{
	/* unchanging */
	const VxIndex *ix;
	MemoryContext context;
	Size		node_size;
	Size		vector_offset;
	uint32		chunk_nodes;	/* nodes of a chunk, power of two */
	int			chunk_shift;

	/* mutable */
	char	  **chunks;
	uint32		nchunks;
	uint32		max_chunks;
	uint32		nnodes;
	Size		memory;			/* bytes allocated */
	VxEntry		entry;

	/* scratch of the search */
	uint32	   *visited;		/* by node: the epoch of its last visit */
	uint32		max_visited;
	uint32		epoch;
	VxCandidate *open;
	VxCandidate *beam;
	VxCandidate *sorted;
	VxMemNeighbors *neighbors;	/* by layer */
	int			max_open;
	int			nbeam;
} VxGraph;

extern VxGraph *VxGraphCreate(const VxIndex *ix);
extern Size VxGraphNodeBytes(const VxGraph *graph);
extern void VxGraphInsert(VxGraph *graph, const void *vector, ItemPointer tid);

static inline VxMemNode *
VxGraphNode(const VxGraph *graph, VxNodeId id)
{
	return (VxMemNode *) (graph->chunks[id >> graph->chunk_shift] +
						  (Size) (id & (graph->chunk_nodes - 1)) * graph->node_size);
}

static inline char *
VxGraphVector(const VxGraph *graph, VxNodeId id)
{
	return (char *) VxGraphNode(graph, id) + graph->vector_offset;
}

/* Links of a node on a layer, and where their count is */
static inline VxNodeId *
VxGraphLinks(const VxGraph *graph, VxMemNode *node, int level, int *n)
{
	if (level == 0)
	{
		*n = node->nlinks;
		return node->links;
	}
	else
	{
		VxNodeId   *list = node->upper + (Size) (level - 1) * (Size) (1 + graph->ix->m);

		*n = (int) list[0];
		return list + 1;
	}
}

#endif							/* VX_GRAPH_H */
