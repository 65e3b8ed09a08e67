/*
 * load.c
 *		Load rows into a table (id int4, class int4, r int4, v vector) by binary COPY.
 *
 *	load PREFIX CONNINFO TABLE [FIRST [COUNT]]
 *
 * Column r is random_attribute() of the id.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "tool.h"

static const char copy_header[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";

static void
put_copy(PGconn *conn, const char *data, size_t size)
{
	if (PQputCopyData(conn, data, (int) size) != 1)
		die("COPY: %s", PQerrorMessage(conn));
}

/* An int4 with its length; returns what comes after it */
static char *
put_int4(char *to, int32_t value)
{
	put32(to, 4);
	put32(to + 4, (uint32_t) value);
	return to + 8;
}

/* One tuple: number of columns, then each one's length and bytes */
static void
copy_rows(PGconn *conn, const Vectors *base, const Classes *classes, int64_t first, int64_t count)
{
	char	   *tuple = allocate(34 + 4 * (size_t) base->dims, 1);
	int64_t		i;

	put_copy(conn, copy_header, sizeof(copy_header));
	for (i = first; i < first + count; i++)
	{
		char	   *at = tuple + 2;
		size_t		size;

		put16(tuple, 4);
		at = put_int4(at, (int32_t) i);
		at = put_int4(at, classes->of_rows[i]);
		at = put_int4(at, random_attribute(i));
		size = vector_to_wire(at + 4, base->values + i * base->dims, base->dims);
		put32(at, (uint32_t) size);
		put_copy(conn, tuple, at + 4 - tuple + size);
	}
	put_copy(conn, "\377\377", 2);
	free(tuple);
}

static void
finish_copy(PGconn *conn)
{
	PGresult   *result;

	if (PQputCopyEnd(conn, NULL) != 1)
		die("COPY: %s", PQerrorMessage(conn));
	while ((result = PQgetResult(conn)) != NULL)
	{
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			die("COPY: %s", PQerrorMessage(conn));
		PQclear(result);
	}
}

int
cmd_load(int argc, char **argv)
{
	Vectors		base;
	Classes		classes;
	PGconn	   *conn;
	PGresult   *result;
	int64_t		first;
	int64_t		count;
	char		sql[256];

	if (argc < 3)
		die("load PREFIX CONNINFO TABLE [FIRST [COUNT]]");
	base = vectors_open(argv[0], "base");
	classes = classes_open(argv[0], &base);
	first = argc > 3 ? parse_number(argv[3], 0, base.rows) : 0;
	count = argc > 4 ? parse_number(argv[4], 0, base.rows - first) : base.rows - first;
	conn = server_connect(argv[1]);
	snprintf(sql, sizeof(sql), "COPY %s (id, class, r, v) FROM STDIN (FORMAT binary)", argv[2]);
	result = PQexec(conn, sql);
	if (PQresultStatus(result) != PGRES_COPY_IN)
		die("%s", PQerrorMessage(conn));
	PQclear(result);
	copy_rows(conn, &base, &classes, first, count);
	finish_copy(conn);
	PQfinish(conn);
	return 0;
}
