"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SIGN = { right: "✓", wrong: "✗", unclear: "?" };
const WORD = { right: "right", wrong: "wrong", unclear: "cannot tell" };

// every slot of the page, in the order in which they are judged
const SLOTS = DATA.tiles.flatMap((tile, t) => tile.statements.flatMap((said, s) => said.slots.map((slot) => ({
  tile: t, said, statement: s, slot, key: `${said.id}#${said.round}#${slot.start}#${slot.value}`,
}))));

let at = 0;
let shownTile = -1;
let reviewer = "";
let marks = {};
let undo = [];
let kept = true;

// ---- marks, in the browser's storage by corpus and reviewer ----

const storageName = (name) => `knowlip-review/${DATA.fingerprint}/${name}`;

function stored(name) {
  try { return JSON.parse(localStorage.getItem(storageName(name))) || {}; } catch { return {}; }
}

function store(changes) {
  // another page may have written meanwhile
  const all = stored(reviewer);
  for (const [key, mark] of Object.entries(changes)) {
    if (mark) all[key] = mark; else delete all[key];
  }
  try {
    localStorage.setItem(storageName(reviewer), JSON.stringify(all));
    localStorage.setItem("knowlip-review/reviewer", reviewer);
  } catch { kept = false; }
}

function reviewers() {
  const start = storageName("");
  try {
    return Object.keys(localStorage).filter((k) => k.startsWith(start)).map((k) => k.slice(start.length));
  } catch { return []; }
}

function setMarks(changes) {
  undo.push({ at, before: Object.fromEntries(Object.keys(changes).map((k) => [k, marks[k]])) });
  put(changes);
}

function put(changes) {
  for (const [key, mark] of Object.entries(changes)) {
    if (mark) marks[key] = mark; else delete marks[key];
  }
  store(changes);
  paint();
}

function mark(verdict) {
  const { key, slot } = SLOTS[at];
  const next = after(at, 1);
  setMarks({ [key]: verdict && { verdict, time: new Date().toISOString() } });
  if (verdict) advance(next, `${slot.value}: ${WORD[verdict]}.`);
  else tell(`${slot.value}: cleared.`);
}

function markRest() {
  const here = SLOTS[at];
  const open = SLOTS.filter((s) => s.said === here.said && !marks[s.key]);
  const time = new Date().toISOString();
  if (open.length) setMarks(Object.fromEntries(open.map((s) => [s.key, { verdict: "right", time }])));
  advance(after(at, 1, (s) => s.said !== here.said), `${open.length} marked right.`);
}

function advance(next, told) {
  const open = SLOTS.filter((s) => !marks[s.key]).length;
  if (next >= 0) go(next, told);
  else tell(open ? `This was the last slot shown; ${open} of the page have no mark yet.` : "All slots are marked. Save the marks.");
}

function undoLast() {
  const last = undo.pop();
  if (!last) return tell("Nothing to undo.");
  put(last.before);
  go(last.at, "Undone.");
}

function marksFile() {
  return {
    format: "knowlip-marks", version: 1, corpus: DATA.corpus, fingerprint: DATA.fingerprint, reviewer,
    marks: SLOTS.filter((s) => marks[s.key]).map(({ said, slot, key }) => ({
      statement_id: said.id, round: said.round, slot: slot.name, start: slot.start, end: slot.end, value: slot.value,
      ...marks[key],
    })),
  };
}

function save() {
  const file = marksFile();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1) + "\n"], { type: "application/json" }));
  link.download = "marks.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  tell(`${file.marks.length} marks of ${reviewer} saved as marks.json.`);
}

async function open(file) {
  let found;
  try { found = JSON.parse(await file.text()); } catch { return tell(`${file.name} is not a file of marks.`); }
  if (found.format !== "knowlip-marks" || found.fingerprint !== DATA.fingerprint || !Array.isArray(found.marks)) {
    return tell(`${file.name} holds no marks of this corpus.`);
  }
  if (found.reviewer !== reviewer) return tell(`${file.name} holds the marks of ${found.reviewer}, not of ${reviewer}.`);
  const here = new Set(SLOTS.map((s) => s.key));
  const changes = {};
  for (const m of found.marks) {
    const key = `${m.statement_id}#${m.round}#${m.start}#${m.value}`;
    if (here.has(key) && m.verdict in WORD && !(marks[key] && marks[key].time >= m.time)) {
      changes[key] = { verdict: m.verdict, time: m.time };
    }
  }
  setMarks(changes);
  tell(`${Object.keys(changes).length} marks taken from ${file.name}.`);
}

