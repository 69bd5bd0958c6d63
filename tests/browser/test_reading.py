"""The dashboard for everyone: narrow and wide, light and dark, by keyboard alone, for a screen reader."""

import pytest

import waiting
from running import ROOT

SIZES = [(320, 568), (390, 844), (768, 1024), (1024, 600), (1280, 800), (1920, 1080), (3840, 2160)]
SPHERES = (ROOT / "scenes" / "spheres", "-o", "out.png", "--size", "320x180", "--spp", "4")

# Text whose colour is too near to what is behind it: [text, ratio]. WCAG 2.1, 1.4.3: 4.5, or 3 where it is large.
CONTRAST = """
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const parse = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] / 255 + under[i] * (1 - top[3] / 255));
    const light = c => c.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
    const behind = node => {
        if (!node) return [255, 255, 255];
        const colour = parse(getComputedStyle(node).backgroundColor);
        return colour[3] === 255 ? colour.slice(0, 3) : over(colour, behind(node.parentElement));
    };
    const low = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let count = 0;
    while (walk.nextNode()) {
        const node = walk.currentNode.parentElement, style = getComputedStyle(node);
        if (!walk.currentNode.textContent.trim() || !node.checkVisibility({visibilityProperty: true}) || node.closest('.hidden, .skip, option')) continue;
        const ground = behind(node), a = light(over(parse(style.color), ground)), b = light(ground), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
        count++;
        if (ratio < (large ? 3 : 4.5)) low.push([walk.currentNode.textContent.trim(), ratio, style.color, ground]);
    }
    return [count, low];
"""


@pytest.fixture
def watched(cluster, page):
    """A page with a picture that is done, a worker, a job and a log."""
    cluster.coordinator(*SPHERES)
    cluster.worker()
    page.open(cluster, token=True)
    page.until("mobyray.picture.job?.state === 'done' && document.querySelectorAll('#workers-body .row').length === 1", "the picture")
    return page


