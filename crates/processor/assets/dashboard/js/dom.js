// Elements from data. Text is always set as text, so nothing that comes from records is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

/** Sets the text if it differs: a browser lays out again what is set. */
export function say(element, text) {
  const value = String(text);
  if (element.textContent !== value) element.textContent = value;
}

/** Sets or removes an attribute if it differs. */
export function mark(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** What is shown where there is nothing. */
export const emptyState = (title, more) => h("div", { class: "empty-state" }, h("strong", null, title), more ? h("span", null, more) : null);

/** Replaces the content of `root` only if what it is made from has changed. */
export function redraw(root, from, make) {
  const fingerprint = JSON.stringify(from);
  if (root.madeFrom === fingerprint) return;
  root.madeFrom = fingerprint;
  const focused = root.contains(document.activeElement) && document.activeElement !== root ? document.activeElement.id : null;
  const { scrollTop, scrollLeft } = root;
  root.replaceChildren(...[make()].flat(Infinity));
  root.scrollTop = scrollTop;
  root.scrollLeft = scrollLeft;
  if (focused) document.getElementById(focused)?.focus();
}

/** Calls `seen(width, height)` when the size of `element` is known and whenever it changes. */
export function onResize(element, seen) {
  new ResizeObserver(([entry]) => seen(Math.floor(entry.contentRect.width), Math.floor(entry.contentRect.height))).observe(element);
}