// ---- the filter, and moving about ----

function matches({ key, said }) {
  const show = $("show").value, dimension = $("dimension").value;
  const verdict = marks[key] && marks[key].verdict;
  return (!dimension || dimension === `${said.schema}/${said.dimension}`)
    && (!show || (show === "unmarked" ? !verdict : verdict === show));
}

function after(from, direction, wanted = () => true) {
  for (let i = from + direction; i >= 0 && i < SLOTS.length; i += direction) {
    if (matches(SLOTS[i]) && wanted(SLOTS[i])) return i;
  }
  return -1;
}

function step(direction, wanted) {
  const next = after(at, direction, wanted);
  if (next >= 0) go(next); else tell(direction > 0 ? "Nothing further on." : "Nothing before.");
}

function stepSentence(direction) {
  step(direction, (s) => s.said !== SLOTS[at].said);
  first((s) => s.said === SLOTS[at].said);
}

function stepTile(direction) {
  step(direction, (s) => s.tile !== SLOTS[at].tile);
  first((s) => s.tile === SLOTS[at].tile);
}

function first(wanted) {
  const found = SLOTS.findIndex((s) => wanted(s) && matches(s));
  if (found >= 0) go(found);
}

function refilter() {
  const any = SLOTS.some(matches);
  $("none").hidden = any;
  if (any && !matches(SLOTS[at])) go(after(at, 1) >= 0 ? after(at, 1) : after(at, -1));
  paint();
}

function showAll() {
  $("show").value = $("dimension").value = "";
  refilter();
}

function go(index, told = "") {
  at = index;
  if (SLOTS[at].tile !== shownTile) showTile(SLOTS[at].tile);
  tell(told);
  paint();
  const button = slotButton(at);
  if (!document.querySelector("dialog[open]")) button.focus({ preventScroll: true });
  button.closest("li").scrollIntoView({ block: "nearest" });
}

// ---- showing ----

const slotButton = (index) => document.querySelector(`[data-index="${index}"]`);

function showTile(index) {
  shownTile = index;
  const tile = DATA.tiles[index];
  $("tile").textContent = `${index + 1} of ${DATA.tiles.length}: ${tile.id}`;
  $("place").textContent = tile.place;
  $("image").src = tile.picture;
  $("image").alt = `Radar picture of tile ${tile.id}`;
  $("statements").replaceChildren(...tile.statements.map((said) => sentence(said)));
  $("statements").scrollTop = 0;
  fit();
}

function sentence(said) {
  const item = document.createElement("li");
  const title = document.createElement("b");
  title.textContent = `${said.schema} · ${said.dimension}`;
  item.append(title);
  // characters count as Python counts them, not as UTF-16 does
  const text = Array.from(said.text);
  let done = 0;
  for (const slot of said.slots) {
    const button = document.createElement("button");
    button.className = "slot";
    button.dataset.index = SLOTS.findIndex((s) => s.said === said && s.slot === slot);
    button.addEventListener("click", () => go(Number(button.dataset.index)));
    item.append(text.slice(done, slot.start).join(""), button);
    done = slot.end;
  }
  item.append(text.slice(done).join(""));
  return item;
}

function paint() {
  const done = SLOTS.filter((s) => marks[s.key]).length;
  $("progress").value = done;
  $("progress-text").textContent = `${done} of ${SLOTS.length} slots marked`;
  for (const button of document.querySelectorAll(".slot")) {
    const index = Number(button.dataset.index);
    const { slot, key } = SLOTS[index];
    const verdict = marks[key] && marks[key].verdict;
    button.className = ["slot", verdict, matches(SLOTS[index]) ? "" : "off"].filter(Boolean).join(" ");
    button.textContent = slot.value;
    if (verdict) {
      const sign = document.createElement("i");
      sign.textContent = SIGN[verdict];
      sign.setAttribute("aria-hidden", "true");
      button.append(sign);
    }
    button.setAttribute("aria-label", `${slot.value}, ${slot.name}: ${verdict ? WORD[verdict] : "not marked"}`);
    button.tabIndex = index === at ? 0 : -1;
    if (index === at) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
  }
  const { slot, said, key } = SLOTS[at];
  $("asked").textContent = `Is “${slot.value}” right? (${said.dimension}: ${slot.name})`;
  for (const button of document.querySelectorAll("[data-verdict]")) {
    button.setAttribute("aria-pressed", String(Boolean(marks[key]) && marks[key].verdict === button.dataset.verdict));
  }
  paintGrid();
}

