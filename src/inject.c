/*-------------------------------------------------------------------------
 *
 * inject.c
 *	  Injection points, in builds for tests; see inject.h.
 *
 * What a session does at a point, the setting vectorx.inject says:
 *
 *	point[@n]:action[, ...]
 *
 * The action is taken each time that the point is passed, or the nth time only,
 * counted from when the setting was made.  Actions:
 *
 *	wait(key)	wait until nobody has the advisory lock of that key; the server
 *				and isolationtester see that like any wait for such a lock
 *	sleep(ms)	sleep for so many milliseconds
 *	error		raise an error
 *	panic		bring the server down
 *
 * Waiting takes a heavyweight lock, which must not be done with a buffer
 * locked; nor may an error be raised in a critical section.  Points where that
 * is so refuse it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef VECTORX_INJECTION

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/guc.h"

#include "inject.h"

/* Points that one setting may name */
#define MAX_POINTS 8

typedef enum VxAction
{
	VX_WAIT,
	VX_SLEEP,
	VX_ERROR,
	VX_PANIC
} VxAction;

typedef struct VxInjected
{
	char		name[32];
	int			nth;			/* 0: each time */
	int			passed;
	VxAction	action;
	int			argument;
} VxInjected;

static char *inject_setting;
static int	inject_level = -1;

static VxInjected points[MAX_POINTS];
static int	npoints;

/* Read "point[@n]:action[(argument)]" */
static bool
parse_point(const char *text, VxInjected *point)
{
	static const char *const actions[] = {"wait", "sleep", "error", "panic"};
	char		left[48];
	char		right[48];
	char		action[48];
	int			end = 0;

	memset(point, 0, sizeof(*point));
	if (sscanf(text, " %47[^: ]:%47s %n", left, right, &end) != 2 || text[end] != '\0')
		return false;
	if (sscanf(left, "%31[^@]@%d", point->name, &point->nth) < 1 ||
		sscanf(right, "%47[a-z](%d)", action, &point->argument) < 1)
		return false;
	for (int i = 0; i < (int) lengthof(actions); i++)
		if (strcmp(action, actions[i]) == 0)
		{
			point->action = (VxAction) i;
			return true;
		}
	return false;
}

/* Read a setting; returns the number of points, -1 if it is none */
static int
parse_setting(const char *setting, VxInjected *out)
{
	char	   *copy = pstrdup(setting);
	int			n = 0;

	if (setting[strspn(setting, " ")] == '\0')
		return 0;
	for (char *item = copy; item != NULL && n >= 0;)
	{
		char	   *next = strchr(item, ',');

		if (next)
			*next++ = '\0';
		n = n < MAX_POINTS && parse_point(item, &out[n]) ? n + 1 : -1;
		item = next;
	}
	pfree(copy);
	return n;
}

static bool
check_inject(char **newval, void **extra, GucSource source)
{
	VxInjected	parsed[MAX_POINTS];

	return parse_setting(*newval, parsed) >= 0;
}

static void
assign_inject(const char *newval, void *extra)
{
	npoints = parse_setting(newval, points);
}

/* Wait until nobody has an advisory lock */
static void
wait_for_key(const char *name, int key)
{
	LOCKTAG		tag;

	if (InterruptHoldoffCount > 0 || CritSectionCount > 0)
		elog(PANIC, "cannot wait at injection point \"%s\"", name);
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, (uint32) key, 1);
	(void) LockAcquire(&tag, ShareLock, false, false);
	LockRelease(&tag, ShareLock, false);
}

static void
act(const VxInjected *point)
{
	switch (point->action)
	{
		case VX_WAIT:
			wait_for_key(point->name, point->argument);
			break;
		case VX_SLEEP:
			pg_usleep(point->argument * 1000L);
			break;
		case VX_ERROR:
			elog(ERROR, "error at injection point \"%s\"", point->name);
			break;
		case VX_PANIC:
			elog(PANIC, "crash at injection point \"%s\"", point->name);
			break;
	}
}

void
VxInjectionPoint(const char *name)
{
	for (int i = 0; i < npoints; i++)
		if (strcmp(points[i].name, name) == 0 &&
			(++points[i].passed == points[i].nth || points[i].nth == 0))
			act(&points[i]);
}

int
VxInjectedLevel(int drawn, int max_level)
{
	return inject_level < 0 ? drawn : Min(inject_level, max_level);
}

void
VxInjectionInit(void)
{
	DefineCustomStringVariable("vectorx.inject", "Sets what to do at injection points.",
							   NULL, &inject_setting, "", PGC_SUSET, 0,
							   check_inject, assign_inject, NULL);
	DefineCustomIntVariable("vectorx.inject_level", "Sets the level of new nodes.",
							"-1 draws it.", &inject_level, -1, -1, 30, PGC_SUSET, 0,
							NULL, NULL, NULL);
}

#endif							/* VECTORX_INJECTION */
