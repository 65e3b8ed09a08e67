/*-------------------------------------------------------------------------
 *
 * attr.c
 *	  Filter columns: how their values lie in slots.
 *
 * A value is stored as an unsigned number, such that the numbers are in the
 * order of the values: integers with the sign bit flipped, floats with the
 * usual trick, a uuid as 128 bits.  So one comparison of numbers decides every
 * operator on every such type, and decides it exactly.
 *
 * Other types have no room for all of a value, and a row that passes is looked
 * at again by the executor:
 *
 *	numeric		the nearest float8; rounding keeps the order
 *	inet		family, network address as far as it fits, and for IPv4 the
 *				length of the prefix; likewise in order
 *	text, and	a hash of 64 bits, for equality only.  It is that of the type's
 *	others		hash operator class, so it knows collations.
 *	arrays		hashes of the elements, for && and @>: of five elements or fewer,
 *				24 bits of each; of more, a signature of 120 bits, two set for
 *				each element
 *
 * What is stored is computed anew from the table when an index is rebuilt, so
 * only the types' hash functions must keep their results, as they must for hash
 * indexes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <sys/socket.h>

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "compat.h"
#include "hnsw/attr.h"

/* -------------------------------------------------------------------- layout */

/* The kind of a filter column, by the input type of its operator class */
static VxAttrKind
kind_of_type(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return VX_ATTR_BOOL;
		case INT2OID:
			return VX_ATTR_INT2;
		case INT4OID:
		case DATEOID:
			return VX_ATTR_INT4;
		case INT8OID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return VX_ATTR_INT8;
		case OIDOID:
		case ANYENUMOID:
			return VX_ATTR_OID;
		case FLOAT4OID:
			return VX_ATTR_FLOAT4;
		case FLOAT8OID:
			return VX_ATTR_FLOAT8;
		case UUIDOID:
			return VX_ATTR_UUID;
		case NUMERICOID:
			return VX_ATTR_NUMERIC;
		case INETOID:
			return VX_ATTR_INET;
		case ANYARRAYOID:
			return VX_ATTR_ARRAY;
		default:
			return VX_ATTR_HASH;
	}
}

static int
kind_width(VxAttrKind kind)
{
	static const uint8 widths[VX_N_ATTR_KINDS] = {
		[VX_ATTR_BOOL] = 1, [VX_ATTR_INT2] = 2, [VX_ATTR_INT4] = 4, [VX_ATTR_INT8] = 8,
		[VX_ATTR_OID] = 4, [VX_ATTR_FLOAT4] = 4, [VX_ATTR_FLOAT8] = 8, [VX_ATTR_UUID] = 16,
		[VX_ATTR_NUMERIC] = 8, [VX_ATTR_INET] = 8, [VX_ATTR_HASH] = 8,
		[VX_ATTR_ARRAY] = VX_ARRAY_BYTES
	};

	return widths[kind];
}

/* Complain if values of a type, or elements of an array type, have no hash */
static void
require_hash(Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC);

	if (!OidIsValid(entry->hash_extended_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an extended hash function for type %s",
						format_type_be(type))));
}

/* Take the filter columns of a new index into its metapage */
void
VxAttrsFromIndex(Relation index, VxMetaPage meta)
{
	int			n = IndexRelationGetNumberOfKeyAttributes(index) - 1;
	int			size = (n + 7) / 8;

	if (!OidIsValid(index_getprocid(index, 1, VX_SPACE_PROC)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("first column of an hnsw index must be a vector"),
				 errhint("Columns to filter by come after it.")));
	for (int i = 0; i < n; i++)
	{
		Oid			type = index->rd_opcintype[i + 1];
		VxAttrKind	kind = kind_of_type(type);

		if (OidIsValid(index_getprocid(index, (AttrNumber) (i + 2), VX_SPACE_PROC)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("only the first column of an hnsw index can be a vector"),
					 errhint("Create an index for each vector column.")));
		if (kind == VX_ATTR_HASH)
			require_hash(type);
		else if (kind == VX_ATTR_ARRAY)
			require_hash(get_base_element_type(TupleDescAttr(RelationGetDescr(index),
															 i + 1)->atttypid));
		meta->attr_kinds[i] = (uint8) kind;
		size += kind_width(kind);
	}
	meta->attr_size = (uint16) INTALIGN(size);
}

/*
 * Compute where filter columns lie.  Returns false if what a metapage says of
 * them cannot be.
 */
