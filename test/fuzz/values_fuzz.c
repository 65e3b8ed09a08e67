/*-------------------------------------------------------------------------
 *
 * values_fuzz.c
 *	  Fuzzer of the SQL type vector, to be loaded into a server.
 *
 *	  fuzz_values(kind text, seed bigint, count bigint,
 *				  OUT accepted bigint, OUT refused bigint)
 *
 * calls functions of the extension count times with values made from the seed.
 * Kinds:
 *
 *	  text			vector_in; its verdict and its value must be those of a
 *					parser of a few lines on strtof (mutate.h)
 *	  binary		vector_recv; it must accept exactly what vector_in accepts
 *					when the same numbers are printed
 *	  functions		every function of the extension that takes values only, found
 *					in the catalog
 *
 * What is raised must be of SQLSTATE class 0A, 22, 42 or 54.  A vector that comes
 * out must be one that could have come in, and both its forms must read back as
 * the same.  If any of that does not hold, fuzz_values raises an error that says
 * for which case.
 *
 * Arguments lie in memory of exactly their size, and have the header of any kind
 * that a stored value may have, so that a server that checks memory (see
 * test/asserts) sees what is read or written beyond.  Errors are caught
 * without a subtransaction; the functions called take nothing that would have to
 * be released.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/toast_internals.h"
#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/varbit.h"

#include "compat.h"
#include "mutate.h"
#include "type/vector.h"

PG_MODULE_MAGIC;

VX_FUNCTION(fuzz_values);

#define MAX_BYTES 4096

/* A text of this many bytes holds more numbers than a vector may have */
#define MAX_TEXT (2 * VECTOR_MAX_DIM + 64)

/* A function to be called with arguments of our making */
typedef struct Target
{
	FmgrInfo	flinfo;
	char	   *name;
	int			nargs;
	Oid			args[FUNC_MAX_ARGS];
	Oid			result;
} Target;

typedef struct Fuzz
{
	FuzzRandom	rng;
	uint64		seed;
	int64		number;			/* of the case */
	MemoryContext context;		/* for one case */
	Oid			vector;			/* the type */
	Oid			ioparam;
	FmgrInfo	in;
	FmgrInfo	out;
	FmgrInfo	recv;
	FmgrInfo	send;
	Target	   *targets;
	int			ntargets;
	int64		accepted;
	int64		refused;
} Fuzz;

/* What a call gave: a datum, null, or an error */
typedef struct Outcome
{
	bool		raised;
	bool		isnull;
	Datum		value;
	char	   *message;		/* if raised */
} Outcome;

/* Raise an error that names the case; it must not happen */
static void
wrong(Fuzz *fuzz, const char *what, const char *detail)
{
	elog(ERROR, "seed " UINT64_FORMAT ", case " INT64_FORMAT ": %s: %s",
		 fuzz->seed, fuzz->number, what, detail);
}

/* Bytes in hexadecimal, the first of them, palloc'd */
static char *
hex_of(const char *bytes, Size len)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (Size i = 0; i < Min(len, 1000); i++)
		appendStringInfo(&buf, "%02x", (unsigned char) bytes[i]);
	if (len > 1000)
		appendStringInfo(&buf, "... (%zu bytes)", len);
	return buf.data;
}

/* ------------------------------------------------------------------- calling */

/*
 * The error that was just caught.  It must be one that a user's mistake can
 * cause.
 */
static void
take_error(Fuzz *fuzz, Outcome *outcome)
{
	ErrorData  *error;
	const char *state;

	MemoryContextSwitchTo(fuzz->context);
	error = CopyErrorData();
	FlushErrorState();
	state = unpack_sql_state(error->sqlerrcode);
	outcome->raised = true;
	outcome->message = error->message;
	if (strncmp(state, "0A", 2) != 0 && strncmp(state, "22", 2) != 0 &&
		strncmp(state, "42", 2) != 0 && strncmp(state, "54", 2) != 0)
		wrong(fuzz, psprintf("error of SQLSTATE %s", state), error->message);
}

/* Call a function, of which fcinfo has the arguments */
static void
call(Fuzz *fuzz, FunctionCallInfo fcinfo, Outcome *outcome)
{
	memset(outcome, 0, sizeof(*outcome));
	PG_TRY();
	{
		outcome->value = FunctionCallInvoke(fcinfo);
		outcome->isnull = fcinfo->isnull;
	}
	PG_CATCH();
	{
		take_error(fuzz, outcome);
	}
	PG_END_TRY();
}

