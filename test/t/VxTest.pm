# What the TAP tests share: nodes, data, and the comparison of what an index
# gives to what a sequential scan gives.
package VxTest;
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename;
use File::Temp;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node set_up with_index ids_by_index ids_by_seqscan same_ids recall_of
  check_log load_fashion psql_command check_index no_checksums sqlstate_of
  start_psql finish_psql slow source_dir wait_for_server random_seed add_check_search
  same_pages run_psql run_pgbench new_session leave);

# A cluster with the settings that all tests want, not yet started; with
# injection => 1, of the server that has the library with injection points.
# Nothing but a test makes vacuum leave rows: neither a snapshot of autovacuum's,
# nor a pin of the background writer's on a page that has to be cleaned up.
sub new_node
{
	my ($name, $conf, %params) = @_;
	my $injection = delete $params{injection};
	my $node = PostgreSQL::Test::Cluster->new($name,
		$injection ? (install_path => dirname($ENV{VX_INJECT_BINDIR})) : ());
	$node->init(%params);
	$node->append_conf('postgresql.conf', <<~"CONF");
		autovacuum = off
		bgwriter_lru_maxpages = 0
		jit = off
		shared_buffers = 128MB
		max_wal_size = 2GB
		max_parallel_workers_per_gather = 0
		max_parallel_maintenance_workers = 0
		${\($conf // '')}
		CONF
	return $node;
}

# The extension and functions:
#	vec(i, dims)		a vector that depends on its number only
#	recall(table, k, queries, seed)	recall of so many queries, like the table's rows
#	search(table, q, k)	fails if a search is not what it must be
#	index_findings(index, heap), index_faults(index), all_index_faults()	see functions.sql
sub set_up
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'CREATE EXTENSION vectorx; ' . slurp_file(dirname(__FILE__) . '/functions.sql'));
	$node->safe_psql('postgres', <<~'SQL');
		CREATE FUNCTION recall(tab text, k int, queries int, seed int) RETURNS float8 LANGUAGE plpgsql AS $$
		DECLARE
			dims int;
			wanted int := 0;
			found int := 0;
			q vector;
			kth float8;
			n int;
		BEGIN
			EXECUTE format('SELECT vector_dims(v) FROM %s LIMIT 1', tab) INTO dims;
			FOR i IN 1 .. queries LOOP
				q := vec(seed + i, dims);
				SET LOCAL enable_indexscan = off;
				EXECUTE format('SELECT max(d), count(*) FROM (SELECT v <-> $1 AS d FROM %s ORDER BY 1 LIMIT %s) s', tab, k)
					INTO kth, n USING q;
				wanted := wanted + n;
				SET LOCAL enable_indexscan = on;
				SET LOCAL enable_seqscan = off;
				EXECUTE format('SELECT count(*) FROM (SELECT v <-> $1 AS d FROM %s ORDER BY v <-> $1 LIMIT %s) s WHERE d <= $2 * 1.00001', tab, k)
					INTO n USING q, kth;
				SET LOCAL enable_seqscan = on;
				found := found + n;
			END LOOP;
			RETURN found::float8 / wanted;
		END $$;
		-- Fails if the rows of a search, for those that meet a condition, are not distinct,
		-- not in order, not there, not at their distance, or not as many as there are.  Rows that are kept back to the
		-- end may begin anew once, where nearly all are wanted.  Both sides are of one
		-- snapshot if the transaction has one.
		CREATE FUNCTION search(tab text, q vector, k int, condition text DEFAULT 'true') RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			ids int[];
			ds float8[];
			n int;
			falls int;
			there int;
			total int;
		BEGIN
			SET LOCAL enable_seqscan = off;
			SET LOCAL enable_sort = off;
			EXECUTE format('SELECT array_agg(id ORDER BY r), array_agg(d ORDER BY r), count(*), count(*) FILTER (WHERE d < before - 1e-5)
				FROM (SELECT *, lag(d) OVER (ORDER BY r) AS before FROM (
					SELECT *, row_number() OVER () AS r FROM (
						SELECT id, v <-> $1 AS d FROM %s WHERE %s ORDER BY v <-> $1 LIMIT $2) a) b) c', tab, condition)
				INTO ids, ds, n, falls USING q, k;
			SET LOCAL enable_seqscan = on;
			SET LOCAL enable_sort = on;
			SET LOCAL enable_indexscan = off;
			SET LOCAL enable_indexonlyscan = off;
			SET LOCAL enable_bitmapscan = off;
			EXECUTE format('SELECT count(*) FROM %s WHERE %s', tab, condition) INTO total;
			EXECUTE format('SELECT count(*) FROM %s JOIN unnest($2, $3) u(i, d) ON id = i AND v <-> $1 = d WHERE %s', tab, condition)
				INTO there USING q, ids, ds;
			IF n <> least(k, total) OR there <> n OR (SELECT count(DISTINCT i) FROM unnest(ids) i) <> n OR
				falls > (CASE WHEN k > least(40, total / 4) THEN 1 ELSE 0 END) THEN
				RAISE EXCEPTION 'search where % gave % rows of %, % as they are, % falls', condition, n, total, there, falls;
			END IF;
			SET LOCAL enable_indexscan = on;
		END $$;
		SQL
}

# Where the sources are
sub source_dir
{
	return $ENV{VX_SRC} // abs_path(dirname(__FILE__) . '/../..');
}

# How many times longer than usual things may take: 1, but under sanitizers
sub slow
{
	return $ENV{VX_SLOW} || 1;
}

# Two more functions, about a table (id, n, v) whose v is vec(n, dims):
#	check_search(table, query, k, part, never, condition)	fails if a search of k rows,
#		of every so-many-th of those that meet a condition, is not as it must be: as
#		many as there are, each once, in order, with the right vector, and none with an
#		id beyond "never".
#	check_slow_scan(table, query)	fails if a scan of all rows, with pauses, is not.
# The exact answer is of the same snapshot if the transaction is REPEATABLE READ.
sub add_check_search
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<~'SQL');
		CREATE FUNCTION check_search(tab text, q vector, k int, part int, never int DEFAULT 2147483647,
			condition text DEFAULT 'true') RETURNS text LANGUAGE plpgsql AS $$
		DECLARE
			nrows int;
			once int;
			falls int;
			wrong int;
			total int;
		BEGIN
			SET LOCAL enable_seqscan = off;
			SET LOCAL enable_sort = off;
			SET LOCAL enable_indexscan = on;
			EXECUTE format('SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE d < before - 1e-5),
					count(*) FILTER (WHERE id > $3 OR id %% $2 <> 0 OR (%2$s) IS NOT TRUE OR v <> vec(n, vector_dims(v)) OR d IS DISTINCT FROM v <-> $1)
				FROM (SELECT *, lag(d) OVER (ORDER BY r) AS before FROM (
					SELECT *, row_number() OVER () AS r FROM (
						SELECT *, v <-> $1 AS d FROM %1$s WHERE id %% $2 = 0 AND %2$s ORDER BY v <-> $1 LIMIT $4) a) b) c', tab, condition)
				INTO nrows, once, falls, wrong USING q, part, never, k;
			SET LOCAL enable_seqscan = on;
			SET LOCAL enable_indexscan = off;
			EXECUTE format('SELECT count(*) FROM %s WHERE id %% $1 = 0 AND %s', tab, condition) INTO total USING part;
			-- rows that were found late come last; where many are wanted, that may be soon
			IF nrows <> once OR wrong > 0 OR nrows <> least(k, total) OR falls > (CASE WHEN k > least(40, total / 4) THEN 1 ELSE 0 END) THEN
				RAISE EXCEPTION 'search for % where % gave % rows of %, % distinct, % wrong, % falls', k, condition, nrows, total, once, wrong, falls;
			END IF;
			RETURN 'right';
		END $$;
		CREATE FUNCTION check_slow_scan(tab text, q vector) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE
			r record;
			ids int[] := '{}';
			last float8 := 0;
			falls int := 0;
			wrong int := 0;
			stored int[];
		BEGIN
			SET LOCAL enable_seqscan = off;
			SET LOCAL enable_sort = off;
			SET LOCAL enable_indexscan = on;
			FOR r IN EXECUTE format('SELECT id, v <-> $1 AS d, v <> vec(n, vector_dims(v)) AS other FROM %s ORDER BY v <-> $1', tab) USING q LOOP
				ids := ids || r.id;
				falls := falls + (r.d < last - 1e-5)::int;
				wrong := wrong + r.other::int;
				last := r.d;
				IF cardinality(ids) % 40 = 0 THEN
					PERFORM pg_sleep(0.01);
				END IF;
			END LOOP;
			SET LOCAL enable_seqscan = on;
			SET LOCAL enable_indexscan = off;
			SET LOCAL enable_indexonlyscan = off;
			EXECUTE format('SELECT array_agg(id ORDER BY id) FROM %s', tab) INTO stored;
			IF falls > 1 OR wrong > 0 OR stored IS DISTINCT FROM (SELECT array_agg(i ORDER BY i) FROM unnest(ids) i) THEN
				RAISE EXCEPTION 'scan gave % rows of %, % wrong, % falls', cardinality(ids), cardinality(stored), wrong, falls;
			END IF;
			RETURN 'right';
		END $$;
		SQL
}

