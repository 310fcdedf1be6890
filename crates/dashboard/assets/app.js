// The page as a whole: what comes from the host goes to the list, the map, the curves and the panel.

import { announce, byId, el, isTyping, say } from "./dom.js";
import { Curve, spark } from "./curve.js";
import * as format from "./format.js";
import { History, cpu, memory, received, sent, sum, traffic } from "./history.js";
import { isEmpty } from "./layout.js";
import { List } from "./list.js";
import { Map as NetworkMap } from "./map.js";
import { Panel } from "./panel.js";
import { follow } from "./stream.js";
import { begin as beginTheme } from "./theme.js";

/** VMs with a curve of their own; the others share one. */
const OWN = 7;

const history = new History();
let state = { host: "", vms: [], networks: [], overlays: [], faults: [] };
let known = null;

const list = new List(byId("list"), byId("found"), open);
const map = new NetworkMap(byId("map"), open);
const panel = new Panel(byId("panel"), goBack);
let before = null;

/**
 * Focus goes back to where the panel was opened from; a map that was drawn anew has another element there. The
 * browser does so by itself where it can, and who went on before this is heard is left where he is.
 */
function goBack() {
  if (document.activeElement && document.activeElement !== document.body) return;
  const key = before?.dataset?.rove;
  const again = before?.isConnected ? before : key && document.querySelector(`[data-rove="${CSS.escape(key)}"]`);
  if (again) again.focus();
  else list.enter();
}

const curves = [
  [new Curve("Traffic", format.rate, 1000), traffic],
  [new Curve("Processor", format.percent, 10), cpu],
  [new Curve("Memory", format.memory, 1 << 20), memory],
];
byId("curves").append(...curves.map(([curve]) => curve.node));

function open(uid) {
  const vm = state.vms.find((each) => each.uid === uid);
  if (!vm) return;
  before = document.activeElement;
  panel.open(vm, history);
}

/** Each VM's colour: the number of its place among those seen, so that it keeps it. */
const slots = new Map();
function slot(uid) {
  if (!slots.has(uid)) slots.set(uid, slots.size % 8);
  return slots.get(uid);
}

function tile(name, value, detail, points, color) {
  return el("div", { class: "tile" }, el("p", { class: "name" }, name), el("p", { class: "value" }, value),
    el("p", { class: "muted" }, detail), points && spark(points, history.now, color));
}

function showTiles() {
  const live = state.vms.filter(format.isLive);
  const usages = live.map((vm) => history.latest(vm.uid)).filter(Boolean);
  const given = live.reduce((total, vm) => total + vm.cpus, 0);
  byId("tiles").replaceChildren(
    tile("VMs running", String(live.length), `${state.vms.length - live.length} stopped, ${state.networks.length} ${state.networks.length === 1 ? "network" : "networks"}`),
    tile("Processor", format.percent(sum(usages, cpu)), `${given} virtual ${given === 1 ? "processor" : "processors"}`, history.total(cpu), 3),
    tile("Memory", format.memory(sum(usages, memory)), "of the host, used by VMs", history.total(memory), 2),
    tile("Traffic", format.rate(sum(usages, traffic)), `↓ ${format.rate(sum(usages, received))}  ↑ ${format.rate(sum(usages, sent))}`, history.total(traffic), 1));
}

/** The busiest VMs by themselves, the others together. */
function series(pick) {
  const live = state.vms.filter(format.isLive).sort((a, b) => a.name.localeCompare(b.name));
  const one = (vm) => ({ name: vm.name, slot: slot(vm.uid), points: history.of(vm.uid, pick) });
  if (live.length <= OWN + 1) return live.map(one);
  const busy = (vm) => history.of(vm.uid, pick).reduce((total, [, value]) => total + (value ?? 0), 0);
  const ranked = live.map((vm) => [busy(vm), vm]).sort(([a], [b]) => b - a).map(([, vm]) => vm);
  const rest = ranked.slice(OWN).map((vm) => history.of(vm.uid, pick));
  const points = rest[0].map(([time], index) => [time, sum(rest, (points) => points[index][1])]);
  return [...ranked.slice(0, OWN).map(one), { name: `${rest.length} others`, slot: 7, dash: 2, points }];
}

function showUsage() {
  list.use(history, slot);
  map.use(history);
  panel.use(history);
  showTiles();
  for (const [curve, pick] of curves) curve.update(series(pick), history.now);
}

/** The map, or what to do for one. */
function showMap() {
  const blank = isEmpty(state);
  byId("map").hidden = byId("map-hint").hidden = blank;
  byId("no-networks").hidden = !blank;
  map.update(state);
}

/** Tells who came, went or changed, to who does not see it. */
function tell(vms) {
  const now = new Map(vms.map((vm) => [vm.uid, vm]));
  if (known) {
    const words = vms.filter((vm) => known.get(vm.uid)?.state !== vm.state).map((vm) => `${vm.name} is ${vm.state}`);
    const gone = [...known.values()].filter((vm) => !now.has(vm.uid)).map((vm) => `${vm.name} was removed`);
    if (words.length + gone.length > 0) announce([...words, ...gone].slice(0, 5).join(", "));
  }
  known = now;
}

function notice(words) {
  byId("notice").hidden = words.length === 0;
  say(byId("notice"), words.join("\n"));
}

function showState(found) {
  if (found.trouble) return notice([`The host cannot be looked at: ${found.trouble}`]);
  notice(found.faults);
  state = found;
  say(byId("host"), state.host);
  document.title = `Ignite · ${state.host}`;
  const none = state.vms.length === 0;
  byId("empty").hidden = !none;
  byId("vms").hidden = byId("usage").hidden = none;
  tell(state.vms);
  list.update(state.vms);
  showMap();
  panel.update(state.vms.find((vm) => vm.uid === panel.uid));
}

const LINKS = { live: "Live", lost: "No connection", refused: "Not allowed" };

function showLink(link, why) {
  byId("link").dataset.link = link;
  say(byId("link-text"), LINKS[link]);
  if (link === "refused") notice([why ?? ""]);
  else if (why) notice([why]);
}

/** Rows that come back know at once what their VMs use. */
function search(text) {
  list.search(text);
  list.use(history, slot);
}

addEventListener("keydown", (event) => {
  if (event.key === "/" && !isTyping(event.target) && !byId("panel").open) {
    event.preventDefault();
    byId("search").focus();
  }
});
byId("search").addEventListener("input", (event) => search(event.target.value));
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    event.target.value = "";
    search("");
    list.enter();
  }
  if (event.key === "Enter" || event.key === "ArrowDown") {
    event.preventDefault();
    list.enter();
  }
});

beginTheme(byId("theme"));
follow({
  history: (points) => history.reset(points),
  state: showState,
  point: (point) => {
    history.push(point);
    showUsage();
  },
  link: showLink,
});