bool
VxAttrsLayout(const VxMetaPageData *meta, VxIndex *ix)
{
	int			offset;
	int			n = 0;

	while (n < VX_MAX_ATTRS && meta->attr_kinds[n] != VX_ATTR_NONE)
		n++;
	offset = (n + 7) / 8;
	for (int i = 0; i < n; i++)
	{
		VxAttr	   *attr = &ix->attrs[i];

		if (meta->attr_kinds[i] >= VX_N_ATTR_KINDS)
			return false;
		attr->kind = meta->attr_kinds[i];
		attr->width = (uint8) kind_width(attr->kind);
		attr->offset = (uint16) offset;
		offset += attr->width;
	}
	ix->nattrs = n;
	return INTALIGN(offset) == meta->attr_size;
}

/* Are the filter columns on disk those of the relation? */
bool
VxAttrsMatch(Relation index, const VxIndex *ix)
{
	if (IndexRelationGetNumberOfKeyAttributes(index) != ix->nattrs + 1)
		return false;
	for (int i = 0; i < ix->nattrs; i++)
		if (kind_of_type(index->rd_opcintype[i + 1]) != ix->attrs[i].kind)
			return false;
	return true;
}

/* -------------------------------------------------------------------- hashes */

/* A value of type character without the blanks at its end, which mean nothing */
static Datum
trim_bpchar(Datum value)
{
	BpChar	   *whole = DatumGetBpCharPP(value);
	int			size = (int) VARSIZE_ANY_EXHDR(whole);
	int			length = bpchartruelen(VARDATA_ANY(whole), size);

	return length == size ? PointerGetDatum(whole) :
		PointerGetDatum(cstring_to_text_with_len(VARDATA_ANY(whole), length));
}

/*
 * The hash of a value, by the hash operator class of its type.  May leave memory
 * in the current context.
 *
 * Under a nondeterministic collation, hashbpcharextended of PostgreSQL 15 takes in
 * the blanks at the end, so that equal values have different hashes.
 */
uint64
VxElementHash(Oid type, Oid collation, Datum value)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC_FINFO);

	if (!OidIsValid(entry->hash_extended_proc_finfo.fn_oid))
		require_hash(type);
	if (entry->hash_extended_proc_finfo.fn_oid == F_HASHBPCHAREXTENDED)
		value = trim_bpchar(value);
	return DatumGetUInt64(FunctionCall2Coll(&entry->hash_extended_proc_finfo, collation,
											value, Int64GetDatum(0)));
}

static int
compare_hashes(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

/* The elements of an array, palloc'd; returns their number */
int
VxArrayValues(ArrayType *array, Datum **values, bool **nulls)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int			n;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign, values,
					  nulls, &n);
	return n;
}

/*
 * The different hashes of an array's elements that are not NULL, palloc'd;
 * returns their number.
 */
int
VxArrayHashes(ArrayType *array, Oid collation, uint64 **hashes, bool *has_null)
{
	Datum	   *values;
	bool	   *nulls;
	int			nvalues = VxArrayValues(array, &values, &nulls);
	int			n = 0;
	int			unique = 0;

	*hashes = palloc(sizeof(uint64) * (Size) Max(nvalues, 1));
	*has_null = false;
	for (int i = 0; i < nvalues; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			*has_null = true;
		else
			(*hashes)[n++] = VxElementHash(ARR_ELEMTYPE(array), collation, values[i]);
	}
	qsort(*hashes, (size_t) n, sizeof(uint64), compare_hashes);
	for (int i = 0; i < n; i++)
		if (i == 0 || (*hashes)[i] != (*hashes)[i - 1])
			(*hashes)[unique++] = (*hashes)[i];
	return unique;
}

static void
encode_array(Oid collation, Datum value, uint8 *out)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	uint64	   *hashes;
	bool		has_null;
	int			n = VxArrayHashes(array, collation, &hashes, &has_null);

	memset(out, 0, VX_ARRAY_BYTES);
	if (n > VX_ARRAY_EXACT)
	{
		out[0] = VX_ARRAY_SIGNATURE;
		for (int i = 0; i < n; i++)
			VxArrayBits(out, hashes[i], true);
	}
	else
	{
		out[0] = (uint8) n;
		for (int i = 0; i < n; i++)
			VxPutElement(out, i, hashes[i]);
	}
	pfree(hashes);
	if ((Pointer) array != DatumGetPointer(value))
		pfree(array);
}

/* -------------------------------------------------------------------- values */

