# Interrupts at any moment.
#
# Promised: pg_cancel_backend, pg_terminate_backend and statement_timeout end
# whatever is going on in an index at once, wherever it is; an index that was being
# made is gone, or invalid if it was made concurrently, and one that was there is
# complete; nothing leaks.
#
# Shown: each kind of interrupt, at random moments and in each phase that PostgreSQL
# reports, of builds by one process, beyond memory, with workers, and concurrent;
# of searches that walk, resume, go flat and follow chains; of INSERT, UPDATE and
# VACUUM; of vectorx_recall, vectorx_index_info and vectorx_index_check.  The time
# from the interrupt until the backend, and its workers, have stopped is compared with
# that of a pg_sleep that was interrupted likewise.  005_cancel has longer statements.
#
# VX_TORTURE=1 does it 25 times as often.
use strict;
use warnings;
use List::Util qw(max);
use Test::More;
use VxTest;

my $rounds = $ENV{VX_TORTURE} ? 25 : 1;
my $bound = $ENV{VX_CANCEL_BOUND} // 1.0;

random_seed();
my $node = new_node('interrupts', "max_worker_processes = 8\nmaintenance_work_mem = 64MB\nlog_min_messages = warning\nclient_min_messages = error");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE data AS SELECT i AS id, vec(i, 96)::vector(96) AS v FROM generate_series(1, 4000) i;
CREATE TABLE t (id int, v vector(96));
INSERT INTO t SELECT * FROM data;
ALTER TABLE t SET (parallel_workers = 2);
CREATE INDEX ti ON t USING hnsw (v) WITH (m = 8, ef_construction = 40);
CREATE TABLE d (id int, v vector(3));
INSERT INTO d SELECT i, ARRAY[i % 5, 1, 2]::vector FROM generate_series(1, 100000) i;
CREATE INDEX di ON d USING hnsw (v);

-- What a session begins with that is to be interrupted
CREATE FUNCTION await_strike() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT strike') LOOP
		PERFORM pg_sleep(0.001);
		PERFORM pg_stat_clear_snapshot();
	END LOOP;
END $$;
-- Interrupt the statement marked "target" of a session, once it is in a phase and
-- then some time later; milliseconds that it took to stop, or nothing if it
-- was over before
CREATE FUNCTION strike(app text, wanted text, delay float8, how text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	found int;
	target int;
	running bool;
	ready bool := false;
	sent timestamptz;
BEGIN
	LOOP
		PERFORM pg_stat_clear_snapshot();
		SELECT pid, state = 'active' AND query ~ '/\* target \*/' INTO found, running FROM pg_stat_activity WHERE application_name = app;
		EXIT WHEN running;
		IF found IS NULL AND (target IS NOT NULL OR clock_timestamp() > now() + interval '3 s') THEN
			RETURN NULL;
		END IF;
		target := found;
		PERFORM pg_sleep(0.001);
	END LOOP;
	target := found;
	WHILE wanted <> '' AND NOT ready LOOP
		PERFORM pg_stat_clear_snapshot();
		-- it may be this transaction that is waited for
		ready := EXISTS (SELECT FROM pg_stat_progress_create_index WHERE pid = target AND (phase ~ wanted OR phase ~ '^waiting') UNION ALL
			SELECT FROM pg_stat_progress_vacuum WHERE pid = target AND phase ~ wanted);
		IF NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = target AND state = 'active' AND query ~ '/\* target \*/') THEN
			RETURN NULL;
		END IF;
	END LOOP;
	PERFORM pg_sleep(delay);
	sent := clock_timestamp();
	IF how = 'terminate' THEN
		PERFORM pg_terminate_backend(target);
	ELSIF how = 'cancel' THEN
		PERFORM pg_cancel_backend(target);
	END IF;
	LOOP
		PERFORM pg_stat_clear_snapshot();
		EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE (pid = target AND state = 'active' AND query ~ '/\* target \*/') OR leader_pid = target);
		PERFORM pg_sleep(0.001);
	END LOOP;
	RETURN 1000 * extract(epoch FROM clock_timestamp() - sent);
END $$;
SQL
my $off = 'SET enable_seqscan = off; SET enable_sort = off;';
my $query = '(SELECT v FROM data WHERE id = 17)';
my (@took, @floor);

