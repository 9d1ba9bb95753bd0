"""What ``clickreel simulate --change`` writes: a world, the changed world, and the true effect."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from clickreel.cli.output import print_err, print_json, print_table

if TYPE_CHECKING:
    from clickreel.simulate.world import World


def write_both(world: World, change: str, out: Path, span: tuple[int, int], *, json: bool) -> None:
    """Write the world, the changed world and the effect."""
    import pyarrow.parquet as pq

    from clickreel.simulate import files
    from clickreel.simulate.effects import EffectCounts, blocks_of_both, changed_world

    changed = changed_world(world, change)
    paths = [out, out.with_stem(f"{out.stem}-changed")]
    effect = out.with_name(f"{out.stem}-effect.parquet")
    counts, shape = EffectCounts.of_world(world, span[1]), files.shape(out)
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(files.writing(path)) for path in paths]
        for which, block in blocks_of_both(world, changed, span):
            writers[which].write(shape(block).data)
            counts.add(block.events, which)
    pq.write_table(counts.table(), effect)
    film = changed.model.change.film_id
    totals = {"all": counts.totals()} | ({f"film {film}": counts.totals(film)} if film else {})
    if json:
        names = dict(zip(("base", "changed"), map(str, paths), strict=True))
        print_json({"runs": [world.run, changed.run], "files": names | {"effect": str(effect)}, "effect": totals})
        return
    rows = [
        (what, kind, *(f"{pair[side]:,}" for side in ("base", "changed", "difference")))
        for what, kinds in totals.items()
        for kind, pair in kinds.items()
    ]
    print_table(("of", "event", "base>", "changed>", "effect>"), rows)
    print_err(f"{', '.join(map(str, paths))}; person by person: {effect}")
