/*
 * tool.h
 *		What the parts of the benchmark's tool share.
 *
 * A data set NAME is four files in the machine's byte order: NAME.base, the
 * rows, NAME.query, the queries, NAME.truth, the nearest rows of each query, and
 * NAME.classes, what kind each row and each query is of.  A row's id is its place
 * in NAME.base, from 0.
 *
 *	vectors (base, query)				truth
 *		 0	magic "vxvector"				 0	magic "vxtruth1"
 *		 8	dimensions		int32			 8	k				int32
 *		12	metric			int32			12	metric			int32
 *		16	rows			int64			16	queries			int64
 *		24	zero							24	rows of base	int64
 *		64	float32, row after row			32	zero
 *											64	ids, int32, k for each query
 *												distances, float64, likewise
 *
 *	classes
 *		 0	magic "vxclass1"
 *		 8	classes			int32
 *		12	zero
 *		16	rows			int64
 *		24	queries			int64
 *		32	zero
 *		64	int32 for each row, then for each query, from 0
 *
 * Nothing here returns an error: what fails says so and ends the program.
 */
#ifndef VX_BENCH_TOOL_H
#define VX_BENCH_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C"
{
#endif

#define HEADER_SIZE 64
#define MAX_DIMS 16000
#define MAX_CLASSES 64
#define RANDOM_RANGE 10000		/* of random_attribute() */
#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

typedef enum Metric
{
	METRIC_L2,
	METRIC_COSINE,
	METRIC_IP
} Metric;

/* A file of vectors, mapped */
typedef struct Vectors
{
	int			dims;
	Metric		metric;
	int64_t		rows;
	const float *values;		/* rows * dims */
} Vectors;

/* A file of vectors being written */
typedef struct VectorWriter
{
	FILE	   *file;
	const char *path;
	int			dims;
	Metric		metric;
	int64_t		rows;
} VectorWriter;

/* A file of true neighbors, mapped */
typedef struct Truth
{
	int			k;
	int64_t		queries;
	int64_t		rows;			/* of the base */
	const int32_t *ids;			/* queries * k, the nearest first */
	const double *distances;	/* likewise */
} Truth;

/* A file of classes, mapped */
typedef struct Classes
{
	int			count;
	int64_t		rows;
	int64_t		queries;
	const int32_t *of_rows;
	const int32_t *of_queries;
} Classes;

/* May a row be in the answer to a query?  Asked for several filters of it. */
typedef bool (*RowTest) (const void *context, int64_t query, int filter, int64_t row);

/* data.c */
extern Vectors vectors_open(const char *prefix, const char *suffix);
extern Truth truth_open(const char *prefix, const Vectors *base, const Vectors *queries);
extern Classes classes_open(const char *prefix, const Vectors *base);
extern void writer_open(VectorWriter *writer, const char *path, int dims, Metric metric);
extern void writer_add(VectorWriter *writer, const float *vector);
extern void writer_close(VectorWriter *writer);
extern double exact_distance(Metric metric, const float *a, const float *b, int dims);
extern const char *metric_name(Metric metric);
extern const char *metric_operator(Metric metric);
extern Metric metric_by_name(const char *name);
extern size_t vector_to_wire(char *to, const float *vector, int dims);
extern void put16(char *to, uint16_t value);
extern void put32(char *to, uint32_t value);
extern uint32_t get32(const char *from);

/* truth.c */
extern void nearest_rows(const Vectors *base, const Vectors *queries, int64_t nqueries, int k,
						 int nfilters, RowTest passes, const void *context,
						 int32_t *ids, double *distances);
extern int	rows_within(const Vectors *base, const float *query, const int32_t *ids, int n, double limit);

/* util.c */
extern void die(const char *format,...)
			__attribute__((noreturn, format(printf, 1, 2)));
extern void *allocate(size_t count, size_t size);
extern double seconds(void);
extern double thread_cpu_seconds(void);
extern uint64_t random_next(uint64_t *state);
extern double random_unit(uint64_t *state);
extern double random_normal(uint64_t *state);
extern int64_t parse_number(const char *text, int64_t least, int64_t most);
extern int	parse_list(const char *text, int *list, int most);
extern int	processors(void);
extern const char *option(int argc, char **argv, const char *name, const char *otherwise);
extern bool deleted_in_test(int64_t id);
extern int	random_attribute(int64_t id);
extern int	compare_doubles(const void *a, const void *b);

/* memory.c */
extern void drop_file(const char *path);

/* hnswlib.cc; absent if that library is not installed */
extern void *hnswlib_load(const char *path, int dims, Metric metric);
extern void hnswlib_set_ef(void *index, int ef);
extern int	hnswlib_search(void *index, const float *query, int dims, Metric metric, int k, int32_t *ids);
extern int	cmd_hnswlib(int argc, char **argv);

/* the commands */
extern int	cmd_import(int argc, char **argv);
extern int	cmd_generate(int argc, char **argv);
extern int	cmd_truth(int argc, char **argv);
extern int	cmd_classes(int argc, char **argv);
extern int	cmd_split(int argc, char **argv);
extern int	cmd_info(int argc, char **argv);
extern int	cmd_load(int argc, char **argv);
extern int	cmd_search(int argc, char **argv);
extern int	cmd_filter(int argc, char **argv);
extern int	cmd_insert(int argc, char **argv);
extern int	cmd_memory(int argc, char **argv);
extern int	cmd_drop(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif							/* VX_BENCH_TOOL_H */
