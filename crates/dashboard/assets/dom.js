// Elements made by name. What comes from a VM becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** An element of the page; children are elements or text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Sets a text that differs, so that what is read aloud is only what changed. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Tells something to who listens instead of looking. */
export function announce(text) {
  byId("said").textContent = text;
}

/** Whether a key press belongs to a field in which text is typed. */
export const isTyping = (target) => target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;

/**
 * One of many takes part in the order of Tab; arrows move among them. `step` says for a key which index
 * comes after `from`, or nothing.
 */
export function rove(nodes, chosen, step) {
  nodes.forEach((node, index) => node.setAttribute("tabindex", index === chosen ? "0" : "-1"));
  return (event) => {
    const from = nodes.indexOf(event.target.closest("[data-rove]"));
    const to = from < 0 ? undefined : step(event.key, from);
    if (to === undefined || !nodes[to] || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    nodes.forEach((node, index) => node.setAttribute("tabindex", index === to ? "0" : "-1"));
    nodes[to].focus();
    nodes[to].scrollIntoView({ block: "nearest", inline: "nearest" });
  };
}
