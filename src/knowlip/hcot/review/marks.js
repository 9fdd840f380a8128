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

async function openMarks(file) {
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
