"""What leaves the product is JSON and CSV that every reader takes, and comes back as it was."""

import json
import math

import numpy as np
import pytest

from simulator.errors import Damaged, RunError
from simulator.runs.files import (json_text, read_csv, read_json, read_settings, table_bytes,
                                  text_of, with_nan, write_json)


def strict(text):
    """Read JSON as other languages do: NaN and Infinity are no JSON."""
    def refuse(word):
        raise AssertionError(word)
    return json.loads(text, parse_constant=refuse)


def test_numbers_that_json_lacks_are_null():
    content = {"a": math.nan, "b": [math.inf, {"c": -math.inf}], "d": np.float32("nan"),
               "e": np.array([1.0, np.nan]), "f": (1, 2)}
    assert strict(json_text(content)) == {"a": None, "b": [None, {"c": None}], "d": None,
                                          "e": [1.0, None], "f": [1, 2]}


def test_numpy_scalars_are_numbers_in_json():
    content = {"a": np.int32(3), "b": np.float32(0.5), "c": np.bool_(True), "d": True, "e": None,
               "f": np.str_("word")}
    assert json_text(content, None) == ('{"a": 3, "b": 0.5, "c": true, "d": true, "e": null, '
                                        '"f": "word"}')


def test_what_is_no_data_is_refused():
    with pytest.raises(TypeError, match="expected numbers, words, lists and tables, got <object"):
        json_text({"a": object()})


def test_null_comes_back_as_nan_where_numbers_belong(tmp_path):
    write_json(tmp_path / "a.json", {"clean": {"r50": math.nan, "bracket": [{"low": math.nan}]}})
    back = read_json(tmp_path / "a.json")
    assert back == {"clean": {"r50": None, "bracket": [{"low": None}]}}
    numbers = with_nan(back)["clean"]
    assert math.isnan(numbers["r50"]) and math.isnan(numbers["bracket"][0]["low"])


def test_older_files_with_a_bare_nan_are_still_read(tmp_path):
    (tmp_path / "a.json").write_text('{"r50": NaN}')
    assert math.isnan(read_json(tmp_path / "a.json")["r50"])


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
@pytest.mark.parametrize("name, text", [("a.toml", 'preset = "smoke"\r\nd = 30\r\n'),
                                        ("a.json", '{"preset": "smoke",\n "d": 30}')])
def test_settings_are_read_whatever_mark_an_editor_put_in_front(tmp_path, code, name, text):
    content = ("\ufeff" + text).encode("utf-16-le") if code == "utf-16-le-bom" else (
        text.encode(code))
    (tmp_path / name).write_bytes(content)
    assert read_settings(tmp_path / name) == {"preset": "smoke", "d": 30}
    assert text_of(tmp_path / name) == text


@pytest.mark.parametrize("name, content, message", [
    ("a.toml", b"d = " + b"[" * 50000 + b"]" * 50000, "TOML: it is nested too deeply"),
    ("a.json", b"[" * 50000 + b"]" * 50000, "JSON: it is nested too deeply"),
    ("a.toml", b"d = ", "expected TOML: Invalid value"),
    ("a.json", b"{", "expected JSON: Expecting property name"),
    ("a.json", b'{"d": ' + b"9" * 5000 + b"}", "expected JSON: Exceeds the limit"),
    ("a.json", b"[3]", "expected settings, got list"),
    ("a.toml", b"d = '\xe4'", "expected text in UTF-8, got other bytes"),
    ("missing.toml", None, "missing.toml: cannot be read: No such file"),
])
def test_a_bad_settings_file_is_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_settings(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize("content, message", [
    (b"{", "expected JSON, got something else or half a file"),
    (b"[" * 50000, "expected JSON, got something else"), (b"\xff{}", "expected JSON"),
    (b"[1]", "expected a JSON object, got list")])
def test_a_damaged_json_file_is_named(tmp_path, content, message):
    path = tmp_path / "status.json"
    path.write_bytes(content)
    with pytest.raises(Damaged, match=f"status.json: {message}"):
        read_json(path)
    path.unlink()
    with pytest.raises(RunError, match="status.json: cannot be read: No such file"):
        read_json(path)


def test_a_table_has_the_columns_of_all_rows_each_behind_its_neighbour(tmp_path):
    rows = [{"seed": 0, "accuracy": 0.5, "r50": 1.0},
            {"seed": 1, "accuracy": 0.25, "low": 0.1, "high": math.nan, "r50": 2.0, "last": 1.0}]
    (tmp_path / "a.csv").write_bytes(table_bytes(rows))
    text = (tmp_path / "a.csv").read_text()
    assert text == "seed,accuracy,low,high,r50,last\n0,0.5,,,1.0,\n1,0.25,0.1,,2.0,1.0\n"
    first, second = read_csv(tmp_path / "a.csv")
    assert math.isnan(first["low"]) and second["low"] == 0.1
    assert table_bytes([]) == b""


@pytest.mark.parametrize("content", [b"a,b\n1,2,3\n", b'a,b\n"1,2\n', b"a\n\xff\n"])
def test_a_damaged_table_is_named(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(Damaged, match="metrics.csv: expected a table, got something else"):
        read_csv(tmp_path / "metrics.csv")
