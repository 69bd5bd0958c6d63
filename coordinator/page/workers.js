/* The workers as a table of which only the rows in sight exist: a thousand are as cheap as ten. Rows glide when the order changes, come in lit and
 * fade when their worker has gone. */
import {byId, count, element, put, si} from "./text.js";

const AHEAD = 4;                 // rows beyond the edges
const COLUMNS = [
    {id: "name", label: "Name", text: w => w.name, by: w => w.name, words: true},
    {id: "threads", label: "Threads", text: w => count(w.threads), by: w => w.threads},
    {id: "tiles", label: "Tiles/s", text: w => si(w.tiles_per_s), by: w => w.tiles_per_s},
    {id: "rays", label: "Rays/s", text: w => si(w.rays_per_s), by: w => w.rays_per_s},
    {id: "hand", label: "In hand", text: w => count(w.in_hand), by: w => w.in_hand},
    {id: "redone", label: "Redone", text: w => count(w.redone), by: w => w.redone},
    {id: "state", label: "State", text: w => w.state, by: w => w.state, words: true},
];
const GONE = new Set(["lost", "left", "refused"]);
export const isGone = worker => GONE.has(worker.state);

export class Workers {
    /* chose: called with a worker's id, or null, when one is picked out. */
    constructor(colourOf, chose) {
        Object.assign(this, {colourOf, chose, workers: new Map(), rows: new Map(), sorted: [], sort: "joined", up: false, chosen: null, active: null, seen: null});
        this.grid = byId("workers-grid");
        this.body = byId("workers-body");
        this.space = byId("workers-space");
        this.filter = byId("workers-filter");
        this.heads();
        this.body.addEventListener("scroll", () => this.want());
        this.filter.addEventListener("input", () => this.arrange());
        this.grid.addEventListener("keydown", event => this.key(event));
        this.space.addEventListener("click", event => this.pick(Number(event.target.closest(".row")?.dataset.id ?? -1)));
        new ResizeObserver(() => this.want()).observe(this.body);
    }

    heads() {
        const row = byId("workers-head");
        for (const column of COLUMNS) {
            const button = element("button", "", column.label), head = element("div", `head ${column.id}`, button);
            head.setAttribute("role", "columnheader");
            button.type = "button";
            button.addEventListener("click", () => this.sortBy(column.id));
            column.head = head;
            row.append(head);
        }
    }

    /* A third click is the order of joining again, newest first. */
    sortBy(id) {
        const first = COLUMNS.find(c => c.id === id).words === true;
        if (this.sort !== id) [this.sort, this.up] = [id, first];
        else if (this.up === first) this.up = !first;
        else [this.sort, this.up] = ["joined", false];
        for (const c of COLUMNS) {
            if (c.id === this.sort) c.head.setAttribute("aria-sort", this.up ? "ascending" : "descending");
            else c.head.removeAttribute("aria-sort");
        }
        this.arrange();
    }

    set(list) {
        const before = this.seen;
        this.workers = new Map(list.map(w => [w.id, w]));
        this.seen = new Set(this.workers.keys());
        this.joined = before ? new Set([...this.seen].filter(id => !before.has(id))) : new Set();
        this.arrange();
    }

    arrange() {
        const wanted = this.filter.value.trim().toLowerCase(), column = COLUMNS.find(c => c.id === this.sort), by = column?.by ?? (w => w.joined_at ?? w.id);
        const list = [...this.workers.values()].filter(w => !wanted || `${w.name} ${w.host} ${w.state} ${w.kernel ?? ""}`.toLowerCase().includes(wanted));
        const sign = this.up ? 1 : -1, order = (a, b) => a === b ? 0 : a === null || a === undefined ? 1 : b === null || b === undefined ? -1 : a < b ? -sign : sign;
        list.sort((a, b) => isGone(a) - isGone(b) || order(by(a), by(b)) || b.id - a.id);
        this.sorted = list;
        this.grid.setAttribute("aria-rowcount", list.length + 1);
        byId("workers-none").hidden = list.length > 0;
        put(byId("workers-none"), this.workers.size ? "No worker matches." : "No workers yet.");
        this.want();
    }

