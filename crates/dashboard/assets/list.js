// The VMs as a table whose rows are moved through by arrows.

import { announce, el, rove, say } from "./dom.js";
import * as format from "./format.js";
import { cpu, memory, received, sent, traffic } from "./history.js";
import { spark } from "./curve.js";

const COLUMNS = ["Name", "Status", "Addresses", "Ports", "Processor", "Memory", "Traffic"];

/** Whether all words are somewhere in what is known of a VM. */
function matches(vm, words) {
  const text = [vm.name, vm.uid, vm.image, vm.kernel, vm.state, format.status(vm), ...vm.addresses,
    ...vm.ports.map(format.port), ...(vm.interfaces ?? []).map((it) => `${it.network} ${it.mac}`)].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

/** VMs that run first, then by name. */
const order = (a, b) => format.isLive(b) - format.isLive(a) || a.name.localeCompare(b.name);

/** The table; `open` is called with the uid of a VM. */
export class List {
  #root;
  #found;
  #open;
  #rows = new Map();
  #words = [];
  #vms = [];
  #body = el("tbody", { role: "rowgroup" });

  constructor(root, found, open) {
    [this.#root, this.#found, this.#open] = [root, found, open];
    const head = el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, COLUMNS.map((name) => el("th", { scope: "col", role: "columnheader" }, name))));
    const table = el("table", { class: "vms", role: "grid", "aria-labelledby": "vms-title" }, head, this.#body);
    this.#root.append(table);
    table.addEventListener("keydown", (event) => this.#key(event));
    table.addEventListener("focusin", (event) => this.#came(event.target));
  }

  /** Shows only VMs with all words of `text`. */
  search(text) {
    this.#words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.update(this.#vms);
    announce(`${this.#rows.size} of ${this.#vms.length} VMs`);
  }

  /** Puts the first one in focus. */
  enter() {
    this.#body.querySelector("tr")?.focus();
  }

  /** Puts a VM's row in focus, if it is there. */
  focus(uid) {
    this.#rows.get(uid)?.node.focus();
  }

  /** Takes the VMs there are now. Rows stay the same elements, so that focus stays. */
  update(vms) {
    this.#vms = vms;
    const shown = vms.filter((vm) => matches(vm, this.#words)).sort(order);
    const wanted = new Set(shown.map((vm) => vm.uid));
    const lost = this.#lose(wanted);
    for (const vm of shown) {
      if (!this.#rows.has(vm.uid)) this.#rows.set(vm.uid, this.#row(vm.uid));
      this.#rows.get(vm.uid).show(vm);
    }
    const nodes = shown.map((vm) => this.#rows.get(vm.uid).node);
    nodes.forEach((node, index) => {
      if (this.#body.children[index] !== node) this.#body.insertBefore(node, this.#body.children[index] ?? null);
    });
    this.#settle(nodes, lost);
    const live = vms.filter(format.isLive).length;
    say(this.#found, this.#words.length ? `${shown.length} of ${vms.length}` : `${live} running, ${vms.length - live} stopped`);
  }

  /** Takes rows away; tells at which place the one in focus was. */
  #lose(wanted) {
    let lost = -1;
    for (const [uid, row] of this.#rows) {
      if (wanted.has(uid)) continue;
      if (row.node === document.activeElement) lost = [...this.#body.children].indexOf(row.node);
      row.node.remove();
      this.#rows.delete(uid);
    }
    return lost;
  }

  /** One row is in the order of Tab, and focus is never lost with a row. */
  #settle(nodes, lost) {
    const chosen = nodes.findIndex((node) => node.getAttribute("tabindex") === "0");
    nodes.forEach((node, index) => node.setAttribute("tabindex", index === Math.max(0, chosen) ? "0" : "-1"));
    if (lost >= 0) nodes[Math.min(lost, nodes.length - 1)]?.focus();
  }

  /** The row that has the focus is the one in the order of Tab, however it came there. */
  #came(row) {
    const nodes = [...this.#body.children];
    if (nodes.includes(row)) nodes.forEach((node) => node.setAttribute("tabindex", node === row ? "0" : "-1"));
  }

  #key(event) {
    const nodes = [...this.#body.children];
    const from = nodes.indexOf(event.target);
    if (from < 0) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#open(event.target.dataset.uid);
      return;
    }
    rove(nodes, from, (key, at) => ({
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: Math.min(at + 10, nodes.length - 1),
      PageUp: Math.max(at - 10, 0), Home: 0, End: nodes.length - 1,
    })[key])(event);
  }

  /** What each VM uses now. */
  use(history, slots) {
    for (const [uid, row] of this.#rows) row.use(history, slots(uid));
  }

  #row(uid) {
    const cell = (name, ...children) => el("td", { class: name.toLowerCase(), "data-name": name, role: "gridcell" }, children);
    const part = {
      dot: el("span", { class: "dot", "aria-hidden": "true" }), name: el("span", { class: "strong" }), image: el("span", { class: "muted" }),
      state: el("span", { class: "badge" }), addresses: el("span"), ports: el("span"),
      cpu: el("span", { class: "number" }), memory: el("span", { class: "number" }), flow: el("span", { class: "number" }),
      bar: el("span", { class: "spark-place", "aria-hidden": "true" }), curve: el("span", { class: "spark-place", "aria-hidden": "true" }),
    };
    const node = el("tr", { role: "row", tabindex: "-1", "data-rove": "", "data-uid": uid, onclick: () => this.#open(uid) },
      cell("Name", el("span", { class: "who" }, part.dot, el("span", { class: "pair" }, part.name, part.image))),
      cell("Status", part.state), cell("Addresses", part.addresses), cell("Ports", part.ports),
      cell("Processor", part.cpu, part.bar), cell("Memory", part.memory), cell("Traffic", part.flow, part.curve));
    const row = {
      node,
      vm: null,
      show: (vm) => show(node, part, (row.vm = vm)),
      use: (history, slot) => {
        // "Up 5s" grows, though nothing of the VM changes.
        if (row.vm) say(part.state, format.status(row.vm));
        use(part, history, uid, slot);
      },
    };
    return row;
  }
}

function show(node, part, vm) {
  say(part.name, vm.name);
  say(part.image, vm.image);
  say(part.state, format.status(vm));
  part.state.dataset.tone = part.dot.dataset.tone = node.dataset.tone = format.tone(vm);
  say(part.addresses, vm.addresses.join("\n") || "–");
  say(part.ports, vm.ports.map(format.port).join("\n") || "–");
}

function use(part, history, uid, slot) {
  const usage = history.latest(uid);
  part.dot.className = `dot s${slot}`;
  const known = (value, words) => (value === null || value === undefined ? "–" : words(value));
  say(part.cpu, known(usage && cpu(usage), format.percent));
  say(part.memory, known(usage && memory(usage), format.memory));
  say(part.flow, usage ? `↓ ${format.rate(received(usage))}\n↑ ${format.rate(sent(usage))}` : "–");
  part.bar.replaceChildren(usage ? spark(history.of(uid, cpu), history.now, slot) : "");
  part.curve.replaceChildren(usage ? spark(history.of(uid, traffic), history.now, slot) : "");
}
