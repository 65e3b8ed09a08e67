/*-------------------------------------------------------------------------
 *
 * kernels_bench.c
 *	  Nanoseconds per call of the kernels of every set that runs here, with
 *	  everything in the nearest caches.  Each figure is the best of several
 *	  runs, since other processes disturb only upwards.
 *
 * cc -O2 -I../../src kernels_bench.c ../../src/kernels/?*.c -lm -o kernels_bench
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels_sets.h"

#define RUNS	15
#define CALLS	4000
#define DIMS	784
#define STRIDE	832				/* of the largest plane: 784 bytes */
#define NVECTORS	16			/* and as many codes */
#define MAX_CODES	NVECTORS

static float vectors[NVECTORS][DIMS];
static uint8_t codes[MAX_CODES][DIMS];
static int8_t query[4 * STRIDE];
static float work[2048];
static volatile double sink;

typedef struct Job Job;

struct Job
{
	const char *name;
	void		(*call) (const VxKernelSet *set, const Job *job, int i);
	int			dims;
	int			what;			/* metric, or code bits */
	int			ncodes;
};

static void
callDistance(const VxKernelSet *set, const Job *job, int i)
{
	sink = set->distance[VX_ELEM_FLOAT4][job->what]
		(job->dims, vectors[i % NVECTORS], vectors[i / 2 % NVECTORS]);
}

static void
callCodeIp(const VxKernelSet *set, const Job *job, int i)
{
	const uint8_t *list[MAX_CODES];
	int32_t		out[MAX_CODES];
	int			nbytes = (job->dims * (2 << job->what) + 7) / 8;

	for (int k = 0; k < job->ncodes; k++)
		list[k] = codes[(i + k) % MAX_CODES];
	set->code_ip[job->what] (nbytes, list, job->ncodes, query,
							 (nbytes + 63) / 64 * 64, out);
	sink = out[0];
}

static void
callFht(const VxKernelSet *set, const Job *job, int i)
{
	(void) i;
	set->fht(work, job->dims);
}

static void
callGridFit(const VxKernelSet *set, const Job *job, int i)
{
	float		dot,
				sq;

	set->grid_fit(job->dims, vectors[i % NVECTORS], 4.0f, 8, &dot, &sq);
	sink = dot + sq;
}

static void
callUnpack(const VxKernelSet *set, const Job *job, int i)
{
	int			nbytes = (job->dims * (2 << job->what) + 7) / 8;

	set->code_unpack(job->dims, 2 << job->what, codes[i % MAX_CODES], query,
					 (nbytes + 63) / 64 * 64);
}

static void
callCodeL1(const VxKernelSet *set, const Job *job, int i)
{
	sink = set->code_l1(job->dims, codes[i % MAX_CODES], 0, 255, -1.0f, 0.01f,
						vectors[i % NVECTORS]);
}

static void
callCodeL1Codes(const VxKernelSet *set, const Job *job, int i)
{
	sink = set->code_l1_codes(job->dims, codes[i % MAX_CODES],
							  codes[i / 2 % MAX_CODES], 0, 255, -1.0f, 0.01f,
							  -1.1f, 0.011f);
}

static const Job jobs[] = {
	{"L2 784", callDistance, 784, VX_METRIC_L2, 0},
	{"inner product 784", callDistance, 784, VX_METRIC_IP, 0},
	{"cosine 784", callDistance, 784, VX_METRIC_COSINE, 0},
	{"L1 784", callDistance, 784, VX_METRIC_L1, 0},
	{"L2 100", callDistance, 100, VX_METRIC_L2, 0},
	{"inner product 100", callDistance, 100, VX_METRIC_IP, 0},
	{"cosine 100", callDistance, 100, VX_METRIC_COSINE, 0},
	{"code_ip 4 bits 784, 1 code", callCodeIp, 784, VX_CODE4, 1},
	{"code_ip 4 bits 784, 2 codes", callCodeIp, 784, VX_CODE4, 2},
	{"code_ip 4 bits 784, 3 codes", callCodeIp, 784, VX_CODE4, 3},
	{"code_ip 4 bits 784, 4 codes", callCodeIp, 784, VX_CODE4, 4},
	{"code_ip 4 bits 784, 8 codes", callCodeIp, 784, VX_CODE4, 8},
	{"code_ip 4 bits 100, 1 code", callCodeIp, 100, VX_CODE4, 1},
	{"code_ip 4 bits 100, 4 codes", callCodeIp, 100, VX_CODE4, 4},
	{"code_ip 4 bits 100, 8 codes", callCodeIp, 100, VX_CODE4, 8},
	{"code_ip 2 bits 784, 8 codes", callCodeIp, 784, VX_CODE2, 8},
	{"code_ip 2 bits 100, 8 codes", callCodeIp, 100, VX_CODE2, 8},
	{"code_ip 8 bits 784, 8 codes", callCodeIp, 784, VX_CODE8, 8},
	{"code_ip 8 bits 100, 8 codes", callCodeIp, 100, VX_CODE8, 8},
	{"code_unpack 4 bits 784", callUnpack, 784, VX_CODE4, 0},
	{"code_l1 784", callCodeL1, 784, 0, 0},
	{"code_l1_codes 784", callCodeL1Codes, 784, 0, 0},
	{"fht 64", callFht, 64, 0, 0},
	{"fht 512", callFht, 512, 0, 0},
	{"fht 1024", callFht, 1024, 0, 0},
	{"grid_fit 784", callGridFit, 784, 0, 0},
};

static double
nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Best time per call; work stays 0, else fht would overflow in the end */
static double
measure(const VxKernelSet *set, const Job *job)
{
	double		best = 1e30;

	for (int run = 0; run < RUNS; run++)
	{
		double		start = nanoseconds();
		double		t;

		for (int i = 0; i < CALLS; i++)
			job->call(set, job, i);
		t = (nanoseconds() - start) / CALLS;
		best = t < best ? t : best;
	}
	return best;
}

int
main(void)
{
	TestSet		sets[16];
	int			nsets = listTestSets(sets);

	for (int k = 0; k < NVECTORS; k++)
		for (int i = 0; i < DIMS; i++)
		{
			vectors[k][i] = (float) (rand() % 2001 - 1000) / 1000;
			codes[k][i] = (uint8_t) rand();
		}
	for (int i = 0; i < 4 * STRIDE; i++)
		query[i] = (int8_t) rand();
	for (int s = 0; s < nsets; s++)
	{
		if (sets[s].emulated)
			continue;
		printf("%s: nanoseconds per call\n", sets[s].label);
		for (unsigned k = 0; k < sizeof(jobs) / sizeof(jobs[0]); k++)
		{
			double		t = measure(sets[s].set, &jobs[k]);

			if (jobs[k].ncodes > 1)
				printf("  %-28s %8.1f  (%.1f per code)\n", jobs[k].name, t,
					   t / jobs[k].ncodes);
			else
				printf("  %-28s %8.1f\n", jobs[k].name, t);
		}
	}
	return 0;
}
