/*-------------------------------------------------------------------------
 *
 * format.h
 *	  The on-disk format of an hnsw index, and nothing else.
 *
 * Block 0 is the metapage.  The rest is a sequence of stripes, each a node
 * page followed by vector_pages vector pages:
 *
 *	block 0					metapage
 *	block 1 + i * (1 + V)	node page of stripe i
 *	the next V blocks		vector pages of stripe i
 *
 * A node page is an array of slots of equal size, slot s at
 *
 *	SizeOfPageHeaderData + s * slot_size
 *
 * and a slot of a row looks like this:
 *
 *	offset		bytes
 *	0			1			state
 *	1			1			level
 *	2			2			generation
 *	4			6			heap TID
 *	10			2			zero
 *	12			4			chain: next slot with the same vector
 *	16			4			upper: slot of the upper layers; in a duplicate, head
 *	20			12			factors of the code
 *	32			attr_size	attributes (filter columns), multiple of 4
 *	code_offset	code_size	code, padded to a multiple of 4
 *	link_offset	8 * m		links of level 0, node ids, packed from the front;
 *							VX_INVALID_NODE ends them
 *
 * while a slot of state "upper", which a node of level >= 1 owns, is
 *
 *	0			1			state
 *	1			1			level of the owner
 *	2			2			generation
 *	4			4			owner
 *	8			4 * m		links of level 1, packed likewise; then of level 2 ...
 *
 * The node id i is slot i % slots_per_page of stripe i / slots_per_page.  Its
 * vector is bytes [s * vector_size, (s + 1) * vector_size) of the contents of
 * the stripe's vector pages laid end to end, each VX_PAGE_BYTES of them.
 *
 * The attributes begin with a bit for each filter column, set where it is NULL,
 * in whole bytes; the columns follow, in the order of the index, each of the
 * width of its kind and zero where it is NULL.  What is in them, attr.c tells.
 *
 * All-zero pages are legal: a node page of free slots, a vector page of no
 * vectors.  pd_lower is the end of the bytes that were ever written, so that
 * page images are no larger than that; what lies beyond reads as zero.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_FORMAT_H
#define VX_FORMAT_H

#include "pg_config_manual.h"
#include "storage/block.h"
#include "storage/bufpage.h"
#include "storage/itemptr.h"

#include "code/code.h"

#define VX_MAGIC			0x76786831	/* "vxh1" */
#define VX_FORMAT_VERSION	1
#define VX_META_BLOCK		0
#define VX_PAGE_ID			0x5658	/* in the special space of every page */

typedef uint32 VxNodeId;

#define VX_INVALID_NODE		((VxNodeId) 0xFFFFFFFF)

/* Special space of every page */
typedef enum VxPageKind
{
	VX_PAGE_META = 1,
	VX_PAGE_NODES,
	VX_PAGE_VECTORS
} VxPageKind;

typedef struct VxPageSpecialData
{
	uint16		kind;			/* VxPageKind */
	uint16		page_id;		/* VX_PAGE_ID */
	uint32		stripe;			/* number of the stripe; 0 in the metapage */
} VxPageSpecialData;

typedef VxPageSpecialData *VxPageSpecial;

#define VX_PAGE_BYTES \
	(BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - MAXALIGN(sizeof(VxPageSpecialData)))

/* What a filter column has in a slot; see attr.c */
typedef enum VxAttrKind
{
	VX_ATTR_NONE = 0,
	VX_ATTR_BOOL,				/* 1 byte */
	VX_ATTR_INT2,				/* 2 bytes */
	VX_ATTR_INT4,				/* 4 bytes: integer, date */
	VX_ATTR_INT8,				/* 8 bytes: bigint, time, timestamps */
	VX_ATTR_OID,				/* 4 bytes: oid, enums */
	VX_ATTR_FLOAT4,				/* 4 bytes */
	VX_ATTR_FLOAT8,				/* 8 bytes */
	VX_ATTR_UUID,				/* 16 bytes */
	VX_ATTR_NUMERIC,			/* 8 bytes: the nearest float8 */
	VX_ATTR_INET,				/* 8 bytes: the beginning of the address */
	VX_ATTR_HASH,				/* 8 bytes: a hash */
	VX_ATTR_ARRAY,				/* 16 bytes: hashes of elements */
	VX_N_ATTR_KINDS
} VxAttrKind;

