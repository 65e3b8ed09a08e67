/*
 * filter.c
 *		Measure searches with filters: recall, latency, plans.
 *
 *	filter --data PREFIX --kinds KIND,... --shares PERCENT,...
 *		--strategy NAME SYSTEM CONNINFO TABLE SETTINGS EXPECTED (again for another)
 *		--queries N --rounds N --seconds S
 *
 * A point is a kind of filter and the share of the rows that it leaves; each
 * query has its own filter of that kind (filters.h).  A strategy is a way to
 * answer: a table, and settings that lead the planner to a plan, or none that do.
 * A cell is a point and a strategy.  There is one client, with a connection for
 * each strategy.  In a cell queries are asked one after the other, all of them
 * unless that takes longer than S seconds; ten at least.  Cells of the strategies
 * alternate, all is done in several rounds, and answers are judged after the
 * clock has stopped, as in search.c.
 *
 * Statements are prepared, and planned for each query with its values unless the
 * settings say otherwise; the time has that in it.  How a cell is planned is seen
 * once, by EXPLAIN EXECUTE of ten of its queries: if not even half of the plans
 * have EXPECTED in them, the cell is not measured, and its line has the plan only.
 *
 * One line of CSV a cell goes to standard output:
 *
 *	rows	that the filter leaves, on average
 *	recall	of the rows that should have been returned: ten, or what matches
 *	short	rows missing of those, over all queries
 *	plan_us	median planning time, of the queries explained
 *	visited, flat	nodes that searches visited, and share of the searches that went
 *			flat, of those queries; of vectorx's index scans
 *	same	share of the explained queries that have the plan shown
 *	plan	the nodes, from the top; numbers are replaced by N
 *
 * A row that does not exist, or does not pass the filter, ends the program.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "filters.h"
#include "server.h"

#define K 10
#define MAX_STRATEGIES 24
#define MAX_POINTS 128
#define MAX_SHARES 32
#define EXPLAINED 10			/* queries of a cell whose plan is looked at */
#define LEAST_QUERIES 10		/* of a cell, however long they take */
#define WARM 20					/* queries asked before the clock runs, but */
#define WARM_SECONDS 0.05		/* no more after this time */
#define PLAN_SIZE 400

typedef struct Strategy
{
	const char *name;
	const char *system;
	const char *conninfo;
	const char *table;
	const char *settings;		/* statements */
	const char *expected;		/* in the plan */
	PGconn	   *conn;
	bool		prepared[NFORMS];
} Strategy;

typedef struct Point
{
	Kind		kind;
	double		share;			/* in percent */
	double		rows;			/* that pass, on average */
	Filter	   *filters;		/* of each query */
	double	   *limits;			/* of each query: distance of its last true neighbor */
	int		   *wanted;			/* of each query: rows to be returned */
} Point;

/* How a cell is planned */
typedef struct Planned
{
	char		plan[PLAN_SIZE];
	double		same;
	double		plan_us;
	double		visited;
	double		flat;
	bool		searched;		/* are the two known? */
	bool		expected;
} Planned;

typedef struct Bench
{
	Vectors		base;
	Vectors		queries;
	FilterData *data;
	int64_t		nqueries;
	char	   *wire;			/* nqueries vectors in the binary format */
	size_t		wire_size;		/* of one */
	int			rounds;
	double		seconds;
	Strategy	strategies[MAX_STRATEGIES];
	int			nstrategies;
	Point		points[MAX_POINTS];
	int			npoints;
	Planned		planned[MAX_POINTS][MAX_STRATEGIES];
	int32_t    *ids;			/* of the cell: nqueries * K, -1 where short */
	double	   *latencies;		/* of the cell */
} Bench;

/* -------------------------------------------------------------------- servers */

static void
connect_strategy(Strategy *strategy)
{
	strategy->conn = server_connect(strategy->conninfo);
	memset(strategy->prepared, 0, sizeof(strategy->prepared));
	server_execute(strategy->conn, "SET jit = off; SET max_parallel_workers_per_gather = 0; "
				   "SET plan_cache_mode = force_custom_plan");
	if (strategy->settings[0] != '\0')
		server_execute(strategy->conn, strategy->settings);
}

static void
ensure_prepared(const Bench *bench, Strategy *strategy, int form)
{
	char		where[200];
	char		sql[400];
	char		name[16];
	int			n;

	if (strategy->prepared[form])
		return;
	n = form_sql(form, where, sizeof(where));
	snprintf(sql, sizeof(sql), "SELECT id FROM %s%s ORDER BY v %s $1::vector LIMIT %d",
			 strategy->table, where, metric_operator(bench->base.metric), K);
	snprintf(name, sizeof(name), "form%d", form);
	server_prepare(strategy->conn, name, sql, n + 1);
	strategy->prepared[form] = true;
}

