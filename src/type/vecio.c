/*-------------------------------------------------------------------------
 *
 * vecio.c
 *	  The SQL type vector: text and binary form, type modifier, and the checks
 *	  that every value passes on its way in.
 *
 * The text form is "[1,2,3]", each number being the shortest that reads back
 * as the same float4.  The binary form is, in network byte order, int16
 * dimensions, int16 zero, and the float4 values.  Both forms accept the same
 * set of values: 1 .. VECTOR_MAX_DIM dimensions, all finite.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "nodes/nodes.h"
#include "port/pg_bswap.h"
#include "utils/array.h"

#include "compat.h"
#include "type/vecparse.h"
#include "type/vector.h"

/* User text in messages is cut after so many bytes */
#define MAX_QUOTED_BYTES 64

VX_FUNCTION(vx_vector_in);
VX_FUNCTION(vx_vector_out);
VX_FUNCTION(vx_vector_recv);
VX_FUNCTION(vx_vector_send);
VX_FUNCTION(vx_vector_typmod_in);
VX_FUNCTION(vx_vector);

/*
 * Allocate a vector of dim dimensions, 0 <= dim <= VECTOR_MAX_DIM, in the
 * current memory context.  Everything but length and dim is zero.
 */
Vector *
VxVectorAlloc(int dim)
{
	Size		size = VECTOR_SIZE(dim);
	Vector	   *result = (Vector *) palloc0(size);

	SET_VARSIZE(result, size);
	result->dim = dim;
	return result;
}

void
VxCheckDim(int64 dim)
{
	if (dim < 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("vector must have at least 1 dimension")));
	if (dim > VECTOR_MAX_DIM)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("vector cannot have more than %d dimensions",
						VECTOR_MAX_DIM)));
}

void
VxCheckTypmodDim(int32 typmod, int dim)
{
	if (typmod != -1 && typmod != dim)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d", typmod, dim)));
}

void
VxCheckElements(const float *x, int dim)
{
	bool		finite = true;

	for (int i = 0; i < dim; i++)
		finite &= (isfinite(x[i]) != 0);
	if (likely(finite))
		return;

	for (int i = 0; i < dim; i++)
	{
		if (isnan(x[i]))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("NaN not allowed in vector")));
		if (isinf(x[i]))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("infinite value not allowed in vector")));
	}
}

void
VxCheckSameDim(const Vector *a, const Vector *b)
{
	if (unlikely(a->dim != b->dim))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different vector dimensions %d and %d",
						a->dim, b->dim)));
}

/* Palloc'd copy of user text for a message, cut at MAX_QUOTED_BYTES */
static char *
quotable(const char *text, size_t len)
{
	int			n = (int) Min(len, MAX_QUOTED_BYTES + 1);

	if (n <= MAX_QUOTED_BYTES)
		return pnstrdup(text, n);
	n = pg_mbcliplen(text, n, MAX_QUOTED_BYTES);
	return psprintf("%.*s...", n, text);
}

/*
 * Report why a text is no vector, softly if escontext asks for it.  The return
 * value means nothing.
 */
static Datum
report_parse_error(const char *str, size_t len, const VxParseResult *result,
				   Node *escontext)
{
	int			position = (int) result->position + 1;
	const char *detail;

	switch (result->error)
	{
		case VX_PARSE_EMPTY:
			VxEreturn(escontext, (Datum) 0,
					  (errcode(ERRCODE_DATA_EXCEPTION),
					   errmsg("vector must have at least 1 dimension")));
		case VX_PARSE_TOO_MANY:
			VxEreturn(escontext, (Datum) 0,
					  (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					   errmsg("vector cannot have more than %d dimensions",
							  VECTOR_MAX_DIM)));
		case VX_PARSE_NAN:
			VxEreturn(escontext, (Datum) 0,
					  (errcode(ERRCODE_DATA_EXCEPTION),
					   errmsg("NaN not allowed in vector"),
					   errdetail("Found at position %d.", position)));
		case VX_PARSE_INFINITE:
			VxEreturn(escontext, (Datum) 0,
					  (errcode(ERRCODE_DATA_EXCEPTION),
					   errmsg("infinite value not allowed in vector"),
					   errdetail("Found at position %d.", position)));
		case VX_PARSE_RANGE:
			VxEreturn(escontext, (Datum) 0,
					  (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					   errmsg("\"%s\" is out of range for type vector",
							  quotable(str + result->position,
									   result->length)),
					   errdetail("Found at position %d.", position)));
		case VX_PARSE_NO_OPEN:
			detail = "Expected \"[\" at position %d.";
			break;
		case VX_PARSE_NO_NUMBER:
			detail = "Expected a number at position %d.";
			break;
		case VX_PARSE_NO_SEPARATOR:
			detail = "Expected \",\" or \"]\" at position %d.";
			break;
		case VX_PARSE_NO_CLOSE:
			detail = "Unexpected end of input at position %d.";
			break;
		case VX_PARSE_JUNK:
			detail = "Unexpected input after \"]\" at position %d.";
			break;
		default:
			elog(ERROR, "unexpected vector parser result %d",
				 (int) result->error);
	}
	VxEreturn(escontext, (Datum) 0,
			  (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			   errmsg("invalid input syntax for type vector: \"%s\"",
					  quotable(str, len)),
			   errdetail(detail, position)));
}

