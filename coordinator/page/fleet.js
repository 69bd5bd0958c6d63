/* The whale and her cargo: a container for each worker, in its colour. They are lowered when they join, light up when a tile comes in, and go
 * overboard when they leave. Decoration: the table beside it says the same in words. */
import {calm} from "./text.js";

const RATIO = 2.15;              // of a container's sides
const LIVELY = 240;              // more than this many move without ado
const DROP_MS = 620, SINK_MS = 1100, BLINK_MS = 350, SHIFT_MS = 300;
const SWELL_MS = [66, 500];      // between two pictures of the swell: with few containers, with many

/* The whale in her own units, swimming to the left; what lies between STRETCH[0] and [1] grows with the cargo. The deck is at y 10. */
const STRETCH = [66, 118];
const BODY = [[4, 36], [4, 17, 22, 10, 48, 10], [80, 10, 104, 10, 126, 10], [150, 10, 164, 21, 178, 15], [185, 12, 186, 3, 180, -7], [190, -6, 195, -1, 197, 6],
    [201, -1, 208, -5, 217, -5], [215, 6, 207, 15, 196, 19], [184, 36, 160, 60, 112, 62], [56, 64, 4, 62, 4, 36]];
const BELLY = [[7, 43], [28, 52, 60, 47, 84, 49], [120, 52, 150, 44, 172, 36], [158, 52, 138, 61, 112, 62], [56, 64, 12, 62, 7, 43]];
const FIN = [[62, 44], [70, 52, 72, 62, 66, 70], [78, 68, 90, 60, 92, 48]];

export class Fleet {
    constructor(canvas, colourOf) {
        Object.assign(this, {canvas, colourOf, context: canvas.getContext("2d"), boxes: new Map(), first: true, swell: 0, alive: false});
        new ResizeObserver(() => this.resize()).observe(canvas);
        addEventListener("theme", () => this.restyle());
        this.restyle();
    }

