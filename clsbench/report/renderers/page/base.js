// The data of the page, and small pieces that its parts share. Text of a config only ever becomes text nodes.
const PAGE = JSON.parse(document.getElementById("page-data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "circle", "g", "rect", "title"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e4 || size < 5e-4) return value.toExponential(1).replace("e+", "e");
  return size >= 100 ? value.toFixed(1) : value.toFixed(3);
}

function shown(value, isShare) {
  if (!isShare || value === null || value === undefined) return number(value);
  return `${(100 * Number(value.toFixed(3))).toFixed(1)}%`; // the digits of number(), so that both round alike
}

function counted(amount, noun) {
  return `${amount.toLocaleString("en")} ${noun}${amount === 1 ? "" : "s"}`;
}

const opened = new Map();
function picture(blob) {
  if (!opened.has(blob)) opened.set(blob, inflated(PAGE.pictures[blob]));
  return opened.get(blob);
}

async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

function ticks(low, high, most) {
  const rough = (high - low || 1) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

function tickText(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(Number(value.toPrecision(6)));
}

// A canvas at the resolution of the screen; sizes are those of the layout.
function context2d(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const width = Math.max(1, Math.round(box.width)), height = Math.max(1, Math.round(box.height));
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// The frame that stands for an epoch: a place between the kept epochs, which may lie between two of them.
function placeOf(epochs, epoch) {
  if (epoch <= epochs[0]) return 0;
  for (let place = 1; place < epochs.length; place += 1) {
    if (epoch <= epochs[place]) return place - 1 + (epoch - epochs[place - 1]) / (epochs[place] - epochs[place - 1]);
  }
  return epochs.length - 1;
}
