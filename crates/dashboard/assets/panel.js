// All that is known of one VM, at the side. Esc closes it, and focus goes back to where it was.

import { el, say } from "./dom.js";
import { Console } from "./console.js";
import { Curve } from "./curve.js";
import * as format from "./format.js";
import { cpu, memory } from "./history.js";
import { get } from "./stream.js";

const TABS = ["Overview", "Usage", "Console", "Inspect"];

/** A list of terms; those without a value are left out. */
function terms(pairs) {
  const known = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return el("dl", {}, known.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function overview(vm) {
  const interfaces = vm.interfaces ?? [];
  return [
    (vm.hints ?? []).map((hint) => el("p", { class: "notice" }, hint)),
    terms([
      ["State", format.status(vm)], ["Image", vm.image], ["Kernel", vm.kernel], ["VMM", vm.vmm],
      ["Processors", String(vm.cpus)], ["Memory", vm.memory], ["Disk", vm.diskSize],
      ["Created", format.moment(vm.created)], ["Started", vm.started && format.moment(vm.started)],
      ["Ended", vm.ended && format.moment(vm.ended)], ["Ports", vm.ports.map(format.port).join("\n")],
    ]),
    el("h3", {}, "Interfaces"),
    interfaces.length === 0 ? el("p", { class: "muted" }, "It is on no network.") : interfaces.map((it) => el("div", { class: "interface" },
      el("p", {}, el("span", { class: "strong" }, it.name), " on ", el("span", { class: "strong" }, it.network || "the default network")),
      terms([["Addresses", it.addresses.join("\n")], ["Gateway", it.gateway], ["MAC", it.mac]]))),
  ];
}

/** The panel; it is a modal dialog, so focus stays in it. */
export class Panel {
  #dialog;
  #closed;
  #vm = null;
  #gone = false;
  #tab = "Overview";
  #body = el("div", { class: "body", role: "tabpanel", id: "panel-body", tabindex: "0" });
  #title = el("h2", { id: "panel-title" });
  #badge = el("span", { class: "badge" });
  #uid = el("span", { class: "muted mono" });
  #tabs;
  #shown = "";
  #console = null;
  #curves = null;
  #inspect = null;

  constructor(dialog, closed) {
    [this.#dialog, this.#closed] = [dialog, closed];
    this.#tabs = TABS.map((name) => el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "panel-body", onclick: () => this.#choose(name) }, name));
    const tabs = el("div", { class: "tabs", role: "tablist", "aria-label": "What to see", onkeydown: (event) => this.#key(event) }, this.#tabs);
    const close = el("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, "Close ", el("kbd", { "aria-hidden": "true" }, "Esc"));
    dialog.append(el("div", { class: "head" }, el("div", {}, this.#title, el("p", { class: "sub" }, this.#badge, this.#uid)), close), tabs, this.#body);
    dialog.addEventListener("close", () => this.#end());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  /** The uid of the VM that is shown. */
  get uid() {
    return this.#vm?.uid;
  }

  /** Opens it for a VM. */
  open(vm, history) {
    this.#vm = vm;
    this.#choose("Overview");
    this.update(vm);
    this.#dialog.showModal();
    this.#tabs[0].focus();
    this.use(history);
  }

  /** Takes how the VM is now; none where it is gone. */
  update(vm) {
    if (!this.#vm) return;
    if (!vm) {
      this.#gone = true;
      say(this.#badge, "Removed");
      this.#badge.dataset.tone = "failed";
      return;
    }
    [this.#vm, this.#gone] = [vm, false];
    say(this.#title, vm.name);
    say(this.#uid, vm.uid);
    say(this.#badge, format.status(vm));
    this.#badge.dataset.tone = format.tone(vm);
    const text = JSON.stringify(vm);
    if (this.#tab === "Overview" && this.#shown !== text) this.#body.replaceChildren(...overview(vm).flat());
    this.#shown = text;
  }

  /** Draws what it uses. */
  use(history) {
    if (this.#vm && !this.#gone) say(this.#badge, format.status(this.#vm));
    if (!this.#vm || this.#tab !== "Usage") return;
    const { uid } = this.#vm;
    const known = history.latest(uid)?.interfaces ?? [];
    const series = known.flatMap(({ name }, index) => [["received", "rx", 0], ["sent", "tx", 1]].map(([word, field, dash]) => ({
      name: `${name} ${word}`, slot: index % 8, dash,
      points: history.of(uid, (usage) => usage.interfaces.find((it) => it.name === name)?.[field]),
    })));
    const [flow, processor, used] = this.#curves;
    flow.update(series, history.now);
    processor.update([{ name: "processor", slot: 3, points: history.of(uid, cpu) }], history.now);
    used.update([{ name: "memory", slot: 2, points: history.of(uid, memory) }], history.now);
  }

  #key(event) {
    const at = this.#tabs.indexOf(event.target);
    const to = { ArrowRight: (at + 1) % TABS.length, ArrowLeft: (at + TABS.length - 1) % TABS.length, Home: 0, End: TABS.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    this.#tabs[to].focus();
    this.#choose(TABS[to]);
  }

  #choose(name) {
    this.#stop();
    this.#tab = name;
    this.#tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", TABS[index] === name ? "true" : "false");
      tab.setAttribute("tabindex", TABS[index] === name ? "0" : "-1");
    });
    this.#body.setAttribute("aria-labelledby", `tab-${name}`);
    this.#body.dataset.tab = name;
    this.#body.replaceChildren(...this.#content(name));
  }

  #content(name) {
    if (name === "Overview") return overview(this.#vm).flat();
    if (name === "Console") {
      this.#console = new Console(this.#vm.uid);
      return [this.#console.node];
    }
    if (name === "Usage") {
      this.#curves = [new Curve("Traffic by interface", format.rate, 1000), new Curve("Processor", format.percent, 10), new Curve("Memory", format.memory, 1 << 20)];
      return this.#curves.map((curve) => curve.node);
    }
    const pre = el("pre", { class: "console", tabindex: "0", "aria-label": "Inspect" }, "Asking …");
    this.#ask(pre);
    return [pre];
  }

  async #ask(pre) {
    this.#inspect = new AbortController();
    try {
      const response = await get(`/api/vms/${this.#vm.uid}`, this.#inspect.signal);
      pre.textContent = format.json(await response.json());
    } catch (error) {
      pre.textContent = error.status ? error.message : "No connection";
    }
  }

  #stop() {
    this.#console?.end();
    this.#inspect?.abort();
    [this.#console, this.#inspect, this.#curves] = [null, null, null];
  }

  #end() {
    this.#stop();
    const { uid } = this.#vm ?? {};
    this.#vm = null;
    this.#closed(uid);
  }
}
