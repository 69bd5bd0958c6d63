/* Figures over time: workers, rays a second, the queue, efficiency. Drawn by hand on a canvas each; the pointer or the arrow keys read off a
 * moment in all of them at once. */
import {clock, count, element, percent, put, si, span} from "./text.js";

const KEPT = 7200;               // samples, one a second
const LEAST_S = 30;              // of the axis
const FIELDS = ["workers", "desired_workers", "threads", "busy_threads", "rays_per_s", "samples_per_s", "tiles_queued", "tiles_in_flight", "efficiency"];
const RIGHT = 8, BOTTOM = 3, TOP = 15;

const CHARTS = [
    {id: "workers", label: "Workers", tone: "--sea-line", field: "workers", also: "desired_workers", text: v => count(v), whole: true,
        note: s => s.desired_workers !== null && s.desired_workers !== s.workers ? `${count(s.desired_workers)} wanted` : s.threads === null ? "" : `${count(s.threads)} threads`},
    {id: "rays", label: "Rays a second", tone: "--coral", field: "rays_per_s", text: si, note: (s, list) => `peak ${si(Math.max(0, ...list.map(x => x.rays_per_s ?? 0)))}`},
    {id: "queue", label: "Tiles waiting", tone: "--sun", field: "tiles_queued", text: v => count(v), whole: true,
        note: s => s.tiles_in_flight === null ? "" : `${count(s.tiles_in_flight)} in flight`},
    {id: "efficiency", label: "Efficiency", tone: "--kelp", field: "efficiency", text: percent, most: 1,
        note: s => s.busy_threads === null ? "" : `${count(s.busy_threads)} of ${count(s.threads)} busy`},
];

/* A round number, not far above value. */
function nice(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map(m => m * power).find(m => m >= value * 0.999);
}

export class Charts {
    constructor(root) {
        Object.assign(this, {samples: [], window: 600, at: null});
        this.charts = CHARTS.map(chart => this.card(root, chart));
        for (const radio of document.querySelectorAll("input[name=window]"))
            radio.addEventListener("change", () => { this.window = Number(radio.value); this.want(); });
        new ResizeObserver(() => this.want()).observe(root);
        addEventListener("theme", () => this.want());
    }

    card(root, chart) {
        const value = element("output", "value"), note = element("span", "note"), canvas = document.createElement("canvas");
        const title = element("h3", "", chart.label), plot = element("div", "plot", canvas), card = element("section", "chart", title, value, note, plot);
        title.id = `chart-${chart.id}`;
        card.id = `card-${chart.id}`;
        card.setAttribute("aria-labelledby", title.id);
        plot.tabIndex = 0;
        plot.setAttribute("role", "slider");
        plot.setAttribute("aria-label", `${chart.label} over time`);
        plot.setAttribute("aria-valuemin", 0);
        const made = {...chart, card, value, note, plot, canvas, context: canvas.getContext("2d"), noteOf: chart.note};
        plot.addEventListener("pointermove", event => this.point(made, event));
        plot.addEventListener("pointerleave", () => this.read(null));
        plot.addEventListener("keydown", event => this.key(event));
        plot.addEventListener("blur", () => this.read(null));
        root.append(card);
        return made;
    }

    sample(of) {
        return {time: of.time, ...Object.fromEntries(FIELDS.map(field => [field, of[field] ?? null]))};
    }

    /* What the server has kept of the time before: the charts begin there, not with this page. */
    remember(history) {
        const known = this.samples, first = known[0]?.time ?? Infinity;
        this.samples = [...history.map(of => this.sample(of)).filter(s => s.time < first - 0.5), ...known];
        this.want();
    }

    /* One `cluster` event. */
    add(cluster) {
        const last = this.samples.at(-1);
        if (last && cluster.time <= last.time) return;
        this.samples.push(this.sample(cluster));
        if (this.samples.length > KEPT) this.samples.splice(0, 600);
        this.want();
    }

    shown() {
        const {samples} = this;
        if (!samples.length) return {from: 0, to: 1, list: []};
        const to = samples.at(-1).time, from = Math.max(to - this.window, Math.min(samples[0].time, to - LEAST_S));
        return {from, to, list: samples.filter(s => s.time >= from)};
    }

    want() {
        this.frame ??= requestAnimationFrame(() => { this.frame = null; this.paint(); });
    }

    paint() {
        const shown = this.shown(), sample = this.at === null ? shown.list.at(-1) : this.nearest(shown.list, this.at);
        for (const chart of this.charts) {
            this.say(chart, sample, shown);
            this.plot(chart, shown, this.at === null ? null : sample);
        }
    }

    say(chart, sample, shown) {
        const value = sample?.[chart.field] ?? null;
        put(chart.value, chart.text(value));
        put(chart.note, !sample ? "" : this.at === null ? chart.noteOf(sample, shown.list) : `${span(shown.to - sample.time)} ago`);
        const index = shown.list.indexOf(sample);
        chart.plot.setAttribute("aria-valuemax", Math.max(0, shown.list.length - 1));
        chart.plot.setAttribute("aria-valuenow", Math.max(0, index));
        chart.plot.setAttribute("aria-valuetext", sample ? `${chart.text(value)} at ${clock(sample.time)}` : "nothing yet");
    }

