/* The picture's pixels as the page holds them: chunks of 256 x 256, each of one resolution, fetched where they changed.
 *
 * Level k has every 2^k-th pixel. What is on the screen is fetched at the level that suits the zoom, and a coarse level of the whole picture
 * stands behind it until it is there. A changed rectangle marks the chunks it touches; of the marked ones that can be seen a few at a time are
 * fetched again, within a budget of bytes a second, so a thousand workers cost no more than the budget. */
import {ApiError} from "./api.js";

export const SIDE = 256;
const AT_ONCE = 3;               // requests under way: browsers open six to a server, and one is the stream
const BYTES_PER_S = 4e6, BYTES_AT_ONCE = 12e6; // a screen of pixels is 4 to 8 MB
const FETCHES_PER_S = 20, FETCHES_AT_ONCE = 80; // a server counts requests of one address, and a hall of people has one
const AGAIN_MS = 200;            // between two fetches of a chunk
const KEPT = 280;                // chunks: 256 KB of pixels, as many on their canvas
const TONE_MS = 7;               // a frame's share for the tone curve
const FAILED_MS = 1500;          // until a failed fetch is tried again
const BUSY_MS = [700, 8000];     // how long to let a server be that says it has too much to do: least, most

const union = (a, b) => a ? [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])] : b;

export class Chunks {
    /* changed: called when there is something new to draw, with the rectangle of the picture when it is only a part. */
    constructor(api, tone, changed) {
        Object.assign(this, {api, tone, changed, cache: new Map(), flying: 0, refilled: performance.now(), bytes: 0, fetches: 0});
        this.scratch = new ImageData(SIDE, SIDE);
        this.visible = new Set();
        this.open(null, 0, 0);
    }

    open(job, width, height) {
        this.abort?.abort();
        this.abort = new AbortController();
        this.cache.clear();
        this.visible.clear();
        this.toTone = new Set();
        Object.assign(this, {job, width, height, gone: false, bytesLeft: BYTES_AT_ONCE, fetchesLeft: FETCHES_AT_ONCE, busy: 0, quietUntil: 0});
        this.coarse = 0;
        while (Math.max(width, height) >> this.coarse > 2 * SIDE) this.coarse++;
    }

    /* The level for a zoom in device pixels a pixel. */
    level(zoom) {
        return Math.min(this.coarse, Math.max(0, Math.floor(Math.log2(1 / zoom) + 0.01)));
    }

    /* Chunks of a level that touch a rectangle of the picture; missing ones are made when asked. */
    at(level, x0, y0, x1, y1, make) {
        const side = SIDE << level, found = [];
        const right = Math.min(x1, this.width), bottom = Math.min(y1, this.height);
        for (let cy = Math.max(0, Math.floor(y0 / side)); cy * side < bottom; cy++)
            for (let cx = Math.max(0, Math.floor(x0 / side)); cx * side < right; cx++) {
                const key = (level * 65536 + cy) * 65536 + cx;
                const chunk = this.cache.get(key) ?? (make ? this.make(key, level, cx, cy) : null);
                if (chunk) found.push(chunk);
            }
        return found;
    }

    make(key, level, cx, cy) {
        const side = SIDE << level, step = 1 << level, x = cx * side, y = cy * side;
        const width = Math.ceil(Math.min(side, this.width - x) / step), height = Math.ceil(Math.min(side, this.height - y) / step);
        const chunk = {key, level, step, x, y, width, height, rgbe: null, dirty: [0, 0, width, height], canvas: null, untoned: null, again: 0, used: 0};
        this.cache.set(key, chunk);
        if (this.cache.size > KEPT) this.forget();
        return chunk;
    }

    forget() {
        const old = [...this.cache.values()].filter(c => !this.visible.has(c) && c.level !== this.coarse && !c.flying).sort((a, b) => a.used - b.used);
        for (const chunk of old.slice(0, Math.max(0, this.cache.size - KEPT))) {
            this.cache.delete(chunk.key);
            this.toTone.delete(chunk);
        }
    }

    /* What a frame needs, best last. Those that are not there yet will be fetched. */
    view(level, x0, y0, x1, y1) {
        const now = performance.now(), shown = this.at(level, x0, y0, x1, y1, true);
        const behind = level === this.coarse ? [] : this.at(this.coarse, x0, y0, x1, y1, true);
        this.visible = new Set([...behind, ...shown]);
        for (const chunk of this.visible) chunk.used = now;
        this.pump();
        const between = [];
        if (shown.some(chunk => !chunk.rgbe)) // a former zoom's chunks do meanwhile
            for (let k = this.coarse - 1; k >= 0; k--)
                if (k !== level) between.push(...this.at(k, x0, y0, x1, y1, false));
        return [...behind, ...between, ...shown].filter(chunk => chunk.rgbe);
    }

    /* A rectangle of the picture has changed; pump() fetches what is seen of it. */
    touch(x, y, width, height) {
        for (let level = 0; level <= this.coarse; level++)
            for (const c of this.at(level, x, y, x + width, y + height, false)) {
                const step = c.step;
                c.dirty = union(c.dirty, [Math.max(0, Math.floor((x - c.x) / step)), Math.max(0, Math.floor((y - c.y) / step)),
                    Math.min(c.width, Math.ceil((x + width - c.x) / step)), Math.min(c.height, Math.ceil((y + height - c.y) / step))]);
            }
    }

    touchAll() {
        for (const chunk of this.cache.values()) chunk.dirty = [0, 0, chunk.width, chunk.height];
        this.gone = false;
        this.pump();
    }

    /* Nothing on the screen is older than what the server has told. */
    settled() {
        return !this.flying && !this.toTone.size && [...this.visible].every(chunk => chunk.rgbe && !chunk.dirty);
    }

