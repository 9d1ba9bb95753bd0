// The official JavaScript client, unmodified, against the front. Prints one JSON object; run with the server's address and port.
import { createClient } from '@clickhouse/client'
import { Readable } from 'node:stream'

const database = `js_${process.pid}`
const url = process.argv[2]
const root = createClient({ url })
await root.command({ query: `CREATE DATABASE ${database}` })
const client = createClient({ url, database, compression: { request: true, response: true }, session_id: `s${process.pid}` })

const answer = {}
answer.ping = (await client.ping()).success
answer.pingSelect = (await client.ping({ select: true })).success
await client.command({ query: 'CREATE TABLE t (a UInt64, s String, d DateTime64(3)) ENGINE = MergeTree ORDER BY a' })
const inserted = await client.insert({
  table: 't',
  format: 'JSONEachRow',
  values: [{ a: 1, s: "it's", d: '2026-01-02 03:04:05.678' }, { a: 2, s: 'ä\t', d: '2026-01-02 03:04:05.678' }],
})
answer.executed = inserted.executed
answer.written = inserted.summary.written_rows
await client.insert({
  table: 't',
  format: 'JSONEachRow',
  columns: ['a', 's'],
  values: Readable.from((function* () { for (let n = 0; n < 50000; n++) yield { a: 100 + n, s: 'stream' } })(), { objectMode: true }),
})
const rows = await client.query({
  query: 'SELECT a, s, d FROM t WHERE a < {most:UInt64} ORDER BY a',
  query_params: { most: 10 },
  format: 'JSONEachRow',
  clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
})
answer.queryId = rows.query_id.length
answer.rows = await rows.json()
answer.json = (await (await client.query({ query: 'SELECT count() AS n FROM t', format: 'JSON' })).json()).data
let streamed = 0
const large = await client.query({ query: 'SELECT number FROM numbers(300000)', format: 'JSONEachRow' })
for await (const part of large.stream()) streamed += part.length
answer.streamed = streamed
await client.command({ query: 'CREATE TEMPORARY TABLE x (a UInt8)' })
answer.temporary = (await (await client.query({ query: 'EXISTS TEMPORARY TABLE x', format: 'JSONEachRow' })).json())[0].result
try {
  await client.query({ query: 'SELECT * FROM nope' })
} catch (error) {
  answer.error = { code: error.code, type: error.type }
}
try {
  const failing = await root.query({
    query: 'SELECT number, throwIf(number = 1500000) FROM numbers(2000000)',
    format: 'JSONEachRow',
    clickhouse_settings: { max_block_size: '10000' },
  })
  for await (const part of failing.stream()) void part
} catch (error) {
  answer.late = `${error.message}`
}
const abort = new AbortController()
setTimeout(() => abort.abort(), 200)
try {
  await root.query({ query: 'SELECT sum(sipHash64(number)) FROM numbers(100000000000)', abort_signal: abort.signal })
} catch (error) {
  answer.aborted = error.message
}
await client.command({ query: `DROP DATABASE ${database}` })
await client.close()
await root.close()
console.log(JSON.stringify(answer))
