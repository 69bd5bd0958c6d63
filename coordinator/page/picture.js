/* The stage: the picture as it fills in, and over it the tiles in flight in their workers' colours. Paints at most once a frame, and only when
 * something has changed. */
import {Chunks, SIDE} from "./chunks.js";
import {calm} from "./text.js";
import {Tone} from "./tone.js";
import {View} from "./view.js";

const FLASH_MS = 420;            // a tile that has come in lights up for so long
const LIVELY = 160;              // more tiles in flight than this are outlined plainly
const LATE_MS = 60;              // a new exposure is shown piece by piece rather than later
const KEPT = 20000;              // outlines: far beyond what a screen can show

export class Picture {
    /* colourOf: worker id -> CSS colour. told: called when zoom or place have changed. */
    constructor(stage, api, colourOf, told) {
        this.canvas = stage.querySelector("#picture");
        this.overlay = stage.querySelector("#outlines");
        this.context = this.canvas.getContext("2d");
        this.lines = this.overlay.getContext("2d");
        Object.assign(this, {colourOf, told, tone: new Tone(), stops: 0, flights: new Map(), flashes: [], outlined: true, chosen: null, job: null, frames: 0, due: 0});
        this.chunks = new Chunks(api, this.tone, rectangle => this.want(rectangle));
        this.view = new View(stage, () => this.moved());
        addEventListener("theme", () => this.moved());
    }

    /* job: as the API gives it, or null. What was shown stays when it is the same job. */
    open(job) {
        if ((job?.id ?? null) !== (this.job?.id ?? null)) {
            this.flights.clear();
            this.flashes = [];
            this.chunks.open(job?.id ?? null, job?.width ?? 0, job?.height ?? 0);
            this.view.open(job?.width ?? 0, job?.height ?? 0);
        }
        const ended = job && job.state !== this.job?.state && job.state !== "running" && job.state !== "queued";
        this.job = job;
        this.expose();
        if (ended) {
            this.chunks.touchAll(); // whatever a lost event did not tell
            this.flights.clear();
        }
        this.moved();
    }

    expose() {
        const changed = this.tone.set(this.job?.tone_map ?? "filmic", (this.job?.exposure ?? 1) * Math.pow(2, this.stops));
        if (changed) this.chunks.untoneAll();
    }

    setStops(stops) {
        this.stops = stops;
        this.expose();
    }

    /* ---- tiles ---- */

    /* flights: [{slot, x, y, width, height, worker}]: pieces of work that were given out. A slot is used again when it is free. */
    assigned(flights) {
        for (const flight of flights) if (this.flights.size < KEPT) this.flights.set(flight.slot, {...flight, born: performance.now()});
        this.wantLines();
    }

    /* Those of these slots are no longer out: they light up. Returns who had them. */
    landed(slots) {
        const born = performance.now(), workers = [];
        for (const slot of slots) {
            const flight = this.flights.get(slot);
            if (!flight) continue;
            workers.push(flight.worker);
            if (this.flashes.length < LIVELY) this.flashes.push({...flight, born});
            this.flights.delete(slot);
        }
        this.wantLines();
        return workers;
    }

    replaceFlights(flights) {
        const before = this.flights;
        this.flights = new Map(flights.slice(0, KEPT).map(flight => [flight.slot, {...flight, born: before.get(flight.slot)?.born ?? performance.now()}]));
        this.wantLines();
    }

    /* Rectangles [x, y, width, height] of the picture. */
    changed(rectangles) {
        for (const rectangle of rectangles) this.chunks.touch(...rectangle);
        this.chunks.pump();
    }

    /* ---- painting ---- */

    moved() {
        this.linesWanted = true;
        this.want();
        this.told();
    }

    wantLines() {
        this.linesWanted = true;
        this.schedule();
    }

    /* rectangle: the only part of the picture that has changed; without one all of it is painted. */
    want(rectangle) {
        if (!rectangle) this.damage = null;
        else if (!this.wanted) this.damage = [rectangle];
        else this.damage?.push(rectangle);
        this.wanted = true;
        this.schedule();
    }

