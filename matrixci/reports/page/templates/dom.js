// All elements are made here. Text of a run becomes a text node or an attribute that cannot
// contain code, with control characters made visible.

const SVG = "http://www.w3.org/2000/svg";
const UNSEEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}]/gu;
const SGR = /\x1b\[([\d;]*)m/;

const byId = (id) => document.getElementById(id);
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

/** Make control, formatting and direction characters of a text visible. */
function visible(text) {
  return text.replace(/\r\n?/g, "\n").replace(UNSEEN, (char) => {
    const code = char.codePointAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
}

/** Add children: nodes unchanged, other values as text. Skip null, undefined and false. */
function fill(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : visible(String(child)));
  }
  return element;
}

/** Make an element. An attribute that is a function becomes a listener for that event. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value === true ? "" : visible(String(value)));
  }
  return fill(element, ...children);
}

function makeSvg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return fill(element, ...children);
}

/** Show an outcome as a symbol and a word. */
function mark(outcome, { word = true } = {}) {
  return make("span", { class: `mark t-${outcome.tone}` },
    make("span", { "aria-hidden": "true" }, outcome.glyph),
    make("span", { class: word ? "" : "vh" }, `${word ? " " : ""}${outcome.word}`));
}

/** Show a log with its colours, and with other control sequences made visible. */
function coloured(text) {
  const pieces = text.split(SGR);
  const style = { bold: false, colour: null };
  const nodes = [];
  pieces.forEach((piece, index) => {
    if (index % 2) return follow(style, piece);
    if (!piece) return;
    const names = [style.bold && "a-bold", style.colour !== null && `a-${style.colour}`];
    const classes = names.filter(Boolean).join(" ");
    nodes.push(classes ? make("span", { class: classes }, piece) : piece);
  });
  return nodes;
}

function follow(style, codes) {
  for (const code of (codes || "0").split(";").map(Number)) {
    if (code === 0) Object.assign(style, { bold: false, colour: null });
    else if (code === 1) style.bold = true;
    else if (code === 22) style.bold = false;
    else if (code === 39) style.colour = null;
    else if (code >= 30 && code <= 37) style.colour = code - 30;
    else if (code >= 90 && code <= 97) style.colour = code - 90;
    else if (code === 38 || code === 48) return; // other palettes: the rest are not codes
  }
}

/** Show a command with a button that copies it. */
function command(text, label = "Copy the command") {
  const code = make("code", {}, text);
  return make("div", { class: "command" }, code, copyButton(code, label));
}

function copyButton(source, label) {
  const button = make("button", { type: "button", class: "plain copy", "aria-label": label }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(source)) ? "Copied" : "Press Ctrl-C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return button;
}

async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}

/** Show the first items of a list, and the rest on request. */
function cutList(items, most, render, noun) {
  const list = make("ul", { class: "chips" });
  const show = (from, to) => fill(list, items.slice(from, to).map((item) => make("li", {}, render(item))));
  show(0, most);
  if (items.length > most) {
    const more = make("button", { type: "button", class: "plain" }, `and ${plural(items.length - most, noun)} more`);
    const entry = make("li", {}, more);
    more.addEventListener("click", () => {
      entry.remove();
      show(most, items.length);
    });
    list.append(entry);
  }
  return list;
}

const say = (text) => { byId("status").textContent = text; };
