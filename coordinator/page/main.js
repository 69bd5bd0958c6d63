/* The page: puts what the server pushes where it belongs. Each part minds its own room; this file knows them all. */
import {Api} from "./api.js";
import {Charts} from "./charts.js";
import {Fleet} from "./fleet.js";
import {Jobs, isActive} from "./jobs.js";
import {Log} from "./log.js";
import {Picture} from "./picture.js";
import {byId, count, done, ev, many, put, si, span, spanWords} from "./text.js";
import {Workers, isGone} from "./workers.js";

const RESYNC_MS = 10000;         // tiles in flight are asked for anew so often: an event may have been lost
const TOAST_MS = 5000;
const TIDY_MS = 15000, GONE_S = 60;

const api = new Api();
const workers = new Map();       // by id, as the server last said
const colours = new Map();

/* As the server says; of a worker that it has not spoken of yet, any. */
function colourOf(id) {
    const known = colours.get(id), said = known ?? workers.get(id)?.colour;
    if (known) return known;
    if (!/^#[0-9a-f]{6}$/i.test(said ?? "")) return "#9fb4bd";
    colours.set(id, said);
    return said;
}

const log = new Log();
const picture = new Picture(byId("stage"), api, colourOf, () => showView());
const table = new Workers(colourOf, id => { picture.chosen = id; picture.wantLines(); });
const fleet = new Fleet(byId("fleet"), colourOf);
const charts = new Charts(byId("charts"));
const jobs = new Jobs(api, {show: id => show(id), say: (text, level) => toast(text, level), stops: () => picture.stops});

let cluster = {}, pinned = null; // pinned: the job that the reader chose

/* ---- which job is shown ---- */

function show(id) {
    pinned = id;
    follow();
}

/* The chosen one; else the one that works; else the newest. */
function follow() {
    const all = [...jobs.jobs.values()], newest = list => list.sort((a, b) => b.id - a.id)[0];
    const job = jobs.jobs.get(pinned) ?? newest(all.filter(j => j.state === "running" && j.done < 1)) ?? newest(all.filter(isActive)) ?? jobs.jobs.get(picture.job?.id) ?? newest(all) ?? null;
    const another = job?.id !== picture.job?.id;
    if (job && job.state !== picture.job?.state && !another && !isActive(job)) ended(job);
    picture.open(job);
    jobs.shown = job?.id ?? null;
    if (another) {
        jobs.want();
        syncFlights();
    }
    showJob(job);
}

function ended(job) {
    log.say(`${job.name || `Job ${job.id}`} is ${job.state}.`);
    if (pinned === job.id && [...jobs.jobs.values()].some(j => j.state === "running")) pinned = null;
}

async function syncFlights() {
    const id = picture.job?.id;
    if (id === undefined || !isActive(picture.job) || api.state !== "live") return;
    try {
        const list = await api.get(`jobs/${id}/in_flight`);
        if (picture.job?.id === id) picture.replaceFlights(list);
    } catch { /* the stream says when the server is gone */ }
}

/* ---- what the server pushes ---- */

let whole = false;               // the next list of workers is all of them

const listens = {
    /* The stream has begun: a snapshot follows. What it leaves out is asked for. */
    hello(data) {
        if (cluster.epoch !== undefined && data.cluster.epoch !== cluster.epoch) { // another life: its numbers mean other things
            picture.open(null);
            jobs.set([]);
            pinned = null;
        }
        if (data.cluster.epoch !== cluster.epoch || data.last_line < log.last) log.restart();
        whole = true;
        picture.replaceFlights([]);
        listens.cluster(data.cluster);
        refresh();
    },

    cluster(data) {
        cluster = data;
        charts.add(data);
        put(byId("version"), data.version ?? "");
        showEmpty();
    },

    /* Those that came, left or changed, whole; of others their figures alone. */
    workers(list) {
        const before = whole ? new Map() : workers;
        if (whole) workers.clear();
        whole = false;
        for (const w of list) {
            const known = before.get(w.id);
            if (known || w.name !== undefined) workers.set(w.id, {...known, ...w});
        }
        showWorkers();
    },

    job(job) {
        jobs.update(job);
        follow();
    },

    tiles(data) {
        if (data.job !== picture.job?.id) return;
        fleet.blink(picture.landed(data.ended));
        picture.assigned(data.assigned.map(([slot, x, y, width, height, worker]) => ({slot, x, y, width, height, worker})));
        picture.changed(data.changed);
    },

    log(data) {
        log.add([data]);
    },

    state(state) {
        byId("connection").dataset.state = state;
        document.body.dataset.connection = state;
        showConnection();
    },
};
for (const [name, take] of Object.entries(listens)) api.addEventListener(name, event => take(event.detail));

async function refresh() {
    try {
        const [work, lines, past] = await Promise.all([api.get("jobs"), api.get(`log?after=${log.last}`), api.get("history")]);
        charts.remember(past);
        jobs.set(work);
        log.add(lines);
        follow();
        picture.chunks.touchAll();
        syncFlights();
    } catch (problem) {
        toast(`The server could not be asked: ${problem.message}`, "error");
    }
}

/* Those that are gone are listed for a minute, ended jobs for as long as the server remembers them. */
async function tidy() {
    const old = Date.now() / 1000 - GONE_S;
    for (const [id, w] of workers) if (w.left_at && w.left_at < old) workers.delete(id);
    showWorkers();
    if (api.state !== "live") return;
    await api.get("jobs").then(list => { jobs.set(list); follow(); }, () => {});
}

/* ---- what is shown ---- */

let here = null;

function showWorkers() {
    const list = [...workers.values()].sort((a, b) => (a.joined_at ?? 0) - (b.joined_at ?? 0) || a.id - b.id), present = list.filter(w => !isGone(w));
    table.set(list);
    const working = present.some(w => w.in_hand > 0);
    fleet.set(present.map(w => ({id: w.id, busy: w.state === "busy" || w.in_hand > 0})), working);
    put(byId("workers-count"), present.length ? `${count(present.length)}, ${many(present.reduce((sum, w) => sum + (w.threads ?? 0), 0), "thread")}` : "");
    if (here !== null && present.length !== here) log.say(`${many(present.length, "worker")} connected.`);
    here = present.length;
    if (workers.size > 5000) colours.clear();
    picture.wantLines();
    showEmpty();
}

function showJob(job) {
    const title = job ? job.name || `Job ${job.id}` : "No job";
    put(byId("job-title"), title);
    put(byId("job-facts"), job ? `${job.width} × ${job.height}, ${many(job.spp, "sample")} a pixel, ${count(job.tiles_done)} of ${many(job.tiles, "tile")}${job.tiles_redone ? `, ${count(job.tiles_redone)} redone` : ""}` : "Waiting for one");
    put(byId("job-done"), job ? done(job.done) : "");
    put(byId("job-left"), job ? left(job) : "");
    byId("progress").firstChild.style.transform = `scaleX(${job?.done ?? 0})`;
    byId("progress").setAttribute("aria-valuenow", Math.floor((job?.done ?? 0) * 100));
    byId("progress").setAttribute("aria-valuetext", job ? `${title}: ${done(job.done)}, ${isActive(job) ? `${spanWords(job.eta_s)} left` : job.state}` : "no job");
    byId("picture").setAttribute("aria-label", job ? `${title}, ${done(job.done)} rendered` : "No picture yet");
    byId("stage").style.setProperty("--aspect", job ? `${job.width} / ${job.height}` : "16 / 9");
    document.title = job && isActive(job) ? `${done(job.done)} ${title} – mobyray` : "mobyray";
    showEmpty();
}

function left(job) {
    if (job.state === "queued") return "waiting\nits turn";
    if (job.state === "running") return job.eta_s === null || job.eta_s === undefined ? `${span(job.seconds)}\nso far` : `${span(job.eta_s)}\nleft`;
    if (job.state === "done") return `${span(job.seconds)}\n${job.rays && job.seconds > 0 ? `${si(job.rays / job.seconds)} rays/s` : "in all"}`;
    return job.state;
}

/* What to do where there is nothing to see. */
function showEmpty() {
    const none = !picture.job, alone = picture.job && isActive(picture.job) && here === 0;
    const box = byId("empty");
    box.hidden = !none && !alone;
    box.toggleAttribute("data-over", !!alone);
    byId("empty-new").hidden = !none;
    put(byId("empty-title"), "A calm sea");
    put(byId("empty-text"), alone ? "No worker yet. Start one, on any machine that reaches this one:" : "Nothing to render. Choose a scene, or drop a model or a scene pack anywhere on this page.");
    byId("empty-command").hidden = !alone || !cluster.endpoint;
    put(byId("empty-code"), `mobyray worker --coordinator ${(cluster.endpoint ?? "").replace("//0.0.0.0:", `//${location.hostname}:`)}`);
}

function showConnection() {
    const {state} = api, wait = Math.max(0, Math.ceil(((api.retryAt ?? 0) - performance.now()) / 1000));
    put(byId("connection-text"), {live: "live", connecting: "connecting", asleep: "asleep", lost: wait ? `no answer, again in ${wait} s` : "no answer, trying again"}[state]);
}
setInterval(() => api.state === "lost" && showConnection(), 500);

function showView() {
    put(byId("zoom"), picture?.job ? `${Math.round(picture.view.zoom * 100)} %` : "–");
}

function toast(text, level = "info") {
    const box = byId("toast");
    put(box, text);
    box.dataset.level = level;
    box.hidden = false;
    clearTimeout(box.timer);
    box.timer = setTimeout(() => { box.hidden = true; }, level === "error" ? 2 * TOAST_MS : TOAST_MS);
}

/* ---- the token ---- */

api.ask = again => new Promise(resolve => {
    const dialog = byId("token"), field = byId("token-value");
    field.value = "";
    dialog.returnValue = "";
    put(byId("token-error"), again ? "The server does not take that token." : "");
    dialog.addEventListener("close", () => {
        if (dialog.returnValue === "yes") api.keep(field.value.trim());
        resolve(dialog.returnValue === "yes" && field.value.trim() !== "");
    }, {once: true});
    dialog.showModal();
    field.focus();
});

/* ---- controls and keys ---- */

function expose(stops) {
    const to = Math.min(5, Math.max(-5, Math.round(stops * 10) / 10));
    byId("exposure").value = to;
    byId("exposure").setAttribute("aria-valuetext", `${ev(to)} stops`);
    put(byId("exposure-value"), ev(to));
    picture.setStops(to);
}

function outline() {
    picture.outlined = !picture.outlined;
    byId("outline").setAttribute("aria-pressed", picture.outlined);
    picture.wantLines();
}

function isDark() {
    return (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
}

function dress(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    byId("theme").querySelector("use").setAttribute("href", isDark() ? "#i-sun" : "#i-moon");
    dispatchEvent(new Event("theme"));
}

function keepTheme(theme) {
    dress(theme);
    try {
        localStorage.setItem("mobyray-theme", theme);
    } catch { /* for this visit only */ }
}

function present() {
    const on = !document.body.hasAttribute("data-presenting");
    document.body.toggleAttribute("data-presenting", on);
    byId("present").setAttribute("aria-pressed", on);
    if (on) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
    document.activeElement?.blur();
}
document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement && document.body.hasAttribute("data-presenting")) present();
});