    schedule() {
        this.frame ??= requestAnimationFrame(() => this.paint());
    }

    paint() {
        this.frame = null;
        this.frames++;
        const more = this.chunks.toTone.size ? this.chunks.tonePending() : false, parts = this.damage;
        if (this.wanted && (!more || performance.now() > this.due)) { // what is not toned yet is painted with the rest, but not too late
            this.paintPicture(parts && parts.length < 24 && !more ? parts : null);
            this.due = performance.now() + LATE_MS;
        }
        this.wanted = more;
        if (this.linesWanted) this.linesWanted = this.paintLines();
        if (this.wanted || this.linesWanted) this.schedule();
    }

    /* Whether it had another size, and is empty now. */
    sized(canvas) {
        const {w, h} = this.view;
        if (canvas.width === w && canvas.height === h) return false;
        canvas.width = w;
        canvas.height = h;
        return true;
    }

    /* The picture's point in device pixels. */
    screen(x, y) {
        const {view} = this;
        return [Math.round((x - view.x) * view.zoom + view.w / 2), Math.round((y - view.y) * view.zoom + view.h / 2)];
    }

    /* parts: rectangles of the picture, or null for all of it. */
    paintPicture(parts) {
        const {context, view, job} = this, {w, h, zoom} = view;
        if (this.sized(this.canvas)) parts = null;
        context.save();
        if (parts) this.clip(parts);
        context.clearRect(0, 0, w, h);
        if (job) {
            const x0 = Math.max(0, view.x - w / 2 / zoom), y0 = Math.max(0, view.y - h / 2 / zoom);
            const x1 = Math.min(job.width, view.x + w / 2 / zoom), y1 = Math.min(job.height, view.y + h / 2 / zoom);
            this.ground();
            this.chunks.centre = [view.x, view.y];
            if (x1 > x0 && y1 > y0) this.paintChunks(this.chunks.view(this.chunks.level(zoom), x0, y0, x1, y1), parts);
        }
        context.restore();
    }

    /* A pixel more on each side: the neighbours' colours reach there. */
    clip(parts) {
        const {context} = this;
        context.beginPath();
        for (const [x0, y0, x1, y1] of parts) {
            const [left, top] = this.screen(x0, y0), [right, bottom] = this.screen(x1, y1);
            context.rect(left - 2, top - 2, right - left + 4, bottom - top + 4);
        }
        context.clip();
    }

    paintChunks(chunks, parts) {
        const {context, job, view} = this, level = this.chunks.level(view.zoom), margin = 4 / view.zoom;
        for (const chunk of chunks) {
            const right = Math.min(job.width, chunk.x + SIDE * chunk.step), bottom = Math.min(job.height, chunk.y + SIDE * chunk.step);
            if (!chunk.canvas || parts && !parts.some(p => p[0] < right + margin && p[2] > chunk.x - margin && p[1] < bottom + margin && p[3] > chunk.y - margin)) continue;
            const [x0, y0] = this.screen(chunk.x, chunk.y), [x1, y1] = this.screen(right, bottom);
            context.imageSmoothingEnabled = chunk.step * view.zoom < 1 || chunk.level > level;
            context.drawImage(chunk.canvas, 0, 0, chunk.width, chunk.height, x0, y0, x1 - x0, y1 - y0);
        }
    }

    /* Where nothing is yet: water. A picture that is done has black where there is no light. */
    ground() {
        const {context, job} = this, [left, top] = this.screen(0, 0), [right, bottom] = this.screen(job.width, job.height);
        const style = getComputedStyle(this.canvas);
        context.fillStyle = job.state === "done" ? "#000" : style.getPropertyValue("--water").trim() || "#123";
        context.fillRect(left, top, right - left, bottom - top);
    }