/* Call an input function; value is a cstring or a StringInfo */
static void
call_input(Fuzz *fuzz, FmgrInfo *flinfo, void *value, int32 typmod, Outcome *outcome)
{
	LOCAL_FCINFO(fcinfo, 3);

	InitFunctionCallInfoData(*fcinfo, flinfo, 3, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(value);
	fcinfo->args[1].value = ObjectIdGetDatum(fuzz->ioparam);
	fcinfo->args[2].value = Int32GetDatum(typmod);
	for (int i = 0; i < 3; i++)
		fcinfo->args[i].isnull = false;
	call(fuzz, fcinfo, outcome);
}

/* A message of exactly len bytes */
static StringInfo
message_of(const char *bytes, Size len)
{
	StringInfo	buf = palloc0(sizeof(StringInfoData));

	buf->data = palloc(Max(len, 1));
	memcpy(buf->data, bytes, len);
	buf->len = buf->maxlen = (int) len;
	return buf;
}

/* ------------------------------------------------------------------ checking */

static void
check_vector(Fuzz *fuzz, const char *what, Datum value)
{
	Vector	   *vec = DatumGetVector(value);

	if (vec->dim < 1 || vec->dim > VECTOR_MAX_DIM || vec->unused != 0 ||
		VARSIZE(vec) != VECTOR_SIZE(vec->dim))
		wrong(fuzz, what, "the result is no vector");
	for (int i = 0; i < vec->dim; i++)
	{
		if (!isfinite(vec->x[i]))
			wrong(fuzz, what, "an element of the result is not finite");
	}
}

/* Both forms of a vector must be read back as the same, bit for bit */
static void
check_forms(Fuzz *fuzz, const char *what, Datum value)
{
	Vector	   *vec = DatumGetVector(value);
	Vector	   *again;
	Outcome		outcome;
	bytea	   *sent;

	check_vector(fuzz, what, value);
	call_input(fuzz, &fuzz->in, OutputFunctionCall(&fuzz->out, value), vec->dim, &outcome);
	if (outcome.raised)
		wrong(fuzz, what, psprintf("vector_in refuses what vector_out gave: %s", outcome.message));
	again = DatumGetVector(outcome.value);
	if (VARSIZE(again) != VARSIZE(vec) || memcmp(again, vec, VARSIZE(vec)) != 0)
		wrong(fuzz, what, "vector_in reads another vector than vector_out wrote");

	sent = SendFunctionCall(&fuzz->send, value);
	call_input(fuzz, &fuzz->recv, message_of(VARDATA(sent), VARSIZE(sent) - VARHDRSZ), vec->dim, &outcome);
	if (outcome.raised)
		wrong(fuzz, what, psprintf("vector_recv refuses what vector_send gave: %s", outcome.message));
	again = DatumGetVector(outcome.value);
	if (VARSIZE(again) != VARSIZE(vec) || memcmp(again, vec, VARSIZE(vec)) != 0)
		wrong(fuzz, what, "vector_recv reads another vector than vector_send wrote");
}

static void
count_outcome(Fuzz *fuzz, const Outcome *outcome)
{
	if (outcome->raised)
		fuzz->refused++;
	else
		fuzz->accepted++;
}

/* A type modifier: mostly none, or that of a vector of dim elements */
static int32
random_typmod(Fuzz *fuzz, int dim)
{
	static const int32 odd[] = {0, 1, 2, 16000, 16001, PG_INT32_MAX, PG_INT32_MIN, -2};
	uint32		choice = fuzz_below(&fuzz->rng, 16);

	if (choice == 0)
		return odd[fuzz_below(&fuzz->rng, lengthof(odd))];
	return choice < 4 ? dim : -1;
}

/* ---------------------------------------------------------------------- text */

/* A text about as long as the longest vector */
static Size
huge_text(Fuzz *fuzz, char *text)
{
	int			n = VECTOR_MAX_DIM - 2 + (int) fuzz_below(&fuzz->rng, 5);
	Size		len = 0;

	for (int i = 0; i < n; i++)
	{
		text[len++] = i == 0 ? '[' : ',';
		text[len++] = (char) ('0' + i % 10);
	}
	text[len++] = ']';
	return fuzz_below(&fuzz->rng, 4) ? len : fuzz_mutate(&fuzz->rng, text, len, len);
}

static void
fuzz_text_case(Fuzz *fuzz)
{
	char	   *scratch = palloc(MAX_TEXT);
	char	   *text;
	Size		len;
	float	   *expected = palloc(sizeof(float) * VECTOR_MAX_DIM);
	int			dim;
	int32		typmod;
	Outcome		outcome;

	if (fuzz_below(&fuzz->rng, 4000) == 0)
		len = huge_text(fuzz, scratch);
	else
	{
		len = fuzz_text(&fuzz->rng, scratch, MAX_BYTES);
		if (fuzz_below(&fuzz->rng, 2))
			len = fuzz_mutate(&fuzz->rng, scratch, len, MAX_BYTES);
	}
	/* texts get here in the server's encoding, without zeros */
	text = pnstrdup(scratch, len);
	len = strlen(text);
	if (!pg_verifymbstr(text, len, true))
	{
		for (Size i = 0; i < len; i++)
			text[i] &= 0x7F;
	}

	dim = reference_parse(text, VECTOR_MAX_DIM, expected);
	typmod = random_typmod(fuzz, dim);
	call_input(fuzz, &fuzz->in, text, typmod, &outcome);
	count_outcome(fuzz, &outcome);
	if (outcome.raised != (dim == -1 || (typmod != -1 && typmod != dim)))
		wrong(fuzz, outcome.raised ? "vector_in refuses" : "vector_in accepts", text);
	if (outcome.raised)
		return;
	check_forms(fuzz, text, outcome.value);
	if (DatumGetVector(outcome.value)->dim != dim ||
		memcmp(DatumGetVector(outcome.value)->x, expected, sizeof(float) * dim) != 0)
		wrong(fuzz, "vector_in reads other numbers", text);
}

/* -------------------------------------------------------------------- binary */

/* Append an integer of n bytes in network byte order */
static Size
put_number(char *to, Size len, uint32 value, int n)
{
	for (int i = n - 1; i >= 0; i--)
		to[len++] = (char) (value >> (8 * i));
	return len;
}

/* A message that is a vector or nearly one, of at most MAX_BYTES, and its length */
static Size
random_message(Fuzz *fuzz, char *bytes)
{
	static const uint16 dims[] = {0, 1, 16000, 16001, 32767, 32768, 65535};
	FuzzRandom *rng = &fuzz->rng;
	uint32		n = fuzz_below(rng, fuzz_below(rng, 32) ? 10 : 1000);
	Size		len = 0;

	len = put_number(bytes, len, fuzz_below(rng, 16) ? n : dims[fuzz_below(rng, lengthof(dims))], 2);
	len = put_number(bytes, len, fuzz_below(rng, 32) ? 0 : (uint32) fuzz_next(rng), 2);
	for (uint32 i = 0; i < n; i++)
		len = put_number(bytes, len, fuzz_float_bits(rng), 4);
	return fuzz_below(rng, 3) ? len : fuzz_mutate(rng, bytes, len, MAX_BYTES);
}

/*
 * The text of the numbers in a message, palloc'd, and their number; or NULL if
 * the message is not made of a head and so many numbers.
 */
static char *
text_of_message(const char *bytes, Size len, int *dim)
{
	const unsigned char *u = (const unsigned char *) bytes;
	StringInfoData buf;

	if (len < 4 || u[2] != 0 || u[3] != 0)
		return NULL;
	*dim = u[0] << 8 | u[1];
	if (len != 4 + 4 * (Size) *dim)
		return NULL;
	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (int i = 0; i < *dim; i++)
	{
		const unsigned char *at = u + 4 + 4 * i;
		uint32		bits = (uint32) at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
		float		value;

		memcpy(&value, &bits, sizeof(value));
		appendStringInfo(&buf, i == 0 ? "%.9g" : ",%.9g", value);
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

static void
fuzz_binary_case(Fuzz *fuzz)
{
	char	   *scratch = palloc(MAX_BYTES);
	Size		len = random_message(fuzz, scratch);
	StringInfo	message = message_of(scratch, len);
	int			dim = -1;
	char	   *text = text_of_message(scratch, len, &dim);
	int32		typmod = random_typmod(fuzz, dim);
	bool		taken;
	Outcome		outcome;
	Outcome		by_text;

	call_input(fuzz, &fuzz->recv, message, typmod, &outcome);
	if (message->cursor > message->len)
		wrong(fuzz, "vector_recv read beyond the message", hex_of(scratch, len));
	/* what is left over the caller of a receive function refuses */
	taken = !outcome.raised && message->cursor == message->len;
	if (taken)
		fuzz->accepted++;
	else
		fuzz->refused++;

	if (text != NULL)
		call_input(fuzz, &fuzz->in, text, typmod, &by_text);
	if (taken != (text != NULL && !by_text.raised))
		wrong(fuzz, taken ? "vector_recv accepts, not so vector_in" : "vector_in accepts, not so vector_recv",
			  hex_of(scratch, len));
	if (!outcome.raised)
		check_forms(fuzz, hex_of(scratch, len), outcome.value);
	if (taken)
	{
		Vector	   *a = DatumGetVector(outcome.value);
		Vector	   *b = DatumGetVector(by_text.value);

		if (VARSIZE(a) != VARSIZE(b) || memcmp(a, b, VARSIZE(a)) != 0)
			wrong(fuzz, "vector_recv reads another vector than vector_in", hex_of(scratch, len));
	}
}

/* ----------------------------------------------------------------- functions */

/* A varlena in one of the forms that a stored value may have */
static Datum
random_form(Fuzz *fuzz, struct varlena *value)
{
	Size		size = VARSIZE(value);
	uint32		choice = fuzz_below(&fuzz->rng, 8);

	if (choice == 0 && size - VARHDRSZ + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		/* an address that is no multiple of anything, as on a page */
		Size		short_size = size - VARHDRSZ + VARHDRSZ_SHORT;
		char	   *copy = (char *) palloc(short_size + 1) + 1;

		SET_VARSIZE_SHORT(copy, short_size);
		memcpy(VARDATA_SHORT(copy), VARDATA(value), size - VARHDRSZ);
		return PointerGetDatum(copy);
	}
	if (choice == 1 && size > 100)
	{
		Datum		compressed = toast_compress_datum(PointerGetDatum(value), TOAST_PGLZ_COMPRESSION);

		if (DatumGetPointer(compressed) != NULL)
			return compressed;
	}
	return PointerGetDatum(value);
}

static Datum
random_vector(Fuzz *fuzz)
{
	FuzzRandom *rng = &fuzz->rng;
	int			dim = 1 + (int) fuzz_below(rng, 4);
	Vector	   *vec;

	if (fuzz_below(rng, 16) == 0)
		dim = 1 + (int) fuzz_below(rng, 300);
	if (fuzz_below(rng, 1000) == 0)
		dim = VECTOR_MAX_DIM - (int) fuzz_below(rng, 2);
	vec = palloc0(VECTOR_SIZE(dim));
	SET_VARSIZE(vec, VECTOR_SIZE(dim));
	vec->dim = (int16) dim;
	for (int i = 0; i < dim; i++)
	{
		uint32		bits = fuzz_float_bits(rng);

		memcpy(&vec->x[i], &bits, sizeof(bits));
		if (!isfinite(vec->x[i]))
			vec->x[i] = 0;
	}
	return random_form(fuzz, (struct varlena *) vec);
}

static int32
random_int(Fuzz *fuzz)
{
	static const int32 odd[] = {
		0, 1, -1, 2, 3, 4, 15999, 16000, 16001, 32767, 32768, 65536, PG_INT32_MAX,
		PG_INT32_MAX - 1, PG_INT32_MIN, PG_INT32_MIN + 1
	};

	if (fuzz_below(&fuzz->rng, 4))
		return odd[fuzz_below(&fuzz->rng, lengthof(odd))];
	return (int32) fuzz_next(&fuzz->rng) >> fuzz_below(&fuzz->rng, 31);
}

static double
random_double(Fuzz *fuzz)
{
	static const double odd[] = {
		0, -0.0, 1, -1, 3.4028234663852886e38, 3.4028235677973366e38, 1e39, -1e300, 1e308, 5e-324,
		1e-46, 1.1754943508222875e-38, 9007199254740993.0
	};
	uint64		bits;
	double		value;

	switch (fuzz_below(&fuzz->rng, 32))
	{
		case 0:
			return get_float8_nan();
		case 1:
			return get_float8_infinity();
		case 2:
			bits = fuzz_next(&fuzz->rng);
			memcpy(&value, &bits, sizeof(value));
			return value;
		case 3:
		case 4:
		case 5:
			return odd[fuzz_below(&fuzz->rng, lengthof(odd))];
		default:
			return (double) fuzz_below(&fuzz->rng, 10);
	}
}

/* An element of an array; *isnull may be set */
static Datum
random_element(Fuzz *fuzz, Oid type)
{
	uint32		bits;
	float		value;
	char		number[FUZZ_NUMBER_BYTES];

	switch (type)
	{
		case INT4OID:
			return Int32GetDatum(random_int(fuzz));
		case FLOAT4OID:
			bits = fuzz_float_bits(&fuzz->rng);
			memcpy(&value, &bits, sizeof(value));
			return Float4GetDatum(value);
		case FLOAT8OID:
			return Float8GetDatum(random_double(fuzz));
		case NUMERICOID:
			if (fuzz_below(&fuzz->rng, 20) == 0)
				return DirectFunctionCall3(numeric_in, CStringGetDatum("1e400"), 0, Int32GetDatum(-1));
			return DirectFunctionCall1(float8_numeric, Float8GetDatum(random_double(fuzz)));
		case CSTRINGOID:
			fuzz_number(&fuzz->rng, number);
			return CStringGetDatum(pstrdup(number));
		default:
			elog(ERROR, "no elements of type %u", type);
	}
}

/* An array of any shape */
static Datum
random_array(Fuzz *fuzz, Oid type)
{
	FuzzRandom *rng = &fuzz->rng;
	int			ndim = fuzz_below(rng, 8) ? 1 : (int) fuzz_below(rng, MAXDIM + 1);
	int			dims[MAXDIM];
	int			lbs[MAXDIM];
	int			n = ndim > 0 ? 1 : 0;
	Datum	   *values;
	bool	   *nulls;
	bool		some_null = type != CSTRINGOID && fuzz_below(rng, 16) == 0;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	for (int i = 0; i < ndim; i++)
	{
		dims[i] = 1 + (int) fuzz_below(rng, ndim == 1 ? 6 : 2);
		if (ndim == 1 && fuzz_below(rng, 1000) == 0)
			dims[i] = VECTOR_MAX_DIM - 1 + (int) fuzz_below(rng, 4);
		lbs[i] = fuzz_below(rng, 4) ? 1 : random_int(fuzz);
		if (lbs[i] > PG_INT32_MAX - dims[i])
			lbs[i] = PG_INT32_MAX - dims[i];
		n *= dims[i];
	}
	values = palloc(sizeof(Datum) * Max(n, 1));
	nulls = palloc0(sizeof(bool) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		values[i] = random_element(fuzz, type);
		nulls[i] = some_null && fuzz_below(rng, 3) == 0;
	}
	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return random_form(fuzz, (struct varlena *)
					   construct_md_array(values, nulls, ndim, dims, lbs, type, typlen, typbyval, typalign));
}

/* A value of a type; random_value(type, NULL) tells whether we can make one */
static bool
random_value(Oid type, Oid vector, Fuzz *fuzz, Datum *value)
{
	if (type == vector)
		*value = fuzz ? random_vector(fuzz) : 0;
	else if (type == INT4OID)
		*value = fuzz ? Int32GetDatum(random_int(fuzz)) : 0;
	else if (type == INT8OID)
		*value = fuzz ? Int64GetDatum((int64) fuzz_next(&fuzz->rng)) : 0;
	else if (type == BOOLOID)
		*value = fuzz ? BoolGetDatum(fuzz_below(&fuzz->rng, 2)) : 0;
	else if (type == FLOAT8OID)
		*value = fuzz ? Float8GetDatum(random_double(fuzz)) : 0;
	else if (type == INT4ARRAYOID || type == FLOAT4ARRAYOID || type == FLOAT8ARRAYOID ||
			 type == NUMERICARRAYOID || type == CSTRINGARRAYOID)
		*value = fuzz ? random_array(fuzz, get_element_type(type)) : 0;
	else
		return false;
	return true;
}

/* Values that are no vectors but are looked at all the same */
static void
check_result(Fuzz *fuzz, const Target *target, Datum value)
{
	if (target->result == fuzz->vector)
		check_forms(fuzz, target->name, value);
	else if (target->result == BITOID)
	{
		VarBit	   *bits = DatumGetVarBitP(value);
		int			pad = VARBITPAD(bits);

		if (VARBITLEN(bits) < 1 || VARSIZE(bits) != VARBITTOTALLEN(VARBITLEN(bits)) ||
			(VARBITS(bits)[VARBITBYTES(bits) - 1] & ((1 << pad) - 1)) != 0)
			wrong(fuzz, target->name, "the result is no bit string");
	}
	else if (get_element_type(target->result) != InvalidOid)
	{
		ArrayType  *array = DatumGetArrayTypeP(value);

		if (ARR_NDIM(array) != 1 || ARR_ELEMTYPE(array) != get_element_type(target->result) ||
			ARR_HASNULL(array))
			wrong(fuzz, target->name, "the result is no array as it should be");
		OidFunctionCall1(F_ARRAY_OUT, PointerGetDatum(array));
	}
}

static void
fuzz_function_case(Fuzz *fuzz)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	Target	   *target = &fuzz->targets[fuzz_below(&fuzz->rng, (uint32) fuzz->ntargets)];
	Outcome		outcome;

	InitFunctionCallInfoData(*fcinfo, &target->flinfo, target->nargs, InvalidOid, NULL, NULL);
	for (int i = 0; i < target->nargs; i++)
	{
		random_value(target->args[i], fuzz->vector, fuzz, &fcinfo->args[i].value);
		fcinfo->args[i].isnull = !target->flinfo.fn_strict && fuzz_below(&fuzz->rng, 16) == 0;
	}
	call(fuzz, fcinfo, &outcome);
	count_outcome(fuzz, &outcome);
	if (!outcome.raised && !outcome.isnull)
		check_result(fuzz, target, outcome.value);
}

/* Find the functions to call: those whose arguments we can make */
static void
find_targets(Fuzz *fuzz)
{
	MemoryContext context = CurrentMemoryContext;

	SPI_connect();
	if (SPI_execute("SELECT objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON d.refobjid = e.oid "
					"WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e' "
					"AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass "
					"AND e.extname = 'vectorx' ORDER BY objid", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the catalog");
	MemoryContextSwitchTo(context);
	fuzz->targets = palloc0(sizeof(Target) * Max(SPI_processed, 1));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		bool		isnull;
		Oid			oid = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1, &isnull));
		Target	   *target = &fuzz->targets[fuzz->ntargets];
		Oid		   *args;
		Datum		unused;
		bool		possible;

		target->result = get_func_signature(oid, &args, &target->nargs);
		possible = target->nargs > 0 && get_func_prokind(oid) == PROKIND_FUNCTION &&
			!get_func_retset(oid);
		for (int i = 0; possible && i < target->nargs; i++)
			possible = random_value(args[i], fuzz->vector, NULL, &unused);
		if (!possible)
			continue;
		memcpy(target->args, args, sizeof(Oid) * target->nargs);
		target->name = get_func_name(oid);
		fmgr_info_cxt(oid, &target->flinfo, context);
		fuzz->ntargets++;
	}
	SPI_finish();
	if (fuzz->ntargets == 0)
		elog(ERROR, "no functions were found");
}

/* -------------------------------------------------------------------- driver */

static void
look_up_type(Fuzz *fuzz)
{
	Oid			function;
	bool		is_varlena;

	fuzz->vector = DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum("vector")));
	getTypeInputInfo(fuzz->vector, &function, &fuzz->ioparam);
	fmgr_info(function, &fuzz->in);
	getTypeOutputInfo(fuzz->vector, &function, &is_varlena);
	fmgr_info(function, &fuzz->out);
	getTypeBinaryInputInfo(fuzz->vector, &function, &fuzz->ioparam);
	fmgr_info(function, &fuzz->recv);
	getTypeBinaryOutputInfo(fuzz->vector, &function, &is_varlena);
	fmgr_info(function, &fuzz->send);
}

