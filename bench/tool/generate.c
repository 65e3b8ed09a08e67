/*
 * generate.c
 *		A clustered data set of any size, the same for the same seed.
 *
 *	generate PREFIX ROWS DIMS [SEED] [METRIC] [QUERIES]
 *
 * Independent random coordinates would make every row about as far from a
 * query as every other, which no embedding does.  So vectors have few degrees
 * of freedom: a point near one of many centres in a space of LATENT dimensions,
 * taken to DIMS dimensions by a fixed random matrix, plus a little noise in
 * each.  Clusters differ in size (about as 1/rank) and in width.  Queries are
 * drawn in the same way, after the rows.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define LATENT 24
#define NOISE 0.1

typedef struct Generator
{
	uint64_t	state;
	int			dims;
	int			clusters;
	float	   *matrix;			/* dims * LATENT */
	float	   *centres;		/* clusters * LATENT */
	float	   *widths;			/* clusters */
	double	   *shares;			/* cumulated, up to 1 */
} Generator;

static void
generator_init(Generator *g, int64_t rows, int dims, uint64_t seed)
{
	double		sum = 0;
	int			i;

	g->state = seed;
	g->dims = dims;
	g->clusters = 10 + (int) sqrt((double) rows) / 2;
	g->matrix = allocate((size_t) dims * LATENT, sizeof(float));
	g->centres = allocate((size_t) g->clusters * LATENT, sizeof(float));
	g->widths = allocate(g->clusters, sizeof(float));
	g->shares = allocate(g->clusters, sizeof(double));
	for (i = 0; i < dims * LATENT; i++)
		g->matrix[i] = random_normal(&g->state) / sqrt(LATENT);
	for (i = 0; i < g->clusters * LATENT; i++)
		g->centres[i] = random_normal(&g->state);
	for (i = 0; i < g->clusters; i++)
	{
		g->widths[i] = 0.2 + 0.6 * random_unit(&g->state);
		g->shares[i] = (sum += 1.0 / (i + 10));
	}
	for (i = 0; i < g->clusters; i++)
		g->shares[i] /= sum;
}

static int
pick_cluster(Generator *g)
{
	double		at = random_unit(&g->state);
	int			low = 0;
	int			high = g->clusters - 1;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (g->shares[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
generate_row(Generator *g, float *row)
{
	float		point[LATENT];
	int			cluster = pick_cluster(g);
	int			i;
	int			j;

	for (j = 0; j < LATENT; j++)
		point[j] = g->centres[cluster * LATENT + j] + g->widths[cluster] * random_normal(&g->state);
	for (i = 0; i < g->dims; i++)
	{
		/* a sum of uniform numbers is noise enough, and cheap */
		float		sum = NOISE * 2 * (random_unit(&g->state) - 0.5);

		for (j = 0; j < LATENT; j++)
			sum += g->matrix[i * LATENT + j] * point[j];
		row[i] = sum;
	}
}

static void
generate_file(Generator *g, const char *prefix, const char *suffix, int64_t rows, Metric metric)
{
	VectorWriter writer;
	float	   *row = allocate(g->dims, sizeof(float));
	char		path[4096];
	int64_t		i;

	snprintf(path, sizeof(path), "%s.%s", prefix, suffix);
	writer_open(&writer, path, g->dims, metric);
	for (i = 0; i < rows; i++)
	{
		generate_row(g, row);
		writer_add(&writer, row);
	}
	writer_close(&writer);
	free(row);
}

int
cmd_generate(int argc, char **argv)
{
	Generator	g;
	int64_t		rows;
	int64_t		queries;
	Metric		metric;

	if (argc < 3)
		die("generate PREFIX ROWS DIMS [SEED] [METRIC] [QUERIES]");
	rows = parse_number(argv[1], 1, INT32_MAX);
	metric = argc > 4 ? metric_by_name(argv[4]) : METRIC_L2;
	queries = argc > 5 ? parse_number(argv[5], 1, 1000000) : 1000;
	generator_init(&g, rows, (int) parse_number(argv[2], 1, MAX_DIMS),
				   argc > 3 ? parse_number(argv[3], 0, INT64_MAX) : 1);
	generate_file(&g, argv[0], "base", rows, metric);
	generate_file(&g, argv[0], "query", queries, metric);
	return 0;
}
