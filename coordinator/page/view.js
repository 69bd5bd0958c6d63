/* Which part of the picture is seen: zoom and place, by wheel, drag, pinch and keys. Knows no pixels. */
import {calm} from "./text.js";

const MOST = 32;                 // device pixels a pixel
const EASE_MS = 160;

export class View {
    /* stage: the element that is looked through; changed: called when the view has. */
    constructor(stage, changed) {
        Object.assign(this, {stage, changed, zoom: 1, x: 0, y: 0, width: 0, height: 0, fitting: true, pointers: new Map(), insets: [0, 0, 0, 0]});
        stage.addEventListener("wheel", event => this.wheel(event), {passive: false});
        stage.addEventListener("pointerdown", event => this.down(event));
        stage.addEventListener("pointermove", event => this.move(event));
        for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, event => this.up(event));
        stage.addEventListener("dblclick", event => this.toggle(event));
        new ResizeObserver(() => this.resize()).observe(stage);
    }

    get ratio() {
        return devicePixelRatio || 1;
    }

    /* A picture of another size is shown whole. */
    open(width, height) {
        if (width === this.width && height === this.height) return;
        Object.assign(this, {width, height, fitting: true});
        this.resize();
    }

    resize() {
        const box = this.stage.getBoundingClientRect();
        Object.assign(this, {w: Math.max(1, Math.round(box.width * this.ratio)), h: Math.max(1, Math.round(box.height * this.ratio))});
        if (this.fitting) Object.assign(this, this.fitted());
        this.settle();
    }

    /* The zoom that shows all of it, less the room that the margins take. x, y: the picture's point in the middle. */
    fitted() {
        const [top, right, bottom, left] = this.insets.map(px => px * this.ratio);
        const zoom = Math.min((this.w - left - right) / (this.width || 1), (this.h - top - bottom) / (this.height || 1));
        return {zoom, x: this.width / 2 - (left - right) / 2 / zoom, y: this.height / 2 - (top - bottom) / 2 / zoom};
    }

    /* Within limits, and told. */
    settle() {
        const least = Math.min(this.fitted().zoom, 1) / 2;
        this.zoom = Math.min(MOST, Math.max(least, this.zoom));
        if (!this.fitting) {
            this.x = Math.min(this.width, Math.max(0, this.x));
            this.y = Math.min(this.height, Math.max(0, this.y));
        }
        this.stage.dataset.fitting = this.fitting;
        this.changed();
    }

    fit() {
        this.fitting = true;
        this.glide(this.fitted());
    }

    /* About a point of the stage in CSS pixels (the middle when none is given), which stays where it is. */
    zoomTo(wanted, about, smoothly = true) {
        const zoom = Math.min(MOST, Math.max(Math.min(this.fitted().zoom, 1) / 2, wanted));
        const dx = about ? about[0] * this.ratio - this.w / 2 : 0, dy = about ? about[1] * this.ratio - this.h / 2 : 0;
        const target = {zoom, x: this.x + dx / this.zoom - dx / zoom, y: this.y + dy / this.zoom - dy / zoom};
        this.fitting = false;
        if (smoothly) return this.glide(target);
        Object.assign(this, target);
        this.settle();
    }

    zoomBy(factor, about, smoothly = false) {
        this.zoomTo(this.zoom * factor, about, smoothly);
    }

    panBy(dx, dy) {
        this.fitting = false;
        this.x += dx * this.ratio / this.zoom;
        this.y += dy * this.ratio / this.zoom;
        this.settle();
    }

    glide(target) {
        cancelAnimationFrame(this.gliding);
        const from = {zoom: this.zoom, x: this.x, y: this.y}, start = performance.now();
        const step = now => {
            const t = calm() ? 1 : Math.min(1, (now - start) / EASE_MS), s = 1 - (1 - t) ** 3;
            this.zoom = from.zoom * (target.zoom / from.zoom) ** s;
            const moved = target.zoom === from.zoom ? s : (1 / this.zoom - 1 / from.zoom) / (1 / target.zoom - 1 / from.zoom); // the fixed point stays fixed
            this.x = from.x + (target.x - from.x) * moved;
            this.y = from.y + (target.y - from.y) * moved;
            if (t === 1) Object.assign(this, target); // exactly
            this.settle();
            if (t < 1) this.gliding = requestAnimationFrame(step);
        };
        step(calm() ? start + EASE_MS : start);
    }

    /* From the stage's CSS pixels to the picture. */
    point(clientX, clientY) {
        const box = this.stage.getBoundingClientRect();
        return [this.x + ((clientX - box.left) * this.ratio - this.w / 2) / this.zoom, this.y + ((clientY - box.top) * this.ratio - this.h / 2) / this.zoom];
    }

    local(event) {
        const box = this.stage.getBoundingClientRect();
        return [event.clientX - box.left, event.clientY - box.top];
    }

    wheel(event) {
        event.preventDefault();
        const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
        this.zoomBy(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.0022)), this.local(event));
    }

    toggle(event) {
        if (event.target.closest("button, input, a")) return;
        if (this.fitting) this.zoomTo(1, this.local(event));
        else this.fit();
    }

    down(event) {
        if (event.target.closest("button, input, a") || event.button > 0) return;
        this.pointers.set(event.pointerId, this.local(event));
        this.stage.setPointerCapture(event.pointerId);
        if (!this.fitting) this.stage.dataset.dragging = "";
    }

    move(event) {
        const before = this.pointers.get(event.pointerId), now = this.local(event);
        if (!before) return;
        const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
        this.pointers.set(event.pointerId, now);
        if (others.length === 1) this.pinch(others[0][1], before, now);
        else if (!others.length && (!this.fitting || event.pointerType === "mouse") && (now[0] !== before[0] || now[1] !== before[1]))
            this.panBy(before[0] - now[0], before[1] - now[1]);
    }

    pinch(still, before, now) {
        const distance = p => Math.max(8, Math.hypot(p[0] - still[0], p[1] - still[1]));
        this.panBy((before[0] - now[0]) / 2, (before[1] - now[1]) / 2);
        this.zoomBy(distance(now) / distance(before), [(now[0] + still[0]) / 2, (now[1] + still[1]) / 2]);
    }

    up(event) {
        this.pointers.delete(event.pointerId);
        if (!this.pointers.size) delete this.stage.dataset.dragging;
    }
}
