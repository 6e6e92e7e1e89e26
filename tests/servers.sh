#!/usr/bin/env bash
# Database servers for the tests.
#
#   eval "$(tests/servers.sh up)"   start what is missing; prints the exports that the tests read
#   tests/servers.sh down           stop the local ones and delete their data
#
# A DSN that is set already is kept: USHER_TEST_POSTGRES, USHER_TEST_MYSQL, USHER_TEST_MARIADB (a user who may
# create databases), and USHER_TEST_PGBOUNCER, which leads to the first in transaction mode. Otherwise Docker
# Compose when an engine answers, otherwise servers installed from Debian's packages: on 127.0.0.1 only, on ports
# of their own, with data in a folder of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

home=${USHER_TEST_HOME:-/var/tmp/usher-servers}
postgres_port=54329 mysql_port=33069 mariadb_port=33079 pgbouncer_port=64329
password=usher-test

say() { echo "servers: $*" >&2; }
die() { say "$*"; exit 1; }
root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
# as USER COMMAND...: a server must not run as root.
as() { local user=$1; shift; root runuser -u "$user" -- "$@"; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# within SECONDS COMMAND...: until the command succeeds.
within() {
	local left=$(($1 * 5)); shift
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1)); [ "$left" -gt 0 ] || return 1
		sleep 0.2
	done
}

# need PROGRAM PACKAGE...: install the packages when the program is not there.
need() {
	local program=$1; shift
	[ -x "$(command -v "$program" || true)" ] && return
	command -v apt-get >/dev/null || die "$program is missing and this is not Debian: install it${instead-, run Docker, or set the USHER_TEST_ variables}"
	say "installing $*"
	[ -n "${updated:-}" ] || { root apt-get update -qq >&2; updated=yes; }
	root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"${TMPDIR:-/tmp}/usher-apt.log" 2>&1 ||
		{ tail -20 "${TMPDIR:-/tmp}/usher-apt.log" >&2; die "apt-get could not install $*"; }
}

postgres_local() {
	need "$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -1 || true)" postgresql
	local bin data=$home/postgres
	bin=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/postgres | sort -V | tail -1)")
	if [ ! -f "$data/PG_VERSION" ]; then
		say "creating PostgreSQL's data"
		root install -d -o postgres "$data"
		as postgres sh -c "echo $password >'$data.pw' 2>/dev/null || true"
		root sh -c "echo $password >'$data.pw'; chown postgres '$data.pw'"
		as postgres "$bin/initdb" -D "$data" -U usher --pwfile="$data.pw" -A scram-sha-256 -E UTF8 --locale=C.UTF-8 >/dev/null
	fi
	as postgres "$bin/pg_ctl" -D "$data" -l "$home/postgres.log" -w -t 60 -o "-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300 -c shared_buffers=256MB" start >/dev/null
}

mariadb_local() {
	need mariadbd mariadb-server
	local data=$home/mariadb first=
	if [ ! -d "$data/mysql" ]; then
		say "creating MariaDB's data"
		root install -d -o mysql "$data"
		root mariadb-install-db --user=mysql --datadir="$data" --auth-root-authentication-method=normal --skip-test-db >/dev/null 2>&1
		first=yes
	fi
	root sh -c "setsid mariadbd --no-defaults --user=mysql --datadir='$data' --socket='$data/mysqld.sock' --pid-file='$data/mysqld.pid' \
		--bind-address=127.0.0.1 --port=$mariadb_port --max-connections=300 --innodb-buffer-pool-size=256M --log-error='$data/error.log' >/dev/null 2>&1 </dev/null &"
	within 60 answers "$mariadb_port" || die "MariaDB did not start: $data/error.log"
	[ -z "$first" ] || root mariadb --no-defaults --socket="$data/mysqld.sock" -u root \
		-e "CREATE USER usher@'%' IDENTIFIED BY '$password'; GRANT ALL ON *.* TO usher@'%' WITH GRANT OPTION;"
}

# MySQL is not in Debian stable: its packages are unpacked from sid into a folder, and run there.
mysql_programs() {
	local jail=$home/mysql mirror
	[ ! -x "$jail/usr/sbin/mysqld" ] || return 0
	need debootstrap debootstrap
	say "unpacking MySQL from Debian sid"
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | grep -v security | head -1)
	root rm -rf "$jail"
	root debootstrap --variant=minbase --include=mysql-server-core,mysql-client-core sid "$jail" "${mirror:-http://deb.debian.org/debian}" >"$home/debootstrap.log" 2>&1 ||
		{ tail -5 "$home/debootstrap.log" >&2; die "debootstrap could not unpack MySQL: $home/debootstrap.log"; }
	root chroot "$jail" sh -c "id mysql >/dev/null 2>&1 || useradd -r mysql; install -d -o mysql /var/lib/mysql-files"
}

