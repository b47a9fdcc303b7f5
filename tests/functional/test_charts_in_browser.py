"""Charts in a real browser: drawn is what stands in the table beside, on every screen, on paper, and without scripts.

The templates, files and policy are the product's; the figures of an effect and a trend are made up here.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from flask import Flask, render_template_string
from test_page_in_browser import assert_sound, shot
from werkzeug.serving import make_server

from bridge import views
from bridge.views import assets, effects

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PAGE = """\
{% extends "base.html" %}{% import "charts.html" as charts %}
{% block title %}Charts{% endblock %}
{% block scripts %}{{ charts.scripts() }}{% endblock %}
{% block content %}<h1>Charts</h1><h2>Win rate</h2>{{ charts.effect(one) }}{{ charts.trend(one) }}{% endblock %}
"""
SPANS = (  # start, estimate, half an interval; without an estimate: hidden
    (-12, 0.005, 0.02),
    (-8, -0.01, 0.02),
    (-4, None, None),
    (0, 0.06, 0.03),
    (4, 0.09, 0.03),
    (8, 0.03, 0.04),
)
LEVELS = (0.30, 0.32, 0.31, None, 0.36, 0.40, 0.38, 0.37)


def result() -> dict[str, Any]:
    """Give what the page needs of a metric: three spans before and three since, and eight weeks, one of them hidden."""
    bins = [
        {
            "start": start,
            "end": start + 3,
            "interval": dict.fromkeys(("estimate", "low", "high"))
            if middle is None
            else {"estimate": middle, "low": middle - half, "high": middle + half},
            "band_low": None if middle is None else middle - 2 * half,
            "band_high": None if middle is None else middle + 2 * half,
            "people": None if middle is None else 40,
            "in_window": start in (-8, -4),
        }
        for start, middle, half in SPANS
    ]
    points = [
        {"period": week, "observed": level, "predicted": level and level - 0.02, "people": level and 40}
        for week, level in enumerate(LEVELS)
    ]
    trend = {"points": points, "waves": [{"period": 4, "people": 12}, {"period": 6, "people": None}]}
    metric = {"name": "won", "title": "Win rate", "family": "rate", "unit": "share"}
    verdict = {"grade": "strong", "sentences": [], "reasons": []}
    found = {"metric": metric, "event_study": {"bins": bins}, "trend": trend, "verdict": verdict, "durability": None}
    return effects._section("won", found, {"first_week": "2026-01-05"})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of one page, with the product's templates, files and policy; nothing of it needs a database."""
    app = Flask("bridge", static_folder=None)
    app.secret_key = "only for tests"
    assets.init_app(app)
    for blueprint in (views.signing_in.blueprint, views.pages.blueprint):
        app.register_blueprint(blueprint)
    app.after_request_funcs["signing_in"] = [assets.pack]

    @app.get("/charts")
    def charts() -> Any:
        return views._harden(app.make_response(render_template_string(PAGE, one=result())))

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/charts"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "profile")
    made.size(1280, 900)
    yield made
    made.close()


def drawn(browser: Browser, chart: str, mark: str, *wanted: str) -> list[list[float]]:
    """Give attributes of each shape of a kind in a chart."""
    shapes = f"[data-chart={chart}] .{mark} :is(line, path, rect, circle)"
    script = f"""[...document.querySelectorAll('{shapes}')].map((one) => {{
        const box = one.getBoundingClientRect();
        return {{x: box.x + box.width / 2, y: box.y + box.height / 2, top: box.top, bottom: box.bottom}};
    }})"""
    return [[one[name] for name in wanted] for one in browser.run(script)]


def test_an_effect_is_drawn_as_its_table_says(browser: Browser, url: str) -> None:
    browser.go(url)

    before, since = (drawn(browser, "effect", mark, "x", "y") for mark in ("before", "since"))
    assert (len(before), len(since)) == (2, 3), "what is hidden has no point"
    [[zero]] = drawn(browser, "effect", "zero", "y")
    ends = drawn(browser, "effect", "intervals", "x", "top", "bottom")
    scale = (zero - since[0][1]) / 0.06
    for (_, middle, half), (x, y), (line, top, bottom) in zip(
        [span for span in SPANS if span[1] is not None], before + since, ends, strict=True
    ):
        assert zero - y == pytest.approx(scale * middle, abs=1)
        assert x == pytest.approx(line, abs=1)
        assert (zero - top, zero - bottom) == pytest.approx((scale * (middle + half), scale * (middle - half)), abs=1.5)
    [[top, bottom]] = drawn(browser, "effect", "band", "top", "bottom")
    assert zero - top == pytest.approx(scale * 0.15, abs=1.5)
    assert zero - bottom == pytest.approx(scale * -0.05, abs=1.5)
    [[start]] = drawn(browser, "effect", "training", "x")
    assert before[-1][0] < start < since[0][0]
    words = browser.run("document.querySelector('[data-chart=effect] svg').textContent")
    for word in ("hidden", "people\nchosen", "training", "1 to 4", "n = 40", "\u22128 to \u22125"):
        assert word.replace("\n", "") in words
    assert "Change, percentage points" in browser.run("document.querySelector('[data-chart=effect]').textContent")
    shot(browser, "charts")
    assert browser.complaints == []
    assert [asked for asked in browser.requests if not asked.startswith((url.rpartition("/")[0], "about:"))] == []


