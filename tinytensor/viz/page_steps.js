// Moving through the pass: buttons, keys, sliders, search, and the pointer in the drawing.

function currentNode() {
  if (chosen !== null) return chosen;
  if (at === 0) return data.starts[0][0];
  return data.steps[Math.min(at, END - 1) - 1].node;
}

function stretch() {
  let number = -1;
  while (number + 1 < data.stretches.length && data.stretches[number + 1][1] < at) number++;
  return number;
}

function refresh() {
  fillPanel();
  drawing.reach(currentNode());
  drawing.show(at);
  drawing.follow(currentNode(), false);
  get("scrub").value = at;
  get("scrub-label").textContent = at === 0 ? "Start" : at === END ? "End" : `Node ${at}/${END - 1}`;
  get("scrub").setAttribute("aria-valuetext", `${spot(at)}: ${named(currentNode())}`);
  get("first").disabled = get("previous").disabled = at === 0;
  get("last").disabled = get("next").disabled = at === END;
  const number = stretch();
  const name = number < 0 ? "before the time steps" : data.stretches[number][0];
  get("time").value = Math.max(number, 0);
  get("time").setAttribute("aria-valuetext", name);
  get("time-label").textContent = name;
}

function go(position) {
  chosen = null;
  at = limited(position, 0, END);
  if (at === END) pause();
  refresh();
}

function goToStretch(number) {
  if (number >= data.stretches.length) go(END);
  else go(number < 0 ? 0 : data.stretches[number][1] + 1);
}

function previousStretch() {
  const number = stretch();
  const atItsStart = number >= 0 && at === data.stretches[number][1] + 1;
  goToStretch(atItsStart || at === END && number < 0 ? number - 1 : number);
}

function look(node) {
  if (visitOf.has(node)) {
    go(visitOf.get(node));
  } else {
    chosen = node;
    refresh();
  }
}

// A node of the drawing was clicked; one that stands for many leads to the next of them.
function choose(shown) {
  const members = drawing.members.get(shown) || [];
  const ahead = members.filter(node => (visitOf.get(node) ?? 0) > at);
  ahead.sort((a, b) => visitOf.get(a) - visitOf.get(b));
  const output = data.nodes[members[0]][KIND] === "output";
  if (output) go(0); else look(ahead.length ? ahead[0] : members[0]);
}

function pause() {
  clearInterval(timer);
  timer = null;
  get("play").textContent = "Play";
  get("play").setAttribute("aria-pressed", "false");
  get("heading").setAttribute("aria-live", "polite");
}

function play() {
  if (timer !== null) return pause();
  const [unit, pace] = get("pace").value.split(" ");
  if (at === END) go(0);
  timer = setInterval(() => unit === "time" ? goToStretch(stretch() + 1) : go(at + 1), Number(pace));
  get("play").textContent = "Pause";
  get("play").setAttribute("aria-pressed", "true");
  get("heading").setAttribute("aria-live", "off");
}

// -- search, theme

function search() {
  const words = get("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  found = [];
  if (words.length) data.nodes.forEach((node, number) => {
    const text = `${node[NAME]} ${node[KIND]} ${node[PLACE]}`.toLowerCase();
    const visit = visitOf.get(number);
    if (words.every(word => text.includes(word))) found.push([visit ?? Infinity, number]);
  });
  found = found.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(pair => pair[1]);
  get("found").textContent = words.length ? `${found.length} found` : "";
  const rows = found.slice(0, 50).map(node => make("li", null, make("button",
    {type: "button", onclick: () => { closeResults(); look(node); }},
    named(node), make("span", {className: "shape"}, ` ${data.nodes[node][PLACE]}`))));
  if (found.length > rows.length) {
    rows.push(make("li", {className: "note"}, `and ${found.length - rows.length} more`));
  }
  get("results").replaceChildren(...rows);
  get("results").hidden = !rows.length;
  drawing.show(at);
}

function closeResults() {
  get("results").hidden = true;
}

function nextFound() {
  if (!found.length) return;
  const place = found.indexOf(currentNode());
  closeResults();
  look(found[(place + 1) % found.length]);
}

const systemDark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const own = document.documentElement.dataset.theme;
  return own ? own === "dark" : systemDark.matches;
}

function labelTheme() {
  get("theme").textContent = isDark() ? "Light" : "Dark";
}

function toggleTheme() {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  labelTheme();
}

// -- keys, buttons, pointer

function zoomBy(factor) {
  drawing.zoom(factor, get("view").clientWidth / 2, get("view").clientHeight / 2);
}

