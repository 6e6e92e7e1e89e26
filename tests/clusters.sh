#!/usr/bin/env bash
# Servers that a test may break: each test has its own, and no other test sees them.
#
#   tests/clusters.sh up KIND            start it afresh; prints the DSN of each node, one a line
#   tests/clusters.sh down KIND          stop it and delete its data
#   tests/clusters.sh kill KIND NODE     end a node as a crash would: kill -9, or PostgreSQL's immediate shutdown
#   tests/clusters.sh start KIND NODE    start it again; returns when it serves as a member
#   tests/clusters.sh freeze KIND NODE   stop the node's processes where they are (SIGSTOP): to others it is cut off
#   tests/clusters.sh thaw KIND NODE     let them go on
#   tests/clusters.sh promote KIND NODE  make a replica of PostgreSQL the primary
#   tests/clusters.sh log KIND NODE      print what the node has written to its log
#
# KIND is galera or galera-regions (three nodes of MariaDB each), group-replication (three primaries of MySQL),
# postgres-replica (a primary and a streaming replica), postgres-sync-replica (the same, and COMMIT waits for the
# replica), or one server: postgres, mysql, mariadb. Nodes count from 1. All are on 127.0.0.1, on ports below the range
# from which connections take theirs, with data in folders of their own.
. "$(dirname "$0")/servers.sh"

instead= # neither Docker nor a DSN of somebody else's server will do
here=${USHER_CLUSTER_HOME:-/var/tmp/usher-clusters}
jail=$home/mysql
inside=/usher-clusters # where MySQL's data is, seen from its folder of programs
buffers=64M

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# What a kind is: its engine, how many nodes, and its first port. The engines' own protocols use the ports from +10 on.
describe() {
	case $1 in
	galera) engine=mariadb nodes=3 ports=23100 ;;
	galera-regions) engine=mariadb nodes=3 ports=23700 ;;
	group-replication) engine=mysql nodes=3 ports=23200 ;;
	postgres-replica) engine=postgres nodes=2 ports=23300 ;;
	postgres-sync-replica) engine=postgres nodes=2 ports=23350 ;;
	postgres) engine=postgres nodes=1 ports=23400 ;;
	mysql) engine=mysql nodes=1 ports=23500 ;;
	mariadb) engine=mariadb nodes=1 ports=23600 ;;
	*) usage ;;
	esac
	kind=$1
}

port() { echo $((ports + $1)); }
# addresses FIRST: host:port of every node, from that port on, with commas.
addresses() { local n list=; for n in $(seq "$nodes"); do list+=,127.0.0.1:$(($1 + n)); done; echo "${list#,}"; }
folder() { if [ "$engine" = mysql ]; then echo "$jail$inside/$kind-$1"; else echo "$here/$kind-$1"; fi; }
log() { if [ "$engine" = postgres ]; then echo "$(folder "$1").log"; else echo "$(folder "$1")/error.log"; fi; }
# serves NODE COMMAND...: until the command says that the node serves.
serves() {
	local node=$1; shift
	within 120 "$@" || { tail -20 "$(log "$node")" >&2; die "node $node of $kind does not serve: $(log "$node")"; }
}
# detached COMMAND: run it in the background, apart from this script.
detached() { root sh -c "setsid $1 >/dev/null 2>&1 </dev/null &"; }

pid() {
	case $engine in
	postgres) root sh -c "head -1 '$(folder "$1")/postmaster.pid' 2>/dev/null" || true ;;
	*) root cat "$(folder "$1")/mysqld.pid" 2>/dev/null || true ;;
	esac
}

# gone PID: it has ended, or only its parent has not noticed yet.
gone() { [ ! -e "/proc/$1/stat" ] || grep -q '^State:.Z' "/proc/$1/status"; }

# signal NODE SIGNAL: to the node's processes; PostgreSQL has one for each connection.
signal() {
	local first; first=$(pid "$1")
	[ -n "$first" ] || die "node $1 of $kind does not run"
	root kill "-$2" "$first" $([ "$engine" != postgres ] || ps -o pid= --ppid "$first")
}

postgres_bin() { dirname "$(ls -d /usr/lib/postgresql/*/bin/postgres | sort -V | tail -1)"; }

postgres_create() {
	need "$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -1 || true)" postgresql
	local bin data; bin=$(postgres_bin) data=$(folder "$1")
	if [ "$1" -gt 1 ]; then
		root env PGPASSWORD=$password runuser -u postgres -- "$bin/pg_basebackup" -N -D "$data" -R -c fast -C -S "node$1" \
			-d "host=127.0.0.1 port=$(port 1) user=usher application_name=node$1" >/dev/null
		return
	fi
	root install -d -o postgres -m 700 "$data"
	root sh -c "echo $password >'$data.pw'; chown postgres '$data.pw'"
	as postgres "$bin/initdb" -N -D "$data" -U usher --pwfile="$data.pw" -A scram-sha-256 -E UTF8 --locale=C.UTF-8 >/dev/null
	root sh -c "echo 'host replication usher 127.0.0.1/32 scram-sha-256' >>'$data/pg_hba.conf'"
}

