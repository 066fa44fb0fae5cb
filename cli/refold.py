"""`shelian refold`: have the applications read the chain anew from its first block."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.layout import Layout
from cli.node import load_genesis
from cli.output import AsJson, result
from cli.system import AGENCIES


def refold(
    data: Annotated[Path, typer.Argument(help="数据目录 data directory, not in use")] = Path("data"),
    as_json: AsJson = False,
) -> None:
    """Drop what the applications know of the chain; they fold it again when they start. What people wrote
    stays.

    After a repair that dropped blocks, or a restored backup of the ledger.
    """
    from apps.community_correction.store import Store
    from apps.sharing_points.store import PointsStore
    from apps.site.store import open_sqlite

    layout = Layout(data.resolve())
    load_genesis(layout)  # a typed error where there is no data directory
    dropped = []
    for agency in AGENCIES:
        path = layout.correction(agency) / "correction.sqlite"
        if path.exists():
            store = Store.open(path)
            store.drop_projection()
            store.close()
            dropped.append(agency)
    path = layout.points / "points.sqlite"
    if path.exists():
        points = PointsStore(open_sqlite(path))
        points.drop_projection()
        points.close()
        dropped.append("points")
    text = f"下次启动时从创世起重读链 will read the chain anew at the next start: {', '.join(dropped) or '–'}"
    result({"ok": True, "dropped": dropped}, as_json=as_json, text=text)
