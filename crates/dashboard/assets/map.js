// The map: networks as lines, VMs as nodes on them, all reached by arrows.

import { announce, draw, el, rove } from "./dom.js";
import * as format from "./format.js";
import { received, sent } from "./history.js";
import { layout } from "./layout.js";

/** Bytes a second from which a line counts as busy. */
const BUSY = 1000;
/** About as wide as a letter is, in pixels. */
const LETTER = 7;

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** What is said of a network. */
function about(trunk, nodes) {
  const on = nodes.filter((node) => node.kind === "vm" && node.lines.some((line) => line.trunk === trunk));
  const words = [plural(on.length, "VM")];
  if (trunk.network.plugins[0]) words.unshift(trunk.network.plugins[0]);
  if (trunk.network.default) words.push("default");
  if (trunk.network.gone) words.push("its file is gone");
  if (trunk.overlay) {
    const { backend, hosts, running } = trunk.overlay;
    words.push(running ? `overlay${backend ? ` by ${backend}` : ""}` : "overlay, its agent does not run", plural(hosts, "other host"));
  }
  return words.join(" · ");
}

/** The map; `open` is called with the uid of a VM. */
export class Map {
  #root;
  #open;
  #state = null;
  #drawing = draw("svg", { class: "map", role: "group", "aria-label": "Map of networks and VMs" });
  #more = el("p", { class: "muted" });
  #plan = null;
  #nodes = [];
  #lit = null;
  #flows = new globalThis.Map();

