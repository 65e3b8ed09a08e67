# Versions: of the index format, and of the extension.
#
# Promised: an index of a format version that this vectorx does not know is refused with
# a message that says so and hints at REINDEX, whatever is done with it; nothing else of
# its table suffers, and REINDEX mends it.  ALTER EXTENSION vectorx UPDATE gives
# what a fresh installation of the same version gives: objects, definitions,
# comments, privileges.
#
# Shown: by changing the version in metapages while the server is down; and by updating
# from every version of which there is an install script.  That the comparison
# finds what an update script forgets is shown by versions made for that, in this
# test's private installation.
use strict;
use warnings;
use FindBin;
use Test::More;
use VxTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

my $source = $ENV{VX_SRC} // "$FindBin::RealBin/../..";
my $node = new_node('versions', 'log_statement = none', extra => [ no_checksums() ]);
$node->start;
set_up($node);

# ---- the format ----

my %tables = (old => 0, next => 2, far => 99, last => 0xFFFFFFFF);
foreach my $table (sort keys %tables)
{
	my $dims = $table eq 'far' ? 3 : 48;
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $table (id int PRIMARY KEY, v vector($dims));
INSERT INTO $table SELECT i, vec(i, $dims) FROM generate_series(1, 100) i;
CREATE INDEX ${table}i ON $table USING hnsw (v);
DELETE FROM $table WHERE id > 90;
SQL
}
my %path = map { $_ => $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('${_}i')") } keys %tables;
$node->stop;
foreach my $table (keys %tables)
{
	open my $file, '+<:raw', $path{$table} or die $!;
	seek $file, 28, 0;
	print $file pack 'L', $tables{$table};
	close $file or die $!;
}
$node->start;

# The error of a statement, in one line
sub error_of
{
	my ($sql) = @_;
	my $err = '';
	$node->psql('postgres', "\\set VERBOSITY verbose\n$sql;", stderr => \$err, on_error_stop => 0);
	$err =~ s/\n/ /g;
	return $err;
}

foreach my $table (sort keys %tables)
{
	my $version = $tables{$table};
	my $dims = $table eq 'far' ? 3 : 48;
	my $refusal = qr/^psql:<stdin>:\d+: ERROR:  0A000: index "${table}i" has format version $version, but this version of vectorx supports 1 HINT:  .*REINDEX/;
	foreach my $sql ("SELECT id FROM $table ORDER BY v <-> vec(1, $dims) LIMIT 3", "EXPLAIN SELECT id FROM $table ORDER BY v <-> vec(1, $dims) LIMIT 3",
		"INSERT INTO $table VALUES (1000, vec(1, $dims))", "UPDATE $table SET v = vec(7, $dims) WHERE id = 3",
		"VACUUM (INDEX_CLEANUP on) $table", "SELECT vectorx_index_info('${table}i')", "SELECT vectorx_recall('${table}i')")
	{
		like(error_of("SET enable_seqscan = off; $sql"), $refusal, "version $version: $sql");
	}
	like($node->safe_psql('postgres', "SELECT * FROM vectorx_index_check('${table}i')"), qr/^error\|metapage\|0\|.*format version $version is not supported, only 1: REINDEX$/,
		"version $version: the check finds it");
	# what needs no index
	is(error_of("SELECT * FROM $table WHERE id = 3; DELETE FROM $table WHERE id = 4; VACUUM (INDEX_CLEANUP off) $table; INSERT INTO $table VALUES (2000, NULL); ANALYZE $table"), '', "version $version: the table can be used");
	is($node->safe_psql('postgres', "SELECT count(*) FROM $table WHERE v <-> vec(1, $dims) < 1000"), '89', "version $version: so can its vectors");
	$node->safe_psql('postgres', $table eq 'next' ? "REINDEX INDEX CONCURRENTLY ${table}i" : "REINDEX INDEX ${table}i");
	$node->safe_psql('postgres', "INSERT INTO $table VALUES (1000, vec(1, $dims)); VACUUM (INDEX_CLEANUP on) $table");
	is($node->safe_psql('postgres', "SELECT index_faults('${table}i')"), '', "version $version: REINDEX mends it");
}

# ---- the extension ----

my ($share) = run_command([ $node->installed_command('pg_config'), '--sharedir' ]);
my $scripts = "$share/extension";
my ($default) = slurp_file("$scripts/vectorx.control") =~ /default_version = '([^']+)'/;
my @made;
END { unlink @made; }

