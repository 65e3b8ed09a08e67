/*
 * truth.c
 *		The k nearest rows of every query, by comparing it with every row.
 *
 *	truth PREFIX [K]
 *
 * Threads take blocks of queries.  A block's queries are compared with a row
 * while that is in the cache, in single precision; what is kept is a little
 * more than k, which is then ordered by exact_distance().  Rows of equal
 * distance come by id.
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
	int			k;
	float	   *inverse_norms;	/* of the rows, for cosine */
	int32_t    *ids;
	double	   *distances;
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

static void
scan_block(TruthJob *job, int64_t first, int count, Heap *heaps)
{
	int			dims = job->base.dims;
	int64_t		row;
	int			i;

	for (row = 0; row < job->base.rows; row++)
	{
		const float *vector = job->base.values + row * dims;

		for (i = 0; i < count; i++)
		{
			const float *query = job->queries.values + (first + i) * dims;
			Candidate	item;

			item.id = (int32_t) row;
			if (job->base.metric == METRIC_L2)
				item.distance = square_float(vector, query, dims);
			else if (job->base.metric == METRIC_IP)
				item.distance = -dot_float(vector, query, dims);
			else
				item.distance = -dot_float(vector, query, dims) * job->inverse_norms[row];
			heap_add(&heaps[i], item);
		}
	}
}

static void
finish_query(TruthJob *job, int64_t query, Heap *heap)
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
		job->ids[query * job->k + i] = heap->items[i].id;
		job->distances[query * job->k + i] = heap->items[i].distance;
	}
}

static void *
truth_worker(void *argument)
{
	TruthJob   *job = argument;
	Heap		heaps[BLOCK];
	int64_t		first;
	int			i;

	for (i = 0; i < BLOCK; i++)
	{
		heaps[i].room = job->k + SPARE;
		heaps[i].items = allocate(heaps[i].room, sizeof(Candidate));
	}
	while ((first = atomic_fetch_add(&job->next, BLOCK)) < job->queries.rows)
	{
		int			count = job->queries.rows - first < BLOCK ? (int) (job->queries.rows - first) : BLOCK;

		for (i = 0; i < count; i++)
			heaps[i].count = 0;
		scan_block(job, first, count, heaps);
		for (i = 0; i < count; i++)
			finish_query(job, first + i, &heaps[i]);
	}
	for (i = 0; i < BLOCK; i++)
		free(heaps[i].items);
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

int
cmd_truth(int argc, char **argv)
{
	TruthJob	job = {0};
	int			threads = processors();
	pthread_t  *ids = allocate(threads, sizeof(pthread_t));
	size_t		entries;
	int			i;

	if (argc < 1)
		die("truth PREFIX [K]");
	job.base = vectors_open(argv[0], "base");
	job.queries = vectors_open(argv[0], "query");
	job.k = argc > 1 ? (int) parse_number(argv[1], 1, 10000) : 100;
	if (job.base.dims != job.queries.dims || job.base.rows < job.k)
		die("rows and queries of \"%s\" do not go together, or there are less than %d rows", argv[0], job.k);
	entries = (size_t) job.queries.rows * job.k;
	job.ids = allocate(entries, sizeof(int32_t));
	job.distances = allocate(entries, sizeof(double));
	prepare_norms(&job);
	for (i = 0; i < threads; i++)
	{
		if (pthread_create(&ids[i], NULL, truth_worker, &job) != 0)
			die("could not start a thread");
	}
	for (i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	write_truth(&job, argv[0]);
	return 0;
}
