# Dump and restore.
#
# Promised: pg_dump and pg_restore carry over every column type, index, view and other
# object that names vectors, their operators or operator classes, and every row
# exactly; the restored indexes are sound and complete.  So does COPY, as text and binary.
#
# Shown: with the tables of test/schemas/make.sql, dumped as plain text, custom and
# directory format, the latter by two jobs, restored into new databases; by
# comparing all rows, the definitions of all indexes, and the dump of the copy with
# that of the original.  A dump of the schema in binary-upgrade mode must
# describe the extension's own objects.
use strict;
use warnings;
use FindBin;
use Test::More;
use VxTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

my $schemas = ($ENV{VX_SRC} // "$FindBin::RealBin/../..") . '/test/schemas';
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('dump', 'log_statement = none');
$node->start;
set_up($node);
$node->safe_psql('postgres', slurp_file("$schemas/make.sql"));
is($node->safe_psql('postgres', 'SELECT all_index_faults()'), '', 'indexes of the original');

# A program of the node's, with its connection; its output
sub run
{
	my ($name, $program, @arguments) = @_;
	my ($out, $err) = run_command([ $node->installed_command($program), '-h', $node->host, '-p', $node->port, @arguments ]);
	is($err, '', $name);
	return $out;
}

# Rows and indexes of a database: all but what searches find, which another graph decides
my $questions = join ';', grep { !/index_answer/ } split /;/, slurp_file("$schemas/ask.sql");
my $original = $node->safe_psql('postgres', $questions);
cmp_ok(scalar(() = $original =~ /^rows\|/mg), '>', 20, 'there are tables');
cmp_ok(scalar(() = $original =~ /^definition\|/mg), '>', 25, 'and indexes');

is(scalar(() = $original =~ /^filtered\|[1-9]/mg), 3, 'and rows that pass filters');

# A dump as text, without what is a matter of the moment
sub dump_of
{
	my ($database) = @_;
	my $dump = run("dump of $database", 'pg_dump', '--no-sync', $database);
	$dump =~ s/^\\(un)?restrict .*\n//mg;
	return $dump;
}
my $dump = dump_of('postgres');
like($dump, qr/^CREATE EXTENSION IF NOT EXISTS vectorx/m, 'the extension is dumped as one');
unlike($dump, qr/CREATE (TYPE|OPERATOR|ACCESS METHOD).*(vector|hnsw) /, 'its objects are not');

sub compare
{
	my ($database, $name) = @_;
	is($node->safe_psql($database, $questions), $original, "$name: rows, indexes, and the extension");
	is($node->safe_psql($database, 'SELECT all_index_faults()'), '', "$name: indexes");
	is(dump_of($database), $dump, "$name: the dump of the copy is that of the original");
	# it is used
	$node->safe_psql($database, slurp_file("$schemas/change.sql"));
	is($node->safe_psql($database, 'SELECT all_index_faults()'), '', "$name: indexes after changes");
}

append_to_file("$dir/plain.sql", $dump);
$node->safe_psql('postgres', 'CREATE DATABASE plain TEMPLATE template0');
run('restoring plain', 'psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", 'plain');
compare('plain', 'plain');

foreach my $format ([ custom => '-Fc' ], [ directory => '-Fd', '-j', 2 ], [ tar => '-Ft' ])
{
	my ($name, @options) = @$format;
	run("dumping $name", 'pg_dump', '--no-sync', @options, '-f', "$dir/$name", 'postgres');
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0");
	run("restoring $name", 'pg_restore', '--exit-on-error', '-d', $name, ($name eq 'tar' ? () : ('-j', 2)), "$dir/$name");
	compare($name, $name);
}

# by INSERT, and into a cluster that has the extension in another schema
run('dumping inserts', 'pg_dump', '--no-sync', '--inserts', '--rows-per-insert=7', '-f', "$dir/inserts", 'postgres');
$node->safe_psql('postgres', 'CREATE DATABASE inserts TEMPLATE template0');
run('restoring inserts', 'psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/inserts", 'inserts');
compare('inserts', 'inserts');
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere TEMPLATE template0');
$node->safe_psql('elsewhere', 'CREATE SCHEMA ext; CREATE EXTENSION vectorx SCHEMA ext; CREATE TABLE t (id int, v ext.vector(3)); INSERT INTO t SELECT i, ARRAY[i, 1, 2]::ext.vector FROM generate_series(1, 50) i; CREATE INDEX ti ON t USING hnsw (v ext.vector_cosine_ops)');
run('dumping elsewhere', 'pg_dump', '--no-sync', '-f', "$dir/elsewhere", 'elsewhere');
$node->safe_psql('postgres', 'CREATE DATABASE again TEMPLATE template0');
run('restoring elsewhere', 'psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/elsewhere", 'again');
is($node->safe_psql('again', "SELECT count(*) FROM ext.vectorx_index_check('ti')"), '0', 'in another schema: index');
is($node->safe_psql('again', 'SET enable_seqscan = off; SET search_path = public, ext; SELECT id FROM t ORDER BY v <=> \'[1,1,2]\' LIMIT 1'), '1', 'in another schema: search');

# what pg_upgrade dumps
my $binary = run('binary-upgrade schema', 'pg_dump', '--no-sync', '--schema-only', '--binary-upgrade', 'postgres');
like($binary, qr/binary_upgrade_create_empty_extension\('vectorx'/, 'binary-upgrade: the extension');
like($binary, qr/^CREATE ACCESS METHOD hnsw TYPE INDEX HANDLER public.hnswhandler;/m, 'binary-upgrade: the access method');
foreach my $what (qw(vector_in vector_subscript_handler))
{
	like($binary, qr/$what/, "binary-upgrade: $what");
}
is(scalar(() = $binary =~ /^CREATE OPERATOR CLASS public\.vector/mg), 6, 'binary-upgrade: operator classes');

# COPY of every vector column, as text and binary
foreach my $format (qw(text csv binary))
{
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE copied_$format (id int, v vector, n named, a vector(3)[]);
CREATE TABLE copied_from_$format AS SELECT id, v::vector AS v, NULL::named AS n, NULL::vector(3)[] AS a FROM plain UNION ALL SELECT id, v, NULL, NULL FROM large UNION ALL SELECT id, u::vector, n, a FROM typed;
COPY copied_from_$format TO '$dir/$format' (FORMAT $format);
COPY copied_$format FROM '$dir/$format' (FORMAT $format);
SQL
	is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT md5(t::text), vector_send(v) FROM copied_$format t EXCEPT ALL SELECT md5(t::text), vector_send(v) FROM copied_from_$format t) s"),
		'0', "COPY $format: the rows are the same");
	is($node->safe_psql('postgres', "SELECT (SELECT count(*) FROM copied_$format) = (SELECT count(*) FROM copied_from_$format)"), 't', "COPY $format: all of them");
}
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
