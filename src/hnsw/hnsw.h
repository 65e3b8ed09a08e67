/*-------------------------------------------------------------------------
 *
 * hnsw.h
 *	  Declarations shared by the files of the hnsw access method.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_HNSW_H
#define VX_HNSW_H

#include <math.h>

#include "access/amapi.h"
#include "access/genam.h"
#include "access/generic_xlog.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "utils/relcache.h"

#include "compat.h"
#include "hnsw/format.h"

/* Options and settings: bounds and defaults */
#define VX_MIN_M 2
#define VX_MAX_M 100
#define VX_DEFAULT_M 16
#define VX_MIN_EF_CONSTRUCTION 4
#define VX_MAX_EF_CONSTRUCTION 1000
#define VX_DEFAULT_EF_CONSTRUCTION 64
#define VX_MIN_EF_SEARCH 1
#define VX_MAX_EF_SEARCH 10000
#define VX_DEFAULT_EF_SEARCH 40
#define VX_MAX_LEVEL 30

/* Support functions of an operator class */
#define VX_SPACE_PROC 1
#define VX_N_PROCS 1

typedef enum VxIterativeScan
{
	VX_ITERATIVE_OFF,
	VX_ITERATIVE_RELAXED,
	VX_ITERATIVE_STRICT
} VxIterativeScan;

extern int	vx_ef_search;
extern int	vx_iterative_scan;
extern int	vx_max_scan_tuples;
extern double vx_scan_mem_multiplier;
extern bool vx_enable_bitmap_filter;

/* Reloptions, as amoptions stores them */
typedef struct VxOptions
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int			m;
	int			ef_construction;
	int			code_bits;		/* offset of a string: "2", "4", "8"; 0 if not
								 * given */
} VxOptions;

/*
 * What an operator class indexes: returned by its support function 1.
 */
typedef struct VxSpace
{
	VxElement	element;
	VxMetric	metric;
	int			max_dims;
	PGFunction	input;			/* input function of the type */
} VxSpace;

/* Where a filter column lies in the attributes of a slot */
typedef struct VxAttr
{
	uint8		kind;			/* VxAttrKind */
	uint8		width;			/* bytes */
	uint16		offset;
} VxAttr;

/*
 * Layout of an index and codec, from its metapage; cached in rd_amcache.
 * Unchanging, but for skip_wal, which a build sets in its own copy.
 */
typedef struct VxIndex
{
	VxCodec		codec;
	int			m;
	int			ef_construction;
	int			attr_size;
	int			code_offset;
	int			link_offset;
	int			slot_size;
	int			slots_per_page;
	int			vector_pages;
	int			max_level;
	int			nattrs;			/* filter columns */
	VxAttr		attrs[VX_MAX_ATTRS];
	bool		skip_wal;		/* being built: pages are logged at its end */
} VxIndex;

typedef struct VxFilter VxFilter;

/* The part of the metapage that changes */
typedef struct VxEntry
{
	VxNodeId	node;
	int			level;
} VxEntry;

/* ---------------------------------------------------------- page.c: layout */

static inline int
VxLinkCapacity(const VxIndex *ix, int level)
{
	return level == 0 ? 2 * ix->m : ix->m;
}

static inline uint32
VxStripeOf(const VxIndex *ix, VxNodeId id)
{
	return id / (uint32) ix->slots_per_page;
}

static inline int
VxSlotNumber(const VxIndex *ix, VxNodeId id)
{
	return (int) (id % (uint32) ix->slots_per_page);
}

static inline BlockNumber
VxStripeBlock(const VxIndex *ix, uint32 stripe)
{
	return 1 + (BlockNumber) stripe * (BlockNumber) (1 + ix->vector_pages);
}

static inline BlockNumber
VxNodeBlock(const VxIndex *ix, VxNodeId id)
{
	return VxStripeBlock(ix, VxStripeOf(ix, id));
}

static inline VxNodeId
VxMakeNodeId(const VxIndex *ix, uint32 stripe, int slot)
{
	return stripe * (uint32) ix->slots_per_page + (uint32) slot;
}

