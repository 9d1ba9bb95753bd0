"""The charts as a dashboard of other programs: one definition, written as Superset (and Preset) imports it, and as Grafana does.

Superset's files are YAML; they are written as JSON, which is YAML too. Each SQL is a chart's own statement with its window filled in.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import uuid
import zipfile
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from clickreel import timespec
from clickreel.errors import UsageError
from clickreel.insight.charts import CHARTS, Chart
from clickreel.insight.tabular import plain_type
from clickreel.profile import Profile

KINDS = ("superset", "grafana")
TITLE = "clickreel: DVD clicks"
_ROOT = "clickreel_dashboard"
_NAMESPACE = uuid.UUID("7a9c2a50-5b0c-4d53-9a43-3f1f3a3d9c11")
# Columns that a statement calls otherwise, because the name stands for something else inside it.
_IN_STATEMENT = {("session_lengths", "ended"): "ended_sessions"}
_SUPERSET_TYPES = {int: "Int64", float: "Float64", str: "String", bool: "Bool"}
_COLUMNS = 2
_GRID_WIDTH = {"superset": 12, "grafana": 24}


def export_dashboard(kind: str, profile: Profile) -> bytes:
    """The dashboard as a file.

    Args:
        kind: ``superset`` (a zip) or ``grafana`` (JSON).
        profile: Where ClickHouse is; without an address it is left to be filled in.

    Raises:
        UsageError: The kind is another.
    """
    if kind not in KINDS:
        raise UsageError(f"no dashboard export {kind!r}", hint=f"one of: {', '.join(KINDS)}")
    return _superset(profile) if kind == "superset" else _grafana()


def chart_sql(chart: Chart[Any], begin_ms: str, end_ms: str) -> str:
    """A chart's statement without parameters; its columns have the names of the chart's rows, instants are DateTime64.

    Args:
        chart: The chart.
        begin_ms: SQL for the begin of the window, milliseconds since 1970.
        end_ms: SQL for its end.
    """
    values = {"from_ms": begin_ms, "end_ms": end_ms, **{name: str(value) for name, value in chart.parameters.items()}}
    statement = re.sub(r"\{(\w+):\w+\}", lambda match: f"({values[match[1]]})", chart.sql).strip()
    return f"SELECT {', '.join(map(_column_sql, _sources(chart)))}\nFROM\n(\n{statement}\n)"


def _sources(chart: Chart[Any]) -> list[tuple[str, str]]:
    """The statement's name and the row's name of each column."""
    names = [field.name for field in dataclasses.fields(chart.row_type)]
    return [(_IN_STATEMENT.get((chart.name, name), name), name) for name in names]


def _column_sql(names: tuple[str, str]) -> str:
    source, name = names
    if name.endswith("_ms"):
        return f"fromUnixTimestamp64Milli(toInt64({source}), 'UTC') AS {name.removesuffix('_ms')}"
    return source if source == name else f"{source} AS {name}"


def _superset(profile: Profile) -> bytes:
    files: dict[str, Any] = {
        "metadata.yaml": {"version": "1.0.0", "type": "Dashboard", "timestamp": "2026-01-01T00:00:00+00:00"},
        "databases/clickreel.yaml": {
            "database_name": "clickreel",
            "sqlalchemy_uri": _address(profile),
            "cache_timeout": None,
            "expose_in_sqllab": True,
            "allow_run_async": False,
            "allow_ctas": False,
            "allow_cvas": False,
            "allow_dml": False,
            "extra": {"allows_virtual_table_explore": True},
            "uuid": _id("database"),
            "version": "1.0.0",
        },
        "dashboards/clickreel.yaml": {
            "dashboard_title": TITLE,
            "description": None,
            "css": "",
            "slug": "clickreel",
            "uuid": _id("dashboard"),
            "position": _superset_position(),
            "metadata": {},
            "version": "1.0.0",
        },
    }
    for chart in CHARTS:
        files[f"datasets/clickreel/{chart.name}.yaml"] = _superset_dataset(chart, profile)
        files[f"charts/{chart.name}.yaml"] = _superset_chart(chart)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            # A date of its own for each file would make every export another one.
            info = zipfile.ZipInfo(f"{_ROOT}/{name}", (2026, 1, 1, 0, 0, 0))
            archive.writestr(info, json.dumps(content, indent=2))
    return out.getvalue()


def _superset_dataset(chart: Chart[Any], profile: Profile) -> dict[str, Any]:
    end_ms = "toUnixTimestamp64Milli(now64(3))"
    begin_ms = f"{end_ms} - {timespec.span_ms(chart.since, 'since')}"
    return {
        "table_name": chart.name,
        "main_dttm_col": None,
        "description": chart.title,
        "schema": profile.clickhouse_database or "default",
        "sql": chart_sql(chart, begin_ms, end_ms),
        "params": None,
        "filter_select_enabled": True,
        "uuid": _id(f"dataset {chart.name}"),
        "metrics": [{"metric_name": "count", "expression": "COUNT(*)", "metric_type": "count", "verbose_name": "rows"}],
        "columns": [
            {
                "column_name": name,
                "type": kind,
                "is_dttm": kind.startswith("DateTime"),
                "groupby": True,
                "filterable": True,
            }
            for name, kind in _superset_columns(chart)
        ],
        "version": "1.0.0",
        "database_uuid": _id("database"),
    }


def _superset_columns(chart: Chart[Any]) -> list[tuple[str, str]]:
    hints = get_type_hints(chart.row_type)
    return [
        (
            name.removesuffix("_ms"),
            "DateTime64(3)" if name.endswith("_ms") else _SUPERSET_TYPES[plain_type(hints[name])],
        )
        for _, name in _sources(chart)
    ]


def _superset_chart(chart: Chart[Any]) -> dict[str, Any]:
    names = [name for name, _ in _superset_columns(chart)]
    return {
        "slice_name": chart.title,
        "viz_type": "table",
        "params": {"viz_type": "table", "query_mode": "raw", "all_columns": names, "row_limit": 1000},
        "cache_timeout": None,
        "uuid": _id(f"chart {chart.name}"),
        "version": "1.0.0",
        "dataset_uuid": _id(f"dataset {chart.name}"),
    }


def _superset_position() -> dict[str, Any]:
    rows = [CHARTS[at : at + _COLUMNS] for at in range(0, len(CHARTS), _COLUMNS)]
    names = [f"ROW-{number}" for number in range(len(rows))]
    position: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": names, "parents": ["ROOT_ID"]},
    }
    for name, charts in zip(names, rows, strict=True):
        children = [f"CHART-{chart.name}" for chart in charts]
        position[name] = {
            "type": "ROW",
            "id": name,
            "children": children,
            "parents": ["ROOT_ID", "GRID_ID"],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
        }
        for child, chart in zip(children, charts, strict=True):
            position[child] = {
                "type": "CHART",
                "id": child,
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID", name],
                "meta": {
                    "chartId": CHARTS.index(chart) + 1,
                    "uuid": _id(f"chart {chart.name}"),
                    "sliceName": chart.title,
                    "width": _GRID_WIDTH["superset"] // _COLUMNS,
                    "height": 50,
                },
            }
    return position


def _grafana() -> bytes:
    source = {"type": "grafana-clickhouse-datasource", "uid": "${DS_CLICKHOUSE}"}
    width = _GRID_WIDTH["grafana"] // _COLUMNS
    panels = [
        {
            "id": number + 1,
            "title": chart.title,
            "type": "timeseries" if chart.name == "clicks_per_minute" else "table",
            "datasource": source,
            "gridPos": {"h": 8, "w": width, "x": number % _COLUMNS * width, "y": number // _COLUMNS * 8},
            "targets": [
                {
                    "refId": "A",
                    "datasource": source,
                    "editorType": "sql",
                    "queryType": "timeseries" if chart.name == "clicks_per_minute" else "table",
                    "rawSql": chart_sql(chart, "${__from}", "${__to}"),
                }
            ],
        }
        for number, chart in enumerate(CHARTS)
    ]
    dashboard = {
        "__inputs": [
            {
                "name": "DS_CLICKHOUSE",
                "label": "ClickHouse",
                "type": "datasource",
                "pluginId": "grafana-clickhouse-datasource",
                "pluginName": "ClickHouse",
            }
        ],
        "title": TITLE,
        "uid": "clickreel",
        "schemaVersion": 39,
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "utc",
        "refresh": "10s",
        "panels": panels,
    }
    return json.dumps(dashboard, indent=2).encode()


def _address(profile: Profile) -> str:
    """The database's address without its password, which Superset asks for at the import."""
    url = urlsplit(profile.clickhouse_url or "http://HOST:8123")
    scheme = "clickhousedb"
    place = url.netloc.rpartition("@")[2]
    return f"{scheme}://{profile.clickhouse_user or 'default'}:XXXXXXXXXX@{place}/{profile.clickhouse_database or 'default'}"


def _id(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))
