/*
 * search.c
 *		Measure searches: recall, latency, queries per second.
 *
 *	search --data PREFIX --pg NAME CONNINFO ... --hnswlib FILE
 *		--k K EF,EF,... (again for another k) --clients 1,2,8 --rounds N
 *		--queries N --table NAME --deleted 0|1 --floor 0|1
 *		--warm N --drop FILE (again for several)
 *
 * A cell is one system, one number of clients, one k and one ef.  In a cell
 * every query is asked exactly once: clients are threads that take the next
 * one not yet taken, so that all systems answer the same queries, and no
 * client is left over at the end for longer than one of them.  Each client
 * has a connection to each server of its own, made once; queries are
 * prepared, vectors and ids are binary.  Cells of the systems alternate, and
 * all is done in several rounds, so that what else the machine does hits all
 * systems alike.  Answers are kept, and judged after the clock has stopped.
 *
 * One line of CSV a cell goes to standard output:
 *
 *	recall	rows no farther than the true k-th, of k; 1e-6 is allowed for the
 *			server's rounding, and a row returned twice counts once
 *	cpu_us	processor time of the backends per query, from their schedstat,
 *			which other programs on the machine disturb least
 *	little	queries per second divided by clients per mean latency.  By
 *			Little's law it is the share of the time in which a client waited
 *			for an answer: well below 1, the client was the limit
 *	short	rows missing of k, over all queries
 *
 * Files to drop are put out of the page cache before every query, in time that
 * latencies do not count; there can be one client only then.
 *
 * A line with k = 0 and ef = 0 is the floor: the same round trip with the same
 * parameter and no search.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "tool.h"

#define MAX_SYSTEMS 8
#define MAX_CLIENTS 64
#define MAX_KS 8
#define MAX_EFS 32
#define MAX_DROPS 64

typedef struct System
{
	const char *name;
	const char *conninfo;		/* NULL if in process */
	void	   *hnswlib;		/* then this */
	PGconn	   *conns[MAX_CLIENTS];
} System;

typedef struct KPlan
{
	int			k;
	int			efs[MAX_EFS];
	int			nefs;
} KPlan;

typedef struct Bench
{
	Vectors		base;
	Vectors		queries;
	Truth		truth;
	int64_t		nqueries;		/* asked in a cell */
	char	   *wire;			/* nqueries vectors in the binary format */
	size_t		wire_size;		/* of one */
	const char *table;
	bool		deleted;		/* are rows of deleted_in_test() gone? */
	bool		floor;
	int			warm;			/* queries of each kind and connection, at first */
	const char *drops[MAX_DROPS];
	int			ndrops;
	System		systems[MAX_SYSTEMS];
	int			nsystems;
	KPlan		ks[MAX_KS];
	int			nks;
	int			clients[MAX_CLIENTS];
	int			nclients;
	int			max_clients;
	int			rounds;
	int32_t    *ids;			/* of the cell: nqueries * k, -1 where short */
	double	   *latencies;		/* of the cell */
} Bench;

typedef struct Cell
{
	Bench	   *bench;
	System	   *system;
	int			clients;
	int			k;				/* 0 for the floor */
	int			ef;
	atomic_long next;			/* query not yet taken */
	int64_t		last;			/* one beyond the last to ask */
	pthread_barrier_t barrier;
} Cell;

typedef struct Client
{
	Cell	   *cell;
	int			number;
	double		start;
	double		end;
	double		cpu;			/* of this thread */
} Client;

/* ------------------------------------------------------------------- servers */

static void
search_sql(const Bench *bench, int k, char *sql, size_t size)
{
	snprintf(sql, size, "SELECT id FROM %s ORDER BY v %s $1::vector LIMIT %d",
			 bench->table, metric_operator(bench->base.metric), k);
}

/* For those who want to watch the servers' processes */
static void
show_processes(const Bench *bench, const System *system)
{
	int			i;

	fprintf(stderr, "  %s is answered by", system->name);
	for (i = 0; i < bench->max_clients; i++)
		fprintf(stderr, " %d", PQbackendPID(system->conns[i]));
	fputc('\n', stderr);
}