static inline void
set_key(VxKey *key, uint64 low)
{
	key->high = 0;
	key->low = low;
}

/*
 * A float as a number in its order: NaN, of which there are many, comes last,
 * and the zeros are one.
 */
static uint64
float8_number(float8 value)
{
	uint64		bits;

	if (isnan(value))
		return PG_UINT64_MAX;
	if (value == 0)
		value = 0;
	memcpy(&bits, &value, sizeof(bits));
	return bits >> 63 ? ~bits : bits | UINT64CONST(1) << 63;
}

static uint32
float4_number(float4 value)
{
	uint32		bits;

	if (isnan(value))
		return PG_UINT32_MAX;
	if (value == 0)
		value = 0;
	memcpy(&bits, &value, sizeof(bits));
	return bits >> 31 ? ~bits : bits | (uint32) 1 << 31;
}

/*
 * Place a float8 among the float4 values: exactly on one, or before the least
 * that is greater.
 */
static void
place_float8(float8 value, VxKey *key, bool *exact)
{
	float4		near = (float4) value;

	set_key(key, float4_number(near));
	*exact = isnan(value) || (float8) near == value;
	if (!*exact && (float8) near < value)
		key->low++;
}

/* An integer, between the limits of the column's type or not */
static void
place_integer(int64 value, int64 min, int64 max, VxKey *key, bool *exact)
{
	*exact = value >= min && value <= max;
	if (value < min)
		set_key(key, 0);
	else
		set_key(key, (uint64) Min(value, max) - (uint64) min + (value > max));
}

static bool
integer_of(Oid type, Datum value, int64 *out)
{
	switch (type)
	{
		case INT2OID:
			*out = DatumGetInt16(value);
			return true;
		case INT4OID:
			*out = DatumGetInt32(value);
			return true;
		case INT8OID:
			*out = DatumGetInt64(value);
			return true;
		default:
			return false;
	}
}

/* What a timestamp column is compared with; *overflow as PostgreSQL sets it */
static bool
timestamp_of(Oid type, Oid subtype, Datum value, int64 *out, int *overflow)
{
	*overflow = 0;
	if (subtype == type)
		*out = DatumGetTimestamp(value);
	else if (type == TIMESTAMPOID && subtype == DATEOID)
		*out = date2timestamp_opt_overflow(DatumGetDateADT(value), overflow);
	else if (type == TIMESTAMPTZOID && subtype == DATEOID)
		*out = date2timestamptz_opt_overflow(DatumGetDateADT(value), overflow);
	else if (type == TIMESTAMPTZOID && subtype == TIMESTAMPOID)
		*out = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), overflow);
	else
		return false;
	return true;
}

/* One beyond the finite ones is nearer than the infinite one */
static bool
place_timestamp(Oid type, Oid subtype, Datum value, VxKey *key, bool *exact)
{
	int64		number;
	int			overflow;

	if (!timestamp_of(type, subtype, value, &number, &overflow))
		return false;
	place_integer(overflow > 0 ? PG_INT64_MAX : overflow < 0 ? PG_INT64_MIN + 1 : number,
				  PG_INT64_MIN, PG_INT64_MAX, key, exact);
	if (overflow != 0)
		*exact = false;
	return true;
}

static bool
place_float(Oid type, Oid subtype, Datum value, VxKey *key, bool *exact)
{
	*exact = true;
	if (type == FLOAT4OID && subtype == FLOAT4OID)
		set_key(key, float4_number(DatumGetFloat4(value)));
	else if (type == FLOAT4OID && subtype == FLOAT8OID)
		place_float8(DatumGetFloat8(value), key, exact);
	else if (type == FLOAT8OID && subtype == FLOAT8OID)
		set_key(key, float8_number(DatumGetFloat8(value)));
	else if (type == FLOAT8OID && subtype == FLOAT4OID)
		set_key(key, float8_number(DatumGetFloat4(value)));
	else
		return false;
	return true;
}

static void
place_uuid(Datum value, VxKey *key)
{
	const pg_uuid_t *uuid = DatumGetUUIDP(value);
	uint64		half[2];

	memcpy(half, uuid->data, sizeof(half));
	key->high = pg_ntoh64(half[0]);
	key->low = pg_ntoh64(half[1]);
}

/*
 * Family; address of the network, seven bytes of it; in IPv4, where four are
 * all, then the length of the prefix.  That is the order of network_cmp, as far
 * as it goes.
 */
