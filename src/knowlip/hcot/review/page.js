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
  if ($("file").files.length) openMarks($("file").files[0]);
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