mysql_local() {
	local jail=$home/mysql first=
	mysql_programs
	if [ ! -d "$jail/data/mysql" ]; then
		say "creating MySQL's data"
		root chroot "$jail" sh -c "install -d -o mysql /data && mysqld --no-defaults --initialize-insecure --user=mysql --datadir=/data" >"$home/mysql-init.log" 2>&1 ||
			die "MySQL could not create its data: $home/mysql-init.log"
		first=yes
	fi
	root sh -c "setsid chroot '$jail' mysqld --no-defaults --user=mysql --datadir=/data --socket=/data/mysqld.sock --pid-file=/data/mysqld.pid \
		--bind-address=127.0.0.1 --port=$mysql_port --mysqlx=OFF --max-connections=300 --innodb-buffer-pool-size=256M --log-error=/data/error.log >/dev/null 2>&1 </dev/null &"
	within 60 answers "$mysql_port" || die "MySQL did not start: $jail/data/error.log"
	[ -z "$first" ] || root chroot "$jail" mysql --no-defaults --socket=/data/mysqld.sock -u root \
		-e "CREATE USER usher@'%' IDENTIFIED BY '$password'; GRANT ALL ON *.* TO usher@'%' WITH GRANT OPTION;"
}

# PgBouncer takes the user and the place of the server from USHER_TEST_POSTGRES.
pgbouncer_local() {
	need pgbouncer pgbouncer
	local folder=$home/pgbouncer server=${USHER_TEST_POSTGRES#*://} user place
	user=${server%%@*} place=${server#*@} place=${place%%/*}
	root install -d -m 700 -o postgres "$folder"
	root sh -c "cat >'$folder/users'" <<<"\"${user%%:*}\" \"${user#*:}\""
	root sh -c "cat >'$folder/pgbouncer.ini'" <<-INI
		[databases]
		* = host=${place%%:*} port=${place#*:}
		[pgbouncer]
		listen_addr = 127.0.0.1
		listen_port = $pgbouncer_port
		unix_socket_dir =
		auth_type = scram-sha-256
		auth_file = $folder/users
		pool_mode = transaction
		default_pool_size = 4
		max_client_conn = 300
		server_idle_timeout = 10
		logfile = $folder/log
		pidfile = $folder/pid
	INI
	root chown postgres "$folder/users" "$folder/pgbouncer.ini"
	as postgres pgbouncer -q -d "$folder/pgbouncer.ini"
	within 20 answers "$pgbouncer_port" || die "PgBouncer did not start: $folder/log"
}

# through_pgbouncer is USHER_TEST_POSTGRES by way of PgBouncer.
through_pgbouncer() { sed -E "s,@[^/]*,@127.0.0.1:$pgbouncer_port," <<<"$USHER_TEST_POSTGRES"; }

# local_server NAME PORT: start it unless it answers already.
local_server() {
	answers "$2" && return
	root install -d -m 755 "$home"
	root chmod 777 "$home"
	say "starting $1 on 127.0.0.1:$2"
	"$1_local"
}

up() {
	if [ -n "${USHER_TEST_POSTGRES:-}" ] && [ -n "${USHER_TEST_MYSQL:-}" ] && [ -n "${USHER_TEST_MARIADB:-}" ]; then
		say "using the DSNs of the environment"
	elif docker info >/dev/null 2>&1; then
		say "starting Docker Compose"
		docker compose up -d --wait >&2
	else
		[ -n "${USHER_TEST_POSTGRES:-}" ] || local_server postgres "$postgres_port"
		[ -n "${USHER_TEST_MYSQL:-}" ] || local_server mysql "$mysql_port"
		[ -n "${USHER_TEST_MARIADB:-}" ] || local_server mariadb "$mariadb_port"
	fi
	: "${USHER_TEST_POSTGRES:=postgres://usher:$password@127.0.0.1:$postgres_port/postgres}"
	[ -n "${USHER_TEST_PGBOUNCER:-}" ] || local_server pgbouncer "$pgbouncer_port"
	printf 'export USHER_TEST_POSTGRES=%q\n' "$USHER_TEST_POSTGRES"
	printf 'export USHER_TEST_PGBOUNCER=%q\n' "${USHER_TEST_PGBOUNCER:-$(through_pgbouncer)}"
	printf 'export USHER_TEST_MYSQL=%q\n' "${USHER_TEST_MYSQL:-mysql://usher:$password@127.0.0.1:$mysql_port/mysql}"
	printf 'export USHER_TEST_MARIADB=%q\n' "${USHER_TEST_MARIADB:-mysql://usher:$password@127.0.0.1:$mariadb_port/mysql}"
}

# stop PIDFILE: end that server, and only that one.
stop() {
	local pid
	pid=$(root sh -c "head -1 '$1' 2>/dev/null" || true)
	[ -n "$pid" ] || return 0
	root kill "$pid" 2>/dev/null || return 0
	within 30 sh -c "! kill -0 $pid 2>/dev/null" || root kill -9 "$pid"
}

down() {
	stop "$home/pgbouncer/pid"
	stop "$home/postgres/postmaster.pid"
	stop "$home/mariadb/mysqld.pid"
	stop "$home/mysql/data/mysqld.pid"
	root rm -rf "$home/pgbouncer" "$home/postgres" "$home/postgres.pw" "$home/mariadb" "$home/mysql/data"
	say "stopped; MySQL's programs are kept in $home/mysql"
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0 # tests/clusters.sh builds on what is above

case ${1:-} in
up | down) "$1" ;;
*) die "usage: $0 up|down" ;;
esac