function open(dialog) {
    if (!document.querySelector("dialog[open]")) byId(dialog).showModal();
}

const {view} = picture;
const press = {
    "zoom-in": () => view.zoomBy(1.5, null, true), "zoom-out": () => view.zoomBy(1 / 1.5, null, true), fit: () => view.fit(), real: () => view.zoomTo(1),
    "exposure-reset": () => expose(0), outline, present, theme: () => keepTheme(isDark() ? "light" : "dark"), keys: () => open("help"),
    "empty-new": () => jobs.offer(), "empty-copy": () => navigator.clipboard?.writeText(byId("empty-code").textContent).then(() => toast("Copied."), () => toast("The browser does not let this page copy.", "error")),
};
for (const [id, act] of Object.entries(press)) byId(id).addEventListener("click", act);
byId("exposure").addEventListener("input", event => expose(Number(event.target.value)));

const keys = {
    f: press.fit, 1: press.real, "+": press["zoom-in"], "=": press["zoom-in"], "-": press["zoom-out"], "[": () => expose(picture.stops - 0.2), "]": () => expose(picture.stops + 0.2),
    0: () => expose(0), o: outline, p: present, t: press.theme, n: () => document.querySelector("dialog[open]") || jobs.offer(), "?": press.keys,
    w: () => byId("workers-grid").focus(), Escape: () => document.body.hasAttribute("data-presenting") && present(),
};
const arrows = {ArrowLeft: [-80, 0], ArrowRight: [80, 0], ArrowUp: [0, -80], ArrowDown: [0, 80]};
document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || event.target.matches("input:not([type=range], [type=radio]), select, textarea")) return;
    const act = keys[event.key], arrow = document.activeElement === byId("stage") || document.body.hasAttribute("data-presenting") ? arrows[event.key] : null;
    if (!act && !arrow) return;
    event.preventDefault();
    if (act) act();
    else view.panBy(...arrow);
});

