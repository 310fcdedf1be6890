// A VM's console: its last 64 KiB, as plain text, and what comes.

import { el, say } from "./dom.js";
import { get } from "./stream.js";

const MOST = 64 << 10;
const EVERY = 1000;

const CR = 13;
const ESCAPE = 27;

/**
 * Takes what controls a terminal out of a text that comes in pieces: escape sequences (ECMA-48) and control
 * characters but tab and line feed.
 */
export class Plain {
  #in = null;

  /** The plain part of a piece. */
  push(text) {
    let plain = "";
    for (const letter of text) {
      const code = letter.codePointAt(0);
      if (this.#in !== null) this.#follow(letter, code);
      else if (code === ESCAPE || code === 0x9b || code === 0x9d) this.#in = { [ESCAPE]: "start", [0x9b]: "csi", [0x9d]: "string" }[code];
      else if (letter === "\n" || letter === "\t" || (code >= 32 && code !== 127 && !(code >= 0x80 && code < 0xa0) && !isTurning(code))) plain += letter;
    }
    return plain;
  }

  #follow(letter, code) {
    if (this.#in === "start") this.#in = letter === "[" ? "csi" : "]PX^_".includes(letter) ? "string" : code >= 0x20 && code < 0x30 ? "start" : null;
    else if (this.#in === "csi") this.#in = code >= 0x40 && code < 0x7f ? null : code < 32 && code !== CR ? null : "csi";
    else if (code === 7 || code === 10 || code === 0x9c) this.#in = null;
    else if (code === ESCAPE) this.#in = "start";
  }
}

/** Characters that turn the direction of a text around, and so what it seems to say. */
const isTurning = (code) => (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);

/** The console of one VM; it is read while it is shown. */
export class Console {
  #uid;
  #text = "";
  #place = null;
  #decoder = new TextDecoder();
  #plain = new Plain();
  #pre = el("pre", { class: "console", tabindex: "0", role: "log", "aria-label": "Console", "aria-live": "off" });
  #follow = el("input", { type: "checkbox", id: "follow", checked: true });
  #note = el("span", { class: "muted", role: "status" });
  #abort = new AbortController();

  constructor(uid) {
    this.#uid = uid;
    this.node = el("div", { class: "console-view" },
      el("div", { class: "head" }, el("label", {}, this.#follow, " Follow"), this.#note), this.#pre);
    this.#read();
  }

  /** Reads no more. */
  end() {
    this.#abort.abort();
  }

  async #read() {
    while (!this.#abort.signal.aborted) {
      try {
        await this.#piece();
        say(this.#note, this.#text === "" ? "Nothing was said yet" : "Last 64 KiB");
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        say(this.#note, error.status ? error.message : "No connection");
        if (error.status === 404) return;
      }
      await new Promise((done) => setTimeout(done, EVERY));
    }
  }

  async #piece() {
    const query = this.#place ? `?file=${this.#place.file}&from=${this.#place.next}` : "";
    const response = await get(`/api/vms/${this.#uid}/console${query}`, this.#abort.signal);
    const [file, next, follows] = ["file", "next", "follows"].map((name) => response.headers.get(`ignite-console-${name}`));
    const bytes = await response.arrayBuffer();
    if (follows === "0") {
      [this.#text, this.#decoder, this.#plain] = ["", new TextDecoder(), new Plain()];
      this.#pre.textContent = "";
    }
    this.#place = { file, next };
    this.#add(this.#plain.push(this.#decoder.decode(bytes, { stream: true })));
  }

  #add(text) {
    if (text === "") return;
    this.#text = (this.#text + text).slice(-MOST);
    const { scrollTop } = this.#pre;
    this.#pre.textContent = this.#text;
    this.#pre.scrollTop = this.#follow.checked ? this.#pre.scrollHeight : scrollTop;
  }
}