/* Stripes in a relation of nblocks blocks, counting an incomplete last one */
static inline uint32
VxStripeCount(const VxIndex *ix, BlockNumber nblocks)
{
	return nblocks <= 1 ? 0 :
		(uint32) (((uint64) nblocks - 1 + (uint64) ix->vector_pages) /
				  (uint64) (1 + ix->vector_pages));
}

/* Slot s of a node page; the page may be all-zero, then so is the slot */
static inline void *
VxPageSlot(const VxIndex *ix, Page page, int slot)
{
	return (char *) page + MAXALIGN(SizeOfPageHeaderData) +
		(Size) slot * (Size) ix->slot_size;
}

static inline uint8 *
VxSlotCode(const VxIndex *ix, const VxNodeSlotData *slot)
{
	return (uint8 *) slot + ix->code_offset;
}

static inline VxNodeId *
VxSlotLinks(const VxIndex *ix, const VxNodeSlotData *slot)
{
	return (VxNodeId *) ((char *) slot + ix->link_offset);
}

static inline VxNodeId *
VxUpperLinks(const VxIndex *ix, VxUpperSlot slot, int level)
{
	return slot->links + (Size) (level - 1) * (Size) ix->m;
}

/* Is the slot a row that a scan may return? */
static inline bool
VxStateIsRow(uint8 state)
{
	return state == VX_SLOT_LIVE || state == VX_SLOT_DUPLICATE ||
		state == VX_SLOT_LONE;
}

/* Is the slot a node of the graph? */
static inline bool
VxStateIsNode(uint8 state)
{
	return state == VX_SLOT_LIVE || state == VX_SLOT_DEAD;
}

/*
 * Could this be the TID of a row?  If not, it must not get to the executor, as
 * to read the block of no number is to extend the table, nor to vacuum's
 * callback, which takes it apart.
 */
static inline bool
VxTidIsValid(const ItemPointerData *tid)
{
	return ItemPointerIsValid(tid) &&
		ItemPointerGetBlockNumberNoCheck(tid) != InvalidBlockNumber;
}

/*
 * Does a node route for good?  A dead one that heads no chain is about to be
 * freed, so what only such nodes have links to is as good as out of reach.
 */
static inline bool
VxSlotRoutes(const VxNodeSlotData *slot)
{
	return slot->state == VX_SLOT_LIVE ||
		(slot->state == VX_SLOT_DEAD && slot->chain != VX_INVALID_NODE);
}

/* Links before the end mark, at most capacity */
static inline int
VxCountLinks(const VxNodeId *links, int capacity)
{
	int			n = 0;

	while (n < capacity && links[n] != VX_INVALID_NODE)
		n++;
	return n;
}

extern void VxInitPage(Page page, VxPageKind kind, uint32 stripe);
extern void VxRaisePageLower(Page page, Size end);
extern bool VxPageIs(Page page, VxPageKind kind);
extern const VxSpace *VxGetSpace(Relation index);
extern void VxFillMeta(Relation index, VxMetaPage meta);
extern bool VxMetaLayout(const VxMetaPageData *meta, VxIndex *ix,
						 const char **wrong);
extern void VxLayoutFromMeta(Relation index, const VxMetaPageData *meta,
							 VxIndex *ix);
extern const VxIndex *VxGetIndex(Relation index);
extern VxEntry VxReadEntry(Relation index);
extern bool VxChangeEntry(Relation index, const VxIndex *ix, VxNodeId old,
						  VxEntry new);
extern bool VxNoteDead(Relation index, const VxIndex *ix, bool dead);
extern bool VxReadDead(Relation index);
extern void VxRecordFreeSlots(Relation index, BlockNumber block);
extern Page VxLockReadNodePage(Relation index, Buffer buffer, int mode);
extern Buffer VxLockNodePage(Relation index, BlockNumber block, int mode,
							 BufferAccessStrategy strategy);
pg_noreturn extern void VxDamaged(Relation index, BlockNumber block,
								  const char *what);
