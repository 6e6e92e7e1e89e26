// Command bench measures usher beside the floor, which is the bare UPDATE of the same runs, and
// beside the algorithm that Airflow uses, on every engine, and writes tables of what it found.
//
// Everything that is compared is measured in turns within one run, on the same tables. What
// is published are medians, and ratios of what was measured side by side: absolute times say
// more of the machine than of usher.
//
//	go run ./tests/bench [-size small|medium|full] [-engines postgres,…] [-workloads deep,…] [-out FOLDER]
//
// The servers are those of the tests: USHER_TEST_POSTGRES, USHER_TEST_MYSQL, USHER_TEST_MARIADB.
package main