/* Ask one query, and keep the ids and the time, with that of preparing if need be */
static void
ask(Bench *bench, Strategy *strategy, const Point *point, int64_t query)
{
	const Filter *filter = &point->filters[query];
	const char *values[1 + MAX_FILTER_VALUES] = {bench->wire + query * bench->wire_size};
	int			lengths[1 + MAX_FILTER_VALUES] = {(int) bench->wire_size};
	int			formats[1 + MAX_FILTER_VALUES] = {1};
	int32_t    *ids = bench->ids + query * K;
	FilterValues texts;
	PGresult   *result;
	double		start;
	char		name[16];
	int			i;

	filter_values(filter, &texts);
	for (i = 0; i < texts.n; i++)
		values[1 + i] = texts.text[i];
	snprintf(name, sizeof(name), "form%d", filter->form);
	start = seconds();
	ensure_prepared(bench, strategy, filter->form);
	result = PQexecPrepared(strategy->conn, name, 1 + texts.n, values, lengths, formats, 1);
	bench->latencies[query] = seconds() - start;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s: %s", strategy->name, PQerrorMessage(strategy->conn));
	if (PQntuples(result) > K)
		die("%s returned %d rows for LIMIT %d", strategy->name, PQntuples(result), K);
	for (i = 0; i < K; i++)
		ids[i] = i < PQntuples(result) ? (int32_t) get32(PQgetvalue(result, i, 0)) : -1;
	PQclear(result);
}

/* ---------------------------------------------------------------------- plans */

/* EXPLAIN EXECUTE with the query's values as literals; to be freed */
static char *
explain_sql(const Bench *bench, const Filter *filter, int64_t query)
{
	const float *vector = bench->queries.values + query * bench->queries.dims;
	FilterValues texts;
	char	   *sql;
	size_t		size;
	FILE	   *file = open_memstream(&sql, &size);
	int			i;

	if (file == NULL)
		die("out of memory");
	fprintf(file, "EXPLAIN (SUMMARY) EXECUTE form%d ('", filter->form);
	for (i = 0; i < bench->queries.dims; i++)
		fprintf(file, "%c%.9g", i == 0 ? '[' : ',', vector[i]);
	fprintf(file, "]'");
	filter_values(filter, &texts);
	for (i = 0; i < texts.n; i++)
		fprintf(file, ", '%s'", texts.text[i]);
	fprintf(file, ")");
	if (fclose(file) != 0)
		die("out of memory");
	return sql;
}

/* Append text, with N for numbers and without commas, which would end a column */
static void
append_name(char *plan, const char *text, int length)
{
	size_t		at = strlen(plan);
	int			i;

	for (i = 0; i < length && at + 1 < PLAN_SIZE; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			plan[at++] = text[i] == ',' ? ' ' : text[i];
		else if (at == 0 || plan[at - 1] != 'N')
			plan[at++] = 'N';
	}
	plan[at] = '\0';
}

/* Take from a line of EXPLAIN what is wanted of it */
static void
read_plan_line(const char *line, char *plan, double *plan_us)
{
	const char *cost = strstr(line, "  (cost=");

	line += strspn(line, " ->");
	if (strncmp(line, "Filter:", 7) == 0)
		append_name(plan, " + filter", 9);
	else if (cost != NULL && strncmp(line, "Limit ", 6) != 0)
	{
		if (plan[0] != '\0')
			append_name(plan, " < ", 3);
		append_name(plan, line, (int) (cost - line));
	}
	else
		sscanf(line, "Planning Time: %lf", plan_us);
}

/* The plan of a query, and how long it took to make, in microseconds */
static double
explain(const Bench *bench, Strategy *strategy, const Filter *filter, int64_t query, char *plan)
{
	char	   *sql = explain_sql(bench, filter, query);
	double		milliseconds = 0;
	PGresult   *result = PQexec(strategy->conn, sql);
	int			i;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("EXPLAIN: %s", PQerrorMessage(strategy->conn));
	plan[0] = '\0';
	for (i = 0; i < PQntuples(result); i++)
		read_plan_line(PQgetvalue(result, i, 0), plan, &milliseconds);
	PQclear(result);
	free(sql);
	return milliseconds * 1000;
}