const KEYS = {
  ArrowRight: () => go(at + 1), n: () => go(at + 1),
  ArrowLeft: () => go(at - 1), p: () => go(at - 1),
  PageDown: () => goToStretch(stretch() + 1), PageUp: previousStretch,
  Home: () => go(0), End: () => go(END), " ": play,
  "+": () => zoomBy(0.8), "=": () => zoomBy(0.8), "-": () => zoomBy(1.25),
  0: () => drawing.whole(), c: () => drawing.follow(currentNode(), true),
  f: toggleFold, d: toggleTheme, "?": () => get("help").showModal(),
  "/": () => get("search").focus(),
};

const MOVES = {ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60]};

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey || get("help").open) return;
  const {tagName: tag, type} = event.target;
  if (tag === "SELECT" || type === "search") return;  // they have their own use for keys
  if (type === "range" && /^(Arrow|Page|Home|End)/.test(event.key)) return;
  if (tag === "BUTTON" && event.key === " ") return;
  if (event.target.dataset.block && /^(Enter| )$/.test(event.key)) {
    event.preventDefault();
    return press(event.target);
  }
  const action = event.shiftKey && MOVES[event.key]
    ? () => drawing.move(...MOVES[event.key]) : KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

for (const [id, action] of Object.entries({
  first: KEYS.Home, previous: KEYS.ArrowLeft, next: KEYS.ArrowRight, last: KEYS.End, play: play,
  "zoom-in": KEYS["+"], "zoom-out": KEYS["-"], whole: KEYS[0], here: KEYS.c, fold: toggleFold,
  theme: toggleTheme, keys: KEYS["?"],
})) get(id).addEventListener("click", action);

get("scrub").addEventListener("input", event => go(Number(event.target.value)));
get("time").addEventListener("input", event => goToStretch(Number(event.target.value)));
get("pace").addEventListener("change", () => { if (timer !== null) { pause(); play(); } });
get("search").addEventListener("input", search);
get("finder").addEventListener("keydown", event => {
  if (event.key === "Escape") { closeResults(); get("view").focus(); }
  if (event.key === "Enter" && event.target === get("search")) nextFound();
});
get("finder").addEventListener("focusout", event => {
  if (!get("finder").contains(event.relatedTarget)) closeResults();
});

const view = get("view");
const pointers = new Map();
let dragged = 0;

view.addEventListener("wheel", event => {
  event.preventDefault();
  const window = view.getBoundingClientRect();
  drawing.zoom(Math.exp(limited(event.deltaY, -200, 200) / 400),
    event.clientX - window.left, event.clientY - window.top);
}, {passive: false});

view.addEventListener("pointerdown", event => {
  if (!pointers.size) dragged = 0;
  pointers.set(event.pointerId, event);
  view.setPointerCapture(event.pointerId);
});

view.addEventListener("pointermove", event => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const other = [...pointers.values()].find(pointer => pointer.pointerId !== event.pointerId);
  dragged += Math.abs(event.clientX - before.clientX) + Math.abs(event.clientY - before.clientY);
  if (other) {
    const window = view.getBoundingClientRect();
    const apart = pointer =>
      Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY) || 1;
    drawing.zoom(apart(before) / apart(event), (event.clientX + other.clientX) / 2 - window.left,
      (event.clientY + other.clientY) / 2 - window.top);
    drawing.move((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
  } else if (dragged > 4) {
    drawing.move(event.clientX - before.clientX, event.clientY - before.clientY);
  }
  pointers.set(event.pointerId, event);
});

view.addEventListener("pointerup", event => {
  pointers.delete(event.pointerId);
  if (dragged > 4 || pointers.size) return;
  const group = document.elementFromPoint(event.clientX, event.clientY)
    ?.closest("[data-node], [data-block]");
  if (group?.dataset.node) choose(Number(group.dataset.node));
  else if (group) press(group);
});
view.addEventListener("focusin", event => {
  if (event.target.matches("[data-block]:focus-visible")) drawing.lookAt(event.target);
});
view.addEventListener("pointercancel", event => pointers.delete(event.pointerId));

systemDark.addEventListener("change", labelTheme);

// On paper the whole drawing is shown, whatever part of it the window shows.
let printing = false;

new ResizeObserver(() => { if (drawing.scale && !printing) drawing.apply(); }).observe(view);

addEventListener("beforeprint", () => {
  printing = true;
  const {x, y, width, height} = drawing.box;
  drawing.svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
});

addEventListener("afterprint", () => {
  printing = false;
  drawing.apply();
});

get("fold").hidden = !unfolds;
get("scrub").max = END;
get("time").max = Math.max(data.stretches.length - 1, 0);
get("time-row").hidden = !data.stretches.length;
labelTheme();
refresh();
