"""Partition formats."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflows.data.partitions import PartitionFormat
from mlflows.exceptions import UserErrorException


@pytest.mark.parametrize(
    ("form", "path", "values"),
    [
        ("/{country}/data.csv", "sales/DE/data.csv", {"country": "DE"}),
        ("{country}/{city}/*.csv", "x/DE/Köln/1.csv", {"country": "DE", "city": "Köln"}),
        ("/{day:yyyy/MM/dd}/data.csv", "2021/03/04/data.csv", {"day": datetime(2021, 3, 4)}),
        ("/{day:yyyy/MM/dd/HH/mm/ss}/*", "a/2021/03/04/05/06/07/x", {"day": datetime(2021, 3, 4, 5, 6, 7)}),
        ("/{year:yyyy}/{month:MM}/x", "2021/03/x", {"year": datetime(2021, 1, 1), "month": datetime(1900, 3, 1)}),
        ("/{a}-{day:yyyyMMdd}.csv", "p/q-20210304.csv", {"a": "q", "day": datetime(2021, 3, 4)}),
        ("/k={k}/v={v}/*.parquet", "t/k=1/v=a b/0.parquet", {"k": "1", "v": "a b"}),
        ("/{a.b}/x+y", "z/x+y", {"a.b": "z"}),
    ],
)
def test_values(form: str, path: str, values: dict[str, object]) -> None:
    made = PartitionFormat(form)
    assert made.values(path) == values and made.columns == list(values)


@pytest.mark.parametrize("path", ["data.csv", "DE/other.csv", "DE/data.csv/x", ""])
def test_another_path(path: str) -> None:
    with pytest.raises(UserErrorException, match="is not of the format '/{country}/data.csv'"):
        PartitionFormat("/{country}/data.csv").values(path)


def test_a_date_that_there_is_not() -> None:
    with pytest.raises(UserErrorException, match="has no date that there is"):
        PartitionFormat("/{day:yyyy/MM/dd}/x").values("2021/02/30/x")


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("", "expected text"),
        ("/", "expected text"),
        (3, "expected text"),
        ("/data.csv", "names no column"),
        ("/{}/x", "without a name"),
        ("/{:yyyy}/x", "without a name"),
        ("/{a}/{a}", "'a' twice"),
        ("/{a/x", "brackets"),
        ("/a}/x", "brackets"),
        ("/{{a}}/x", "brackets"),
        ("/{a:}/x", "not a form of dates"),
        ("/{a:yyyy/yyyy}/x", "not a form of dates"),
        ("/{a:dd.MMM}/x", "not a form of dates"),
        ("/{a:hour}/x", "not a form of dates"),
    ],
)
def test_bad_formats(form: str, says: str) -> None:
    with pytest.raises(UserErrorException, match=f"partition_format: .*{says}"):
        PartitionFormat(form)


@given(form=st.text(st.sampled_from("{}:/yMdHms*a.(["), max_size=14), path=st.text(st.sampled_from("/0129a.("), max_size=14))
def test_whatever_is_given_there_is_an_answer(form: str, path: str) -> None:
    try:
        PartitionFormat(form).values(path)
    except UserErrorException:
        pass


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1)).map(lambda time: time.replace(microsecond=0)))
def test_every_time_comes_back(time: datetime) -> None:
    made = PartitionFormat("/{at:yyyy/MM/dd/HH/mm/ss}/x")
    assert made.values(f"{time.year:04}/{time:%m/%d/%H/%M/%S}/x") == {"at": time}
