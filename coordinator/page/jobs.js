/* The jobs: a list with what can be done to each, and the dialog that gives a new one. */
import {byId, bytes, count, done, element, many, put, si, span} from "./text.js";

const MODELS = ["pack", "gltf", "glb", "obj", "ply", "stl", "off", "3ds", "dae", "fbx"];
const ACTIVE = new Set(["queued", "running"]);
export const isActive = job => ACTIVE.has(job.state);

function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("class", "icon");
    use.setAttribute("href", `#${name}`);
    svg.append(use);
    return svg;
}

export class Jobs {
    /* hooks: show(id), say(text, level), stops() -> exposure in stops */
    constructor(api, hooks) {
        Object.assign(this, {api, hooks, jobs: new Map(), cards: new Map(), shown: null, file: null});
        this.list = byId("jobs-list");
        this.dialog = byId("submit");
        byId("jobs-new").addEventListener("click", () => this.offer());
        byId("submit-form").addEventListener("submit", event => this.submit(event));
        byId("submit-file").addEventListener("change", event => event.target.files[0] && this.choose(event.target.files[0]));
        byId("submit-scene").addEventListener("change", () => this.preset());
        byId("submit-priority").addEventListener("input", event => put(byId("submit-priority-value"), event.target.value));
        byId("submit-unfile").addEventListener("click", () => this.choose(null));
        for (const button of document.querySelectorAll("dialog [data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
        this.drops();
    }

    set(list) {
        this.jobs = new Map(list.map(job => [job.id, job]));
        this.paint();
    }

    update(job) {
        this.jobs.set(job.id, job);
        this.want();
    }

    want() {
        this.frame ??= requestAnimationFrame(() => { this.frame = null; this.paint(); });
    }

    /* ---- the list ---- */

    paint() {
        const sorted = [...this.jobs.values()].sort((a, b) => isActive(b) - isActive(a) || b.id - a.id);
        byId("jobs-none").hidden = sorted.length > 0;
        put(byId("jobs-count"), this.jobs.size ? String(this.jobs.size) : "");
        for (const [id, card] of this.cards)
            if (!this.jobs.has(id)) {
                card.node.remove();
                this.cards.delete(id);
            }
        sorted.forEach((job, i) => {
            const card = this.cards.get(job.id) ?? this.card(job);
            if (this.list.children[i] !== card.node) this.list.insertBefore(card.node, this.list.children[i] ?? null);
            this.fill(card, job);
        });
    }

    card(job) {
        const name = element("button", "job-name"), state = element("span", "badge"), facts = element("p", "facts"), bar = element("div", "bar", element("i"));
        const text = element("p", "job-text"), png = this.link("PNG"), exr = this.link("EXR"), cancel = element("button", "quiet danger", "Cancel");
        const node = element("li", "job", element("div", "job-top", name, state), bar, facts, text, element("div", "job-do", png, exr, cancel));
        name.type = cancel.type = "button";
        bar.setAttribute("role", "progressbar");
        bar.setAttribute("aria-valuemin", 0);
        bar.setAttribute("aria-valuemax", 100);
        name.addEventListener("click", () => this.hooks.show(job.id));
        cancel.addEventListener("click", () => this.cancel(this.jobs.get(job.id)));
        png.addEventListener("click", () => { png.href = this.api.imageUrl(job.id, "png", this.hooks.stops()); });
        node.dataset.id = job.id;
        const card = {node, name, state, facts, bar, text, png, exr, cancel};
        this.cards.set(job.id, card);
        return card;
    }

    link(format) {
        const link = element("a", "quiet", icon("i-save"), format);
        return link;
    }

    fill(card, job) {
        const title = job.name || `job ${job.id}`, file = title.replace(/[^\w.-]+/g, "_");
        put(card.name, title);
        card.name.setAttribute("aria-current", job.id === this.shown);
        card.node.dataset.state = job.state;
        put(card.state, job.state);
        put(card.facts, [`${job.width} × ${job.height}`, many(job.spp, "sample"), `priority ${job.priority}`, this.progress(job)].filter(Boolean).join("  ·  "));
        put(card.text, job.text ?? "");
        card.text.hidden = !job.text;
        card.bar.firstChild.style.transform = `scaleX(${job.done ?? 0})`;
        card.bar.setAttribute("aria-valuenow", Math.floor((job.done ?? 0) * 100));
        card.bar.setAttribute("aria-label", `${title}: progress`);
        card.cancel.hidden = !isActive(job);
        card.cancel.setAttribute("aria-label", `Cancel ${title}`);
        for (const [link, format] of [[card.png, "png"], [card.exr, "exr"]]) {
            link.href = this.api.imageUrl(job.id, format, this.hooks.stops());
            link.download = `${file.replace(/\.(png|exr|hdr|pfm)$/i, "")}.${format}`;
            link.hidden = job.has_image === false;
            link.setAttribute("aria-label", `Download ${title} as ${format.toUpperCase()}`);
        }
    }

    progress(job) {
        if (job.state === "running") return `${done(job.done)}${job.eta_s === null || job.eta_s === undefined ? "" : `, ${span(job.eta_s)} left`}`;
        if (job.state === "done") return `in ${span(job.seconds)}${job.seconds > 0 && job.rays ? `, ${si(job.rays / job.seconds)} rays/s` : ""}`;
        return "";
    }

    async cancel(job) {
        const dialog = byId("confirm"), title = job.name || `job ${job.id}`;
        put(byId("confirm-title"), `Cancel ${title}?`);
        put(byId("confirm-text"), `${count(job.tiles_done)} of ${count(job.tiles)} tiles are done. What has been rendered is lost.`);
        dialog.returnValue = "";
        dialog.showModal();
        await new Promise(resolve => dialog.addEventListener("close", resolve, {once: true}));
        if (dialog.returnValue !== "yes") return;
        try {
            if (await this.api.change("DELETE", `jobs/${job.id}`)) this.hooks.say(`${title} is cancelled.`);
        } catch (problem) {
            if (problem.status === 404 || problem.status === 409) this.hooks.say(`${title} has ended already.`);
            else this.hooks.say(`${title} could not be cancelled: ${problem.message}`, "error");
        }
    }

    /* ---- a new one ---- */

    async offer(file) {
        this.choose(file ?? null);
        put(byId("submit-error"), "");
        if (!this.dialog.open) this.dialog.showModal();
        const select = byId("submit-scene");
        try {
            const list = await this.api.get("scenes");
            this.scenes = list;
        } catch {
            this.scenes = [];
        }
        const chosen = select.value;
        select.replaceChildren(...this.scenes.map(s => new Option(s.title && s.title !== s.name ? `${s.name}: ${s.title}` : s.name, s.name)));
        if (chosen) select.value = chosen;
        if (!this.scenes.length) select.append(new Option("no scenes on the server", ""));
        this.preset();
    }

    /* What the scene itself asks for is what an empty field means. */
    preset() {
        const scene = this.file ? null : this.scenes?.find(s => s.name === byId("submit-scene").value);
        byId("submit-width").placeholder = scene?.width ?? "as the scene says";
        byId("submit-height").placeholder = scene?.height ?? "as the scene says";
        byId("submit-spp").placeholder = scene?.spp ?? "as the scene says";
    }

    choose(file) {
        this.file = file;
        const ending = file?.name.split(".").pop().toLowerCase();
        this.dialog.dataset.from = file ? "file" : "scene";
        put(byId("submit-chosen"), file ? `${file.name}, ${bytes(file.size)}` : "");
        byId("submit-scene").disabled = !!file;
        if (!file) byId("submit-file").value = "";
        byId("submit-go").disabled = false;
        put(byId("submit-error"), file && !MODELS.includes(ending) ? `.${ending} is none of the kinds that a scene is made of (${MODELS.join(", ")}); the server will say what it makes of it.` : "");
        this.preset();
    }

    async submit(event) {
        event.preventDefault();
        const value = id => byId(`submit-${id}`).value.trim(), number = id => value(id) === "" ? undefined : Number(value(id));
        const options = {width: number("width"), height: number("height"), spp: number("spp"), priority: number("priority"), verify: number("verify") || undefined};
        const scene = value("scene"), go = byId("submit-go");
        if (!this.file && !scene) return put(byId("submit-error"), "Choose a scene of the server, or a file of yours.");
        go.disabled = true;
        put(byId("submit-error"), "");
        try {
            const given = this.file ? await this.send(this.file, options) : await this.api.change("POST", "jobs", {scene, ...options});
            if (given) {
                this.dialog.close();
                this.hooks.say(`${this.file?.name ?? scene} is submitted.`);
                this.hooks.show(given.id);
            }
        } catch (problem) {
            put(byId("submit-error"), problem.message);
        }
        go.disabled = false;
    }

    send(file, options) {
        const query = new URLSearchParams({name: file.name});
        for (const [key, value] of Object.entries(options)) if (value !== undefined) query.set(key, value);
        return this.api.change("POST", `jobs?${query}`, new Blob([file], {type: "application/octet-stream"}));
    }

    /* ---- drag and drop, anywhere on the page ---- */

    drops() {
        const veil = byId("drop");
        let depth = 0;
        const hasFile = event => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
        const over = now => { veil.hidden = !now; };
        addEventListener("dragenter", event => { if (hasFile(event)) { event.preventDefault(); depth++; over(true); } });
        addEventListener("dragover", event => { if (hasFile(event)) { event.preventDefault(); event.dataTransfer.dropEffect = "copy"; } });
        addEventListener("dragleave", event => { if (hasFile(event) && --depth <= 0) { depth = 0; over(false); } });
        addEventListener("drop", event => {
            if (!hasFile(event)) return;
            event.preventDefault();
            depth = 0;
            over(false);
            if (event.dataTransfer.files.length) this.offer(event.dataTransfer.files[0]);
        });
    }
}
