/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Predicates on filter columns, tested on slots.
 *
 * The scan keys of a search become tests, one or more a column, all of which
 * must hold.  Comparisons are ranges of the numbers that attr.c makes of
 * values, and those of a column are one range; = ANY is a sorted set.  A test
 * that cannot be made from what is stored is left to the executor, to which the
 * row is then handed as one to be looked at again.
 *
 * A set of heap TIDs that the rows must be in, from other indexes of the table,
 * may come with them (bitmapscan.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "hnsw/attr.h"

/* -------------------------------------------------------------------- numbers */

static inline int
compare_keys(const VxKey *a, const VxKey *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return a->low < b->low ? -1 : a->low > b->low;
}

static int
qsort_keys(const void *a, const void *b)
{
	return compare_keys(a, b);
}

/* The greatest number of a column */
static VxKey
greatest_key(int width)
{
	VxKey		key;

	key.high = width > 8 ? PG_UINT64_MAX : 0;
	key.low = width >= 8 ? PG_UINT64_MAX : (UINT64CONST(1) << (8 * width)) - 1;
	return key;
}

/* Step down, or up; not from the least, or the greatest of all */
static VxKey
key_before(VxKey key)
{
	key.high -= key.low == 0;
	key.low--;
	return key;
}

static VxKey
key_after(VxKey key)
{
	key.low++;
	key.high += key.low == 0;
	return key;
}

/* ------------------------------------------------------------- making filters */

/* The filter at hand, and the column that a key is on */
typedef struct VxMaker
{
	VxFilter   *filter;
	VxAttr		attr;
	int			column;			/* of the attributes, from 0 */
	Oid			type;
	Oid			collation;
} VxMaker;

/* Does what is stored of this kind decide a comparison? */
static bool
is_exact(VxAttrKind kind)
{
	return kind != VX_ATTR_NUMERIC && kind != VX_ATTR_INET && kind != VX_ATTR_HASH;
}

static VxTest *
new_test(VxMaker *maker, VxTestKind kind)
{
	VxTest	   *test = &maker->filter->tests[maker->filter->ntests++];

	memset(test, 0, sizeof(*test));
	test->kind = kind;
	test->attr = maker->attr;
	test->null_byte = maker->column / 8;
	test->null_mask = (uint8) (1 << maker->column % 8);
	return test;
}

/* The range test of the column, made if there is none */
static VxTest *
range_test(VxMaker *maker)
{
	VxFilter   *filter = maker->filter;
	VxTest	   *test;

	for (int i = 0; i < filter->ntests; i++)
		if (filter->tests[i].kind == VX_TEST_RANGE &&
			filter->tests[i].attr.offset == maker->attr.offset)
			return &filter->tests[i];
	test = new_test(maker, VX_TEST_RANGE);
	test->high = greatest_key(maker->attr.width);
	return test;
}

/*
 * Narrow a range to the numbers that stand in a relation to a value at key, or
 * just before it if it is not exact.  Where numbers stand for several values, a
 * strict relation may hold between equal numbers, too.
 */
static void
narrow_range(VxMaker *maker, VxTest *test, int strategy, VxKey key, bool exact)
{
	const VxKey zero = {0, 0};
	VxKey		greatest = greatest_key(maker->attr.width);
	bool		strict = strategy == BTLessStrategyNumber || strategy == BTGreaterStrategyNumber;
	bool		at = exact && !(strict && is_exact((VxAttrKind) maker->attr.kind));
	bool		beyond = compare_keys(&key, &greatest) > 0;
	VxKey		high = greatest;
	VxKey		low = zero;

	if (strategy == BTEqualStrategyNumber && !exact)
		maker->filter->never = true;
	if (strategy <= BTEqualStrategyNumber)	/* less, less or equal, equal */
	{
		if (at)
			high = key;
		else if (compare_keys(&key, &zero) == 0)
			maker->filter->never = true;
		else
			high = key_before(key);
	}
	if (strategy >= BTEqualStrategyNumber)	/* equal, greater or equal, greater */
	{
		/* a value that is not exact lies before key: key itself is greater */
		if (at || !exact)
		{
			if (beyond)
				maker->filter->never = true;
			low = key;
		}
		else if (compare_keys(&key, &greatest) >= 0)
			maker->filter->never = true;
		else
			low = key_after(key);
	}
	if (compare_keys(&low, &test->low) > 0)
		test->low = low;
	if (compare_keys(&high, &test->high) < 0)
		test->high = high;
	if (compare_keys(&test->low, &test->high) > 0)
		maker->filter->never = true;
}

/* A comparison with one value */
static void
add_comparison(VxMaker *maker, int strategy, Oid subtype, Datum value)
{
	VxKey		key;
	bool		exact;

	if (!VxAttrKey(maker->type, subtype, maker->collation, value, &key, &exact) ||
		(maker->attr.kind == VX_ATTR_HASH && strategy != BTEqualStrategyNumber))
	{
		maker->filter->lossy = true;
		return;
	}
	if (!is_exact((VxAttrKind) maker->attr.kind))
		maker->filter->lossy = true;
	narrow_range(maker, range_test(maker), strategy, key, exact);
}

/* Equality with one of some values */
static void
add_set(VxMaker *maker, Oid subtype, const Datum *values, const bool *nulls, int nvalues)
{
	VxKey	   *set = palloc_extended(sizeof(VxKey) * (Size) Max(nvalues, 1),
									  MCXT_ALLOC_HUGE);
	VxTest	   *test;
	int			n = 0;
	int			unique = 0;

	for (int i = 0; i < nvalues; i++)
	{
		bool		exact;

		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			continue;
		if (!VxAttrKey(maker->type, subtype, maker->collation, values[i], &set[n], &exact))
		{
			maker->filter->lossy = true;
			pfree(set);
			return;
		}
		if (exact)
			n++;
	}
	if (n == 0)
	{
		maker->filter->never = true;
		return;
	}
	qsort(set, (size_t) n, sizeof(VxKey), qsort_keys);
	for (int i = 0; i < n; i++)
		if (i == 0 || compare_keys(&set[i], &set[unique - 1]) != 0)
			set[unique++] = set[i];
	if (!is_exact((VxAttrKind) maker->attr.kind))
		maker->filter->lossy = true;
	test = new_test(maker, VX_TEST_SET);
	test->set = set;
	test->n = unique;
	test->low = set[0];
	test->high = set[unique - 1];
}

/* A comparison with any of some values; the executor does what is not equality */
static void
add_any(VxMaker *maker, int strategy, Oid subtype, Datum value)
{
	Datum	   *values;
	bool	   *nulls;
	int			nvalues = VxArrayValues(DatumGetArrayTypeP(value), &values, &nulls);

	if (strategy == BTEqualStrategyNumber && maker->attr.kind != VX_ATTR_ARRAY)
		add_set(maker, subtype, values, nulls, nvalues);
	else
		maker->filter->lossy = true;
}

static void
add_array(VxMaker *maker, int strategy, Datum value)
{
	VxTest	   *test;
	uint64	   *hashes;
	bool		has_null;
	int			n = VxArrayHashes(DatumGetArrayTypeP(value), maker->collation, &hashes,
								  &has_null);

	maker->filter->lossy = true;
	if (strategy == VX_STRATEGY_OVERLAPS ? n == 0 : has_null)
	{
		/* nothing in common with nothing; a NULL is in no array */
		maker->filter->never = true;
		return;
	}
	test = new_test(maker, strategy == VX_STRATEGY_OVERLAPS ? VX_TEST_OVERLAPS :
					VX_TEST_CONTAINS);
	test->hashes = hashes;
	test->n = n;
}

static void
add_key(VxMaker *maker, ScanKey key)
{
	Oid			subtype = OidIsValid(key->sk_subtype) ? key->sk_subtype : maker->type;

	if (key->sk_flags & SK_SEARCHNULL)
		new_test(maker, VX_TEST_NULL);
	else if (key->sk_flags & SK_SEARCHNOTNULL)
		new_test(maker, VX_TEST_NOT_NULL);
	else if (key->sk_flags & SK_ISNULL)
		maker->filter->never = true;
	else if (key->sk_flags & SK_SEARCHARRAY)
		add_any(maker, key->sk_strategy, subtype, key->sk_argument);
	else if (maker->attr.kind == VX_ATTR_ARRAY)
	{
		if (subtype == maker->type && (key->sk_strategy == VX_STRATEGY_OVERLAPS ||
									   key->sk_strategy == VX_STRATEGY_CONTAINS))
			add_array(maker, key->sk_strategy, key->sk_argument);
		else
			maker->filter->lossy = true;
	}
	else
		add_comparison(maker, key->sk_strategy, subtype, key->sk_argument);
}

/*
 * Make a filter from the keys of a scan; NULL if there are none.  It is
 * palloc'd, and keeps no reference to the keys.
 */
VxFilter *
VxFilterFromKeys(Relation index, const VxIndex *ix, ScanKey keys, int nkeys)
{
	VxFilter   *filter;

	if (nkeys == 0)
		return NULL;
	filter = palloc0(sizeof(VxFilter));
	filter->tests = palloc(sizeof(VxTest) * (Size) nkeys);
	for (int i = 0; i < nkeys; i++)
	{
		ScanKey		key = &keys[i];
		int			column = key->sk_attno - 2;
		VxMaker		maker;

		if (column < 0)
		{
			/* a row without a vector is not in the index */
			if (key->sk_flags & SK_SEARCHNULL)
				filter->never = true;
			continue;
		}
		maker.filter = filter;
		maker.attr = ix->attrs[column];
		maker.column = column;
		maker.type = index->rd_opcintype[column + 1];
		maker.collation = index->rd_indcollation[column + 1];
		add_key(&maker, key);
	}
	return filter;
}

/* ------------------------------------------------------------------- testing */

static inline uint64
load_number(const uint8 *from, int width)
{
	uint16		word;
	uint32		number;
	uint64		wide;

	switch (width)
	{
		case 1:
			return *from;
		case 2:
			memcpy(&word, from, sizeof(word));
			return word;
		case 4:
			memcpy(&number, from, sizeof(number));
			return number;
		default:
			memcpy(&wide, from, sizeof(wide));
			return wide;
	}
}

static inline VxKey
load_key(const uint8 *from, int width)
{
	VxKey		key;

	key.high = width > 8 ? load_number(from, 8) : 0;
	key.low = load_number(width > 8 ? from + 8 : from, Min(width, 8));
	return key;
}

static bool
in_set(const VxTest *test, const VxKey *key)
{
	int			low = 0;
	int			high = test->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			c = compare_keys(key, &test->set[middle]);

		if (c == 0)
			return true;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static bool
has_element(const uint8 *array, uint64 hash)
{
	uint8		want[1 + 3];

	if (array[0] == VX_ARRAY_SIGNATURE)
		return VxArrayBits(unconstify(uint8 *, array), hash, false);
	VxPutElement(want, 0, hash);
	for (int i = 0; i < Min(array[0], VX_ARRAY_EXACT); i++)
		if (memcmp(array + 1 + 3 * i, want + 1, 3) == 0)
			return true;
	return false;
}

static bool
array_passes(const VxTest *test, const uint8 *array)
{
	bool		any = test->kind == VX_TEST_OVERLAPS;

	for (int i = 0; i < test->n; i++)
		if (has_element(array, test->hashes[i]) == any)
			return any;
	return !any;
}

/* Does a row of these attributes pass a test? */
static inline bool
attrs_pass(const VxTest *test, const uint8 *attrs)
{
	const uint8 *value = attrs + test->attr.offset;
	bool		is_null = (attrs[test->null_byte] & test->null_mask) != 0;
	VxKey		key;

	if (test->kind == VX_TEST_NULL || is_null)
		return test->kind == VX_TEST_NULL && is_null;
	switch (test->kind)
	{
		case VX_TEST_NULL:
		case VX_TEST_NOT_NULL:
			return true;
		case VX_TEST_RANGE:
		case VX_TEST_SET:
			key = load_key(value, test->attr.width);
			return compare_keys(&key, &test->low) >= 0 &&
				compare_keys(&key, &test->high) <= 0 &&
				(test->kind == VX_TEST_RANGE || in_set(test, &key));
		case VX_TEST_OVERLAPS:
		case VX_TEST_CONTAINS:
			return array_passes(test, value);
	}
	return false;
}

/* Does a row, by its slot, pass the filter? */
bool
VxFilterSlot(const VxFilter *filter, const VxNodeSlotData *slot)
{
	const uint8 *attrs = VxSlotAttrs(slot);

	for (int i = 0; i < filter->ntests; i++)
		if (!attrs_pass(&filter->tests[i], attrs))
			return false;
	return !filter->never &&
		(filter->tids == NULL || VxTidSetHas(filter->tids, &slot->tid));
}

/* A range of numbers of one width, over a page */
#define RANGE_OVER_PAGE(type) \
	do { \
		const type	low = (type) test->low.low; \
		const type	span = (type) (test->high.low - test->low.low); \
		for (int s = 0; s < n; s++, attrs += stride) \
		{ \
			type		value; \
			memcpy(&value, attrs + test->attr.offset, sizeof(value)); \
			pass[s] &= (type) (value - low) <= span && \
				(attrs[test->null_byte] & test->null_mask) == 0; \
		} \
	} while (0)

static void
test_page(const VxTest *test, const uint8 *attrs, Size stride, int n, bool *pass)
{
	int			width = test->kind == VX_TEST_RANGE ? test->attr.width : 0;

	switch (width)
	{
		case 1:
			RANGE_OVER_PAGE(uint8);
			break;
		case 2:
			RANGE_OVER_PAGE(uint16);
			break;
		case 4:
			RANGE_OVER_PAGE(uint32);
			break;
		case 8:
			RANGE_OVER_PAGE(uint64);
			break;
		default:
			for (int s = 0; s < n; s++, attrs += stride)
				pass[s] = pass[s] && attrs_pass(test, attrs);
			break;
	}
}

/*
 * Test all slots of a node page that are marked in pass, and unmark those that
 * do not pass.
 */
void
VxFilterPage(const VxFilter *filter, const VxIndex *ix, Page page, bool *pass)
{
	const uint8 *attrs = VxSlotAttrs(VxPageSlot(ix, page, 0));

	for (int i = 0; i < filter->ntests; i++)
		test_page(&filter->tests[i], attrs, (Size) ix->slot_size, ix->slots_per_page, pass);
	if (filter->never)
		memset(pass, false, sizeof(bool) * (Size) ix->slots_per_page);
	if (filter->tids)
		for (int s = 0; s < ix->slots_per_page; s++)
			pass[s] = pass[s] &&
				VxTidSetHas(filter->tids, &((VxNodeSlot) VxPageSlot(ix, page, s))->tid);
}