# The catalog of an extension, in a database of its own, where some statements are run, and
# whether it works
my $databases = 0;
sub catalog_after
{
	my (@sql) = @_;
	my $database = 'catalog' . $databases++;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	foreach my $sql (@sql)
	{
		$node->safe_psql($database, $sql);
		# it is in use from the beginning
		next if $sql ne $sql[0];
		$node->safe_psql($database, slurp_file("$source/test/t/functions.sql"));
		$node->safe_psql($database, 'CREATE TABLE used (id int, v vector(24)); INSERT INTO used SELECT i, vec(i, 24) FROM generate_series(1, 50) i; CREATE INDEX used_i ON used USING hnsw (v)');
	}
	is($node->safe_psql($database, "INSERT INTO used SELECT i, vec(i, 24) FROM generate_series(51, 99) i; SELECT index_faults('used_i')"), '', "an index works after: $sql[-1]");
	my $catalog = $node->safe_psql($database, "SELECT extension_catalog('vectorx')");
	$node->safe_psql('postgres', "DROP DATABASE $database");
	return $catalog;
}

my $fresh = catalog_after('CREATE EXTENSION vectorx');
cmp_ok(scalar(split /\n/, $fresh), '>', 150, 'the catalog is described');
my @installs = grep { $_ ne $default } map { m{/vectorx--(.+)\.sql$} && $1 !~ /--/ ? $1 : () } glob "$scripts/vectorx--*.sql";
foreach my $version (@installs)
{
	is(catalog_after("CREATE EXTENSION vectorx VERSION '$version'", 'ALTER EXTENSION vectorx UPDATE'), $fresh, "updated from $version: what a fresh installation is");
}
note(@installs . " versions before $default: @installs");

# A version that adds things, and update scripts to it that forget one each
my @additions = (
	"CREATE FUNCTION vectorx_more(vector, integer DEFAULT 1) RETURNS double precision AS 'MODULE_PATHNAME', 'vx_vector_norm' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;",
	"COMMENT ON FUNCTION vectorx_more(vector, integer) IS 'more';",
	'REVOKE EXECUTE ON FUNCTION vectorx_more(vector, integer) FROM PUBLIC;',
	'ALTER FUNCTION vector_norm(vector) COST 77;',
	'ALTER FUNCTION vector_dims(vector) PARALLEL RESTRICTED;',
	"COMMENT ON TYPE vector IS 'changed';",
	'CREATE OPERATOR ## (LEFTARG = vector, RIGHTARG = vector, FUNCTION = inner_product, COMMUTATOR = ##);',
	'CREATE OPERATOR FAMILY vector_more_ops USING hnsw;',
	'CREATE OPERATOR CLASS vector_more_ops FOR TYPE vector USING hnsw FAMILY vector_more_ops AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY pg_catalog.float_ops, FUNCTION 1 (vector) vectorx_vector_l2_space(internal);',
	'ALTER OPERATOR <> (vector, vector) SET (RESTRICT = NONE);',
	'CREATE CAST (vector AS text) WITH INOUT AS ASSIGNMENT;',
	'CREATE VIEW vectorx_view AS SELECT 1 AS one;',
	'GRANT SELECT ON vectorx_view TO PUBLIC;',
	"CREATE AGGREGATE vectorx_total(vector) (SFUNC = vector_add, STYPE = vector, COMBINEFUNC = vector_add, PARALLEL = SAFE);",
	"CREATE TYPE vectorx_pair AS (a vector, b vector);",
);

sub script
{
	my ($name, $text) = @_;
	push @made, "$scripts/vectorx--$name.sql";
	unlink $made[-1];
	append_to_file($made[-1], $text);
}

