/*
 * memory.c
 *		The memory of a server, sampled, and the page cache.
 *
 *	memory POSTMASTER
 *
 * until it is interrupted (SIGINT or SIGTERM) looks every few milliseconds at
 * the server's processes and then prints, in bytes, the most that was added
 * to what was there at first: private memory (RssAnon of all processes) plus
 * dynamic shared memory (files of /dev/shm or pg_dynshmem that they have
 * mapped; what these occupy, counted once).  Shared buffers are not counted,
 * nor is the page cache.
 *
 *	drop FILE...
 *
 * puts files out of the page cache.  Other files stay, so that it needs no
 * privileges and disturbs nobody; dirty pages are written first.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

#define MAX_SEGMENTS 256
#define MEMORY_SAMPLE_US 20000

typedef struct Segments
{
	ino_t		seen[MAX_SEGMENTS];
	int			count;
} Segments;

static volatile sig_atomic_t interrupted = 0;

static void
on_signal(int number)
{
	(void) number;
	interrupted = 1;
}

/* A number on the line of /proc/PID/status that begins with "name" */
static int64_t
status_number(int pid, const char *name)
{
	int64_t		result = -1;
	char		path[64];
	char		line[256];
	FILE	   *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		if (strncmp(line, name, strlen(name)) == 0)
			result = strtoll(line + strlen(name), NULL, 10);
	}
	if (file != NULL)
		fclose(file);
	return result;
}

/* What a mapped segment occupies, if it was not counted yet */
static int64_t
segment_bytes(const char *path, Segments *segments)
{
	struct stat status;
	int			i;

	if (stat(path, &status) != 0)
		return 0;
	for (i = 0; i < segments->count; i++)
	{
		if (segments->seen[i] == status.st_ino)
			return 0;
	}
	if (segments->count < MAX_SEGMENTS)
		segments->seen[segments->count++] = status.st_ino;
	return (int64_t) status.st_blocks * 512;
}

static int64_t
mapped_segments(int pid, Segments *segments)
{
	int64_t		result = 0;
	char		path[64];
	char		line[4400];
	FILE	   *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		char	   *name = strchr(line, '/');

		if (name == NULL)
			continue;
		name[strcspn(name, "\n")] = '\0';
		if (strncmp(name, "/dev/shm/PostgreSQL.", 20) == 0 || strstr(name, "/pg_dynshmem/") != NULL)
			result += segment_bytes(name, segments);
	}
	if (file != NULL)
		fclose(file);
	return result;
}

static int64_t
process_bytes(int pid, Segments *segments)
{
	int64_t		anonymous = status_number(pid, "RssAnon:");

	return (anonymous > 0 ? anonymous * 1024 : 0) + mapped_segments(pid, segments);
}

static int64_t
server_bytes(int postmaster)
{
	Segments	segments = {.count = 0};
	int64_t		result = 0;
	char		path[64];
	FILE	   *file;
	int			pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", postmaster, postmaster);
	file = fopen(path, "r");
	if (file == NULL)
		die("could not open \"%s\": %m", path);
	while (fscanf(file, "%d", &pid) == 1)
		result += process_bytes(pid, &segments);
	fclose(file);
	return result;
}

int
cmd_memory(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	int			postmaster;
	int64_t		before;
	int64_t		most;

	if (argc < 1)
		die("memory POSTMASTER");
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	postmaster = (int) parse_number(argv[0], 1, INT32_MAX);
	before = most = server_bytes(postmaster);
	while (!interrupted)
	{
		int64_t		bytes = server_bytes(postmaster);

		most = bytes > most ? bytes : most;
		usleep(MEMORY_SAMPLE_US);
	}
	printf("%lld\n", (long long) (most - before));
	return 0;
}

void
drop_file(const char *path)
{
	int			file = open(path, O_RDONLY);

	if (file < 0)
		die("could not open \"%s\": %m", path);
	if (fdatasync(file) != 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0)
		die("could not drop \"%s\" from the page cache: %m", path);
	close(file);
}

int
cmd_drop(int argc, char **argv)
{
	int			i;

	for (i = 0; i < argc; i++)
		drop_file(argv[i]);
	return 0;
}
