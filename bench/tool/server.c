/*
 * server.c
 *		Talk to a server; errors end the program.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "server.h"
#include "tool.h"

PGconn *
server_connect(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", PQerrorMessage(conn));
	return conn;
}

/* A command, or a query of whose rows nobody wants to know */
void
server_execute(PGconn *conn, const char *sql)
{
	PGresult   *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
}

void
server_prepare(PGconn *conn, const char *name, const char *sql, int parameters)
{
	PGresult   *result = PQprepare(conn, name, sql, parameters, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
}

/* Time on a processor of a process, in seconds; 0 if the system does not tell */
double
server_cpu(int pid)
{
	unsigned long long nanoseconds = 0;
	char		path[64];
	FILE	   *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &nanoseconds) != 1)
		nanoseconds = 0;
	fclose(file);
	return nanoseconds * 1e-9;
}