/* Filter columns of an index, at most */
#define VX_MAX_ATTRS (INDEX_MAX_KEYS - 1)

/* States of a slot.  Zero must be free: new pages are zero. */
typedef enum VxSlotState
{
	VX_SLOT_FREE = 0,			/* nothing; may be taken */
	VX_SLOT_LIVE,				/* a row, a node of the graph */
	VX_SLOT_DEAD,				/* a node whose row vacuum removed: routes, and
								 * heads its chain if it has one */
	VX_SLOT_DUPLICATE,			/* a row whose vector another node has: in that
								 * node's chain, not in the graph */
	VX_SLOT_DUPLICATE_DEAD,		/* the same, its row removed */
	VX_SLOT_LONE,				/* a row outside the graph and any chain */
	VX_SLOT_UPPER,				/* upper-layer links of a node */
	VX_N_SLOT_STATES
} VxSlotState;

typedef struct VxNodeSlotData
{
	uint8		state;			/* VxSlotState */
	uint8		level;			/* top layer of the node, 0 .. max_level */
	uint16		generation;		/* bumped when the slot is freed */
	ItemPointerData tid;		/* heap TID of the row */
	uint16		unused;
	VxNodeId	chain;			/* next duplicate, or VX_INVALID_NODE */
	VxNodeId	upper;			/* see above, or VX_INVALID_NODE */
	VxFactors	factors;		/* of the code */
	/* attributes, code, links follow */
} VxNodeSlotData;

typedef VxNodeSlotData *VxNodeSlot;

typedef struct VxUpperSlotData
{
	uint8		state;			/* VX_SLOT_UPPER */
	uint8		level;			/* number of layers with links */
	uint16		generation;
	VxNodeId	owner;			/* the node whose links these are */
	VxNodeId	links[FLEXIBLE_ARRAY_MEMBER];	/* m for each layer from 1 */
} VxUpperSlotData;

typedef VxUpperSlotData *VxUpperSlot;

/*
 * The metapage.  Most of its members are fixed when the index is created.
 */
typedef struct VxMetaPageData
{
	uint32		magic;			/* VX_MAGIC */
	uint32		version;		/* VX_FORMAT_VERSION */
	uint32		dims;			/* dimensions of the vectors */
	uint16		element;		/* VxElement */
	uint16		metric;			/* VxMetric */
	uint16		code_kind;		/* VxCodeKind */
	uint16		code_bits;		/* bits per dimension */
	uint16		m;				/* links per node and layer; 2m on level 0 */
	uint16		ef_construction;	/* beam of insertions */
	uint16		attr_size;		/* bytes of attributes in a slot */
	uint16		code_offset;	/* in a slot */
	uint16		link_offset;	/* in a slot */
	uint16		slot_size;		/* bytes */
	uint16		slots_per_page; /* slots on a node page */
	uint16		vector_pages;	/* vector pages of a stripe */
	uint16		max_level;		/* highest layer that an upper slot has room for */

	/* what changes */
	uint16		entry_level;	/* level of the entry point */
	VxNodeId	entry;			/* entry point, or VX_INVALID_NODE */
	uint32		dead;			/* 1 if vacuum marked slots dead that no repair
								 * has freed since */

	/* unchanging again */
	uint8		attr_kinds[VX_MAX_ATTRS];	/* VxAttrKind of the filter columns,
											 * VX_ATTR_NONE after the last */
} VxMetaPageData;

typedef VxMetaPageData *VxMetaPage;

#endif							/* VX_FORMAT_H */
