"""The pages in a real browser: they move, say nothing in the console, and ask nobody for anything.

Chromium without a window, driven by selenium (the extra ``browser``); skipped where one of them is
missing. Contrast and labels are checked by axe-core, which npm fetches for the test; skipped where
it cannot.
"""

import json
import math
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

import theory
from simulator.experiments.feature_purification.run import simulate
from theory.claim import outside
from theory.drawing.style import house_style, new_figure
from theory.feature_purification import dense_mixtures
from theory.feature_purification.player import SCRIPT, STYLE, player
from theory.findings import Call, merged
from theory.pages import kit
from theory.pages.run import Film, run_page
from theory.report import RunShown, html_report

from planted.feature_purification import mixture_runs
from small import small_config

selenium = pytest.importorskip("selenium", reason="needs selenium: pip install .[browser]")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (1400, 390)
PATIENCE = 60  # seconds for what takes two on a quiet machine

# what the panels show now: pixels of the map, lines of the others
SHOWN = """
const moving = document.querySelectorAll("#player .moving:not(.before), .own");
const lines = [...moving].map(
  path => path.getAttribute("d"));
return [document.getElementById("map").toDataURL(), ...lines];
"""
# every text that is seen, smaller than it may be; in a drawing as large as it is shown
SMALL_TEXT = """
const small = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, svg = element.closest("svg");
  if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
  if (["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName)) continue;
  const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  const size = scale * parseFloat(getComputedStyle(element).fontSize);
  if (size < 11) small.push([walker.currentNode.textContent, size]);
}
return small;
"""

# boxes whose content moves sideways
MOVING = """
return [...document.querySelectorAll(".wide")].filter(
  one => one.getClientRects().length && one.scrollWidth > one.clientWidth + 1
).map(one => one.getAttribute("aria-label"));
"""
# heads and buttons that are wider than the room they have
OVERFLOWING = """
return [...document.querySelectorAll("th, button")].filter(
  one => one.getClientRects().length && one.scrollWidth > one.clientWidth + 1
).map(one => one.textContent);
"""