# Run a query that must use an index
sub with_index
{
	my ($node, $query) = @_;
	my $off = 'SET enable_seqscan = off; SET enable_sort = off; ';
	my $plan = $node->safe_psql('postgres', "$off EXPLAIN (COSTS OFF) $query");
	die "no ordered index scan: $query\n$plan" unless $plan =~ /Order By: /;
	return $node->safe_psql('postgres', "$off $query");
}

# Every id that the index has for a table, or those that meet a condition, in order of
# distance from a vector
sub ids_by_index
{
	my ($node, $table, $query, $condition) = @_;
	$condition //= 'true';
	return [ split /\n/, with_index($node, "SELECT id FROM $table WHERE $condition ORDER BY v <-> $query") ];
}

sub ids_by_seqscan
{
	my ($node, $table, $condition) = @_;
	$condition //= 'true';
	return [ split /\n/, $node->safe_psql('postgres',
		"SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; SELECT id FROM $table WHERE $condition") ];
}

# Does a full scan of the index give the table's rows, or those that meet a
# condition, each once?
sub same_ids
{
	my ($node, $table, $query, $name, $condition) = @_;
	my $indexed = ids_by_index($node, $table, $query, $condition);
	my $stored = ids_by_seqscan($node, $table, $condition);
	my %index_has = map { $_ => 1 } @$indexed;
	my %table_has = map { $_ => 1 } @$stored;
	my @lost = grep { !$index_has{$_} } @$stored;
	my @extra = grep { !$table_has{$_} } @$indexed;
	my $twice = @$indexed - keys %index_has;

	ok(!@lost && !@extra && !$twice && @$stored > 0, $name)
	  or diag(sprintf '%d rows in the table; lost: %d (%s), extra: %d (%s), twice: %d',
		scalar @$stored, scalar @lost, join(',', grep { defined } @lost[0 .. 9]),
		scalar @extra, join(',', grep { defined } @extra[0 .. 9]), $twice);
}

