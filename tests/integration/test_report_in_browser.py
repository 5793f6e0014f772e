"""The page in a headless Chromium: its controls, and its safety from hostile text."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from benchmark.boxes.states import state_id
from benchmark.models.registry import registry
from benchmark.records import State
from benchmark.report.gather import gather
from benchmark.report.page import page, tables
from fakes import colours, finished_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

# Playwright's assertions wait from outside the page. wait_for_function would evaluate text inside
# it, which the page's own content security policy forbids.
sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install it")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the path; install it with: apt-get install chromium"
)

STATES = 400

InitialContents = Callable[[State], list[set[str]]]
"""A function that returns a state's initial contents without the project's parser."""


@dataclass
class PageLog:
    """The requests and messages of a page."""

    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def states() -> list[State]:
    """Return more states than the list shows at once."""
    generated: list[State] = finished_runs.first_states(STATES)
    return generated


@pytest.fixture(scope="module")
def initial() -> InitialContents:
    """Return the function for a state's initial contents."""
    return lambda state: list(finished_runs.initial_contents(state.description))


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, states: list[State]) -> Path:
    """Write a page of six runs: one copies, one is right, one is hostile, three are mixed."""
    folder = tmp_path_factory.mktemp("browser")

    def hostile(state: State) -> str:
        return finished_runs.HOSTILE if state.sample_id % 2 else finished_runs.correct_answer(state)

    answers_by_model = {
        "meta-llama/Llama-2-7b-hf": finished_runs.initial_answer,
        "codellama/CodeLlama-7b-hf": finished_runs.correct_answer,
        "x/<img src=x onerror=window.ran=1>": hostile,
        **dict.fromkeys(("a/four", "a/five", "a/six"), finished_runs.mixed_answer),
    }
    folders = [
        finished_runs.write_run(folder / str(number), model, states, answers)
        for number, (model, answers) in enumerate(answers_by_model.items())
    ]
    report = gather(folders, registry())
    path = folder / "index.html"
    path.write_text(page(report, tables(report)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Start one browser for all tests of this file."""
    with sync_api.sync_playwright() as playwright:
        # Containers have no user namespaces for the sandbox.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page_log() -> PageLog:
    """Return an empty log."""
    return PageLog()


@pytest.fixture
def width() -> int:
    """Width of the window in CSS pixels; tests can be parametrized with others."""
    return 1280


@pytest.fixture
def opened(browser: "Browser", page_file: Path, page_log: PageLog, width: int) -> Iterator["Page"]:
    """Open the page from disk; check afterwards that it had no requests and no messages."""
    view = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    view.on("request", lambda request: page_log.requests.append(request.url))
    view.on("console", lambda message: page_log.messages.append(message.text))
    view.on("pageerror", lambda error: page_log.messages.append(str(error)))
    view.on("dialog", lambda dialog: page_log.messages.append(dialog.message))
    view.goto(page_file.as_uri())
    view.wait_for_selector(".item")
    yield view
    assert not page_log.messages
    assert all(url.startswith((page_file.as_uri(), "data:")) for url in page_log.requests)
    assert view.evaluate("window.ran") is None
    view.close()


def _count(view: "Page") -> str:
    return view.inner_text("#count")


def _naive_counts(
    states: list[State], initial: InitialContents, *, numops: set[int], copied: bool
) -> tuple[int, int]:
    """Count the states and queries with those numops that copying answers correctly, or not."""
    matches = [
        sum(
            query.numops in numops and (initial(state)[query.box] == set(query.gold)) == copied
            for query in state.queries
        )
        for state in states
    ]
    return sum(map(bool, matches)), sum(matches)


def test_page_opens(opened: "Page") -> None:
    """The page has headings, runs and tables, and creates only the visible rows of states."""
    assert opened.inner_text("h1") == "Does a language model know what is in the box?"
    assert opened.locator("#table-runs tbody th[scope=row]").count() == 6 + 2
    assert opened.locator("#runs tbody tr").count() >= 6
    assert opened.inner_text("#overview .tile:last-child").split()[-3:] == [
        *("40.4", "CodeLlama", "13B"),
    ]
    assert opened.locator("#table-6 tbody tr").count() > 30
    assert _count(opened) == f"{STATES} of {STATES} states, {7 * STATES} queries"
    assert 10 < opened.locator(".item").count() < 60


_LANDINGS = """() => [...document.querySelectorAll(".top nav a")].map((link) => {
  const section = document.querySelector(link.getAttribute("href"));
  section.scrollIntoView();
  const header = document.querySelector(".top").getBoundingClientRect().bottom;
  const title = section.querySelector("h1, h2").getBoundingClientRect();
  return [link.textContent, title.top - Math.max(0, header), innerHeight - title.bottom];
})"""
"""For each link: distances of its title below the header and above the window's lower edge."""


@pytest.mark.parametrize("width", [390, 1280])
def test_fits_the_window(opened: "Page", width: int) -> None:
    """Nothing is wider than the window, and no link's title is hidden by the header."""
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    landings = opened.evaluate(_LANDINGS)
    assert len(landings) == opened.locator(".top nav a").count() > 5
    assert not [landing for landing in landings if min(landing[1:]) < 0]
    assert opened.evaluate("document.querySelector('.top').offsetHeight") < 100
    # A cut table says that it scrolls; it fades out until its end is reached.
    hint = "getComputedStyle(document.querySelector('#compare .scroll'), '::before').content"
    assert ("Scroll sideways" in opened.evaluate(hint)) == (width < 1280)
    table = opened.locator("#compare .scroll").first
    assert ("more" in str(table.get_attribute("class"))) == (width < 1280)
    table.evaluate("region => { region.scrollLeft = region.scrollWidth; }")
    opened.wait_for_selector("#compare .scroll:not(.more)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(opened: "Page", scheme: Literal["light", "dark"]) -> None:
    """In both color schemes, text has WCAG's contrast of 4.5 to its background."""
    opened.emulate_media(color_scheme=scheme)
    style = (
        "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
    )
    text, background = (
        colours.luminance(map(int, re.findall(r"\d+", colour)[:3]))
        for colour in opened.evaluate(style)
    )
    assert (text > background) == (scheme == "dark")
    assert (max(text, background) + 0.05) / (min(text, background) + 0.05) >= 4.5


_HIDDEN_PARTS = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const card of document.querySelectorAll(".cards .card:nth-child(n+3)")) card.remove();
}"""
"""Opens all parts, and leaves two of the charts of pairs in each row, which are all alike."""


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_axe(opened: "Page", scheme: Literal["light", "dark"]) -> None:
    """axe-core finds no fault in the page with all its parts opened, in both color schemes."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe-playwright-python; pip install it"
    ).Axe()
    opened.emulate_media(color_scheme=scheme)
    opened.evaluate(_HIDDEN_PARTS)
    results = axe.run(opened)
    faults = [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in results.response["violations"]
        for node in fault["nodes"]
    ]
    assert not faults


