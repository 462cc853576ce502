"""The page in a browser, where there is one."""

import shutil

import pytest

from pages import evaluation, whole

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    driver = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    with driver.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens a page; what the browser said and asked for is in its `.said` and `.asked`."""
    contexts = []

    def open_page(content, **context):
        contexts.append(browser.new_context(**context))
        shown = contexts[-1].new_page()
        shown.said, shown.asked = [], []
        shown.on("console", lambda message: shown.said.append(message.text))
        shown.on("pageerror", lambda error: shown.said.append(str(error)))
        shown.on("request", lambda request: shown.asked.append(request.url))
        (tmp_path / "report.html").write_bytes(content)
        shown.goto((tmp_path / "report.html").as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()


def test_nothing_is_said_asked_for_or_run(show):
    page = show(whole())
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [page.url]
    assert page.title().startswith("moons <script>")
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 100)")


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_is_never_wider_than_the_screen(show, width):
    page = show(whole(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    widest = page.evaluate("Math.max(...[...document.images].map(image => image.getBoundingClientRect().width))")
    assert widest < width


def test_a_table_fits_the_width_of_a_telephone(show):
    page = show(whole(evaluation()), viewport={"width": 400, "height": 800})
    box = page.locator(".scroll", has_text="best error").first
    last = box.locator("tbody tr").first.locator("td").last.bounding_box()
    assert last["x"] + last["width"] <= 400


def test_a_picture_can_be_seen_in_full_size(show):
    page = show(whole(), viewport={"width": 400, "height": 800})
    picture = page.locator("img").last
    small = picture.bounding_box()["width"]
    page.get_by_text("full size").last.click()
    assert picture.bounding_box()["width"] == int(picture.get_attribute("width")) > small
    assert page.evaluate("document.documentElement.scrollWidth") == 400


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_and_pictures_stand_on_white(show, scheme):
    page = show(whole(), color_scheme=scheme)
    grounds = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (brightness(grounds) < 0.2) == (scheme == "dark")
    for selector in ("p.soft", "th small", ".verdict", "a", "dd", "figcaption", "summary", "td"):
        ink = page.evaluate("name => getComputedStyle(document.querySelector(name)).color", selector)
        assert contrast(ink, grounds) > 4.5, (selector, ink)
    assert page.evaluate("getComputedStyle(document.querySelector('.picture')).backgroundColor") == "rgb(255, 255, 255)"


def brightness(color):
    """Relative luminance as WCAG has it."""
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted((brightness(first), brightness(second)))
    return (high + 0.05) / (low + 0.05)
