"""What a user of the Python API writes; type-checked with the rest, run by test_python_api, and printed in docs/python.md."""

from __future__ import annotations

# [simulate]
import clickreel

world = clickreel.make_world(seed=7, users=500, flaws="duplicate=1%,malformed=1%")
table = clickreel.simulate_events(world, start="2026-01-01", until="2026-01-01T06:00")
print(f"{table.num_rows:,} events of run {world.run}")
frame = table.to_pandas()
print(frame.groupby("event_type", observed=True).size().to_string())

# [stack]
with clickreel.local_stack(services=["clickhouse", "kafka"]) as stack:
    stats = clickreel.produce(world, profile=stack.profile, start="2026-01-01", until="2026-01-01T06:00")
    print(f"{stats.acknowledged:,} records in {stats.topic}")

    # [read]
    for message in clickreel.read_messages(profile=stack.profile, where="event_type == 'detail_view'", limit=3):
        print(message.value["film_id"], message.verdict.is_valid)
    broken = sum(not message.verdict.is_valid for message in clickreel.read_messages(profile=stack.profile))
    print(f"{broken:,} break the contract")

    # [answers]
    report = clickreel.ingest_topic(profile=stack.profile)
    proof = clickreel.verify_run(profile=stack.profile)
    print("proven" if proof.ok else "they differ", f"{report.rows:,} rows")
    with clickreel.connect(stack.profile) as answers:
        print(answers.query("SELECT count() AS good FROM dvd_clicks").to_pylist())
        print(answers.funnel(since="7d").as_json()["steps"][0])
# [end]
