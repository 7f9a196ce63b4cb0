"""TabularDataset: reading, types, steps, times, and mistakes."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlflows.data.data_type import DataType
from mlflows.data.dataset import Dataset
from mlflows.data.datastore import LocalFolderDatastore
from mlflows.data.tabular_dataset import TabularDataset
from mlflows.exceptions import DatasetTimestampMissingError, UserErrorException

from .conftest import write

PEOPLE = "name,age,score,member,born,code\nAnn,30,1.5,true,1990-01-02,007\nBob,,2,false,1991-03-04,\nÇem,41,NA,TRUE,1980-05-06,x\n"


@pytest.fixture
def people(filled: LocalFolderDatastore) -> TabularDataset:
    write(filled.root, {"people.csv": PEOPLE})
    return Dataset.Tabular.from_delimited_files((filled, "people.csv"))


@pytest.fixture
def days(filled: LocalFolderDatastore) -> TabularDataset:
    """A row an hour of two days."""
    for day in (1, 2):
        rows = "".join(f"2021-01-0{day}T{hour:02}:00:00,{hour}\n" for hour in range(24))
        write(filled.root, {f"days/2021/01/0{day}/data.csv": "time,value\n" + rows})
    return Dataset.Tabular.from_delimited_files((filled, "days/**"), partition_format="/{day:yyyy/MM/dd}/data.csv")


class TestDelimited:
    def test_types_are_found(self, people: TabularDataset) -> None:
        frame = people.to_pandas_dataframe()
        assert list(frame.columns) == ["name", "age", "score", "member", "born", "code"]
        assert frame["age"].tolist()[::2] == [30, 41] and frame["age"].dtype == float and frame["score"].sum() == 3.5
        assert frame["member"].dtype == bool and frame["born"].iloc[0] == pd.Timestamp("1990-01-02")
        assert frame["name"].tolist() == ["Ann", "Bob", "Çem"] and frame["code"].iloc[0] == "007" and pd.isna(frame["code"].iloc[1])

    def test_types_are_not_found(self, filled: LocalFolderDatastore, people: TabularDataset) -> None:
        frame = Dataset.Tabular.from_delimited_files((filled, "people.csv"), infer_column_types=False).to_pandas_dataframe()
        assert frame["age"].iloc[0] == "30" and frame["born"].iloc[0] == "1990-01-02"

    def test_all_files_decide(self, filled: LocalFolderDatastore) -> None:
        write(
            filled.root,
            {"m/1.csv": "a,b\n1,1\n2,2\n", "m/2.csv": "a,b\nx,3.5\n", "m/3.csv": "a,c\n4,true\n", "m/4.csv": "", "m/5.csv": "a,b\n"},
        )
        frame = Dataset.Tabular.from_delimited_files((filled, "m"), include_path=True).to_pandas_dataframe()
        assert frame["a"].tolist() == ["1", "2", "x", "4"] and frame["b"].tolist()[:3] == [1, 2, 3.5]
        assert frame["Path"].tolist() == ["/1.csv", "/1.csv", "/2.csv", "/3.csv"]

    def test_options(self, filled: LocalFolderDatastore) -> None:
        (filled.root / "latin.tsv").write_bytes("é\t1\n\t2\n".encode("latin-1"))
        made = Dataset.Tabular.from_delimited_files(
            (filled, "latin.tsv"), separator="\t", header=False, encoding="latin1", empty_as_string=True
        )
        assert made.to_pandas_dataframe().to_dict("list") == {"Column1": ["é", ""], "Column2": [1, 2]}
        write(filled.root, {"q.csv": 'a,b\n"x\ny",1\n'})
        assert Dataset.Tabular.from_delimited_files((filled, "q.csv"), support_multi_line=True).to_pandas_dataframe()["a"][0] == "x\ny"

    def test_of_the_web(self, web: tuple[str, Path]) -> None:
        write(web[1], {"t.csv": "x\n1\n2\n"})
        assert Dataset.Tabular.from_delimited_files(f"{web[0]}/t.csv").to_pandas_dataframe()["x"].sum() == 3

    def test_rows_of_another_length(self, filled: LocalFolderDatastore) -> None:
        write(
            filled.root,
            {"short.csv": "a,b\n1\n2,3\n", "long.csv": "a,b\n1,2,3\n", "later.csv": "a,b\n1,2\n1,2,3\n", "x.csv": "a::b\n1::2::3\n"},
        )
        assert Dataset.Tabular.from_delimited_files((filled, "short.csv")).to_pandas_dataframe()["b"].sum() == 3
        for name, separator in (("long.csv", ","), ("later.csv", ","), ("x.csv", "::")):
            with pytest.raises(UserErrorException, match=f"'{name}' (has rows with more values|cannot be read as delimited text)"):
                Dataset.Tabular.from_delimited_files((filled, name), separator=separator).to_pandas_dataframe()

    def test_times_with_zones_become_utc(self, filled: LocalFolderDatastore) -> None:
        write(filled.root, {"z.csv": "t\n2021-01-01T00:00:00-05:00\n2021-07-01T00:00:00+02:00\n"})
        frame = Dataset.Tabular.from_delimited_files((filled, "z.csv")).to_pandas_dataframe()
        assert frame["t"].tolist() == [pd.Timestamp("2021-01-01T05:00"), pd.Timestamp("2021-06-30T22:00")]

    def test_not_text(self, filled: LocalFolderDatastore) -> None:
        (filled.root / "bad.csv").write_bytes(b"a\n\xff\xfe\n")
        with pytest.raises(UserErrorException, match="'bad.csv' is not text in utf-8"):
            Dataset.Tabular.from_delimited_files((filled, "bad.csv"))

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"path": None}, "path: None is not a path"),
            ({"path": []}, "path: an empty list"),
            ({"validate": 1}, "validate: expected True or False"),
            ({"include_path": "x"}, "include_path: expected True or False"),
            ({"infer_column_types": None}, "infer_column_types: expected True or False"),
            ({"set_column_types": ["a"]}, "set_column_types: expected a dict"),
            ({"set_column_types": {"a": "int"}}, "set_column_types: 'a': 'int' is not"),
            ({"set_column_types": {3: DataType.to_long()}}, "set_column_types: 3: "),
            ({"set_column_types": {"zzz": DataType.to_long()}}, "set_column_types: there is no column 'zzz'. There are: name, age"),
            ({"separator": ""}, "separator: ''"),
            ({"separator": None}, "separator: None"),
            ({"header": "first"}, "header: 'first' is not available in this version yet"),
            ({"partition_format": "x"}, "partition_format: 'x' names no column"),
            ({"partition_format": "/{a}/x"}, "partition_format: 'people.csv' is not of the format"),
            ({"support_multi_line": 3}, "support_multi_line: expected True or False"),
            ({"empty_as_string": 3}, "empty_as_string: expected True or False"),
            ({"encoding": "klingon"}, "encoding: 'klingon' is not one of utf8"),
            ({"encoding": None}, "encoding: None is not one of utf8"),
        ],
    )
    def test_mistakes(self, filled: LocalFolderDatastore, people: TabularDataset, change: dict[str, Any], says: str) -> None:
        with pytest.raises(UserErrorException, match=says):
            Dataset.Tabular.from_delimited_files(**{"path": (filled, "people.csv"), **change})


class TestOthers:
    def test_parquet(self, filled: LocalFolderDatastore) -> None:
        for number in range(3):
            (filled.root / f"p/part={number}").mkdir(parents=True)
            pd.DataFrame({"a": range(1000), "b": "x"}).to_parquet(filled.root / f"p/part={number}/0.parquet")
        made = Dataset.Tabular.from_parquet_files((filled, "p"), partition_format="/part={part}/*.parquet", include_path=True)
        frame = made.to_pandas_dataframe()
        assert len(frame) == 3000 and set(frame["part"]) == {"0", "1", "2"} and frame["Path"].iloc[0] == "/part=0/0.parquet"
        assert made.skip(999).take(2).to_pandas_dataframe()["a"].tolist() == [999, 0]
        write(filled.root, {"p/bad.parquet": "no"})
        with pytest.raises(UserErrorException, match="'bad.parquet' cannot be read as Parquet"):
            Dataset.Tabular.from_parquet_files((filled, "p/bad.parquet"))

    def test_json_lines(self, filled: LocalFolderDatastore) -> None:
        write(filled.root, {"l.jsonl": '{"a": 1}\n\n{"b": "x", "a": 2}\nno\n[3]\n'})
        made = Dataset.Tabular.from_json_lines_files((filled, "l.jsonl"), invalid_lines="drop")
        assert made.to_pandas_dataframe()["a"].tolist() == [1, 2]
        with pytest.raises(UserErrorException, match="'l.jsonl', line 4, is not a JSON object"):
            Dataset.Tabular.from_json_lines_files((filled, "l.jsonl")).to_pandas_dataframe()

    @pytest.mark.parametrize("factory", [Dataset.Tabular.from_parquet_files, Dataset.Tabular.from_json_lines_files])
    @pytest.mark.parametrize("field", ["path", "validate", "include_path", "set_column_types", "partition_format"])
    def test_mistakes(self, filled: LocalFolderDatastore, factory: Any, field: str) -> None:
        with pytest.raises(UserErrorException, match=f"^{field}: |Message: {field}: "):
            factory(**{"path": (filled, "a.csv"), field: 3})

    def test_mistakes_of_lines(self, filled: LocalFolderDatastore) -> None:
        with pytest.raises(UserErrorException, match="invalid_lines: 'skip' is neither"):
            Dataset.Tabular.from_json_lines_files((filled, "a.csv"), invalid_lines="skip")
        with pytest.raises(UserErrorException, match="encoding: 3 is not one of"):
            Dataset.Tabular.from_json_lines_files((filled, "a.csv"), encoding=3)  # type: ignore[arg-type]


class TestTypes:
    def read(self, filled: LocalFolderDatastore, text: str, wanted: DataType, **options: Any) -> Any:
        write(filled.root, {"t.csv": f"x;y\n{text}"})
        made = Dataset.Tabular.from_delimited_files((filled, "t.csv"), separator=";", set_column_types={"x": wanted}, validate=False)
        return made.to_pandas_dataframe(**options)["x"]

    def test_each(self, filled: LocalFolderDatastore) -> None:
        assert self.read(filled, "007;1\n8;1\n", DataType.to_string()).tolist() == ["007", "8"]
        assert self.read(filled, "7;1\n-8;1\n", DataType.to_long()).dtype == "int64"
        assert self.read(filled, "7;1\nx;1\n1.5;1\n", DataType.to_long()).isna().tolist() == [False, True, True]
        assert self.read(filled, "1.234,5;1\n2;1\n", DataType.to_float(",")).tolist() == [1234.5, 2]
        assert self.read(filled, "true;1\n0;1\nFALSE;1\n", DataType.to_bool()).tolist() == [True, False, False]
        times = self.read(filled, "31.12.2020;1\n2021/02/01;1\n", DataType.to_datetime(["%d.%m.%Y", "%Y/%m/%d"]))
        assert times.tolist() == [pd.Timestamp("2020-12-31"), pd.Timestamp("2021-02-01")]
        assert self.read(filled, "2021-01-01T01:00:00+01:00;1\n", DataType.to_datetime()).tolist() == [pd.Timestamp("2021-01-01")]

    def test_what_is_not_of_the_type(self, filled: LocalFolderDatastore) -> None:
        for text, wanted in (
            ("x", DataType.to_long()),
            ("x", DataType.to_bool()),
            ("x", DataType.to_datetime("%Y")),
            ("x", DataType.to_float()),
        ):
            assert self.read(filled, f"{text};1\n", wanted).isna().all()
            with pytest.raises(UserErrorException, match="Column 'x': 'x' is not of the type"):
                self.read(filled, f"{text};1\n", wanted, on_error="fail")

    def test_mistakes(self, people: TabularDataset) -> None:
        for call, says in (
            (lambda: DataType.to_float("x"), "decimal_mark: 'x'"),
            (lambda: DataType.to_datetime([]), "formats: expected"),
            (lambda: DataType.to_datetime(3), "formats: expected"),  # type: ignore[arg-type]
            (lambda: DataType.to_stream(None), "to_stream: .* not available in this version yet"),
            (lambda: people.to_pandas_dataframe(on_error="x"), "on_error: 'x' is neither 'null' nor 'fail'"),
            (lambda: people.to_pandas_dataframe(out_of_range_datetime="x"), "out_of_range_datetime: 'x' is neither"),
        ):
            with pytest.raises(UserErrorException, match=says):
                call()


class TestSteps:
    def test_columns(self, people: TabularDataset) -> None:
        assert list(people.keep_columns(["age", "name"]).to_pandas_dataframe().columns) == ["age", "name"]
        assert list(people.keep_columns("age", validate=True).to_pandas_dataframe().columns) == ["age"]
        assert "age" not in people.drop_columns(["age", "nonsense"]).to_pandas_dataframe().columns
        with pytest.raises(UserErrorException, match="columns: there is no column 'nonsense'. There are: name, age"):
            people.keep_columns("nonsense", validate=True)
        people.keep_columns("nonsense")

    def test_rows(self, people: TabularDataset) -> None:
        assert people.take(2).to_pandas_dataframe()["name"].tolist() == ["Ann", "Bob"]
        assert people.skip(1).take(1).to_pandas_dataframe()["name"].tolist() == ["Bob"]
        assert people.skip(5).to_pandas_dataframe().empty and people.take(0).to_pandas_dataframe().empty
        assert people.skip(1).to_pandas_dataframe().index.tolist() == [0, 1]

    def test_a_few_rows_are_read_of_a_few_files(self, filled: LocalFolderDatastore) -> None:
        write(filled.root, {"many/1.csv": "a\n" + "1\n" * 500, "many/2.csv": "a\n2\n"})
        few = Dataset.Tabular.from_delimited_files((filled, "many")).take(3)
        (filled.root / "many/2.csv").write_bytes(b"a\n\xff\n")
        assert few.to_pandas_dataframe()["a"].tolist() == [1, 1, 1]

    def test_random_ones_are_the_same_each_time(self, filled: LocalFolderDatastore) -> None:
        write(filled.root, {"n.csv": "n\n" + "".join(f"{n}\n" for n in range(1000))})
        made = Dataset.Tabular.from_delimited_files((filled, "n.csv"))
        for sample in (made.take_sample(0.3), made.take_sample(0.3, seed=7)):
            first, second = sample.to_pandas_dataframe(), sample.to_pandas_dataframe()
            assert first.equals(second) and 220 < len(first) < 380
        assert made.take_sample(0.3, seed=7).to_pandas_dataframe().equals(made.take_sample(0.3, seed=7).to_pandas_dataframe())
        for seed in (None, 3):
            train, test = (part.to_pandas_dataframe() for part in made.random_split(percentage=0.8, seed=seed))
            assert sorted([*train["n"], *test["n"]]) == list(range(1000)) and 740 < len(train) < 860

    def test_filter(self, people: TabularDataset) -> None:
        def names(condition: Any) -> list[str]:
            return list(people.filter(condition).to_pandas_dataframe()["name"])

        assert names(people["age"] > 35) == ["Çem"] and names(people["age"].is_null()) == ["Bob"]
        assert names(~(people["age"] > 35)) == ["Ann", "Bob"] and names(people["name"] != "Ann") == ["Bob", "Çem"]
        assert names((people["born"] >= datetime(1990, 1, 2)) & (people["member"] == True)) == ["Ann"]  # noqa: E712
        assert names((people["name"] == "Bob") | (people["score"] == 1.5)) == ["Ann", "Bob"]
        with pytest.raises(UserErrorException, match="no column 'x'"):
            names(people["x"] == 1)
        with pytest.raises(UserErrorException, match="cannot be compared"):
            names(people["name"] > 3)

    @pytest.mark.parametrize("columns", [None, [], "", [""], 3, [3]])
    def test_no_columns(self, people: TabularDataset, columns: Any) -> None:
        for method in (people.keep_columns, people.drop_columns):
            with pytest.raises(UserErrorException, match="columns: expected a name"):
                method(columns)

    @pytest.mark.parametrize("bad", [-1, 2.5, "x", True])
    def test_no_numbers(self, people: TabularDataset, bad: Any) -> None:
        for call, field in (
            (lambda: people.take(bad), "count"),
            (lambda: people.skip(bad), "count"),
            (lambda: people.take_sample(bad), "probability"),
            (lambda: people.random_split(bad), "percentage"),
            (lambda: people.take_sample(0.5, bad), "seed"),
            (lambda: people.random_split(0.5, bad), "seed"),
        ):
            with pytest.raises(UserErrorException, match=f"{field}: "):
                call()

    def test_no_condition(self, people: TabularDataset) -> None:
        with pytest.raises(UserErrorException, match="expression: 'age > 3' is not a condition"):
            people.filter("age > 3")  # type: ignore[arg-type]


class TestTimes:
    def count(self, dataset: TabularDataset) -> int:
        return len(dataset.to_pandas_dataframe())

    def test_before_after_between(self, days: TabularDataset) -> None:
        timed = days.with_timestamp_columns(timestamp="time", partition_timestamp="day", validate=True)
        assert timed.timestamp_columns == ("time", "day")
        at = datetime(2021, 1, 1, 12)
        assert self.count(timed.time_before(at)) == 13 and self.count(timed.time_before(at, include_boundary=False)) == 12
        assert self.count(timed.time_after(at)) == 36 and self.count(timed.time_after(at, include_boundary=False)) == 35
        assert self.count(timed.time_between(at, datetime(2021, 1, 2))) == 13
        assert self.count(timed.time_between(at, datetime(2021, 1, 2), include_boundary=False)) == 11
        assert self.count(timed.time_after(at.replace(tzinfo=timezone(timedelta(hours=1))))) == 37

    def test_recent(self, filled: LocalFolderDatastore) -> None:
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        write(filled.root, {"r.csv": "t\n" + "".join(f"{(now - timedelta(hours=h)).isoformat()}\n" for h in range(1, 6))})
        timed = Dataset.Tabular.from_delimited_files((filled, "r.csv")).with_timestamp_columns("t")
        assert self.count(timed.time_recent(timedelta(hours=2, minutes=30))) == 2

    def test_partition_column_as_time(self, days: TabularDataset) -> None:
        assert self.count(days.with_timestamp_columns("day").time_after(datetime(2021, 1, 2))) == 24

    def test_columns_that_go(self, days: TabularDataset) -> None:
        timed = days.with_timestamp_columns("time", "day")
        assert timed.keep_columns(["time"]).timestamp_columns == ("time", None)
        assert timed.drop_columns("time").timestamp_columns == (None, None)
        assert timed.with_timestamp_columns().timestamp_columns == (None, None)
        assert days.with_timestamp_columns(fine_grain_timestamp="time", coarse_grain_timestamp="day").timestamp_columns == ("time", "day")

    def test_without_a_column(self, days: TabularDataset) -> None:
        now = datetime(2021, 1, 1)
        for call in (
            lambda: days.time_before(now),
            lambda: days.time_after(now),
            lambda: days.time_between(now, now),
            lambda: days.time_recent(timedelta(1)),
            lambda: days.with_timestamp_columns("time").drop_columns("time").time_before(now),
        ):
            with pytest.raises(DatasetTimestampMissingError, match="with_timestamp_columns"):
                call()

    def test_mistakes(self, days: TabularDataset) -> None:
        timed = days.with_timestamp_columns("time")
        now: Any = datetime(2021, 1, 1)
        for call, says in (
            (lambda: timed.time_before("2021"), "end_time: expected a datetime"),
            (lambda: timed.time_after(None), "start_time: expected a datetime"),
            (lambda: timed.time_between("x", now), "start_time: expected"),
            (lambda: timed.time_between(now, 3), "end_time: expected"),
            (lambda: timed.time_between(now + timedelta(1), now), "is after end_time"),
            (lambda: timed.time_recent(3), "time_delta: 3 is not"),
            (lambda: timed.time_recent(timedelta(-1)), "time_delta: "),
            (lambda: timed.time_before(now, include_boundary="x"), "include_boundary: expected"),
            (lambda: days.with_timestamp_columns(3), "timestamp: 3 is not"),
            (lambda: days.with_timestamp_columns("time", 3), "partition_timestamp: 3 is not"),
            (lambda: days.with_timestamp_columns(None, "day"), "partition_timestamp: 'day' needs"),
            (lambda: days.with_timestamp_columns("day", "day"), "partition_timestamp: 'day' needs"),
            (lambda: days.with_timestamp_columns("x", validate=True), "there is no column 'x'"),
            (lambda: days.with_timestamp_columns(grain="x"), "grain: not an argument"),
        ):
            with pytest.raises(UserErrorException, match=says):
                call()  # type: ignore[no-untyped-call]


class TestRegisterDataframe:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"dataframe": [1]}, "dataframe: expected a pandas DataFrame, got a list"),
            ({"dataframe": pd.DataFrame({"a": [object()]})}, "dataframe: Parquet cannot hold it"),
            ({"target": "x"}, "target: expected"),
            ({"target": None}, "target: expected"),
            ({"name": ""}, "name: '' is not the name of a dataset"),
            ({"description": 3}, "description: expected text"),
            ({"tags": ["x"]}, "tags: expected a dict"),
            ({"tags": {"a": 1}}, "tags: expected a dict"),
            ({"show_progress": 1}, "show_progress: expected"),
            ({"row_group_size": 0}, "row_group_size: 0 is not"),
            ({"row_group_size": True}, "row_group_size: True is not"),
            ({"make_target_path_unique": "x"}, "make_target_path_unique: expected"),
        ],
    )
    def test_mistakes(self, filled: LocalFolderDatastore, change: dict[str, Any], says: str) -> None:
        before = sorted(filled.root.rglob("*"))
        with pytest.raises(UserErrorException, match=says):
            Dataset.Tabular.register_pandas_dataframe(
                **{"dataframe": pd.DataFrame({"a": [1]}), "target": (filled, "t"), "name": "x", "show_progress": False, **change}
            )
        assert sorted(filled.root.rglob("*")) == before


def test_without_pandas(people: TabularDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserErrorException, match=r"pip install 'mlflows\[data\]'"):
        people.to_pandas_dataframe()
