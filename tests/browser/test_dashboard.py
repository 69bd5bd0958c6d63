"""The dashboard in real Chromium: a render watched to its end, jobs given and cancelled, losses of workers and of the coordinator itself."""

import json
import pathlib
import signal

import pytest

import faults
import waiting
from dashboard import TOKEN
from running import ROOT

CORNELL = ROOT / "scenes" / "cornell"
SMALL = ("--size", "96x64", "--spp", "4")
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n"

# The canvas beside the PNG that the API gives: greatest and mean difference of a channel, and how many pixels were compared.
DIFFERENCE = """
    const {picture} = mobyray, {view, canvas, job} = picture;
    const bitmap = await createImageBitmap(await (await fetch(mobyray.api.imageUrl(job.id, 'png', picture.stops))).blob());
    const png = new OffscreenCanvas(job.width, job.height).getContext('2d');
    png.drawImage(bitmap, 0, 0);
    const [left, top] = picture.screen(0, 0);
    const seen = canvas.getContext('2d').getImageData(left, top, job.width, job.height).data, wanted = png.getImageData(0, 0, job.width, job.height).data;
    let most = 0, sum = 0;
    for (let i = 0; i < seen.length; i++) { const d = Math.abs(seen[i] - wanted[i]); most = Math.max(most, d); sum += d; }
    return {most, mean: sum / seen.length, pixels: seen.length / 4, zoom: view.zoom};
"""


def real_pixels(page):
    """The whole picture, one pixel for one, with nothing left to fetch or to paint."""
    page("mobyray.picture.view.zoomTo(1)")
    page.until("mobyray.picture.view.zoom === 1 && mobyray.picture.chunks.settled() && !mobyray.picture.frame", "the picture's pixels")


def same_as_png(page):
    real_pixels(page)
    found = page.wait_for(DIFFERENCE)
    assert isinstance(found, dict), found
    assert found["pixels"] > 0 and found["zoom"] == 1
    assert found["most"] <= 8 and found["mean"] < 0.5, found  # 8 bits of mantissa are shared by three channels


def state(page, worker):
    """What the table says of a worker, whose name ends with its process's number. None: it has no row."""
    return page(f"return [...document.querySelectorAll('#workers-body .row')].find(r => r.querySelector('.who .text').textContent.endsWith('-{worker.pid}'))?.dataset.state ?? null")


def test_a_render_watched_to_its_end(cluster, page):
    coordinator = cluster.coordinator(CORNELL, "-o", "out.png", *faults.picture(9))
    page.open(cluster)
    page.until("!document.getElementById('empty').hidden && document.getElementById('empty-code').textContent.includes('mobyray worker')", "what to do without workers")
    assert page("return document.querySelectorAll('#workers-body .row').length") == 0

    first = cluster.worker()
    page.until("mobyray.picture.flights.size > 0", "tiles in flight")
    waiting.until(lambda: state(page, first) == "busy", "the first worker's row")
    page.until("document.getElementById('empty').hidden", "the advice to be gone")
    outlined = page.until("""(() => { const {lines, overlay, flights} = mobyray.picture;
        const box = flights.size && mobyray.picture.box(flights.values().next().value);
        return box && lines.getImageData(box[0], box[1], box[2], box[3]).data.some((v, i) => i % 4 === 3 && v > 200); })()""", "an outline around a tile in flight")
    assert outlined

    second = cluster.worker()
    waiting.until(lambda: state(page, second) == "busy", "the second worker's row")
    page.until("mobyray.charts.samples.at(-1)?.workers === 2", "two workers in the chart")
    colours = page("return [...document.querySelectorAll('#workers-body .chip')].map(c => getComputedStyle(c).backgroundColor)")
    assert len(set(colours)) == 2, colours

    second.signal(signal.SIGKILL)
    waiting.until(lambda: state(page, second) == "lost", "its loss")
    page.until("mobyray.fleet.boxes.size === 1", "one container left on the whale")
    page.click("#tab-log")
    page.until(f"[...document.querySelectorAll('#log-list li')].some(l => l.textContent.includes('-{second.pid}'))", "the loss in the log")
    assert page("return mobyray.picture.job.state") == "running", "over too soon: give it more samples"

    waiting.log_has(coordinator, "the picture is in")
    page.until("mobyray.picture.job.state === 'done'", "the end")
    assert page.text("#job-done") == "100 %"
    assert page("return mobyray.picture.flights.size") == 0
    same_as_png(page)
    served = page.wait_for("return [...new Uint8Array(await (await fetch(mobyray.api.imageUrl(mobyray.picture.job.id, 'png', 0))).arrayBuffer())]")
    assert bytes(served) == (cluster.mobyray.folder / "out.png").read_bytes()
    page("mobyray.picture.view.fit()")
    page.keys("]]]]]")
    assert page.text("#exposure-value") == "+1.0"
    same_as_png(page)


