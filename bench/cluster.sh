# Shell functions of bench/inside: the server, its cluster, each system's database.
#
# What was made is noted in $state, so that a cluster that is kept can be used again:
# SYSTEM.rows and SYSTEM.index hold fingerprints of what the table and the index were
# made from.

# ---- the server ----

# Once for all data sets of a run.  Bitcode would only be for jit, which is off.
install_server() {
	local t original=$PG_CONFIG
	t=$(now)
	if [ -s "$work/pg_config" ]; then
		PG_CONFIG=$(cat "$work/pg_config")
	else
		PG_CONFIG=$(private_install "$original" "$work/pg")
		{ make -C "$src" -j2 with_llvm=no PG_CONFIG="$PG_CONFIG" &&
			make -C "$src" install with_llvm=no PG_CONFIG="$PG_CONFIG"; } >"$work/build.log" 2>&1 ||
			{ tail -n 40 "$work/build.log" >&2; die "vectorx could not be built"; }
		printf '%s' "$PG_CONFIG" >"$work/pg_config"
		say "vectorx for $("$PG_CONFIG" --version): built in $(($(now) - t)) s"
	fi
	export PG_CONFIG
	bindir=$("$PG_CONFIG" --bindir)
	major=$("$PG_CONFIG" --version | sed -nE 's/^PostgreSQL ([0-9]+).*/\1/p')
}

# What a graph of float32 vectors takes while it is built, and some room
graph_mb() {
	awk -v rows="$rows" -v dims="$dims" -v m="$m" 'BEGIN { print int(rows * (4 * dims + 64 * m + 256) * 1.1 / 1048576) + 32 }'
}

# All tables and indexes, those that are filled by inserts too, and some room: what a
# warm run reads must fit.  The parts about filters have three more tables.
needed_buffers_mb() {
	local most tables=4
	most=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.6) }' /proc/meminfo)
	! wants filter "$parts" && ! wants tenants "$parts" || tables=7
	awk -v tables=$tables -v rows="$rows" -v dims="$dims" -v most="$most" 'BEGIN {
		mb = int(tables * rows * (4 * dims * 2.7 + 500) / 1048576 + 256)
		print mb < most ? mb : most
	}'
}