def test_axe_finds_a_fault(opened: "Page") -> None:
    """A text of too little contrast is found: the check can fail."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe-playwright-python; pip install it"
    ).Axe()
    opened.evaluate("document.body.style.setProperty('--soft', 'var(--line)')")
    # One section is enough, and axe's time grows with the page.
    opened.evaluate("document.querySelectorAll('main > :not(#overview)').forEach(n => n.remove())")
    results = axe.run(opened, options={"runOnly": ["color-contrast"]})
    assert "color-contrast" in {fault["id"] for fault in results.response["violations"]}


def test_printed_pages(opened: "Page", tmp_path: Path) -> None:
    """The chart is on the first page, heads of tables are repeated, and no heading ends a page."""
    pdfium = pytest.importorskip("pypdfium2", reason="no pypdfium2; pip install it")
    path = tmp_path / "page.pdf"
    opened.pdf(path=path, prefer_css_page_size=True)
    with pdfium.PdfDocument(path) as document:
        texts = [printed.get_textpage().get_text_range() for printed in document]
    opened.emulate_media(media="print")
    headings = set(opened.locator("h1, h2, h3, h4, h5").all_inner_texts())
    assert not headings & {text.rstrip().splitlines()[-1] for text in texts}
    pages = [" ".join(text.split()) for text in texts]
    assert "Accuracy by changes to the box" in pages[0], "the chart does not fit under six runs"
    head = " ".join(opened.inner_text("#table-6 thead tr").split())
    cells = "rows => rows.map(row => [...row.cells].slice(0, 2).map(c => c.firstChild.textContent))"
    rows = opened.locator("#table-6 tbody tr.published").evaluate_all(cells)
    starts = [" ".join(f"{name} {figure}".split()) for name, figure in rows]
    printed_on = {
        number for number, text in enumerate(pages) if any(start in text for start in starts)
    }
    assert starts
    assert all(head in pages[number] for number in printed_on)
    assert len(printed_on) > 1
    state = opened.inner_text("#state h3")
    assert any(text.split("\n")[:2] == ["States", state] for text in map(_lines, texts))


def _lines(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def test_printed_intervals_are_smaller_than_values(opened: "Page") -> None:
    """In print, an interval is in smaller type than its value and in one line."""
    opened.emulate_media(media="print")
    for interval in opened.locator("#table-runs td.figure small").all()[:20]:
        sizes = "node => [node, node.parentNode].map(n => parseFloat(getComputedStyle(n).fontSize))"
        small, value = interval.evaluate(sizes)
        assert small < value
        assert interval.evaluate("node => getComputedStyle(node).whiteSpace") == "nowrap"


def test_print(opened: "Page") -> None:
    """A printed page has headings, tables and the state, and no controls."""
    opened.emulate_media(media="print")
    for hidden in (".top", "#filters", ".choices", ".states"):
        assert opened.locator(hidden).first.is_hidden()
    for shown in ("h1", "#table-6", "#state"):
        assert opened.locator(shown).first.is_visible()
    row = "getComputedStyle(document.querySelector('#table-6 tbody tr')).breakInside"
    assert opened.evaluate(row) == "avoid"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_print_is_light(opened: "Page", theme: Literal["light", "dark"]) -> None:
    """A printed page is dark on white, in each theme and color scheme."""
    opened.emulate_media(media="print", color_scheme="dark")
    opened.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    colours = opened.evaluate(
        "[...document.querySelectorAll('body, .tile, .badge.supported')]"
        ".map((node) => getComputedStyle(node).backgroundColor)"
    )
    assert all(min(map(int, re.findall(r"\d+", colour)[:3])) > 200 for colour in colours)


def test_filters(opened: "Page", states: list[State], initial: InitialContents) -> None:
    """The filters by outcome and numops match the states and queries of a naive count."""
    opened.select_option("#run", "0")
    opened.select_option("#outcome", "wrong")
    opened.check("#numops input[value='2']")
    matches, queries = _naive_counts(states, initial, numops={2}, copied=False)
    assert _count(opened) == f"{matches} of {STATES} states, {queries} queries"
    opened.check("#numops input[value='3']")
    matches, queries = _naive_counts(states, initial, numops={2, 3}, copied=False)
    assert _count(opened) == f"{matches} of {STATES} states, {queries} queries"
    opened.select_option("#outcome", "right")
    matches, queries = _naive_counts(states, initial, numops={2, 3}, copied=True)
    assert _count(opened) == f"{matches} of {STATES} states, {queries} queries"
    opened.click("#filters [type=reset]")
    sync_api.expect(opened.locator("#count")).to_have_text(re.compile(f"^{STATES} of"))


def test_flipped(opened: "Page", states: list[State], initial: InitialContents) -> None:
    """Compared with a run that is always right, the copying run's errors are flipped."""
    matches, queries = _naive_counts(states, initial, numops=set(range(9)), copied=False)
    for outcome in ("flipped", "gained"):
        opened.select_option("#outcome", outcome)
        assert _count(opened) == f"{matches} of {STATES} states, {queries} queries"
    opened.select_option("#outcome", "lost")
    assert _count(opened) == f"0 of {STATES} states, 0 queries"