function tell(text) {
  $("told").textContent = kept ? text : `${text} This browser keeps no marks: save them before you close the page.`;
}

// ---- the picture: zoom, place, light, nine cells, scale, measuring ----

const look = { zoom: 1, x: 0, y: 0, light: 1, grid: false };

function size() {
  const view = $("view"), tile = DATA.tiles[shownTile];
  const scale = Math.min(view.clientWidth / tile.width, view.clientHeight / tile.height);
  return { view, tile, width: tile.width * scale, height: tile.height * scale, scale };
}

function fit() {
  look.zoom = 1;
  const { view, width, height } = size();
  look.x = (view.clientWidth - width) / 2;
  look.y = (view.clientHeight - height) / 2;
  place();
}

function place() {
  const { tile, width, height, scale } = size();
  const sheet = $("sheet");
  sheet.style.width = `${width}px`;
  sheet.style.height = `${height}px`;
  sheet.style.transform = `translate(${look.x}px, ${look.y}px) scale(${look.zoom})`;
  $("over").setAttribute("viewBox", `0 0 ${tile.width} ${tile.height}`);
  $("image").style.filter = look.light === 1 ? "" : `brightness(${look.light})`;
  $("length").textContent = "";
  $("rule").setAttribute("hidden", "");
  if (!tile.gsd_x_m) { $("bar").style.width = "0"; $("bar-text").textContent = "scale unknown"; return; }
  const metresPerPixel = tile.gsd_x_m / (scale * look.zoom);
  const most = 160 * metresPerPixel, power = 10 ** Math.floor(Math.log10(most));
  const metres = power * [5, 2, 1].find((n) => n * power <= most);
  $("bar").style.width = `${metres / metresPerPixel}px`;
  $("bar-text").textContent = metres >= 1000 ? `${metres / 1000} km` : `${metres} m`;
}

function zoom(factor, x = $("view").clientWidth / 2, y = $("view").clientHeight / 2) {
  const to = Math.min(Math.max(look.zoom * factor, 1), 40), by = to / look.zoom;
  if (to === 1) return fit();
  Object.assign(look, { zoom: to, x: x - (x - look.x) * by, y: y - (y - look.y) * by });
  place();
}

function pan(dx, dy) { look.x += dx; look.y += dy; place(); }

function light(factor) { look.light = Math.min(Math.max(look.light * factor, 0.2), 8); place(); }

function paintGrid() {
  const { width: w, height: h } = DATA.tiles[shownTile];
  // a position is a claim about these cells
  const on = look.grid || SLOTS[at].slot.kind === "position";
  $("grid").setAttribute("d", [1, 2].map((k) => `M${w * k / 3} 0V${h}M0 ${h * k / 3}H${w}`).join(""));
  $("grid").toggleAttribute("hidden", !on);
  $("grid-button").setAttribute("aria-pressed", String(on));
}

function onTile(event) {
  const box = $("view").getBoundingClientRect(), { scale } = size();
  return [(event.clientX - box.left - look.x) / (scale * look.zoom), (event.clientY - box.top - look.y) / (scale * look.zoom)];
}

