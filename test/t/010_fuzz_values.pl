# Malformed values.
#
# Promised: whatever comes in as a vector, as text, in binary form, as an array, as
# an argument, is taken or refused with an error of SQLSTATE class 0A, 22, 42 or
# 54; text and binary form take the same values, and give back what they took.
#
# Shown: by a module in the server (test/fuzz/values_fuzz.c) with random texts,
# messages and arguments; by statements and files for COPY made here.  VX_SEED
# repeats a run, VX_TORTURE=1 makes it long.
use strict;
use warnings;
use Test::More;
use VxTest;
use PostgreSQL::Test::Utils;

my $seed = $ENV{VX_SEED} // int(rand(2**31));
my $times = $ENV{VX_TORTURE} ? 20 : 1;
note("VX_SEED=$seed");
srand($seed);

my $fuzz = source_dir() . '/test/fuzz';
my @make = ('make', '-C', $fuzz, "PG_CONFIG=$ENV{PG_CONFIG}", $ENV{VX_COPT} ? "COPT=$ENV{VX_COPT}" : ());
my $made = qx(@{[ join ' ', map { "'$_'" } @make ]} 2>&1);
is($?, 0, 'the module compiles') or BAIL_OUT($made);
unlike($made, qr/warning:/, 'and without warnings');

my $node = new_node('fuzz_values', "log_min_messages = fatal\nlog_min_error_statement = panic");
$node->start;
set_up($node);
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION fuzz_values(kind text, seed bigint, count bigint, OUT accepted bigint, OUT refused bigint)
	AS '$fuzz/values_fuzz', 'fuzz_values' LANGUAGE C STRICT;
-- what a statement raises, or 00000
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	EXECUTE statement;
	RETURN '00000';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || CASE WHEN SQLSTATE ~ '^(0A|22|42|54)' THEN '' ELSE ' ' || SQLERRM END;
END \$\$;
SQL

# ---- values, in the server

my %cases = (text => 200_000, binary => 200_000, functions => 300_000);
foreach my $kind (sort keys %cases)
{
	my ($out, $err) = ('', '');
	my $count = $cases{$kind} * $times;

	$node->psql('postgres', "SELECT accepted, refused FROM fuzz_values('$kind', $seed, $count)", stdout => \$out, stderr => \$err);
	is($err, '', "$count of $kind: nothing but errors as promised");
	my ($accepted, $refused) = split /\|/, $out || '0|0';
	cmp_ok($accepted, '>', $count / 10, "$kind: many are accepted");
	cmp_ok($refused, '>', $count / 10, "$kind: and many refused");
	note("$kind: $accepted accepted, $refused refused");
}

# ---- statements

sub pick { return $_[ rand @_ ]; }

sub int_value { return pick(0, 1, -1, 2, 3, 16000, 16001, 2147483647, -2147483648, int(rand(10)), 'NULL', "2147483648::bigint", '1.5', "'x'"); }
sub number { return pick(0, 1, -1.5, '1e38', '-3.4e38', '1e-45', '1e39', '1e-46', "'NaN'", "'-Infinity'", int(rand(100)), int(rand(100))); }

