/*
 * filters.c
 *		Filters of queries: which rows they leave, and how SQL says it.
 *
 * The classes of the near and far kinds are taken in the order in which their
 * centroids are from the query, as many as have the share of the rows that is
 * wanted; a condition on r brings them down to it.  Where classes do not have as
 * many, the filter has what there is.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filters.h"

#define ALL_CLASSES UINT64_MAX

static const char *const kind_names[NKINDS] = {
	[KIND_NONE] = "none",
	[KIND_RANDOM] = "random",
	[KIND_NEAR] = "near",
	[KIND_FAR] = "far",
	[KIND_TENANT] = "tenant",
	[KIND_FRESH] = "fresh",
};

const char *
kind_name(Kind kind)
{
	return kind_names[kind];
}

Kind
kind_by_name(const char *name)
{
	int			i;

	for (i = 0; i < NKINDS; i++)
	{
		if (strcmp(kind_names[i], name) == 0)
			return (Kind) i;
	}
	die("there is no kind of filter \"%s\"", name);
}

/* ---------------------------------------------------------------- statistics */

static void
find_centroids(FilterData *data)
{
	int			dims = data->base.dims;
	double	   *sums = allocate((size_t) data->classes.count * dims, sizeof(double));
	int64_t    *counts = allocate(data->classes.count, sizeof(int64_t));
	int64_t		row;
	int			i;
	int			c;

	for (row = 0; row < data->base.rows; row++)
	{
		c = data->classes.of_rows[row];
		counts[c]++;
		for (i = 0; i < dims; i++)
			sums[c * (size_t) dims + i] += data->base.values[row * dims + i];
	}
	data->centroids = allocate((size_t) data->classes.count * dims, sizeof(float));
	for (c = 0; c < data->classes.count; c++)
	{
		for (i = 0; i < dims && counts[c] > 0; i++)
			data->centroids[c * (size_t) dims + i] = (float) (sums[c * (size_t) dims + i] / counts[c]);
	}
	free(sums);
	free(counts);
}

static int64_t *
below_of(const FilterData *data, int class)
{
	return data->below + class * (size_t) (RANDOM_RANGE + 1);
}

static void
count_rows(FilterData *data)
{
	int64_t		row;
	int			c;
	int			r;

	data->below = allocate((size_t) data->classes.count * (RANDOM_RANGE + 1), sizeof(int64_t));
	for (row = 0; row < data->base.rows; row++)
		below_of(data, data->classes.of_rows[row])[random_attribute(row) + 1]++;
	for (c = 0; c < data->classes.count; c++)
	{
		for (r = 0; r < RANDOM_RANGE; r++)
			below_of(data, c)[r + 1] += below_of(data, c)[r];
	}
}

FilterData *
filter_data_open(const char *prefix, const Vectors *base)
{
	FilterData *data = allocate(1, sizeof(FilterData));

	data->base = *base;
	data->classes = classes_open(prefix, base);
	find_centroids(data);
	count_rows(data);
	return data;
}

/* ------------------------------------------------------------- making filters */

typedef struct RankedClass
{
	int			class;
	double		distance;
} RankedClass;

static int
compare_ranked(const void *a, const void *b)
{
	return compare_doubles(&((const RankedClass *) a)->distance, &((const RankedClass *) b)->distance);
}

/* Classes in the order in which a kind wants them; returns how many it may have */
static int
rank_classes(const FilterData *data, Kind kind, const float *query, int own, RankedClass *ranked)
{
	int			dims = data->base.dims;
	int			n = 0;
	int			c;

	for (c = 0; c < data->classes.count; c++)
	{
		double		distance = exact_distance(data->base.metric, data->centroids + c * (size_t) dims, query, dims);

		if (kind == KIND_FAR && c == own)
			continue;
		if (isnan(distance))
			distance = 0;
		ranked[n].class = c;
		ranked[n].distance = c == own ? -INFINITY : kind == KIND_FAR ? -distance : distance;
		n++;
	}
	qsort(ranked, n, sizeof(RankedClass), compare_ranked);
	return n;
}

