/*-------------------------------------------------------------------------
 *
 * graph.h
 *	  The graph in memory, as CREATE INDEX builds it.
 *
 * The graph belongs to all participants of a build.  What they share is a
 * VxGraphShared, and chunks of nodes that are allocated as they are needed, in
 * a DSA area in a parallel build, else in a memory context.  Each participant
 * looks at it through a VxGraph of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_GRAPH_H
#define VX_GRAPH_H

#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/dsa.h"

#include "hnsw/hnsw.h"

/*
 * A node's code for building is apart from what else there is of it, as that is
 * all that a search reads of most nodes it looks at.
 */
typedef struct VxMemCode
{
	VxFactors	factors;
	uint8		code[FLEXIBLE_ARRAY_MEMBER];
} VxMemCode;

typedef struct VxMemNode
{
	uint64		hash;			/* of the vector; once the graph is complete,
								 * the id that the node gets on disk */
	VxNodeId	chain;			/* next duplicate, or VX_INVALID_NODE */
	uint32		row;			/* number of the row in the participant's file */
	uint32		other;			/* first list of the upper layers; of a
								 * duplicate, its head */
	uint16		participant;
	ItemPointerData tid;
	uint16		nlinks;			/* on level 0 */
	uint16		nchosen;		/* of these, see VxGraphLinks */
	uint8		level;
	uint8		state;			/* live, lone or duplicate; free if it takes no
								 * part */
	VxNodeId	links[FLEXIBLE_ARRAY_MEMBER];	/* 2m, of level 0 */
} VxMemNode;

/* An array of equal units, in chunks that are allocated when needed */
typedef enum VxStoreKind
{
	VX_STORE_CODES,				/* VxMemCode, by node */
	VX_STORE_NODES,				/* VxMemNode */
	VX_STORE_UPPERS,			/* counts and m links of an upper layer: nlinks +
								 * nchosen << 16 */
	VX_STORE_ORDER,				/* VxNodeId, by place on disk */
	VX_N_STORES
} VxStoreKind;

typedef struct VxStore
{
	Size		unit;			/* bytes */
	int			shift;			/* chunks have 2^shift units */
	uint32		max_chunks;
	uint32		charge;			/* bytes per unit to reserve, beside its own */
	dsa_pointer *directory;		/* by chunk, shared; 0 if there is none yet */
	char	  **chunks;			/* by chunk, where this participant has it */
} VxStore;

/* What a graph is made with; the same for all participants */
typedef struct VxGraphParams
{
	Size		max_memory;
	int			bits;			/* of the codes for building, if not raw */
	int			nparticipants;
	int			tranche;		/* of the locks */
	uint64		seed;			/* of the hash of vectors */
} VxGraphParams;

typedef struct VxGraphShared
{
	/* unchanging */
	VxGraphParams params;
	uint32		nlocks;			/* power of two */

	/* mutable */
	pg_atomic_uint64 memory;	/* bytes allocated or reserved */
	pg_atomic_uint32 nnodes;	/* ids given out; some may have no memory */
	pg_atomic_uint32 nuppers;	/* likewise */
	pg_atomic_uint32 full;		/* memory is used up */
	pg_atomic_uint64 entry;		/* level << 32 | node */
	LWLock		chunk_lock;		/* for whoever allocates a chunk */
	LWLock		entry_lock;		/* for whoever may replace the entry point */
	LWLock		locks[FLEXIBLE_ARRAY_MEMBER];	/* of nodes' lists, by id; the
												 * stores' directories follow */
} VxGraphShared;

/* The neighbors chosen for a node on one layer */
typedef struct VxMemNeighbors
{
	int			n;
	int			nchosen;		/* the first of them, by the heuristic */
	VxCandidate nodes[2 * VX_MAX_M];
} VxMemNeighbors;