def test_a_filter_that_hides_the_state_moves_on(opened: "Page") -> None:
    """The first match is shown when the state does not match, and a matching box."""
    opened.select_option("#outcome", "wrong")
    opened.check("#numops input[value='3']")
    first = opened.locator(".item").first
    assert first.get_attribute("aria-selected") == "true"
    shown = opened.inner_text("#state h3 a")
    assert first.inner_text().startswith(shown)
    chosen = opened.locator(".boxes tr.chosen")
    assert chosen.locator("td").nth(0).inner_text() == "3"
    assert "wrong" in str(chosen.locator("td").nth(2).get_attribute("class"))
    opened.uncheck("#numops input[value='3']")
    assert opened.inner_text("#state h3 a") == shown, "a state that matches is kept"


def test_filters_and_runs_are_in_the_address(opened: "Page", page_file: Path) -> None:
    """Filters, runs, state and box of one window are shown by another one with its address."""
    opened.select_option("#run", label="Llama 2 7B")
    opened.select_option("#outcome", "gained")
    opened.select_option("#other", label="four")
    opened.check("#numops input[value='2']")
    opened.check("#numops input[value='3']")
    opened.select_option("#sort", "length")
    opened.fill("#word", "a b&c=")
    opened.fill("#word", "e")
    opened.uncheck("#shown input[value='1']")
    opened.focus("#list")
    opened.keyboard.press("ArrowDown")
    address = opened.evaluate("location.hash")
    seen = _count(opened), opened.inner_text("#state h3"), opened.inner_text(".boxes")
    opened.goto("about:blank")
    opened.goto(f"{page_file.as_uri()}{address}")
    assert (_count(opened), opened.inner_text("#state h3"), opened.inner_text(".boxes")) == seen
    assert opened.input_value("#word") == "e"
    assert opened.input_value("#sort") == "length"
    assert not opened.is_checked("#shown input[value='1']")
    assert opened.inner_text("#unknown") == ""
    opened.click("#filters [type=reset]")
    sync_api.expect(opened).not_to_have_url(re.compile("outcome"))


