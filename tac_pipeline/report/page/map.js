// The map: a canvas that draws packed arrays, with zoom, pan, hover, names and pictures.

const CELLS = 128;
const LARGEST_ZOOM = 200;
const PICTURE_GAP = 62;
const HIT = { mouse: 14, touch: 26, pen: 18 };

/** Positions, clusters and places in the packs of all points, decoded once. */
const points = (() => {
  let decoded = null;
  return () => (decoded ??= decode(block("map-points")));
})();

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
}

function decode(packed) {
  const x = Float32Array.from(new Uint16Array(bytesOf(packed.x)), (value) => (value - packed.offset) / packed.scale);
  // Upwards in the data, downwards on a screen.
  const y = Float32Array.from(new Uint16Array(bytesOf(packed.y)), (value) => 1 - (value - packed.offset) / packed.scale);
  const cluster = new Uint16Array(bytesOf(packed.cluster));
  const slot = new Int16Array(bytesOf(packed.slot));
  const order = Uint32Array.from(x.keys()).sort((a, b) => cluster[a] - cluster[b]);
  const pictured = [...x.keys()].filter((point) => slot[point] >= 0).sort((a, b) => slot[a] - slot[b]);
  return { count: packed.count, x, y, cluster, slot, order, pictured, cells: buckets(x, y) };
}

/** The points of every cell of a grid, so that hovering looks at few of them. */
function buckets(x, y) {
  const cells = new Map();
  for (let point = 0; point < x.length; point++) {
    const key = cellOf(x[point]) * 4 * CELLS + cellOf(y[point]);
    if (cells.has(key)) cells.get(key).push(point);
    else cells.set(key, [point]);
  }
  return cells;
}

const cellOf = (value) => Math.floor((value + 1) * CELLS);

function mapView(query, chosenId) {
  const data = points();
  if (!data.count) return [el("h2", { tabindex: "-1", class: "hidden" }, "Map"), emptyState("No map", "No image of the store can be read.")];
  const chart = new MapChart(data);
  const wanted = query ? clusters.map((_, index) => index).filter((index) => matches(index, query)) : null;
  const entries = clusters
    .map((cluster, index) => ({ cluster, index }))
    .filter(({ cluster, index }) => cluster.x !== null && (!wanted || wanted.includes(index)))
    .map(({ cluster, index }) =>
      el("li", {}, el("button", { type: "button", class: "legend-entry", "data-cluster": index, "aria-pressed": "false", on: { click: () => chart.toggle(index) } }, dot(cluster), el("span", {}, isolated(title(cluster))), el("span", { class: "note" }, count(cluster.size)))),
    );
  chart.onSelect = (selected) => {
    for (const entry of entries) {
      const button = entry.firstChild;
      button.setAttribute("aria-pressed", String(selected.has(Number(button.dataset.cluster))));
    }
  };
  if (wanted) chart.select(wanted, false);
  else if (clusterAt.has(chosenId)) chart.select([clusterAt.get(chosenId)], true);
  const sampled = data.count < summary.readable ? `${count(data.count)} of ${count(summary.readable)} images` : plural(data.count, "image");
  return [
    el("h2", { tabindex: "-1", class: "hidden" }, "Map of the store"),
    el(
      "div",
      { class: "map" },
      chart.element,
      el("aside", { class: "legend", "aria-label": "Clusters on the map" }, el("p", { class: "note" }, `${sampled}. Near means alike; the axes mean nothing.`), entries.length ? el("ul", {}, entries) : emptyState("No cluster fits")),
    ),
  ];
}