def test_nothing_sticks_out(watched):
    for width, height in SIZES:
        watched.size(width, height)
        for presenting in (False, True):
            watched(f"document.body.toggleAttribute('data-presenting', {str(presenting).lower()})")
            watched.wait_for("await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
            out = watched("""const wide = document.documentElement.scrollWidth - innerWidth;
                const past = [...document.querySelectorAll('header *, main *, .toast')].filter(n => n.checkVisibility() && !n.closest('.hidden, svg, .grid-body'))
                    .filter(n => n.getBoundingClientRect().right > innerWidth + 1).map(n => n.id || n.className || n.tagName);
                return [wide, past, document.getElementById('stage').getBoundingClientRect().height]""")
            assert out[0] <= 0 and out[1] == [], f"{width}x{height}, presenting {presenting}: {out}"
            assert out[2] >= 100, f"{width}x{height}: a picture {out[2]} pixels high"


def test_contrast(watched):
    for scheme in ("light", "dark"):
        watched.media(scheme)
        watched("document.getElementById('tab-log').click(); mobyray.table.pick(mobyray.table.sorted[0].id)")
        for dialog in (None, "submit", "confirm", "token", "help"):
            if dialog:
                watched(f"document.getElementById('{dialog}').showModal()")
            count, low = watched(CONTRAST)
            assert count > 20 and low == [], f"{scheme}, {dialog}: {low}"
            if dialog:
                watched(f"document.getElementById('{dialog}').close()")
        watched("document.getElementById('tab-jobs').click(); mobyray.table.pick(mobyray.table.sorted[0].id)")
        count, low = watched(CONTRAST)
        assert low == [], f"{scheme}: {low}"


def test_light_and_dark_can_be_chosen(watched):
    ground = lambda: watched("return getComputedStyle(document.body).backgroundColor")
    light = ground()
    watched.click("#theme")
    assert watched("return document.documentElement.dataset.theme") == "dark" and ground() != light
    watched.driver.refresh()
    watched.until("window.mobyray && mobyray.api.state === 'live'", "the page again")
    assert watched("return document.documentElement.dataset.theme") == "dark" and ground() != light, "the choice is forgotten"
    watched.click("#theme")
    assert ground() == light
    watched("localStorage.clear()")


def test_everything_has_a_name(watched):
    watched("document.getElementById('tab-jobs').click()")
    asked = {"button", "link", "textbox", "searchbox", "slider", "spinbutton", "combobox", "tab", "tabpanel", "radio", "grid", "dialog", "progressbar", "image", "columnheader", "toolbar"}
    for dialog in (None, "submit", "confirm", "token", "help"):
        if dialog:
            watched(f"document.getElementById('{dialog}').showModal()")
        watched.driver.execute_cdp_cmd("Accessibility.enable", {})
        nodes = watched.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        shown = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"] and "role" in node]
        roles = {role for role, _ in shown}
        nameless = [role for role, name in shown if role in asked and not name.strip()]
        assert nameless == [], f"{dialog}: {nameless}"
        if dialog:
            watched(f"document.getElementById('{dialog}').close()")
        else:
            assert {"banner", "main", "heading", "button", "slider", "tab", "grid", "row", "progressbar", "status"} <= roles, roles
    assert watched("return document.documentElement.lang") == "en" and watched("return document.title")


def test_by_keyboard_alone(watched):
    from selenium.webdriver.common.keys import Keys
    here = lambda: watched("return document.activeElement.id || document.activeElement.closest('[id]')?.id")

    # Tab reaches every control, and each shows that it has the focus.
    stops, count = [], watched("""return [...document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')]
        .filter(n => n.checkVisibility() && n.tabIndex >= 0 && !n.disabled && !(n.type === 'radio' && !n.checked)).length""")
    watched("document.activeElement.blur(); scrollTo(0, 0)")
    for _ in range(count):
        watched.keys(Keys.TAB)
        stop = watched("""const n = document.activeElement, s = getComputedStyle(n), t = n.type === 'radio' ? getComputedStyle(n.nextElementSibling) : s;
            return n === document.body ? null : [n.id || n.textContent || n.tagName, t.outlineStyle !== 'none' && parseFloat(t.outlineWidth) >= 2]""")
        if stop is None:
            break
        stops.append(stop)
    assert [name for name, shows in stops if not shows] == []
    assert len(stops) >= count - 1, f"{len(stops)} stops of {count}: {stops}"

    # The picture.
    watched("document.getElementById('stage').focus()")
    fitted = watched("return mobyray.picture.view.zoom")
    watched.keys("1")
    watched.until("mobyray.picture.view.zoom === 1", "real pixels")
    x = watched("return mobyray.picture.view.x")
    watched.keys("+" + Keys.ARROW_RIGHT)
    watched.until(f"mobyray.picture.view.zoom > 1 && mobyray.picture.view.x > {x}", "nearer, and to the right")
    watched.keys("f")
    watched.until(f"Math.abs(mobyray.picture.view.zoom - {fitted}) < 1e-9", "all of it")
    watched.keys("[")
    assert watched.text("#exposure-value") == "−0.2"
    watched.keys("0")
    assert watched.text("#exposure-value") == "0.0"

    # The workers, the tabs, presentation mode.
    watched.keys("w")
    assert here() == "workers-grid"
    watched.keys(Keys.ARROW_DOWN, Keys.ENTER)
    assert watched("return document.querySelector('#workers-body .row').getAttribute('aria-selected')") == "true"
    assert watched("return mobyray.picture.chosen") == watched("return mobyray.table.active")
    watched("document.getElementById('tab-jobs').focus()")
    watched.keys(Keys.ARROW_RIGHT)
    assert here() == "tab-log" and not watched("return document.getElementById('log').hidden")
    watched.keys("p")
    watched.until("document.body.hasAttribute('data-presenting')", "presentation mode")
    watched.keys("p")
    watched.until("!document.body.hasAttribute('data-presenting') && !document.fullscreenElement", "the desk again")

    # A new job, from opening the dialog to its picture.
    watched.keys("n")
    watched.until("document.getElementById('submit').open && document.querySelectorAll('#submit-scene option').length > 1", "the dialog and its scenes")
    assert here() == "submit-scene"
    watched.keys("c", Keys.TAB, Keys.TAB, "40", Keys.TAB, "30", Keys.TAB, "2", Keys.ENTER)
    job = "mobyray.jobs.jobs.size === 2 && [...mobyray.jobs.jobs.values()].find(j => j.width === 40 && j.height === 30 && j.spp === 2)"
    waiting.until(lambda: watched(f"return ({job})?.state") == "done", "the second picture")
    assert watched(f"return ({job}).name") == "cornell"


def test_a_thousand_workers_are_few_rows(watched):
    watched("""for (let id = 1000; id < 2000; id++)
        mobyray.workers.set(id, {id, name: `w${id}`, host: 'h', threads: 2, state: 'busy', joined_at: id, tiles_per_s: id, rays_per_s: 1e6, in_hand: 3, redone: 0});
        mobyray.table.set([...mobyray.workers.values()])""")
    watched.until("document.querySelectorAll('#workers-body .row').length > 3", "rows")
    assert watched("return document.querySelectorAll('#workers-body .row').length") < 60
    assert watched("return document.getElementById('workers-grid').getAttribute('aria-rowcount')") == "1002"
    watched("document.getElementById('workers-body').scrollTop = 500 * 40")
    watched.until("[...document.querySelectorAll('#workers-body .row')].some(r => Number(r.getAttribute('aria-rowindex')) === 505)", "the rows in the middle")
    watched.click(".head.tiles button")
    watched("document.getElementById('workers-body').scrollTop = 0")
    watched.until("document.querySelector('#workers-body .row[aria-rowindex=\"2\"] .who .text')?.textContent === 'w1999'", "the fastest on top")
    watched("document.getElementById('workers-filter').value = 'w1234'; document.getElementById('workers-filter').dispatchEvent(new Event('input'))")
    watched.until("document.querySelectorAll('#workers-body .row').length === 1", "the one that was asked for")