extern VxNodeId VxCurrentNodes(Relation index, const VxIndex *ix);

/* Vectors on pages */
extern void VxReadVector(Relation index, const VxIndex *ix, VxNodeId id,
						 void *out, BufferAccessStrategy strategy);

/* A row as it goes into a slot */
typedef struct VxNewRow
{
	ItemPointerData tid;
	int			level;
	const void *vector;
	const uint8 *attrs;
	VxFactors	factors;
	const uint8 *code;
	VxSlotState state;			/* live or lone; a duplicate has head, below */
	const VxNodeId *links;		/* level 0 */
	int			nlinks;
	VxNodeId	head;			/* join the chain of this node... */
	uint16		head_generation;	/* ...if it still is this */
} VxNewRow;

extern VxNodeId VxPlaceRow(Relation index, const VxIndex *ix,
						   const VxNewRow *row, VxNodeId near,
						   uint16 *generation);
extern bool VxPlaceUpper(Relation index, const VxIndex *ix, VxNodeId node,
						 uint16 generation, int level,
						 const VxNodeId *links);
extern void VxFillVectorPage(const VxIndex *ix, Page page, int page_no,
							 int slot, const char *vector);

/* -------------------------------------------------------------------- wal.c */

/* Pages of a record */
#define VX_WAL_PAGES MAX_GENERIC_XLOG_PAGES

extern void VxWalBegin(Relation index, const VxIndex *ix);
extern Page VxWalPage(Buffer buffer, bool image);
extern void VxWalChanged(Page page, const void *at, Size size);
extern void VxWalPut(Page page, void *to, const void *from, Size size);
extern void VxWalRaiseLower(Page page, Size end);
extern void VxWalFinish(void);

/* ----------------------------------------------------------------- reader.c */

typedef struct VxReader VxReader;

extern Buffer VxReadBuffer(Relation index, BlockNumber block);
extern double VxVectorDistance(VxReader *reader, VxNodeId id,
							   const void *from, void *scratch);
extern void VxPrefetchVector(VxReader *reader, VxNodeId id);
extern VxReader *VxReaderCreate(Relation index, const VxIndex *ix,
								VxNodeId nnodes);

/* ------------------------------------------------------------------ idset.c */

/* A set of node ids; see idset.c */
typedef struct VxIdSet
{
	MemoryContext context;
	uint64		universe;		/* it holds ids below this */
	bool		dense;			/* many of them, probably */
	uint32		count;			/* ids in the set */
	uint64	   *bitmap;			/* NULL if a table */
	VxNodeId   *table;			/* id + 1, 0 is empty; NULL if a bitmap */
	uint32		size;			/* of the table, power of two */
} VxIdSet;

extern void VxIdSetInit(VxIdSet *set, MemoryContext context, uint64 universe,
						bool dense);
extern void VxIdSetReset(VxIdSet *set, uint64 universe);
extern bool VxIdSetAdd(VxIdSet *set, VxNodeId id);
extern int	VxIdSetAddNew(VxIdSet *set, VxNodeId *ids, int n);
extern bool VxIdSetHas(const VxIdSet *set, VxNodeId id);
extern Size VxIdSetMemory(const VxIdSet *set);

/* ------------------------------------------------------------ neighbors.c */

typedef struct VxCandidate
{
	float		dist;
	VxNodeId	id;
} VxCandidate;

/* Candidates that neighbors may be chosen from, at most */
#define VX_MAX_CANDIDATES 1024

StaticAssertDecl(VX_MAX_CANDIDATES > VX_MAX_EF_CONSTRUCTION &&
				 VX_MAX_CANDIDATES > 2 * VX_MAX_M, "room for all candidates");

/*
 * Distances from candidate "from" to the n candidates others[0 .. n-1], all by
 * their index in the list
 */
typedef void (*VxDistancesFn) (void *arg, int from, const int *others, int n,
							   float *out);

extern int	VxSelectNeighbors(const VxCandidate *candidates, int n, int max,
							  int fill, VxDistancesFn distances, void *arg,
							  int *selected);