static void
take_classes(const FilterData *data, Kind kind, double wanted, const float *query, int own, Filter *filter)
{
	RankedClass ranked[MAX_CLASSES];
	int			n = rank_classes(data, kind, query, own, ranked);
	double		rows = 0;
	int			i;

	filter->classes = 0;
	for (i = 0; i < n && (i == 0 || rows < wanted - 0.5); i++)
	{
		filter->classes |= UINT64_C(1) << ranked[i].class;
		rows += (double) below_of(data, ranked[i].class)[RANDOM_RANGE];
	}
	filter->form = i == 1 ? FORM_CLASS : FORM_CLASSES;
	filter->high = rows > wanted ? (int) lround(RANDOM_RANGE * wanted / rows) : RANDOM_RANGE;
}

static int64_t
passing_rows(const FilterData *data, const Filter *filter)
{
	int64_t		rows = 0;
	int			c;

	for (c = 0; c < data->classes.count; c++)
	{
		if (filter->classes >> c & 1)
			rows += below_of(data, c)[filter->high] - below_of(data, c)[filter->low];
	}
	return rows;
}

/*
 * The filter that a kind has for a query, which has this number in the set, to
 * leave a share of the rows, in percent
 */
Filter
make_filter(const FilterData *data, Kind kind, double share, const float *query, int64_t number)
{
	Filter		filter = {0, ALL_CLASSES, 0, RANDOM_RANGE, 0};

	if (kind == KIND_RANDOM)
		filter.high = (int) lround(RANDOM_RANGE * share / 100);
	else if (kind == KIND_NEAR || kind == KIND_FAR)
		take_classes(data, kind, data->base.rows * share / 100, query,
					 data->classes.of_queries[number], &filter);
	else if (kind == KIND_TENANT || kind == KIND_FRESH)
	{
		filter.low = random_attribute(~number) / TENANT_RANGE * TENANT_RANGE;
		filter.high = filter.low + TENANT_RANGE;
		filter.form = FORM_TENANT;
	}
	if (filter.high < 1)
		filter.high = 1;
	if (filter.form != FORM_TENANT && filter.high < RANDOM_RANGE)
		filter.form |= FORM_RANDOM;
	filter.rows = passing_rows(data, &filter);
	return filter;
}

bool
filter_passes(const FilterData *data, const Filter *filter, int64_t row)
{
	int			r = random_attribute(row);

	return (filter->classes >> data->classes.of_rows[row] & 1) && r >= filter->low && r < filter->high;
}

/* ------------------------------------------------------------------------ SQL */

/* " WHERE ...", with parameters from $2 on; returns how many */
int
form_sql(int form, char *sql, size_t size)
{
	static const char *const conditions[] = {"class = ", "class = ANY (", "r < ", "tenant = "};
	static const char *const ends[] = {"", "::int[])", "", ""};
	int			n = 0;
	size_t		used = 0;
	size_t		i;

	sql[0] = '\0';
	for (i = 0; i < lengthof(conditions); i++)
	{
		if ((form >> i & 1) == 0)
			continue;
		used += snprintf(sql + used, size - used, "%s%s$%d%s", n == 0 ? " WHERE " : " AND ",
						 conditions[i], n + 2, ends[i]);
		n++;
	}
	return n;
}

static void
classes_text(uint64_t classes, bool array, char *text, size_t size)
{
	size_t		used = 0;
	bool		first = true;
	int			c;

	if (array)
		used += snprintf(text, size, "{");
	for (c = 0; c < MAX_CLASSES; c++)
	{
		if ((classes >> c & 1) == 0)
			continue;
		used += snprintf(text + used, size - used, "%s%d", first ? "" : ",", c);
		first = false;
	}
	if (array)
		snprintf(text + used, size - used, "}");
}

void
filter_values(const Filter *filter, FilterValues *values)
{
	values->n = 0;
	if (filter->form & (FORM_CLASS | FORM_CLASSES))
		classes_text(filter->classes, (filter->form & FORM_CLASSES) != 0,
					 values->text[values->n++], sizeof(values->text[0]));
	if (filter->form & FORM_RANDOM)
		snprintf(values->text[values->n++], sizeof(values->text[0]), "%d", filter->high);
	if (filter->form & FORM_TENANT)
		snprintf(values->text[values->n++], sizeof(values->text[0]), "%d", filter->low / TENANT_RANGE);
}
