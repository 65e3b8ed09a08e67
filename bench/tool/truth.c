/*
 * truth.c
 *		The k nearest rows of every query, by comparing it with every row.
 *
 *	truth PREFIX [K]
 *
 * Threads take blocks of queries.  A block's queries are compared with a row
 * while that is in the cache, in single precision; what is kept is a little
 * more than k, which is then ordered by exact_distance().  Rows of equal
 * distance come by id.  The same serves filters: of those, a query may have
 * several, and its distance from a row is computed once for all of them.
 */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define BLOCK 8					/* queries compared with a row at a time */
#define SPARE 50				/* kept beyond k, for the rounding of floats */

typedef struct Candidate
{
	double		distance;
	int32_t		id;
} Candidate;

/* A max-heap of the nearest so far */
typedef struct Heap
{
	Candidate  *items;
	int			count;
	int			room;
} Heap;

typedef struct TruthJob
{
	Vectors		base;
	Vectors		queries;
	int64_t		nqueries;
	int			k;
	int			nfilters;
	RowTest		passes;			/* NULL: every row passes */
	const void *context;		/* for passes */
	float	   *inverse_norms;	/* of the rows, for cosine */
	int32_t    *ids;			/* nqueries * nfilters * k */
	double	   *distances;		/* likewise */
	atomic_long next;			/* the first query not yet taken */
} TruthJob;

static void
sift_down(Heap *heap, Candidate item)
{
	int			at = 0;
	int			child;

	while ((child = 2 * at + 1) < heap->count)
	{
		if (child + 1 < heap->count && heap->items[child + 1].distance > heap->items[child].distance)
			child++;
		if (heap->items[child].distance <= item.distance)
			break;
		heap->items[at] = heap->items[child];
		at = child;
	}
	heap->items[at] = item;
}

static void
heap_add(Heap *heap, Candidate item)
{
	if (heap->count < heap->room)
	{
		int			at = heap->count++;

		while (at > 0 && heap->items[(at - 1) / 2].distance < item.distance)
		{
			heap->items[at] = heap->items[(at - 1) / 2];
			at = (at - 1) / 2;
		}
		heap->items[at] = item;
	}
	else if (item.distance < heap->items[0].distance)
		sift_down(heap, item);
}

static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/* Vectorized by the compiler, which -ffast-math allows to reorder the sum */
static float
dot_float(const float *a, const float *b, int dims)
{
	float		sum = 0;
	int			i;

	for (i = 0; i < dims; i++)
		sum += a[i] * b[i];
	return sum;
}

static float
square_float(const float *a, const float *b, int dims)
{
	float		sum = 0;
	int			i;

	for (i = 0; i < dims; i++)
		sum += (a[i] - b[i]) * (a[i] - b[i]);
	return sum;
}

/* An order, at least: the distance less what does not depend on the row */
static float
float_distance(const TruthJob *job, int64_t query, int64_t row)
{
	int			dims = job->base.dims;
	const float *a = job->base.values + row * dims;
	const float *b = job->queries.values + query * dims;

	if (job->base.metric == METRIC_L2)
		return square_float(a, b, dims);
	if (job->base.metric == METRIC_IP)
		return -dot_float(a, b, dims);
	return -dot_float(a, b, dims) * job->inverse_norms[row];
}

/* Offer each row to the heaps of a block's queries, one for each filter */
static void
scan_block(const TruthJob *job, int64_t first, int count, Heap *heaps)
{
	int64_t		row;
	int			i;
	int			f;

	for (row = 0; row < job->base.rows; row++)
	{
		for (i = 0; i < count; i++)
		{
			Candidate	item = {float_distance(job, first + i, row), (int32_t) row};

			for (f = 0; f < job->nfilters; f++)
			{
				if (job->passes == NULL || job->passes(job->context, first + i, f, row))
					heap_add(&heaps[i * job->nfilters + f], item);
			}
		}
	}
}

/* Put what a heap has in order, to a place with room for k */
static void
finish_heap(const TruthJob *job, int64_t query, Heap *heap, int32_t *ids, double *distances)
{
	int			dims = job->base.dims;
	int			i;

	for (i = 0; i < heap->count; i++)
	{
		double		distance = exact_distance(job->base.metric, job->base.values + heap->items[i].id * (int64_t) dims,
											  job->queries.values + query * dims, dims);

		heap->items[i].distance = isnan(distance) ? INFINITY : distance;
	}
	qsort(heap->items, heap->count, sizeof(Candidate), compare_candidates);
	for (i = 0; i < job->k; i++)
	{
		ids[i] = i < heap->count ? heap->items[i].id : -1;
		distances[i] = i < heap->count ? heap->items[i].distance : INFINITY;
	}
}