/* Add what the session's last search did to the sums */
static void
add_last_scan(Strategy *strategy, Planned *planned)
{
	PGresult   *result = PQexec(strategy->conn,
								"SELECT nodes_visited, (strategy = 'flat')::int FROM vectorx_last_scan()");

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
		die("vectorx_last_scan: %s", PQerrorMessage(strategy->conn));
	planned->visited += atof(PQgetvalue(result, 0, 0));
	planned->flat += atof(PQgetvalue(result, 0, 1));
	PQclear(result);
}

/* Does a plan search an index of vectorx? */
static bool
has_search(const Strategy *strategy, const char *plan)
{
	return strcmp(strategy->system, "vectorx") == 0 && strstr(plan, "v_idx") != NULL;
}

/* The plan that most have */
static void
choose_plan(Planned *planned, char plans[][PLAN_SIZE], int n)
{
	int			best = 0;
	int			i;
	int			j;

	for (i = 0; i < n; i++)
	{
		int			same = 0;

		for (j = 0; j < n; j++)
			same += strcmp(plans[i], plans[j]) == 0;
		if (same > best)
		{
			best = same;
			strcpy(planned->plan, plans[i]);
		}
	}
	planned->same = (double) best / n;
}

/* See how a cell is planned */
static void
look_at_plans(Bench *bench, Strategy *strategy, const Point *point, Planned *planned)
{
	int			n = bench->nqueries < EXPLAINED ? (int) bench->nqueries : EXPLAINED;
	char		plans[EXPLAINED][PLAN_SIZE];
	double		times[EXPLAINED];
	int			expected = 0;
	int			searches = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		ensure_prepared(bench, strategy, point->filters[i].form);
		times[i] = explain(bench, strategy, &point->filters[i], i, plans[i]);
		expected += strstr(plans[i], strategy->expected) != NULL;
	}
	choose_plan(planned, plans, n);
	planned->expected = 2 * expected >= n;
	for (i = 0; i < n && planned->expected; i++)
	{
		if (!has_search(strategy, plans[i]))
			continue;
		ask(bench, strategy, point, i);
		add_last_scan(strategy, planned);
		searches++;
	}
	planned->searched = searches > 0;
	if (searches > 0)
	{
		planned->visited /= searches;
		planned->flat /= searches;
	}
	qsort(times, n, sizeof(double), compare_doubles);
	planned->plan_us = times[n / 2];
}

/* ---------------------------------------------------------------------- truth */

static bool
passes(const void *context, int64_t query, int filter, int64_t row)
{
	const Bench *bench = context;

	return filter_passes(bench->data, &bench->points[filter].filters[query], row);
}

/* The true neighbors of all points' queries, of which the last one's distance is kept */
static void
find_truth(Bench *bench)
{
	size_t		entries = (size_t) bench->nqueries * bench->npoints * K;
	int32_t    *ids = allocate(entries, sizeof(int32_t));
	double	   *distances = allocate(entries, sizeof(double));
	int64_t		q;
	int			p;

	nearest_rows(&bench->base, &bench->queries, bench->nqueries, K, bench->npoints, passes, bench,
				 ids, distances);
	for (q = 0; q < bench->nqueries; q++)
	{
		for (p = 0; p < bench->npoints; p++)
		{
			Point	   *point = &bench->points[p];
			size_t		first = ((size_t) q * bench->npoints + p) * K;
			int			n = 0;

			while (n < K && ids[first + n] >= 0)
				n++;
			point->wanted[q] = n;
			point->limits[q] = n > 0 ? distances[first + n - 1] : 0;
		}
	}
	free(ids);
	free(distances);
}

static void
check_answer(const Bench *bench, const Strategy *strategy, const Point *point, int64_t query)
{
	const int32_t *ids = bench->ids + query * K;
	int			i;

	for (i = 0; i < K; i++)
	{
		if (ids[i] < 0)
			continue;
		if (ids[i] >= bench->base.rows || !filter_passes(bench->data, &point->filters[query], ids[i]))
			die("%s returned row %d, which does not exist or does not pass the filter", strategy->name, ids[i]);
	}
}

/* ------------------------------------------------------------------ the cells */

static void
print_head(const Strategy *strategy, const Point *point, int round, int64_t asked)
{
	printf("%s,%g,%s,%s,%d,%lld,%.1f", kind_name(point->kind), point->share, strategy->system,
		   strategy->name, round, (long long) asked, point->rows);
}

static void
print_planned(const Planned *planned)
{
	printf(",%.1f,", planned->plan_us);
	if (planned->searched)
		printf("%.0f,%.2f", planned->visited, planned->flat);
	else
		printf(",");
	printf(",%.2f,%s\n", planned->same, planned->plan);
	fflush(stdout);
}

