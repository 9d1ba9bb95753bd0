"""A command whose extra is not installed says which one to install."""

from __future__ import annotations

import pytest

from clickreel.cli.extras import explain_missing_module


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("chdb.session", "local"),
        ("clickhouse_connect", "warehouse"),
        ("sklearn.mixture", "realism"),
        ("prompt_toolkit", "flink"),
        ("fastjsonschema", "bench"),
    ],
)
def test_the_smallest_extra_is_named(module: str, extra: str) -> None:
    """Whatever else brings it too."""
    found = explain_missing_module(ModuleNotFoundError(name=module))
    assert found is not None
    assert found.hint == f"pip install 'clickreel[{extra}]'"
    assert found.exit_code == 3


def test_a_module_of_no_extra_is_a_fault_of_ours() -> None:
    """The traceback stays."""
    assert explain_missing_module(ModuleNotFoundError(name="clickreel.nowhere")) is None