/* vector_in(cstring, oid, integer) returns vector */
Datum
vx_vector_in(PG_FUNCTION_ARGS)
{
	char	   *str = PG_GETARG_CSTRING(0);
	int32		typmod = PG_GETARG_INT32(2);
	size_t		len = strlen(str);
	Vector	   *result;
	VxParseResult parsed;

	/*
	 * The number of dimensions is known only at the end; allocate for the
	 * most that the text can hold rather than read it twice.
	 */
	result = (Vector *)
		palloc(VECTOR_SIZE(Min(VxParseBound(len), VECTOR_MAX_DIM)));
	if (!VxParseVector(str, len, VECTOR_MAX_DIM, result->x, &parsed))
		return report_parse_error(str, len, &parsed, fcinfo->context);
	if (typmod != -1 && typmod != parsed.dim)
		VxEreturn(fcinfo->context, (Datum) 0,
				  (errcode(ERRCODE_DATA_EXCEPTION),
				   errmsg("expected %d dimensions, not %d",
						  typmod, parsed.dim)));

	SET_VARSIZE(result, VECTOR_SIZE(parsed.dim));
	result->dim = parsed.dim;
	result->unused = 0;
	PG_RETURN_VECTOR_P(result);
}

/* vector_out(vector) returns cstring */
Datum
vx_vector_out(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	int			dim = vec->dim;
	char	   *buf;
	char	   *p;

	/* a number and the separator that follows it, a bracket, the end */
	buf = p = (char *) palloc(FLOAT_SHORTEST_DECIMAL_LEN * dim + 2);
	*p++ = '[';
	for (int i = 0; i < dim; i++)
	{
		if (i > 0)
			*p++ = ',';
		p += float_to_shortest_decimal_bufn(vec->x[i], p);
	}
	*p++ = ']';
	*p = '\0';
	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_CSTRING(buf);
}

/* Raise an error unless a message holds nbytes more */
static void
require_bytes(StringInfo buf, int nbytes)
{
	if (buf->len - buf->cursor < nbytes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary representation of type vector"),
				 errdetail("Expected %d more bytes, found %d.",
						   nbytes, buf->len - buf->cursor)));
}

/* vector_recv(internal, oid, integer) returns vector */
Datum
vx_vector_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int32		typmod = PG_GETARG_INT32(2);
	Vector	   *result;
	const char *data;
	int			dim;
	int			unused;

	require_bytes(buf, 2 * sizeof(int16));
	dim = (uint16) pq_getmsgint(buf, sizeof(int16));
	unused = pq_getmsgint(buf, sizeof(int16));
	VxCheckDim(dim);
	VxCheckTypmodDim(typmod, dim);
	if (unused != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary representation of type vector"),
				 errdetail("The reserved field is %d instead of zero.",
						   unused)));
	require_bytes(buf, sizeof(float) * dim);

	data = pq_getmsgbytes(buf, sizeof(float) * dim);
	result = VxVectorAlloc(dim);
	for (int i = 0; i < dim; i++)
	{
		uint32		bits;

		memcpy(&bits, data + sizeof(bits) * i, sizeof(bits));
		bits = pg_ntoh32(bits);
		memcpy(&result->x[i], &bits, sizeof(bits));
	}
	VxCheckElements(result->x, dim);
	PG_RETURN_VECTOR_P(result);
}

/* vector_send(vector) returns bytea */
Datum
vx_vector_send(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	int			dim = vec->dim;
	Size		size = VARHDRSZ + 2 * sizeof(int16) + sizeof(float) * dim;
	bytea	   *result = (bytea *) palloc(size);
	char	   *p = VARDATA(result);
	uint16		half;

	SET_VARSIZE(result, size);
	half = pg_hton16((uint16) dim);
	memcpy(p, &half, sizeof(half));
	half = 0;
	memcpy(p + sizeof(half), &half, sizeof(half));
	p += 2 * sizeof(half);
	for (int i = 0; i < dim; i++)
	{
		uint32		bits;

		memcpy(&bits, &vec->x[i], sizeof(bits));
		bits = pg_hton32(bits);
		memcpy(p + sizeof(bits) * i, &bits, sizeof(bits));
	}
	PG_FREE_IF_COPY(vec, 0);
	PG_RETURN_BYTEA_P(result);
}

/* vector_typmod_in(cstring[]) returns integer: vector(n) means n dimensions */
Datum
vx_vector_typmod_in(PG_FUNCTION_ARGS)
{
	ArrayType  *modifiers = PG_GETARG_ARRAYTYPE_P(0);
	int32	   *values;
	int			n;

	values = ArrayGetIntegerTypmods(modifiers, &n);
	if (n != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid type modifier for type vector"),
				 errdetail("Expected the number of dimensions alone.")));
	if (values[0] < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type vector must be at least 1")));
	if (values[0] > VECTOR_MAX_DIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type vector cannot exceed %d",
						VECTOR_MAX_DIM)));
	PG_RETURN_INT32(values[0]);
}

/*
 * vector(vector, integer, boolean) returns vector
 *
 * The cast that enforces a type modifier; it never changes the value.
 */
Datum
vx_vector(PG_FUNCTION_ARGS)
{
	Vector	   *vec = PG_GETARG_VECTOR_P(0);
	int32		typmod = PG_GETARG_INT32(1);

	VxCheckTypmodDim(typmod, vec->dim);
	PG_RETURN_VECTOR_P(vec);
}