my $install = slurp_file("$scripts/vectorx--$default.sql");
script('test', join "\n", $install, @additions);
script("$default--test", join "\n", @additions);
my $new = catalog_after("CREATE EXTENSION vectorx VERSION 'test'");
isnt($new, $fresh, 'another version has another catalog');
is(catalog_after('CREATE EXTENSION vectorx', "ALTER EXTENSION vectorx UPDATE TO 'test'"), $new, 'updated: what a fresh installation is');
my @needed = ([ 0, 1, 2 ], [1], [2], [3], [4], [5], [6], [ 7, 8 ], [8], [9], [10], [ 11, 12 ], [12], [13], [14]);
$node->safe_psql('postgres', 'CREATE DATABASE forgetful TEMPLATE template0');
$node->safe_psql('forgetful', 'CREATE EXTENSION vectorx; ' . slurp_file("$source/test/t/functions.sql"));
my $sql = "SET client_min_messages = warning;\n";
foreach my $i (0 .. $#needed)
{
	my %forgotten = map { $_ => 1 } @{ $needed[$i] };
	script("$default--test$i", join "\n", map { $additions[$_] } grep { !$forgotten{$_} } 0 .. $#additions);
	$sql .= "DROP EXTENSION vectorx CASCADE; CREATE EXTENSION vectorx; ALTER EXTENSION vectorx UPDATE TO 'test$i';\n\\echo =$i\nSELECT extension_catalog('vectorx');\n";
}
script("$default--test" . @needed, join "\n", @additions);
$sql .= "DROP EXTENSION vectorx CASCADE; CREATE EXTENSION vectorx; ALTER EXTENSION vectorx UPDATE TO 'test" . @needed . "';\n\\echo =" . @needed . "\nSELECT extension_catalog('vectorx');\n";
my @catalogs = split /^=\d+\n/m, $node->safe_psql('forgetful', $sql);
shift @catalogs;
s/^extension test\d+/extension test/m foreach @catalogs;
is($catalogs[-1] =~ s/\n*\z//r, $new, 'an update script that forgets nothing: nothing is found');
foreach my $i (0 .. $#needed)
{
	isnt($catalogs[$i] =~ s/\n*\z//r, $new, "found if an update script forgets: $additions[$needed[$i][0]]");
}

# by two steps
script("$default--half", join "\n", @additions[ 0 .. 6 ]);
unlink "$scripts/vectorx--$default--test.sql";
script('half--test', join "\n", @additions[ 7 .. $#additions ]);
is(catalog_after('CREATE EXTENSION vectorx', "ALTER EXTENSION vectorx UPDATE TO 'test'"), $new, 'updated by two steps: the same');

# a schema of its own, and another
$node->safe_psql('postgres', 'CREATE DATABASE moved TEMPLATE template0');
$node->safe_psql('moved', <<'SQL');
CREATE SCHEMA a;
CREATE SCHEMA b;
CREATE EXTENSION vectorx SCHEMA a;
CREATE TABLE t (id int, v a.vector(3));
INSERT INTO t SELECT i, ARRAY[i, i % 7, 1]::a.vector FROM generate_series(1, 100) i;
CREATE INDEX ti ON t USING hnsw (v a.vector_l2_ops);
ALTER EXTENSION vectorx SET SCHEMA b;
INSERT INTO t VALUES (101, '[101,3,1]');
SQL
is($node->safe_psql('moved', "SELECT count(*) FROM b.vectorx_index_check('ti')"), '0', 'moved to another schema: index');
is($node->safe_psql('moved', "SET enable_seqscan = off; SELECT id FROM t ORDER BY v OPERATOR(b.<->) '[101,3,1]' LIMIT 1"), '101', 'moved to another schema: search');
$node->safe_psql('moved', 'DROP EXTENSION vectorx CASCADE');
is($node->safe_psql('moved', "SELECT count(*) FROM pg_depend d WHERE refclassid = 'pg_extension'::regclass AND refobjid NOT IN (SELECT oid FROM pg_extension)"), '0', 'dropped: nothing is left');
is($node->safe_psql('moved', "SELECT (SELECT count(*) FROM pg_proc WHERE probin LIKE '%vectorx%') + (SELECT count(*) FROM pg_am WHERE amname = 'hnsw') + (SELECT count(*) FROM pg_opclass WHERE opcname LIKE 'vector%')"), '0', 'dropped: no object is left');

my $log = slurp_file($node->logfile);
is(join("\n", grep { /PANIC:|TRAP:|terminated by signal| leak:|resource was not closed:/ } split /\n/, $log), '', 'nothing bad in the log');
$node->stop;
done_testing();
