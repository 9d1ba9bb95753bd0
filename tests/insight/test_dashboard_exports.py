"""The dashboard for Superset and Grafana: every SQL in every export is run."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from clickreel.errors import UsageError
from clickreel.insight.charts import CHARTS
from clickreel.insight.dashboard_exports import chart_sql, export_dashboard
from clickreel.insight.window import window
from clickreel.profile import Profile
from tests.insight.conftest import END_MS, Landed
from tests.insight.landing import DAY_MS


def _superset(profile: Profile) -> dict[str, Any]:
    archive = zipfile.ZipFile(io.BytesIO(export_dashboard("superset", profile)))
    return {name.partition("/")[2]: json.loads(archive.read(name)) for name in archive.namelist()}


def test_every_sql_for_superset_runs_and_has_the_columns_that_are_said(landed: Landed) -> None:
    """Against the engine, as it stands in the zip."""
    files = _superset(landed.profile)
    datasets = [content for name, content in files.items() if name.startswith("datasets/")]
    assert len(datasets) == len(CHARTS)
    for dataset in datasets:
        table = landed.client.columns(dataset["sql"])
        assert table.column_names == [column["column_name"] for column in dataset["columns"]], dataset["table_name"]


def test_every_sql_for_grafana_runs_and_gives_the_numbers_of_the_chart(landed: Landed) -> None:
    """With the bounds put in as Grafana does."""
    span = window(landed.client, 2 * DAY_MS, now_ms=END_MS, end_ms=END_MS)
    panels = json.loads(export_dashboard("grafana", landed.profile))["panels"]
    assert len(panels) == len(CHARTS)
    for chart, panel in zip(CHARTS, panels, strict=True):
        sql = panel["targets"][0]["rawSql"]
        sql = sql.replace("${__from}", str(span.begin_ms)).replace("${__to}", str(span.end_ms))
        found = landed.client.columns(sql)
        wanted = chart(landed.client, span).to_arrow()
        assert found.column_names == wanted.column_names
        for name in wanted.column_names:
            assert found[name].cast(wanted[name].type).to_pylist() == wanted[name].to_pylist(), (chart.name, name)


def test_the_parts_of_the_zip_refer_to_each_other(landed: Landed) -> None:
    """Metadata, a database, datasets, charts and a dashboard that shows every chart; no password."""
    files = _superset(landed.profile)
    database = files["databases/clickreel.yaml"]
    assert files["metadata.yaml"]["type"] == "Dashboard"
    assert database["sqlalchemy_uri"].startswith("clickhousedb://default:XXXXXXXXXX@127.0.0.1:")
    datasets = {one["uuid"]: one for name, one in files.items() if name.startswith("datasets/")}
    charts = {one["uuid"] for name, one in files.items() if name.startswith("charts/")}
    assert {one["database_uuid"] for one in datasets.values()} == {database["uuid"]}
    assert {one["dataset_uuid"] for name, one in files.items() if name.startswith("charts/")} == set(datasets)
    position = files["dashboards/clickreel.yaml"]["position"]
    shown = {part["meta"]["uuid"] for part in position.values() if isinstance(part, dict) and part["type"] == "CHART"}
    assert shown == charts
    assert export_dashboard("superset", landed.profile) == export_dashboard("superset", landed.profile)


def test_no_parameter_is_left_and_no_other_kind_is_taken() -> None:
    """A statement for another program names its own bounds."""
    for chart in CHARTS:
        assert "{" not in chart_sql(chart, "0", "1")
    with pytest.raises(UsageError, match="no dashboard export"):
        export_dashboard("tableau", Profile({}))
