/*
 * insert.c
 *		Measure insertions into a table (id int4, v vector) with an index.
 *
 *	insert PREFIX CONNINFO TABLE FIRST COUNT WRITERS BATCH [WAITS]
 *
 * WRITERS connections insert rows FIRST to FIRST + COUNT - 1 of the base, each
 * taking the next BATCH rows that are not yet taken and inserting them in one
 * transaction, row by row, by a prepared statement with binary parameters.
 * Commits do not wait for the disk.  One line goes to standard output:
 *
 *	rows,seconds,rows_per_s,mean_us,p99_us,cpu_us
 *
 * where latencies are those of single statements and cpu_us is the processor
 * time of the backends per row.  With WAITS, the backends' wait events are
 * sampled meanwhile and written to that file, as "event,samples"; "cpu" is a
 * backend that waits for nothing.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"
#include "tool.h"

#define MAX_WRITERS 64
#define MAX_EVENTS 100
#define SAMPLE_US 10000

typedef struct Event
{
	char		name[128];
	int64_t		samples;
} Event;

typedef struct Inserts
{
	Vectors		base;
	const char *conninfo;
	int64_t		first;
	int64_t		count;
	int			writers;
	int64_t		batch;
	atomic_long next;			/* row not yet taken, counted from "first" */
	double	   *latencies;		/* of each row's statement */
	PGconn	   *conns[MAX_WRITERS];
	pthread_barrier_t barrier;

	/* the sampler's */
	atomic_bool done;
	Event		events[MAX_EVENTS];
	int			nevents;
} Inserts;

typedef struct Writer
{
	Inserts    *inserts;
	int			number;
	double		start;
	double		end;
} Writer;

static void
insert_row(Inserts *inserts, PGconn *conn, int64_t row, char *wire)
{
	char		id[4];
	const char *values[2] = {id, wire};
	int			lengths[2] = {4, 0};
	int			formats[2] = {1, 1};
	PGresult   *result;
	double		start;

	put32(id, (uint32_t) (inserts->first + row));
	lengths[1] = (int) vector_to_wire(wire, inserts->base.values + (inserts->first + row) * inserts->base.dims,
									  inserts->base.dims);
	start = seconds();
	result = PQexecPrepared(conn, "insert", 2, values, lengths, formats, 0);
	inserts->latencies[row] = seconds() - start;
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("INSERT: %s", PQerrorMessage(conn));
	PQclear(result);
}

static void *
writer_run(void *argument)
{
	Writer	   *writer = argument;
	Inserts    *inserts = writer->inserts;
	PGconn	   *conn = inserts->conns[writer->number];
	char	   *wire = allocate(4 + 4 * (size_t) inserts->base.dims, 1);
	int64_t		row;

	pthread_barrier_wait(&inserts->barrier);
	writer->start = seconds();
	while ((row = atomic_fetch_add(&inserts->next, inserts->batch)) < inserts->count)
	{
		int64_t		end = row + inserts->batch < inserts->count ? row + inserts->batch : inserts->count;

		if (inserts->batch > 1)
			server_execute(conn, "BEGIN");
		for (; row < end; row++)
			insert_row(inserts, conn, row, wire);
		if (inserts->batch > 1)
			server_execute(conn, "COMMIT");
	}
	writer->end = seconds();
	free(wire);
	return NULL;
}

/* --------------------------------------------------------------- wait events */

static void
count_event(Inserts *inserts, const char *name, int64_t samples)
{
	int			i;

	for (i = 0; i < inserts->nevents && strcmp(inserts->events[i].name, name) != 0; i++)
		;
	if (i == MAX_EVENTS)
		return;
	if (i == inserts->nevents)
	{
		snprintf(inserts->events[i].name, sizeof(inserts->events[i].name), "%s", name);
		inserts->nevents++;
	}
	inserts->events[i].samples += samples;
}

static void *
sampler_run(void *argument)
{
	Inserts    *inserts = argument;
	PGconn	   *conn = server_connect(inserts->conninfo);

	while (!inserts->done)
	{
		PGresult   *result;
		int			i;

		result = PQexec(conn, "SELECT coalesce(wait_event_type || ':' || wait_event, 'cpu'), count(*) "
						"FROM pg_stat_activity WHERE application_name = 'vxbench writer' AND "
						"wait_event_type IS DISTINCT FROM 'Client' AND state <> 'idle' GROUP BY 1");
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			die("%s", PQerrorMessage(conn));
		for (i = 0; i < PQntuples(result); i++)
			count_event(inserts, PQgetvalue(result, i, 0), strtoll(PQgetvalue(result, i, 1), NULL, 10));
		PQclear(result);
		usleep(SAMPLE_US);
	}
	PQfinish(conn);
	return NULL;
}

