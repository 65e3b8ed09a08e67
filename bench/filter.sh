# Shell functions of bench/inside: searches with filters, and tenants.
#
# "items" has an index on the vectors alone, in both systems; "filtered" has the same rows
# and an index with filter columns.  Both have B-trees.  A strategy is a table and settings
# that leave the planner one way to answer, or all of them.

# strategy NAME SYSTEM TABLE EXPECTED [SETTING=VALUE...]: arguments for "vxbench filter", each
# ended by a zero byte.  EXPECTED is in the plans, or the strategy does not count.
strategy() {
	local name=$1 system=$2 table=$3 expected=$4 setting statements=
	shift 4
	for setting in "$@"; do
		statements+="SET ${setting%%=*} = ${setting#*=}; "
	done
	printf '%s\0' --strategy "$name" "$system" "$(conninfo "$system")" "$table" "$statements" "$expected"
}

index_only=(enable_seqscan=off enable_bitmapscan=off enable_sort=off)
sort_only=(enable_seqscan=off enable_indexscan=off)
seq_only=(enable_indexscan=off enable_bitmapscan=off)
generic=plan_cache_mode=force_generic_plan

has_bitmap_filter() {
	[ "$(value vectorx "LOAD 'vectorx'; SELECT count(*) FROM pg_settings WHERE name = 'hnsw.enable_bitmap_filter'" | tail -n 1)" = 1 ]
}

vectorx_strategies() {
	strategy planner vectorx filtered ''
	strategy generic vectorx filtered '' "$generic"
	strategy column vectorx filtered 'Index Scan using filtered_v_idx' "${index_only[@]}"
	strategy resume vectorx items 'Index Scan using items_v_idx' "${index_only[@]}"
	! has_bitmap_filter ||
		strategy bitmap vectorx items HnswBitmapFilter enable_seqscan=off enable_sort=off
	strategy sort vectorx items 'Bitmap Heap Scan' "${sort_only[@]}"
	strategy seq vectorx items 'Seq Scan' "${seq_only[@]}"
}

# Without iterative scans it would not return all rows
pgvector_strategies() {
	strategy planner pgvector items '' hnsw.iterative_scan=strict_order
	strategy iterative pgvector items 'Index Scan using items_v_idx' hnsw.iterative_scan=strict_order "${index_only[@]}"
	strategy relaxed pgvector items 'Index Scan using items_v_idx' hnsw.iterative_scan=relaxed_order "${index_only[@]}"
	strategy sort pgvector items 'Bitmap Heap Scan' "${sort_only[@]}"
	strategy seq pgvector items 'Seq Scan' "${seq_only[@]}"
}

# ensure_btrees SYSTEM TABLE
ensure_btrees() {
	sql "$1" -c "CREATE INDEX IF NOT EXISTS $2_r_idx ON $2 (r)" \
		-c "CREATE INDEX IF NOT EXISTS $2_class_r_idx ON $2 (class, r)"
}

# The table with filter columns in its index; made anew if our source changed
ensure_filtered() {
	local print
	print=$(index_print vectorx)
	if ! known vectorx.filtered "$print"; then
		rm -f "$state/vectorx.filtered"
		sql vectorx -c 'DROP TABLE IF EXISTS filtered'
		create_table vectorx filtered
		timed vectorx "INSERT INTO filtered SELECT * FROM items"
		timed vectorx "$(create_index_sql filtered 'class, r')"
		say "vectorx: index with filter columns built in $elapsed s" >&2
		ensure_btrees vectorx filtered
		sql vectorx -c 'VACUUM ANALYZE filtered' -c CHECKPOINT
		note vectorx.filtered "$print"
	fi
	prewarm vectorx filtered
}

# run_filter ARGUMENTS... <STRATEGIES
run_filter() {
	local strategies
	mapfile -d '' strategies
	"$tool" filter --data "$set" --queries "$queries" --rounds "$rounds" "$@" "${strategies[@]}"
}

# Recall, latency and plans over the share of the rows that filters leave, for filters
# that have nothing to do with the query, that are near it, and far from it
part_filter() {
	local system
	for system in $(servers); do
		ensure_btrees "$system" items
		prewarm "$system"
	done
	if wants vectorx "$systems"; then
		ensure_filtered
		has_bitmap_filter || say "  without bitmap filters: there is no setting hnsw.enable_bitmap_filter" >&2
	fi
	for system in $(servers); do
		"${system}_strategies"
	done | run_filter --kinds none,random,near,far --shares "$shares" >"$results/filter.csv"
}

# ---- tenants ----

tenants=1000					# as in tool/filters.h

# make_tenants TABLE CLAUSE: the rows of "items", by tenant
make_tenants() {
	sql vectorx -c "DROP TABLE IF EXISTS $1" \
		-c "CREATE TABLE $1 (id int NOT NULL, tenant int NOT NULL, v vector($dims) NOT NULL) $2"
}

fill_tenants() { sql vectorx -c "INSERT INTO $1 SELECT id, r / (10000 / $tenants), v FROM items"; }

# index_tenants LAYOUT TABLE [FILTER COLUMNS]: a line of tenant_sizes.csv
index_tenants() {
	timed vectorx "$(create_index_sql "$2" "${3:-}")"
	sql vectorx -c "VACUUM ANALYZE $2" -c CHECKPOINT
	prewarm vectorx "$2"
	echo "$1,$elapsed,$(value vectorx "$(with_tables "$2")
		SELECT count(*) || ',' || sum(pg_relation_size(c.oid)) FROM tables
			JOIN pg_index ON indrelid = relid JOIN pg_class AS c ON c.oid = indexrelid
			JOIN pg_am AS a ON a.oid = relam WHERE amname = 'hnsw'")"
}

make_partitions() {
	sql vectorx -c "SELECT format('CREATE TABLE parted_%s PARTITION OF parted FOR VALUES IN (%s);', t, t)
		FROM generate_series(0, $tenants - 1) AS t" -At | sql vectorx
}

tenant_strategies() {
	strategy column vectorx tenants 'Index Scan using tenants_v_idx' "${index_only[@]}"
	strategy sort vectorx tenants 'Bitmap Heap Scan' "${sort_only[@]}"
	strategy planner vectorx tenants ''
	strategy generic vectorx tenants '' "$generic"
	strategy partition-index vectorx parted 'Index Scan using parted_N_v_idx' "${index_only[@]}"
	strategy partition-planner vectorx parted ''
	strategy partition-generic vectorx parted '' "$generic"
}

# One index with the tenant as a filter column, against a partition and an index for each
part_tenants() {
	wants vectorx "$systems" || return 0
	make_tenants tenants ''
	fill_tenants tenants
	sql vectorx -c 'CREATE INDEX ON tenants (tenant)'
	make_tenants parted 'PARTITION BY LIST (tenant)'
	make_partitions
	fill_tenants parted
	{
		echo "layout,seconds,indexes,index_bytes"
		index_tenants one tenants tenant
		index_tenants partitions parted
	} >"$results/tenant_sizes.csv"
	tenant_strategies | run_filter --kinds tenant,fresh >"$results/tenants.csv"
	sql vectorx -c 'DROP TABLE tenants, parted'
}
