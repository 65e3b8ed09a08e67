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