let drag = null;
$("view").addEventListener("pointerdown", (event) => {
  event.preventDefault();
  $("view").setPointerCapture(event.pointerId);
  drag = { x: event.clientX, y: event.clientY, from: event.shiftKey ? onTile(event) : null };
});
$("view").addEventListener("pointermove", (event) => {
  $("view").classList.toggle("measuring", event.shiftKey || Boolean(drag && drag.from));
  if (!drag) return;
  if (!drag.from) {
    pan(event.clientX - drag.x, event.clientY - drag.y);
    Object.assign(drag, { x: event.clientX, y: event.clientY });
    return;
  }
  const tile = DATA.tiles[shownTile], [x1, y1] = drag.from, [x2, y2] = onTile(event);
  for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) $("rule").setAttribute(name, value);
  $("rule").removeAttribute("hidden");
  const known = tile.gsd_x_m && tile.gsd_y_m;
  const metres = Math.hypot((x2 - x1) * (known ? tile.gsd_x_m : 1), (y2 - y1) * (known ? tile.gsd_y_m : 1));
  $("length").textContent = `${metres.toFixed(known && metres < 100 ? 1 : 0)} ${known ? "m" : "pixels"}`;
});
for (const end of ["pointerup", "pointercancel"]) $("view").addEventListener(end, () => { drag = null; });
$("view").addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = $("view").getBoundingClientRect();
  zoom(1.2 ** (event.deltaY < 0 ? 1 : -1), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
new ResizeObserver(() => { if (shownTile >= 0) fit(); }).observe($("view"));

// ---- keys, buttons, dialogs ----

const DO = {
  nearer: () => zoom(1.4), farther: () => zoom(1 / 1.4), fit, darker: () => light(1 / 1.25), brighter: () => light(1.25),
  grid: () => { look.grid = !look.grid; paintGrid(); },
  tileBefore: () => stepTile(-1), tileAfter: () => stepTile(1), all: showAll, rest: markRest, undo: undoLast,
};
const KEYS = {
  1: () => mark("right"), 2: () => mark("wrong"), 3: () => mark("unclear"), 0: () => mark(null),
  a: markRest, u: undoLast, Backspace: undoLast,
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => stepSentence(1), ArrowUp: () => stepSentence(-1),
  PageDown: DO.tileAfter, PageUp: DO.tileBefore,
  "+": DO.nearer, "=": DO.nearer, "-": DO.farther, f: fit, "[": DO.darker, "]": DO.brighter, g: DO.grid,
  "?": () => $("help-dialog").showModal(),
};
const PAN = { ArrowRight: [-60, 0], ArrowLeft: [60, 0], ArrowDown: [0, -60], ArrowUp: [0, 60] };

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.altKey) return;
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() !== "s") return;
    event.preventDefault();
    return save();
  }
  if (event.target.matches("select, input")) return;
  const action = event.shiftKey && PAN[event.key] ? () => pan(...PAN[event.key])
    : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => DO[button.dataset.do]());
for (const button of document.querySelectorAll("[data-verdict]")) button.addEventListener("click", () => mark(button.dataset.verdict));
for (const id of ["show", "dimension"]) $(id).addEventListener("change", refilter);
$("save").addEventListener("click", save);
$("help").addEventListener("click", () => $("help-dialog").showModal());
$("help-dialog").addEventListener("close", () => slotButton(at).focus());
$("open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  if ($("file").files.length) open($("file").files[0]);
  $("file").value = "";
});
$("who").addEventListener("click", askName);

function askName() {
  $("names").replaceChildren(...reviewers().map((name) => new Option(name)));
  $("name").value = reviewer;
  $("name-dialog").showModal();
  $("name").select();
}

$("name-dialog").addEventListener("cancel", (event) => { if (!reviewer) event.preventDefault(); });
$("name-dialog").addEventListener("close", () => {
  const name = $("name").value.trim().replace(/\s+/g, " ");
  if (!name) { if (!reviewer) askName(); return; }
  const mine = Object.keys(marks).length;
  const rename = reviewer && name !== reviewer && mine && !reviewers().includes(name)
    && confirm(`Are the ${mine} marks of “${reviewer}” marks of “${name}”?\nOK takes them along, Cancel begins anew.`);
  start(name, rename ? marks : {});
});

function start(name, more) {
  reviewer = name;
  undo = [];
  const here = new Set(SLOTS.map((s) => s.key));
  marks = Object.fromEntries(Object.entries({ ...stored(name), ...more }).filter(([key]) => here.has(key)));
  store(marks);
  $("who").textContent = name;
  $("who").setAttribute("aria-label", `Reviewer ${name}: somebody else marks`);
  const open = SLOTS.findIndex((s) => !marks[s.key]);
  const before = Object.keys(marks).length;
  go(open >= 0 ? open : 0, before ? `Going on after ${before} marks.` : "Press 1, 2 or 3; ? for all keys.");
}

go(0);
let known = "";
try { known = localStorage.getItem("knowlip-review/reviewer") || ""; } catch { kept = false; }
if (known) start(known, {}); else askName();
