"""ClickHouse on a laptop: the engine as a library (chDB), in a process of its own, behind ClickHouse's HTTP interface.

``python -m clickreel.local.clickhouse --data DIR --port P`` serves on 127.0.0.1 what a server serves on port 8123, so that
clickhouse-connect, the JavaScript client, curl and BI tools use it as they use a server, and so does the rest of clickreel: to
move to a real one is to change an address.

It is a front for one machine and one folder. Where it differs from a server:

* **One process, one folder, no cluster.** No native protocol (port 9000), no replication, no Keeper, no users in SQL: two users
  at most, from the settings (``CLICKREEL_LOCAL_CLICKHOUSE_USER``, ``_PASSWORD``, ``_READER``, ``_READER_PASSWORD``).
* **Table engines that need a background service of a server** do not work: Kafka never consumes, Replicated* and Distributed have
  no cluster. Merges, mutations, TTLs, materialized views, dictionaries and refreshable views do work.
* **No system logs** (``system.query_log``, ``part_log`` and the like): the engine keeps none.
* **Ids of statements.** The engine gives each statement an id of its own. KILL QUERY understands the caller's ``query_id``
  where it stands as a text in the statement; ``system.processes`` and ``queryID()`` show the engine's.
* **A reading statement ends with its client.** A server goes on by default (``cancel_http_readonly_queries_on_client_close``).
* **Inserts are synchronous**: ``async_insert`` is off unless a request turns it on.
* **Native of a protocol version** (``client_protocol_version``) has block info and serialization byte; JSON and Dynamic keep the form
  of versions before 54473.
* **Summary headers** of a result that is larger than 1 MiB are zeros, because they are sent before it has ended; with
  ``wait_end_of_query=1`` they are true. ``memory_usage`` is always 0; ``X-ClickHouse-Progress`` headers are not sent.
* **Compression**: zstd, lz4, gzip, deflate and ClickHouse's own blocks, both ways; no br, xz, bz2, snappy. When a client takes several,
  the order is that one. The level is 1 unless ``http_zlib_compression_level`` says otherwise.
* **GET** refuses all that changes something, temporary tables included.
* **The reader** may not set anything, not even harmless settings, may not bring external tables, and may not call ``file()``.
* **Files**: on Linux (5.13 and later) ``file()``, the engine ``File`` and ``url('file:...')`` reach the data folder, where relative names mean
  its folder ``user_files``, and what Python and the system's libraries need; nothing outside of the data folder is written, and no program is
  run (``executable()`` gives no rows). Elsewhere user ``default`` reaches every file that the process may. ``url()`` and ``s3()`` reach the network.
* **A materialized view on a view** is refused with the statement that works; a server takes it, and it never gets a row.
* **Parquet, Arrow files and ORC** are held whole in memory while they are inserted; all other formats stream.
* **``INSERT ... SELECT ... FROM input()``** reads formats in one direction: Parquet and Arrow files fail in it with the engine's words.
* **Web pages** from elsewhere (headers ``Origin``, ``Sec-Fetch-Site``), and names that are not this machine's (``Host``), are not let
  in, whatever password they bring; there is no ``/play`` and no ``/dashboard``.
* **Statements** are 1 MiB at most, with ``max_query_size`` in the URL 16 MiB; there are 256 connections at once.
* **Memory**: half of the machine's, at most 4 GB, for all statements together (``CLICKREEL_LOCAL_CLICKHOUSE_MEMORY_MB``).

How a request goes: :mod:`clickreel.local.http_connection` reads it, :mod:`authentication` knows the user, :mod:`query_request` sorts its parameters, :mod:`query_sessions` or
:mod:`engine` gives a connection, :mod:`statement_parts` finds where the text ends and data begins, :mod:`insert_stream` pushes data in,
:mod:`query_result` streams a result out, :mod:`query_handler` holds these together, :mod:`http_server` turns failures into answers.
"""
