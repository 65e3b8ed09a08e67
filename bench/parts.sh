# Shell functions of bench/inside: the parts of the benchmark.  Each writes one file of
# comma-separated values to $results; bench/report makes tables and plots of them.

# The arguments that name the systems to "vxbench search"
search_systems() {
	local system
	for system in ${systems//,/ }; do
		if [ "$system" = hnswlib ]; then
			printf '%s\0' --hnswlib "$home/hnswlib"
		else
			printf '%s\0' --pg "$system" "$(conninfo "$system")"
		fi
	done
}

# Recall, latency and queries per second over ef, for each k and number of clients
part_search() {
	local args=() one
	mapfile -d '' args < <(search_systems)
	for one in "${ks[@]}"; do
		args+=(--k "${one%%:*}" "${one#*:}")
	done
	"$tool" search --data "$set" "${args[@]}" --clients "$clients" --rounds "$rounds" --queries "$queries" \
		>"$results/search.csv"
}

# ---- what the other parts share ----

# Recall@10, mean latency, p99 and processor time of searches at ef_search 40, by as many
# clients as there are processors
quick_search() {
	"$tool" search --data "$set" "$@" --k 10 40 --clients "$(nproc)" --rounds 1 --queries "$queries" --floor 0 \
		2>"$work/search.err" | awk -F, 'NR == 2 { print $7 "," $8 "," $10 "," $12 }'
}

# one_search SYSTEM TABLE ARGUMENTS...
one_search() { quick_search --pg "$1" "$(conninfo "$1")" --table "$2" "${@:3}"; }
search_hnswlib() { quick_search --hnswlib "$home/hnswlib"; }

seconds_between() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", b - a }'; }
stamp() { date +%s.%N; }

# timed DATABASE STATEMENT: run it, set $elapsed and $notices
timed() {
	local start
	start=$(stamp)
	PGOPTIONS='-c client_min_messages=notice' "$bindir/psql" -X -q -v ON_ERROR_STOP=1 -d "$(conninfo "$1")" \
		-c "$2" 2>"$work/notices" || { cat "$work/notices" >&2; return 1; }
	elapsed=$(seconds_between "$start" "$(stamp)")
	notices=$(grep -c '^\(NOTICE\|WARNING\)' "$work/notices" || true)
}

# index_bytes SYSTEM TABLE: all of it, and by tier where the system tells
index_bytes() {
	local total
	total=$(value "$1" "SELECT pg_relation_size('$2_v_idx')")
	if [ "$1" = vectorx ]; then
		value "$1" "SELECT $total || ',' || node_bytes || ',' || vector_bytes FROM vectorx_index_info('$2_v_idx')"
	else
		echo "$total,,"
	fi
}

# ---- building ----

# build_once SYSTEM NAME MEGABYTES ROUND: a line of build.csv
build_once() {
	local system=$1 name=$2 mb=$3 round=$4 watcher peak failed=
	sql "$system" -c 'DROP INDEX IF EXISTS items_v_idx' -c CHECKPOINT
	rm -f "$state/$system.index"
	"$tool" memory "$(cluster_pid "$cluster")" >"$work/peak" &
	watcher=$!
	timed "$system" "SET maintenance_work_mem = '${mb}MB'; $(create_index_limited)" || failed=1
	kill "$watcher"
	wait "$watcher"
	peak=$(cat "$work/peak")
	if [ -n "$failed" ]; then
		timed_out || die "$system: the index could not be built"
		echo "$system,$name,$mb,$round,,$peak,,,,,,,,"
		say "  $system, maintenance_work_mem $mb MB: given up after $limit s" >&2
		return
	fi
	sql "$system" -c CHECKPOINT
	echo "$system,$name,$mb,$round,$elapsed,$peak,$(index_bytes "$system" items),$(one_search "$system" items),$notices"
	say "  $system, maintenance_work_mem $mb MB: $elapsed s" >&2
}

measure_hnswlib() {
	local built elapsed peak bytes
	built=$(build_hnswlib)
	IFS=, read -r elapsed peak bytes <<<"$built"
	echo "hnswlib,large,,$1,$elapsed,$peak,$bytes,,,$(search_hnswlib),0"
	say "  hnswlib: $elapsed s" >&2
}

# Build time, peak memory, size, and how good the graph is; with memory for all of it, and
# with a tenth of that.  The last one built has all the memory, and is what other parts use.
part_build() {
	local round name mb system
	echo "system,memory,memory_mb,round,seconds,peak_bytes,index_bytes,node_bytes,vector_bytes,recall,mean_us,p99_us,cpu_us,notices"
	for round in $(seq "$build_rounds"); do
		for name in tenth large; do
			wants "$name" "$memory" || continue
			mb=$(graph_mb)
			[ "$name" = large ] || mb=$((mb / 10))
			for system in $(servers); do
				build_once "$system" "$name" "$mb" "$round"
			done
		done
		! wants hnswlib "$systems" || measure_hnswlib "$round"
	done
	for system in ${systems//,/ }; do
		if [ "$system" = hnswlib ] || has_index "$system"; then
			note "$system.index" "$(index_print "$system")"
		else
			leave_out "$system"
		fi
	done
} >"$results/build.csv"

# ---- a table that is being filled ----

# Rows left out of the table "filled" at first: for WAL, and for each way to insert
wal_rows=$((rows / 40 < 1000 ? rows / 40 : 1000))
inserts=$((rows / 40 < inserts ? rows / 40 : inserts))
held_out() { echo $((3 * wal_rows + 4 * inserts)); }

# ensure_filled SYSTEM: a table with an index over all but the rows that are held out.
# $state/SYSTEM.filled says how many rows it has.
ensure_filled() {
	local system=$1
	[ ! -s "$state/$system.filled" ] || return 0
	sql "$system" -c 'DROP TABLE IF EXISTS filled'
	create_table "$system" filled
	"$tool" load "$set" "$(conninfo "$system")" filled 0 $((rows - $(held_out)))
	sql "$system" -c 'VACUUM ANALYZE filled' -c "$(create_index_sql filled)" -c CHECKPOINT
	echo $((rows - $(held_out))) >"$state/$system.filled"
	prewarm "$system" filled
}

filled_rows() { cat "$state/$1.filled"; }

# insert_next SYSTEM COUNT WRITERS BATCH [WAITS]: the tool's line
insert_next() {
	local system=$1 count=$2 first
	first=$(filled_rows "$system")
	"$tool" insert "$set" "$(conninfo "$system")" filled "$first" "$count" "${@:3}"
	echo $((first + count)) >"$state/$system.filled"
}

drop_filled() {
	local system
	for system in $(servers); do
		sql "$system" -c 'DROP TABLE IF EXISTS filled'
		rm -f "$state/$system.filled"
	done
}

# ---- inserting ----

# Inserts per second into an index that is there: one row and a hundred a transaction, one
# and eight writers; then the recall of what has come to be
part_insert() {
	local system writers batch
	for system in $(servers); do
		ensure_filled "$system"
	done
	echo "system,writers,batch,rows,seconds,rows_per_s,mean_us,p99_us,cpu_us" >"$results/insert.csv"
	echo "system,writers,batch,event,samples" >"$results/waits.csv"
	for batch in 1 100; do
		for writers in 1 8; do
			for system in $(servers); do
				echo "$system,$writers,$batch,$(insert_next "$system" "$inserts" "$writers" "$batch" "$work/waits")" >>"$results/insert.csv"
				sed "s/^/$system,$writers,$batch,/" "$work/waits" >>"$results/waits.csv"
			done
		done
	done
	echo "system,stage,seconds,recall,mean_us,p99_us,cpu_us" >"$results/filled.csv"
	fill_up
	for system in $(servers); do
		echo "$system,inserted,,$(one_search "$system" filled)" >>"$results/filled.csv"
	done
}

# The rest of the rows, so that the truth is that of the whole set
fill_up() {
	local system left
	for system in $(servers); do
		left=$((rows - $(filled_rows "$system")))
		[ "$left" = 0 ] || insert_next "$system" "$left" "$(nproc)" 100 >/dev/null
	done
}

# ---- write-ahead log ----

# wal_once SYSTEM TABLE,FULL_PAGE_WRITES COMMAND...: a line of wal.csv for a command that
# inserts $wal_rows rows
wal_once() {
	local system=$1 what=$2 before after first
	shift 2
	before=$(value "$system" "SELECT pg_stat_force_next_flush(); SELECT wal_records || ' ' || wal_fpi FROM pg_stat_wal" | tail -n 1)
	first=$(value "$system" 'SELECT pg_current_wal_insert_lsn()')
	"$@" >/dev/null
	after=$(value "$system" 'SELECT pg_current_wal_insert_lsn()')
	echo "$system,$what,$wal_rows,$(value "$system" "SELECT pg_wal_lsn_diff('$after', '$first')"),$(wal_difference "$system" "$before"),$(wal_images "$first" "$after")"
}

# The writers' counts come with the end of their sessions
wal_difference() {
	local records images
	sleep 1.5
	read -r records images <<<"$2"
	value "$1" "SELECT wal_records - $records || ',' || wal_fpi - $images FROM pg_stat_wal"
}

# Bytes of full-page images, and of the rest of the records, as pg_waldump counts them
wal_images() {
	value postgres 'SELECT pg_switch_wal()' >/dev/null
	"$bindir/pg_waldump" --stats -p "$cluster/pg_wal" -s "$1" -e "$2" 2>/dev/null |
		awk '$1 == "Total" { gsub(/\[[^]]*\]/, ""); print $4 "," $3; found = 1 } END { if (!found) print "," }'
}

insert_heap() { "$tool" insert "$set" "$(conninfo "$1")" heap_only "$2" "$wal_rows" 1 1; }

# WAL of 1,000 inserts, one a transaction: without full-page images, and for the second
# thousand after a checkpoint, with them; and the same rows into a table without an index
part_wal() {
	local system first
	echo "system,table,full_page_writes,rows,wal_bytes,records,images,image_bytes,record_bytes"
	for system in $(servers); do
		ensure_filled "$system"
		first=$(filled_rows "$system")
		sql "$system" -c 'DROP TABLE IF EXISTS heap_only'
		create_table "$system" heap_only
		"$tool" load "$set" "$(conninfo "$system")" heap_only 0 "$first"

		full_page_writes off
		wal_once "$system" index,off insert_next "$system" "$wal_rows" 1 1
		wal_once "$system" heap,off insert_heap "$system" "$first"
		full_page_writes on
		sql "$system" -c CHECKPOINT
		insert_next "$system" "$wal_rows" 1 1 >/dev/null
		wal_once "$system" index,on insert_next "$system" "$wal_rows" 1 1
		sql "$system" -c CHECKPOINT
		insert_heap "$system" $((first + wal_rows)) >/dev/null
		wal_once "$system" heap,on insert_heap "$system" $((first + 2 * wal_rows))
		sql "$system" -c 'DROP TABLE heap_only'
	done
} >"$results/wal.csv"

full_page_writes() {
	sql postgres -c "ALTER SYSTEM SET full_page_writes = $1" -c 'SELECT pg_reload_conf()' -o /dev/null
	sleep 1
	[ "$(value postgres 'SHOW full_page_writes')" = "$1" ]
}

# ---- vacuum ----

# A random tenth of the rows is deleted: recall and latency before, with the dead rows, and
# after vacuum, and how long that took.  The rows held out at first have been inserted.
part_vacuum() {
	local system
	for system in $(servers); do
		ensure_filled "$system"
	done
	fill_up
	echo "system,stage,seconds,recall,mean_us,p99_us,cpu_us"
	for system in $(servers); do
		echo "$system,before,,$(one_search "$system" filled)"
		timed "$system" "DELETE FROM filled WHERE ((id::bigint * 2654435761) & 4294967295) / 65536 % 10 = 0"
		echo "$system,deleted,$elapsed,$(one_search "$system" filled --deleted 1)"
		timed "$system" "VACUUM filled"
		echo "$system,vacuumed,$elapsed,$(one_search "$system" filled --deleted 1)"
		say "  $system: vacuum in $elapsed s" >&2
	done
	drop_filled
} >"$results/vacuum.csv"

# ---- cold ----

# The files of the table, its toast table and its index
relation_files() {
	local path
	value "$1" "SELECT pg_relation_filepath(c.oid) FROM pg_class AS c
		WHERE c.oid IN ('items'::regclass, 'items_v_idx'::regclass) OR
			c.oid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'items'::regclass)" |
		while read -r path; do
			find "$cluster/$(dirname "$path")" -name "$(basename "$path")" -o -name "$(basename "$path").*"
		done
}

# Blocks read and found in shared buffers: of the index, of the table with its toast
blocks() {
	value "$1" "SELECT i.idx_blks_read, i.idx_blks_hit, t.heap_blks_read + coalesce(t.toast_blks_read, 0)
		FROM pg_statio_user_indexes AS i JOIN pg_statio_user_tables AS t USING (relid) WHERE i.indexrelname = 'items_v_idx'" | tr '|' ' '
}

# cold_once SYSTEM CACHE EF ROUND: a line of cold.csv
cold_once() {
	local system=$1 cache=$2 ef=$3 round=$4 before after line n=$cold_queries files drops=()
	mapfile -t files < <(relation_files "$system")
	case $cache in
		cold) mapfile -t drops < <(printf -- '--drop\n%s\n' "${files[@]}") ;;
		filling) "$tool" drop "${files[@]}" ;;
	esac
	read -r -a before <<<"$(blocks "$system")"
	line=$("$tool" search --data "$set" --pg "$system" "$(conninfo "$system")" --k 10 "$ef" --clients 1 --rounds 1 \
		--queries "$n" --floor 0 --warm 0 "${drops[@]}" 2>/dev/null | tail -n 1)
	sleep 1.5
	read -r -a after <<<"$(blocks "$system")"
	echo "$line" | awk -F, -v OFS=, -v head="$system,$cache,$ef,$round" -v n="$n" -v r=$((after[0] - before[0])) \
		-v h=$((after[1] - before[1])) -v t=$((after[2] - before[2])) \
		'{ print head, $7, $8, $9, $10, $12, r / n, h / n, t / n }'
}

# With shared buffers for a tenth of the larger index only, reads per query and latency: the
# files being put out of the page cache before every query, before the first, and not at all
part_cold() {
	local system largest=0 bytes mb round ef cache
	cold_queries=$((queries < 200 ? queries : 200))
	for system in $(servers); do
		bytes=$(value "$system" "SELECT pg_relation_size('items_v_idx')")
		[ "$bytes" -le "$largest" ] || largest=$bytes
	done
	mb=$((largest / 10485760 + 1))
	say "  shared_buffers $mb MB" >&2
	restart_cluster "shared_buffers=${mb}MB"
	echo "system,cache,ef,round,recall,mean_us,p50_us,p99_us,cpu_us,index_reads,index_hits,table_reads"
	for cache in cold filling warm; do
		for round in $(seq 3); do
			for ef in 40 160; do
				for system in $(servers); do
					cold_once "$system" "$cache" "$ef" "$round"
				done
			done
		done
	done
	restart_cluster
	for system in $(servers); do
		prewarm "$system"
	done
} >"$results/cold.csv"