    restyle() {
        const style = getComputedStyle(document.documentElement);
        this.colours = Object.fromEntries(["whale", "belly", "sea", "sea-deep", "panel", "ink"].map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
        this.want();
    }

    resize() {
        const ratio = devicePixelRatio || 1, box = this.canvas.getBoundingClientRect();
        this.canvas.width = Math.max(1, Math.round(box.width * ratio));
        this.canvas.height = Math.max(1, Math.round(box.height * ratio));
        Object.assign(this, {ratio, w: box.width, h: box.height});
        this.place();
        this.want();
    }

    /* Those connected, in the order in which they came. working: rays are being traced. */
    set(workers, working) {
        const now = performance.now(), here = new Set(workers.map(w => w.id));
        for (const w of workers) {
            const box = this.boxes.get(w.id);
            if (!box) this.boxes.set(w.id, {id: w.id, born: this.first ? -1e9 : now, gone: 0, blink: 0, busy: w.busy});
            else Object.assign(box, {busy: w.busy, gone: 0});
        }
        for (const box of this.boxes.values()) if (!here.has(box.id) && !box.gone) box.gone = now;
        const few = this.boxes.size <= LIVELY && !calm();
        for (const box of this.boxes.values()) if (box.gone && (!few || this.first)) this.boxes.delete(box.id);
        this.first = false;
        this.working = working;
        this.place();
        this.want();
    }

    blink(ids) {
        if (this.boxes.size > LIVELY || calm()) return;
        const now = performance.now();
        for (const id of ids) {
            const box = this.boxes.get(id);
            if (box) box.blink = now;
        }
        this.want();
    }

    /* Where each container stands: as large as fits, in as flat a pile as looks well. */
    place() {
        const standing = [...this.boxes.values()].filter(box => !box.gone), n = standing.length;
        this.scale = Math.min(1, (this.h ?? 0) / 150);
        this.deck = (this.h ?? 0) - 62 * this.scale;
        const room = Math.max(40, (this.w ?? 0) - 150 * this.scale), height = Math.max(10, this.deck - 8);
        let side = 15, columns = 1;
        for (; side > 1.2; side -= side > 4 ? 0.5 : 0.25) {
            const most = Math.floor(room / (side * RATIO + 1)), rows = Math.floor(height / (side + 1));
            if (most * rows < n) continue;
            columns = Math.min(most, Math.max(Math.ceil(Math.sqrt(n * 1.6)), Math.ceil(n / rows), 1));
            break;
        }
        const gap = side > 8 ? 2 : side > 3 ? 1 : 0.5, stride = side * RATIO + gap, now = performance.now();
        this.side = side;
        this.stretch = Math.max(0, columns * stride / this.scale - 66);
        this.left = ((this.w ?? 0) - (221 + this.stretch) * this.scale) / 2;
        const middle = this.left + (52 + (66 + this.stretch) / 2) * this.scale;
        standing.forEach((box, i) => {
            const row = Math.floor(i / columns), column = i % columns;
            const x = middle + (column - columns / 2) * stride + gap / 2, y = this.deck + 10 * this.scale - (row + 1) * (side + gap);
            if (box.x !== undefined && (box.x !== x || box.y !== y)) Object.assign(box, {fromX: box.x, fromY: box.y, shifted: now});
            Object.assign(box, {x, y});
        });
    }

    want() {
        this.frame ??= requestAnimationFrame(() => this.paint());
    }

    paint() {
        this.frame = null;
        const now = performance.now(), {context: c} = this;
        if (!this.w) return;
        if (this.working && !calm()) this.swell = now / 1000;
        c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
        c.clearRect(0, 0, this.w, this.h);
        this.sea(0.5, this.colours["sea-deep"], 0, 13);
        const bob = calm() ? 0 : Math.sin(this.swell * 1.1) * 1.2;
        c.translate(0, bob);
        this.whale();
        let moving = false;
        for (const box of this.boxes.values()) moving = this.container(box, now) || moving;
        c.translate(0, -bob);
        this.sea(1, this.colours.sea, 2.1, 9);
        if (moving) this.want();
        else if (this.working && !calm() && !document.hidden) this.later ??= setTimeout(() => { this.later = null; this.want(); }, SWELL_MS[this.boxes.size > LIVELY ? 1 : 0]);
    }

    path(points) {
        const {context: c, scale} = this, [from, to] = STRETCH;
        const X = x => this.left + (x + Math.min(1, Math.max(0, (x - from) / (to - from))) * this.stretch) * scale, Y = y => this.deck + y * scale;
        c.beginPath();
        c.moveTo(X(points[0][0]), Y(points[0][1]));
        for (const p of points.slice(1)) c.bezierCurveTo(X(p[0]), Y(p[1]), X(p[2]), Y(p[3]), X(p[4]), Y(p[5]));
        c.closePath();
        return [X, Y];
    }

    whale() {
        const {context: c, colours, scale} = this;
        this.path(BODY);
        c.fillStyle = colours.whale;
        c.fill();
        this.path(BELLY);
        c.fillStyle = colours.belly;
        c.fill();
        const [X, Y] = this.path(FIN);
        c.fillStyle = colours.whale;
        c.fill();
        c.beginPath();
        c.arc(X(31), Y(34), 2.3 * scale, 0, 7);
        c.fillStyle = colours.panel;
        c.fill();
    }

    /* A band of water along the lower edge. */
    sea(alpha, colour, phase, depth) {
        const {context: c, w, h} = this, level = h - depth - 4;
        c.globalAlpha = alpha;
        c.fillStyle = colour;
        c.beginPath();
        c.moveTo(0, h);
        for (let x = 0; x <= w + 8; x += 8)
            c.lineTo(x, level + 2.2 * Math.sin(x / 34 + this.swell * 0.9 + phase) + 1.3 * Math.sin(x / 13 - this.swell * 1.3 + phase));
        c.lineTo(w, h);
        c.fill();
        c.globalAlpha = 1;
    }

    /* Whether it moves. */
    container(box, now) {
        const {context: c, side} = this, width = side * RATIO;
        let {x, y} = box, alpha = box.busy ? 1 : 0.5, turn = 0, moving = false;
        const shift = box.shifted ? (now - box.shifted) / SHIFT_MS : 1;
        if (shift < 1 && this.boxes.size <= LIVELY && !calm()) {
            const s = 1 - (1 - shift) ** 3;
            [x, y, moving] = [box.fromX + (x - box.fromX) * s, box.fromY + (y - box.fromY) * s, true];
        }
        const age = (now - box.born) / DROP_MS;
        if (age < 1 && this.boxes.size <= LIVELY && !calm()) {
            y -= (1 - age) ** 2 * 46 * (1 - age);
            alpha *= Math.min(1, age * 2);
            moving = true;
        }
        if (box.gone) {
            const t = (now - box.gone) / SINK_MS;
            if (t >= 1) {
                this.boxes.delete(box.id);
                return true;
            }
            y += t * t * (this.h - y + side);
            x -= t * 30;
            turn = -t * 0.9;
            alpha *= 1 - t * t;
            moving = true;
        }
        c.globalAlpha = alpha;
        if (this.boxes.size > LIVELY) {
            c.fillStyle = this.colourOf(box.id);
            c.fillRect(x, y, width, side);
            return false;
        }
        c.save();
        c.translate(x + width / 2, y + side / 2);
        c.rotate(turn);
        this.steel(width, side, this.colourOf(box.id));
        const lit = 1 - (now - box.blink) / BLINK_MS;
        if (lit > 0) {
            c.globalAlpha = lit * 0.6;
            this.steel(width, side, "#fff");
            moving = true;
        }
        c.restore();
        c.globalAlpha = 1;
        return moving;
    }

    steel(width, side, colour) {
        const {context: c} = this;
        c.fillStyle = colour;
        if (side < 6) return c.fillRect(-width / 2, -side / 2, width, side);
        c.beginPath();
        c.roundRect(-width / 2, -side / 2, width, side, 1.5);
        c.fill();
        c.fillStyle = "rgba(0, 18, 30, .22)";
        for (let x = -width / 2 + 4; x < width / 2 - 3; x += 4) c.fillRect(x, -side / 2 + 2, 1.3, side - 4);
    }
}