/*
 * How much farther than a chosen neighbor the node may be for a candidate to
 * be taken still.  Measured with m = 16, ef_construction = 200, ef_search = 40,
 * recall@10 / nodes visited: Fashion-MNIST 1.0: .996 / 453, 1.1: .997 / 536,
 * 1.2: .999 / 560; a quarter of GloVe 1.0: .874 / 1001, 1.1: .893 / 1020, 1.2:
 * .878 / 961; full lists, as filling up with pruned candidates gives, .894 /
 * 1064 on the latter, and far more visits on the former.
 */
#define VX_PRUNE_SLACK 1.1f

/*
 * A neighbor at this distance or nearer strikes out a candidate whose distance
 * from the node is dist (which may be negative, under inner product).
 */
static inline float
VxStrikeLimit(float dist)
{
	return dist >= 0 ? dist / VX_PRUNE_SLACK : dist * VX_PRUNE_SLACK;
}

/* Does it, being "between" apart from the candidate? */
static inline bool
VxStrikesOut(float dist, float between)
{
	return VxStrikeLimit(dist) >= between;
}

/*
 * How many links a new list gets, and one that overflows keeps, if there are so many
 * candidates, even if the heuristic would take fewer.
 */
static inline int
VxFillLinks(int capacity)
{
	return capacity / 2;
}

/* Must a candidate be among those taken? */
typedef bool (*VxNeededFn) (void *arg, int candidate);

extern int	VxKeepNeeded(VxNeededFn needed, void *arg, int n, int max,
						 int *selected, int count);
extern int	VxDrawLevel(const VxIndex *ix);

/* Binary heaps of candidates, least distance on top */
extern void VxHeapPush(VxCandidate *heap, int *n, VxCandidate c);
extern VxCandidate VxHeapPop(VxCandidate *heap, int *n);

/* ---------------------------------------------------------- walk.c: search */

/*
 * Nodes that a search with a beam of ef visits, about: VX_VISITS_FACTOR * m *
 * ef ^ VX_VISITS_POWER.  That lies between what was measured on Fashion-MNIST
 * (465 at ef 40, 1102 at 160) and on GloVe (973 and 2871), with m = 16.
 */
#define VX_VISITS_FACTOR 3.0
#define VX_VISITS_POWER 0.7

/* A node that the walk looked at */
typedef struct VxVisit
{
	VxNodeId	id;
	float		dist;			/* estimate */
	float		error;			/* its standard deviation */
	uint16		generation;
	bool		result;			/* a row, or the head of a chain of rows; else it
								 * only leads on */
	bool		passes;			/* the filter, if there is one: it counts; a head
								 * that does not may have members that do */
} VxVisit;

/*
 * Lower bounds of distances lie this many standard deviations below the
 * estimate.  Measured at ef 40, recall@10 / vectors read: 2: Fashion-MNIST .9944
 * / 15, GloVe .852 / 21; 3: .9974 / 18, .858 / 29; 3.5: .9976 / 19, .858 / 34.
 */
#define VX_BOUND_DEVIATIONS 3.0

static inline double
VxLowerBound(float dist, float error)
{
	double		bound = (double) dist - VX_BOUND_DEVIATIONS * (double) error;

	return isnan(bound) ? -INFINITY : bound;
}

/* A node in the beam of a walk */
typedef struct VxBeamEntry
{
	float		dist;
	uint32		found;			/* index of its visit; VX_EXPANDED */
} VxBeamEntry;

/* It has been expanded, or was before this stage of the walk */
#define VX_EXPANDED ((uint32) 1 << 31)

typedef struct VxWalkStats
{
	int64		hops;
	int64		visited;		/* nodes estimated */
	int64		passed;			/* of these, rows that passed the filter */
	int64		pages;			/* node pages touched, again counts again */
	int64		vectors;		/* vectors read */
	int64		resumes;
	int64		flat_passes;
} VxWalkStats;

/*
 * A best-first walk over the graph on disk.  The memory is the context's.
 */