def test_a_trend_has_two_lines_a_gap_where_a_week_is_hidden_and_its_waves(browser: Browser, url: str) -> None:
    browser.go(url)

    observed, predicted = (drawn(browser, "trend", f"{mark}-marks", "x", "y") for mark in ("observed", "predicted"))
    assert len(observed) == len(predicted) == 7
    assert all(low[1] > high[1] for high, low in zip(observed, predicted, strict=True))
    line = browser.run("document.querySelector('[data-chart=trend] .observed path').getAttribute('d')")
    assert line.count("M") == 2, "the hidden week parts the line"
    dashes = "document.querySelector('[data-chart=trend] .{}').getAttribute('stroke-dasharray')"
    assert browser.run(dashes.format("predicted"))
    assert not browser.run(dashes.format("observed"))
    waves = [x for [x] in drawn(browser, "trend", "waves", "x")]
    assert observed[2][0] < waves[0] < observed[3][0] < waves[1] < observed[5][0]
    words = browser.run("document.querySelector('[data-chart=trend] svg').textContent")
    assert "12 trained" in words
    assert "few trained" in words


def test_a_chart_is_one_picture_with_a_name_and_its_table_is_behind_a_summary(browser: Browser, url: str) -> None:
    browser.go(url)

    assert_sound(browser)
    names = browser.run("[...document.querySelectorAll('svg[role=img]')].map((one) => one.ariaLabel)")
    assert names[0].startswith("Win rate: change by weeks since training. Of 2 spans before, 0 lie above no change")
    assert "The table below has the figures." in names[1]
    assert browser.run("document.querySelectorAll('details[open]').length") == 0
    browser.run("document.querySelector('summary').click()")
    assert browser.run("document.querySelector('table').checkVisibility()")
    assert_sound(browser)


def test_values_are_read_off_by_keyboard_and_by_pointer(browser: Browser, url: str) -> None:
    browser.go(url)
    said = "document.querySelector('[data-chart=effect] .said').textContent"
    assert browser.run(said) == "Weeks 1 to 4: +6 percentage points, 95 % interval +3 to +9; 40 people."

    browser.run("document.querySelector('[data-chart=effect] input').focus()")
    browser.press("Right")
    assert browser.run(said).startswith("Weeks 5 to 8: +9 percentage points, 95 % interval +6 to +12;")
    assert browser.run("document.activeElement.getAttribute('aria-valuetext')") == browser.run(said)
    [[pointed]] = drawn(browser, "effect", "pointed", "x")
    assert pointed == pytest.approx(drawn(browser, "effect", "since", "x")[1][0], abs=1)

    x, y = drawn(browser, "effect", "before", "x", "y")[0]
    for place in (x + 3, x + 1):
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=place, y=y)
    assert browser.run(said).startswith("Weeks -12 to -9: +0.5 percentage points")
    assert browser.run("document.querySelector('[data-chart=effect] input').value") == "0"
    browser.run(
        "(() => { const s = document.querySelector('[data-chart=effect] input'); s.value = 2; "
        "s.dispatchEvent(new Event('input')); })()"
    )
    assert browser.run(said) == "Weeks -4 to -1, in which people were chosen: hidden, too few people."


@pytest.mark.parametrize(("width", "letters"), [(320, "100%"), (360, "100%"), (640, "200%")])
def test_letters_stay_legible_and_nothing_scrolls_sideways(
    browser: Browser, url: str, width: int, letters: str
) -> None:
    browser.size(width, 800)
    browser.go(url)
    browser.run(f"document.documentElement.style.fontSize = '{letters}'")
    browser.size(width - 1, 800)  # which draws anew
    browser.run("new Promise((done) => setTimeout(done, 300))")

    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert (
        browser.run("""Math.min(...[...document.querySelectorAll('svg text')].map((one) =>
        parseFloat(getComputedStyle(one).fontSize) * Math.hypot(one.getScreenCTM().a, one.getScreenCTM().b)))""")
        >= 12
    )
    assert browser.violations() == []
    shot(browser, f"charts-{width}")


def test_without_scripts_the_tables_stand_open(browser: Browser, url: str) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.go(url)

    assert browser.run("document.querySelectorAll('svg').length") == 0
    assert browser.run("[...document.querySelectorAll('table')].every((one) => one.checkVisibility())")


def test_colours_that_a_reader_forces_and_paper_are_obeyed(browser: Browser, url: str) -> None:
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
    browser.go(url)
    forced = "getComputedStyle(document.querySelector('[data-chart=effect] .intervals')).stroke"
    canvas = (
        "(() => { const p = document.createElement('p'); p.style.color = '{}'; document.body.append(p); "
        "const c = getComputedStyle(p).color; p.remove(); return c; })()"
    )
    assert browser.run(forced) == browser.run(canvas.replace("{}", "CanvasText"))
    shot(browser, "charts-forced")

    browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    shown = "[...document.querySelectorAll('{}')].map((one) => one.checkVisibility())"
    assert set(browser.run(shown.replace("{}", "svg.plot"))) == {True}
    assert set(browser.run(shown.replace("{}", ".reader, .said, details"))) == {False}