static void
place_inet(Datum value, VxKey *key)
{
	inet	   *address = DatumGetInetPP(value);
	int			bits = ip_bits(address);
	int			size = ip_family(address) == PGSQL_AF_INET ? 4 : 16;
	uint64		number = ip_family(address);

	for (int i = 0; i < 7; i++)
	{
		int			byte = i < size ? ip_addr(address)[i] : 0;

		if (bits <= 8 * i)
			byte = 0;
		else if (bits < 8 * (i + 1))
			byte &= 0xFF << (8 * (i + 1) - bits);
		if (size == 4 && i == 4)
			byte = bits;
		number = number << 8 | (uint64) (byte & 0xFF);
	}
	set_key(key, number);
}

/*
 * Where a value of type subtype is among the values of a column, of which
 * "type" is the input type of its operator class: at *key if *exact, else
 * before *key (which may be one beyond the greatest) and after all lesser ones.
 * Returns false if they cannot be compared so.  Arrays have no place.
 */
bool
VxAttrKey(Oid type, Oid subtype, Oid collation, Datum value, VxKey *key, bool *exact)
{
	int64		number;

	*exact = true;
	switch (type)
	{
		case INT2OID:
			if (!integer_of(subtype, value, &number))
				return false;
			place_integer(number, PG_INT16_MIN, PG_INT16_MAX, key, exact);
			return true;
		case INT4OID:
			if (!integer_of(subtype, value, &number))
				return false;
			place_integer(number, PG_INT32_MIN, PG_INT32_MAX, key, exact);
			return true;
		case INT8OID:
			if (!integer_of(subtype, value, &number))
				return false;
			place_integer(number, PG_INT64_MIN, PG_INT64_MAX, key, exact);
			return true;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return place_timestamp(type, subtype, value, key, exact);
		case FLOAT4OID:
		case FLOAT8OID:
			return place_float(type, subtype, value, key, exact);
		default:
			break;
	}
	if (subtype != type)
		return false;
	switch (type)
	{
		case BOOLOID:
			set_key(key, DatumGetBool(value));
			return true;
		case DATEOID:
			place_integer(DatumGetDateADT(value), PG_INT32_MIN, PG_INT32_MAX, key, exact);
			return true;
		case TIMEOID:
			place_integer(DatumGetTimeADT(value), PG_INT64_MIN, PG_INT64_MAX, key, exact);
			return true;
		case OIDOID:
		case ANYENUMOID:
			set_key(key, DatumGetObjectId(value));
			return true;
		case UUIDOID:
			place_uuid(value, key);
			return true;
		case NUMERICOID:
			set_key(key, float8_number(DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
																		  value))));
			return true;
		case INETOID:
			place_inet(value, key);
			return true;
		case ANYARRAYOID:
			return false;
		default:
			set_key(key, VxElementHash(type, collation, value));
			return true;
	}
}

static void
store_key(const VxKey *key, int width, uint8 *out)
{
	uint8		byte = (uint8) key->low;
	uint16		word = (uint16) key->low;
	uint32		number = (uint32) key->low;

	switch (width)
	{
		case 1:
			*out = byte;
			break;
		case 2:
			memcpy(out, &word, sizeof(word));
			break;
		case 4:
			memcpy(out, &number, sizeof(number));
			break;
		case 8:
			memcpy(out, &key->low, sizeof(uint64));
			break;
		default:
			memcpy(out, &key->high, sizeof(uint64));
			memcpy(out + sizeof(uint64), &key->low, sizeof(uint64));
			break;
	}
}

/*
 * Write a row's attributes, attr_size bytes; values and isnull are those of all
 * columns of the index.  May leave memory in the current context.
 */
void
VxEncodeAttrs(Relation index, const VxIndex *ix, const Datum *values,
			  const bool *isnull, uint8 *out)
{
	memset(out, 0, (Size) ix->attr_size);
	for (int i = 0; i < ix->nattrs; i++)
	{
		const VxAttr *attr = &ix->attrs[i];
		Oid			type = index->rd_opcintype[i + 1];
		Oid			collation = index->rd_indcollation[i + 1];
		VxKey		key;
		bool		exact;

		if (isnull[i + 1])
			out[i / 8] |= (uint8) (1 << i % 8);
		else if (attr->kind == VX_ATTR_ARRAY)
			encode_array(collation, values[i + 1], out + attr->offset);
		else
		{
			VxAttrKey(type, type, collation, values[i + 1], &key, &exact);
			store_key(&key, attr->width, out + attr->offset);
		}
	}
}