static void
write_events(const Inserts *inserts, const char *path)
{
	FILE	   *file = fopen(path, "w");
	int			i;

	if (file == NULL)
		die("could not create \"%s\": %m", path);
	for (i = 0; i < inserts->nevents; i++)
		fprintf(file, "%s,%lld\n", inserts->events[i].name, (long long) inserts->events[i].samples);
	if (fclose(file) != 0)
		die("could not write \"%s\": %m", path);
}

/* ----------------------------------------------------------------------- all */

static void
connect_writers(Inserts *inserts, const char *table)
{
	char		sql[256];
	int			i;

	snprintf(sql, sizeof(sql), "INSERT INTO %s (id, v) VALUES ($1::int4, $2::vector)", table);
	for (i = 0; i < inserts->writers; i++)
	{
		inserts->conns[i] = server_connect(inserts->conninfo);
		server_execute(inserts->conns[i], "SET synchronous_commit = off");
		server_execute(inserts->conns[i], "SET application_name = 'vxbench writer'");
		server_prepare(inserts->conns[i], "insert", sql, 2);
	}
}

static double
writers_cpu(const Inserts *inserts)
{
	double		sum = 0;
	int			i;

	for (i = 0; i < inserts->writers; i++)
		sum += server_cpu(PQbackendPID(inserts->conns[i]));
	return sum;
}

/* Returns how long it took */
static double
run_writers(Inserts *inserts)
{
	pthread_t	threads[MAX_WRITERS];
	Writer		writers[MAX_WRITERS];
	double		start = 0;
	double		end = 0;
	int			i;

	pthread_barrier_init(&inserts->barrier, NULL, inserts->writers);
	for (i = 0; i < inserts->writers; i++)
	{
		writers[i] = (Writer)
		{
			.inserts = inserts,.number = i
		};
		if (pthread_create(&threads[i], NULL, writer_run, &writers[i]) != 0)
			die("could not start a thread");
	}
	for (i = 0; i < inserts->writers; i++)
	{
		pthread_join(threads[i], NULL);
		start = i == 0 || writers[i].start < start ? writers[i].start : start;
		end = i == 0 || writers[i].end > end ? writers[i].end : end;
	}
	return end - start;
}

static void
report_inserts(Inserts *inserts, double elapsed, double cpu)
{
	int64_t		n = inserts->count;
	double		sum = 0;
	int64_t		i;

	for (i = 0; i < n; i++)
		sum += inserts->latencies[i];
	qsort(inserts->latencies, n, sizeof(double), compare_doubles);
	printf("%lld,%.3f,%.1f,%.1f,%.1f,%.1f\n", (long long) n, elapsed, n / elapsed,
		   sum / n * 1e6, inserts->latencies[n - 1 - n / 100] * 1e6, cpu / n * 1e6);
}

int
cmd_insert(int argc, char **argv)
{
	Inserts    *inserts = allocate(1, sizeof(Inserts));
	pthread_t	sampler;
	double		elapsed;
	double		cpu;
	int			i;

	if (argc < 7)
		die("insert PREFIX CONNINFO TABLE FIRST COUNT WRITERS BATCH [WAITS]");
	inserts->base = vectors_open(argv[0], "base");
	inserts->conninfo = argv[1];
	inserts->first = parse_number(argv[3], 0, inserts->base.rows);
	inserts->count = parse_number(argv[4], 1, inserts->base.rows - inserts->first);
	inserts->writers = (int) parse_number(argv[5], 1, MAX_WRITERS);
	inserts->batch = parse_number(argv[6], 1, 1000000);
	inserts->latencies = allocate(inserts->count, sizeof(double));
	connect_writers(inserts, argv[2]);
	if (argc > 7 && pthread_create(&sampler, NULL, sampler_run, inserts) != 0)
		die("could not start a thread");
	cpu = -writers_cpu(inserts);
	elapsed = run_writers(inserts);
	cpu += writers_cpu(inserts);
	inserts->done = true;
	if (argc > 7)
	{
		pthread_join(sampler, NULL);
		write_events(inserts, argv[7]);
	}
	for (i = 0; i < inserts->writers; i++)
		PQfinish(inserts->conns[i]);
	report_inserts(inserts, elapsed, cpu);
	return 0;
}