_UNKNOWN_PARTS = {
    "#state=0123456789": "state 0123456789",
    "#state=0123456789&box=9": "box 9",
    "#run=none+such&outcome=wrong": "run none such",
    "#outcome=%3Cimg%3E%E2%80%AE": "outcome <img>⟨U+202E⟩",
    "#changes=2&changes=77": "changes 77",
    "#state=0123456789&mood=good": "mood good",
}
"""Addresses that no page has, and what the page says that it does not have."""


def test_an_unknown_part_of_the_address_is_named(opened: "Page", page_file: Path) -> None:
    """An address that is not of this report says so, and the first match is shown."""
    for address, unknown in _UNKNOWN_PARTS.items():
        opened.goto("about:blank")
        opened.goto(f"{page_file.as_uri()}{address}")
        opened.wait_for_selector("#unknown p")
        assert f"it has no {unknown}." in opened.inner_text("#unknown")
        assert opened.locator(".item").first.get_attribute("aria-selected") == "true"
        opened.click(".item >> nth=1")
        opened.select_option("#sort", "length")
        assert opened.inner_text("#unknown") == ""


def test_a_link_to_a_section_keeps_the_filters(opened: "Page") -> None:
    """Following a link of the header changes neither filters nor state."""
    opened.select_option("#outcome", "wrong")
    seen = _count(opened), opened.inner_text("#state h3")
    opened.click(".top a[href='#claims']")
    assert (_count(opened), opened.inner_text("#state h3")) == seen
    assert opened.inner_text("#unknown") == ""


_CALLS: list[tuple[str, object]] = [
    ("parseAddress('')", None),
    ("parseAddress('#claims')", None),
    ("parseAddress('#state=ab&shown=a+b&shown=c%26')", {"state": "ab", "shown": ["a b", "c&"]}),
    ("parseAddress('#shown=')", {"shown": []}),
    ("formatAddress({state: 'ab', box: '1', word: ''}, {word: ''})", "#state=ab&box=1"),
    ("formatAddress({state: undefined, word: 'a b'}, {word: ''})", "#word=a+b"),
    ("formatAddress({changes: ['1', '2']}, {changes: []})", "#changes=1&changes=2"),
    ("formatAddress({shown: []}, {shown: ['a']})", "#shown="),
    (
        (
            "checkAddress({box: '7', word: 'x', changes: ['1', '9']},"
            " {box: new Set(['6']), word: null, changes: new Set(['1'])})"
        ),
        {"view": {"word": "x", "changes": ["1"]}, "unknown": ["box 7", "changes 9"]},
    ),
    ("[10, 'b', 2, 'a'].sort(compareValues)", ["a", "b", 2, 10]),
]
"""Calls of the script's functions, and what they return."""


def test_functions_of_the_script(opened: "Page") -> None:
    """The script's functions, called one by one."""
    assert [opened.evaluate(call) for call, _ in _CALLS] == [value for _, value in _CALLS]