/* A participant's view of the graph, and its scratch memory */
typedef struct VxGraph
{
	/* unchanging */
	const VxIndex *ix;
	VxCodec		codec;			/* of the codes for building */
	VxGraphShared *shared;
	dsa_area   *area;			/* NULL in a serial build */
	MemoryContext context;
	Size		code_bytes;		/* of a VxMemCode */
	VxStore		stores[VX_N_STORES];

	/* of the insertion at hand */
	VxQuery		query;			/* of the new row */
	VxQuery		pair;			/* of a node, for the choice of neighbors */
	float		norm;			/* what VxPrepare said of the new row */
	uint64		hash;
	const VxMemCode *self;
	VxNodeId	limit;			/* ids below this may be visited */
	VxNodeId	duplicate;		/* a node of the same vector, if one was met */
	uint8	   *visited;		/* by node: the epoch of its last visit */
	VxNodeId	max_visited;
	uint8		epoch;
	VxCandidate *beam;			/* ascending; see search_layer */
	int			nbeam;
	VxMemNeighbors *neighbors;	/* by layer */
} VxGraph;

extern Size VxGraphSharedSize(const VxIndex *ix, const VxGraphParams *params);
extern void VxGraphSharedInit(VxGraphShared *shared, const VxIndex *ix,
							  const VxGraphParams *params);
extern VxGraph *VxGraphAttach(VxGraphShared *shared, const VxIndex *ix,
							  dsa_area *area);
extern void VxGraphFreeScratch(VxGraph *graph);
extern Size VxGraphNodeBytes(const VxIndex *ix, int bits, int nparticipants);
extern VxMemNode *VxGraphAddNode(VxGraph *graph, const void *vector,
								 ItemPointer tid, VxNodeId *id);
extern void VxGraphLinkNode(VxGraph *graph, VxNodeId id);
extern VxNodeId VxGraphCount(const VxGraph *graph);
extern VxEntry VxGraphEntry(const VxGraph *graph);
extern char *VxGraphChunk(VxGraph *graph, VxStoreKind kind, uint32 chunk);
extern bool VxGraphReserve(VxGraph *graph, VxStoreKind kind, uint32 i);

/* Unit i of a store, which must have memory */
static inline void *
VxGraphUnit(VxGraph *graph, VxStoreKind kind, uint32 i)
{
	VxStore    *store = &graph->stores[kind];
	uint32		chunk = i >> store->shift;
	char	   *base = store->chunks[chunk];

	if (unlikely(base == NULL))
		base = VxGraphChunk(graph, kind, chunk);
	return base + (Size) (i & ((UINT32_C(1) << store->shift) - 1)) * store->unit;
}

static inline VxMemNode *
VxGraphNode(VxGraph *graph, VxNodeId id)
{
	return VxGraphUnit(graph, VX_STORE_NODES, id);
}

static inline VxMemCode *
VxGraphCode(VxGraph *graph, VxNodeId id)
{
	return VxGraphUnit(graph, VX_STORE_CODES, id);
}

/*
 * Links of a node on a layer, and their number.  Others may be changing the
 * list: then what is read is some of its old and some of its new links.
 *
 * The first "chosen" links of a list were chosen together as neighbors, none
 * of which strikes out another; the others filled the list up, or were added since.
 */
static inline VxNodeId *
VxGraphLinks(VxGraph *graph, VxMemNode *node, int level, int *n)
{
	VxNodeId   *list;

	if (level == 0)
	{
		*n = *(volatile uint16 *) &node->nlinks;
		return node->links;
	}
	list = VxGraphUnit(graph, VX_STORE_UPPERS, node->other + (uint32) level - 1);
	*n = (int) (*(volatile VxNodeId *) list & 0xFFFF);
	return list + 1;
}

/* How many of a list's links, as VxGraphLinks returned it, are chosen ones */
static inline int
VxGraphChosen(const VxMemNode *node, int level, const VxNodeId *links)
{
	return level == 0 ? node->nchosen : (int) (links[-1] >> 16);
}

#endif							/* VX_GRAPH_H */
