/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Rows that a build keeps in temporary files.
 *
 * The graph in memory has codes only.  Vectors go to a file, in the order in
 * which rows are read from the table, and come back when pages are written;
 * rows that no longer fit into memory at all are appended to the same file.
 * Each participant writes a file of its own and, when all have written theirs,
 * may read all of them.
 *
 * Rows of nodes have a fixed size, and so have the rest, so a row's number
 * tells where it is.
 *
 *	of a node:	factors and code of the index, if they are not in the node;
 *				attributes; vector, unless it is the code
 *	the rest:	heap TID, attributes, vector
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "hnsw/rows.h"

#define NAME_SIZE 16

/*
 * In the current memory context and resource owner, which must outlive it.
 * counts is shared by all participants, and zero at first; with_codes: rows of
 * nodes have the code of the index, too.
 */
VxRows *
VxRowsCreate(const VxIndex *ix, SharedFileSet *fileset, int self,
			 int nparticipants, VxRowCounts *counts, bool with_codes)
{
	VxRows	   *rows = palloc0(sizeof(VxRows));
	Size		vector_bytes = (Size) ix->codec.vector_bytes;

	rows->ix = ix;
	rows->context = CurrentMemoryContext;
	rows->fileset = fileset;
	rows->self = self;
	rows->nparticipants = nparticipants;
	rows->with_codes = with_codes;
	if (with_codes)
		rows->code_bytes = INTALIGN(sizeof(VxFactors) + (Size) ix->codec.nbytes);
	rows->node_bytes = rows->code_bytes + (Size) ix->attr_size;
	if (ix->codec.kind != VX_CODE_RAW)
		rows->node_bytes += vector_bytes;
	rows->rest_bytes = MAXALIGN(sizeof(ItemPointerData)) + (Size) ix->attr_size +
		vector_bytes;
	rows->files = palloc0(sizeof(BufFile *) * (Size) nparticipants);
	rows->counts = counts;
	return rows;
}

/* Are there as many rows in this participant's file as can be numbered? */
bool
VxRowsFull(const VxRows *rows)
{
	return rows->counts[rows->self].nodes == PG_UINT32_MAX;
}

static void
file_name(char *name, int participant)
{
	snprintf(name, NAME_SIZE, "rows%d", participant);
}

/* This participant's file, made when it is first wanted */
static BufFile *
own_file(VxRows *rows)
{
	BufFile   **file = &rows->files[rows->self];
	MemoryContext old = MemoryContextSwitchTo(rows->context);

	if (*file == NULL && rows->fileset != NULL)
	{
		char		name[NAME_SIZE];

		file_name(name, rows->self);
		*file = BufFileCreateFileSet(&rows->fileset->fs, name);
	}
	else if (*file == NULL)
		*file = BufFileCreateTemp(false);
	MemoryContextSwitchTo(old);
	return *file;
}

static void
write_bytes(BufFile *file, const void *bytes, Size size)
{
	/* the argument was no pointer to const before 16 */
	BufFileWrite(file, unconstify(void *, bytes), size);
}

/*
 * Append the row of a node, before any of the rest; returns its number.
 * factors and code are those of the index.
 */
uint32
VxRowsAppendNode(VxRows *rows, const VxFactors *factors, const uint8 *code,
				 const uint8 *attrs, const void *vector)
{
	VxRowCounts *counts = &rows->counts[rows->self];
	Size		code_bytes = (Size) rows->ix->codec.nbytes;
	const uint32 zero = 0;

	Assert(counts->rest == 0);
	if (rows->with_codes)
	{
		write_bytes(own_file(rows), factors, sizeof(VxFactors));
		write_bytes(own_file(rows), code, code_bytes);
		write_bytes(own_file(rows), &zero,
					rows->code_bytes - sizeof(VxFactors) - code_bytes);
	}
	if (rows->ix->attr_size > 0)
		write_bytes(own_file(rows), attrs, (Size) rows->ix->attr_size);
	if (rows->ix->codec.kind != VX_CODE_RAW)
		write_bytes(own_file(rows), vector, (Size) rows->ix->codec.vector_bytes);
	return counts->nodes++;
}

void
VxRowsAppendRest(VxRows *rows, ItemPointer tid, const uint8 *attrs,
				 const void *vector)
{
	char		head[MAXALIGN(sizeof(ItemPointerData))] = {0};

	memcpy(head, tid, sizeof(ItemPointerData));
	write_bytes(own_file(rows), head, sizeof(head));
	if (rows->ix->attr_size > 0)
		write_bytes(own_file(rows), attrs, (Size) rows->ix->attr_size);
	write_bytes(own_file(rows), vector, (Size) rows->ix->codec.vector_bytes);
	rows->counts[rows->self].rest++;
}

/* Let others read this participant's file; nothing can be appended any more */
void
VxRowsShare(VxRows *rows)
{
	if (rows->fileset != NULL && rows->files[rows->self] != NULL)
		BufFileExportFileSet(rows->files[rows->self]);
}

static void
read_bytes(VxRows *rows, int participant, uint64 offset, char *buffer, Size size)
{
	BufFile    *file = rows->files[participant];

	if (file == NULL && rows->fileset != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(rows->context);
		char		name[NAME_SIZE];

		file_name(name, participant);
		file = BufFileOpenFileSet(&rows->fileset->fs, name, O_RDONLY, false);
		MemoryContextSwitchTo(old);
		rows->files[participant] = file;
	}
	if (file == NULL || BufFileSeek(file, 0, (off_t) offset, SEEK_SET) != 0 ||
		BufFileRead(file, buffer, size) != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read a temporary file of an index build: %m")));
}

/*
 * Read the row of a node into buffer, which is suitably aligned and has
 * node_bytes; out points into it.
 */
void
VxRowsReadNode(VxRows *rows, int participant, uint32 row, char *buffer, VxRow *out)
{
	if (rows->node_bytes > 0)
		read_bytes(rows, participant, (uint64) row * rows->node_bytes, buffer,
				   rows->node_bytes);
	if (rows->with_codes)
		memcpy(&out->factors, buffer, sizeof(VxFactors));
	out->code = (uint8 *) buffer + sizeof(VxFactors);
	out->attrs = (uint8 *) buffer + rows->code_bytes;
	out->vector = buffer + rows->code_bytes + rows->ix->attr_size;
}

/* Read row i of the rest, likewise (rest_bytes); returns its vector */
const char *
VxRowsReadRest(VxRows *rows, int participant, uint32 i, char *buffer,
			   ItemPointer tid, const uint8 **attrs)
{
	uint64		begin = (uint64) rows->counts[participant].nodes * rows->node_bytes;

	read_bytes(rows, participant, begin + (uint64) i * rows->rest_bytes, buffer,
			   rows->rest_bytes);
	memcpy(tid, buffer, sizeof(ItemPointerData));
	*attrs = (uint8 *) buffer + MAXALIGN(sizeof(ItemPointerData));
	return buffer + MAXALIGN(sizeof(ItemPointerData)) + rows->ix->attr_size;
}

void
VxRowsClose(VxRows *rows)
{
	for (int i = 0; i < rows->nparticipants; i++)
		if (rows->files[i] != NULL)
			BufFileClose(rows->files[i]);
	pfree(rows->files);
	pfree(rows);
}
