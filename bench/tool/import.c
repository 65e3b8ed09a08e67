/*
 * import.c
 *		Make files of vectors out of others' formats.
 *
 *	import copy METRIC FROM TO [LIMIT]		COPY text whose last column is a vector
 *	import fvecs METRIC FROM TO [LIMIT]		for each row, its length and its floats
 *	import raw METRIC FROM TO [LIMIT]		two little-endian int32 (rows, dimensions),
 *											then floats; bench/to-raw writes it
 *	split PREFIX QUERIES					PREFIX.part into .query, so many of its rows
 *											evenly spread, and .base, the others
 *	info PREFIX								dimensions, metric, rows, queries
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "tool.h"

typedef struct Import
{
	FILE	   *from;
	const char *from_path;
	const char *to_path;
	Metric		metric;
	int64_t		limit;
	VectorWriter writer;
} Import;

/* Parse "[1,2,3]" into values, of which there is room for MAX_DIMS */
static int
parse_vector(const char *text, float *values)
{
	int			n = 0;

	do
	{
		char	   *end;

		if (n == MAX_DIMS)
			die("a vector has more than %d elements", MAX_DIMS);
		values[n++] = strtof(text + 1, &end);
		if (end == text + 1)
			die("not a vector at \"%.20s\"", text);
		text = end;
	} while (*text == ',');
	if (*text != ']')
		die("not a vector at \"%.20s\"", text);
	return n;
}

static void
import_copy(Import *import, float *values)
{
	char	   *line = NULL;
	size_t		room = 0;

	while (import->writer.rows < import->limit && getline(&line, &room, import->from) > 0)
	{
		const char *vector = strrchr(line, '[');
		int			dims;

		if (vector == NULL)
			die("\"%s\" has a line without a vector", import->from_path);
		dims = parse_vector(vector, values);
		if (import->writer.file == NULL)
			writer_open(&import->writer, import->to_path, dims, import->metric);
		if (dims != import->writer.dims)
			die("\"%s\" has vectors of different lengths", import->from_path);
		writer_add(&import->writer, values);
	}
	free(line);
}

static void
import_fvecs(Import *import, float *values)
{
	int32_t		dims;

	while (import->writer.rows < import->limit && fread(&dims, sizeof(dims), 1, import->from) == 1)
	{
		if (import->writer.file == NULL)
			writer_open(&import->writer, import->to_path, dims, import->metric);
		if (dims != import->writer.dims ||
			fread(values, sizeof(float), dims, import->from) != (size_t) dims)
			die("\"%s\" is damaged at row %lld", import->from_path, (long long) import->writer.rows);
		writer_add(&import->writer, values);
	}
}

static void
import_raw(Import *import, float *values)
{
	int32_t		numbers[2];
	int32_t		row;

	if (fread(numbers, sizeof(numbers), 1, import->from) != 1)
		die("\"%s\" is too short", import->from_path);
	writer_open(&import->writer, import->to_path, numbers[1], import->metric);
	for (row = 0; row < numbers[0] && row < import->limit; row++)
	{
		if (fread(values, sizeof(float), numbers[1], import->from) != (size_t) numbers[1])
			die("\"%s\" ends early", import->from_path);
		writer_add(&import->writer, values);
	}
}

int
cmd_import(int argc, char **argv)
{
	Import		import = {0};
	float	   *values = allocate(MAX_DIMS, sizeof(float));

	if (argc < 4)
		die("import FORMAT METRIC FROM TO [LIMIT]");
	import.metric = metric_by_name(argv[1]);
	import.from_path = argv[2];
	import.to_path = argv[3];
	import.limit = argc > 4 ? parse_number(argv[4], 1, INT32_MAX) : INT32_MAX;
	import.from = strcmp(argv[2], "-") == 0 ? stdin : fopen(argv[2], "rb");
	if (import.from == NULL)
		die("could not open \"%s\": %m", argv[2]);
	if (strcmp(argv[0], "copy") == 0)
		import_copy(&import, values);
	else if (strcmp(argv[0], "fvecs") == 0)
		import_fvecs(&import, values);
	else if (strcmp(argv[0], "raw") == 0)
		import_raw(&import, values);
	else
		die("there is no format \"%s\"", argv[0]);
	if (import.writer.rows == 0)
		die("\"%s\" has no vectors", import.from_path);
	writer_close(&import.writer);
	free(values);
	return 0;
}

int
cmd_split(int argc, char **argv)
{
	Vectors		all;
	VectorWriter base;
	VectorWriter queries;
	char		paths[2][4096];
	int64_t		wanted;
	int64_t		row;

	if (argc < 2)
		die("split PREFIX QUERIES");
	all = vectors_open(argv[0], "part");
	wanted = parse_number(argv[1], 1, all.rows / 2);
	snprintf(paths[0], sizeof(paths[0]), "%s.base", argv[0]);
	snprintf(paths[1], sizeof(paths[1]), "%s.query", argv[0]);
	writer_open(&base, paths[0], all.dims, all.metric);
	writer_open(&queries, paths[1], all.dims, all.metric);
	for (row = 0; row < all.rows; row++)
	{
		/* the middle of each of so many equal parts */
		bool		query = queries.rows < wanted && row == (2 * queries.rows + 1) * all.rows / (2 * wanted);

		writer_add(query ? &queries : &base, all.values + row * all.dims);
	}
	writer_close(&base);
	writer_close(&queries);
	return 0;
}

int
cmd_info(int argc, char **argv)
{
	Vectors		base;
	Vectors		queries;

	if (argc < 1)
		die("info PREFIX");
	base = vectors_open(argv[0], "base");
	queries = vectors_open(argv[0], "query");
	printf("%d %s %lld %lld\n", base.dims, metric_name(base.metric),
		   (long long) base.rows, (long long) queries.rows);
	return 0;
}