/* A search that the planner would not do by the index is worth a warning */
static void
check_plan(const Bench *bench, const System *system, PGconn *conn, int k)
{
	const char *values[1] = {bench->wire};
	int			lengths[1] = {(int) bench->wire_size};
	int			formats[1] = {1};
	bool		found = false;
	PGresult   *result;
	char		select[200];
	char		sql[256];
	int			i;

	search_sql(bench, k, select, sizeof(select));
	snprintf(sql, sizeof(sql), "EXPLAIN %s", select);
	result = PQexecParams(conn, sql, 1, NULL, values, lengths, formats, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s: %s", sql, PQerrorMessage(conn));
	for (i = 0; i < PQntuples(result); i++)
		found = found || strstr(PQgetvalue(result, i, 0), "Index Scan using") != NULL;
	PQclear(result);
	if (!found)
		fprintf(stderr, "warning: %s: left alone, the planner does not use the index for LIMIT %d\n",
				system->name, k);
}

static void
open_connection(const Bench *bench, System *system, int number)
{
	PGconn	   *conn = server_connect(system->conninfo);
	char		sql[256];
	char		name[32];
	int			i;

	system->conns[number] = conn;
	server_execute(conn, "SET jit = off");
	server_execute(conn, "SET max_parallel_workers_per_gather = 0");
	for (i = 0; number == 0 && i < bench->nks; i++)
		check_plan(bench, system, conn, bench->ks[i].k);
	server_execute(conn, "SET enable_seqscan = off");
	server_prepare(conn, "k0", "SELECT vector_dims($1::vector)", 1);
	for (i = 0; i < bench->nks; i++)
	{
		snprintf(name, sizeof(name), "k%d", bench->ks[i].k);
		search_sql(bench, bench->ks[i].k, sql, sizeof(sql));
		server_prepare(conn, name, sql, 1);
	}
}

static double
servers_cpu(const Cell *cell)
{
	double		sum = 0;
	int			i;

	for (i = 0; cell->system->conninfo != NULL && i < cell->clients; i++)
		sum += server_cpu(PQbackendPID(cell->system->conns[i]));
	return sum;
}

static void
set_ef(const Cell *cell)
{
	char		sql[64];
	int			i;

	if (cell->ef == 0)
		return;
	if (cell->system->conninfo == NULL)
	{
		hnswlib_set_ef(cell->system->hnswlib, cell->ef);
		return;
	}
	snprintf(sql, sizeof(sql), "SET hnsw.ef_search = %d", cell->ef);
	for (i = 0; i < cell->clients; i++)
		server_execute(cell->system->conns[i], sql);
}

/* ------------------------------------------------------------------- clients */

/* Ask a server, and keep the ids, of which there is room for k */
static void
ask_server(const Cell *cell, int number, int64_t query, int32_t *ids)
{
	const Bench *bench = cell->bench;
	const char *values[1] = {bench->wire + query * bench->wire_size};
	int			lengths[1] = {(int) bench->wire_size};
	int			formats[1] = {1};
	PGconn	   *conn = cell->system->conns[number];
	PGresult   *result;
	double		start;
	char		name[32];
	int			i;

	snprintf(name, sizeof(name), "k%d", cell->k);
	for (i = 0; i < bench->ndrops; i++)
		drop_file(bench->drops[i]);
	start = seconds();
	result = PQexecPrepared(conn, name, 1, values, lengths, formats, 1);
	bench->latencies[query] = seconds() - start;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s: %s", cell->system->name, PQerrorMessage(conn));
	if (PQntuples(result) > (cell->k > 0 ? cell->k : 1))
		die("%s returned %d rows for LIMIT %d", cell->system->name, PQntuples(result), cell->k);
	for (i = 0; i < cell->k && i < PQntuples(result); i++)
		ids[i] = (int32_t) get32(PQgetvalue(result, i, 0));
	PQclear(result);
}

static void
ask_hnswlib(const Cell *cell, int64_t query, int32_t *ids)
{
	const Bench *bench = cell->bench;
	double		start = seconds();

	hnswlib_search(cell->system->hnswlib, bench->queries.values + query * bench->queries.dims,
				   bench->queries.dims, bench->base.metric, cell->k, ids);
	bench->latencies[query] = seconds() - start;
}

static void *
client_run(void *argument)
{
	Client	   *client = argument;
	Cell	   *cell = client->cell;
	double		cpu;
	int64_t		query;

	pthread_barrier_wait(&cell->barrier);
	client->start = seconds();
	cpu = thread_cpu_seconds();
	while ((query = atomic_fetch_add(&cell->next, 1)) < cell->last)
	{
		int32_t    *ids = cell->bench->ids + query * cell->k;

		if (cell->system->conninfo != NULL)
			ask_server(cell, client->number, query, ids);
		else
			ask_hnswlib(cell, query, ids);
	}
	client->cpu = thread_cpu_seconds() - cpu;
	client->end = seconds();
	return NULL;
}

/* Returns how long it took from the first client's start to the last one's end */
static double
run_clients(Cell *cell, double *cpu)
{
	pthread_t	threads[MAX_CLIENTS];
	Client		clients[MAX_CLIENTS];
	double		start = 0;
	double		end = 0;
	int			i;

	pthread_barrier_init(&cell->barrier, NULL, cell->clients);
	*cpu = -servers_cpu(cell);
	for (i = 0; i < cell->clients; i++)
	{
		clients[i] = (Client)
		{
			.cell = cell,.number = i
		};
		if (pthread_create(&threads[i], NULL, client_run, &clients[i]) != 0)
			die("could not start a thread");
	}
	for (i = 0; i < cell->clients; i++)
	{
		pthread_join(threads[i], NULL);
		start = i == 0 || clients[i].start < start ? clients[i].start : start;
		end = i == 0 || clients[i].end > end ? clients[i].end : end;
	}
	*cpu += servers_cpu(cell);
	for (i = 0; cell->system->conninfo == NULL && i < cell->clients; i++)
		*cpu += clients[i].cpu;
	pthread_barrier_destroy(&cell->barrier);
	return end - start;
}

/* ------------------------------------------------------------------- judging */

/* The farthest distance that a row among the true k nearest can have */
static double
true_limit(const Bench *bench, int64_t query, int k)
{
	const int32_t *ids = bench->truth.ids + query * bench->truth.k;
	const double *distances = bench->truth.distances + query * bench->truth.k;
	int			rank = 0;
	int			i;

	for (i = 0; i < bench->truth.k; i++)
	{
		if (bench->deleted && deleted_in_test(ids[i]))
			continue;
		if (++rank == k)
			return distances[i];
	}
	die("too few true neighbors are known for k = %d", k);
}

/* Rows of a query that are as near as the true k nearest */
static int
count_hits(const Bench *bench, const Cell *cell, int64_t query, int64_t *missing)
{
	const int32_t *ids = bench->ids + query * cell->k;
	int			i;

	for (i = 0; i < cell->k; i++)
	{
		if (ids[i] < 0)
		{
			(*missing)++;
			continue;
		}
		if (ids[i] >= bench->base.rows || (bench->deleted && deleted_in_test(ids[i])))
			die("%s returned row %d, which does not exist", cell->system->name, ids[i]);
	}
	return rows_within(&bench->base, bench->queries.values + query * bench->queries.dims, ids, cell->k,
					   true_limit(bench, query, cell->k));
}

static void
report(const Bench *bench, const Cell *cell, int round, double elapsed, double cpu)
{
	int64_t		n = bench->nqueries;
	int64_t		missing = 0;
	int64_t		hits = 0;
	double		sum = 0;
	int64_t		i;

	for (i = 0; i < n; i++)
		sum += bench->latencies[i];
	for (i = 0; cell->k > 0 && i < n; i++)
		hits += count_hits(bench, cell, i, &missing);
	qsort(bench->latencies, n, sizeof(double), compare_doubles);
	printf("%s,%d,%d,%d,%d,%lld,%.5f,%.1f,%.1f,%.1f,%.1f,%.1f,%.3f,%lld\n",
		   cell->system->name, cell->k, cell->clients, cell->ef, round, (long long) n,
		   cell->k > 0 ? (double) hits / ((double) n * cell->k) : 0,
		   sum / n * 1e6, bench->latencies[n / 2] * 1e6, bench->latencies[n - 1 - n / 100] * 1e6,
		   n / elapsed, cpu / n * 1e6, sum / (elapsed * cell->clients), (long long) missing);
	fflush(stdout);
}

/* ------------------------------------------------------------------ schedule */

static void
run_cell(Bench *bench, int system, int clients, int k, int ef, int round)
{
	Cell		cell = {.bench = bench,.system = &bench->systems[system],
	.clients = clients,.k = k,.ef = ef,.last = bench->nqueries};
	double		elapsed;
	double		cpu;

	memset(bench->ids, 0xff, (size_t) bench->nqueries * k * sizeof(int32_t));
	set_ef(&cell);
	elapsed = run_clients(&cell, &cpu);
	report(bench, &cell, round, elapsed, cpu);
}

/* All systems, beginning with another one each round */
static void
run_systems(Bench *bench, int clients, int k, int ef, int round)
{
	int			i;

	for (i = 0; i < bench->nsystems; i++)
	{
		int			system = (i + round) % bench->nsystems;

		if (k > 0 || bench->systems[system].conninfo != NULL)
			run_cell(bench, system, clients, k, ef, round);
	}
}

static void
run_round(Bench *bench, int round)
{
	int			c;
	int			i;
	int			j;

	for (c = 0; c < bench->nclients; c++)
	{
		if (bench->floor)
			run_systems(bench, bench->clients[c], 0, 0, round);
		for (i = 0; i < bench->nks; i++)
		{
			for (j = 0; j < bench->ks[i].nefs; j++)
				run_systems(bench, bench->clients[c], bench->ks[i].k, bench->ks[i].efs[j], round);
		}
	}
}

/* Let every connection plan its statements and know the index */
static void
warm_up(Bench *bench)
{
	int			s;
	int			c;
	int			i;
	int			q;

	for (s = 0; s < bench->nsystems; s++)
	{
		for (i = -1; i < bench->nks; i++)
		{
			Cell		cell = {.bench = bench,.system = &bench->systems[s],.clients = bench->max_clients};

			cell.k = i < 0 ? 0 : bench->ks[i].k;
			cell.ef = i < 0 ? 0 : bench->ks[i].efs[0];
			set_ef(&cell);
			for (c = 0; c < bench->max_clients && cell.system->conninfo != NULL; c++)
			{
				for (q = 0; q < bench->warm && q < bench->nqueries; q++)
					ask_server(&cell, c, q, bench->ids);
			}
		}
	}
}

/* --------------------------------------------------------------- command line */

static void
add_system(Bench *bench, const char *name, const char *conninfo)
{
	if (bench->nsystems == MAX_SYSTEMS)
		die("more than %d systems", MAX_SYSTEMS);
	bench->systems[bench->nsystems].name = name;
	bench->systems[bench->nsystems].conninfo = conninfo;
	bench->nsystems++;
}

static void
add_k(Bench *bench, const char *k, const char *efs)
{
	KPlan	   *plan;

	if (bench->nks == MAX_KS)
		die("more than %d times --k", MAX_KS);
	plan = &bench->ks[bench->nks++];
	plan->k = (int) parse_number(k, 1, 10000);
	plan->nefs = parse_list(efs, plan->efs, MAX_EFS);
}

/* Options that may come again; the others are read by option() */
static void
parse_systems(Bench *bench, int argc, char **argv)
{
	int			i;

	for (i = 0; i < argc; i++)
	{
		if (strcmp(argv[i], "--pg") == 0 && i + 2 < argc)
			add_system(bench, argv[i + 1], argv[i + 2]);
		else if (strcmp(argv[i], "--k") == 0 && i + 2 < argc)
			add_k(bench, argv[i + 1], argv[i + 2]);
		else if (strcmp(argv[i], "--drop") == 0 && i + 1 < argc)
		{
			if (bench->ndrops == MAX_DROPS)
				die("more than %d times --drop", MAX_DROPS);
			bench->drops[bench->ndrops++] = argv[i + 1];
		}
		else if (strcmp(argv[i], "--hnswlib") == 0 && i + 1 < argc)
		{
			add_system(bench, "hnswlib", NULL);
			bench->systems[bench->nsystems - 1].hnswlib =
				hnswlib_load(argv[i + 1], bench->base.dims, bench->base.metric);
		}
	}
	if (bench->ndrops > 0 && bench->max_clients > 1)
		die("--drop is for one client");
	if (bench->nsystems == 0 || bench->nks == 0)
		die("search needs --pg or --hnswlib, and --k");
}

static void
parse_search(Bench *bench, int argc, char **argv)
{
	const char *prefix = option(argc, argv, "data", NULL);
	int			i;

	bench->base = vectors_open(prefix, "base");
	bench->queries = vectors_open(prefix, "query");
	bench->truth = truth_open(prefix, &bench->base, &bench->queries);
	bench->nqueries = parse_number(option(argc, argv, "queries", "1000"), 1, INT32_MAX);
	if (bench->nqueries > bench->queries.rows)
		bench->nqueries = bench->queries.rows;
	bench->rounds = (int) parse_number(option(argc, argv, "rounds", "3"), 1, 1000);
	bench->table = option(argc, argv, "table", "items");
	bench->deleted = parse_number(option(argc, argv, "deleted", "0"), 0, 1);
	bench->floor = parse_number(option(argc, argv, "floor", "1"), 0, 1);
	bench->warm = (int) parse_number(option(argc, argv, "warm", "50"), 0, 1000000);
	bench->nclients = parse_list(option(argc, argv, "clients", "1"), bench->clients, MAX_CLIENTS);
	for (i = 0; i < bench->nclients; i++)
	{
		if (bench->clients[i] > MAX_CLIENTS)
			die("more than %d clients", MAX_CLIENTS);
		if (bench->clients[i] > bench->max_clients)
			bench->max_clients = bench->clients[i];
	}
	parse_systems(bench, argc, argv);
}

static void
prepare_memory(Bench *bench)
{
	int			most = 1;
	int64_t		i;

	bench->wire_size = 4 + 4 * (size_t) bench->queries.dims;
	bench->wire = allocate(bench->nqueries, bench->wire_size);
	for (i = 0; i < bench->nqueries; i++)
		vector_to_wire(bench->wire + i * bench->wire_size,
					   bench->queries.values + i * bench->queries.dims, bench->queries.dims);
	for (i = 0; i < bench->nks; i++)
	{
		if (bench->ks[i].k > bench->truth.k)
			die("the truth is known for k up to %d only", bench->truth.k);
		if (bench->ks[i].k > most)
			most = bench->ks[i].k;
	}
	bench->ids = allocate((size_t) bench->nqueries * most, sizeof(int32_t));
	bench->latencies = allocate(bench->nqueries, sizeof(double));
}

int
cmd_search(int argc, char **argv)
{
	Bench	   *bench = allocate(1, sizeof(Bench));
	int			round;
	int			s;
	int			c;

	parse_search(bench, argc, argv);
	prepare_memory(bench);
	for (s = 0; s < bench->nsystems; s++)
	{
		for (c = 0; c < bench->max_clients && bench->systems[s].conninfo != NULL; c++)
			open_connection(bench, &bench->systems[s], c);
		if (bench->systems[s].conninfo != NULL)
			show_processes(bench, &bench->systems[s]);
	}
	warm_up(bench);
	printf("system,k,clients,ef,round,queries,recall,mean_us,p50_us,p99_us,qps,cpu_us,little,short\n");
	for (round = 1; round <= bench->rounds; round++)
	{
		double		start = seconds();

		run_round(bench, round);
		fprintf(stderr, "  round %d of %d: %.1f s\n", round, bench->rounds, seconds() - start);
	}
	for (s = 0; s < bench->nsystems; s++)
	{
		for (c = 0; c < bench->max_clients && bench->systems[s].conninfo != NULL; c++)
			PQfinish(bench->systems[s].conns[c]);
	}
	return 0;
}
