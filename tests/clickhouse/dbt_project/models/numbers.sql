{{ config(materialized="incremental", order_by="id", engine="MergeTree()", unique_key="id") }}
select number as id, toString(number) as name, toDateTime64('2026-01-02 03:04:05.678', 3, 'UTC') as at from numbers(1000)
