/*-------------------------------------------------------------------------
 *
 * attr.h
 *	  Filter columns: how their values lie in slots, and predicates on them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_ATTR_H
#define VX_ATTR_H

#include "access/skey.h"
#include "utils/array.h"

#include "hnsw/hnsw.h"
#include "hnsw/tidset.h"

/* Strategy numbers of filter operators; the first five are B-tree's */
#define VX_STRATEGY_OVERLAPS 6
#define VX_STRATEGY_CONTAINS 7

/*
 * A value as it is compared: an unsigned number, of 128 bits for the widest,
 * in whose order the values of the type are
 */
typedef struct VxKey
{
	uint64		high;			/* 0 but for the widest */
	uint64		low;
} VxKey;

/* The elements of an array, as 16 bytes; see attr.c */
#define VX_ARRAY_BYTES 16
#define VX_ARRAY_EXACT 5		/* elements of which hashes are kept */
#define VX_ARRAY_SIGNATURE 0xFF	/* first byte, if there are more */
#define VX_SIGNATURE_BITS ((VX_ARRAY_BYTES - 1) * 8)

typedef enum VxTestKind
{
	VX_TEST_NULL,
	VX_TEST_NOT_NULL,
	VX_TEST_RANGE,				/* low <= value <= high */
	VX_TEST_SET,				/* one of some values */
	VX_TEST_OVERLAPS,			/* arrays: has one of some elements */
	VX_TEST_CONTAINS			/* has all of them */
} VxTestKind;

/* A predicate on one column */
typedef struct VxTest
{
	VxTestKind	kind;
	VxAttr		attr;
	uint8		null_mask;
	int			null_byte;		/* of the attributes */
	VxKey		low;
	VxKey		high;
	int			n;				/* values, or hashes of elements */
	VxKey	   *set;			/* ascending */
	uint64	   *hashes;
} VxTest;

/*
 * What rows a search is to return.  All tests must hold.
 */
struct VxFilter
{
	bool		never;			/* no row will do */
	bool		lossy;			/* a row that passes must be looked at again */
	int			ntests;
	VxTest	   *tests;
	const VxTidSet *tids;		/* rows to choose from, or NULL */
};

extern void VxAttrsFromIndex(Relation index, VxMetaPage meta);
extern bool VxAttrsLayout(const VxMetaPageData *meta, VxIndex *ix);
extern bool VxAttrsMatch(Relation index, const VxIndex *ix);
extern void VxEncodeAttrs(Relation index, const VxIndex *ix, const Datum *values,
						  const bool *isnull, uint8 *out);
extern bool VxAttrKey(Oid type, Oid subtype, Oid collation, Datum value, VxKey *key,
					  bool *exact);
extern uint64 VxElementHash(Oid type, Oid collation, Datum value);
extern int	VxArrayValues(ArrayType *array, Datum **values, bool **nulls);
extern int	VxArrayHashes(ArrayType *array, Oid collation, uint64 **hashes,
						  bool *has_null);

static inline uint8 *
VxSlotAttrs(const VxNodeSlotData *slot)
{
	return (uint8 *) slot + sizeof(VxNodeSlotData);
}

/* The two bits of an element in a signature: set them, or are they set? */
static inline bool
VxArrayBits(uint8 *array, uint64 hash, bool set)
{
	uint32		first = (uint32) (hash % VX_SIGNATURE_BITS);
	uint32		second = (uint32) ((hash >> 32) % VX_SIGNATURE_BITS);

	if (set)
	{
		array[1 + first / 8] |= (uint8) (1 << first % 8);
		array[1 + second / 8] |= (uint8) (1 << second % 8);
	}
	return (array[1 + first / 8] >> first % 8 & array[1 + second / 8] >> second % 8 & 1) != 0;
}

/* Element i of an array of few: 24 bits of its hash */
static inline void
VxPutElement(uint8 *array, int i, uint64 hash)
{
	uint8	   *at = array + 1 + 3 * i;

	at[0] = (uint8) hash;
	at[1] = (uint8) (hash >> 8);
	at[2] = (uint8) (hash >> 16);
}

/* filter.c */
extern VxFilter *VxFilterFromKeys(Relation index, const VxIndex *ix, ScanKey keys,
								  int nkeys);
extern bool VxFilterSlot(const VxFilter *filter, const VxNodeSlotData *slot);
extern void VxFilterPage(const VxFilter *filter, const VxIndex *ix, Page page,
						 bool *pass);

#endif							/* VX_ATTR_H */
