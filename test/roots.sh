# Shell functions for Debian roots with another PostgreSQL in them, shared by
# test/matrix and bench/run.  Source lib.sh first.
#
# Commands run in mount and process namespaces of their own, so neither mounts
# nor servers can be left behind, however they end.

declare -A suites=([17]=trixie [18]=sid)
dir=${VX_MATRIX_DIR:-/var/cache/vectorx-matrix}

# ---- making a root ----

# The first Debian archive in this machine's apt sources that is not the one for
# security updates, which has no suite for sid
mirror() {
	if [ -n "${VX_MIRROR:-}" ]; then
		printf '%s' "$VX_MIRROR"
		return
	fi
	cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		sed -nE 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p; s/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' |
		grep -E '/debian/?$' | head -n 1
}

make_root() {
	local version=$1 suite=${suites[$1]} root=$dir/${suites[$1]} url log t
	log=$dir/$suite.log
	[ ! -e "$root/.ready" ] || return 0
	t=$(now)
	mkdir -p "$dir"
	if [ ! -e "$root/.bootstrapped" ]; then
		have debootstrap || apt_install debootstrap
		url=$(mirror)
		[ -n "$url" ] || { say "no Debian mirror in the apt sources; set VX_MIRROR"; return 1; }
		say "making a Debian $suite root in $root"
		rm -rf "$root"
		debootstrap --variant=minbase "$suite" "$root" "$url" >"$log" 2>&1 || { tail -n 20 "$log"; return 1; }
		: >"$root/.bootstrapped"
	fi
	# a mirror may lag behind the date by which its index wants to be replaced
	cat >"$root/etc/apt/apt.conf.d/99vectorx" <<-'CONF'
		Acquire::Check-Valid-Until "false";
		APT::Install-Recommends "false";
	CONF
	cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
	cp -L /etc/hosts "$root/etc/hosts" 2>/dev/null || true
	# nothing is to be started in there, and no cluster to be made
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	mkdir -p "$root/etc/postgresql-common/createcluster.d"
	echo "create_main_cluster = false" >"$root/etc/postgresql-common/createcluster.d/no-main.conf"
	say "installing PostgreSQL $version in it"
	in_root "$root" sh -c "apt-get update && apt-get install -y postgresql-$version postgresql-server-dev-$version \
		gcc libc6-dev make perl libipc-run-perl libsimde-dev dataset-fashion-mnist && apt-get clean" \
		>>"$log" 2>&1 || { tail -n 20 "$log"; return 1; }
	: >"$root/.ready"
	say "made in $(($(now) - t)) s"
}

# ---- running in it ----

# Namespaces of our own.  In a chroot whose root is no mount point unshare cannot
# make the mounts private; then we do that below the Debian root, and unmount.
isolate=(unshare --mount --pid --ipc --fork --kill-child)
"${isolate[@]}" true 2>/dev/null || isolate+=(--propagation unchanged)

# in_root ROOT COMMAND...: the caller's descriptors, but own mounts and processes.
# The shell stays to collect orphans, as process 1.  VX_BINDS names directories to be
# seen inside, a line each: the directory, a tab, an existing directory below the root.
in_root() {
	local root=$1 passed=() name
	shift
	for name in http_proxy https_proxy no_proxy CI VX_CRASHES VX_SEED VX_SLOW VX_TORTURE; do
		[ -z "${!name:-}" ] || passed+=("$name=${!name}")
	done
	"${isolate[@]}" bash -c '
		root=$1
		shift
		trap "umount -l -R \"$root\" 2>/dev/null" EXIT
		trap "exit 143" INT TERM
		mount --bind "$root" "$root" &&
		mount --make-private "$root" &&
		mount -t proc proc "$root/proc" &&
		mkdir -p "$root/dev/shm" &&
		mount -t tmpfs -o mode=1777 shm "$root/dev/shm" || exit 1
		for node in null zero full random urandom; do
			[ -c "$root/dev/$node" ] || { : >"$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; }
		done
		while IFS="	" read -r from to; do
			[ -z "$from" ] || mount --bind "$from" "$root$to" || exit 1
		done <<<"${VX_BINDS:-}"
		chroot "$root" "$@"
		exit $?' \
		in_root "$root" env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "TERM=${TERM:-dumb}" "${passed[@]}" "$@"
}

# May roots be made and entered here?
roots_possible() {
	"${isolate[@]}" sh -c 'd=$(mktemp -d); mount -t tmpfs none "$d" && umount "$d"; s=$?; rmdir "$d"; exit $s' 2>/dev/null
}

# Each run gets a copy of the checkout of its own, so that two can share a root
copy_checkout() {
	local to=$1
	mkdir -p "$to"
	tar -C "$VX_ROOT" -c --exclude=./.git --exclude=./bench/data --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
		--exclude=./bench/tool/vxbench . |
		tar -C "$to" -x
}
