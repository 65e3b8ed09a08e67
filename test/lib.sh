# Shell functions shared by test/run, test/inside, test/matrix, bench/quickstart.
#
# Nothing here touches a cluster other than the private ones that the callers
# make: no pg_ctlcluster, no service, no signal to a process that is not the
# postmaster of a data directory given by the caller.

VX_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VX_FASHION=/usr/share/datasets/fashion-mnist

# make's own variables would make the inner make runs chatty and, with -n or
# -j, do something else than what we ask for
unset MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
now() { date +%s; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		die "root privileges are needed for: $* (become root, or install sudo)"
	fi
}

# ---- what is installed, and installing the rest ----

apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# Package lists may be absent (a fresh image) or stale (404s): update them only
# when installing without that has failed.
apt_install() {
	local log
	have apt-get || die "please install the equivalent of: $*"
	say "installing: $*"
	log=$(mktemp)
	if ! apt_get install --no-install-recommends "$@" >"$log" 2>&1; then
		say "  (refreshing the package lists first)"
		if ! { apt_get update && apt_get install --no-install-recommends "$@"; } >"$log" 2>&1; then
			tail -n 20 "$log" >&2
			rm -f "$log"
			die "could not install: $*"
		fi
	fi
	rm -f "$log"
}

# Newest major version with a server, else with headers, else nothing
installed_major() {
	local tool
	for tool in postgres pg_config; do
		find /usr/lib/postgresql -maxdepth 3 -path "*/bin/$tool" 2>/dev/null |
			cut -d/ -f5 | sort -n | tail -n 1 | grep . && return
	done
	return 0
}

# The version that the distribution's metapackage stands for
default_major() {
	local name
	name=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
	printf '%s' "$name"
}

# Debian's server package makes and starts a cluster "main" on first
# installation.  We have no use for it, so we do not let it.
apt_install_server() {
	local dir=/etc/postgresql-common/createcluster.d
	local file=$dir/zz-vectorx-no-main.conf
	have pg_createcluster || apt_install postgresql-common
	as_root mkdir -p "$dir"
	echo "create_main_cluster = false" | as_root tee "$file" >/dev/null
	apt_install "$@"
	as_root rm -f "$file"
}