@pytest.fixture(scope="module")
def browser():
    """A Chromium that tells what its pages log and ask for."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    window.set_page_load_timeout(PATIENCE)
    window.set_script_timeout(PATIENCE)
    yield window
    window.quit()


def a_figure():
    with house_style():
        figure, axes = new_figure(size=(7.0, 2.0))
        axes[0, 0].plot([0.0, 1.0])
    return figure


def verdicts():
    """The page of one claim that was measured, and of the others of its paper."""
    runs = mixture_runs(np.random.default_rng(1))
    found = dense_mixtures.confront(runs)
    others = [outside(theorem.claim, ["nothing was measured at tau <= 1/sqrt(k)"])
              for theorem in theory.claims() if theorem.claim.id != "A2"]
    shown = [RunShown(run.config.name, run.config.to_dict()) for run in runs]
    return html_report(merged(others, [found]), shown, [
        Call("2026-12-01", "purify verify", ("A2",), {"numpy": "2"})])


@pytest.fixture(scope="module")
def pages(brief_attacks, tmp_path_factory):
    """Pages by name: that of a run with frames, that of verdicts, and the pieces of the kit."""
    place = tmp_path_factory.mktemp("pages")
    run = simulate(small_config(frames=6))
    texts = {
        "run": run_page(run, {"accuracy": a_figure}, captions={"accuracy": "It falls."},
                        conclusion="It fell.", film=Film(player(run), STYLE, SCRIPT),
                        narrow={"accuracy": a_figure}),
        "kit": kit.page("Pieces", kit.lead("All of them."), kit.table(
            ["name", "size", "a quantity of a long name, of both networks"],
            [["b", 10.0, 1.0], ["c", 9.0, 2.0], ["a", math.nan, 3.0]], caption="sizes",
            sortable=True), kit.folded("more", kit.pairs({"k": 1}), is_open=True)),
        "verdicts": verdicts().replace("<details", "<details open")}
    for name, text in texts.items():
        (place / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: place / f"{name}.html" for name in texts}


@pytest.fixture
def at(browser, pages):
    """Open a page at a width, and forget what was logged before."""
    def opened(name, width=WIDTHS[0]):
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
        browser.get(pages[name].as_uri())
        return browser
    return opened


def slider(window):
    return window.find_element(By.CSS_SELECTOR, "#player input")


def value(window):
    return int(slider(window).get_attribute("value"))


def last(window):
    return int(slider(window).get_attribute("max"))


def play(window):
    return window.find_element(By.CSS_SELECTOR, "#player .play")


def is_playing(window):
    return "Pause" in play(window).text


# --- the film ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_the_slider_moves_every_panel(at, width):
    window = at("run", width)
    slider(window).send_keys(Keys.HOME)
    before = window.execute_script(SHOWN)
    slider(window).send_keys(Keys.END)
    after = window.execute_script(SHOWN)
    assert value(window) == last(window)
    ratio, alone, *spread, right = (
        now.get_attribute("textContent")
        for now in window.find_elements(By.CSS_SELECTOR, "#player .now"))
    assert re.fullmatch(r"others on average -?\d\.\d{3} of its own", ratio)
    assert re.fullmatch(r"its own \d\.\d\d, sum of the others -?\d+\.\d\d", alone)
    assert len(spread) == 2 and right.endswith("% right at τ")
    assert all(words.startswith("spread over ") for words in spread if words)
    assert len(before) == 7  # the map, the ratio, a neuron, two perturbations, two accuracies
    assert all(other and one != other for one, other in zip(before, after))
    slider(window).send_keys(Keys.HOME)
    assert window.execute_script(SHOWN) == before


def test_it_plays_from_the_start_to_the_end_and_then_again(at):
    window = at("run")
    wait = WebDriverWait(window, PATIENCE, 0.05)
    for _ in range(2):
        play(window).click()
        wait.until(lambda window: value(window) == last(window) and not is_playing(window))


def test_it_is_played_and_moved_by_the_keyboard_alone(at):
    window = at("run")
    keys = ActionChains(window)
    for _ in range(30):  # whatever comes before it
        keys.send_keys(Keys.TAB).perform()
        if window.switch_to.active_element == play(window):
            break
    assert window.switch_to.active_element == play(window)
    keys.send_keys(Keys.ENTER).perform()
    assert is_playing(window)
    keys.send_keys(Keys.TAB).perform()
    assert window.switch_to.active_element == slider(window)
    keys.send_keys(Keys.SPACE).perform()
    assert not is_playing(window)
    keys.send_keys(Keys.HOME).send_keys(Keys.ARROW_RIGHT).send_keys(Keys.ARROW_RIGHT).perform()
    assert value(window) == 2
    assert slider(window).get_attribute("aria-valuetext").startswith("step ")


def test_a_stop_shows_its_frame(at):
    window = at("run")
    stops = window.find_elements(By.CSS_SELECTOR, "#player .stop")
    for stop in stops:
        stop.click()
        assert value(window) == int(stop.get_attribute("data-frame"))
        assert [other.get_attribute("aria-pressed") == "true" for other in stops] == [
            other == stop for other in stops]


def test_the_slider_stays_in_sight_while_the_last_panel_is(at):
    window = at("run", WIDTHS[1])
    top, bottom = window.execute_script(
        "document.getElementById('ratio').scrollIntoView({block: 'end'});"
        "const box = document.querySelector('#player input').getBoundingClientRect();"
        "return [box.top, box.bottom];")
    assert 0 <= top < bottom <= 900


def test_a_finger_on_the_curve_moves_the_time(at):
    window = at("run", WIDTHS[1])
    window.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    box = window.execute_script(
        "const ratio = document.getElementById('ratio'); ratio.scrollIntoView({block: 'center'});"
        "const box = ratio.getBoundingClientRect(); return [box.left, box.top, box.width, "
        "box.height];")
    for share, expected in ((0.99, last(window)), (0.13, 0)):
        x, y = box[0] + share * box[2], box[1] + 0.4 * box[3]
        window.execute_cdp_cmd("Input.dispatchTouchEvent", {
            "type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        window.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert value(window) == expected
    window.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_without_javascript_there_are_pictures_in_its_place(at, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        window = at("run")
        assert window.find_element(By.CSS_SELECTOR, "noscript img").is_displayed()
        assert not window.find_element(By.ID, "player").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


# --- tables -----------------------------------------------------------------------------------


def test_a_head_sorts_its_column_by_numbers(at):
    window = at("kit")

    def column():
        return [cell.text for cell in window.find_elements(By.CSS_SELECTOR, "tbody th")]

    by_name, by_size, _ = window.find_elements(By.CSS_SELECTOR, "thead button")
    assert column() == ["b", "c", "a"]
    by_name.click()
    assert column() == ["a", "b", "c"]
    by_size.click()
    assert column() == ["c", "b", "a"]  # 9 is below 10, and a dash no number
    by_size.send_keys(Keys.ENTER)
    assert column() == ["b", "c", "a"]
    assert window.find_elements(By.CSS_SELECTOR, "th")[1].get_attribute("aria-sort") == "descending"


def test_the_first_column_stays_where_a_table_moves(at):
    window = at("kit", WIDTHS[1])
    left, right = window.execute_script(
        "const box = document.querySelector('.wide'), cells = box.querySelectorAll('tbody th, td');"
        "box.style.width = '10rem'; box.scrollLeft = 60;"
        "return [cells[0], cells[1]].map(cell => cell.getBoundingClientRect().left - "
        "box.getBoundingClientRect().left);")
    assert left == 0 and right < 60


# --- every page -------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["run", "kit", "verdicts"])
def test_nothing_is_cut_small_logged_or_asked_for(at, pages, name, width):
    window = at(name, width)
    assert window.execute_script("return document.documentElement.scrollWidth") <= width
    if name == "run":  # tables break their lines, figures have a form for phones
        assert window.execute_script(MOVING) == []
    assert window.execute_script(SMALL_TEXT) == []
    assert window.execute_script(OVERFLOWING) == []
    assert window.get_log("browser") == []
    asked = [event["params"]["request"]["url"] for entry in window.get_log("performance")
             if (event := json.loads(entry["message"])["message"])["method"]
             == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {pages[name].as_uri()}


def test_the_first_screen_has_all_claims_and_leads_to_them_by_keyboard(at):
    window = at("verdicts")
    lines = window.find_elements(By.CSS_SELECTOR, "#claims li")
    assert len(lines) == len(theory.claims())
    bottom = max(line.rect["y"] + line.rect["height"] for line in lines)
    assert bottom <= 900 < window.find_element(By.TAG_NAME, "figure").rect["y"]
    lines[2].find_element(By.TAG_NAME, "a").send_keys(Keys.ENTER)
    assert window.current_url.endswith("#A2")
    assert window.execute_script("return document.getElementById('A2').getBoundingClientRect().y"
                                 ) < 100


def test_small_text_would_be_seen(at):
    window = at("kit")
    window.execute_script("document.querySelector('summary').style.fontSize = '10px'")
    assert window.execute_script(SMALL_TEXT) == [["more", 10]]


def test_a_request_is_refused_by_the_page_itself(at):
    window = at("kit")
    window.execute_script("document.body.append(Object.assign(new Image(), "
                          "{src: 'http://127.0.0.1:9/x.png'}))")
    WebDriverWait(window, PATIENCE).until(lambda window: any(
        "Content Security Policy" in entry["message"] for entry in window.get_log("browser")))


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe-core, fetched by npm."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm, for axe-core")
    place = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix",
                        str(place), "axe-core@4"], check=True, capture_output=True, timeout=60,
                       env=os.environ | {"npm_config_fetch_retries": "0"})
    except (subprocess.SubprocessError, OSError):
        pytest.skip("npm cannot fetch axe-core here")
    return (place / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("name", ["run", "kit", "verdicts"])
def test_contrast_and_labels(at, axe, browser, name, light):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": light}]})
    window = at(name)
    window.execute_script(axe)
    found = window.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run().then(found => "
        "done(found.violations.map(one => [one.id, one.nodes.map(node => node.html)])));")
    assert found == []
