// Numbers and moments as people read them.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Bytes with a unit: 1.2 MB. Powers of 1000 for traffic, as networks count. */
export function bytes(value, base = 1000) {
  let unit = 0;
  while (value >= base * 0.9995 && unit < UNITS.length - 1) {
    value /= base;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** Memory, as `ignite ps` shows it. */
export const memory = (value) => bytes(value, 1024);

/** Bytes a second. */
export const rate = (value) => `${bytes(value)}/s`;

/** Part of one processor: 100 % is a whole one. */
export const percent = (value) => `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} %`;

/** How long something lasts: 5m, 3h. */
export function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86400)}d`;
}

const since = (moment) => span((Date.now() - Date.parse(moment)) / 1000);

const ENDS = {
  "halted": "Halted", "rebooted": "Rebooted", "panicked": "Panicked", "killed": "Killed", "lost": "Lost",
  "boot-timeout": "Boot timeout", "vmm-failed": "VMM failed", "network-lost": "Network lost",
};

/** A VM's state in a few words, as `ignite ps` has it. */
export function status(vm) {
  const up = vm.started ? `Up ${since(vm.started)}` : "Up";
  if (vm.state === "running") return up;
  if (vm.state === "paused") return `${up} (Paused)`;
  if (vm.state !== "stopped") return vm.state.charAt(0).toUpperCase() + vm.state.slice(1);
  const ago = vm.ended ? ` ${since(vm.ended)} ago` : "";
  if (vm.exitCode !== undefined) return `Exited (${vm.exitCode})${ago}`;
  return `${ENDS[vm.end] ?? "Stopped"}${ago}`;
}

const BAD = new Set(["panicked", "boot-timeout", "vmm-failed", "lost", "network-lost"]);

/** What colour a state has: running, paused, failed, stopped. */
export function tone(vm) {
  if (vm.state === "running" || vm.state === "paused") return vm.state;
  if (vm.state === "starting") return "paused";
  return BAD.has(vm.end) || (vm.exitCode ?? 0) !== 0 ? "failed" : "stopped";
}

/** Whether a VM has a VMM. */
export const isLive = (vm) => ["running", "paused", "starting"].includes(vm.state);

/** A published port: 0.0.0.0:8080->80/tcp. */
export function port(mapping) {
  const address = mapping.bindAddress ?? "0.0.0.0";
  const host = address.includes(":") ? `[${address}]` : address;
  return `${host}:${mapping.hostPort}->${mapping.vmPort}/${mapping.protocol ?? "tcp"}`;
}

/** A moment in the reader's own time. */
export const moment = (text) => new Date(text).toLocaleString();

/** Text that is at most so long. */
export const short = (text, length) => (text.length > length ? `${text.slice(0, Math.max(1, length - 1))}…` : text);

/** Characters that turn the direction of a text around, and so what it seems to say. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;

/** A value as JSON for people; what would turn its text around is escaped, which JSON allows. */
export const json = (value) =>
  JSON.stringify(value, null, 2).replace(TURNING, (letter) => `\\u${letter.charCodeAt(0).toString(16)}`);
