/*
 * classes.c
 *		What kind each row and each query is of.
 *
 *	classes PREFIX [ROWS.copy QUERIES.copy]
 *
 * With the two files, which are COPY text, by their second column, numbers from
 * 0.  Without, by the nearest of ten rows that are spread evenly over the set:
 * any data has such classes, and like labels they go together with the vector.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define PIVOTS 10

/* The labels of the first rows of a file */
static void
read_labels(const char *path, int32_t *classes, int64_t rows)
{
	FILE	   *file = fopen(path, "r");
	char	   *line = NULL;
	size_t		room = 0;
	int64_t		row;

	if (file == NULL)
		die("could not open \"%s\": %m", path);
	for (row = 0; row < rows; row++)
	{
		char	   *rest;
		char	   *label;

		if (getline(&line, &room, file) <= 0)
			die("\"%s\" ends early", path);
		rest = line;
		strsep(&rest, "\t");
		label = strsep(&rest, "\t");
		if (label == NULL)
			die("\"%s\" has a line without a second column", path);
		classes[row] = (int32_t) parse_number(label, 0, MAX_CLASSES - 1);
	}
	free(line);
	fclose(file);
}

static void
nearest_pivots(const Vectors *base, const Vectors *vectors, int32_t *classes)
{
	int64_t		row;
	int			i;

	for (row = 0; row < vectors->rows; row++)
	{
		double		least = 0;

		for (i = 0; i < PIVOTS; i++)
		{
			int64_t		pivot = (2 * i + 1) * base->rows / (2 * PIVOTS);
			double		distance = exact_distance(base->metric, base->values + pivot * base->dims,
												  vectors->values + row * base->dims, base->dims);

			if (i == 0 || distance < least)
			{
				least = distance;
				classes[row] = i;
			}
		}
	}
}

static void
write_classes(const char *prefix, const int32_t *classes, int64_t rows, int64_t queries)
{
	char		header[HEADER_SIZE] = {0};
	int32_t		count = 0;
	char		path[4096];
	FILE	   *file;
	int64_t		i;

	for (i = 0; i < rows + queries; i++)
	{
		if (classes[i] >= count)
			count = classes[i] + 1;
	}
	memcpy(header, "vxclass1", 8);
	memcpy(header + 8, &count, 4);
	memcpy(header + 16, &rows, 8);
	memcpy(header + 24, &queries, 8);
	snprintf(path, sizeof(path), "%s.classes", prefix);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(header, HEADER_SIZE, 1, file) != 1 ||
		fwrite(classes, 4, rows + queries, file) != (size_t) (rows + queries) || fclose(file) != 0)
		die("could not write \"%s\": %m", path);
}

int
cmd_classes(int argc, char **argv)
{
	Vectors		base;
	Vectors		queries;
	int32_t    *classes;

	if (argc != 1 && argc != 3)
		die("classes PREFIX [ROWS.copy QUERIES.copy]");
	base = vectors_open(argv[0], "base");
	queries = vectors_open(argv[0], "query");
	if (base.dims != queries.dims || base.rows < PIVOTS)
		die("rows and queries of \"%s\" do not go together, or there are less than %d rows", argv[0], PIVOTS);
	classes = allocate(base.rows + queries.rows, sizeof(int32_t));
	if (argc == 3)
	{
		read_labels(argv[1], classes, base.rows);
		read_labels(argv[2], classes + base.rows, queries.rows);
	}
	else
	{
		nearest_pivots(&base, &base, classes);
		nearest_pivots(&base, &queries, classes + base.rows);
	}
	write_classes(argv[0], classes, base.rows, queries.rows);
	return 0;
}
