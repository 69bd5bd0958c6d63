/* Figures and words as people read them. */

const UNITS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/* 7654321 -> "7.65 M". */
export function si(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    for (const [unit, letter] of UNITS)
        if (Math.abs(value) >= unit * 0.9995) return `${three(value / unit)} ${letter}`;
    return Number.isInteger(value) ? String(value) : three(value);
}

const three = value => value.toFixed(Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2);

export const count = value => value === null || value === undefined ? "–" : value.toLocaleString("en").replaceAll(",", "\u202f");

export const percent = part => part === null || part === undefined ? "–" : `${Math.round(part * 100)} %`;

/* Never 100 before it is. */
export const done = part => `${part >= 1 ? 100 : Math.min(99, Math.floor((part ?? 0) * 100))} %`;

/* Seconds as 0:07, 12:34, 1:02:03. */
export function span(seconds) {
    if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
    const s = Math.max(0, Math.round(seconds)), two = n => String(n).padStart(2, "0");
    return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/* The same for a screen reader. */
export function spanWords(seconds) {
    if (!Number.isFinite(seconds ?? NaN)) return "unknown";
    const s = Math.max(0, Math.round(seconds));
    return s < 90 ? many(s, "second") : many(Math.round(s / 60), "minute");
}

export const many = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

export const clock = epoch => new Date(epoch * 1000).toLocaleTimeString("en-GB");

export const bytes = n => n === null || n === undefined ? "–" : `${si(n)}B`;

export const ev = stops => `${stops > 0 ? "+" : stops < 0 ? "−" : ""}${Math.abs(stops).toFixed(1)}`;

/* An element with a class and children; text goes in as text, never as markup. */
export function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
}

/* Writes only what has changed: a thousand rows a second cost nothing when they say the same. */
export function put(node, text) {
    if (node.textContent !== text) node.textContent = text;
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export const byId = id => document.getElementById(id);