    /* ---- fetching ---- */

    refill(now) {
        const passed = (now - this.refilled) / 1000;
        this.bytesLeft = Math.min(BYTES_AT_ONCE, this.bytesLeft + passed * BYTES_PER_S);
        this.fetchesLeft = Math.min(FETCHES_AT_ONCE, this.fetchesLeft + passed * FETCHES_PER_S);
        this.refilled = now;
    }

    /* First what has never been seen, coarse before fine; then what has waited longest. */
    next(now) {
        let best = null, rank = Infinity;
        for (const chunk of this.visible) {
            if (!chunk.dirty || chunk.flying || chunk.again > now) continue;
            const r = chunk.rgbe ? 1e12 + chunk.again : chunk.level === this.coarse ? 0 : 1 + Math.hypot(...this.fromCentre(chunk));
            if (r < rank) [best, rank] = [chunk, r];
        }
        return best;
    }

    fromCentre(chunk) {
        const side = SIDE * chunk.step;
        return [chunk.x + side / 2 - (this.centre?.[0] ?? 0), chunk.y + side / 2 - (this.centre?.[1] ?? 0)];
    }

    pump() {
        clearTimeout(this.timer);
        if (this.job === null || this.gone || document.hidden || this.api.state !== "live") return; // touchAll comes when it lives again
        const now = performance.now();
        this.refill(now);
        while (this.flying < AT_ONCE && this.bytesLeft > 0 && this.fetchesLeft >= 1 && now >= this.quietUntil) {
            const chunk = this.next(now);
            if (!chunk) break;
            this.fetch(chunk);
        }
        if (this.flying < AT_ONCE && [...this.visible].some(chunk => chunk.dirty && !chunk.flying))
            this.timer = setTimeout(() => this.pump(), 60);
    }

    async fetch(chunk) {
        const [x0, y0, x1, y1] = chunk.dirty, {step} = chunk, signal = this.abort.signal;
        const x = chunk.x + x0 * step, y = chunk.y + y0 * step;
        const width = Math.min((x1 - x0) * step, this.width - x), height = Math.min((y1 - y0) * step, this.height - y);
        chunk.dirty = null;
        chunk.flying = true;
        this.flying++;
        this.bytesLeft -= 4 * (x1 - x0) * (y1 - y0);
        this.fetchesLeft--;
        let wait = AGAIN_MS;
        try {
            const rgbe = await this.api.pixels(this.job, x, y, width, height, step, signal);
            if (signal.aborted) return;
            if (rgbe.length !== 4 * (x1 - x0) * (y1 - y0)) throw new Error(`${rgbe.length} bytes of pixels, expected ${4 * (x1 - x0) * (y1 - y0)}`);
            this.take(chunk, x0, y0, x1, y1, rgbe);
            this.busy = 0;
        } catch (problem) {
            if (signal.aborted) return;
            chunk.dirty = union(chunk.dirty, [x0, y0, x1, y1]);
            wait = FAILED_MS;
            if (problem instanceof ApiError) this.refused(problem.status);
        } finally {
            this.flying--;
            chunk.flying = false;
            chunk.again = performance.now() + wait;
            this.pump();
        }
    }

    refused(status) {
        if (status === 404 || status === 410) this.gone = true; // what we have stays
        if (status !== 429 && status !== 503) return;
        this.busy = Math.min(BUSY_MS[1], Math.max(BUSY_MS[0], 2 * this.busy));
        this.quietUntil = performance.now() + this.busy * (0.75 + 0.5 * Math.random());
    }

    take(chunk, x0, y0, x1, y1, rgbe) {
        const {width} = chunk, row = 4 * (x1 - x0);
        this.bytes += rgbe.length;
        this.fetches++;
        chunk.rgbe ??= new Uint8Array(4 * width * chunk.height);
        for (let y = y0; y < y1; y++) chunk.rgbe.set(rgbe.subarray((y - y0) * row, (y - y0 + 1) * row), 4 * (y * width + x0));
        const fresh = !chunk.canvas, {step} = chunk;
        this.untone(chunk, [x0, y0, x1, y1]);
        this.changed(fresh ? null : [chunk.x + x0 * step, chunk.y + y0 * step, chunk.x + x1 * step, chunk.y + y1 * step]);
    }

    /* ---- tone ---- */

    untone(chunk, rectangle) {
        chunk.untoned = union(chunk.untoned, rectangle);
        this.toTone.add(chunk);
    }

    /* The curve or the exposure is another: everything is to be painted again, what can be seen first. */
    untoneAll() {
        for (const chunk of this.cache.values())
            if (chunk.rgbe) this.untone(chunk, [0, 0, chunk.width, chunk.height]);
        this.changed(null);
    }

    /* Paints what is new, for a few milliseconds. True: there is more to do. */
    tonePending() {
        const end = performance.now() + TONE_MS;
        for (const seen of [true, false])
            for (const chunk of this.toTone) {
                if (this.visible.has(chunk) !== seen) continue;
                if (performance.now() > end) return true;
                this.paint(chunk);
                this.toTone.delete(chunk);
            }
        return false;
    }

    paint(chunk) {
        const [x0, y0, x1, y1] = chunk.untoned, {data} = this.scratch;
        if (!chunk.canvas) {
            chunk.canvas = document.createElement("canvas");
            chunk.canvas.width = chunk.width;
            chunk.canvas.height = chunk.height;
            chunk.paint = chunk.canvas.getContext("2d");
        }
        for (let y = y0; y < y1; y++) this.tone.row(chunk.rgbe, 4 * (y * chunk.width + x0), data, 4 * (y * SIDE + x0), x1 - x0);
        chunk.paint.putImageData(this.scratch, 0, 0, x0, y0, x1 - x0, y1 - y0);
        chunk.untoned = null;
    }
}
