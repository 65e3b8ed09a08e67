# Indexes that are not logged: of unlogged tables, and, under wal_level = minimal, of
# what is created in the same transaction.
#
# Promised: after a crash an unlogged index is empty and usable, whatever was done with
# it before, and after a shutdown it is as it was.  What was committed under
# wal_level = minimal is there after a crash.
#
# Shown: with tables of small vectors, of vectors larger than a page, and of ones that
# need no vector pages, each brought into its state in another way.
use strict;
use warnings;
use Test::More;
use VxTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

my @dims = (6, 48, 2500);

# Indexes are named as their tables with an i at the end; # stands for the dimensions,
# and 'fill(t)' for 'insert some rows into t'
my @ways = (
	[ empty => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v);' ],
	[ built => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); fill(t); CREATE INDEX ti ON t USING hnsw (v);' ],
	[ inserted => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t);' ],
	[ flushed => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); fill(t); CREATE INDEX ti ON t USING hnsw (v); CHECKPOINT; fill(t);' ],
	[ vacuumed => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); DELETE FROM t WHERE id % 2 = 0; VACUUM (INDEX_CLEANUP on) t; fill(t);' ],
	[ truncated => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); TRUNCATE t; fill(t);' ],
	[ rebuilt => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); REINDEX INDEX ti; REINDEX INDEX CONCURRENTLY ti; fill(t);' ],
	[ concurrently => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); fill(t); CREATE INDEX CONCURRENTLY ti ON t USING hnsw (v); fill(t);' ],
	[ made_unlogged => 'CREATE TABLE t (id int, v vector(#)); fill(t); CREATE INDEX ti ON t USING hnsw (v); fill(t); ALTER TABLE t SET UNLOGGED; fill(t);' ],
	[ partition => 'CREATE TABLE t_all (id int, v vector(#)) PARTITION BY RANGE (id); CREATE INDEX ON t_all USING hnsw (v); CREATE UNLOGGED TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); ALTER TABLE t_all ATTACH PARTITION t FOR VALUES FROM (0) TO (100000); fill(t_all);' ],
	[ moved => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); ALTER INDEX ti SET TABLESPACE elsewhere; ALTER TABLE t SET TABLESPACE elsewhere; fill(t);' ],
	[ made_logged => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); ALTER TABLE t SET LOGGED; fill(t);', 'kept' ],
);
my @minimal = (
	[ one_transaction => 'BEGIN; CREATE TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); COMMIT;' ],
	[ filled_first => 'BEGIN; CREATE TABLE t (id int, v vector(#)); fill(t); CREATE INDEX ti ON t USING hnsw (v); fill(t); COMMIT;' ],
	[ goes_on => 'BEGIN; CREATE TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); COMMIT; fill(t); DELETE FROM t WHERE id % 3 = 0; VACUUM (INDEX_CLEANUP on) t; fill(t);' ],
	[ old_table => 'CREATE TABLE t (id int, v vector(#)); fill(t); BEGIN; CREATE INDEX ti ON t USING hnsw (v); fill(t); COMMIT; fill(t);' ],
	[ truncated => 'CREATE TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); BEGIN; TRUNCATE t; fill(t); COMMIT; fill(t);' ],
	[ truncated_in_vain => 'CREATE TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); BEGIN; SAVEPOINT s; TRUNCATE t; fill(t); ROLLBACK TO s; fill(t); COMMIT;' ],
	[ rebuilt => 'CREATE TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); BEGIN; REINDEX INDEX ti; fill(t); COMMIT; fill(t);' ],
	[ rebuilt_in_vain => 'CREATE TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); BEGIN; SAVEPOINT s; REINDEX INDEX ti; fill(t); ROLLBACK TO s; fill(t); COMMIT;' ],
	[ rewritten => 'CREATE TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); BEGIN; ALTER TABLE t ALTER id TYPE bigint; fill(t); COMMIT; fill(t);' ],
	[ vacuumed_full => 'CREATE TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); DELETE FROM t WHERE id % 2 = 0; VACUUM FULL t; fill(t);' ],
	[ moved => 'CREATE TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); BEGIN; ALTER INDEX ti SET TABLESPACE elsewhere; fill(t); COMMIT; fill(t);' ],
	[ made_logged => 'CREATE UNLOGGED TABLE t (id int, v vector(#)); CREATE INDEX ti ON t USING hnsw (v); fill(t); BEGIN; ALTER TABLE t SET LOGGED; fill(t); COMMIT; fill(t);' ],
	[ little_memory => q{CREATE TABLE t (id int, v vector(#)); fill(t); SET client_min_messages = error; SET maintenance_work_mem = '1MB'; BEGIN; CREATE INDEX ti ON t USING hnsw (v); fill(t); COMMIT;} ],
);

# A way's statements for tables of its own
sub statements
{
	my ($prefix, $way, $dims) = @_;
	my $table = "${prefix}_$way->[0]_$dims";
	my $rows = $dims > 1000 ? 12 : 120;
	my $sql = $way->[1];
	$sql =~ s/fill\((\w+)\)/INSERT INTO $1 SELECT nextval('ids'), CASE WHEN i % 10 = 0 THEN vec(3, #) ELSE vec(i, #) END FROM generate_series(1, $rows) i/g;
	$sql =~ s/#/$dims/g;
	$sql =~ s/\bt(i|_all)?\b/$table . ($1 \/\/ '')/ge;
	$sql =~ s/; /;\n/g;
	return ($table, "$sql\n");
}

# Tables made in every way, on a node: table => its dimensions, and whether it is kept
sub make_all
{
	my ($node, $prefix, @from) = @_;
	my (%tables, $sql);
	foreach my $way (@from)
	{
		foreach my $dims (@dims)
		{
			my ($table, $statements) = statements($prefix, $way, $dims);
			$tables{$table} = { dims => $dims, kept => $way->[2] };
			$sql .= $statements;
		}
	}
	$node->safe_psql('postgres', "SET maintenance_work_mem = '16MB';\n$sql");
	return %tables;
}

# Does each table have rows, or none, and its index those rows?
sub verify
{
	my ($node, $name, $has_rows, %tables) = @_;
	my @wrong;
	my $sql = '';
	$sql .= <<"SQL" foreach sort keys %tables;
\\echo =$_
SELECT count(*), (SELECT total_bytes FROM vectorx_index_info('${_}i')) FROM $_;
SELECT index_faults('${_}i');
SQL
	my %answers = $node->safe_psql('postgres', $sql) =~ /^=(\w+)\n([^=]*)/mg;
	foreach my $table (sort keys %tables)
	{
		my $answer = $answers{$table} // 'no answer';
		my $wanted = $table =~ /empty/ && $has_rows ? qr/^\d+\|\d+$/ :
		  $has_rows || $tables{$table}{kept} ? qr/^[1-9]\d*\|\d+$/ : qr/^0\|8192$/;
		push @wrong, "$table: $answer" if $answer !~ $wanted;
	}
	is(join("\n", @wrong), '', $name);
}

sub fill_all
{
	my ($node, %tables) = @_;
	$node->safe_psql('postgres', join ";\n", map { "INSERT INTO $_ SELECT nextval('ids'), vec(i, $tables{$_}{dims}) FROM generate_series(1, 20) i" } sort keys %tables);
}

sub prepare
{
	my ($name, $conf) = @_;
	my $node = new_node($name, "log_statement = none\n$conf");
	$node->start;
	set_up($node);
	$node->safe_psql('postgres', "CREATE SEQUENCE ids");
	$node->safe_psql('postgres', "SET allow_in_place_tablespaces = on; CREATE TABLESPACE elsewhere LOCATION ''");
	return $node;
}

my $node = prepare('unlogged', '');
my %tables = make_all($node, 'x', @ways);
verify($node, 'unlogged: rows', 1, %tables);
$node->restart;
verify($node, 'unlogged: rows after a shutdown', 1, %tables);
$node->stop('immediate');
$node->start;
verify($node, 'unlogged: none after a crash', 0, %tables);
fill_all($node, %tables);
verify($node, 'unlogged: filled after it', 1, %tables);
$node->safe_psql('postgres', join ";\n", map { ("DELETE FROM $_ WHERE id % 2 = 0", "VACUUM (INDEX_CLEANUP on) $_") } map { ("x_empty_$_", "x_built_$_") } @dims);
verify($node, 'unlogged: vacuumed', 1, %tables);
$node->stop('immediate');
$node->start;
verify($node, 'unlogged: none after another crash', 0, %tables);
check_log($node, 'unlogged: nothing bad in the log');
$node->stop;

$node = prepare('minimal', "wal_level = minimal\nmax_wal_senders = 0\nwal_skip_threshold = 0");
%tables = make_all($node, 'sync', @minimal);
$node->append_conf('postgresql.conf', 'wal_skip_threshold = 1GB');
$node->reload;
%tables = (%tables, make_all($node, 'log', @minimal));
$node->stop('immediate');
$node->start;
verify($node, 'wal_level minimal: rows after a crash', 1, %tables);
fill_all($node, %tables);
$node->stop('immediate');
$node->start;
verify($node, 'wal_level minimal: rows after another', 1, %tables);
check_log($node, 'wal_level minimal: nothing bad in the log');
$node->stop;
done_testing();