# Sets PG_CONFIG to a pg_config with server and headers, installing them if
# need be.  One that the user gave is taken as it is.
ensure_server() {
	local major wanted=() bin
	if [ -z "${PG_CONFIG:-}" ]; then
		major=$(installed_major)
		if [ -z "$major" ] && have apt-get; then
			major=$(default_major)
			[ -n "$major" ] || { say "refreshing the package lists"; apt_get update >/dev/null; major=$(default_major); }
			[ -n "$major" ] || die "this distribution has no package postgresql; install PostgreSQL and set PG_CONFIG"
		fi
		bin=/usr/lib/postgresql/$major/bin
		[ -n "$major" ] || bin=/nonexistent
		if [ -z "$major" ] && have pg_config; then
			PG_CONFIG=$(command -v pg_config)
		else
			[ -n "$major" ] || die "no PostgreSQL was found; install it and set PG_CONFIG"
			[ -x "$bin/postgres" ] || wanted+=("postgresql-$major")
			[ -f "$bin/../lib/pgxs/src/makefiles/pgxs.mk" ] && [ -x "$bin/pg_config" ] ||
				wanted+=("postgresql-server-dev-$major")
			[ ${#wanted[@]} = 0 ] || apt_install_server "${wanted[@]}"
			PG_CONFIG=$bin/pg_config
		fi
	fi
	[ -f "$("$PG_CONFIG" --pgxs)" ] || die "$PG_CONFIG has no PGXS: the server's development files are missing"
	[ -x "$("$PG_CONFIG" --bindir)/postgres" ] || die "$PG_CONFIG has no server beside it"
	export PG_CONFIG
}

# ensure_tools compiler | tap | fashion | unit ...: what each part needs
ensure_tools() {
	local part wanted=()
	for part in "$@"; do
		case $part in
			compiler)
				have gcc || have cc || wanted+=(gcc)
				[ -f /usr/include/stdio.h ] || wanted+=(libc6-dev)
				have make || wanted+=(make) ;;
			tap)
				have prove || wanted+=(perl)
				perl -MIPC::Run -e1 2>/dev/null || wanted+=(libipc-run-perl) ;;
			fashion)
				[ -f $VX_FASHION/train-images-idx3-ubyte.gz ] || wanted+=(dataset-fashion-mnist) ;;
			unit)
				[ -f /usr/include/simde/simde-common.h ] || wanted+=(libsimde-dev) ;;
			*) die "no such part: $part" ;;
		esac
	done
	[ ${#wanted[@]} = 0 ] || apt_install "${wanted[@]}"
}

# ---- users ----

# The user that servers run as: ourselves, or somebody else if we are root
server_user() {
	if [ "$(id -u)" != 0 ]; then
		id -un
	elif id postgres >/dev/null 2>&1; then
		echo postgres
	else
		echo nobody
	fi
}

# step_down USER HOME COMMAND...: replaces this process by COMMAND run by USER in
# a clean environment.  setpriv needs no PAM, which chroots often lack.
step_down() {
	local user=$1 home=$2
	shift 2
	local clean=(env -i "HOME=$home" "USER=$user" "LOGNAME=$user" LANG=C.UTF-8
		PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "TERM=${TERM:-dumb}")
	local name
	for name in CI PG_CONFIG TMPDIR ASAN_OPTIONS UBSAN_OPTIONS ${!VX_*} ${!PG_TEST_*}; do
		[ -z "${!name:-}" ] || clean+=("$name=${!name}")
	done
	cd "$home"
	if [ "$(id -un)" = "$user" ]; then
		exec "${clean[@]}" "$@"
	else
		exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "${clean[@]}" "$@"
	fi
}

# ---- private clusters (run these as the server user) ----

cluster_superuser() {
	local user
	user=$(id -un)
	[ "$user" != nobody ] || user=postgres
	printf '%s' "$user"
}

# cluster_init BINDIR DATADIR: no password, as only the owner of the socket's
# directory and root can reach the server at all
cluster_init() {
	"$1/initdb" -D "$2" -U "$(cluster_superuser)" -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$2.initdb.log" 2>&1 ||
		{ cat "$2.initdb.log" >&2; die "initdb failed"; }
}

# cluster_start BINDIR DATADIR SOCKETDIR LOG
cluster_start() {
	cat >>"$2/postgresql.conf" <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$3'
		unix_socket_permissions = 0700
	CONF
	"$1/pg_ctl" -D "$2" -l "$4" -w -t 60 start >/dev/null || { tail -n 20 "$4" >&2; die "the server did not start"; }
}

# The postmaster of DATADIR, if it is running: the file alone proves nothing,
# as the number in it may by now be another process's
cluster_pid() {
	local pid
	pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) || return 1
	[ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(readlink -f "$1")" ] || return 1
	printf '%s' "$pid"
}

# cluster_stop DATADIR: fast, then immediate; by its own process id only
cluster_stop() {
	local pid i signal
	for signal in INT QUIT; do
		pid=$(cluster_pid "$1") || return 0
		kill -s "$signal" "$pid" 2>/dev/null || return 0
		for i in $(seq 100); do
			kill -0 "$pid" 2>/dev/null || return 0
			sleep 0.1
		done
	done
}

# private_install PG_CONFIG DIR: a copy of the server under DIR, into which the
# extension can be installed without being root and without replacing the one
# in use.  PostgreSQL finds its files relative to its executables.  Prints the
# copy's pg_config.
private_install() {
	local what from name
	for what in sharedir pkglibdir; do
		from=$("$1" "--$what")
		mkdir -p "$2$from"
		cp -a "$from/." "$2$from/"
	done
	# by name, as some distributions put the programs into /usr/bin
	from=$("$1" --bindir)
	mkdir -p "$2$from"
	for name in "$from"/pg_* "$from"/{postgres,initdb,psql,createdb,dropdb,createuser,dropuser,vacuumdb,reindexdb,clusterdb,pgbench}; do
		[ ! -f "$name" ] || cp -aL "$name" "$2$from/"
	done
	from=$("$1" --includedir-server)
	mkdir -p "$2$(dirname "$from")"
	[ -e "$2$from" ] || ln -s "$from" "$2$from"
	# leave nothing of an installed vectorx that a test could find by mistake
	rm -f "$2$("$1" --sharedir)"/extension/vectorx* "$2$("$1" --pkglibdir)"/vectorx.so
	printf '%s' "$2$("$1" --bindir)/pg_config"
}