byId("stage").addEventListener("pointermove", event => {
    if (!picture.job || event.pointerType !== "mouse") return;
    const [x, y] = view.point(event.clientX, event.clientY).map(Math.floor), inside = x >= 0 && y >= 0 && x < picture.job.width && y < picture.job.height;
    const worker = inside ? picture.workerAt(x, y) : null;
    put(byId("probe"), inside ? `${x}, ${y}${worker === null ? "" : `  ·  ${workers.get(worker)?.name ?? `worker ${worker}`}`}` : "");
});
byId("stage").addEventListener("pointerleave", () => put(byId("probe"), ""));

/* ---- tabs ---- */

const tabs = ["jobs", "log"];
function turn(to) {
    for (const name of tabs) {
        const tab = byId(`tab-${name}`);
        tab.setAttribute("aria-selected", name === to);
        tab.tabIndex = name === to ? 0 : -1;
        byId(name).hidden = name !== to;
    }
    if (to === "log") byId("log-list").scrollTop = byId("log-list").scrollHeight;
}
for (const name of tabs) {
    byId(`tab-${name}`).addEventListener("click", () => turn(name));
    byId(`tab-${name}`).addEventListener("keydown", event => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        turn(tabs[1 - tabs.indexOf(name)]);
        byId(`tab-${tabs[1 - tabs.indexOf(name)]}`).focus();
    });
}

/* ---- begin ---- */

let theme = null;
try {
    theme = localStorage.getItem("mobyray-theme");
} catch { /* none kept */ }
dress(theme === "light" || theme === "dark" ? theme : null);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dress(null));
picture.view.insets = [10, 10, 10, 10];
setInterval(syncFlights, RESYNC_MS);
setInterval(tidy, TIDY_MS);
api.connect();
window.mobyray = {api, picture, charts, jobs, workers, table, fleet}; // for the console, and for tests to look at