    nearest(list, time) {
        return list.reduce((best, s) => Math.abs(s.time - time) < Math.abs((best?.time ?? -1e12) - time) ? s : best, null);
    }

    point(chart, event) {
        const box = chart.plot.getBoundingClientRect(), {from, to} = this.shown();
        this.read(from + (event.clientX - box.left) / Math.max(1, box.width - RIGHT) * (to - from));
    }

    key(event) {
        const {list} = this.shown(), last = list.length - 1;
        if (last < 0) return;
        const now = this.at === null ? last : list.indexOf(this.nearest(list, this.at));
        const next = {ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - 30, PageDown: now + 30, Home: 0, End: last}[event.key];
        if (next === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        this.read(list[Math.min(last, Math.max(0, next))].time);
    }

    read(time) {
        this.at = time;
        this.want();
    }

    plot(chart, {from, to, list}, sample) {
        const {canvas, context: c} = chart, ratio = devicePixelRatio || 1, box = canvas.getBoundingClientRect();
        const w = box.width, h = box.height, style = getComputedStyle(canvas), tone = style.getPropertyValue(chart.tone).trim();
        if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
            canvas.width = Math.max(1, Math.round(w * ratio));
            canvas.height = Math.max(1, Math.round(h * ratio));
        }
        c.setTransform(ratio, 0, 0, ratio, 0, 0);
        c.clearRect(0, 0, w, h);
        const most = chart.most ?? nice(Math.max(chart.whole ? 4 : 1e-9, ...list.map(s => Math.max(s[chart.field] ?? 0, chart.also ? s[chart.also] ?? 0 : 0))));
        const X = t => (t - from) / (to - from) * (w - RIGHT), Y = v => h - BOTTOM - Math.min(1, v / most) * (h - BOTTOM - TOP);
        this.grid(c, w, h, Y(most), most < 1e-6 ? "" : chart.text(most), style);
        if (chart.also) this.line(c, list, s => s[chart.also], X, Y, style.getPropertyValue("--muted"), [3, 3], 1.25);
        this.area(c, list, s => s[chart.field], X, Y, tone, h);
        this.line(c, list, s => s[chart.field], X, Y, tone, [], 1.75);
        const marked = sample ?? list.at(-1), value = marked?.[chart.field] ?? null;
        if (sample) this.cross(c, X(sample.time), h, style);
        if (value !== null) this.dot(c, X(marked.time), Y(value), tone, style);
    }

    grid(c, w, h, top, text, style) {
        c.strokeStyle = style.getPropertyValue("--line");
        c.lineWidth = 1;
        c.setLineDash([2, 4]);
        c.beginPath();
        c.moveTo(0, Math.round(top) + 0.5);
        c.lineTo(w, Math.round(top) + 0.5);
        c.stroke();
        c.setLineDash([]);
        c.fillStyle = style.getPropertyValue("--muted");
        c.font = `10px ${style.fontFamily}`;
        c.textAlign = "left";
        c.textBaseline = "bottom";
        c.fillText(text, 13, top - 2);
    }

    /* Lines have gaps where nothing is known, and none is longer than the canvas has pixels. */
    *runs(list, of, X) {
        let run = [], column = -1;
        for (const s of list) {
            const value = of(s) ?? null, x = X(s.time);
            if (value === null) {
                if (run.length) yield run;
                run = [];
            } else if (Math.floor(x * 2) !== column || s === list.at(-1)) {
                run.push([x, value]);
                column = Math.floor(x * 2);
            } else run.at(-1)[1] = Math.max(run.at(-1)[1], value);
        }
        if (run.length) yield run;
    }

    line(c, list, of, X, Y, colour, dash, width) {
        c.strokeStyle = colour;
        c.lineWidth = width;
        c.lineJoin = "round";
        c.setLineDash(dash);
        c.beginPath();
        for (const run of this.runs(list, of, X)) run.forEach(([x, v], i) => i ? c.lineTo(x, Y(v)) : c.moveTo(x, Y(v)));
        c.stroke();
        c.setLineDash([]);
    }

    area(c, list, of, X, Y, colour, h) {
        const gradient = c.createLinearGradient(0, 0, 0, h);
        gradient.addColorStop(0, colour);
        gradient.addColorStop(1, `${colour}00`); // the tones are #rrggbb
        c.fillStyle = gradient;
        c.globalAlpha = 0.32;
        for (const run of this.runs(list, of, X)) {
            c.beginPath();
            c.moveTo(run[0][0], h);
            for (const [x, v] of run) c.lineTo(x, Y(v));
            c.lineTo(run.at(-1)[0], h);
            c.fill();
        }
        c.globalAlpha = 1;
    }

    cross(c, x, h, style) {
        c.strokeStyle = style.getPropertyValue("--ink");
        c.globalAlpha = 0.5;
        c.lineWidth = 1;
        c.beginPath();
        c.moveTo(Math.round(x) + 0.5, 0);
        c.lineTo(Math.round(x) + 0.5, h);
        c.stroke();
        c.globalAlpha = 1;
    }

    dot(c, x, y, colour, style) {
        c.beginPath();
        c.arc(x, y, 3, 0, 7);
        c.fillStyle = colour;
        c.fill();
        c.strokeStyle = style.getPropertyValue("--panel");
        c.lineWidth = 1.5;
        c.stroke();
    }
}