static void
report(Bench *bench, const Strategy *strategy, const Point *point, const Planned *planned,
	   int round, int64_t asked, double elapsed, double cpu)
{
	int64_t		wanted = 0;
	int64_t		hits = 0;
	int64_t		missing = 0;
	double		sum = 0;
	int64_t		q;
	int			i;

	for (q = 0; q < asked; q++)
	{
		const int32_t *ids = bench->ids + q * K;

		check_answer(bench, strategy, point, q);
		sum += bench->latencies[q];
		wanted += point->wanted[q];
		missing += point->wanted[q];
		for (i = 0; i < K; i++)
			missing -= ids[i] >= 0;
		hits += rows_within(&bench->base, bench->queries.values + q * bench->queries.dims, ids, K,
							point->limits[q]);
	}
	qsort(bench->latencies, asked, sizeof(double), compare_doubles);
	print_head(strategy, point, round, asked);
	printf(",%.5f,%.1f,%.1f,%.1f,%.1f,", wanted > 0 ? (double) hits / wanted : 1,
		   sum / asked * 1e6, bench->latencies[asked / 2] * 1e6, bench->latencies[asked - 1 - asked / 100] * 1e6,
		   asked / elapsed);
	if (point->kind != KIND_FRESH)
		printf("%.1f", cpu / asked * 1e6);
	printf(",%lld", (long long) missing);
	print_planned(planned);
}

/* Ask the queries of a cell; returns how many there was time for */
static int64_t
ask_all(Bench *bench, Strategy *strategy, const Point *point)
{
	double		start = seconds();
	int64_t		q;

	for (q = 0; q < bench->nqueries; q++)
	{
		if (q >= LEAST_QUERIES && (point->kind == KIND_FRESH || seconds() - start > bench->seconds))
			break;
		if (point->kind == KIND_FRESH)
		{
			PQfinish(strategy->conn);
			connect_strategy(strategy);
		}
		ask(bench, strategy, point, q);
	}
	return q;
}

/* What the last cell read has put this one's data out of the processor's cache */
static void
warm_up(Bench *bench, Strategy *strategy, const Point *point)
{
	double		start = seconds();
	int64_t		q;

	for (q = 0; q < WARM && q < bench->nqueries && seconds() - start < WARM_SECONDS; q++)
		ask(bench, strategy, point, q);
}

static void
run_cell(Bench *bench, Strategy *strategy, const Point *point, Planned *planned, int round)
{
	double		start;
	double		elapsed;
	double		cpu;
	int64_t		asked;

	if (round == 1)
		look_at_plans(bench, strategy, point, planned);
	if (!planned->expected)
	{
		if (round > 1)
			return;
		print_head(strategy, point, 0, 0);
		printf(",,,,,,,");
		print_planned(planned);
		return;
	}
	warm_up(bench, strategy, point);
	memset(bench->ids, 0xff, (size_t) bench->nqueries * K * sizeof(int32_t));
	start = seconds();
	cpu = server_cpu(PQbackendPID(strategy->conn));
	asked = ask_all(bench, strategy, point);
	elapsed = seconds() - start;
	cpu = server_cpu(PQbackendPID(strategy->conn)) - cpu;
	report(bench, strategy, point, planned, round, asked, elapsed, cpu);
}

/* All points; of each, all strategies, beginning with another one each round */
static void
run_round(Bench *bench, int round)
{
	int			p;
	int			i;

	for (p = 0; p < bench->npoints; p++)
	{
		for (i = 0; i < bench->nstrategies; i++)
		{
			int			s = (i + round) % bench->nstrategies;

			run_cell(bench, &bench->strategies[s], &bench->points[p], &bench->planned[p][s], round);
		}
	}
}

/* --------------------------------------------------------------- command line */

static void
add_point(Bench *bench, Kind kind, double share)
{
	Point	   *point;
	int64_t		q;

	if (bench->npoints == MAX_POINTS)
		die("more than %d points", MAX_POINTS);
	point = &bench->points[bench->npoints++];
	point->kind = kind;
	point->share = share;
	point->filters = allocate(bench->nqueries, sizeof(Filter));
	point->limits = allocate(bench->nqueries, sizeof(double));
	point->wanted = allocate(bench->nqueries, sizeof(int));
	for (q = 0; q < bench->nqueries; q++)
	{
		point->filters[q] = make_filter(bench->data, kind, share,
										bench->queries.values + q * bench->queries.dims, q);
		point->rows += (double) point->filters[q].rows / bench->nqueries;
	}
}

