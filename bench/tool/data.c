/*
 * data.c
 *		Files of vectors, of true neighbors and of classes, and the exact distance.
 *
 * Files are mapped, not read: a set may be larger than what several
 * programs could each hold a copy of.  Sizes in headers are checked against
 * the file's before anything is believed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

static const char vector_magic[8] = "vxvector";
static const char truth_magic[8] = "vxtruth1";
static const char class_magic[8] = "vxclass1";

static const struct
{
	const char *name;
	const char *operator;
}			metrics[] = {
	[METRIC_L2] = {"l2", "<->"},
	[METRIC_COSINE] = {"cosine", "<=>"},
	[METRIC_IP] = {"ip", "<#>"},
};

const char *
metric_name(Metric metric)
{
	return metrics[metric].name;
}

const char *
metric_operator(Metric metric)
{
	return metrics[metric].operator;
}

Metric
metric_by_name(const char *name)
{
	size_t		i;

	for (i = 0; i < lengthof(metrics); i++)
	{
		if (strcmp(metrics[i].name, name) == 0)
			return (Metric) i;
	}
	die("there is no metric \"%s\": l2, cosine or ip", name);
}

/* ------------------------------------------------------------------ reading */

/* Map PREFIX.SUFFIX; its size goes to *size */
static const char *
map_file(const char *path, const char *magic, size_t *size)
{
	struct stat status;
	const char *result;
	int			file = open(path, O_RDONLY);

	if (file < 0 || fstat(file, &status) != 0)
		die("could not open \"%s\": %m", path);
	*size = status.st_size;
	if (*size < HEADER_SIZE)
		die("\"%s\" is too short", path);
	result = mmap(NULL, *size, PROT_READ, MAP_SHARED, file, 0);
	if (result == MAP_FAILED)
		die("could not map \"%s\": %m", path);
	close(file);
	if (memcmp(result, magic, 8) != 0)
		die("\"%s\" is no file of the right kind", path);
	return result;
}

static void
check_size(const char *path, size_t size, int64_t rows, int64_t row_size)
{
	if (rows < 0 || row_size <= 0 || rows > (INT64_MAX - HEADER_SIZE) / row_size ||
		(uint64_t) (HEADER_SIZE + rows * row_size) != size)
		die("\"%s\" has not the size that its header says", path);
}

Vectors
vectors_open(const char *prefix, const char *suffix)
{
	Vectors		result;
	const char *data;
	int32_t		numbers[2];
	size_t		size;
	char		path[4096];

	snprintf(path, sizeof(path), "%s.%s", prefix, suffix);
	data = map_file(path, vector_magic, &size);
	memcpy(numbers, data + 8, sizeof(numbers));
	memcpy(&result.rows, data + 16, 8);
	if (numbers[0] < 1 || numbers[0] > MAX_DIMS || numbers[1] < METRIC_L2 || numbers[1] > METRIC_IP)
		die("\"%s\" has a damaged header", path);
	result.dims = numbers[0];
	result.metric = (Metric) numbers[1];
	check_size(path, size, result.rows, (int64_t) result.dims * sizeof(float));
	result.values = (const float *) (data + HEADER_SIZE);
	return result;
}

/* The truth of these queries on this base: that of another is refused */
Truth
truth_open(const char *prefix, const Vectors *base, const Vectors *queries)
{
	Truth		result;
	const char *data;
	int32_t		numbers[2];
	size_t		size;
	char		path[4096];
	int64_t		i;

	snprintf(path, sizeof(path), "%s.truth", prefix);
	data = map_file(path, truth_magic, &size);
	memcpy(numbers, data + 8, sizeof(numbers));
	memcpy(&result.queries, data + 16, 8);
	memcpy(&result.rows, data + 24, 8);
	result.k = numbers[0];
	if (result.k < 1 || result.k > 10000)
		die("\"%s\" has a damaged header", path);
	check_size(path, size, result.queries, (int64_t) result.k * 12);
	if (numbers[1] != (int32_t) base->metric || result.rows != base->rows || result.queries != queries->rows)
		die("\"%s\" is of other data: remove it", path);
	result.ids = (const int32_t *) (data + HEADER_SIZE);
	result.distances = (const double *) (data + HEADER_SIZE + result.queries * result.k * 4);
	for (i = 0; i < result.queries * result.k; i++)
	{
		if (result.ids[i] < 0 || result.ids[i] >= base->rows)
			die("\"%s\" names a row that does not exist", path);
	}
	return result;
}