@pytest.mark.parametrize("curve", ["linear", "filmic", "aces"])
def test_tone_curves_are_those_of_the_png(cluster, page, curve):
    scene = json.loads((CORNELL / "scene.json").read_text())
    scene["film"] = {**scene["film"], "tone_map": curve, "exposure": 2.5}
    folder = cluster.mobyray.folder / "scene"
    folder.mkdir()
    for file in CORNELL.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "scene.json").write_text(json.dumps(scene))
    coordinator = cluster.coordinator(folder, "-o", "out.png", *SMALL)
    cluster.worker()
    waiting.log_has(coordinator, "the picture is in")
    page.open(cluster)
    page.until("mobyray.picture.job?.state === 'done'", "the picture")
    assert page("return mobyray.picture.tone.curve") == curve
    same_as_png(page)


def drop(page, name, text):
    """What the browser does when a file is let go over the page."""
    page("""
        const data = new DataTransfer();
        data.items.add(new File([arguments[1]], arguments[0]));
        for (const type of ['dragenter', 'dragover', 'drop'])
            document.body.dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: data}));
    """, name, text)


def fill(page, **fields):
    for field, value in fields.items():
        page(f"document.getElementById('submit-{field}').value = arguments[0]", str(value))


def states(page):
    return page("return Object.fromEntries([...document.querySelectorAll('.job')].map(j => [j.querySelector('.job-name').textContent, j.dataset.state]))")


def test_a_model_dropped_on_the_page_is_rendered_and_another_cancelled(cluster, page):
    cluster.coordinator()
    page.expected = r"status of (400|401|404|422)"  # the refusals below
    page.open(cluster)
    assert not page("return document.getElementById('empty').hidden")

    # Without the token nothing is taken; a wrong one is refused, the right one is kept.
    drop(page, "pyramid.obj", OBJ)
    page.until("document.getElementById('submit').open", "the dialog")
    assert page.text("#submit-chosen").startswith("pyramid.obj")
    fill(page, width=80, height=60, spp=2, priority=7)
    page.click("#submit-go")
    page.until("document.getElementById('token').open", "the question for the token")
    page.keys("this-is-certainly-wrong")
    page.click("#token .primary")
    page.until("document.getElementById('token').open && document.getElementById('token-error').textContent !== ''", "the wrong token to be refused")
    assert states(page) == {}
    page.keys(TOKEN)
    page.click("#token .primary")
    waiting.until(lambda: states(page) == {"pyramid": "queued"}, "the job in the list")
    assert "80 × 60" in page.text(".job .facts") and "priority 7" in page.text(".job .facts")
    cluster.worker()
    waiting.until(lambda: states(page) == {"pyramid": "done"}, "the picture")
    same_as_png(page)

    # What is no model is refused in the dialog, which stays open.
    drop(page, "broken.obj", "this is no model")
    page.until("document.getElementById('submit').open", "the dialog")
    page.click("#submit-go")
    page.until("document.getElementById('submit-error').textContent !== ''", "the server's reason")
    page.click("#submit [data-close]")

    # A long one is cancelled, but not without being asked.
    page.click("#jobs-new")
    page.until("document.querySelectorAll('#submit-scene option').length > 1", "the server's scenes")
    page("document.getElementById('submit-scene').value = 'spheres'")
    fill(page, width=512, height=512, spp=100000)
    page.click("#submit-go")
    waiting.until(lambda: states(page).get("spheres") == "running", "the long job")
    page.click(".job[data-state=running] .danger")
    page.until("document.getElementById('confirm').open", "the question")
    page.click("#confirm [value=no]")
    assert states(page)["spheres"] == "running"
    page.click(".job[data-state=running] .danger")
    page.click("#confirm-yes")
    waiting.until(lambda: states(page)["spheres"] == "cancelled", "its end")
    assert states(page)["pyramid"] == "done"


def test_a_coordinator_that_comes_back_is_found_again(cluster, page):
    coordinator = cluster.coordinator(CORNELL, "-o", "out.png", *SMALL)
    page.expected = r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET"
    page.open(cluster)
    coordinator.signal(signal.SIGKILL)
    page.until("document.getElementById('connection').dataset.state === 'lost'", "the loss to be noticed")
    assert "no answer" in page.text("#connection-text")
    coordinator.process.wait()

    cluster.coordinator(CORNELL, "-o", "out.png", *SMALL)
    page.until("document.getElementById('connection').dataset.state === 'live'", "the new stream")
    cluster.worker()
    page.until("mobyray.picture.job?.state === 'done'", "the picture of the second life")
    same_as_png(page)


def test_a_page_that_vanishes_leaves_no_stream(cluster, page):
    cluster.coordinator(CORNELL, "-o", "out.png", *SMALL)
    page.open(cluster)
    page.driver.get("about:blank")
    worker = cluster.worker()
    waiting.until(lambda: (pathlib.Path(cluster.mobyray.folder) / "out.png").exists(), "the picture, watched by nobody")
    worker.end()
