/* From the server's RGBE pixels to the screen's bytes: the same exposure, curves and encoding as the PNG writer (tracer/tone.c).
 *
 * A pixel is four bytes: three mantissas and a shared exponent, value = mantissa * 2^(exponent - 136). With exponent and mantissa there are
 * 65536 values a channel can have, so exposure, curve and encoding are one table, made anew when one of them changes. Only what mixes the
 * channels (the filmic curve's brightest colours, ACES) is computed, and even that ends in a table. */

const clamp = x => Math.min(Math.max(x, 0), 1);

const smooth = (a, b, x) => {
    const t = clamp((x - a) / (b - a));
    return t * t * (3 - 2 * t);
};

/* Uchimura's curve with the constants of tracer/tone.c. */
function filmic(x) {
    const m = 0.22, length = 0.4, black = 1.33, s = m + (1 - m) * length, steep = 1 / (1 - s);
    const toe = m * Math.pow(x / m, black), shoulder = 1 - (1 - s) * Math.exp(-steep * (x - s));
    const w0 = 1 - smooth(0, m, x), w2 = x < s ? 0 : 1;
    return toe * w0 + x * (1 - w0 - w2) + shoulder * w2;
}

const aces = v => (v * (v + 0.0245786) - 0.000090537) / (v * (0.983729 * v + 0.432951) + 0.238081);

/* sRGB, rounded as the PNG is. */
function encode(x) {
    const c = clamp(x);
    return Math.floor(clamp(c <= 0.0031308 ? 12.92 * c : 1.055 * Math.pow(c, 1 / 2.4) - 0.055) * 255 + 0.5);
}

const BRIGHT = 0.8;            // from here on the filmic curve draws colours towards white
const ROOT = 2047, ROOTS = 8192; // a table over the square root: fine where the eye is, up to 16

export class Tone {
    constructor() {
        this.table = new Uint8Array(65536);   // [exponent << 8 | mantissa]
        this.roots = new Uint8Array(ROOTS);
        this.scale = new Float32Array(256);   // exposed value of one mantissa step, for each exponent
        this.set("filmic", 1);
    }

    /* curve: linear, filmic or aces. exposure: a factor on the linear value. */
    set(curve, exposure) {
        if (curve === this.curve && exposure === this.exposure) return false;
        this.curve = curve;
        this.exposure = exposure;
        const one = curve === "filmic" ? x => encode(filmic(x)) : encode;
        for (let e = 0; e < 256; e++) {
            this.scale[e] = e ? exposure * Math.pow(2, e - 136) : 0;
            for (let m = 0; m < 256; m++) this.table[e << 8 | m] = this.scale[e] * m > 64 ? 255 : one(this.scale[e] * m);
        }
        for (let i = 0; i < ROOTS; i++) this.roots[i] = one((i / ROOT) ** 2);
        return true;
    }

    root(x) {
        return this.roots[x >= 15.9 ? ROOTS - 1 : x > 0 ? Math.sqrt(x) * ROOT + 0.5 | 0 : 0];
    }

    filmicBright(r, g, b, out, o) {
        const most = Math.max(r, g, b), t = 0.65 * smooth(BRIGHT, 8, most);
        out[o] = this.root(r + (most - r) * t);
        out[o + 1] = this.root(g + (most - g) * t);
        out[o + 2] = this.root(b + (most - b) * t);
    }

    acesColour(r, g, b, out, o) {
        const x = aces(0.59719 * r + 0.35458 * g + 0.04823 * b), y = aces(0.076 * r + 0.90834 * g + 0.01566 * b),
            z = aces(0.0284 * r + 0.13383 * g + 0.83777 * b);
        out[o] = this.root(1.60475 * x - 0.53108 * y - 0.07367 * z);
        out[o + 1] = this.root(-0.10208 * x + 1.10813 * y - 0.00605 * z);
        out[o + 2] = this.root(-0.00327 * x - 0.07276 * y + 1.07602 * z);
    }

    /* One row of pixels: count of them from rgbe[from] to out[to] (RGBA). A pixel without light (exponent 0) is see-through: nothing is there yet. */
    row(rgbe, from, out, to, count) {
        const {table, scale} = this, mixes = this.curve !== "linear", isAces = this.curve === "aces";
        for (let i = from, o = to, end = from + 4 * count; i < end; i += 4, o += 4) {
            const r = rgbe[i], g = rgbe[i + 1], b = rgbe[i + 2], e = rgbe[i + 3], s = scale[e];
            out[o + 3] = e ? 255 : 0;
            if (isAces) this.acesColour(r * s, g * s, b * s, out, o);
            else if (mixes && Math.max(r, g, b) * s > BRIGHT) this.filmicBright(r * s, g * s, b * s, out, o);
            else {
                out[o] = table[e << 8 | r];
                out[o + 1] = table[e << 8 | g];
                out[o + 2] = table[e << 8 | b];
            }
        }
    }
}
