/*
 * filters.h
 *		Filters of queries: which rows they leave, and how SQL says it.
 *
 * A filter is a condition on the columns that load.c fills: class, and r, a
 * random number from 0 to RANDOM_RANGE - 1, of which the tables of tenants have
 * a column tenant instead, r / TENANT_RANGE.
 */
#ifndef VX_BENCH_FILTERS_H
#define VX_BENCH_FILTERS_H

#include "tool.h"

#define TENANTS 1000
#define TENANT_RANGE (RANDOM_RANGE / TENANTS)
#define MAX_FILTER_VALUES 2

typedef enum Kind
{
	KIND_NONE,					/* no filter */
	KIND_RANDOM,				/* r < ... */
	KIND_NEAR,					/* the query's class, and the nearest, and r < ... */
	KIND_FAR,					/* the farthest classes, not the query's, and r < ... */
	KIND_TENANT,				/* tenant = ... */
	KIND_FRESH,					/* the same, in a connection just made */
	NKINDS
} Kind;

/* What conditions there are, in the order of their parameters */
#define FORM_CLASS 1			/* class = */
#define FORM_CLASSES 2			/* class = ANY */
#define FORM_RANDOM 4			/* r < */
#define FORM_TENANT 8			/* tenant = */
#define NFORMS 16

typedef struct Filter
{
	int			form;
	uint64_t	classes;		/* a bit for each that passes */
	int			low;			/* of r */
	int			high;			/* beyond the last of r */
	int64_t		rows;			/* that pass */
} Filter;

/* What filters are made from */
typedef struct FilterData
{
	Vectors		base;
	Classes		classes;
	float	   *centroids;		/* of the classes */
	int64_t    *below;			/* for each class and 0 <= r <= RANDOM_RANGE, rows with less */
} FilterData;

/* The parameters of a filter's conditions, as text */
typedef struct FilterValues
{
	int			n;
	char		text[MAX_FILTER_VALUES][4 * MAX_CLASSES];
} FilterValues;

extern const char *kind_name(Kind kind);
extern Kind kind_by_name(const char *name);
extern FilterData *filter_data_open(const char *prefix, const Vectors *base);
extern Filter make_filter(const FilterData *data, Kind kind, double share, const float *query, int64_t number);
extern bool filter_passes(const FilterData *data, const Filter *filter, int64_t row);
extern int	form_sql(int form, char *sql, size_t size);
extern void filter_values(const Filter *filter, FilterValues *values);

#endif							/* VX_BENCH_FILTERS_H */