    /* Whether something still moves. */
    paintLines() {
        const {lines, view} = this, now = performance.now();
        this.sized(this.overlay);
        lines.clearRect(0, 0, view.w, view.h);
        if (!this.job) return false;
        const lively = !calm() && this.flights.size < LIVELY;
        let moving = this.paintFlashes(now, lively);
        if (this.outlined && this.job.state !== "done") moving = this.paintFlights(now, lively) || moving;
        return moving;
    }

    paintFlashes(now, lively) {
        const {lines} = this;
        this.flashes = lively ? this.flashes.filter(flash => now - flash.born < FLASH_MS) : [];
        for (const flash of this.flashes) {
            const [left, top] = this.screen(flash.x, flash.y), [right, bottom] = this.screen(flash.x + flash.width, flash.y + flash.height);
            lines.globalAlpha = 0.3 * (1 - (now - flash.born) / FLASH_MS) ** 2;
            lines.fillStyle = "#fff";
            lines.fillRect(left, top, right - left, bottom - top);
        }
        lines.globalAlpha = 1;
        return this.flashes.length > 0;
    }

    paintFlights(now, lively) {
        const {lines} = this, width = Math.max(1, Math.round(1.5 * this.view.ratio)), byColour = new Map();
        let young = false;
        for (const flight of this.flights.values()) {
            const box = this.box(flight);
            if (!box) continue;
            const age = lively ? Math.min(1, (now - flight.born) / 180) : 1;
            young ||= age < 1;
            const faint = this.chosen !== null && flight.worker !== this.chosen, colour = this.colourOf(flight.worker);
            const key = `${colour} ${faint}`;
            if (!byColour.has(key)) byColour.set(key, {colour, faint, boxes: []});
            byColour.get(key).boxes.push([box, age]);
        }
        for (const {colour, faint, boxes} of byColour.values()) {
            lines.globalAlpha = faint ? 0.18 : 1;
            if (lively) {
                lines.strokeStyle = "rgba(2, 14, 22, .6)";
                lines.lineWidth = width + 2;
                this.corners(boxes, width);
            }
            lines.strokeStyle = colour;
            lines.lineWidth = width;
            this.corners(boxes, width);
            lines.globalAlpha *= 0.13;
            lines.fillStyle = colour;
            lines.beginPath();
            for (const [[x, y, w, h]] of boxes) lines.rect(x, y, w, h);
            lines.fill();
        }
        lines.globalAlpha = 1;
        return young;
    }

    /* On the screen, or null. */
    box(flight) {
        const [left, top] = this.screen(flight.x, flight.y), [right, bottom] = this.screen(flight.x + flight.width, flight.y + flight.height);
        return right < 0 || bottom < 0 || left > this.view.w || top > this.view.h ? null : [left, top, right - left, bottom - top];
    }

    /* A bracket at each corner; a small tile has its whole edge. They close in when the tile is given out. */
    corners(boxes, width) {
        const {lines} = this, least = 22 * this.view.ratio;
        lines.beginPath();
        for (const [[x, y, w, h], age] of boxes) {
            const inset = width / 2 + 1 - (1 - age) * 7 * this.view.ratio;
            const l = x + inset, t = y + inset, r = x + w - inset, b = y + h - inset, arm = Math.min(w, h) * 0.28;
            if (Math.min(w, h) < least) lines.rect(l, t, Math.max(1, r - l), Math.max(1, b - t));
            else for (const [cx, cy, dx, dy] of [[l, t, arm, arm], [r, t, -arm, arm], [r, b, -arm, -arm], [l, b, arm, -arm]]) {
                lines.moveTo(cx + dx, cy);
                lines.lineTo(cx, cy);
                lines.lineTo(cx, cy + dy);
            }
        }
        lines.stroke();
    }

    /* Who traces the tile at a point of the picture: null: nobody. */
    workerAt(x, y) {
        for (const f of this.flights.values())
            if (x >= f.x && y >= f.y && x < f.x + f.width && y < f.y + f.height) return f.worker;
        return null;
    }
}
