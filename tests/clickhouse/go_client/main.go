// Selects, inserts and reads back through clickhouse-go over HTTP with each of its compressions. Prints one line a compression.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func main() {
	for name, method := range map[string]clickhouse.CompressionMethod{
		"none": clickhouse.CompressionNone, "gzip": clickhouse.CompressionGZIP,
		"lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD,
	} {
		if err := check(os.Args[1], name, method); err != nil {
			fmt.Printf("%s failed: %v\n", name, err)
			os.Exit(1)
		}
	}
}

func check(address string, name string, method clickhouse.CompressionMethod) error {
	connection, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{address},
		Auth:        clickhouse.Auth{Database: "default", Username: "default"},
		Compression: &clickhouse.Compression{Method: method, Level: 3},
	})
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx := context.Background()
	table := "go_" + name
	if err := connection.Exec(ctx, "CREATE OR REPLACE TABLE "+table+" (a UInt64, b String, c Nullable(Int32), d Array(String)) ENGINE = MergeTree ORDER BY a"); err != nil {
		return err
	}
	batch, err := connection.PrepareBatch(ctx, "INSERT INTO "+table)
	if err != nil {
		return err
	}
	for row := 0; row < 1000; row++ {
		if err := batch.Append(uint64(row), fmt.Sprint(row), (*int32)(nil), []string{"x", "ё"}); err != nil {
			return err
		}
	}
	if err := batch.Send(); err != nil {
		return err
	}
	rows, err := connection.Query(ctx, "SELECT a, b, c, d FROM "+table+" ORDER BY a DESC")
	if err != nil {
		return err
	}
	defer rows.Close()
	count, sum := 0, uint64(0)
	for rows.Next() {
		var number uint64
		var text string
		var empty *int32
		var list []string
		if err := rows.Scan(&number, &text, &empty, &list); err != nil {
			return err
		}
		count, sum = count+1, sum+number
	}
	if rows.Err() != nil {
		return rows.Err()
	}
	fmt.Printf("%s %d %d\n", name, count, sum)
	return nil
}
