/*
 * hnswlib.cc
 *		hnswlib in the client's process: what the same algorithm does without a server.
 *
 *	hnswlib PREFIX FILE M EF_CONSTRUCTION THREADS
 *
 * builds an index and writes it to FILE; the time and the memory that this took
 * go to standard output as "seconds,peak_bytes,file_bytes".  Distances are
 * those of hnswlib's own spaces; vectors are normalized for cosine, where its
 * inner product then does.
 */
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include <hnswlib/hnswlib.h>

#include "tool.h"

typedef hnswlib::HierarchicalNSW<float> Graph;

static hnswlib::SpaceInterface<float> *
make_space(int dims, Metric metric)
{
	if (metric == METRIC_L2)
		return new hnswlib::L2Space(dims);
	return new hnswlib::InnerProductSpace(dims);
}

/* The vector as the index wants it, "to" having room for it */
static const float *
as_indexed(const float *vector, int dims, Metric metric, float *to)
{
	double		square = 0;

	if (metric != METRIC_COSINE)
		return vector;
	for (int i = 0; i < dims; i++)
		square += (double) vector[i] * vector[i];
	for (int i = 0; i < dims; i++)
		to[i] = square > 0 ? vector[i] / std::sqrt(square) : 0;
	return to;
}

extern "C" void *
hnswlib_load(const char *path, int dims, Metric metric)
{
	return new Graph(make_space(dims, metric), path);
}

extern "C" void
hnswlib_set_ef(void *index, int ef)
{
	((Graph *) index)->setEf(ef);
}

/* The ids of the k nearest, the farthest first; returns how many */
extern "C" int
hnswlib_search(void *index, const float *query, int dims, Metric metric, int k, int32_t *ids)
{
	static thread_local std::vector<float> room(MAX_DIMS);
	auto		found = ((Graph *) index)->searchKnn(as_indexed(query, dims, metric, room.data()), k);
	int			n = 0;

	for (; !found.empty(); found.pop())
		ids[n++] = (int32_t) found.top().second;
	return n;
}

static void
add_rows(Graph *graph, const Vectors *base, std::atomic<int64_t> *next)
{
	std::vector<float> room(MAX_DIMS);
	int64_t		row;

	while ((row = (*next)++) < base->rows)
		graph->addPoint(as_indexed(base->values + row * base->dims, base->dims, base->metric, room.data()), row);
}

extern "C" int
cmd_hnswlib(int argc, char **argv)
{
	std::vector<std::thread> threads;
	std::atomic<int64_t> next(0);
	struct rusage usage;
	struct stat status;

	if (argc < 5)
		die("hnswlib PREFIX FILE M EF_CONSTRUCTION THREADS");
	Vectors		base = vectors_open(argv[0], "base");
	int			count = parse_number(argv[4], 1, 256);
	double		start = seconds();
	Graph	   *graph = new Graph(make_space(base.dims, base.metric), base.rows,
								  parse_number(argv[2], 2, 1000), parse_number(argv[3], 1, 100000));

	for (int i = 0; i < count; i++)
		threads.emplace_back(add_rows, graph, &base, &next);
	for (auto &thread : threads)
		thread.join();
	double		elapsed = seconds() - start;

	getrusage(RUSAGE_SELF, &usage);
	graph->saveIndex(std::string(argv[1]));
	if (stat(argv[1], &status) != 0)
		die("could not write \"%s\": %m", argv[1]);
	printf("%.2f,%lld,%lld\n", elapsed, (long long) usage.ru_maxrss * 1024, (long long) status.st_size);
	return 0;
}
