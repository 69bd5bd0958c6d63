/* The server's API (docs/API.md) as the page uses it: requests, the token, and one stream of events that comes back by itself. */

const BASE = "api/v1/";
const SILENCE_MS = 6000;               // `cluster` comes each second: after so long nobody is there
const RETRY_MS = [500, 1000, 2000, 4000, 8000, 15000];
const HIDDEN_MS = 30000;               // a page that nobody sees lets the stream go
const EVENTS = ["hello", "cluster", "workers", "job", "tiles", "log"];
const KEY = "mobyray-token";

export class ApiError extends Error {
    constructor(status, text) {
        super(text);
        this.status = status;
    }
}

async function failure(answer) {
    const text = await answer.text().catch(() => "");
    let said = "";
    try {
        const body = JSON.parse(text);
        said = typeof body.error === "string" ? body.error : body.error?.text ?? body.error?.message ?? body.message ?? "";
    } catch { /* not JSON: the status says enough */ }
    return new ApiError(answer.status, said || `the server answered ${answer.status} ${answer.statusText}`.trim());
}

export class Api extends EventTarget {
    constructor() {
        super();
        this.state = "connecting"; // connecting, live, lost, asleep
        this.failures = 0;
        this.bytes = 0;            // of events
        this.takeToken();
        addEventListener("hashchange", () => this.takeToken());
        addEventListener("online", () => this.state === "lost" && this.connect());
        document.addEventListener("visibilitychange", () => this.seen(!document.hidden));
    }

    /* ---- requests ---- */

    async get(path, options) {
        const answer = await fetch(BASE + path, {cache: "no-store", ...options});
        if (!answer.ok) throw await failure(answer);
        return answer.json();
    }

    /* RGBE bytes of a rectangle, every step-th pixel. */
    async pixels(job, x, y, width, height, step, signal) {
        const answer = await fetch(`${BASE}jobs/${job}/pixels?x=${x}&y=${y}&width=${width}&height=${height}&step=${step}`, {cache: "no-store", signal});
        if (!answer.ok) throw await failure(answer);
        return new Uint8Array(await answer.arrayBuffer());
    }

    /* A change: needs the token, and asks for it where it is missing or wrong. body: an object (JSON) or a Blob. null: the user gave none. */
    async change(method, path, body) {
        for (let again = false; ; again = true) {
            if (!this.token && !await this.ask(again)) return null;
            const headers = {Authorization: `Bearer ${this.token}`};
            if (body) headers["Content-Type"] = body instanceof Blob ? "application/octet-stream" : "application/json";
            const answer = await fetch(BASE + path, {method, headers, body: body instanceof Blob || !body ? body : JSON.stringify(body)});
            if (answer.ok) return answer.status === 204 ? {} : answer.json().catch(() => ({}));
            if (answer.status !== 401 && answer.status !== 403) throw await failure(answer);
            this.keep("");
        }
    }

    imageUrl(job, format, stops) {
        return `${BASE}jobs/${job}/image.${format}${stops && format === "png" ? `?exposure=${stops}` : ""}`;
    }

    /* ---- the token ---- */

    /* From the address once, then out of sight of whoever looks over the shoulder. */
    takeToken() {
        const found = /[#&]token=([^&]+)/.exec(location.hash);
        if (found) {
            this.keep(decodeURIComponent(found[1]));
            history.replaceState(null, "", location.pathname + location.search);
        }
        try {
            this.token ??= sessionStorage.getItem(KEY) ?? "";
        } catch {
            this.token ??= "";
        }
    }

    keep(token) {
        this.token = token;
        try {
            sessionStorage.setItem(KEY, token);
        } catch { /* a browser without storage: for this page only */ }
    }

    /* Set by the page: asks the user; resolves to whether there is a token now. */
    ask() {
        return Promise.resolve(false);
    }

    /* ---- events ---- */

    connect() {
        this.close();
        const source = this.source = new EventSource(`${BASE}events`);
        for (const name of EVENTS) source.addEventListener(name, message => this.heard(name, message));
        source.onerror = () => source === this.source && this.lose();
        this.watch();
    }

    close() {
        this.source?.close();
        this.source = null;
        clearTimeout(this.timer);
    }

    watch() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.lose(), SILENCE_MS);
    }

    heard(name, message) {
        this.watch();
        this.bytes += message.data.length;
        this.failures = 0;
        if (this.state !== "live") this.become("live");
        let data;
        try {
            data = JSON.parse(message.data);
        } catch {
            return;
        }
        this.dispatchEvent(new CustomEvent(name, {detail: data}));
    }

    lose() {
        this.close();
        const wait = RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)] * (0.85 + 0.3 * Math.random());
        this.retryAt = performance.now() + wait;
        this.become("lost");
        this.timer = setTimeout(() => this.connect(), wait);
    }

    seen(visible) {
        clearTimeout(this.hiding);
        if (!visible) this.hiding = setTimeout(() => { this.close(); this.become("asleep"); }, HIDDEN_MS);
        else if (this.state === "asleep" || this.state === "lost") this.connect();
    }

    become(state) {
        this.state = state;
        this.dispatchEvent(new CustomEvent("state", {detail: state}));
    }
}