typedef struct VxWalk
{
	/* unchanging */
	Relation	index;
	const VxIndex *ix;
	VxQuery	   *query;
	MemoryContext context;
	VxWalkStats *stats;

	/* mutable */
	VxNodeId	nnodes;			/* ids below this have pages */
	VxReader   *reader;			/* of node pages */
	VxIdSet		visited;
	VxBeamEntry *beam;			/* the nearest results */
	bool		sorted;			/* or else a max-heap of distances only */
	int			nbeam;
	int			next;			/* those before are expanded, if sorted */
	int			beam_size;		/* ef of this stage: the first so many count */
	int			beam_room;		/* that many are kept */
	int			max_beam;
	float		bound;			/* distance of the last that counts; infinite
								 * while there are fewer */
	float		slack;			/* see BEAM_SLACK */
	float		limit;			/* what is not nearer is not expanded */
	float		error_sum;		/* of the errors of estimates so far */
	int			nerrors;
	VxCandidate *open;			/* heap of other nodes to expand */
	int			nopen;
	int			max_open;
	VxVisit    *found;			/* results that may lie within the bound */
	int			nfound;
	int			max_found;
	VxVisit    *deferred;		/* nodes to expand when the walk resumes, and
								 * results that lie beyond the bound */
	int			ndeferred;
	int			max_deferred;
	int			nlater;			/* results among those */
} VxWalk;

extern void VxWalkInit(VxWalk *walk, Relation index, const VxIndex *ix,
					   VxQuery *query, VxWalkStats *stats);
extern void VxWalkReset(VxWalk *walk);
extern bool VxWalkEnter(VxWalk *walk, VxNodeId node);
extern bool VxWalkDescend(VxWalk *walk, VxEntry *entry, int level);
extern void VxWalkBeam(VxWalk *walk, int ef);
extern void VxWalkCount(VxWalk *walk, float dist);
extern void VxWalkAdvance(VxWalk *walk, int level, int64 max_visits);
extern void VxWalkSettle(VxWalk *walk);
extern void VxWalkRun(VxWalk *walk, int level);
extern Size VxWalkMemory(const VxWalk *walk);

/* The visit of a node in the beam, unless the scan has taken it */
static inline const VxVisit *
VxBeamVisit(const VxWalk *walk, int i)
{
	return &walk->found[walk->beam[i].found & ~VX_EXPANDED];
}

struct VxGathered;
extern int	VxVisitNodes(VxReader *reader, const VxQuery *query,
						 const VxNodeId *ids, int n, VxVisit *out,
						 VxWalkStats *stats, struct VxGathered *copy);
extern int	VxReadLinks(VxReader *reader, VxNodeId id, int level,
						VxNodeId *links, VxWalkStats *stats);
extern bool VxReadRow(Relation index, const VxIndex *ix, VxNodeId id,
					  const VxFilter *filter, VxNodeSlot header, bool *passes);
extern bool VxReadSlot(Relation index, const VxIndex *ix, VxNodeId id,
					   VxNodeSlot header, uint8 *code, VxNodeId *links);

/* ------------------------------------------------------------------ links.c */

/* Nodes gathered with their codes, so that they can be judged without pages */
typedef struct VxGathered
{
	/* unchanging */
	const VxIndex *ix;
	int			max;			/* nodes that there is room for */

	/* mutable */
	int			n;				/* candidates */
	VxNodeId   *ids;			/* what to gather */
	VxVisit    *visits;			/* what was found */
	uint8	   *codes;			/* parallel to visits */
	VxFactors  *factors;		/* likewise */
	VxNodeId   *first;			/* likewise: the first link on level 0 */
	VxCandidate *candidates;	/* by distance */
	int		   *order;			/* index into visits, parallel to candidates */
	int		   *selected;		/* candidates chosen */
	VxQuery		pair;			/* from one of the codes */
} VxGathered;

/* What changing lists of links takes, kept from one change to the next */
typedef struct VxLinker
{
	/* unchanging */
	Relation	index;
	const VxIndex *ix;

	/* mutable */
	VxReader   *reader;
	VxWalkStats stats;
	VxQuery		center;			/* the node whose list is judged */
	uint8	   *code;			/* of that node */
	VxGathered	list;			/* the nodes in the list */
} VxLinker;

