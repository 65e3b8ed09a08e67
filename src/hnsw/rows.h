/*-------------------------------------------------------------------------
 *
 * rows.h
 *	  Rows that a build keeps in temporary files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VX_ROWS_H
#define VX_ROWS_H

#include "storage/buffile.h"
#include "storage/sharedfileset.h"

#include "hnsw/hnsw.h"

/* What participants tell each other about a file */
typedef struct VxRowCounts
{
	uint32		nodes;			/* rows whose nodes are in the graph */
	uint32		rest;			/* rows after those, still to be inserted */
} VxRowCounts;

/* A row of a node: index code with its factors, if kept, attributes, vector */
typedef struct VxRow
{
	VxFactors	factors;
	const uint8 *code;
	const uint8 *attrs;
	const char *vector;
} VxRow;

/* A participant's view of the files of all */
typedef struct VxRows
{
	const VxIndex *ix;
	MemoryContext context;		/* of the files */
	SharedFileSet *fileset;		/* NULL in a serial build */
	int			self;			/* this participant */
	int			nparticipants;
	bool		with_codes;		/* do rows of nodes have index codes? */
	Size		code_bytes;		/* of factors and code, in a row of a node */
	Size		node_bytes;		/* of a row of a node */
	Size		rest_bytes;		/* of one of the rest */
	BufFile   **files;			/* by participant; NULL if not open */
	VxRowCounts *counts;		/* by participant, shared */
} VxRows;

extern VxRows *VxRowsCreate(const VxIndex *ix, SharedFileSet *fileset, int self,
							int nparticipants, VxRowCounts *counts,
							bool with_codes);
extern bool VxRowsFull(const VxRows *rows);
extern uint32 VxRowsAppendNode(VxRows *rows, const VxFactors *factors,
							   const uint8 *code, const uint8 *attrs,
							   const void *vector);
extern void VxRowsAppendRest(VxRows *rows, ItemPointer tid, const uint8 *attrs,
							 const void *vector);
extern void VxRowsShare(VxRows *rows);
extern void VxRowsReadNode(VxRows *rows, int participant, uint32 row,
						   char *buffer, VxRow *out);
extern const char *VxRowsReadRest(VxRows *rows, int participant, uint32 i,
								  char *buffer, ItemPointer tid, const uint8 **attrs);
extern void VxRowsClose(VxRows *rows);

#endif							/* VX_ROWS_H */
