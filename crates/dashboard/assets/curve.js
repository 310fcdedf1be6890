// A curve over the last minutes, drawn as SVG. Arrow keys, or a pointer, read values off it.

import { draw, el, say } from "./dom.js";
import { SPAN } from "./history.js";

const HEIGHT = 132;
const LEFT = 64;
const BOTTOM = 20;
const TOP = 8;
const STEP = 1000;
/** Points farther apart are not joined: nobody looked in between. */
const GAP = 4000;
const DASHES = ["none", "6 3", "2 3", "8 3 2 3"];

/** The next round number: 1, 2 or 5 and zeros. */
function round(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.9999);
}

/** Commands of a path; a gap where there is no value. */
function path(points, x, y) {
  let commands = "";
  let before = null;
  for (const [time, value] of points) {
    if (value === null) {
      before = null;
      continue;
    }
    const joined = before !== null && time - before < GAP;
    commands += `${joined ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    before = time;
  }
  return commands;
}

const last = (points) => points.at(-1)?.[1] ?? null;

/** The value nearest to a moment. */
function at(points, time) {
  let best = null;
  for (const point of points) {
    if (point[1] !== null && Math.abs(point[0] - time) < GAP && (!best || Math.abs(point[0] - time) < Math.abs(best[0] - time))) best = point;
  }
  return best?.[1] ?? null;
}

/** One diagram with a title, a legend and several curves. */
export class Curve {
  #title;
  #format;
  #floor;
  #drawing;
  #legend;
  #readout;
  #series = [];
  #now = 0;
  #cursor = null;

  /** `format` makes a value readable; the scale reaches to `floor` at least. */
  constructor(title, format, floor) {
    this.#title = title;
    this.#format = format;
    this.#floor = floor;
    this.#drawing = draw("svg", { class: "curve", role: "img", tabindex: "0", height: HEIGHT });
    this.#legend = el("ul", { class: "legend" });
    this.#readout = el("p", { class: "readout", role: "status", "aria-live": "polite" });
    this.node = el("figure", { class: "chart" },
      el("figcaption", {}, el("h3", {}, title), this.#readout), this.#drawing, this.#legend);
    this.#listen();
  }

  /** Draws `series`: { name, slot, points }; `slot` is the number of its colour. */
  update(series, now) {
    this.#series = series;
    this.#now = now;
    this.#redraw();
    this.#describe();
  }

  #listen() {
    this.#drawing.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: -5 * STEP, ArrowRight: 5 * STEP, Home: -SPAN, End: SPAN };
      if (!(event.key in moves)) return;
      event.preventDefault();
      this.#move((this.#cursor ?? 0) + moves[event.key], true);
    });
    this.#drawing.addEventListener("pointermove", (event) => {
      const box = this.#drawing.getBoundingClientRect();
      const part = (event.clientX - box.left - LEFT) / (box.width - LEFT);
      this.#move((part - 1) * SPAN, false);
    });
    for (const end of ["pointerleave", "blur"]) {
      this.#drawing.addEventListener(end, () => {
        this.#cursor = null;
        say(this.#readout, "");
        this.#redraw();
      });
    }
  }

  /** Puts the cursor so many milliseconds before now. */
  #move(offset) {
    this.#cursor = Math.max(-SPAN, Math.min(0, offset));
    this.#redraw();
    const time = this.#now + this.#cursor;
    const values = this.#series.map(({ name, points }) => [name, at(points, time)]);
    const words = values.filter(([, value]) => value !== null).map(([name, value]) => `${name} ${this.#format(value)}`);
    const ago = Math.round(-this.#cursor / 1000);
    say(this.#readout, `${ago === 0 ? "now" : `${ago}s ago`}: ${words.join(", ") || "nothing known"}`);
  }

  #redraw() {
    const width = Math.max(200, this.node.clientWidth || 480);
    const most = Math.max(this.#floor, ...this.#series.flatMap(({ points }) => points.map(([, value]) => value ?? 0)));
    const top = round(most);
    const x = (time) => LEFT + (1 - (this.#now - time) / SPAN) * (width - LEFT);
    const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
    this.#drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.#drawing.replaceChildren(...this.#grid(top, width, x, y), ...this.#lines(x, y), ...this.#mark(x));
  }

  #grid(top, width, x, y) {
    const levels = [0, top / 2, top].map((value) => [
      draw("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
      draw("text", { class: "tick", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, this.#format(value)),
    ]);
    const ticks = [4, 3, 2, 1].map((minutes) => draw("text", {
      class: "tick", x: x(this.#now - minutes * 60_000), y: HEIGHT - 4, "text-anchor": "middle",
    }, `${minutes} min`));
    const now = draw("text", { class: "tick", x: width, y: HEIGHT - 4, "text-anchor": "end" }, "now");
    return [...levels.flat(), ...ticks, now];
  }

  #lines(x, y) {
    return this.#series.map(({ slot, points, dash }) => {
      const inside = points.filter(([time]) => this.#now - time <= SPAN);
      return draw("path", { class: `line s${slot}`, d: path(inside, x, y), "stroke-dasharray": DASHES[dash ?? 0] });
    });
  }

  #mark(x) {
    if (this.#cursor === null) return [];
    const at = x(this.#now + this.#cursor);
    return [draw("line", { class: "cursor", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM })];
  }

  #describe() {
    const known = this.#series.map(({ name, slot, points, dash }) => ({ name, slot, dash, value: last(points) }));
    const words = known.map(({ name, value }) => `${name} ${value === null ? "unknown" : this.#format(value)}`);
    this.#drawing.setAttribute("aria-label", `${this.#title}, last 5 minutes. Now: ${words.join(", ") || "nothing runs"}`);
    this.#legend.replaceChildren(...known.map(({ name, slot, value, dash }) => el("li", {},
      draw("svg", { class: `swatch s${slot}`, viewBox: "0 0 18 8", "aria-hidden": "true" },
        draw("line", { x1: 0, x2: 18, y1: 4, y2: 4, "stroke-dasharray": DASHES[dash ?? 0] })),
      el("span", { class: "name" }, name),
      el("span", { class: "value" }, value === null ? "–" : this.#format(value)))));
  }
}

/** A curve without words, for a place beside a number. */
export function spark(points, now, slot) {
  const known = points.map(([, value]) => value ?? 0);
  const most = Math.max(1e-9, ...known);
  const x = (time) => (1 - (now - time) / SPAN) * 96;
  const y = (value) => 22 - (value / most) * 20;
  return draw("svg", { class: `spark s${slot}`, viewBox: "0 0 96 24", "aria-hidden": "true", preserveAspectRatio: "none" },
    draw("path", { class: "line", d: path(points.filter(([time]) => now - time <= SPAN), x, y) }));
}