sub vector_value
{
	my $n = pick(1, 1, 2, 3, 3, 3, 3, 4);
	return pick("'[" . join(',', map { int(rand(10)) - 3 } 1 .. $n) . "]'::vector", 'NULL::vector', 'v', "'[0,0,0]'::vector",
		"'[" . join(',', map { my $x = number(); $x =~ tr/'//d; $x } 1 .. $n) . "]'::vector" . pick('', "($n)", '(' . int_value() . ')'),
		'ARRAY[' . join(',', map { number() } 1 .. $n) . ']::' . pick(qw(int[] bigint[] smallint[] real[] float8[] numeric[] text[])) . '::vector' . pick('', "($n)"),
		"array_fill(" . number() . "::float8, ARRAY[" . int_value() . "], ARRAY[" . int_value() . "])::vector",
		"subvector(v, " . int_value() . ', ' . int_value() . ')', 'l2_normalize(v)', 'v || v', 'v ' . pick(qw(+ - *)) . " '[1,2,3]'");
}

sub expression
{
	return pick(
		sub { '(' . vector_value() . ')[' . int_value() . ']' },
		sub { '(' . vector_value() . ')[' . int_value() . ':' . int_value() . ']' },
		sub { '(' . vector_value() . ')[' . int_value() . '][' . int_value() . ']' },
		sub { vector_value() . ' ' . pick(split ' ', '<-> <#> <=> <+> + - * || < <= = <> >= >') . ' ' . vector_value() },
		sub { pick(qw(l2_distance inner_product cosine_distance l1_distance vector_spherical_distance vector_cmp)) . '(' . vector_value() . ', ' . vector_value() . ')' },
		sub { pick(qw(vector_dims vector_norm l2_normalize binary_quantize vector_hash)) . '(' . vector_value() . ')' },
		sub { pick('avg', 'sum', 'max', 'count', 'array_agg') . '(' . vector_value() . ')' },
		sub { 'vector_avg(array_fill(' . number() . '::float8, ARRAY[' . int_value() . ']))' },
		sub { 'vector_accum(ARRAY[' . join(',', map { number() } 1 .. 1 + rand 4) . ']::float8[], ' . vector_value() . ')' },
		sub { vector_value() . '::' . pick(qw(real[] text vector(3) vector(4) int[] bytea)) },
		sub { "vectorx_recall('" . pick(qw(ti t t_pkey nothing pg_class)) . "', " . int_value() . ', ' . int_value() . ')' },
		sub { pick(qw(vectorx_index_info vectorx_index_check)) . "('" . pick(qw(ti t t_pkey nothing pg_class parted empty)) . "')" },
		sub { pick(qw(hnswhandler vectorx_vector_l2_space vector_subscript_handler vector_recv vector_in)) . '(' . pick('NULL', "''", vector_value()) . ')' },
	)->();
}

my %generators = (
	expressions => sub { 'SELECT ' . expression() . ' FROM t WHERE id < 3' },
	searches => sub {
		'SELECT id, v <-> v FROM t ORDER BY v ' . pick('<->', '<->', '<=>', '<+>') . ' ' . pick(vector_value(), "'[1,2,3]'", "(SELECT v FROM t WHERE id = " . int(rand(200)) . ")") . ' LIMIT ' . pick(1, 5, 40, 1000, int_value(), 'ALL');
	},
	updates => sub {
		pick('UPDATE t SET v[' . int_value() . '] = ' . pick(number(), number(), 'NULL') . ' WHERE id = ' . int(rand(200)),
			'UPDATE t SET v = ' . vector_value() . ' WHERE id = ' . int(rand(200)),
			"INSERT INTO t VALUES (nextval('ids'), " . vector_value() . ')',
			"INSERT INTO t VALUES (nextval('ids'), '" . join('', map { pick(split //, '[],.-+e0123456789 n') } 1 .. rand 12) . "')");
	},
	types => sub { 'CREATE TEMP TABLE ' . pick(qw(x y)) . int(rand(1e9)) . ' (v vector(' . pick(int_value(), int_value() . ',' . int_value(), '') . ')) ON COMMIT DROP' },
);
my $statements = 3000;
foreach my $name (sort keys %generators)
{
	my ($out, $err) = ('', '');
	my @made = map { $generators{$name}->() } 1 .. ($name eq 'types' ? $statements / 10 : $statements) * $times;

	$node->safe_psql('postgres', <<~'SQL');
		DROP TABLE IF EXISTS t, parted, empty;
		DROP SEQUENCE IF EXISTS ids;
		CREATE SEQUENCE ids START 201;
		CREATE TABLE t (id int PRIMARY KEY, v vector(3));
		INSERT INTO t SELECT i, vec(i, 3) FROM generate_series(1, 200) i;
		CREATE INDEX ti ON t USING hnsw (v);
		CREATE TABLE parted (v vector(3)) PARTITION BY HASH (v);
		CREATE TABLE empty ();
		SQL
	my $script = join '', map { my $s = $_; "SELECT try(\$try\$$s\$try\$);\n" } @made;
	$node->psql('postgres', "SET enable_seqscan = off;\nSET statement_timeout = '" . 10 * slow() . "s';\n" . $script, stdout => \$out, stderr => \$err, on_error_stop => 0);
	my @results = split /\n/, $out;
	my %count;
	$count{$_}++ foreach @results;
	note("$name: " . join ', ', map { "$_ $count{$_}" } sort keys %count);
	is(scalar @results, scalar @made, "$name: all statements ran") or diag($err);
	is(join("\n", map { "$made[$_]: $results[$_]" } grep { $results[$_] !~ /^(00|0A|22|42|54)...$/ } 0 .. $#results), '', "$name: nothing but errors as promised");
	cmp_ok($count{'00000'} // 0, '>', @made / 20, "$name: many succeed");
	$node->safe_psql('postgres', 'DELETE FROM t WHERE v IS NULL');
	check_index($node, 'ti', "$name: the index is sound");
	same_ids($node, 't', "'[1,2,3]'", "$name: the index is complete");
}

# ---- options and settings: what is within bounds is taken, other values are not

# name, bounds, and what is taken between them
my @options = ([ 'm', 2, 100 ], [ 'ef_construction', 4, 1000 ]);
my @settings = ([ 'hnsw.ef_search', 1, 10000 ], [ 'hnsw.max_scan_tuples', 1, 2147483647 ], [ 'hnsw.scan_mem_multiplier', 1, 1000 ]);
my (@tried, @expected);
sub bound_value { my ($low, $high) = @_; return pick($low, $high, $low - 1, $high + 1, -1, 0, 2147483647, -2147483648, 2147483648, '99999999999999999999', int(rand(1100))); }
sub within { my ($x, $low, $high) = @_; return $x >= $low && $x <= $high; }
foreach (1 .. 300 * $times)
{
	my $setting = pick(@settings);
	my $x = bound_value(@$setting[ 1, 2 ]);
	push @tried, "SET LOCAL $setting->[0] = '$x'";
	push @expected, within($x, @$setting[ 1, 2 ]);
	my ($m, $ef) = map { bound_value(@$_[ 1, 2 ]) } @options;
	my $bits = pick(2, 4, 8, 2, 4, 8, 0, 1, 3, 16, -4, "''", 'x', 48);
	push @tried, "CREATE INDEX i" . @tried . " ON t USING hnsw (v) WITH (m = $m, ef_construction = $ef, code_bits = $bits); DROP INDEX i" . @tried;
	push @expected, within($m, 2, 100) && within($ef, 4, 1000) && $ef >= 2 * $m && scalar($bits =~ /^[248]$/);
}
# settings have bounds once the library is loaded
my @results = split /\n/, $node->safe_psql('postgres', join '', "LOAD 'vectorx';\n", map { "SELECT try(\$try\$$_\$try\$);\n" } @tried);
is(join("\n", map { "$tried[$_]: $results[$_]" } grep { $results[$_] ne '00000' && $results[$_] !~ /^22023$/ || ($results[$_] eq '00000') != !!$expected[$_] } 0 .. $#tried),
	'', 'options and settings are taken within their bounds only');

# ---- files for binary COPY

sub copy_bytes
{
	my (@tuples) = @_;
	return "PGCOPY\n\377\r\n\0" . pack('N N', 0, 0) . join('', @tuples) . pack('n', 0xFFFF);
}

sub copy_tuple { my ($bytes) = @_; return pack('n N', 1, length $bytes) . $bytes; }
sub vector_bytes { my @x = @_; return pack('n n', scalar @x, 0) . join '', map { scalar reverse pack('f', $_) } @x; }

my $dir = $node->basedir;
$node->safe_psql('postgres', 'CREATE TABLE copied (v vector)');
my @files;
foreach my $i (1 .. 300 * $times)
{
	my @tuples = map { copy_tuple(vector_bytes(map { int(rand(100)) } 1 .. 1 + rand 5)) } 1 .. 3;
	my $bytes = copy_bytes(@tuples);

	if ($i > 20)
	{
		# change bytes; those of the head are the server's own matter
		for (0 .. rand 3)
		{
			my $at = 19 + int rand(length($bytes) - 19);
			pick(sub { substr($bytes, $at, 1) = chr int rand 256 }, sub { substr($bytes, $at, 1) ^= chr(1 << rand 8) },
				sub { $bytes = substr($bytes, 0, $at) }, sub { substr($bytes, $at, 1) = '' }, sub { substr($bytes, $at, 0) = "\0" x rand 5 })->()
			  if length($bytes) > 20;
		}
	}
	my $file = "$dir/copy$i.bin";
	open my $out, '>:raw', $file or die $!;
	print $out $bytes;
	close $out;
	push @files, $file;
}
@results = split /\n/, $node->safe_psql('postgres', join '', map { "SELECT try(\$try\$COPY copied FROM '$_' (FORMAT binary)\$try\$);\n" } @files);
is(join("\n", map { "$files[$_]: $results[$_]" } grep { $results[$_] !~ /^(00000|22P0[34]|22000|54000|08P01)/ } 0 .. $#results), '', 'binary COPY: nothing but errors as promised');
is(join(' ', @results[ 0 .. 19 ]), join(' ', ('00000') x 20), 'binary COPY: files as they should be are read');
cmp_ok(scalar(grep { $_ ne '00000' } @results), '>', 100, 'binary COPY: many files are refused');
is($node->safe_psql('postgres', 'SELECT count(*) FROM copied WHERE v::text::vector <> v OR vector_dims(v) < 1'), '0', 'binary COPY: what was taken are vectors');

is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, 'the server has not restarted');
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
