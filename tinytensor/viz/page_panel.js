// What the panel says about a position of the pass, or about a node that was chosen.

function named(node) {
  const [name, kind] = data.nodes[node];
  return kind === "operation" ? name : `${kind} ${name}`;
}

function linkTo(node, position, text) {
  return make("button", {type: "button", className: "link",
    onclick: () => position === null ? look(node) : go(position)}, text || named(node));
}

function heading(node, text) {
  const [, , where, shapes, note] = data.nodes[node];
  return [make("p", {className: "count"}, text), make("h2", null, named(node)),
    make("p", {className: "place"}, [where, shapes, note].filter(Boolean).join(" · "))];
}

function tensorsOf(list, title, use) {
  return list.map(([name, tensor]) => tensor === null
    ? make("p", {className: "none"}, `${name}: none arrived`)
    : tensorView(tensor, name || title, use));
}

function startPage() {
  const parts = data.starts.map(([node, tensor]) =>
    tensorView(tensor, `gradient of ${data.nodes[node][NAME]}`, "start"));
  return [[make("p", {className: "count"}, "Start"), make("h2", null, "The backward pass")],
    [make("p", null, "It starts at the output, with the gradient of the output with respect to " +
      "itself, and visits every operation once, the newest first. Press → or Next."),
    ...parts]];
}

function endPage() {
  const leaves = data.leaves.map(([node, tensor]) => titled(
    "", make("p", null, linkTo(node, null)), tensorView(tensor, "gradient", "grad")));
  return [[make("p", {className: "count"}, "End"), make("h2", null, "All gradients are complete")],
    [make("p", null, "This is what backward() adds to the .grad of each:"), ...leaves]];
}

function visitPage(position) {
  const step = data.steps[position - 1];
  const detail = [titled("Gradient that arrives: g",
    origins(step.node), ...tensorsOf(step.g, "g", "arrives"))];
  if (step.hooked) detail.push(titled("What hooks made of it",
    ...tensorsOf(step.hooked, "g", "hooked")));
  const values = [...tensorsOf(step.y.filter(part => part[1] !== null), "y, its result", "value"),
    ...tensorsOf(step.reads, "", "reads")];
  detail.push(titled("Local derivative",
    ...step.formula.map(line => make("p", {className: "formula"}, line)),
    ...tensorsOf(step.slopes, "", "slope")));
  detail.push(titled("What it passes on", ...step.adds.map(add => addition(step, add, position))));
  if (values.length) detail.push(titled("Values here", ...values));
  return [heading(step.node, `Node ${position} of ${END - 1}`), detail];
}

// Where the gradient that arrives at a node came from.
function origins(node) {
  const parts = received.get(node);
  if (!parts) return make("p", null, "From the start of the pass.");
  const line = make("p", null, parts.length > 1 ? `Sum of ${parts.length} parts, from ` : "From ");
  parts.forEach(([position], number) => line.append(number ? ", " : "",
    linkTo(node, position, `${data.nodes[data.steps[position - 1].node][NAME]} (${position})`)));
  return line;
}

function addition(step, [input, target, output, gx, total], position) {
  const parts = received.get(target);
  const mine = parts.findIndex(([where, number]) =>
    where === position && step.adds[number][0] === input);
  const line = make("p", null, `to ${input || "its input"}: `,
    linkTo(target, visitOf.get(target) ?? null));
  if (output) line.append(`, output ${output}`);
  const sum = tensorView(total, parts.length > 1
    ? `the sum there so far: ${mine + 1} of ${parts.length} parts` : "the sum there: complete",
    "sum");
  return make("div", {className: "addition"}, line, tensorView(gx, "adds", "adds"),
    gx === total ? make("p", {className: "note"}, parts.length > 1
      ? `the first of ${parts.length} parts of the sum there` : "which is all that arrives there")
      : null, gx === total ? null : sum);
}

// A node outside of the pass: a leaf, or an operation that no gradient reaches.
function nodePage(node) {
  const parts = received.get(node) || [];
  const detail = [];
  if (!parts.length) detail.push(make("p", null, "No gradient arrives here."));
  const past = parts.filter(([position]) => position <= at);
  if (parts.length) {
    detail.push(titled(`Its gradient so far: ${past.length} of ${parts.length} parts`));
    const last = past.at(-1);
    if (last) {
      detail.at(-1).append(tensorView(data.steps[last[0] - 1].adds[last[1]][4], "sum", "sum"));
    }
    const rows = parts.map(([position, number]) => {
      const [, , , gx, total] = data.steps[position - 1].adds[number];
      const from = data.steps[position - 1].node;
      return make("tr", {className: position <= at ? "past" : ""},
        make("td", null, linkTo(node, position, `${data.nodes[from][NAME]} (${position})`)),
        make("td", null, data.nodes[from][PLACE].split(" / ").at(-1)),
        make("td", null, short(norm(data.tensors[gx]))),
        make("td", null, short(norm(data.tensors[total]))));
    });
    const head = ["from (node)", "in", "norm of the part", "norm of the sum"];
    detail.push(titled("Its parts, in the order of the pass", make("div", {className: "wide"},
      make("table", {className: "parts"},
        make("thead", null, make("tr", null, ...head.map(text => make("th", {scope: "col"}, text)))),
        make("tbody", null, ...rows)))));
  }
  const own = data.leaves.find(([leaf]) => leaf === node);
  if (own) detail.push(titled("In the end", tensorView(own[1], "gradient", "grad")));
  return [heading(node, `Beside the pass, at ${spot(at)}`), detail];
}

function spot(position) {
  if (position === 0) return "the start";
  return position === END ? "the end" : `node ${position} of ${END - 1}`;
}

function fillPanel() {
  let content;
  if (chosen !== null) content = nodePage(chosen);
  else if (at === 0) content = startPage();
  else content = at === END ? endPage() : visitPage(at);
  get("heading").replaceChildren(...content[0]);
  get("detail").replaceChildren(...content[1].filter(Boolean));
  get("panel").scrollTop = 0;
}
