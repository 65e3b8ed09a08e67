/*-------------------------------------------------------------------------
 *
 * main.c
 *	  Runs a libFuzzer harness without libFuzzer.
 *
 *	  PROGRAM [-n INPUTS] [-s SEED] [CORPUS]
 *
 * First the inputs in the files of the directory CORPUS, then INPUTS (default
 * 300000) others: texts made by mutate.h, and mutations of those and of the
 * corpus.  There is no feedback, so libFuzzer finds more in a long run; this
 * needs no clang.  SEED is $VX_SEED by default, or else the time.
 *
 * Each input lies in memory of exactly its size, so that a sanitizer sees what is
 * read beyond it.  A harness that finds something wrong aborts; then the input is
 * printed in hexadecimal, with the seed.
 *
 * Prints "N passed, 0 failed" at the end.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "mutate.h"

#define INPUT_BYTES 600
#define MAX_CORPUS 1000

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char corpus[MAX_CORPUS][INPUT_BYTES];
static size_t corpus_len[MAX_CORPUS];
static int	ncorpus;

/* What is being tried, for the case that it is the last */
static const char *current;
static size_t current_len;
static unsigned long long seed;

/* Print the input that was too much; a signal handler, also for aborts by sanitizers */
static void
report(int signal_number)
{
	char		line[2 * INPUT_BYTES + 100];
	int			n = snprintf(line, sizeof(line), "FAILED: seed %llu, signal %d, input ", seed, signal_number);

	for (size_t i = 0; i < current_len && i < INPUT_BYTES; i++)
		n += snprintf(line + n, 3, "%02x", (unsigned char) current[i]);
	line[n++] = '\n';
	n += snprintf(line + n, 30, "0 passed, 1 failed\n");
	if (write(1, line, (size_t) n) != n)
		_exit(2);
	_exit(1);
}

static void
try_input(const char *bytes, size_t len)
{
	char	   *copy = malloc(len ? len : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, bytes, len);
	current = copy;
	current_len = len;
	LLVMFuzzerTestOneInput((const uint8_t *) copy, len);
	current_len = 0;
	free(copy);
}

/* Read the corpus, in no particular order; returns false if it cannot be read */
static bool
read_corpus(const char *name)
{
	DIR		   *dir = opendir(name);
	struct dirent *entry;

	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL && ncorpus < MAX_CORPUS)
	{
		char		path[4096];
		FILE	   *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
		file = fopen(path, "rb");
		if (file == NULL)
			return false;
		corpus_len[ncorpus] = fread(corpus[ncorpus], 1, INPUT_BYTES, file);
		fclose(file);
		ncorpus++;
	}
	closedir(dir);
	return ncorpus > 0;
}

/* The harness takes the first byte of an input apart, so texts begin at the second */
static size_t
make_input(FuzzRandom *rng, char *bytes)
{
	size_t		len;

	if (ncorpus > 0 && fuzz_below(rng, 4) == 0)
	{
		int			i = (int) fuzz_below(rng, (uint32_t) ncorpus);

		len = corpus_len[i];
		memcpy(bytes, corpus[i], len);
		return fuzz_mutate(rng, bytes, len, INPUT_BYTES);
	}
	bytes[0] = (char) fuzz_next(rng);
	len = 1 + fuzz_text(rng, bytes + 1, INPUT_BYTES - 1);
	if (fuzz_below(rng, 2))
		len = fuzz_mutate(rng, bytes, len, INPUT_BYTES);
	return len;
}

int
main(int argc, char **argv)
{
	const char *from_environment = getenv("VX_SEED");
	long		inputs = 300000;
	FuzzRandom	rng;
	char		bytes[INPUT_BYTES];
	int			option;

	seed = from_environment ? strtoull(from_environment, NULL, 10) : (unsigned long long) time(NULL);
	while ((option = getopt(argc, argv, "n:s:")) != -1)
	{
		if (option == 'n')
			inputs = atol(optarg);
		else if (option == 's')
			seed = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	signal(SIGABRT, report);
	signal(SIGSEGV, report);
	printf("VX_SEED=%llu\n", seed);
	fflush(stdout);
	if (optind < argc && !read_corpus(argv[optind]))
	{
		printf("FAILED: no corpus in %s\n0 passed, 1 failed\n", argv[optind]);
		return 1;
	}
	for (int i = 0; i < ncorpus; i++)
		try_input(corpus[i], corpus_len[i]);
	rng.state = seed;
	for (long i = 0; i < inputs; i++)
		try_input(bytes, make_input(&rng, bytes));
	printf("%ld passed, 0 failed\n", inputs + ncorpus);
	return 0;
}
