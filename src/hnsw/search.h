/*-------------------------------------------------------------------------
 *
 * search.h
 *	  What the files of a search share: scan.c, flat.c, hits.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_SEARCH_H
#define VX_SEARCH_H

#include "hnsw/attr.h"
#include "hnsw/reader.h"

/*
 * Costs of a filtered search, in nanoseconds, for the choice between walk and
 * flat pass: of a visit, beside those of its code, by the byte; of a node that a
 * flat pass passes by; of one that it estimates, as a share of a visit; of a page
 * that must be read, by walk and by flat pass.  Measured, without the pages, on
 * Fashion-MNIST, 392 bytes: a visit 110 to 150, to pass by 5.5 (the processor's
 * cache holds what is read); GloVe, 50 bytes: 65 to 90, and 10.
 */
#define VX_VISIT_TIME 60.0
#define VX_VISIT_BYTE_TIME 0.17
#define VX_PASS_BY_TIME 8.0
#define VX_ESTIMATE_SHARE 0.5
#define VX_RANDOM_READ_TIME 20000.0
#define VX_FLAT_READ_TIME 5000.0

/* Nodes that a walk with such a beam visits, about */
static inline double
VxWalkVisits(double m, double beam)
{
	return VX_VISITS_FACTOR * m * pow(beam, VX_VISITS_POWER);
}

/* Time of a visit, and of a flat pass in which such a share of the nodes passes */
static inline double
VxVisitTime(const VxIndex *ix)
{
	return VX_VISIT_TIME + VX_VISIT_BYTE_TIME * ix->codec.nbytes;
}

static inline double
VxFlatTime(const VxIndex *ix, double nodes, double share)
{
	return nodes * (VX_PASS_BY_TIME + share * VxVisitTime(ix) * VX_ESTIMATE_SHARE);
}

/* A row that waits to be returned */
typedef struct VxHit
{
	double		key;			/* exact distance, or a lower bound of it */
	VxNodeId	id;
	uint16		generation;
	bool		exact:1;		/* which of the two key is */
	bool		passes:1;		/* the filter; else its chain may have rows */
	bool		asked:1;		/* if exact, for the table's page; else for the
								 * vector */
} VxHit;

struct VxSearch
{
	/* unchanging */
	Relation	index;
	const VxIndex *ix;
	MemoryContext context;
	VxQuery		query;
	void	   *vector;			/* the query vector */
	void	   *scratch;		/* a vector read for ranking */
	Relation	heap;			/* the table, if its pages may be asked for */

	/* settings, as of the start of this search */
	const VxFilter *filter;		/* rows to be returned; NULL for all */
	int			ef;
	VxIterativeScan iterative;
	int64		max_tuples;
	Size		max_memory;

	/* mutable */
	VxWalk		walk;
	VxWalkStats stats;
	bool		ranked;			/* false: every distance is NULL or NaN */
	bool		started;
	bool		dear;			/* to walk on would cost more than a flat pass */
	bool		flat;			/* the graph is of no more use */
	bool		flat_more;		/* the last flat pass left rows out */
	int64		quota;			/* rows to return before the walk resumes */
	int			step;			/* beam of the next stage */
	int64		nreturned;
	double		last;			/* distance of the last row returned */
	VxIdSet		returned;		/* rows that later passes must not find */

	VxHit	   *hits;			/* min-heap by key */
	int			nhits;
	int			max_hits;
	double		queued;			/* what the walk found within is in the heap */
	VxHit	   *late;			/* rows kept back */
	int			nlate;
	int			max_late;
	bool		late_sorted;	/* farthest first */
	bool		rows_missing;	/* pages of the table are not in shared buffers */
	BlockNumber heap_blocks;	/* of the table, then */

	/* the chain of duplicates that is being returned */
	VxNodeId	chain_head;
	uint16		chain_generation;
	VxNodeId	chain_next;
	double		chain_distance;
	int			chain_restarts;
	uint64		chain_steps;	/* since the last restart */
};

/* hits.c */
extern VxHit *VxGrowHits(VxSearch *search, VxHit *array, int n, int *max);
extern VxHit *VxAppendHit(VxSearch *search, double key, VxNodeId id, uint16 generation);
extern void VxSiftUp(VxHit *hits, int i);
extern void VxSiftDown(VxHit *hits, int n, int i);
extern void VxHeapifyHits(VxHit *hits, int n);
extern VxHit VxPopHit(VxSearch *search);

/* flat.c */
extern void VxFlatPass(VxSearch *search);

/* scan.c */
extern double VxSearchTime(const VxIndex *ix, double nodes, double share);
extern void VxScanAmong(IndexScanDesc scan, const VxTidSet *tids);
extern const VxWalkStats *VxScanStats(IndexScanDesc scan);

#endif							/* VX_SEARCH_H */