postgres_start() {
	as postgres "$(postgres_bin)/pg_ctl" -D "$(folder "$1")" -l "$(log "$1")" -w -t 60 start -o "-p $(port "$1") -c listen_addresses=127.0.0.1 \
		-c unix_socket_directories='' -c max_connections=200 -c shared_buffers=${buffers}B -c restart_after_crash=on" >/dev/null
	[ "$kind" != postgres-sync-replica ] || [ "$1" = 1 ] || sql 1 "ALTER SYSTEM SET synchronous_standby_names = '*'" "SELECT pg_reload_conf()" >/dev/null
}

mariadb_create() {
	need mariadbd mariadb-server
	[[ $kind != galera* ]] || { need mariadb-backup mariadb-backup; need socat socat; [ -e /usr/lib/galera/libgalera_smm.so ] || need galera galera-4; }
	if [ "$1" -gt 1 ]; then
		root cp -a "$here/$kind-seed" "$(folder "$1")" # quicker than to have it copied when it joins
		return
	fi
	root install -d -o mysql "$(folder 1)"
	root mariadb-install-db --no-defaults --user=mysql --datadir="$(folder 1)" --auth-root-authentication-method=normal --skip-test-db >/dev/null 2>&1
	mariadb_start 1 first
	welcome 1
	[[ $kind = galera* ]] || return 0
	end 1 TERM
	root cp -a "$(folder 1)" "$here/$kind-seed"
}

# mariadb_options NODE: in a file, since the program that copies data to a node that joins reads them there, and
# takes no others. It writes to a file of its own, for there may be no syslog.
mariadb_options() {
	local data; data=$(folder "$1")
	cat <<-END
		[sst]
		sst-syslog=0
		[mysqld]
		user=mysql
		datadir=$data
		socket=$data/mysqld.sock
		pid-file=$data/mysqld.pid
		tmpdir=$data.tmp
		log-error=$data/error.log
		bind-address=127.0.0.1
		port=$(port "$1")
		max-connections=200
		innodb-buffer-pool-size=$buffers
		innodb-log-file-size=$buffers
		binlog-format=ROW
		innodb-autoinc-lock-mode=2
	END
	[[ $kind = galera* ]] || return 0
	cat <<-END
		wsrep-on=ON
		wsrep-provider=/usr/lib/galera/libgalera_smm.so
		wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:$((ports + 10 + $1));ist.recv_addr=127.0.0.1:$((ports + 20 + $1));gcache.size=$buffers"
		wsrep-cluster-address=gcomm://$(addresses $((ports + 10)))
		wsrep-node-address=127.0.0.1
		wsrep-node-name=node$1
		wsrep-sst-method=mariabackup
		wsrep-sst-auth=root:
		wsrep-sst-receive-address=127.0.0.1:$((ports + 30 + $1))
	END
}

# mariadb_start NODE [first]: first makes the cluster.
mariadb_start() {
	local data; data=$(folder "$1")
	mariadb_options "$1" >"$data.cnf"
	root install -d -o mysql "$data.tmp" # a server that starts deletes temporary tables that it finds, whosesoever they are
	detached "mariadbd --defaults-file=$data.cnf ${2:+$([[ $kind != galera* ]] || echo --wsrep-new-cluster)}"
	if [[ $kind = galera* ]]; then
		serves "$1" synced "$1"
	else
		serves "$1" answers "$(port "$1")"
	fi
}

synced() { sql "$1" "SHOW STATUS LIKE 'wsrep_local_state_comment'" | grep -q Synced; }

mysql_create() {
	mysql_programs
	local seed=$inside/seed
	if [ ! -d "$jail$seed" ]; then # made once, since it takes seconds, and copied for each node
		root rm -rf "$jail$seed.new"
		root chroot "$jail" sh -c "install -d -o mysql $seed.new && mysqld --no-defaults --initialize-insecure --user=mysql --datadir=$seed.new" >/dev/null 2>&1 ||
			die "MySQL could not create its data in $jail$seed.new"
		root rm -f "$jail$seed.new/auto.cnf" # each node gives itself an id of its own
		root mv "$jail$seed.new" "$jail$seed"
	fi
	root cp -a "$jail$seed" "$(folder "$1")"
}

# mysql_start NODE [first]: first makes the group.
mysql_start() {
	local data=$inside/$kind-$1 group=
	if [ "$kind" = group-replication ]; then
		group="--server-id=$1 --gtid-mode=ON --enforce-gtid-consistency=ON --log-bin=binlog --report-host=127.0.0.1 --plugin-load-add=group_replication.so
			--group-replication-group-name=7a1d3c52-8f0e-4b6b-9b57-0d2f6c1e4a90 --group-replication-local-address=127.0.0.1:$((ports + 10 + $1))
			--group-replication-group-seeds=$(addresses $((ports + 10))) --group-replication-single-primary-mode=OFF
			--group-replication-enforce-update-everywhere-checks=ON --group-replication-recovery-get-public-key=ON
			--group-replication-ip-allowlist=127.0.0.1/8 --group-replication-member-expel-timeout=0 --group-replication-start-on-boot=${2:+OFF}${2:-ON}"
		group=${group/OFFfirst/OFF}
	fi
	detached "chroot $jail mysqld --no-defaults --user=mysql --datadir=$data --socket=$data/mysqld.sock --pid-file=$data/mysqld.pid --bind-address=127.0.0.1 \
		--port=$(port "$1") --mysqlx=OFF --max-connections=200 --innodb-buffer-pool-size=$buffers --log-error=$data/error.log $(echo $group)"
	serves "$1" answers "$(port "$1")"
	[ "$kind" != group-replication ] || [ -n "${2:-}" ] || serves "$1" online "$1"
}

