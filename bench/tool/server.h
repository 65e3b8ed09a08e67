/*
 * server.h
 *		Talk to a server; errors end the program.
 */
#ifndef VX_BENCH_SERVER_H
#define VX_BENCH_SERVER_H

#include <libpq-fe.h>

extern PGconn *server_connect(const char *conninfo);
extern void server_execute(PGconn *conn, const char *sql);
extern void server_prepare(PGconn *conn, const char *name, const char *sql, int parameters);
extern double server_cpu(int pid);

#endif							/* VX_BENCH_SERVER_H */