# Mean recall of queries of k rows with a certain ef_search
sub recall_of
{
	my ($node, $table, $k, $queries, $seed, $ef) = @_;
	return $node->safe_psql('postgres', "SET hnsw.ef_search = $ef; SELECT recall('$table', $k, $queries, $seed)");
}

# Is there nothing wrong with an index?
sub check_index
{
	my ($node, $index, $name) = @_;
	my @bad = split /\n/, $node->safe_psql('postgres', "SELECT index_findings('$index')");

	ok(!@bad, $name // "check of $index")
	  or diag(@bad . " findings:\n" . join("\n", grep { defined } @bad[ 0 .. 19 ]));
}

# Are the pages of indexes the same on a standby, where it has replayed all, as on the
# primary?  Bytes in the hole of a page and its checksum do not count, nor pages at
# the end that nobody has written yet.
sub same_pages
{
	my ($primary, $standby, $name, @indexes) = @_;
	my @differing;
	my $pages = 0;

	$primary->safe_psql('postgres', 'CHECKPOINT');
	$primary->wait_for_catchup($standby);
	$standby->safe_psql('postgres', 'CHECKPOINT');
	foreach my $index (@indexes)
	{
		my $path = $primary->safe_psql('postgres', "SELECT pg_relation_filepath('$index')");
		my ($a, $b) = map { [ unpack '(a8192)*', slurp_file($_->data_dir . "/$path") ] } $primary, $standby;
		foreach my $block (0 .. ($#$a > $#$b ? $#$a : $#$b))
		{
			my ($x, $y) = map { masked_page($_->[$block] // '') } $a, $b;
			push @differing, "$index block $block" if $x ne $y;
			$pages++ if $x ne '';
		}
	}
	ok(!@differing && $pages >= @indexes, $name)
	  or diag(@differing . " of $pages pages differ: " . join(', ', grep { defined } @differing[ 0 .. 9 ]));
	note("$pages pages");
}

# A page without what may differ: checksum and hole; nothing if it is all-zero
sub masked_page
{
	my ($page) = @_;
	return '' if $page !~ /[^\0]/;
	my ($lower, $upper) = unpack 'x12 S2', $page;
	substr($page, 8, 2) = "\0\0";
	substr($page, $lower, $upper - $lower) = '' if $lower >= 24 && $upper >= $lower && $upper <= length $page;
	return $page;
}

# The seed of a random test: VX_SEED, or told, so that the run can be repeated
sub random_seed
{
	my $seed = $ENV{VX_SEED} // time() % 1_000_000_000;
	diag("VX_SEED=$seed");
	srand($seed);
	return $seed;
}

# Options of initdb that a cluster without checksums needs: 18 has them by default
sub no_checksums
{
	my ($major) = `$ENV{PG_REGRESS} --version` =~ /PostgreSQL\) (\d+)/;
	return ($major // 0) >= 18 ? ('--no-data-checksums') : ();
}

# Nothing in the log that must not be there
sub check_log
{
	my ($node, $name, $offset) = @_;
	my $log = substr(slurp_file($node->logfile), $offset // 0);
	my @bad = grep { /PANIC:|TRAP:|terminated by signal|XX00|inconsistent page|invalid page|could not read block|is damaged|leak(?!proof)|resource was not closed/ }
	  split /\n/, $log;
	is(join("\n", @bad), '', $name);
}

# Run statements; returns the SQLSTATE of the first error, or nothing if there was
# none.  A connection that was lost is an error of class 08 or 57.
sub sqlstate_of
{
	my ($node, $sql) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql", stdout => \$out, stderr => \$err, on_error_die => 0);
	return $1 if $err =~ /(?:ERROR|FATAL|PANIC): +(\w{5})\b/;
	die "psql ended with status $status: $err" if $status != 0;
	return '';
}

# Wait until a server that restarts by itself has recovered.  The log from offset on
# tells: a connection might be to one that has yet to notice that it is to die.
sub wait_for_server
{
	my ($node, $offset) = @_;
	foreach (1 .. 600)
	{
		return if slurp_file($node->logfile, $offset) =~ /ready to accept connections/;
		select(undef, undef, undef, 0.1);
	}
	die 'the server does not come back';
}

sub psql_command
{
	my ($node, @more) = @_;
	return [ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'), @more ];
}

# Start psql with statements, which it reads from a file; run {out} and {err} are
# files.  $_->{run}->finish waits for its end.
sub run_psql
{
	my ($node, $file, $sql, @more) = @_;
	append_to_file("$file.$_", $_ eq 'sql' ? $sql : '') foreach qw(sql out err);
	return { out => "$file.out", err => "$file.err",
		run => IPC::Run::start(psql_command($node, @more, '-f', "$file.sql"), '>', "$file.out", '2>', "$file.err") };
}

# The same with files of its own, and further options of psql.  (IPC::Run would hand
# over statements in a string only when the test waits.)  finish_psql waits for its
# end, and returns what it printed: output, errors.
sub start_psql
{
	my ($node, $sql, @more) = @_;
	my $dir = File::Temp->newdir;
	return { %{ run_psql($node, "$dir/psql", $sql, @more) }, dir => $dir };
}

sub finish_psql
{
	my ($psql) = @_;
	$psql->{run}->finish;
	return (slurp_file($psql->{out}), slurp_file($psql->{err}));
}

# Start pgbench with scripts, each a weight and statements; likewise
sub run_pgbench
{
	my ($node, $file, $options, @scripts) = @_;
	my @files;
	while (my ($weight, $sql) = splice @scripts, 0, 2)
	{
		my $script = "$file-" . @files . '.sql';
		unlink $script;
		append_to_file($script, $sql);
		push @files, '-f', "$script\@$weight";
	}
	append_to_file("$file.$_", '') foreach qw(out err);
	return { out => "$file.out", err => "$file.err",
		run => IPC::Run::start([ $node->installed_command('pgbench'), '-n', @$options, @files, $node->connstr('postgres') ],
			'>', "$file.out", '2>', "$file.err") };
}

# A session that stays: ask it with its method "ask", end it with "end"
sub new_session
{
	my ($node) = @_;
	my $self = bless { in => '', out => '', err => '' }, 'VxSession';
	$self->{run} = IPC::Run::start(psql_command($node), '<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, IPC::Run::timer(180));
	return $self;
}

# Run statements, which end with a semicolon; gives the rows, and in err what else was said
sub VxSession::ask
{
	my ($self, $sql) = @_;
	@$self{qw(out err)} = ('', '');
	$self->{in} .= "$sql\n\\echo --done--\n";
	$self->{run}->pump until $self->{out} =~ /^--done--$/m || !$self->{run}->pumpable;
	$self->{out} =~ s/^--done--\n//m or die "session ended: $self->{err}";
	return [ split /\n/, $self->{out} ];
}

sub VxSession::end { my ($self) = @_; $self->{in} .= "\\q\n"; $self->{run}->finish; }

# Fill a small disk, with a file "ballast", but for so many kilobytes
sub leave
{
	my ($disk, $kb) = @_;
	my ($out) = run_command([ 'df', '-Pk', $disk ]);
	my $free = (split ' ', (split /\n/, $out)[1])[3];

	open my $ballast, '>>', "$disk/ballast" or die $!;
	print $ballast "\1" x 1024 foreach 1 .. $free - $kb;
	close $ballast;	# which may fail, for another takes space, too
}

# Load Fashion-MNIST into a table (id int, label int, v vector(784))
sub load_fashion
{
	my ($node, $table, $set, @limit) = @_;
	my $src = source_dir();
	my $err = '';
	IPC::Run::run([ $^X, "$src/bench/load-fashion", $set, @limit ],
		'|', psql_command($node, '-v', 'ON_ERROR_STOP=1', '-c', "COPY $table FROM STDIN"), '2>', \$err)
	  or die "loading failed: $err";
}

1;
