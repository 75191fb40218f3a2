// The page's own script: this file, then page_panel.js, page_drawing.js, page_blocks.js and
// page_steps.js, one after the other. All that comes from the model is put into the page as text,
// never as markup.
//
// A position is a place in the backward pass: 0 before it begins, p at the visit of the p-th node,
// END after the last one. The numbers of nodes are those of the whole graph; `drawn` says which
// node of the drawing stands for one while time steps are folded.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const get = id => document.getElementById(id);
const END = data.steps.length + 1;
const NAME = 0, KIND = 1, PLACE = 2, SHAPES = 3, NOTE = 4;

const visitOf = new Map(data.steps.map((step, index) => [step.node, index + 1]));
const received = new Map();  // node -> what it was given: [position, number of the addition]
data.steps.forEach((step, index) => step.adds.forEach((add, number) => {
  if (!received.has(add[1])) received.set(add[1], []);
  received.get(add[1]).push([index + 1, number]);
}));

let at = 0;  // the position
let chosen = null;  // a node that is looked at beside the pass, such as a parameter
let timer = null;
let found = [];  // nodes that the search has found
let drawing = null;

// -- elements and numbers

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key in element) element[key] = value; else element.setAttribute(key, value);
  }
  element.append(...children.filter(child => child !== null));
  return element;
}

const titled = (title, ...children) => make("section", null, make("h3", null, title), ...children);

function short(value) {
  if (typeof value !== "number") return value;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

function limited(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// -- tensors

function norm(tensor) {
  return tensor.values ? Math.hypot(...tensor.values.map(Number)) : tensor.norm;
}

// A tensor in full, as tables of its last two dimensions, or as statistics.
function tensorView(number, title, use) {
  const tensor = data.tensors[number];
  const shape = tensor.shape.length ? ` (${tensor.shape.join(", ")})` : "";
  const figure = make("figure", {className: `tensor ${use}`, "data-tensor": number},
    make("figcaption", null, title, make("span", {className: "shape"}, shape)));
  if (!tensor.values) {
    const rows = ["norm", "mean", "std", "min", "max", "zeros"].map(key => make("tr", null,
      make("th", {scope: "row"}, key),
      make("td", {title: String(tensor[key])},
        key === "zeros" ? `${short(100 * tensor.zeros)} %` : short(tensor[key]))));
    figure.append(make("table", {className: "statistics"}, ...rows));
    return figure;
  }
  if (!tensor.values.length) figure.append(make("p", null, "empty"));
  const columns = tensor.shape.length ? tensor.shape.at(-1) : 1;
  const length = tensor.shape.length > 1 ? tensor.shape.at(-2) : 1;
  const across = length === 1 ? lineLength(columns) : columns;
  const largest = Math.max(...tensor.values.map(Math.abs).filter(Number.isFinite), 0);
  for (let start = 0; start < tensor.values.length; start += length * columns) {
    if (tensor.values.length > length * columns) {
      const index = place(tensor.shape, start).slice(0, -2);
      figure.append(make("p", {className: "index"}, `[${index.join(", ")}]`));
    }
    const body = make("tbody");
    for (let row = start; row < start + length * columns; row += across) {
      const line = make("tr");
      for (let offset = row; offset < Math.min(row + across, start + length * columns); offset++) {
        line.append(cell(tensor, offset, largest));
      }
      body.append(line);
    }
    figure.append(make("div", {className: "wide"}, make("table", null, body)));
  }
  return figure;
}

// One long row is broken into lines: of equal length if it can be.
function lineLength(columns) {
  return columns <= 5 ? columns : [5, 4, 3].find(length => columns % length === 0) || 5;
}

function place(shape, offset) {
  const index = [];
  for (const length of [...shape].reverse()) {
    index.unshift(offset % length);
    offset = Math.floor(offset / length);
  }
  return index;
}

function cell(tensor, offset, largest) {
  const value = tensor.values[offset];
  const index = tensor.shape.length ? `[${place(tensor.shape, offset).join(", ")}] = ` : "";
  const element = make("td", {title: index + value, "data-value": value}, short(value));
  if (typeof value === "number" && largest > 0) {
    const colour = value < 0 ? "0, 114, 178" : "213, 94, 0";
    element.style.backgroundColor = `rgba(${colour}, ${0.55 * Math.abs(value) / largest})`;
  }
  return element;
}