online() { sql "$1" "SELECT member_state FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid" | grep -q ONLINE; }

# sql NODE STATEMENT...: as root on the node's socket, or usher on PostgreSQL.
sql() {
	local node=$1 s; shift
	for s in "$@"; do
		case $engine in
		mysql) root chroot "$jail" mysql --no-defaults -N --socket="$inside/$kind-$node/mysqld.sock" -u root -e "$s" ;;
		mariadb) root mariadb --no-defaults -N --socket="$(folder "$node")/mysqld.sock" -u root -e "$s" ;;
		postgres) PGPASSWORD=$password "$(postgres_bin)/psql" -qAt -h 127.0.0.1 -p "$(port "$node")" -U usher -d postgres -c "$s" ;;
		esac
	done
}

# welcome NODE: the user of the tests.
welcome() { sql "$1" "CREATE USER usher@'%' IDENTIFIED BY '$password'; GRANT ALL ON *.* TO usher@'%' WITH GRANT OPTION;"; }

# Each node of a group has its own users at first, and knows whom to ask for what it missed.
group_member() {
	mysql_start "$1" first
	sql "$1" "SET sql_log_bin = 0; CREATE USER usher@'%' IDENTIFIED BY '$password'; GRANT ALL ON *.* TO usher@'%' WITH GRANT OPTION; SET sql_log_bin = 1;
		CHANGE REPLICATION SOURCE TO SOURCE_USER = 'usher', SOURCE_PASSWORD = '$password' FOR CHANNEL 'group_replication_recovery';"
	if [ "$1" = 1 ]; then
		sql 1 "SET GLOBAL group_replication_bootstrap_group = ON; START GROUP_REPLICATION; SET GLOBAL group_replication_bootstrap_group = OFF;"
	else
		sql "$1" "START GROUP_REPLICATION"
	fi
	serves "$1" online "$1"
}

up() {
	local n
	erase
	root install -d -m 755 "$home" "$here"
	root chmod 777 "$home" "$here"
	for n in $(seq "$nodes"); do
		say "starting node $n of $kind on 127.0.0.1:$(port "$n")"
		"${engine}_create" "$n"
		if [ "$kind" = group-replication ]; then group_member "$n"; continue; fi
		[ "$n" = 1 ] && [ "$kind" = mariadb ] || "${engine}_start" "$n" $([ "$n" -gt 1 ] || echo first)
		[ "$engine" != mysql ] || welcome 1
	done
	for n in $(seq "$nodes"); do
		if [ "$engine" = postgres ]; then echo "postgres://usher:$password@127.0.0.1:$(port "$n")/postgres"; else echo "mysql://usher:$password@127.0.0.1:$(port "$n")/mysql"; fi
	done
}

# erase ends what runs of the kind, and its data.
erase() {
	local n p
	for n in $(seq "$nodes"); do
		p=$(pid "$n")
		[ -z "$p" ] || crash "$n"
		root rm -rf "$(folder "$n")" "$(folder "$n").pw" "$(folder "$n").log" "$(folder "$n").cnf" "$(folder "$n").tmp"
	done
	[[ $kind != galera* ]] || root rm -rf "$here/$kind-seed"
}

# end NODE SIGNAL: and wait until it has ended.
end() {
	local p; p=$(pid "$1")
	[ -n "$p" ] && ! gone "$p" || return 0
	signal "$1" "$2"
	[ "$engine" != postgres ] || (signal "$1" CONT) 2>/dev/null || true # it may be frozen, and QUIT is not KILL
	within 60 gone "$p" || die "node $1 of $kind does not end"
}

# crash NODE: PostgreSQL's children must hear of it, or they hold the memory that a new server wants. MySQL takes one
# that has ended for alive as long as its parent has not noticed.
crash() {
	end "$1" "$([ "$engine" = postgres ] && echo QUIT || echo KILL)"
	root rm -f "$(folder "$1")/mysqld.pid" "$(folder "$1")/mysqld.sock" "$(folder "$1")/mysqld.sock.lock"
}

command=${1:-}
describe "${2:-}"
case $command in
up) up ;;
down) erase ;;
kill) crash "$3" ;;
start) "${engine}_start" "$3" ;;
freeze) signal "$3" STOP ;;
thaw) signal "$3" CONT ;;
promote) as postgres "$(postgres_bin)/pg_ctl" -D "$(folder "$3")" -w -t 60 promote >/dev/null ;;
log) root cat "$(log "$3")" ;;
*) usage ;;
esac
