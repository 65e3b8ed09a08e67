/*
 * load.c
 *		Load rows into a table (id int4, v vector) by binary COPY.
 *
 *	load PREFIX CONNINFO TABLE [FIRST [COUNT]]
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

/* One tuple: number of columns, then each one's length and bytes */
static void
copy_rows(PGconn *conn, const Vectors *base, int64_t first, int64_t count)
{
	char	   *tuple = allocate(18 + 4 * (size_t) base->dims, 1);
	int64_t		i;

	put_copy(conn, copy_header, sizeof(copy_header));
	for (i = first; i < first + count; i++)
	{
		size_t		size;

		put16(tuple, 2);
		put32(tuple + 2, 4);
		put32(tuple + 6, (uint32_t) i);
		size = vector_to_wire(tuple + 14, base->values + i * base->dims, base->dims);
		put32(tuple + 10, (uint32_t) size);
		put_copy(conn, tuple, 14 + size);
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
	PGconn	   *conn;
	PGresult   *result;
	int64_t		first;
	int64_t		count;
	char		sql[256];

	if (argc < 3)
		die("load PREFIX CONNINFO TABLE [FIRST [COUNT]]");
	base = vectors_open(argv[0], "base");
	first = argc > 3 ? parse_number(argv[3], 0, base.rows) : 0;
	count = argc > 4 ? parse_number(argv[4], 0, base.rows - first) : base.rows - first;
	conn = server_connect(argv[1]);
	snprintf(sql, sizeof(sql), "COPY %s (id, v) FROM STDIN (FORMAT binary)", argv[2]);
	result = PQexec(conn, sql);
	if (PQresultStatus(result) != PGRES_COPY_IN)
		die("%s", PQerrorMessage(conn));
	PQclear(result);
	copy_rows(conn, &base, first, count);
	finish_copy(conn);
	PQfinish(conn);
	return 0;
}