# Run a statement, and interrupt it; returns the SQLSTATE it ended with, and the
# milliseconds from the interrupt to its end
sub interrupted
{
	my ($before, $statement, $phase, $delay, $how) = @_;
	my $timeout = $how eq 'timeout' ? sprintf 'SET statement_timeout = %d;', 1000 * $delay + 1 : '';
	my $psql = start_psql($node, "SET application_name = target;\nSELECT await_strike();\n$before\n$timeout\n/* target */ $statement;\n\\echo completed\n", '-v', 'VERBOSITY=sqlstate', '-v', 'ON_ERROR_STOP=1');
	my $ms = $node->safe_psql('postgres', "SELECT strike('target', '$phase', $delay, '$how')");
	my ($out, $err) = finish_psql($psql);
	return ('', '') if $out =~ /^completed/m;	# before the interrupt came
	# a session that was terminated is told of that, or only that it was
	my ($state) = $err =~ /(?:ERROR|FATAL): +(\w{5})\b/;
	$state //= $err =~ /connection|terminated/ ? '57P01' : '';
	return ($state, $ms);
}

# Interrupt a statement in each of its phases, or at moments up to so many
# seconds after its begin
sub at_any_moment
{
	my ($name, $before, $statement, %params) = @_;
	my $hits = 0;
	my @bad;
	my @times;
	my $within = $params{within} // 0.06;
	my $last = $params{rounds} // $rounds;

	# until it has been interrupted: on a fast machine it may be over too soon
	for (my $round = 1; $round <= $last || ($hits == 0 && $round < $last + 10); $round++)
	{
		$within /= 2 if $round > $last;
		foreach my $phase (@{ $params{phases} // [''] })
		{
			foreach my $how (qw(cancel terminate timeout))
			{
				next if $how eq 'timeout' && $phase;
				$node->safe_psql('postgres', $params{prepare}) if $params{prepare};
				my $delay = rand($phase ? 0.01 : $within);
				my ($state, $ms) = interrupted($before, $statement, $phase, $delay, $how);
				if ($state eq '')
				{
					$node->safe_psql('postgres', $params{undo}) if $params{undo};
					next;
				}
				$hits++;
				push @bad, "$how, phase '$phase': $state" unless $state eq ($how eq 'terminate' ? '57P01' : '57014');
				push @times, $ms if $how ne 'timeout' && $ms ne '';
				$params{after}->() if $params{after};
			}
		}
	}
	is(join("\n", @bad), '', "$name: interrupted as it should be");
	cmp_ok($hits, '>', 0, "$name: interrupted at all");
	@times = sort { $a <=> $b } @times;
	note(sprintf '%s: %d interrupts, of which in ms p50 %.0f, max %.0f', $name, $hits, $times[ @times / 2 ] // 0, $times[-1] // 0);
	return @times;
}

sub work { push @took, at_any_moment(@_); }

@floor = at_any_moment('pg_sleep', '', 'SELECT pg_sleep(100)', rounds => 4 * $rounds, within => 0.03);

my $no_index = sub {
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS tn') if $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('tn') AND indisvalid") ne '0';
};
my $create = 'CREATE INDEX tn ON t USING hnsw (v) WITH (m = 8, ef_construction = 60)';
my %build = (undo => 'DROP INDEX tn', within => 0.15, after => sub {
	fail('an index is left behind') if $node->safe_psql('postgres', "SELECT to_regclass('tn') IS NULL") ne 't';
});
my @phases = ('', 'building graph', 'writing graph', 'logging index');
work('build', 'SET max_parallel_maintenance_workers = 0;', $create, %build, phases => \@phases);
work('build beyond memory', "SET max_parallel_maintenance_workers = 0; SET maintenance_work_mem = '1MB';", $create, %build,
	phases => [ '', 'inserting rows beyond' ]);
work('parallel build', 'SET max_parallel_maintenance_workers = 2;', $create, %build, phases => \@phases);
work('parallel build beyond memory', "SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '1MB';", $create, %build,
	phases => [ '', 'inserting rows beyond' ]);
work('parallel build, the leader waits', 'SET max_parallel_maintenance_workers = 2; SET parallel_leader_participation = off;', $create, %build);
work('REINDEX', '', 'REINDEX INDEX ti', within => 0.1, phases => [ "", "building graph" ]);
work('CREATE INDEX CONCURRENTLY', '', $create =~ s/INDEX/INDEX CONCURRENTLY/r, undo => 'DROP INDEX tn', within => 0.2, after => sub {
	fail('an index is valid') if $node->safe_psql('postgres', "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('tn') AND indisvalid") ne '0';
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS tn');
}, phases => [ '', 'building graph', 'index validation' ]);
work('REINDEX CONCURRENTLY', '', 'REINDEX INDEX CONCURRENTLY ti', within => 0.2, after => sub {
	$node->safe_psql('postgres', join ';', map { "DROP INDEX IF EXISTS $_" } split /\n/,
		$node->safe_psql('postgres', "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid"));
});
is($node->safe_psql('postgres', "SELECT count(*), bool_and(indisvalid) FROM pg_index WHERE indrelid = 't'::regclass"), '1|t', 'the index that was there is the only one');
same_ids($node, 't', $query, 'and has all rows');

work('walks', $off, 'SELECT count(*) FROM t a, t b, LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 10) s');
work('walks that resume', $off, 'SELECT count(*) FROM t a, t b, LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 700) s');
work('large beams', "$off SET hnsw.ef_search = 3000;", 'SELECT count(*) FROM t a, t b, LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 10) s');
work('flat passes', "$off SET work_mem = '64kB';", 'SELECT count(*) FROM t a, t b, LATERAL (SELECT id FROM t WHERE id < 0 ORDER BY v <-> a.v LIMIT 1) s');
work('chains', $off, "SELECT count(*) FROM generate_series(1, 1000) i, LATERAL (SELECT id FROM d ORDER BY v <-> ARRAY[i % 5, 1, 2]::vector) s");
work('cursor', "$off BEGIN; DECLARE c CURSOR FOR SELECT a.id FROM t a, t b, LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 100) s;", 'MOVE ALL IN c');

my $size = $node->safe_psql('postgres', 'SELECT count(*) FROM t');
work('INSERT', '', 'INSERT INTO t SELECT a.id, a.v + b.v FROM data a, data b');
work('INSERT of duplicates', '', "INSERT INTO d SELECT i, '[1,1,2]' FROM generate_series(1, 10000000) i");
work('UPDATE', '', 'UPDATE t SET v = v + v, id = id', undo => 'UPDATE t SET v = data.v FROM data WHERE t.id = data.id; VACUUM t; REINDEX INDEX ti');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), $size, 'no row was added');
same_ids($node, 't', $query, 'the index has all rows');

work('VACUUM', '', 'VACUUM (INDEX_CLEANUP on) t', within => 0.05, rounds => 2 * $rounds, phases => [ '', 'vacuuming indexes', 'cleaning up indexes' ],
	prepare => 'DELETE FROM t WHERE id % 3 = 0; INSERT INTO t SELECT id, v + (SELECT v FROM data ORDER BY random() LIMIT 1) FROM data WHERE id % 3 = 0');
same_ids($node, 't', $query, 'the index has all rows');
# without what was added, as the first of equal rows stays for the others
$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 3 = 0; VACUUM (INDEX_CLEANUP on) t');
is($node->safe_psql('postgres', "SELECT rows = (SELECT count(*) FROM t), dead FROM vectorx_index_info('ti')"), 't|0', 'and VACUUM leaves nothing undone');

work('vectorx_recall', '', "SELECT vectorx_recall('ti', 10, 4000) FROM generate_series(1, 100)");
work('vectorx_index_info', '', "SELECT count(*) FROM generate_series(1, 100000) i, vectorx_index_info(CASE WHEN i > 0 THEN 'ti' END)");
work('vectorx_index_check', '', "SELECT count(*) FROM generate_series(1, 100000) i, vectorx_index_check(CASE WHEN i > 0 THEN 'ti' END)");
work('vectorx_index_check of chains', '', "SELECT count(*) FROM generate_series(1, 100000) i, vectorx_index_check(CASE WHEN i > 0 THEN 'di' END)");

check_index($node, $_) foreach qw(ti di);
check_log($node, 'nothing bad in the log');

@took = sort { $a <=> $b } @took;
diag(sprintf '%d interrupts: p50 %.0f ms, p99 %.0f, max %.0f; of pg_sleep p50 %.0f, max %.0f',
	scalar @took, $took[ @took / 2 ], $took[ 0.99 * @took ], $took[-1], $floor[ @floor / 2 ], $floor[-1]);
cmp_ok($took[ @took / 2 ], '<', 100 + 3 * $floor[ @floor / 2 ], 'in 100 ms, typically');
cmp_ok($took[-1], '<', max(1000 * $bound, 20 * $floor[-1]), 'and never late');
$node->stop;
done_testing();