base_settings() {
	cat <<-CONF
		shared_buffers = $(needed_buffers_mb)MB
		max_connections = 200
		maintenance_work_mem = $(graph_mb)MB
		max_parallel_workers = 64
		max_worker_processes = 72
		max_parallel_maintenance_workers = $workers
		max_wal_size = 16GB
		checkpoint_timeout = 1h
		autovacuum = off
		jit = off
		log_line_prefix = '%m [%p] %q%a '
	CONF
	local shm
	shm=$(df -Pm /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
	[ "${shm:-0}" -ge $((2 * $(graph_mb))) ] || echo "dynamic_shared_memory_type = mmap"
}

# The settings file is written anew each time: base, the user's, the caller's
start_cluster() {
	local setting
	mkdir -p -m 700 "$work/s"
	mkdir -p "$home" "$state"
	# a server in another namespace would not be seen by its process id
	exec 9>"$home/lock"
	flock -n 9 || die "the cluster in $home is in use"
	if [ ! -s "$cluster/PG_VERSION" ]; then
		rm -rf "$cluster" "$state"
		mkdir -p "$state"
		cluster_init "$bindir" "$cluster"
		cp "$cluster/postgresql.conf" "$home/postgresql.conf.initdb"
	fi
	[ "$(cat "$cluster/PG_VERSION")" = "$major" ] ||
		die "the cluster in $home is PostgreSQL $(cat "$cluster/PG_VERSION")'s, not $major's: keep it apart"
	rm -f "$cluster/postmaster.pid"
	cp "$home/postgresql.conf.initdb" "$cluster/postgresql.conf"
	{
		base_settings
		for setting in "${settings[@]}" "$@"; do
			echo "${setting%%=*} = '${setting#*=}'"
		done
	} >>"$cluster/postgresql.conf"
	cluster_start "$bindir" "$cluster" "$work/s" "$work/server.log"
}

restart_cluster() {
	cluster_stop "$cluster"
	start_cluster "$@"
}

conninfo() { printf 'host=%s port=5432 user=%s dbname=%s' "$work/s" "$(cluster_superuser)" "$1"; }

# sql DATABASE PSQL'S ARGUMENTS...
sql() {
	local database=$1
	shift
	PGOPTIONS='-c client_min_messages=warning' "$bindir/psql" -X -q -v ON_ERROR_STOP=1 -P pager=off -d "$(conninfo "$database")" "$@"
}
value() { sql "$1" -At -c "$2"; }

# ---- what has been made from what ----

known() { [ "$(cat "$state/$1" 2>/dev/null)" = "$2" ]; }
note() { printf '%s' "$2" >"$state/$1"; }

source_print() { (cd "$src" && find src sql/install vectorx.control -name "*.[ch]" -o -name "*.sql" -o -name "*.control" | LC_ALL=C sort | xargs md5sum | md5sum | cut -c1-32); }
script_print() { (cd "$src" && cat sql/install/* vectorx.control | md5sum | cut -c1-32); }
data_print() { { stat -c %s "$set.base"; tail -c 65536 "$set.base"; cat "$set.classes"; } | md5sum | cut -c1-32; }
index_options() { echo "m = $m, ef_construction = $ef_construction"; }

# ---- tables and indexes ----

# ensure_rows SYSTEM EXTENSION FINGERPRINT: database, extension, table with all rows
ensure_rows() {
	local system=$1 extension=$2 print=$3 t
	! known "$system.rows" "$print" || return 0
	t=$(now)
	rm -f "$state/$system".*
	sql postgres -c "DROP DATABASE IF EXISTS $system" -c "CREATE DATABASE $system"
	sql "$system" -c "CREATE EXTENSION $extension" -c 'CREATE EXTENSION pg_prewarm'
	create_table "$system" items
	"$tool" load "$set" "$(conninfo "$system")" items
	sql "$system" -c 'VACUUM ANALYZE items'
	note "$system.rows" "$print"
	say "$system: $rows rows loaded in $(($(now) - t)) s"
}

# create_index_sql TABLE [FILTER COLUMNS]
create_index_sql() {
	echo "CREATE INDEX $1_v_idx ON $1 USING hnsw (v vector_${metric}_ops${2:+, $2}) WITH ($(index_options))"
}

# The same for the table with all rows, given up after $limit seconds; and was it?
create_index_limited() { echo "SET statement_timeout = '${limit}s'; $(create_index_sql items)"; }
timed_out() { grep -q 'statement timeout' "$work/notices"; }

has_index() { [ "$(value "$1" "SELECT count(*) FROM pg_class WHERE relname = 'items_v_idx'")" = 1 ]; }

# leave_out SYSTEM: its build was given up, so that there is nothing else to measure
leave_out() {
	local system left=
	for system in ${systems//,/ }; do
		[ "$system" = "$1" ] || left+=${left:+,}$system
	done
	systems=$left
	say "$1: left out of all other parts, as its build was given up after $limit s" |
		tee -a "$results/environment.txt" >&2
	[ -n "$systems" ] || die "no system is left"
}

# ensure_index SYSTEM FINGERPRINT: with memory for all of it, or leave the system out
ensure_index() {
	local system=$1 print=$2 t
	if ! known "$system.index" "$print"; then
		rm -f "$state/$system.index"
		t=$(now)
		sql "$system" -c 'DROP INDEX IF EXISTS items_v_idx'
		if ! timed "$system" "$(create_index_limited)"; then
			timed_out || die "$system: the index could not be built"
			leave_out "$system"
			return
		fi
		sql "$system" -c CHECKPOINT
		note "$system.index" "$print"
		say "$system: index built in $(($(now) - t)) s"
	fi
	prewarm "$system"
}

# with_tables TABLE: to begin a query with, where "tables" are it or its partitions
with_tables() {
	echo "WITH tables AS (SELECT relid FROM pg_partition_tree('$1') WHERE isleaf
		UNION SELECT oid FROM pg_class WHERE oid = '$1'::regclass AND relkind = 'r')"
}

# prewarm SYSTEM [TABLE]: the table or its partitions, with toast tables and indexes, into
# shared buffers
prewarm() {
	sql "$1" -o /dev/null -c "$(with_tables "${2:-items}")
		SELECT pg_prewarm(oid) FROM pg_class WHERE oid IN (
			SELECT relid FROM tables
			UNION SELECT reltoastrelid FROM pg_class JOIN tables ON oid = relid
			UNION SELECT indexrelid FROM pg_index JOIN tables ON indrelid = relid)"
}

# create_table SYSTEM TABLE
create_table() {
	sql "$1" -c "CREATE TABLE $2 (id int NOT NULL, class int, r int, v vector($dims) NOT NULL)" \
		-c "ALTER TABLE $2 SET (parallel_workers = $workers)"
}

ensure_rows_of() {
	case $1 in
		vectorx) ensure_rows vectorx vectorx "$(script_print) $(data_print)" ;;
		pgvector) ensure_rows pgvector vector \
			"$(grep default_version "$("$PG_CONFIG" --sharedir)/extension/vector.control") $(data_print)" ;;
		hnswlib) ;;
	esac
}

# What an index is made from: ours from our source, which may have changed
index_print() {
	case $1 in
		vectorx) echo "$(source_print) $(index_options)" ;;
		pgvector) index_options ;;
		hnswlib) echo "$(data_print) $(index_options)" ;;
	esac
}

# With --keep-index, the source that an index was built by is not looked at
ensure_index_of() {
	local print
	print=$(index_print "$1")
	if [ "$1" = vectorx ] && [ -n "$keep_index" ] && [ -s "$state/vectorx.index" ]; then
		print="$(sed 's/ .*//' "$state/vectorx.index") $(index_options)"
	fi
	if [ "$1" = hnswlib ]; then
		ensure_hnswlib "$print"
	else
		ensure_index "$1" "$print"
	fi
}

pgvector_version() { value pgvector "SELECT extversion FROM pg_extension WHERE extname = 'vector'"; }

# hnswlib's index is a file, built with as many threads as the server has processes
build_hnswlib() { "$tool" hnswlib "$set" "$home/hnswlib" "$m" "$ef_construction" $((workers + 1)); }

ensure_hnswlib() {
	local built
	! known hnswlib.index "$1" || return 0
	rm -f "$state/hnswlib.index"
	built=$(build_hnswlib)
	note hnswlib.index "$1"
	say "hnswlib: index built in ${built%%,*} s"
}

# The systems that are servers
servers() {
	local system
	for system in ${systems//,/ }; do
		[ "$system" = hnswlib ] || echo "$system"
	done
}

# ---- for the report ----

write_environment() {
	{
		echo "date: $(date -u +%F)"
		echo "load of the machine before the run: $(cut -d' ' -f1-2 /proc/loadavg)"
		echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) available"
		echo "memory: $(awk '/^MemTotal/ { printf "%.0f GB", $2 / 1048576 }' /proc/meminfo)"
		echo "server: $("$PG_CONFIG" --version), shared_buffers $(value postgres 'SHOW shared_buffers')"
		echo "data: $data, $rows rows, $dims dimensions, $metric, $nqueries queries"
		echo "indexes: $(index_options), $workers parallel workers and the leader"
		! wants vectorx "$systems" || echo "vectorx: kernels $(value vectorx "LOAD 'vectorx'; SHOW vectorx.kernels")"
		! wants pgvector "$systems" || echo "pgvector: $(pgvector_version)"
	} >"$results/environment.txt"
}
