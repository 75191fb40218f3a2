// Blocks of folded time steps: all of them unfolded, or one of them by itself. A frame by which that
// is done says in its attributes which block it belongs to (data-block) and, in the drawing in which
// that block is unfolded, which part of it it is (data-part).

const stepsOf = data.blocks.map(block => {
  const found = new Map();  // node -> how many steps of the block come before its own
  block.steps.forEach((nodes, step) => nodes.forEach(node => found.set(node, step)));
  return found;
});

// The drawing with one block unfolded: all its steps, or of a long block a window of some of them,
// `start` the first, with what is before and after them folded. The picture is the same wherever
// the window stands: the first part of the block are the steps before it, then come its own.
class Opened extends Drawing {
  constructor(svg, number) {
    super(svg, true);
    this.number = number;
    this.block = data.blocks[number];
    this.start = this.block.start;
    this.length = this.block.steps.length;
    this.isLong = this.block.window < this.length;
    this.place = new Map(this.block.inside.map((node, place) => [node, place]));
    this.loops = this.block.parts.map(nodes => [...svg.querySelectorAll(".edge.recurrent")].filter(
      edge => nodes.includes(Number(edge.dataset.from)) && nodes.includes(Number(edge.dataset.to))));
  }

  drawn(node) {
    const folded = data.shown[node], step = stepsOf[this.number].get(node);
    if (step === undefined) return this.block.others[folded];
    const part = this.isLong
      ? limited(step - this.start, -1, this.block.window) + 1 : step;
    return this.block.parts[part][this.place.get(folded)];
  }

  isPile(part) {
    return this.isLong && (part === 0 || part === this.block.parts.length - 1);
  }

  // Move the window so that a node lies in it.
  reach(node) {
    const step = stepsOf[this.number].get(node);
    if (step === undefined || !this.isLong) return;
    this.moveTo(limited(this.start, step - this.block.window + 1, step));
  }

  // At least one step stays on either side: such a one is drawn in full as well.
  moveTo(start) {
    const {window, parts, labels, written, piles} = this.block;
    start = limited(start, 1, this.length - window - 1);
    if (start === this.start) return;
    this.start = start;
    this.count();
    written.forEach((clusters, part) => {
      const texts = part === 0 ? [piles[0][start - 1]]
        : this.isPile(part) ? [piles[1][start - 1]] : labels[start + part - 1];
      clusters.forEach((cluster, i) => write(this.frame(cluster), texts[i]));
      parts[part].forEach(node => this.entitle(node));
    });
    const alone = [start === 1, start === this.length - window - 1];
    [this.loops[0], this.loops.at(-1)].forEach((edges, end) =>
      edges.forEach(edge => edge.classList.toggle("gone", alone[end])));
    for (const [node, groups] of this.nodes) {
      const done = this.doneAt.get(node) < this.position;
      groups.forEach(group => group.classList.toggle("done", done));
    }
  }

  entitle(node) {
    const members = this.members.get(node);
    const [, , where, shapes] = data.nodes[members[0]];
    const others = members.length > 1 ? `and in ${members.length - 1} other steps` : "";
    this.nodes.get(node)[0].querySelector("title").textContent =
      [named(members[0]), shapes, `in ${where}`, others].filter(Boolean).join("\n");
  }

  frame(cluster) {
    return this.svg.querySelector(`[data-cluster="${cluster}"]`);
  }
}

// Write another label on a frame, beginning at the same place.
function write(frame, text) {
  const label = frame.querySelector("text");
  if (label.textContent === text) return;
  if (!label.style.textAnchor) {
    label.setAttribute("x", label.getBBox().x);
    label.style.textAnchor = "start";
  }
  label.textContent = text;
}

// -- frames

// The frame of a block that is folded; there may be that of another one in it.
function frameOf(svg, block) {
  return svg.querySelector(`.block[data-block="${block}"]:not([data-part])`);
}

