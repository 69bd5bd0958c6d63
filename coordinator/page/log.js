/* The log of events, and the one line of it that a screen reader hears and a passer-by sees. */
import {byId, clock, element, put} from "./text.js";

const KEPT = 400;                // lines
const SPEAK_MS = 2500;           // between two announcements: joins and losses may come in hundreds

export class Log {
    constructor() {
        Object.assign(this, {list: byId("log-list"), last: 0, pending: [], unsaid: [], follow: true});
        this.list.addEventListener("scroll", () => { this.follow = this.list.scrollTop + this.list.clientHeight > this.list.scrollHeight - 24; });
    }

    /* {id, time, level, text}; what is known already is passed over. */
    add(lines) {
        for (const line of lines) {
            if (line.id !== undefined && line.id <= this.last) continue;
            this.last = line.id ?? this.last;
            this.pending.push(line);
        }
        if (this.pending.length > KEPT) this.pending.splice(0, this.pending.length - KEPT);
        if (this.pending.length) this.frame ??= requestAnimationFrame(() => this.paint());
    }

    /* Ids begin anew with another life of the coordinator. */
    restart() {
        this.last = 0;
    }

    paint() {
        this.frame = null;
        const made = this.pending.map(line => {
            const item = element("li", "", element("time", "", clock(line.time ?? Date.now() / 1000)), element("span", "", line.text));
            item.dataset.level = line.level ?? "info";
            return item;
        });
        const latest = this.pending.at(-1);
        this.pending = [];
        this.list.append(...made);
        while (this.list.children.length > KEPT) this.list.firstChild.remove();
        byId("log-none").hidden = true;
        if (this.follow) this.list.scrollTop = this.list.scrollHeight;
        const ticker = byId("ticker");
        put(ticker, latest.text);
        ticker.dataset.level = latest.level ?? "info";
    }

    /* Said aloud, several at once when they come too fast. */
    say(text) {
        this.unsaid.push(text);
        this.speaking ??= setTimeout(() => {
            this.speaking = null;
            put(byId("live"), this.unsaid.slice(-4).join(" "));
            this.unsaid = [];
        }, this.spoken && performance.now() - this.spoken < SPEAK_MS ? SPEAK_MS : 50);
        this.spoken = performance.now();
    }
}