class MapChart {
  constructor(data) {
    this.data = data;
    this.selected = new Set();
    this.onSelect = () => {};
    this.hovered = -1;
    this.fingers = new Map();
    this.images = new Map();
    this.showPictures = summary.hasPictures;
    this.canvas = el("canvas", { tabindex: "0", role: "application", "aria-label": "Map of the store. Arrow keys move, plus and minus zoom, 0 shows all, Enter opens the image in the middle. The list beside it names the clusters." });
    this.tip = el("div", { class: "tip", hidden: true });
    const tool = (label, text, action) => el("button", { type: "button", class: "quiet", "aria-label": label, title: label, on: { click: action } }, text);
    const pictures = el("label", { class: "switch" }, el("input", { type: "checkbox", checked: this.showPictures, on: { change: (event) => { this.showPictures = event.target.checked; this.draw(); } } }), "Pictures");
    this.element = el(
      "div",
      { class: "map-stage" },
      this.canvas,
      this.tip,
      el("div", { class: "map-tools" }, summary.hasPictures ? pictures : null, tool("Zoom in", "+", () => this.zoom(1.6)), tool("Zoom out", "−", () => this.zoom(1 / 1.6)), tool("Show all", "Fit", () => { this.fit(); this.draw(); })),
    );
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.element);
    redrawOnTheme.add(this);
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(Math.exp(-event.deltaY * 0.0016), event.offsetX, event.offsetY); }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.fingers.set(event.pointerId, event);
      this.moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => this.pointerMoved(event));
    canvas.addEventListener("pointerup", (event) => {
      this.fingers.delete(event.pointerId);
      if (this.moved < 6 && !this.fingers.size) this.openAt(event.offsetX, event.offsetY, HIT[event.pointerType] ?? HIT.mouse);
    });
    canvas.addEventListener("pointercancel", (event) => this.fingers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.hover(-1));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  pointerMoved(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) {
      this.hover(this.nearest(event.offsetX, event.offsetY, HIT[event.pointerType] ?? HIT.mouse));
      return;
    }
    const [dx, dy] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
    this.moved += Math.hypot(dx, dy);
    if (this.fingers.size === 1) {
      this.pan(dx, dy);
    } else {
      const other = [...this.fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
      const apart = (finger) => Math.hypot(finger.offsetX - other.offsetX, finger.offsetY - other.offsetY);
      this.zoom(apart(event) / Math.max(apart(before), 1), (event.offsetX + other.offsetX) / 2, (event.offsetY + other.offsetY) / 2);
    }
    this.fingers.set(event.pointerId, event);
  }

  key(event) {
    const step = 60;
    const actions = {
      ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0), ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
      "+": () => this.zoom(1.4), "=": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), 0: () => { this.fit(); this.draw(); },
      Enter: () => this.openAt(this.width / 2, this.height / 2, Infinity),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }

  resize() {
    const { width, height } = this.element.getBoundingClientRect();
    if (!width || (width === this.width && height === this.height)) return;
    const first = !this.width;
    [this.width, this.height] = [width, height];
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    if (first) this.fit();
    if (first && this.zoomTo) this.fit(this.zoomTo);
    this.drawNow();
  }

  /** Show all points, or those of some clusters. */
  fit(only) {
    const { x, y, cluster } = this.data;
    let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let point = 0; point < x.length; point++) {
      if (only && !only.has(cluster[point])) continue;
      // Points far out on their own must not make all others small.
      if (x[point] < -0.1 || x[point] > 1.1 || y[point] < -0.1 || y[point] > 1.1) continue;
      [left, right] = [Math.min(left, x[point]), Math.max(right, x[point])];
      [top, bottom] = [Math.min(top, y[point]), Math.max(bottom, y[point])];
    }
    if (left > right) [left, right, top, bottom] = [0, 1, 0, 1];
    const pad = 36;
    const room = Math.min((this.width - 2 * pad) / Math.max(right - left, 0.01), (this.height - 2 * pad) / Math.max(bottom - top, 0.01));
    this.scale = only ? room * 0.6 : room;
    if (!only) this.whole = room;
    this.left = this.width / 2 - (this.scale * (left + right)) / 2;
    this.top = this.height / 2 - (this.scale * (top + bottom)) / 2;
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.min(Math.max(this.scale * factor, this.whole * 0.5), this.whole * LARGEST_ZOOM);
    const real = scale / this.scale;
    this.left = x - (x - this.left) * real;
    this.top = y - (y - this.top) * real;
    this.scale = scale;
    this.draw();
  }

  pan(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.draw();
  }

  select(indices, zoomTo) {
    this.selected = new Set(indices);
    if (zoomTo) this.zoomTo = this.selected;
    this.onSelect(this.selected);
    this.draw();
  }

  toggle(index) {
    const others = new Set(this.selected);
    if (!others.delete(index)) others.add(index);
    this.select(others, false);
  }

  at(point) {
    return [this.left + this.scale * this.data.x[point], this.top + this.scale * this.data.y[point]];
  }

  nearest(x, y, reach) {
    const { cells, cluster } = this.data;
    const [dataX, dataY] = [(x - this.left) / this.scale, (y - this.top) / this.scale];
    const far = reach === Infinity ? 2 * CELLS : Math.ceil((reach / this.scale) * CELLS);
    const [column, row] = [cellOf(dataX), cellOf(dataY)];
    let [found, best] = [-1, reach === Infinity ? Infinity : reach * reach];
    for (const [a, b] of rings(far)) {
      for (const point of cells.get((column + a) * 4 * CELLS + row + b) ?? []) {
        if (this.selected.size && !this.selected.has(cluster[point])) continue;
        const [px, py] = this.at(point);
        const distance = (px - x) ** 2 + (py - y) ** 2;
        if (distance < best) [found, best] = [point, distance];
      }
    }
    return found;
  }

  hover(point) {
    if (point === this.hovered) return;
    this.hovered = point;
    this.canvas.style.setProperty("cursor", point < 0 ? "grab" : "pointer");
    this.tip.hidden = point < 0;
    if (point >= 0) this.fillTip(point);
    this.draw();
  }

  fillTip(point) {
    const cluster = clusters[this.data.cluster[point]];
    const image = this.imageOf(point);
    const [x, y] = this.at(point);
    this.tip.replaceChildren(
      ...(image.picture ? [picture(image)] : []),
      el("strong", {}, dot(cluster), isolated(title(cluster))),
      el("span", { class: "image-id" }, image.id),
    );
    this.tip.classList.toggle("tip-left", x > this.width / 2);
    this.tip.classList.toggle("tip-above", y > this.height / 2);
    this.tip.style.setProperty("--x", `${x}px`);
    this.tip.style.setProperty("--y", `${y}px`);
  }

  imageOf(point) {
    const { cluster, slot } = this.data;
    if (slot[point] >= 0) return packOf(cluster[point])[slot[point]];
    return { id: block("map-ids")[point] };
  }

  openAt(x, y, reach) {
    const point = this.nearest(x, y, reach);
    if (point < 0) return;
    if (this.data.slot[point] >= 0) viewer.open(packOf(this.data.cluster[point]), this.data.slot[point]);
    else location.hash = `#/cluster/${clusters[this.data.cluster[point]].id}`;
  }

  /** Draw with the next frame, once for however many reasons. */
  draw() {
    this.due ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    this.due = undefined;
    if (!this.width) return;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    this.drawPoints(context);
    const taken = this.showPictures ? this.drawPictures(context) : [];
    this.drawNames(context, taken);
    this.drawHovered(context);
  }

  drawPoints(context) {
    const { x, y, cluster, order } = this.data;
    const zoomed = this.scale / this.whole;
    const radius = Math.min(7, Math.max(1.1, 2.6 * Math.sqrt(3000 / Math.max(x.length, 600)) * Math.sqrt(zoomed)));
    let current = -1;
    for (const point of order) {
      const px = this.left + this.scale * x[point];
      const py = this.top + this.scale * y[point];
      if (px < -8 || py < -8 || px > this.width + 8 || py > this.height + 8) continue;
      if (cluster[point] !== current) {
        current = cluster[point];
        context.fillStyle = clusters[current].color;
        context.globalAlpha = !this.selected.size || this.selected.has(current) ? 0.85 : 0.1;
      }
      if (radius < 1.8) context.fillRect(px - radius, py - radius, 2 * radius, 2 * radius);
      else {
        context.beginPath();
        context.arc(px, py, radius, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
  }

  /** The most typical pictures first, none over another; the rectangles that they take. */
  drawPictures(context) {
    const { cluster, pictured } = this.data;
    const size = Math.min(96, 34 + 10 * Math.log2(Math.max(1, this.scale / this.whole)));
    const gap = size + PICTURE_GAP - 34;
    const cells = new Set();
    const taken = [];
    for (const point of pictured) {
      if (this.selected.size && !this.selected.has(cluster[point])) continue;
      const [px, py] = this.at(point);
      if (px < 0 || py < 0 || px > this.width || py > this.height) continue;
      const [column, row] = [Math.floor(px / gap), Math.floor(py / gap)];
      if ([-1, 0, 1].some((a) => [-1, 0, 1].some((b) => cells.has(`${column + a},${row + b}`) && taken.some((other) => Math.abs(other[0] - px) < gap && Math.abs(other[1] - py) < gap)))) continue;
      const image = this.loaded(point);
      if (image === null) continue;
      cells.add(`${column},${row}`);
      taken.push([px, py, size]);
      if (!image.complete) continue;
      context.save();
      context.beginPath();
      context.roundRect(px - size / 2, py - size / 2, size, size, 6);
      context.strokeStyle = clusters[cluster[point]].color;
      context.lineWidth = 3;
      context.stroke();
      context.clip();
      context.drawImage(image, px - size / 2, py - size / 2, size, size);
      context.restore();
    }
    return taken;
  }

  /** The picture of a point, perhaps still on its way; null where there is none. */
  loaded(point) {
    if (!this.images.has(point)) {
      const source = this.imageOf(point).picture;
      const image = source ? new Image() : null;
      if (image) {
        image.onload = () => this.draw();
        image.src = `data:image/webp;base64,${source}`;
      }
      this.images.set(point, image);
    }
    return this.images.get(point);
  }

  drawNames(context, taken) {
    const style = getComputedStyle(this.canvas);
    context.font = `600 13px ${style.fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const boxes = [];
    clusters.forEach((cluster, index) => {
      if (cluster.x === null || (this.selected.size && !this.selected.has(index))) return;
      const text = title(cluster).length > 28 ? `${title(cluster).slice(0, 27)}…` : title(cluster);
      const half = context.measureText(text).width / 2 + 4;
      const px = this.left + this.scale * cluster.x;
      let py = this.top + this.scale * (1 - cluster.y);
      const picture = taken.find(([x, y, size]) => Math.abs(x - px) < size / 2 + half && Math.abs(y - py) < size / 2 + 10);
      if (picture) py = picture[1] + picture[2] / 2 + 12;
      const box = [px - half, py - 10, px + half, py + 10];
      if (box[2] < 0 || box[3] < 0 || box[0] > this.width || box[1] > this.height) return;
      if (boxes.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) return;
      boxes.push(box);
      context.strokeStyle = style.backgroundColor;
      context.lineWidth = 4;
      context.strokeText(text, px, py);
      context.fillStyle = style.color;
      context.fillText(text, px, py);
    });
  }

  drawHovered(context) {
    if (this.hovered < 0) return;
    const [x, y] = this.at(this.hovered);
    context.beginPath();
    context.arc(x, y, 8, 0, 2 * Math.PI);
    context.lineWidth = 2.5;
    context.strokeStyle = getComputedStyle(this.canvas).color;
    context.stroke();
  }
}

/** Offsets of cells around one, up to so far away. */
function* rings(far) {
  const edge = Math.min(far, 2 * CELLS);
  for (let a = -edge; a <= edge; a++) for (let b = -edge; b <= edge; b++) yield [a, b];
}