  constructor(root, open) {
    [this.#root, this.#open] = [root, open];
    root.append(this.#drawing, this.#more);
    this.#drawing.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#redraw()).observe(root);
  }

  /** Takes what there is now. */
  update(state) {
    this.#state = state;
    this.#redraw();
  }

  #redraw() {
    const width = Math.floor(this.#root.clientWidth);
    if (!this.#state || width === 0) return;
    const focused = document.activeElement?.dataset?.rove;
    const before = this.#nodes.find((node) => node.getAttribute("tabindex") === "0")?.dataset.rove;
    this.#plan = layout(this.#state, width);
    const { trunks, nodes, height, hidden } = this.#plan;
    this.#drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#drawing.setAttribute("height", height);
    this.#flows.clear();
    const lines = nodes.flatMap((node) => node.lines.map((line) => this.#line(node, line)));
    const trunkNodes = trunks.map((trunk) => this.#trunk(trunk));
    const cards = nodes.map((node) => this.#card(node));
    this.#nodes = [...trunkNodes, ...cards];
    this.#drawing.replaceChildren(
      draw("g", {}, trunks.map((trunk) => draw("line", { class: `trunk s${trunk.slot}`, x1: trunk.x, x2: trunk.x, y1: trunk.y, y2: trunk.bottom }))),
      draw("g", {}, lines), ...this.#nodes);
    this.#settle(focused, before);
    this.#more.textContent = hidden > 0 ? `${hidden} more are not drawn.` : "";
    this.#light();
  }

  /** The element that was in focus, or in the order of Tab, is so again. */
  #settle(focused, before) {
    const chosen = Math.max(0, this.#nodes.findIndex((node) => node.dataset.rove === before));
    this.#nodes.forEach((node, index) => node.setAttribute("tabindex", index === chosen ? "0" : "-1"));
    if (focused) this.#nodes.find((node) => node.dataset.rove === focused)?.focus();
  }

  #trunk(trunk) {
    const { x, y } = trunk;
    const text = about(trunk, this.#plan.nodes);
    const letters = Math.floor((trunk.width - 24) / LETTER);
    return draw("g", {
      class: `network s${trunk.slot}`, role: "button", tabindex: "-1", "data-rove": trunk.key,
      "aria-label": `Network ${trunk.title}: ${text}`, "aria-pressed": this.#lit === trunk.key ? "true" : "false",
      onclick: () => this.#choose(trunk.key),
    },
    draw("rect", { class: "ring", x: x - 10, y: y - 15, width: Math.min(trunk.width, Math.max(trunk.title.length, text.length) * LETTER + 40), height: 35, rx: 8 }),
    draw("circle", { class: "hub", cx: x, cy: y, r: 6 }),
    draw("text", { class: "title", x: x + 14, y: y + 1 }, format.short(trunk.title, letters)),
    draw("text", { class: "detail", x: x + 14, y: y + 15 }, format.short(text, letters)));
  }

  #line(node, line) {
    const { trunk, y } = line;
    const id = `${node.key}/${line.name}`;
    const dead = node.kind === "vm" && !format.isLive(node.vm);
    const from = Math.max(...this.#plan.trunks.map((each) => each.x)) + 14;
    const letters = Math.floor((node.x - from - 8) / LETTER);
    const wire = draw("line", { class: `wire s${trunk.slot}`, x1: trunk.x, x2: node.x, y1: y, y2: y });
    this.#flows.set(id, wire);
    return draw("g", { class: `attachment${dead ? " dead" : ""}`, "data-networks": trunk.key, "aria-hidden": "true" },
      wire,
      node.kind === "host"
        ? draw("rect", { class: `joint s${trunk.slot}`, x: trunk.x - 4, y: y - 4, width: 8, height: 8 })
        : draw("circle", { class: `joint s${trunk.slot}`, cx: trunk.x, cy: y, r: 4.5 }),
      draw("text", { class: "label", x: from, y: y - 5 }, format.short(`${line.name} ${line.address}`.trim(), letters)));
  }

  #card(node) {
    const { x, y, width, height } = node;
    const isVm = node.kind === "vm";
    const tone = isVm ? format.tone(node.vm) : node.kind;
    const where = node.lines.map((line) => `${line.name} ${line.address} on ${line.trunk.title}`).join(", ");
    const letters = Math.floor((width - 38) / LETTER);
    const detail = isVm ? node.vm.state : node.links[0].address;
    return draw("g", {
      class: `node ${node.kind}`, role: isVm ? "button" : "img", tabindex: "-1", "data-rove": node.key, "data-tone": tone,
      "data-networks": node.lines.map((line) => line.trunk.key).join(" "),
      "aria-label": `${isVm ? "VM " : ""}${node.title}, ${detail}${where ? `: ${where}` : ", on no network"}`,
      onclick: () => isVm && this.#open(node.uid),
    },
    draw("rect", { class: "box", x, y, width, height, rx: 8 }),
    draw("circle", { class: "tone", cx: x + 15, cy: y + height / 2, r: 5 }),
    draw("text", { class: "title", x: x + 28, y: y + height / 2 - 2 }, format.short(node.title, letters)),
    draw("text", { class: "detail", x: x + 28, y: y + height / 2 + 13, "data-flow": node.key }, format.short(detail, letters)));
  }

  /** Which lines something passes on now. */
  use(history) {
    for (const node of this.#plan?.nodes ?? []) {
      if (node.kind !== "vm") continue;
      const usage = history.latest(node.uid);
      const detail = this.#drawing.querySelector(`[data-flow="${CSS.escape(node.key)}"]`);
      if (usage && detail && node.vm.state === "running" && node.width > 170) {
        detail.textContent = `↓ ${format.rate(received(usage))} ↑ ${format.rate(sent(usage))}`;
      }
      for (const it of usage?.interfaces ?? []) {
        this.#flows.get(`${node.key}/${it.name}`)?.classList.toggle("busy", (it.rx ?? 0) + (it.tx ?? 0) > BUSY);
      }
    }
  }

  #key(event) {
    const target = event.target.closest("[data-rove]");
    if (!target) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      target.dispatchEvent(new Event("click"));
      return;
    }
    if (event.key === "Escape" && this.#lit) this.#choose(this.#lit);
    const trunks = this.#plan.trunks.length;
    rove(this.#nodes, this.#nodes.indexOf(target), (key, at) => ({
      ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.#nodes.length - 1,
      ArrowRight: at < trunks ? this.#first(at) : undefined,
      ArrowLeft: at < trunks ? undefined : this.#networkOf(at - trunks),
    })[key])(event);
  }

  /** The first member of a network, by their indices. */
  #first(trunk) {
    const key = this.#plan.trunks[trunk].key;
    const index = this.#plan.nodes.findIndex((node) => node.lines.some((line) => line.trunk.key === key));
    return index < 0 ? undefined : this.#plan.trunks.length + index;
  }

  #networkOf(node) {
    const trunk = this.#plan.nodes[node].lines[0]?.trunk;
    return trunk && this.#plan.trunks.indexOf(trunk);
  }

  /** Shows who is on a network, and again everybody. */
  #choose(key) {
    this.#lit = this.#lit === key ? null : key;
    this.#light();
    const trunk = this.#plan.trunks.find((each) => each.key === this.#lit);
    const on = this.#plan.nodes.filter((node) => node.lines.some((line) => line.trunk === trunk)).map((node) => node.title);
    announce(trunk ? `On ${trunk.title}: ${on.join(", ") || "nobody"}` : "All networks");
  }

  #light() {
    for (const node of this.#drawing.querySelectorAll("[data-networks]")) {
      node.classList.toggle("dim", this.#lit !== null && !node.dataset.networks.split(" ").includes(this.#lit));
    }
    for (const node of this.#nodes) {
      if (node.classList.contains("network")) node.setAttribute("aria-pressed", node.dataset.rove === this.#lit ? "true" : "false");
    }
  }
}
