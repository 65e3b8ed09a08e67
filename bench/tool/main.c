/*
 * main.c
 *		The benchmark's tool: data sets, their truth, and clients.
 *
 * Run by bench/run and its parts; see each command's file for its arguments.
 */
#include <string.h>

#include "tool.h"

static const struct
{
	const char *name;
	int			(*run) (int argc, char **argv);
}			commands[] = {
	{"import", cmd_import},
	{"generate", cmd_generate},
	{"truth", cmd_truth},
	{"classes", cmd_classes},
	{"split", cmd_split},
	{"info", cmd_info},
	{"load", cmd_load},
	{"search", cmd_search},
	{"filter", cmd_filter},
	{"insert", cmd_insert},
	{"memory", cmd_memory},
	{"drop", cmd_drop},
#ifdef HAVE_HNSWLIB
	{"hnswlib", cmd_hnswlib},
#endif
};

int
main(int argc, char **argv)
{
	size_t		i;

	for (i = 0; argc > 1 && i < lengthof(commands); i++)
	{
		if (strcmp(commands[i].name, argv[1]) == 0)
			return commands[i].run(argc - 2, argv + 2);
	}
	fprintf(stderr, "usage: vxbench COMMAND ARGUMENTS; commands:");
	for (i = 0; i < lengthof(commands); i++)
		fprintf(stderr, " %s", commands[i].name);
	fputc('\n', stderr);
	return 2;
}
