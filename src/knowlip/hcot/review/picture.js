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
