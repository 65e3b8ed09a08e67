/*
 * util.c
 *		Errors, memory, clocks, random numbers, command lines.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

/* Say what is wrong, with the system's reason if there is one, and end */
void
die(const char *format,...)
{
	int			code = errno;
	va_list		args;

	fprintf(stderr, "vxbench: ");
	errno = code;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* Zeroed memory, never NULL */
void *
allocate(size_t count, size_t size)
{
	void	   *result = calloc(count > 0 ? count : 1, size);

	if (result == NULL)
		die("out of memory for %zu times %zu bytes", count, size);
	return result;
}

static double
clock_seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

double
seconds(void)
{
	return clock_seconds(CLOCK_MONOTONIC);
}

double
thread_cpu_seconds(void)
{
	return clock_seconds(CLOCK_THREAD_CPUTIME_ID);
}

/* splitmix64: any state is a good one */
uint64_t
random_next(uint64_t *state)
{
	uint64_t	z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* Uniform in (0, 1) */
double
random_unit(uint64_t *state)
{
	return ((random_next(state) >> 11) + 0.5) * 0x1p-53;
}

/* Normal with mean 0 and deviation 1 (Box and Muller) */
double
random_normal(uint64_t *state)
{
	double		radius = sqrt(-2 * log(random_unit(state)));

	return radius * cos(2 * M_PI * random_unit(state));
}

int64_t
parse_number(const char *text, int64_t least, int64_t most)
{
	char	   *end;
	long long	value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < least || value > most)
		die("\"%s\" is not a number from %lld to %lld", text, (long long) least, (long long) most);
	return value;
}

/* "10,20,40" to numbers; returns how many */
int
parse_list(const char *text, int *list, int most)
{
	char	   *copy = strdup(text);
	char	   *rest = copy;
	char	   *item;
	int			n = 0;

	while ((item = strsep(&rest, ",")) != NULL)
	{
		if (n == most)
			die("more than %d numbers in \"%s\"", most, text);
		list[n++] = (int) parse_number(item, 1, 1000000);
	}
	free(copy);
	return n;
}

int
processors(void)
{
	long		n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (int) n;
}

/* The word after "--name" on the command line; NULL "otherwise" demands it */
const char *
option(int argc, char **argv, const char *name, const char *otherwise)
{
	int			i;

	for (i = 0; i + 1 < argc; i++)
	{
		if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0)
			return argv[i + 1];
	}
	if (otherwise == NULL)
		die("the option --%s is missing", name);
	return otherwise;
}

/*
 * Is this row of the random tenth that the vacuum test deletes?  The same in
 * SQL: ((id::bigint * 2654435761) & 4294967295) / 65536 % 10 = 0.
 */
bool
deleted_in_test(int64_t id)
{
	return ((uint32_t) id * UINT32_C(2654435761) >> 16) % 10 == 0;
}

/* A row's number from 0 to RANDOM_RANGE - 1, which has nothing to do with its vector */
int
random_attribute(int64_t id)
{
	uint64_t	state = (uint64_t) id;

	return (int) (random_next(&state) % RANDOM_RANGE);
}

int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}