def test_search(opened: "Page", states: list[State]) -> None:
    """A word matches the states that contain it."""
    word = states[0].queries[0].gold[0] if states[0].queries[0].gold else "nothing"
    opened.keyboard.press("/")
    opened.keyboard.type(word)
    matches = sum(any(word in token for token in state.description.split()) for state in states)
    count = int(_count(opened).split()[0])
    assert count >= matches > 0
    assert count < STATES


def test_sorting_states(opened: "Page", states: list[State]) -> None:
    """The longest states come first."""
    opened.select_option("#sort", "length")
    most = max(state.description.count(". ") for state in states)
    assert opened.inner_text(".item .many >> nth=0") == str(most)


def test_sorting_a_table(opened: "Page") -> None:
    """Clicks sort a column of Table 6 in descending, then ascending order, with measured rows."""
    column = "#table-6 tbody tr.published td:nth-child(3)"
    head = opened.locator("#table-6 thead th:nth-child(3)")
    for order, sign in (("descending", -1), ("ascending", 1)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        values = [float(text.split()[0]) for text in opened.locator(column).all_inner_texts()]
        assert len(values) == 30
        assert values == sorted(values, key=lambda value: sign * value)
    rows = opened.locator("#table-6 tbody th[scope=row]").all_inner_texts()
    index = rows.index("Llama 2 7B")
    assert rows[index + 1 : index + 3] == ["Llama 2 7B, measured", "difference"]


def test_claims_by_verdict(opened: "Page") -> None:
    """Only the claims with the selected verdict are shown."""
    opened.click(".choice[data-status='undecided']")
    shown = opened.locator(".claim[data-status]:visible")
    assert shown.count() > 0
    statuses = shown.evaluate_all("claims => claims.map(claim => claim.dataset.status)")
    assert set(statuses) == {"undecided"}


def test_link_to_a_state(
    opened: "Page", page_file: Path, states: list[State], initial: InitialContents
) -> None:
    """A state's address shows it, with the box's operations, gold and wrong objects marked."""
    state = next(s for s in states if s.queries[3].numops > 1 and s.queries[3].gold)
    name = state_id(state.description)
    opened.goto(f"{page_file.as_uri()}#state={name}&box=3")
    opened.wait_for_selector(f"#state a[href='#state={name}&box=3']")
    assert opened.locator(".boxes tr.chosen th").inner_text() == "Box 3"
    assert opened.locator(".boxes tr.chosen .gold .object").all_inner_texts() == list(
        state.queries[3].gold
    )
    marked = opened.locator(".operations .concerns").all_inner_texts()
    sentences = [f"{text.removesuffix('.')}." for text in state.description.split(". ")[1:]]
    assert marked == [sentence for sentence in sentences if "Box 3" in sentence]
    copied = opened.locator(".boxes tr.chosen td:nth-child(4)")
    assert copied.get_attribute("class") == (
        "right" if initial(state)[3] == set(state.queries[3].gold) else "wrong"
    )
    extra = copied.locator("ins").all_inner_texts()
    assert {text[1:] for text in extra} == initial(state)[3] - set(state.queries[3].gold)
    missing = copied.locator("del").all_inner_texts()
    assert set(missing) == set(state.queries[3].gold) - initial(state)[3]


def test_keyboard(opened: "Page") -> None:
    """Arrows select a state and digits a box, and the address is updated."""
    opened.focus("#list")
    opened.keyboard.press("ArrowDown")
    opened.keyboard.press("5")
    second = opened.locator(".item >> nth=1")
    assert second.get_attribute("aria-selected") == "true"
    assert opened.evaluate("location.hash").endswith("&box=5")
    opened.keyboard.press("End")
    last = opened.locator(".item[aria-selected=true]")
    assert last.get_attribute("aria-posinset") == str(STATES)
    assert opened.get_attribute("#list", "aria-activedescendant") == last.get_attribute("id")


def test_active_descendant(opened: "Page") -> None:
    """The list refers to the selected state only while it is drawn; no match means no state."""
    chosen = opened.get_attribute("#list", "aria-activedescendant")
    assert opened.locator(f"#{chosen}").count() == 1
    opened.evaluate("document.getElementById('list').scrollTop = 1e6")
    sync_api.expect(opened.locator("#list[aria-activedescendant]")).to_have_count(0)
    opened.fill("#word", "no such object")
    assert opened.get_attribute("#list", "aria-activedescendant") is None
    assert opened.inner_text("#state") == "No state matches the filters."
    opened.fill("#word", "")
    assert opened.get_attribute("#list", "aria-activedescendant") == chosen
    assert opened.locator("#state .boxes").count() == 1


@pytest.mark.parametrize("width", [390])
def test_a_tap_scrolls_to_the_state(opened: "Page") -> None:
    """On a phone the state is below the list; a tap scrolls its heading into the window."""
    opened.evaluate("document.getElementById('count').scrollIntoView({block: 'end'})")
    top = "document.getElementById('state').getBoundingClientRect().top"
    opened.evaluate("document.querySelector('.item').click()")
    assert 0 <= opened.evaluate(top) < 600
    assert opened.evaluate("scrollX") == 0


def test_hostile_texts_are_shown_as_text(opened: "Page") -> None:
    """Markup in a prediction is shown as text, and invisible characters by their codes."""
    opened.select_option("#run", "2")
    opened.select_option("#outcome", "wrong")
    opened.click(".item >> nth=0")
    opened.locator("#state details").nth(2).locator("summary").click()
    shown = opened.locator("#state details").nth(2).locator(".answer").inner_text()
    assert "<script>window.ran=1</script>" in shown
    assert "⟨U+202E⟩gnitset⟨U+202C⟩" in shown
    assert "⟨U+0000⟩⟨U+0007⟩⟨U+001B⟩[31m" in shown
    assert "⟨U+D800⟩" in shown
    assert "⟨U+000A⟩\n⟨U+3164⟩⟨U+115F⟩⟨U+034F⟩⟨U+FE0F⟩end" in shown
    assert opened.locator("img, iframe").count() == 0
    assert opened.locator("script").count() == 2


def test_light_and_dark(opened: "Page") -> None:
    """The button switches the theme, independent of the system's."""
    background = "getComputedStyle(document.body).backgroundColor"
    before = opened.evaluate(background)
    opened.click("#theme")
    assert opened.evaluate(background) != before
    opened.click("#theme")
    assert opened.evaluate(background) == before


def test_boxes_right_by_set_only_are_marked(browser: "Browser", tmp_path: Path) -> None:
    """Boxes with objects in another order have their own mark, legend and filter."""
    states = finished_runs.first_states(13)
    run = finished_runs.write_run(tmp_path / "run", "a/b", states, finished_runs.reversed_answer)
    report = gather([run], registry())
    path = tmp_path / "index.html"
    path.write_text(page(report, tables(report)), encoding="utf-8")
    view = browser.new_page()
    view.goto(path.as_uri())
    view.wait_for_selector(".item")
    set_only = sum(len(query.gold) > 1 for state in states for query in state.queries)
    view.select_option("#outcome", "set-only")
    assert _count(view).endswith(f", {set_only} queries")
    view.locator(".item").first.click()
    chosen = view.inner_text("#state h3 a")
    (state,) = (s for s in states if state_id(s.description).startswith(chosen))
    many_objects = [len(query.gold) > 1 for query in state.queries]
    assert view.locator(".boxes td.set-only").count() == sum(many_objects) > 0
    assert view.locator(".boxes td.right").count() == len(many_objects)
    assert view.locator("#state .note", has_text="right by set, not exact").is_visible()
    view.close()


def test_the_count_is_of_the_states_of_the_run(browser: "Browser", tmp_path: Path) -> None:
    """States that only another run has are not counted; names above the strips are whole."""
    states = finished_runs.first_states(13)
    folders = [
        finished_runs.write_run(
            tmp_path / name, f"a/{name}", states[:count], finished_runs.mixed_answer,
            data={"sha256": name, "states": count},
        )
        for name, count in (("smollm2-few", 5), ("smollm2-all", 13))
    ]  # fmt: skip
    report = gather(folders, registry())
    path = tmp_path / "index.html"
    path.write_text(page(report, tables(report)), encoding="utf-8")
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    view.goto(path.as_uri())
    view.wait_for_selector(".item")
    assert _count(view) == "5 of 5 states, 35 queries"
    view.select_option("#run", "1")
    assert _count(view) == "13 of 13 states, 91 queries"
    overflows = "heads => heads.map(head => head.scrollWidth > head.clientWidth)"
    assert view.locator("#heads .run").evaluate_all(overflows) == [False, False]
    view.close()