    want() {
        this.frame ??= requestAnimationFrame(() => { this.frame = null; this.paint(); });
    }

    /* Of a row, in pixels: --row is in rem. */
    height() {
        return parseFloat(getComputedStyle(this.grid).getPropertyValue("--row")) * parseFloat(getComputedStyle(document.documentElement).fontSize);
    }

    paint() {
        const height = this.height(), {scrollTop, clientHeight} = this.body;
        const first = Math.max(0, Math.floor(scrollTop / height) - AHEAD), last = Math.min(this.sorted.length, Math.ceil((scrollTop + clientHeight) / height) + AHEAD);
        const kept = new Set();
        this.space.style.height = `${this.sorted.length * height}px`;
        for (let i = first; i < last; i++) {
            const worker = this.sorted[i];
            kept.add(worker.id);
            this.fill(this.rows.get(worker.id) ?? this.row(worker), worker, i, height);
        }
        for (const [id, row] of this.rows)
            if (!kept.has(id)) {
                row.node.remove();
                this.rows.delete(id);
            }
        this.mark();
    }

    row(worker) {
        const node = element("div", "row"), chip = element("span", "chip"), host = element("span", "host"), cells = {};
        node.setAttribute("role", "row");
        node.id = `worker-${worker.id}`;
        node.dataset.id = worker.id;
        for (const column of COLUMNS) {
            const text = element("span", "text"), cell = element("div", `cell ${column.id}`);
            cell.setAttribute("role", "gridcell");
            cell.dataset.label = column.label;
            if (column.id === "name") cell.append(chip, element("span", "who", text, host));
            else cell.append(text);
            cells[column.id] = text;
            node.append(cell);
        }
        if (this.joined?.has(worker.id)) node.classList.add("joining");
        const row = {node, chip, host, cells};
        this.rows.set(worker.id, row);
        this.space.append(node);
        return row;
    }

    fill({node, chip, host, cells}, worker, index, height) {
        node.style.transform = `translateY(${index * height}px)`;
        node.setAttribute("aria-rowindex", index + 2);
        node.dataset.state = worker.state;
        chip.style.backgroundColor = this.colourOf(worker.id);
        put(host, [worker.name?.startsWith(worker.host) ? "" : worker.host, worker.kernel].filter(Boolean).join(", ")); // most are called after their host
        node.title = `${worker.name} on ${worker.host ?? "?"}${worker.kernel ? `, ${worker.kernel}` : ""}`;
        for (const column of COLUMNS) put(cells[column.id], column.text(worker) ?? "–");
    }

    mark() {
        for (const [id, {node}] of this.rows) {
            node.setAttribute("aria-selected", id === this.chosen);
            node.classList.toggle("active", id === this.active);
        }
        if (this.active !== null && this.rows.has(this.active)) this.grid.setAttribute("aria-activedescendant", `worker-${this.active}`);
        else this.grid.removeAttribute("aria-activedescendant");
    }

    key(event) {
        if (event.target !== this.grid) return;
        const at = this.sorted.findIndex(w => w.id === this.active), page = Math.max(1, Math.floor(this.body.clientHeight / 40));
        const to = {ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.sorted.length - 1}[event.key];
        if (to !== undefined && this.sorted.length) this.activate(Math.min(this.sorted.length - 1, Math.max(0, to)));
        else if ((event.key === "Enter" || event.key === " ") && at >= 0) this.pick(this.active);
        else if (event.key === "Escape" && this.chosen !== null) this.pick(this.chosen);
        else return;
        event.preventDefault();
        event.stopPropagation();
    }

    activate(index) {
        const height = this.height(), {body} = this;
        this.active = this.sorted[index].id;
        if (index * height < body.scrollTop) body.scrollTop = index * height;
        if ((index + 1) * height > body.scrollTop + body.clientHeight) body.scrollTop = (index + 1) * height - body.clientHeight;
        this.paint();
    }

    /* Picks a worker out, or lets it go again. */
    pick(id) {
        if (!this.workers.has(id)) return;
        this.chosen = this.chosen === id ? null : id;
        this.active = id;
        this.mark();
        this.chose(this.chosen);
    }
}