/* "90,50,0.1" to numbers; returns how many */
static int
parse_shares(const char *text, double *shares)
{
	int			n = 0;
	char	   *end;

	do
	{
		if (n == MAX_SHARES)
			die("more than %d numbers in \"%s\"", MAX_SHARES, text);
		shares[n] = strtod(text, &end);
		if (end == text || (*end != ',' && *end != '\0') || !(shares[n] > 0 && shares[n] <= 100))
			die("\"%s\" is not a list of percentages", text);
		n++;
		text = end + 1;
	} while (*end == ',');
	return n;
}

/* Every kind with every share, but those that have none to choose */
static void
add_points(Bench *bench, const char *kinds, const char *shares)
{
	char	   *copy = strdup(kinds);
	char	   *rest = copy;
	char	   *word;
	double		list[MAX_SHARES];
	int			n = parse_shares(shares, list);
	int			i;

	while ((word = strsep(&rest, ",")) != NULL)
	{
		Kind		kind = kind_by_name(word);

		if (kind == KIND_NONE)
			add_point(bench, kind, 100);
		else if (kind == KIND_TENANT || kind == KIND_FRESH)
			add_point(bench, kind, 100.0 / TENANTS);
		else
		{
			for (i = 0; i < n; i++)
				add_point(bench, kind, list[i]);
		}
	}
	free(copy);
}

static void
add_strategies(Bench *bench, int argc, char **argv)
{
	int			i;

	for (i = 0; i + 6 < argc; i++)
	{
		if (strcmp(argv[i], "--strategy") != 0)
			continue;
		if (bench->nstrategies == MAX_STRATEGIES)
			die("more than %d strategies", MAX_STRATEGIES);
		bench->strategies[bench->nstrategies++] = (Strategy)
		{
			.name = argv[i + 1],.system = argv[i + 2],.conninfo = argv[i + 3],.table = argv[i + 4],
			.settings = argv[i + 5],.expected = argv[i + 6]
		};
		i += 6;
	}
	if (bench->nstrategies == 0)
		die("filter needs --strategy");
}

static void
prepare_bench(Bench *bench, int argc, char **argv)
{
	const char *prefix = option(argc, argv, "data", NULL);
	int64_t		q;

	bench->base = vectors_open(prefix, "base");
	bench->queries = vectors_open(prefix, "query");
	bench->data = filter_data_open(prefix, &bench->base);
	bench->nqueries = parse_number(option(argc, argv, "queries", "200"), 1, INT32_MAX);
	if (bench->nqueries > bench->data->classes.queries)
		bench->nqueries = bench->data->classes.queries;
	if (bench->nqueries > bench->queries.rows)
		bench->nqueries = bench->queries.rows;
	bench->rounds = (int) parse_number(option(argc, argv, "rounds", "3"), 1, 1000);
	bench->seconds = (double) parse_number(option(argc, argv, "seconds", "1"), 1, 3600);
	add_strategies(bench, argc, argv);
	add_points(bench, option(argc, argv, "kinds", NULL), option(argc, argv, "shares", "100"));
	bench->wire_size = 4 + 4 * (size_t) bench->queries.dims;
	bench->wire = allocate(bench->nqueries, bench->wire_size);
	for (q = 0; q < bench->nqueries; q++)
		vector_to_wire(bench->wire + q * bench->wire_size,
					   bench->queries.values + q * bench->queries.dims, bench->queries.dims);
	bench->ids = allocate((size_t) bench->nqueries * K, sizeof(int32_t));
	bench->latencies = allocate(bench->nqueries, sizeof(double));
}

int
cmd_filter(int argc, char **argv)
{
	Bench	   *bench = allocate(1, sizeof(Bench));
	int			round;
	int			s;

	prepare_bench(bench, argc, argv);
	find_truth(bench);
	for (s = 0; s < bench->nstrategies; s++)
		connect_strategy(&bench->strategies[s]);
	printf("kind,share,system,strategy,round,queries,rows,recall,mean_us,p50_us,p99_us,qps,cpu_us,short,"
		   "plan_us,visited,flat,same,plan\n");
	for (round = 1; round <= bench->rounds; round++)
	{
		double		start = seconds();

		run_round(bench, round);
		fprintf(stderr, "  round %d of %d: %.1f s\n", round, bench->rounds, seconds() - start);
	}
	for (s = 0; s < bench->nstrategies; s++)
		PQfinish(bench->strategies[s].conn);
	return 0;
}
