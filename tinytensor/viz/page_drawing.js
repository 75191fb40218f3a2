// One drawing of the graph, folded or not: what is lit in it, and what part of it is seen.

// Where a window of this length may begin, so that it shows as much of the drawing as it can.
function within(start, length, low, size) {
  if (length >= size) return low - (length - size) / 2;
  return limited(start, low, low + size - length);
}

class Drawing {
  constructor(svg, folded) {
    this.svg = svg;
    this.folded = folded;
    this.nodes = new Map();  // a parameter may be drawn in several places
    this.edges = new Map();
    for (const group of svg.querySelectorAll("[data-node]")) {
      const node = Number(group.dataset.node);
      if (!this.nodes.has(node)) this.nodes.set(node, []);
      this.nodes.get(node).push(group);
    }
    for (const group of svg.querySelectorAll("[data-from]")) {
      const key = `${group.dataset.from} ${group.dataset.to}`;
      if (!this.edges.has(key)) this.edges.set(key, []);
      this.edges.get(key).push(group);
    }
    const box = svg.viewBox.baseVal;
    this.box = {x: box.x, y: box.y, width: box.width, height: box.height};
    this.lit = [];
    this.position = 0;
    this.x = this.y = 0;
    this.scale = 0;  // units of the drawing for each pixel; 0 until it is first seen
  }

  // Which nodes each one of the drawing stands for, and when it has given all that it gives.
  count() {
    this.members = new Map();
    this.doneAt = new Map();
    data.nodes.forEach((_, node) => {
      const shown = this.drawn(node);
      if (!this.members.has(shown)) this.members.set(shown, []);
      this.members.get(shown).push(node);
      const parts = received.get(node);
      const when = visitOf.get(node) ?? (parts ? parts.at(-1)[0] : Infinity);
      this.doneAt.set(shown, Math.max(this.doneAt.get(shown) ?? 0, when));
    });
  }

  drawn(node) {
    return this.folded && data.shown ? data.shown[node] : node;
  }

  // Bring a node into a drawing that does not show all.
  reach() {}

  places(node) {
    return this.nodes.get(this.drawn(node)) || [];
  }

  light(groups, name) {
    for (const group of groups) {
      group.classList.add(name);
      this.lit.push([group, name]);
    }
  }

  // Light what is at a position, and mark what has had its turn before.
  show(position) {
    if (!this.members) this.count();
    for (const [group, name] of this.lit) group.classList.remove(name);
    this.lit = [];
    const low = Math.min(position, this.position), high = Math.max(position, this.position);
    for (let p = Math.max(low - 1, 1); p <= Math.min(high, END - 1); p++) {
      const step = data.steps[p - 1];
      for (const node of [step.node, ...step.adds.map(add => add[1])]) {
        const done = this.doneAt.get(this.drawn(node)) < position;
        this.places(node).forEach(group => group.classList.toggle("done", done));
      }
    }
    this.position = position;
    if (position > 0 && position < END) {
      const step = data.steps[position - 1];
      const here = this.drawn(step.node);
      this.light(this.places(step.node), "current");
      for (const [, target] of step.adds) {
        const there = this.drawn(target), edges = this.edges.get(`${here} ${there}`) || [];
        const reached = group => edges.some(edge => edge.dataset.copy === group.dataset.copy);
        if (there !== here) this.light(this.places(target).filter(reached), "target");
        this.light(edges, "lit");
      }
    } else if (position === 0) {
      data.starts.forEach(([node]) => this.light(this.places(node), "current"));
    }
    if (chosen !== null) this.light(this.places(chosen), "chosen");
    for (const node of found) this.light(this.places(node), "found");
    lightBlocks(this);
  }

  // -- what part of it is seen

  apply() {
    const {clientWidth: width, clientHeight: height} = get("view");
    this.x = within(this.x, width * this.scale, this.box.x, this.box.width);
    this.y = within(this.y, height * this.scale, this.box.y, this.box.height);
    this.svg.setAttribute("viewBox",
      `${this.x} ${this.y} ${Math.max(width * this.scale, 1)} ${Math.max(height * this.scale, 1)}`);
  }

  wholeScale() {
    const {clientWidth: width, clientHeight: height} = get("view");
    return Math.max(this.box.width / (width || 1), this.box.height / (height || 1));
  }

  whole() {
    this.scale = this.wholeScale();
    this.centre(this.box.x + this.box.width / 2, this.box.y + this.box.height / 2);
  }

  centre(x, y) {
    const {clientWidth: width, clientHeight: height} = get("view");
    this.x = x - width * this.scale / 2;
    this.y = y - height * this.scale / 2;
    this.apply();
  }

  // Zoom with one point of the window (in pixels) held where it is.
  zoom(factor, px, py) {
    const scale = limited(this.scale * factor, 0.1, Math.max(1.5 * this.wholeScale(), 1));
    this.x += px * (this.scale - scale);
    this.y += py * (this.scale - scale);
    this.scale = scale;
    this.apply();
  }

  move(dx, dy) {
    this.x -= dx * this.scale;
    this.y -= dy * this.scale;
    this.apply();
  }

  // Bring a node into sight; do nothing if it is well inside already, unless asked to.
  follow(node, always) {
    if (!this.scale) {
      this.scale = Math.min(this.wholeScale(), 0.85);
      always = true;
    }
    const groups = this.places(node);
    if (!groups.length || !always && groups.some(group => this.sees(group))) return;
    this.lookAt(groups[0]);
  }

  // Whether a node is well inside the window.
  sees(group) {
    const own = group.getBoundingClientRect(), window = get("view").getBoundingClientRect();
    const x = (own.left + own.width / 2 - window.left) / window.width;
    const y = (own.top + own.height / 2 - window.top) / window.height;
    return x > 0.1 && x < 0.9 && y > 0.15 && y < 0.85;
  }

  lookAt(group) {
    const shape = group.getBBox(), shift = group.parentNode.transform.baseVal.consolidate().matrix;
    this.centre(shape.x + shape.width / 2 + shift.e, shape.y + shape.height / 2 + shift.f);
  }
}
