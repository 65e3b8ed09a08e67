/*-------------------------------------------------------------------------
 *
 * fht_impl.h
 *	  The fast Walsh-Hadamard transform, for any width of vector register.
 *
 * Included by the file of an instruction set, which defines before:
 *
 *	FHT_WIDTH		floats in a register
 *	FhtVector		type of a register
 *	FHT_LOAD(p), FHT_STORE(p, v), FHT_ADD(a, b), FHT_SUB(a, b)
 *	TARGET			attributes of functions of that instruction set
 *	fhtWithin(v)	the strides that are within a register
 *
 * Every width performs the same additions in the same order for an element, so
 * that all results are the same to the bit.
 *
 *-------------------------------------------------------------------------
 */

VX_INLINE TARGET void
butterfly(FhtVector *a, FhtVector *b)
{
	FhtVector	sum = FHT_ADD(*a, *b);

	*b = FHT_SUB(*a, *b);
	*a = sum;
}

/*
 * Strides h, 2h and 4h of the eight vectors at x, x + h .. x + 7h; before
 * that, if within, the strides inside of each.
 */
VX_INLINE TARGET void
fhtEight(float *x, int h, bool within)
{
	FhtVector	v0 = FHT_LOAD(x);
	FhtVector	v1 = FHT_LOAD(x + h);
	FhtVector	v2 = FHT_LOAD(x + 2 * h);
	FhtVector	v3 = FHT_LOAD(x + 3 * h);
	FhtVector	v4 = FHT_LOAD(x + 4 * h);
	FhtVector	v5 = FHT_LOAD(x + 5 * h);
	FhtVector	v6 = FHT_LOAD(x + 6 * h);
	FhtVector	v7 = FHT_LOAD(x + 7 * h);

	if (within)
	{
		v0 = fhtWithin(v0);
		v1 = fhtWithin(v1);
		v2 = fhtWithin(v2);
		v3 = fhtWithin(v3);
		v4 = fhtWithin(v4);
		v5 = fhtWithin(v5);
		v6 = fhtWithin(v6);
		v7 = fhtWithin(v7);
	}
	butterfly(&v0, &v1);
	butterfly(&v2, &v3);
	butterfly(&v4, &v5);
	butterfly(&v6, &v7);
	butterfly(&v0, &v2);
	butterfly(&v1, &v3);
	butterfly(&v4, &v6);
	butterfly(&v5, &v7);
	butterfly(&v0, &v4);
	butterfly(&v1, &v5);
	butterfly(&v2, &v6);
	butterfly(&v3, &v7);
	FHT_STORE(x, v0);
	FHT_STORE(x + h, v1);
	FHT_STORE(x + 2 * h, v2);
	FHT_STORE(x + 3 * h, v3);
	FHT_STORE(x + 4 * h, v4);
	FHT_STORE(x + 5 * h, v5);
	FHT_STORE(x + 6 * h, v6);
	FHT_STORE(x + 7 * h, v7);
}

/* Stride h >= FHT_WIDTH over all of x */
VX_INLINE TARGET void
fhtStride(float *x, int n, int h)
{
	for (int i = 0; i < n; i += 2 * h)
		for (int j = i; j < i + h; j += FHT_WIDTH)
		{
			FhtVector	a = FHT_LOAD(x + j);
			FhtVector	b = FHT_LOAD(x + j + h);

			butterfly(&a, &b);
			FHT_STORE(x + j, a);
			FHT_STORE(x + j + h, b);
		}
}

/* Three strides in one pass over x wherever three are left */
static TARGET void
fht(float *x, int n)
{
	int			h;

	if (n < FHT_WIDTH)
	{
		VxFhtScalar(x, n, 1);
		return;
	}
	if (n < 8 * FHT_WIDTH)
	{
		for (int i = 0; i < n; i += FHT_WIDTH)
			FHT_STORE(x + i, fhtWithin(FHT_LOAD(x + i)));
		h = FHT_WIDTH;
	}
	else
	{
		for (int i = 0; i < n; i += 8 * FHT_WIDTH)
			fhtEight(x + i, FHT_WIDTH, true);
		for (h = 8 * FHT_WIDTH; 8 * h <= n; h *= 8)
			for (int i = 0; i < n; i += 8 * h)
				for (int j = i; j < i + h; j += FHT_WIDTH)
					fhtEight(x + j, h, false);
	}
	for (; h < n; h *= 2)
		fhtStride(x, n, h);
}
