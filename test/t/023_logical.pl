# Logical replication.
#
# Promised: vectors go by logical replication as other values do, in text and in
# binary, by the initial copy and afterwards, with whatever identifies rows; and a
# subscriber's indexes, which are its own, have the rows that it has.
#
# Shown: two subscribers to a publisher, one with binary = true, of tables with a key,
# without one under REPLICA IDENTITY FULL (rows are then found by equality of all
# columns), with a vector as the replica identity, with vectors stored out of line
# that an update leaves as they are, and partitioned.  After each phase rows are
# compared, as text and as sent, and indexes checked.
use strict;
use warnings;
use Test::More;
use VxTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

random_seed();
my @tables = qw(keyed nokey by_vector large large_full parted);

my $publisher = new_node('publisher', "log_statement = none\nmax_wal_senders = 40\nmax_replication_slots = 40", allows_streaming => 'logical');
my $subscriber = new_node('subscriber', "log_statement = none\nmax_logical_replication_workers = 16\nmax_sync_workers_per_subscription = 4\nmax_worker_processes = 24");
$_->start foreach $publisher, $subscriber;
set_up($_) foreach $publisher, $subscriber;
my $schema = <<'SQL';
CREATE TABLE keyed (id int PRIMARY KEY, v vector(24), note text);
CREATE TABLE nokey (n int, v vector(24), w vector);
ALTER TABLE nokey REPLICA IDENTITY FULL;
CREATE TABLE by_vector (n int, v vector(24) NOT NULL UNIQUE);
ALTER TABLE by_vector REPLICA IDENTITY USING INDEX by_vector_v_key;
CREATE TABLE large (id int PRIMARY KEY, v vector(4000), n int);
CREATE TABLE large_full (n int, v vector(2600), a vector(3)[]);
ALTER TABLE large_full REPLICA IDENTITY FULL;
CREATE TABLE parted (id int, v vector(24), PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (MAXVALUE);
SQL
$publisher->safe_psql('postgres', "$schema CREATE INDEX ON keyed USING hnsw (v); CREATE PUBLICATION p FOR TABLE " . join(', ', @tables) . ' WITH (publish_via_partition_root = true)');
$subscriber->safe_psql('postgres', $schema . <<'SQL');
CREATE INDEX ON keyed USING hnsw (v vector_cosine_ops) WITH (m = 6, ef_construction = 24);
CREATE INDEX ON keyed USING hnsw (v vector_l1_ops) WHERE id % 2 = 0;
CREATE INDEX ON nokey USING hnsw (v);
CREATE INDEX ON nokey USING hash (v);
CREATE INDEX ON nokey (v, n);
CREATE INDEX ON by_vector USING hnsw (v vector_ip_ops);
CREATE INDEX ON large USING hnsw (v) WITH (m = 6, ef_construction = 24);
CREATE INDEX ON large_full USING hnsw (v) WITH (m = 6, ef_construction = 24);
CREATE INDEX ON large_full USING hnsw ((subvector(v, 1, 10)::vector(10)));
CREATE INDEX ON parted USING hnsw (v);
SQL
my %subscriptions = (in_text => 'false', in_binary => 'true');
foreach my $name (sort keys %subscriptions)
{
	$subscriber->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE postgres");
}

# before there are subscribers
$publisher->safe_psql('postgres', <<'SQL');
INSERT INTO keyed SELECT i, vec(i, 24), 'row ' || i FROM generate_series(1, 200) i;
INSERT INTO keyed VALUES (1001, NULL, 'no vector'), (1002, ('[' || repeat('0,', 23) || '-0]')::vector, 'zero');
INSERT INTO nokey SELECT i % 40, vec(i % 60, 24), vec(i, 1 + i % 5) FROM generate_series(1, 200) i;
INSERT INTO by_vector SELECT i, vec(i, 24) FROM generate_series(1, 100) i;
INSERT INTO large SELECT i, vec(i, 4000), i FROM generate_series(1, 15) i;
INSERT INTO large_full SELECT i, vec(i, 2600), ARRAY[vec(i, 3), NULL, '[1,2,3]'] FROM generate_series(1, 12) i;
INSERT INTO parted SELECT i, vec(i, 24) FROM generate_series(50, 150) i;
SQL
foreach my $name (sort keys %subscriptions)
{
	my $host = $publisher->connstr . ' dbname=postgres';
	$subscriber->safe_psql($name, "CREATE SUBSCRIPTION $name CONNECTION '$host' PUBLICATION p WITH (binary = $subscriptions{$name})");
}
$subscriber->wait_for_subscription_sync($publisher, $_, $_) foreach sort keys %subscriptions;

# Every row of the tables, as text, and its vector in binary, without order
my $digest = join ' UNION ALL ', map {
	"SELECT '$_', count(*), md5(string_agg(d, '' ORDER BY d)) FROM (SELECT md5(t::text || coalesce(vector_send(v)::text, 'null')) FROM $_ t) s (d)"
} @tables;

sub compare
{
	my ($phase) = @_;
	my $published = $publisher->safe_psql('postgres', $digest);
	foreach my $name (sort keys %subscriptions)
	{
		$publisher->wait_for_catchup($name);
		is($subscriber->safe_psql($name, $digest), $published, "$phase: rows of $name are those of the publisher");
		is($subscriber->safe_psql($name, 'SELECT all_index_faults()'), '', "$phase: indexes of $name");
		# what a search for all rows gives is what the publisher has; one for few is approximate
		my $query = "SELECT count(d), (array_agg(d ORDER BY d))[1:5] FROM (SELECT round((v <=> vec(77, 24))::numeric, 6) AS d FROM keyed ORDER BY v <=> vec(77, 24) LIMIT 1000000) s";
		is($subscriber->safe_psql($name, "SET enable_seqscan = off; SET enable_sort = off; SET hnsw.ef_search = 400; $query"),
			$publisher->safe_psql('postgres', "SET enable_indexscan = off; $query"), "$phase: a search of $name");
	}
}
compare('initial copy');

$publisher->safe_psql('postgres', <<'SQL');
INSERT INTO keyed SELECT i, vec(i % 30, 24), 'more' FROM generate_series(201, 300) i;
UPDATE keyed SET v = vec(id + 5000, 24) WHERE id % 4 = 0;
UPDATE keyed SET note = 'changed' WHERE id % 5 = 0;
UPDATE keyed SET id = id + 10000 WHERE id % 50 = 0;
UPDATE keyed SET v = NULL WHERE id % 60 = 1;
DELETE FROM keyed WHERE id % 7 = 0;
-- some of these rows are there several times; each is to be found once
UPDATE nokey SET n = n + 100 WHERE ctid IN (SELECT ctid FROM nokey WHERE n % 3 = 0 LIMIT 30);
UPDATE nokey SET v = vec(n + 700, 24) WHERE n % 5 = 0;
UPDATE nokey SET w = NULL WHERE n % 8 = 1;
DELETE FROM nokey WHERE n % 9 = 4;
UPDATE by_vector SET n = -n WHERE n % 2 = 0;
UPDATE by_vector SET v = vec(n + 300, 24) WHERE n % 5 = 0;
DELETE FROM by_vector WHERE n % 3 = 0;
SQL
compare('inserts, updates, deletes');

# the vector is not sent where it is out of line and left as it is
$publisher->safe_psql('postgres', <<'SQL');
UPDATE large SET n = n + 1;
UPDATE large SET n = n + 1 WHERE id % 2 = 0;
UPDATE large SET v = vec(id + 100, 4000) WHERE id % 3 = 0;
UPDATE large SET id = id + 100 WHERE id % 5 = 0;
DELETE FROM large WHERE id % 4 = 0;
INSERT INTO large SELECT i, vec(i % 4, 4000), i FROM generate_series(1001, 1008) i;
UPDATE large_full SET n = n + 50 WHERE n % 2 = 0;
UPDATE large_full SET a = a || vec(n, 3)::vector(3) WHERE n % 3 = 0;
UPDATE large_full SET v = vec(n + 100, 2600) WHERE n % 5 = 0;
DELETE FROM large_full WHERE n % 4 = 1;
UPDATE parted SET id = 300 - id WHERE id % 10 = 0;
UPDATE parted SET v = vec(id, 24) WHERE id % 3 = 0;
DELETE FROM parted WHERE id % 4 = 0;
SQL
compare('vectors out of line, partitions');

# at random, in transactions, some of which are rolled back
foreach my $table (@tables)
{
	my ($key, $dims) = ($table =~ /nokey|by_vector|full/ ? 'n' : 'id', $table eq 'large' ? 4000 : $table eq 'large_full' ? 2600 : 24);
	my $sql = '';
	foreach (1 .. ($dims > 24 ? 10 : 30))
	{
		# no vector is made twice
		my ($i, $mod) = (100000 + 100 * $_ + int rand 90, 3 + int rand 20);
		my $rest = int rand $mod;
		$sql .= "BEGIN;\n" if rand() < 0.5;
		$sql .= "INSERT INTO $table ($key, v) SELECT i, vec(i, $dims) FROM generate_series($i, $i + 3) i;\n";
		$sql .= "UPDATE $table SET v = vec($key + $_ * 10000000, $dims) WHERE $key % $mod = $rest;\n" if rand() < 0.5;
		$sql .= "DELETE FROM $table WHERE $key % $mod = " . ($mod - 1 - $rest) . ";\n" if rand() < 0.7;
		$sql .= rand() < 0.3 ? "ROLLBACK;\n" : "COMMIT;\n" if $sql =~ /BEGIN;\n(?!.*(COMMIT|ROLLBACK))/s;
	}
	$publisher->safe_psql('postgres', $sql);
}
$subscriber->safe_psql($_, 'VACUUM (INDEX_CLEANUP on)') foreach sort keys %subscriptions;
compare('random changes');

$publisher->safe_psql('postgres', "TRUNCATE keyed, nokey, large; INSERT INTO keyed SELECT i, vec(i, 24), NULL FROM generate_series(1, 50) i; INSERT INTO nokey SELECT 1, vec(1, 24), '[1]' FROM generate_series(1, 10); INSERT INTO large SELECT i, vec(i, 4000), i FROM generate_series(1, 3) i");
$subscriber->stop('immediate');
$subscriber->start;
compare('TRUNCATE, and a crash of the subscriber');

foreach my $name (sort keys %subscriptions)
{
	$subscriber->safe_psql($name, "DROP SUBSCRIPTION $name");
}
check_log($publisher, "nothing bad in the publisher's log");
my @errors = grep { /ERROR:/ } split /\n/, slurp_file($subscriber->logfile);
is(join("\n", @errors), '', 'the subscribers met no error');
$_->stop foreach $publisher, $subscriber;
done_testing();