Datum
fuzz_values(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64		count = PG_GETARG_INT64(2);
	Fuzz	   *fuzz = palloc0(sizeof(Fuzz));
	MemoryContext context = CurrentMemoryContext;
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	void		(*one_case) (Fuzz *) = NULL;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "fuzz_values must return a record");
	if (strcmp(kind, "text") == 0)
		one_case = fuzz_text_case;
	else if (strcmp(kind, "binary") == 0)
		one_case = fuzz_binary_case;
	else if (strcmp(kind, "functions") == 0)
		one_case = fuzz_function_case;
	else
		elog(ERROR, "no such kind: %s", kind);
	fuzz->seed = (uint64) PG_GETARG_INT64(1);
	fuzz->rng.state = fuzz->seed;
	look_up_type(fuzz);
	find_targets(fuzz);
	fuzz->context = AllocSetContextCreate(context, "fuzz", ALLOCSET_DEFAULT_SIZES);

	for (fuzz->number = 0; fuzz->number < count; fuzz->number++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(fuzz->context);
		one_case(fuzz);
		MemoryContextSwitchTo(context);
		MemoryContextReset(fuzz->context);
	}
	values[0] = Int64GetDatum(fuzz->accepted);
	values[1] = Int64GetDatum(fuzz->refused);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