/* The classes of these rows, and of the queries that go with them */
Classes
classes_open(const char *prefix, const Vectors *base)
{
	Classes		result;
	const char *data;
	int32_t		count;
	size_t		size;
	char		path[4096];
	int64_t		i;

	snprintf(path, sizeof(path), "%s.classes", prefix);
	data = map_file(path, class_magic, &size);
	memcpy(&count, data + 8, sizeof(count));
	memcpy(&result.rows, data + 16, 8);
	memcpy(&result.queries, data + 24, 8);
	if (count < 1 || count > MAX_CLASSES || result.rows != base->rows ||
		result.queries < 0 || result.queries > INT32_MAX)
		die("\"%s\" is damaged, or of other data: remove it", path);
	check_size(path, size, result.rows + result.queries, sizeof(int32_t));
	result.count = count;
	result.of_rows = (const int32_t *) (data + HEADER_SIZE);
	result.of_queries = result.of_rows + result.rows;
	for (i = 0; i < result.rows + result.queries; i++)
	{
		if (result.of_rows[i] < 0 || result.of_rows[i] >= count)
			die("\"%s\" names a class that does not exist", path);
	}
	return result;
}

/* ------------------------------------------------------------------ writing */

static void
write_vector_header(VectorWriter *writer)
{
	char		header[HEADER_SIZE] = {0};
	int32_t		numbers[2] = {writer->dims, writer->metric};

	memcpy(header, vector_magic, 8);
	memcpy(header + 8, numbers, sizeof(numbers));
	memcpy(header + 16, &writer->rows, 8);
	if (fwrite(header, HEADER_SIZE, 1, writer->file) != 1)
		die("could not write \"%s\": %m", writer->path);
}

/* "path" must stay valid until the writer is closed */
void
writer_open(VectorWriter *writer, const char *path, int dims, Metric metric)
{
	if (dims < 1 || dims > MAX_DIMS)
		die("vectors of %d dimensions: 1 to %d are possible", dims, MAX_DIMS);
	writer->path = path;
	writer->dims = dims;
	writer->metric = metric;
	writer->rows = 0;
	writer->file = fopen(path, "wb");
	if (writer->file == NULL)
		die("could not create \"%s\": %m", path);
	write_vector_header(writer);
}

void
writer_add(VectorWriter *writer, const float *vector)
{
	if (fwrite(vector, sizeof(float) * writer->dims, 1, writer->file) != 1)
		die("could not write \"%s\": %m", writer->path);
	writer->rows++;
}

void
writer_close(VectorWriter *writer)
{
	if (fseek(writer->file, 0, SEEK_SET) != 0)
		die("could not write \"%s\": %m", writer->path);
	write_vector_header(writer);
	if (fclose(writer->file) != 0)
		die("could not write \"%s\": %m", writer->path);
}

/* ---------------------------------------------------------------- distances */

/*
 * The distance that decides who is near: in double precision, squared for L2
 * (which orders alike), 1 - cosine, or minus the inner product.  NaN for a zero
 * vector's cosine.
 */
double
exact_distance(Metric metric, const float *a, const float *b, int dims)
{
	double		dot = 0;
	double		na = 0;
	double		nb = 0;
	int			i;

	if (metric == METRIC_L2)
	{
		for (i = 0; i < dims; i++)
		{
			double		d = (double) a[i] - b[i];

			dot += d * d;
		}
		return dot;
	}
	for (i = 0; i < dims; i++)
	{
		dot += (double) a[i] * b[i];
		na += (double) a[i] * a[i];
		nb += (double) b[i] * b[i];
	}
	return metric == METRIC_IP ? -dot : 1 - dot / sqrt(na * nb);
}

/* --------------------------------------------------------- the binary format */

void
put16(char *to, uint16_t value)
{
	to[0] = (char) (value >> 8);
	to[1] = (char) value;
}

void
put32(char *to, uint32_t value)
{
	value = __builtin_bswap32(value);
	memcpy(to, &value, 4);
}

uint32_t
get32(const char *from)
{
	uint32_t	value;

	memcpy(&value, from, 4);
	return __builtin_bswap32(value);
}

/*
 * A vector as vector_recv wants it: dimensions, a zero, the elements.  "to"
 * has room for 4 * dims + 4 bytes, which are also what is returned.
 */
size_t
vector_to_wire(char *to, const float *vector, int dims)
{
	int			i;

	put16(to, (uint16_t) dims);
	put16(to + 2, 0);
	for (i = 0; i < dims; i++)
	{
		uint32_t	bits;

		memcpy(&bits, &vector[i], 4);
		put32(to + 4 + 4 * i, bits);
	}
	return 4 + 4 * (size_t) dims;
}
