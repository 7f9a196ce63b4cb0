"""What a person sees of the quickstart's run in Prefect's and MLflow's own pages. Screenshots are kept in .artifacts/screenshots."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from tests.support.printed import Quickstart, quickstart

PAGE_SECONDS = 60
TASKS = ("resolve_datasets", "build_environment", "launch_training")


@pytest.fixture(scope="module")
def run(services: Any) -> Quickstart:
    return quickstart(services.mlflows("run", "examples/quickstart/submit.py"))


def test_prefect_shows_the_flow_run(run: Quickstart, browser: WebDriver, screenshot: Callable[[str], None]) -> None:
    browser.get(run.prefect_link)
    see(browser, "Completed", "3 Task runs", "alpha 0.05")
    screenshot("prefect-flow-run")

    click(browser, "Task Runs")
    see(browser, *TASKS)
    screenshot("prefect-task-runs")

    click(browser, "Artifacts")
    see(browser, "mlflow-run", "The run in MLflow", "script-run", "How the run ended")
    screenshot("prefect-artifacts")

    click(browser, "Parameters")
    see(browser, '"script": "train.py"', '"experiment": "quickstart"')
    screenshot("prefect-parameters")

    click(browser, "Artifacts")
    click(browser, "script-run")
    see(browser, "Job folder", run.run_id)
    screenshot("prefect-outcome")


def test_mlflow_shows_the_run(run: Quickstart, browser: WebDriver, screenshot: Callable[[str], None]) -> None:
    browser.get(run.mlflow_link)
    see(browser, "Finished", "Metrics (4)", "best_mse", "Parameters (1)", "alpha", "0.5", "best_alpha", "diabetes")
    screenshot("mlflow-run")

    browser.get(run.mlflow_link + "/model-metrics")
    for name in ("mse", "r2", "alpha"):
        see(browser, f"({name})")
    assert browser.find_elements(By.CSS_SELECTOR, "svg.main-svg"), "no chart was drawn"
    screenshot("mlflow-charts")

    browser.get(run.mlflow_link + "/artifacts")
    click(browser, "outputs")
    see(browser, "model.pkl")
    screenshot("mlflow-outputs")

    click(browser, "user_logs")
    click(browser, "std_log.txt")
    see(browser, "alpha 0.05", "best: alpha")
    screenshot("mlflow-logs")


def see(browser: WebDriver, *texts: str) -> None:
    """Wait until the page shows all of the texts.

    Raises:
        AssertionError: it does not within PAGE_SECONDS; the message has what it shows instead.
    """
    deadline = time.monotonic() + PAGE_SECONDS
    while missing := [text for text in texts if text not in shown(browser)]:
        assert time.monotonic() < deadline, f"{browser.current_url} does not show {missing}, but\n{shown(browser)}"
        time.sleep(0.2)


def shown(browser: WebDriver) -> str:
    """The visible text; none while the page is being replaced."""
    try:
        return browser.find_element(By.TAG_NAME, "body").text
    except WebDriverException:
        return ""


def click(browser: WebDriver, text: str) -> None:
    """Click what shows exactly ``text``, once it can be clicked; of several, the last in the page, past any navigation."""
    deadline = time.monotonic() + PAGE_SECONDS
    while True:
        for element in reversed(browser.find_elements(By.XPATH, f"//*[text()[normalize-space()='{text}']]")):
            try:
                return element.click()
            except WebDriverException:  # hidden, covered or replaced in the meantime
                continue
        assert time.monotonic() < deadline, f"nothing to click says {text!r}:\n{shown(browser)}"
        time.sleep(0.2)