// Say what a click on a frame does, and have Tab reach it.
function makeButton(frame, does, expanded, tab) {
  const title = document.createElementNS(frame.namespaceURI, "title");
  title.textContent = `${does}: click, or Enter`;
  frame.prepend(title);
  const attributes = {tabindex: 0, role: "button", "aria-expanded": expanded};
  if (tab) Object.entries(attributes).forEach(([key, value]) => frame.setAttribute(key, value));
}

function makeButtons(drawn) {
  data.blocks.forEach((_, block) => {
    const frame = frameOf(drawn.svg, block);
    if (frame) makeButton(frame, "unfold", false, true);
  });
  if (drawn instanceof Opened) drawn.block.main.forEach((cluster, part) => {
    if (drawn.isPile(part)) makeButton(drawn.frame(cluster), "show these steps", false, true);
    else makeButton(drawn.frame(cluster), "fold", true, part === (drawn.isLong ? 1 : 0));
  });
}

// Light each folded block in which the pass is, and write there in which of its steps.
function lightBlocks(drawn) {
  data.blocks.forEach((block, number) => {
    const frame = frameOf(drawn.svg, number);
    if (!frame) return;
    const step = at === 0 && chosen === null ? undefined : stepsOf[number].get(currentNode());
    const here = step !== undefined && at !== END;
    frame.dataset.label ??= frame.querySelector("text").textContent;
    write(frame, frame.dataset.label + (here ? `, now ${block.labels[step][0]}` : ""));
    if (here) drawn.light([frame], "here");
  });
}

// -- which drawing is seen

const drawings = {folded: new Drawing(get("view").querySelector("svg"), true), full: null};
const openings = data.blocks.map(() => null);
const unfolds = get("unfolded").content.querySelector("svg") !== null;
drawing = drawings.folded;

function exchange(next) {
  next.scale = drawing.scale;
  [next.x, next.y] = [drawing.x, drawing.y];
  drawing.svg.replaceWith(next.svg);
  drawing = next;
  drawing.apply();
  drawing.reach(currentNode());
  drawing.show(at);
  get("fold").textContent = drawing === drawings.folded ? "Unfold all" : "Fold";
  get("fold").hidden = drawing === drawings.folded && !unfolds;
}

function toggleFold() {
  if (drawing !== drawings.folded) {
    exchange(drawings.folded);
  } else if (unfolds) {
    const svg = get("unfolded").content.querySelector("svg");
    exchange(drawings.full ??= new Drawing(document.importNode(svg, true), false));
  }
  drawing.follow(currentNode(), true);
}

// Unfold a block by itself, or fold it again: what was its frame stays where it is on the screen.
function toggleBlock(block) {
  const folds = drawing.number === block;
  const frame = () => drawing.number === block
    ? drawing.frame(drawing.block.main[0]) : frameOf(drawing.svg, block);
  const before = frame().getBoundingClientRect();
  if (!folds && !openings[block]) {
    const svg = get("opened").content.children[block];
    openings[block] = new Opened(document.importNode(svg, true), block);
    makeButtons(openings[block]);
  }
  exchange(folds ? drawings.folded : openings[block]);
  const after = frame().getBoundingClientRect();
  drawing.move(before.left - after.left, before.top - after.top);
  if (stepsOf[block].has(currentNode())) drawing.follow(currentNode(), false);
}

// A frame was clicked, or Enter pressed on it.
function press(frame) {
  const block = Number(frame.dataset.block), part = Number(frame.dataset.part ?? NaN);
  const focused = document.activeElement === frame;
  if (drawing.number === block && drawing.isPile(part)) {
    drawing.moveTo(drawing.start + (part ? 1 : -1) * drawing.block.window);
    drawing.show(at);
  } else {
    toggleBlock(block);
    if (focused) drawing.svg.querySelector(`[data-block="${block}"][aria-expanded="${
      drawing.number === block}"]`).focus({preventScroll: true});
  }
}

makeButtons(drawing);
