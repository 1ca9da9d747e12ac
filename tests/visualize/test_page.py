"""The page: what it holds, and how it behaves in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import minigrad as mg
from minigrad.cli.model import load
from tests.visualize import chromium
from visualize import report
from visualize.errors import WouldOverwriteError

DERIVATIONS = Path(mg.__file__).parents[1] / "models" / "derivations"
browser_needed = pytest.mark.skipif(chromium.find() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    text = (DERIVATIONS / "note-000-lstm.txt").read_text("utf-8")
    report(load("lstm", steps=3), text, path, title="LSTM", name="note 000")
    return path


@pytest.fixture(scope="module")
def browser(page):
    started = chromium.Browser()
    started.open(page)
    yield started
    started.close()


def test_the_page_is_one_file_without_references(page):
    html = page.read_text("utf-8")
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", html))
    assert addresses <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/1998/Math/MathML",
    }
    assert "default-src 'none'" in html
    assert "<math" in html and "<svg" in html
    assert "adwes" in html and "undefined name" in html  # the slip of the note, found


def test_the_page_does_without_a_hand_derivation(tmp_path):
    made = report(load("elman", steps=2))
    assert "<math" in made.html
    assert 'class="panel hand"' not in made.html
    assert "iframe" in made._repr_html_()


def test_the_page_replaces_only_pages_of_its_own(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("<p>mine</p>")
    made = report(load("elman", steps=1))
    with pytest.raises(WouldOverwriteError):
        made.save(path)
    assert path.read_text() == "<p>mine</p>"
    made.save(path, overwrite=True)
    made.save(path)
    assert path.stat().st_size > 10_000


def test_hostile_names_are_text_on_the_page():
    evil = "</script><script>alert(1)</script>"
    x = mg.constant([[1.0]], name='"><img src=x onerror=alert(1)>', step=1)
    W = mg.parameter([[0.5]], name=evil)
    with mg.step(1):
        loss = mg.squared_error(mg.tanh(W @ x).named("{{ 7*7 }}"), [[1.0]]).named("L")
    html = report(loss, f"d{evil} = 1\n<b>bold</b>", title=evil).html
    assert html.count("<script") == 2  # those of the page itself
    assert "<img" not in html and "<b>bold" not in html and "{{ 7*7 }}" in html


@pytest.mark.browser
@browser_needed
def test_pointing_at_a_symbol_lights_its_equation_and_its_line(browser):
    lit = _point_at(browser, '#picture .value[data-name="og"][data-step="2"]')
    assert lit["equations"] == 1
    assert [line for line in lit["lines"] if "dog = dh * tanh(c)" in line] == lit["lines"]
    lit = _point_at(browser, '#picture .function[data-name="og"][data-step="2"]')  # (sig+bo)
    assert sorted(re.findall(r"d\w+ \+?=", "".join(lit["lines"]))) == ["dbo +=", "dog_pre ="]
    assert lit["equations"] == 2


@pytest.mark.browser
@browser_needed
def test_pointing_at_a_line_lights_the_symbols_of_all_steps(browser):
    browser.run(
        "document.querySelectorAll('.line').forEach(l => l.textContent.includes('dWhy +=') && (l.id = 'why'))"
    )
    lit = _point_at(browser, "#why")
    assert lit["equations"] == 1
    assert lit["symbols"] == 3  # {Why} in each of three steps
    lit = _point_at(browser, ".equation:nth-of-type(1)")
    assert lit["lines"] and "do = p - y" in lit["lines"][0]


@pytest.mark.browser
@browser_needed
def test_a_click_shows_the_numbers_of_the_step(browser):
    browser.run(
        'document.querySelector(\'#picture .value[data-name="h"][data-step="2"]\')'
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    lit = (
        "[...document.querySelectorAll('tr.lit')].filter(r => r.offsetParent).map(r => r.textContent.trim())"
    )
    rows = browser.run(lit)
    assert len(rows) == 1 and rows[0].startswith("h[2]")
    browser.press("Escape", 27)


def _point_at(browser, selector):
    browser.point(1, 1)
    box = browser.run(
        f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
        "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()"
    )
    browser.point(*box)
    return browser.run(
        "({equations: document.querySelectorAll('.equation.lit').length,"
        "lines: [...document.querySelectorAll('.line.lit')].map(l => l.textContent),"
        "symbols: document.querySelectorAll('.symbol.lit').length,"
        "rows: document.querySelectorAll('tr.lit').length})"
    )


@pytest.mark.browser
@browser_needed
def test_the_keyboard_reaches_everything(browser):
    browser.run("document.body.focus(); document.activeElement.blur()")
    stops = []
    for _ in range(12):
        browser.press("Tab", 9)
        stop = browser.run(
            "(() => { const a = document.activeElement; const l = a.closest('[data-list]');"
            "return l ? l.dataset.list : a.id })()"
        )
        if stop in stops:
            break
        stops.append(stop)
    assert {"step", "zoom", "drawing", "derived", "hand", "values"} <= set(stops)
    for name in ("drawing", "derived", "hand", "values"):
        reached = browser.run(
            f"(() => {{ const list = document.querySelector('[data-list={name}]');"
            "list.querySelector(\"[tabindex='0']\").focus(); const seen = new Set();"
            "for (let i = 0; i < 400; i++) { seen.add(document.activeElement);"
            "const right = new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true});"
            "document.activeElement.dispatchEvent(right); }"
            "const all = [...list.querySelectorAll('[data-keys]')]"
            ".filter(m => m instanceof SVGElement || m.offsetParent);"
            "const lit = document.querySelectorAll('.lit').length;"
            "return [all.length, all.filter(m => seen.has(m)).length, lit] })()"
        )
        assert reached[0] == reached[1] > 10
        assert reached[2] > 0  # what has the focus is lit


@pytest.mark.browser
@browser_needed
def test_the_slider_chooses_the_step_of_the_values_and_the_zoom(browser):
    seen = []
    for position in range(4):
        browser.run(
            f"(() => {{ const s = document.getElementById('step'); s.value = {position};"
            "s.dispatchEvent(new Event('input')) })()"
        )
        seen.append(
            browser.run(
                "[...document.querySelectorAll('tr[data-step]')]"
                ".filter(r => r.offsetParent).map(r => r.dataset.step)"
            )
        )
    assert [set(steps) for steps in seen] == [
        {"0"},
        {"1"},
        {"2"},
        {"3"},
    ]  # the initial states stand before the first step
    boxes = [
        browser.run(
            f"(() => {{ const z = document.getElementById('zoom'); z.checked = {state};"
            "z.dispatchEvent(new Event('change'));"
            "return document.querySelector('#picture svg').getAttribute('viewBox') })()"
        )
        for state in ("true", "false")
    ]
    inner, outer = ([float(x) for x in box.split()] for box in boxes)
    assert 0 < inner[2] < outer[2] / 2


@pytest.mark.browser
@browser_needed
def test_no_horizontal_scroll_no_request_no_complaint_and_it_prints(browser, page):
    width = browser.run("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1] == 1280
    overflowing = browser.run(
        "[...document.querySelectorAll('.panel, .panel .scroll, .picture')]"
        ".filter(e => e.scrollWidth > e.clientWidth + 1).length"
    )
    assert overflowing == 0
    assert set(browser.requests()) <= {page.resolve().as_uri(), "data:,"}
    assert browser.complaints() == []
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000


@pytest.mark.browser
@browser_needed
def test_dark_mode_is_dark_and_its_text_can_be_read(page, tmp_path):
    night = chromium.Browser(dark=True)
    try:
        night.open(page)
        colors = night.run(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
            "getComputedStyle(document.querySelector('.symbol.value rect')).fill,"
            "getComputedStyle(document.querySelector('.symbol.value text')).fill]"
        )
    finally:
        night.close()
    assert _contrast(colors[0], colors[1]) > 7
    assert _contrast(colors[2], colors[3]) > 7


def _contrast(a: str, b: str) -> float:
    def luminance(color: str) -> float:
        channels = [int(c) / 255 for c in re.findall(r"\d+", color)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)