/* A node that a link is to be added to */
typedef struct VxTarget
{
	VxNodeId	id;
	uint16		generation;
	bool		full;			/* its list has no room */
	int			at;				/* where in the list, or -1 */
} VxTarget;

extern void VxGatheredInit(VxGathered *g, const VxIndex *ix, int max);
extern void VxLinkerInit(VxLinker *linker, Relation index, const VxIndex *ix);
extern bool VxHasPage(VxLinker *linker, VxNodeId id);
extern void VxGather(VxLinker *linker, VxGathered *g, const VxQuery *query, int n);
extern int	VxChooseGathered(VxGathered *g, int capacity);
extern void VxWriteLinks(Page page, VxNodeId *links, int capacity,
						 const VxNodeId *new, int n);
extern bool VxAddLinks(VxLinker *linker, VxNodeId from, int level,
					   const VxNodeId *to, int nto, bool force);
extern bool VxLinkBack(VxLinker *linker, VxNodeId to, VxTarget *targets, int n);

/* ----------------------------------------------------------------- insert.c */

typedef struct VxInserter VxInserter;

extern bool vxinsert(Relation index, Datum *values, bool *isnull,
					 ItemPointer tid, Relation heap,
					 IndexUniqueCheck check_unique, bool index_unchanged,
					 IndexInfo *info);
extern VxInserter *VxInserterCreate(Relation index, const VxIndex *ix);
extern void VxInsertVector(VxInserter *ins, const void *vector, const uint8 *attrs,
						   ItemPointer tid);
extern const void *VxCheckedVector(Relation index, const VxIndex *ix,
								   Datum value, Pointer *detoasted);
extern void VxConnect(VxInserter *ins, VxNodeId id);

/* ------------------------------------------------------------------- info.c */

extern void VxRequireRights(Oid relid);
extern Relation VxOpenIndex(Oid relid);

/* ------------------------------------------------------------ other phases */

extern IndexBuildResult *vxbuild(Relation heap, Relation index, IndexInfo *info);
extern void vxbuildempty(Relation index);
extern char *vxbuildphasename(int64 phasenum);

extern IndexScanDesc vxbeginscan(Relation index, int nkeys, int norderbys);
extern void vxrescan(IndexScanDesc scan, ScanKey keys, int nkeys,
					 ScanKey orderbys, int norderbys);
extern bool vxgettuple(IndexScanDesc scan, ScanDirection dir);
extern void vxendscan(IndexScanDesc scan);

/* A search without the executor, for measuring recall */
typedef struct VxSearch VxSearch;
extern VxSearch *VxSearchBegin(Relation index, const VxIndex *ix);
extern void VxSearchStart(VxSearch *search, const void *vector,
						  const VxFilter *filter);
extern bool VxSearchNext(VxSearch *search, ItemPointer tid, double *distance,
						 VxNodeId *id);
extern const VxWalkStats *VxSearchStats(const VxSearch *search);
extern VxWalkStats VxLastScan;

extern IndexBulkDeleteResult *vxbulkdelete(IndexVacuumInfo *info,
										   IndexBulkDeleteResult *stats,
										   IndexBulkDeleteCallback callback,
										   void *callback_state);
extern IndexBulkDeleteResult *vxvacuumcleanup(IndexVacuumInfo *info,
											  IndexBulkDeleteResult *stats);

extern void vxcostestimate(struct PlannerInfo *root, struct IndexPath *path,
						   double loop_count, Cost *startup, Cost *total,
						   Selectivity *selectivity, double *correlation,
						   double *pages);
extern bytea *vxoptions(Datum reloptions, bool validate);
extern const VxSpace *VxFindSpace(const FmgrInfo *function, Oid type);
extern bool vxvalidate(Oid opclass);

extern void VxHnswInit(void);
extern void VxPlannerInit(void);
extern void VxPathsInit(void);

#endif							/* VX_HNSW_H */