static void *
truth_worker(void *argument)
{
	TruthJob   *job = argument;
	int			nheaps = BLOCK * job->nfilters;
	Heap	   *heaps = allocate(nheaps, sizeof(Heap));
	int64_t		first;
	int			i;

	for (i = 0; i < nheaps; i++)
	{
		heaps[i].room = job->k + SPARE;
		heaps[i].items = allocate(heaps[i].room, sizeof(Candidate));
	}
	while ((first = atomic_fetch_add(&job->next, BLOCK)) < job->nqueries)
	{
		int			count = job->nqueries - first < BLOCK ? (int) (job->nqueries - first) : BLOCK;
		int64_t		at = first * job->nfilters * job->k;

		for (i = 0; i < nheaps; i++)
			heaps[i].count = 0;
		scan_block(job, first, count, heaps);
		for (i = 0; i < count * job->nfilters; i++, at += job->k)
			finish_heap(job, first + i / job->nfilters, &heaps[i], job->ids + at, job->distances + at);
	}
	for (i = 0; i < nheaps; i++)
		free(heaps[i].items);
	free(heaps);
	return NULL;
}

static void
write_truth(TruthJob *job, const char *prefix)
{
	char		header[HEADER_SIZE] = {0};
	int32_t		numbers[2] = {job->k, job->base.metric};
	size_t		entries = (size_t) job->queries.rows * job->k;
	char		path[4096];
	FILE	   *file;

	memcpy(header, "vxtruth1", 8);
	memcpy(header + 8, numbers, sizeof(numbers));
	memcpy(header + 16, &job->queries.rows, 8);
	memcpy(header + 24, &job->base.rows, 8);
	snprintf(path, sizeof(path), "%s.truth", prefix);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(header, HEADER_SIZE, 1, file) != 1 ||
		fwrite(job->ids, 4, entries, file) != entries ||
		fwrite(job->distances, 8, entries, file) != entries || fclose(file) != 0)
		die("could not write \"%s\": %m", path);
}

static void
prepare_norms(TruthJob *job)
{
	int64_t		row;

	job->inverse_norms = allocate(job->base.rows, sizeof(float));
	for (row = 0; row < job->base.rows; row++)
	{
		const float *vector = job->base.values + row * job->base.dims;
		float		square = dot_float(vector, vector, job->base.dims);

		job->inverse_norms[row] = square > 0 ? 1 / sqrtf(square) : 0;
	}
}

static void
run_job(TruthJob *job)
{
	int			threads = processors();
	pthread_t  *ids = allocate(threads, sizeof(pthread_t));
	int			i;

	prepare_norms(job);
	for (i = 0; i < threads; i++)
	{
		if (pthread_create(&ids[i], NULL, truth_worker, job) != 0)
			die("could not start a thread");
	}
	for (i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	free(ids);
	free(job->inverse_norms);
}

/*
 * The k nearest of the rows that pass, for each of the first queries and each of
 * its filters: ids and distances, both with room for nqueries * nfilters * k.
 * Where fewer pass, ids are -1.
 */
void
nearest_rows(const Vectors *base, const Vectors *queries, int64_t nqueries, int k,
			 int nfilters, RowTest passes, const void *context,
			 int32_t *ids, double *distances)
{
	TruthJob	job = {.base = *base,.queries = *queries,.nqueries = nqueries,.k = k,
		.nfilters = nfilters,.passes = passes,.context = context,
	.ids = ids,.distances = distances};

	run_job(&job);
}

static bool
seen_before(const int32_t *ids, int at)
{
	int			i;

	for (i = 0; i < at; i++)
	{
		if (ids[i] == ids[at])
			return true;
	}
	return false;
}

/*
 * How many rows of an answer are as near as the farthest that belongs there: no
 * farther than the limit, but for the server's rounding.  -1 is no row.
 */
int
rows_within(const Vectors *base, const float *query, const int32_t *ids, int n, double limit)
{
	int			count = 0;
	int			i;

	limit += 1e-6 * (limit < 0 ? -limit : limit);
	for (i = 0; i < n; i++)
	{
		if (ids[i] >= 0 &&
			exact_distance(base->metric, base->values + ids[i] * (int64_t) base->dims, query, base->dims) <= limit)
			count += !seen_before(ids, i);
	}
	return count;
}

int
cmd_truth(int argc, char **argv)
{
	TruthJob	job = {.nfilters = 1};
	size_t		entries;

	if (argc < 1)
		die("truth PREFIX [K]");
	job.base = vectors_open(argv[0], "base");
	job.queries = vectors_open(argv[0], "query");
	job.nqueries = job.queries.rows;
	job.k = argc > 1 ? (int) parse_number(argv[1], 1, 10000) : 100;
	if (job.base.dims != job.queries.dims || job.base.rows < job.k)
		die("rows and queries of \"%s\" do not go together, or there are less than %d rows", argv[0], job.k);
	entries = (size_t) job.queries.rows * job.k;
	job.ids = allocate(entries, sizeof(int32_t));
	job.distances = allocate(entries, sizeof(double));
	run_job(&job);
	write_truth(&job, argv[0]);
	return 0;
}
